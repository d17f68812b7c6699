"""Molecules as bits: which circular surroundings of atoms occur in them."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.chemistry.parallel import Progress, in_chunks
from sparring.chemistry.toolkit import Chem, needed

RADIUS, BITS = 2, 1024
"""Of Morgan fingerprints, as MOSES takes them (Polykovskiy et al. 2020, section 3)."""


def fingerprints(smiles: Sequence[str], progress: Progress | None = None) -> NDArray[np.uint8]:
    """Morgan fingerprints uint8 (N, `BITS`), 0 or 1, of valid SMILES (Rogers & Hahn 2010)."""
    parts = list(in_chunks(_fingerprints, smiles, "fingerprints", progress))
    return np.concatenate(parts) if parts else np.zeros((0, BITS), np.uint8)


def _fingerprints(smiles: Sequence[str]) -> NDArray[np.uint8]:
    generator = _generator()
    rows = [generator.GetFingerprintAsNumPy(Chem.MolFromSmiles(text)) for text in smiles]
    return np.stack(rows).astype(np.uint8)


@cache
def _generator() -> Any:
    return needed("rdkit.Chem.rdFingerprintGenerator").GetMorganGenerator(radius=RADIUS, fpSize=BITS)
