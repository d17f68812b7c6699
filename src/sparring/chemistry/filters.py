"""Molecules that medicinal chemists would not go on with: reactive groups, and what disturbs assays."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.chemistry.parallel import Progress, in_chunks
from sparring.chemistry.toolkit import Chem, needed

CATALOGUES = ("BRENK", "PAINS")
"""RDKit's: unwanted groups (Brenk et al. 2008) and pan-assay interference (Baell & Holloway 2010).

PAINS is half of what MOSES filters by. Its other half, MCF, is a table of its own that RDKit has not got; BRENK stands
where it stood, so that the shares do not compare with those of MOSES' tables.
"""

ATOMS = frozenset(["C", "N", "S", "O", "F", "Cl", "Br", "H"])
LARGEST_RING = 7
"""Atoms, and atoms of a ring, that MOSES lets pass; it lets no charged atom pass either."""


def passes(smiles: Sequence[str], progress: Progress | None = None) -> NDArray[np.bool_]:
    """Whether each valid SMILES passes: no match in the catalogues, no charged atom, no ring of 8, no other atoms.

    Source: `Filters` of MOSES, Polykovskiy et al. 2020, arXiv 1811.12823, section 3; but see `CATALOGUES`.
    """
    parts = list(in_chunks(_passes, smiles, "filters", progress))
    return np.concatenate(parts) if parts else np.zeros(0, np.bool_)


def _passes(smiles: Sequence[str]) -> NDArray[np.bool_]:
    catalogue = _catalogue()
    kept = np.zeros(len(smiles), np.bool_)
    for place, text in enumerate(smiles):
        mol = Chem.MolFromSmiles(text)
        plain = all(atom.GetSymbol() in ATOMS and not atom.GetFormalCharge() for atom in mol.GetAtoms())
        rings = all(len(ring) <= LARGEST_RING for ring in mol.GetRingInfo().AtomRings())
        kept[place] = plain and rings and not catalogue.HasMatch(mol)
    return kept


@cache
def _catalogue() -> Any:
    module = needed("rdkit.Chem.FilterCatalog")
    parameters = module.FilterCatalogParams()
    for name in CATALOGUES:
        parameters.AddCatalog(getattr(module.FilterCatalogParams.FilterCatalogs, name))
    return module.FilterCatalog(parameters)
