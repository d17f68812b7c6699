"""What a generator is asked for besides likeness: a property, or a function of the user's, as rewards in [0, 1]."""

import hashlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sparring.chemistry.parallel import in_chunks
from sparring.chemistry.properties import properties, scaled
from sparring.chemistry.toolkit import Chem
from sparring.errors import SettingError

REMEMBERED = 1 << 18
"""Rewards that are remembered by their SMILES: a generator that is trained makes the same molecules again."""


class Reward(Protocol):
    """How much each molecule is worth. name: as the user wrote it."""

    name: str

    def __call__(self, smiles: Sequence[str]) -> NDArray[np.float64]:
        """Rewards (N,) in [0, 1] of canonical SMILES; 0 for empty ones, which are no molecules."""


class PropertyReward:
    """A property of `properties.PROPERTIES`, scaled."""

    def __init__(self, name: str) -> None:
        scaled(name, np.zeros(0))
        self.name = name
        self._known: dict[str, float] = {}

    def __call__(self, smiles: Sequence[str]) -> NDArray[np.float64]:
        """See `Reward`."""
        return _remembering(self._known, smiles, lambda new: scaled(self.name, properties(new, [self.name])[self.name]))


class OwnReward:
    """A function of the user's, in a Python file: of a SMILES, or of RDKit's molecule, to a number from 0 to 1.

    It gets a molecule if its first parameter is called mol or molecule, or annotated as Mol, else a SMILES. It is
    called once for each molecule that was not seen before, in several processes where these are many, so its result
    must depend on the molecule alone. source, digest: what the file held when it was opened, and its SHA-256; `keep`
    puts it into a run.

    The file is a program, which runs with the rights of the person who starts it.

    Raises: SettingError if the file or the function is not there, or the file is no program that runs.
    """

    def __init__(self, path: str | Path, function: str) -> None:
        self.path = Path(path)
        self.function = function
        try:
            self.source = self.path.read_bytes()
        except OSError as error:
            raise SettingError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        self.digest = hashlib.sha256(self.source).hexdigest()
        self.name = f"{self.path.name}:{function}"
        _loaded(str(self.path.absolute()), function, self.digest)
        self._known: dict[str, float] = {}

    def __call__(self, smiles: Sequence[str]) -> NDArray[np.float64]:
        """See `Reward`. Raises: SettingError, naming the molecule, if the function raises or gives no such number."""
        work = partial(_own_values, str(self.path.absolute()), self.function, self.digest)
        return _remembering(self._known, smiles, lambda new: np.concatenate(list(in_chunks(work, new))))

    def keep(self, folder: Path) -> str:
        """Writes the file as it was opened into a folder; gives FILE.py:function of the copy."""
        copy = folder / self.path.name
        copy.write_bytes(self.source)
        return f"{copy}:{self.function}"


def reward_of(what: str) -> Reward:
    """The reward of a setting: a property's name (qed, logp, sa), or FILE.py:function.

    Raises: SettingError if there is none of that name, or the file cannot be used.
    """
    path, colon, function = what.rpartition(":")
    if not colon or not path.endswith(".py"):
        if what.endswith(".py"):
            raise SettingError(f"{what}: say which function of it: {what}:function")
        return PropertyReward(what)
    return OwnReward(path, function)


def _remembering(
    known: dict[str, float], smiles: Sequence[str], values: Callable[[list[str]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    new = [text for text in dict.fromkeys(smiles) if text and text not in known]
    if len(known) + len(new) > REMEMBERED:
        known.clear()
        new = [text for text in dict.fromkeys(smiles) if text]
    if new:
        known.update(zip(new, values(new).tolist(), strict=True))
    return np.array([known[text] if text else 0.0 for text in smiles])


def _own_values(path: str, function: str, digest: str, smiles: Sequence[str]) -> NDArray[np.float64]:
    called, of_mol = _loaded(path, function, digest)
    name = f"{path}:{function}"
    found = np.zeros(len(smiles))
    for place, text in enumerate(smiles):
        try:
            value = called(Chem.MolFromSmiles(text) if of_mol else text)
        except Exception as error:  # whatever a user's function raises is theirs to know
            raise SettingError(f"{name}: raises {type(error).__name__} for the molecule {text}: {error}") from error
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise SettingError(f"{name}: gives {value!r} for the molecule {text}; expected a number") from None
        if math.isnan(number) or not 0 <= number <= 1:
            raise SettingError(f"{name}: gives {number:g} for the molecule {text}; a reward is a number from 0 to 1")
        found[place] = number
    return found


@lru_cache(maxsize=8)
def _loaded(path: str, function: str, digest: str) -> tuple[Callable[[Any], Any], bool]:
    """The function, and whether it takes a molecule; loaded once in each process for each content of the file."""
    name = f"sparring_reward_{digest[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "the name of the file ends in .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a program that is not ours can raise anything
        raise SettingError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
    called = getattr(module, function, None)
    if not callable(called):
        raise SettingError(f"{path}: it has no function {function}")
    try:
        first = next(iter(inspect.signature(called).parameters.values()), None)
    except (TypeError, ValueError):  # some compiled functions do not tell
        first = None
    of_mol = first is not None and (
        first.name.lower() in ("mol", "molecule") or str(first.annotation).rstrip("'>").endswith("Mol")
    )
    return called, of_mol
