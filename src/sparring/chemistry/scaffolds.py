"""Parts of molecules: fragments, scaffolds, and molecules that are asked to hold a given part."""

from collections.abc import Iterator, Sequence

import numpy as np

from sparring.chemistry.standard import UnusableError, selfies_of, standard
from sparring.chemistry.toolkit import Chem, Mol, needed
from sparring.errors import SettingError

LEAST_RINGS = 2
"""Rings of a scaffold that MOSES counts: those of one ring are in everything."""

HYDROGEN_WRITTEN, HYDROGEN_FREE = "[NH1]", "[N]"
"""Nitrogen of pyrrole and the like as SELFIES takes it from SMILES, and the same with a hydrogen that it gives up."""

SPELLINGS = 64
"""Random orders of atoms that are tried, to end a scaffold at every kind of atom."""


def brics(smiles: str) -> list[str]:
    """The fragments of a molecule, cut at BRICS bonds (Degen et al. 2008), as canonical SMILES with their open ends.

    Source: `Frag` of MOSES, Polykovskiy et al. 2020, arXiv 1811.12823, section 3.
    """
    cut = needed("rdkit.Chem.BRICS").BreakBRICSBonds(Chem.MolFromSmiles(smiles))
    found: list[str] = Chem.MolToSmiles(cut).split(".")
    return found


def murcko(smiles: str) -> str:
    """The scaffold of a molecule (Bemis & Murcko 1996): rings and what links them; empty below `LEAST_RINGS` rings.

    Source: `Scaf` of MOSES, as `brics`.
    """
    scaffold = needed("rdkit.Chem.Scaffolds.MurckoScaffold").GetScaffoldForMol(Chem.MolFromSmiles(smiles))
    if scaffold.GetRingInfo().NumRings() < LEAST_RINGS:
        return ""
    found: str = Chem.MolToSmiles(scaffold)
    return found


def fragments_of(smiles: Sequence[str]) -> list[list[str]]:
    """`brics` of each."""
    return [brics(text) for text in smiles]


def scaffolds_of(smiles: Sequence[str]) -> list[list[str]]:
    """`murcko` of each, in a list that is empty if it has none."""
    return [[found] if (found := murcko(text)) else [] for text in smiles]


def prompt_of(scaffold: str) -> list[str]:
    """The first of `prompts_of`. Raises: SettingError as there."""
    return prompts_of(scaffold)[0]


def prompts_of(scaffold: str) -> list[list[str]]:
    """SELFIES symbols for a sequence model to begin with, so that it builds on a scaffold, given as a SMILES.

    A prompt alone is the scaffold. The next atom that a model writes is bound to the atom that the prompt ends with, so
    there is one prompt for each kind of atom that has a hydrogen to give and can be written last: where a molecule
    grows, all other atoms of the scaffold keep their hydrogen unless a ring is closed to them. Only a ring symbol
    between two neighbours can change the scaffold itself (it raises their bond), so what is made has to pass `keeps`.

    Raises: SettingError if it is no molecule, SELFIES cannot write it, or no atom can take another.
    """
    try:
        mol = standard(scaffold).mol
        kinds = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
        written: dict[int, str] = {}
        for text, last in _spellings(mol):
            if mol.GetAtomWithIdx(last).GetTotalNumHs():
                written.setdefault(kinds[last], text)
        split = needed("selfies").split_selfies
        prompts = [
            [HYDROGEN_FREE if symbol == HYDROGEN_WRITTEN else symbol for symbol in split(selfies_of(written[kind]))]
            for kind in sorted(written)
        ]
    except UnusableError as error:
        raise SettingError(f"scaffold {scaffold!r}: {error}") from None
    if not prompts:
        raise SettingError(f"scaffold {scaffold!r}: none of its atoms has a hydrogen that something else could replace")
    return prompts


def keeps(smiles: str, scaffold: str) -> bool:
    """Whether a molecule holds a scaffold as a substructure; False if it is no molecule.

    Atoms match by element, charge and aromaticity, bonds by their order; hydrogen of the scaffold may be replaced.
    Raises: SettingError if the scaffold is neither a SMILES nor a SMARTS.
    """
    mol = Chem.MolFromSmiles(smiles) if smiles else None
    if mol is None or not mol.GetNumAtoms():
        return False
    return contains(mol, pattern(scaffold))


def pattern(scaffold: str) -> Mol:
    """What to look for, of a SMILES, or else of a SMARTS. Raises: SettingError if it is neither."""
    found = Chem.MolFromSmiles(scaffold) or Chem.MolFromSmarts(scaffold)
    if found is None or not found.GetNumAtoms():
        raise SettingError(f"scaffold {scaffold!r}: neither a SMILES nor a SMARTS that RDKit can read")
    Chem.RemoveStereochemistry(found)
    return found


def contains(mol: Mol, scaffold: Mol) -> bool:
    """Whether a molecule of RDKit holds another as a substructure."""
    return bool(mol.HasSubstructMatch(scaffold))


def _spellings(mol: Mol) -> Iterator[tuple[str, int]]:
    """SMILES of a molecule in different orders, each with the number of the atom that it ends with.

    From every atom in turn, then some random ones, always the same: from an atom, only a few can be reached last.
    """
    for root in range(mol.GetNumAtoms()):
        yield Chem.MolToSmiles(mol, rootedAtAtom=root), _written_last(mol)
    rng = np.random.default_rng(0)
    for _ in range(SPELLINGS):
        order = rng.permutation(mol.GetNumAtoms()).tolist()
        shuffled = Chem.RenumberAtoms(mol, order)
        text = Chem.MolToSmiles(shuffled, canonical=False)
        yield text, order[_written_last(shuffled)]


def _written_last(mol: Mol) -> int:
    """The atom that the last SMILES of a molecule ends with: RDKit puts the last branch of an atom into no brackets."""
    return int(mol.GetProp("_smilesAtomOutputOrder").strip("[],").split(",")[-1])
