"""RDKit and what belongs to it, as modules without types, quiet: what is wrong with a molecule is said by us, once."""

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

from sparring.errors import SettingError

Mol = Any
"""A molecule of RDKit, `rdkit.Chem.Mol`; its modules are compiled, and have no types that a checker could rely on."""


def needed(module: str) -> Any:
    """A module of the extra `molecules`. Raises: SettingError, with what to run, if its package is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise SettingError(
            f"molecules need the package {package}, which is not installed; run: pip install 'sparring[molecules]'"
        ) from error


@cache
def contributed(folder: str, module: str) -> Any:
    """A module of RDKit's folder Contrib, which is not on Python's path.

    Raises: SettingError if this build of RDKit comes without it.
    """
    path = Path(needed("rdkit.RDConfig").RDContribDir) / folder / f"{module}.py"
    if not path.is_file():
        raise SettingError(f"this RDKit comes without Contrib/{folder}; that of PyPI has it: pip install rdkit")
    name = f"sparring_{module}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file that is there has a loader"
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


needed("rdkit.rdBase").DisableLog("rdApp.*")
Chem: Any = needed("rdkit.Chem")
