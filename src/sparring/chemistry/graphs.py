"""Small molecules as graphs, a kind of bond for each pair of atoms, and back (De Cao & Kipf 2018, MolGAN).

A kind of atom is an element with its charge, such as N or N+. Hydrogen is not written: what an atom's bonds leave open
is hydrogen. Bonds may be written in two ways. With aromatic bonds as a kind of their own (MolGAN's way) which nitrogen
of a ring holds a hydrogen is lost: pyrroles do not come back, 7 % of QM9 and 12 % of MOSES. Kekulised, with single and
double bonds in turn, all come back, a kind of bond fewer is to be learnt, and a graph is a molecule wherever no atom
has too many bonds. Kekulised is therefore the usual way here; that a graph with one bond changed at random is a
molecule is about as likely in both (32 % and 36 % on QM9).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sparring.chemistry.parallel import Progress, in_chunks
from sparring.chemistry.toolkit import Chem, Mol
from sparring.errors import DataError

NONE, SINGLE, DOUBLE, TRIPLE, AROMATIC = range(5)
"""Kinds of bond: none; the number of electron pairs; aromatic."""

NO_ATOM = 0
"""The kind of a node that is no atom; kinds of atoms count from 1 in the order of `atoms`."""

LEAST = 16
"""Molecules that a set has at least."""

VERSION = 2
"""Of what `graphs_of` does: graphs that were kept from another version are made again."""


@dataclass(frozen=True)
class Graphs:
    """Molecules as graphs of M nodes. atoms: the kinds that occur, such as C, N, O- (`NO_ATOM` is none of them).

    adjacency: uint8 (N, M, M), symmetric, kinds of bonds. nodes: uint8 (N, M), kinds of atoms, those without one last.
    smiles: the same molecules. left_out: how many had too many atoms, or did not come back as they were.
    """

    atoms: tuple[str, ...]
    adjacency: NDArray[np.uint8]
    nodes: NDArray[np.uint8]
    smiles: tuple[str, ...]
    left_out: int


def to_graph(
    smiles: str, atoms: Sequence[str], most_atoms: int, *, kekulised: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """adjacency uint8 (M, M) and nodes uint8 (M,) of a molecule, M = most_atoms, in the order of its canonical SMILES.

    None if it has more atoms, or one of a kind that `atoms` has not, or it is no molecule.
    """
    mol = Chem.MolFromSmiles(smiles)
    if mol is None or not 0 < mol.GetNumAtoms() <= most_atoms:
        return None
    numbers = {kind: number for number, kind in enumerate(atoms, 1)}
    nodes = np.zeros(most_atoms, np.uint8)
    for atom in mol.GetAtoms():
        number = numbers.get(kind_of(atom))
        if number is None:
            return None
        nodes[atom.GetIdx()] = number
    if kekulised:
        Chem.Kekulize(mol, clearAromaticFlags=True)
    adjacency = np.zeros((most_atoms, most_atoms), np.uint8)
    for bond in mol.GetBonds():
        kind = AROMATIC if bond.GetIsAromatic() else int(bond.GetBondTypeAsDouble())
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        adjacency[ends] = adjacency[ends[::-1]] = kind
    return adjacency, nodes


def to_smiles(adjacency: NDArray[np.integer], nodes: NDArray[np.integer], atoms: Sequence[str]) -> str | None:
    """The canonical SMILES of a graph as `to_graph` gives it; None if it is no molecule.

    It is none without atoms, with a bond to a node that is no atom, in several parts, or where RDKit finds an atom with
    too many bonds or an aromatic bond that cannot be. Nothing is mended, so that the share of valid graphs is a
    generator's own.
    """
    mol = Chem.RWMol()
    places: dict[int, int] = {}
    for node, number in enumerate(nodes.tolist()):
        if number != NO_ATOM:
            places[node] = mol.AddAtom(_atom(atoms[number - 1]))
    rows, columns = np.nonzero(np.triu(adjacency, 1))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if row not in places or column not in places:
            return None
        mol.AddBond(places[row], places[column], BONDS[int(adjacency[row, column])])
        if adjacency[row, column] == AROMATIC:
            mol.GetAtomWithIdx(places[row]).SetIsAromatic(True)
            mol.GetAtomWithIdx(places[column]).SetIsAromatic(True)
    if not places or len(Chem.GetMolFrags(mol)) > 1:
        return None
    if Chem.SanitizeMol(mol, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    # Once more through a text, as aromaticity may be seen otherwise in it.
    again = Chem.MolFromSmiles(Chem.MolToSmiles(mol))
    return None if again is None else str(Chem.MolToSmiles(again))


def graphs_of(
    smiles: Sequence[str],
    most_atoms: int | None = None,
    *,
    kekulised: bool = True,
    progress: Progress | None = None,
) -> Graphs:
    """A set of molecules as graphs, on all cores; those that do not come back as the same molecule are left out.

    smiles: canonical. most_atoms: M, above which a molecule is left out; None takes the largest molecule's.
    These are radicals and atoms with written hydrogen, which a graph without hydrogen cannot say.

    Raises: DataError if fewer than `LEAST` are left.
    """
    counted = [part for chunk in in_chunks(_kinds, smiles, "kinds of atoms", progress) for part in chunk]
    most = max((sum(kinds.values()) for kinds in counted), default=0) if most_atoms is None else most_atoms
    used = Counter[str]()
    for kinds in counted:
        if sum(kinds.values()) <= most:
            used.update(kinds)
    atoms = tuple(sorted(used, key=lambda kind: (-used[kind], kind)))
    if len(atoms) > np.iinfo(np.uint8).max:
        raise DataError(f"{len(atoms)} kinds of atoms; graphs are for sets with few")
    work = partial(_graphs, atoms, most, kekulised)
    parts = list(in_chunks(work, smiles, "graphs", progress))
    kept = [text for _, _, texts in parts for text in texts]
    if len(kept) < LEAST:
        raise DataError(
            f"{len(kept):,} of {len(smiles):,} molecules are graphs of at most {most} atoms; at least {LEAST} "
            "are needed"
        )
    atoms, nodes = _of_those_kept(atoms, np.concatenate([nodes for _, nodes, _ in parts]))
    return Graphs(
        atoms=atoms,
        adjacency=np.concatenate([adjacency for adjacency, _, _ in parts]),
        nodes=nodes,
        smiles=tuple(kept),
        left_out=len(smiles) - len(kept),
    )


def _of_those_kept(atoms: Sequence[str], nodes: NDArray[np.uint8]) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """The kinds that nodes (N, M) have, the most common first, and the nodes numbered by these.

    A kind may have occurred only in molecules that did not come back.
    """
    counts = np.bincount(nodes.ravel(), minlength=len(atoms) + 1).tolist()
    order = sorted(
        (number for number in range(1, len(counts)) if counts[number]),
        key=lambda number: (-counts[number], atoms[number - 1]),
    )
    numbers = np.full(len(counts), NO_ATOM, np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    return tuple(atoms[number - 1] for number in order), numbers[nodes]


def kind_of(atom: Mol) -> str:
    """An element and its charge: C, O-, Fe+2."""
    charge = atom.GetFormalCharge()
    size = "" if abs(charge) < 2 else str(abs(charge))
    return f"{atom.GetSymbol()}{'+' if charge > 0 else '-' if charge < 0 else ''}{size}"


BONDS = {
    SINGLE: Chem.BondType.SINGLE,
    DOUBLE: Chem.BondType.DOUBLE,
    TRIPLE: Chem.BondType.TRIPLE,
    AROMATIC: Chem.BondType.AROMATIC,
}


def _atom(kind: str) -> Mol:
    """The atom of a `kind_of`."""
    symbol = kind.rstrip("+-0123456789")
    atom = Chem.Atom(symbol)
    if sign := kind[len(symbol) :]:
        atom.SetFormalCharge(int(sign[0] + (sign[1:] or "1")))
    return atom


def _kinds(smiles: Sequence[str]) -> list[Counter[str]]:
    return [Counter(kind_of(atom) for atom in Chem.MolFromSmiles(text).GetAtoms()) for text in smiles]


def _graphs(
    atoms: Sequence[str], most_atoms: int, kekulised: bool, smiles: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[str]]:
    adjacencies, nodes, kept = [], [], list[str]()
    for text in smiles:
        graph = to_graph(text, atoms, most_atoms, kekulised=kekulised)
        if graph is not None and to_smiles(*graph, atoms) == text:
            adjacencies.append(graph[0])
            nodes.append(graph[1])
            kept.append(text)
    shape = (len(kept), most_atoms)
    return np.array(adjacencies, np.uint8).reshape(*shape, most_atoms), np.array(nodes, np.uint8).reshape(shape), kept
