"""One way to write a molecule: what is taken of a text, and what is left out.

The largest fragment stays, so that salts lose their counter-ions; charges stay. Stereochemistry, isotopes and numbers
of atom maps go: the sets of the field have none of them (MOSES), and the metrics do not look at them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.chemistry.toolkit import Chem, Mol, needed

VERSION = 1
"""Of what is done here: results that were kept from another version are made again."""

LONGEST_TEXT = 2000
"""Characters of a SMILES; longer ones are no small molecules, and could keep a core busy for hours."""

SALT, STEREO, ISOTOPE, CHARGED = 1, 2, 4, 8
"""Bits that say what a molecule had: several fragments, stereochemistry, isotopes (all of which it loses), a charge."""

ELEMENTS = 119
"""Atomic numbers are smaller than this."""

UNPARSABLE = "not a molecule that RDKit can read"


class UnusableError(Exception):
    """Why a text is no molecule that can be used."""


@dataclass(frozen=True)
class Standard:
    """A molecule in the one way that it is written here. had: bits, see `SALT`."""

    mol: Mol
    smiles: str
    had: int


def parse(text: str) -> Mol:
    """The molecule of a SMILES, or of a block of an SDF file (which has several lines).

    Raises: UnusableError if it is none, or has no atoms.
    """
    if "\n" in text:
        mol = Chem.MolFromMolBlock(text)
    elif len(text) > LONGEST_TEXT:
        raise UnusableError(f"longer than {LONGEST_TEXT:,} characters; these are for small molecules")
    else:
        mol = Chem.MolFromSmiles(text)
    if mol is None:
        raise UnusableError(UNPARSABLE)
    if not mol.GetNumAtoms():
        raise UnusableError("a molecule without atoms")
    return mol


def standard(text: str) -> Standard:
    """The molecule of a text, standardised. Raises: UnusableError."""
    mol = parse(text)
    had = 0
    fragments = Chem.GetMolFrags(mol)
    if len(fragments) > 1:
        had |= SALT
        mol = max(Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False), key=_size)
    for atom in mol.GetAtoms() if "[" in text or "\n" in text else ():
        if atom.GetIsotope():
            had |= ISOTOPE
            atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    if any(mark in text for mark in "@/\\\n"):
        before = Chem.MolToSmiles(mol)
        Chem.RemoveStereochemistry(mol)
        had |= STEREO * (Chem.MolToSmiles(mol) != before)
    if had & ~STEREO:
        # What was deuterium is hydrogen now, and a fragment knows its rings only when it has been looked at again.
        mol = Chem.MolFromSmiles(Chem.MolToSmiles(mol))
        if mol is None or not mol.GetNumAtoms():
            raise UnusableError(UNPARSABLE)
    if not mol.GetNumHeavyAtoms():
        raise UnusableError("no atom but hydrogen")
    if Chem.GetFormalCharge(mol):
        had |= CHARGED
    return Standard(mol, Chem.MolToSmiles(mol), had)


def canonical(smiles: str) -> str:
    """The canonical SMILES of what a user or a generator wrote, as it is: with its stereochemistry; empty if invalid.

    Validity as in MOSES (Polykovskiy 2020): RDKit reads and sanitises it, and it has atoms.
    """
    try:
        written: str = Chem.MolToSmiles(parse(smiles)) if smiles else ""
    except UnusableError:
        return ""
    return written


def standardised(smiles: Sequence[str]) -> list[str]:
    """What `standard` makes of each; empty for what is no molecule."""
    found = list[str]()
    for text in smiles:
        try:
            found.append(standard(text).smiles if text else "")
        except UnusableError:
            found.append("")
    return found


def constrain(constraints: Mapping[str, int] | None = None) -> None:
    """Sets how many bonds atoms have at most, which selfies keeps for the whole process; as it does by itself if None.

    To set them anew throws away what selfies remembers, so nothing happens where they are so already.
    """
    selfies = needed("selfies")
    wanted = dict(selfies.get_preset_constraints("default") if constraints is None else constraints)
    if selfies.get_semantic_constraints() != wanted:
        selfies.set_semantic_constraints(wanted)


def selfies_of(smiles: str) -> str:
    """The SELFIES of a SMILES. Raises: UnusableError if SELFIES has no symbols for it (Krenn et al. 2020)."""
    selfies = needed("selfies")
    try:
        written: str = selfies.encoder(smiles)
    except selfies.EncoderError as error:
        # One line each: what is wrong in general, "SMILES: ...", and perhaps "Errors:" and each one in brackets.
        lines = [line.strip() for line in str(error).splitlines()]
        said = [line for line in lines if line and not line.startswith(("SMILES:", "Errors:"))]
        reason = said[-1] if said else "no reason given"
        if "*" in smiles:
            reason = "* is no atom, but an attachment point or a wildcard"
        elif reason.startswith("[["):
            reason = reason[1:].removesuffix("]")
        raise UnusableError(f"SELFIES cannot write it: {reason}") from None
    return written


@dataclass(frozen=True)
class Chunk:
    """What became of n texts: of the usable ones in order, and the reasons why the others are not.

    smiles: canonical. places: int64, of the usable ones among the texts. symbols: the SELFIES symbols of this chunk,
    which `tokens` (int16, all molecules one after the other) count from 0. lengths: int32, symbols of each molecule.
    heavy: int16 atoms but hydrogen. had: uint8 bits. atoms: uint16 (usable, `ELEMENTS`) by atomic number, without
    hydrogen that is not written out. skipped: reasons by place.
    """

    smiles: list[str]
    places: NDArray[np.int64]
    symbols: list[str]
    tokens: NDArray[np.int16]
    lengths: NDArray[np.int32]
    heavy: NDArray[np.int16]
    had: NDArray[np.uint8]
    atoms: NDArray[np.uint16]
    skipped: dict[int, str]


def prepare(texts: Sequence[str]) -> Chunk:
    """Standardises texts and writes them in SELFIES symbols; what cannot be used is skipped with its reason."""
    constrain()
    split_selfies = needed("selfies").split_selfies
    known: dict[str, int] = {}
    smiles, places, lengths, heavy, had = list[str](), list[int](), list[int](), list[int](), list[int]()
    tokens = list[int]()
    atoms = np.zeros((len(texts), ELEMENTS), np.uint16)
    skipped: dict[int, str] = {}
    for place, text in enumerate(texts):
        try:
            found = standard(text)
            symbols = list(split_selfies(selfies_of(found.smiles)))
        except UnusableError as error:
            skipped[place] = str(error)
            continue
        tokens += [known.setdefault(symbol, len(known)) for symbol in symbols]
        smiles.append(found.smiles)
        places.append(place)
        lengths.append(len(symbols))
        heavy.append(found.mol.GetNumHeavyAtoms())
        had.append(found.had)
        for atom in found.mol.GetAtoms():
            atoms[len(places) - 1, atom.GetAtomicNum()] += 1
    return Chunk(
        smiles=smiles,
        places=np.array(places, np.int64),
        symbols=list(known),
        tokens=np.array(tokens, np.int16),
        lengths=np.array(lengths, np.int32),
        heavy=np.array(heavy, np.int16),
        had=np.array(had, np.uint8),
        atoms=atoms[: len(places)],
        skipped=skipped,
    )


def _size(fragment: Mol) -> tuple[int, float, str]:
    """By which the largest fragment is found: atoms but hydrogen, weight, and then what is always the same."""
    weight = sum(atom.GetMass() for atom in fragment.GetAtoms())
    return fragment.GetNumHeavyAtoms(), weight, Chem.MolToSmiles(fragment)
