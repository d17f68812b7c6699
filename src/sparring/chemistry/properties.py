"""What a molecule is like, in numbers: drug-likeness, solubility, how hard it is to make, and simple counts."""

import contextlib
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.chemistry.parallel import Progress, in_chunks
from sparring.chemistry.toolkit import Chem, Mol, contributed, needed
from sparring.errors import SettingError


@dataclass(frozen=True)
class Property:
    """One number of a molecule. title: with its unit and range. decimals: that people read.

    scaled: (worst, best), the values that count as 0 and 1 where it is a reward; None where it is none.
    """

    title: str
    of: Callable[[Mol], float]
    decimals: int = 2
    scaled: tuple[float, float] | None = None


def qed(mol: Mol) -> float:
    """Quantitative estimate of drug-likeness, 0 to 1 (Bickerton et al. 2012)."""
    return float(needed("rdkit.Chem.QED").qed(mol))


def logp(mol: Mol) -> float:
    """Logarithm of the partition between octanol and water, by atoms (Wildman & Crippen 1999)."""
    return float(needed("rdkit.Chem.Crippen").MolLogP(mol))


def sa(mol: Mol) -> float:
    """Synthetic accessibility, 1 (easy) to 10 (hard) (Ertl & Schuffenhauer 2009), by RDKit's Contrib/SA_Score."""
    return float(contributed("SA_Score", "sascorer").calculateScore(mol))


def np_score(mol: Mol) -> float:
    """Likeness to natural products, about -5 to 5 (Ertl, Roggo & Schuffenhauer 2008), by RDKit's Contrib/NP_Score."""
    return float(contributed("NP_Score", "npscorer").scoreMol(mol, _natural_products()))


@cache
def _natural_products() -> Any:
    scorer = contributed("NP_Score", "npscorer")
    with contextlib.redirect_stderr(io.StringIO()):  # it tells the terminal that it reads its table
        return scorer.readNPModel()


def _descriptor(name: str) -> Callable[[Mol], float]:
    return lambda mol: float(getattr(needed("rdkit.Chem.rdMolDescriptors"), name)(mol))


PROPERTIES: dict[str, Property] = {
    "qed": Property("drug-likeness QED, 0 to 1", qed, 3, (0.0, 1.0)),
    "logp": Property("logP by Crippen", logp, 2, (-2.12178879609, 6.0429063424)),
    "sa": Property("synthetic accessibility, 1 (easy) to 10", sa, 2, (5.0, 1.5)),
    "weight": Property("molecular weight, g/mol", lambda mol: float(needed("rdkit.Chem.Descriptors").MolWt(mol)), 1),
    "tpsa": Property("polar surface area, Å²", _descriptor("CalcTPSA"), 1),
    "rings": Property("rings", _descriptor("CalcNumRings"), 0),
    "hba": Property("hydrogen bond acceptors", _descriptor("CalcNumHBA"), 0),
    "hbd": Property("hydrogen bond donors", _descriptor("CalcNumHBD"), 0),
    "np": Property("likeness to natural products, -5 to 5", np_score, 2),
}
"""Every property by its name.

The ranges of rewards are those of MolGAN (De Cao & Kipf 2018, arXiv 1805.11973, its code's molecular_metrics.py): QED
as it is, logP between the least and the largest that it knew, accessibility from 5 (worth nothing) to 1.5 (easy).
"""

USUAL = ("qed", "logp", "sa", "weight", "tpsa", "rings", "hba", "hbd")
"""Those that tables show: all but `np`, whose table takes seconds to read in every process."""


def properties(
    smiles: Sequence[str], names: Iterable[str] = USUAL, progress: Progress | None = None
) -> dict[str, NDArray[np.float64]]:
    """The properties float64 (N,) of molecules by name, on all cores where they are many; NaN for invalid SMILES.

    Raises: SettingError for a property that is not there.
    """
    wanted = tuple(names)
    for name in wanted:
        if name not in PROPERTIES:
            raise SettingError(f"there is no property {name!r}; there are {', '.join(PROPERTIES)}")
    parts = list(in_chunks(partial(_values, wanted), smiles, "properties", progress))
    table = np.concatenate(parts) if parts else np.zeros((0, len(wanted)))
    return {name: table[:, column].copy() for column, name in enumerate(wanted)}


def scaled(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a property as rewards in [0, 1]; 0 for NaN, that is, for what is no molecule.

    Raises: SettingError for a property that is no reward.
    """
    found = PROPERTIES.get(name)
    if found is None or found.scaled is None:
        rewards = ", ".join(name for name, each in PROPERTIES.items() if each.scaled)
        raise SettingError(f"{name!r} is no reward; there are {rewards}, and your own function: FILE.py:function")
    worst, best = found.scaled
    return np.nan_to_num(np.clip((values - worst) / (best - worst), 0.0, 1.0), nan=0.0)


def as_read(name: str, value: float) -> str:
    """A value as people read it; a dash for what is no number."""
    return "-" if math.isnan(value) else f"{value:.{PROPERTIES[name].decimals}f}"


def _values(names: Sequence[str], smiles: Sequence[str]) -> NDArray[np.float64]:
    """(molecules, properties)."""
    table = np.full((len(smiles), len(names)), math.nan)
    for row, text in enumerate(smiles):
        mol = Chem.MolFromSmiles(text) if text else None
        if mol is not None and mol.GetNumAtoms():
            table[row] = [PROPERTIES[name].of(mol) for name in names]
    return table


def titles(names: Iterable[str] = USUAL) -> Mapping[str, str]:
    """What each property is, for people."""
    return {name: PROPERTIES[name].title for name in names}
