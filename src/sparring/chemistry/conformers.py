"""Molecules in space: one plausible shape for each, for programs that dock or look at them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparring.chemistry.toolkit import Chem, Mol, needed

SEED = 61453
"""Of the embedding, which makes coordinates the same every time."""

SECONDS = 20
"""That an embedding of one molecule may take."""


@dataclass(frozen=True)
class Shape:
    """A block of an SDF file with 3-D coordinates and hydrogen, in angstrom; empty, with a reason, if there is none."""

    block: str
    reason: str = ""


def shapes(smiles: Sequence[str]) -> list[Shape]:
    """3-D coordinates by ETKDG version 3 (Wang et al. 2020), relaxed by MMFF94 where it knows all atoms."""
    return [_shape(text) for text in smiles]


def _shape(smiles: str) -> Shape:
    mol = Chem.MolFromSmiles(smiles) if smiles else None
    if mol is None or not mol.GetNumAtoms():
        return Shape("", "no molecule")
    whole = Chem.AddHs(mol)
    if not _embedded(whole, random=False) and not _embedded(whole, random=True):
        return Shape("", "no coordinates were found")
    fields = needed("rdkit.Chem.rdForceFieldHelpers")
    if fields.MMFFHasAllMoleculeParams(whole):
        fields.MMFFOptimizeMolecule(whole, maxIters=500)
    return Shape(Chem.MolToMolBlock(whole))


def _embedded(mol: Mol, *, random: bool) -> bool:
    geometry = needed("rdkit.Chem.rdDistGeom")
    parameters = geometry.ETKDGv3()
    parameters.randomSeed = SEED
    parameters.useRandomCoords = random  # slower, and finds a way where the usual start has none
    parameters.timeout = SECONDS
    return bool(geometry.EmbedMolecule(mol, parameters) == 0)
