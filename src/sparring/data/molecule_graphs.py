"""From a file of molecules to graphs and batches of them, for generators of small ones; kept for the next time."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sparring.data import cache
from sparring.data.molecule_files import Place
from sparring.data.molecules import read_molecules, versions
from sparring.data.order import drawn_at
from sparring.data.pictures import CPU, sent, settled, split
from sparring.data.sources import Progress, Skipped

if TYPE_CHECKING:
    from sparring.chemistry.graphs import Graphs


@dataclass(frozen=True)
class MoleculeGraphs:
    """Molecules as `chemistry.graphs.Graphs`, and where they come from."""

    graphs: "Graphs"
    name: str
    fingerprint: str
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class GraphBatch:
    """Some molecules on the training device, in numbers of kinds: `nodes` int64 (N, M), `bonds` int64 (N, M, M).

    numbers: int64 (N,), which of the set they are.
    """

    nodes: Tensor
    bonds: Tensor
    numbers: Tensor

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, samples: slice) -> "GraphBatch":
        return GraphBatch(self.nodes[samples], self.bonds[samples], self.numbers[samples])


@dataclass(frozen=True)
class GraphSet:
    """Molecules of at most M atoms to train on, all at hand."""

    nodes: Tensor
    """uint8 (N, M), kinds of atoms; 0 is none."""
    bonds: Tensor
    """uint8 (N, M, M), symmetric, electron pairs that two atoms share; 0 is no bond."""
    atoms: tuple[str, ...]
    """The kinds from 1 on, as in C, N+."""
    texts: Sequence[str]
    """The same molecules as canonical SMILES."""
    name: str
    fingerprint: str
    """Hexadecimal, of the content of the data and of the way it was put into numbers; the path plays no part."""
    skipped: Sequence[Skipped] = ()
    notices: Sequence[str] = ()
    device: torch.device = CPU
    """Where batches go."""
    drawn: Tensor | None = None
    """int64, the numbers of the molecules that `draw` takes; None: all."""

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def shape(self) -> tuple[int]:
        """(M,): the most atoms."""
        return (self.nodes.shape[1],)

    @property
    def classes(self) -> tuple[str, ...]:
        """Molecules have none."""
        return ()

    @property
    def class_shares(self) -> tuple[float, ...]:
        """Molecules have no classes."""
        return ()

    def to(self, device: torch.device | str) -> "GraphSet":
        """The same set with batches on `device`; the graphs move there too when they fit into a third of its memory."""
        device, (nodes, bonds) = settled(device, self.device, self.nodes, self.bonds)
        return replace(self, nodes=nodes, bonds=bonds, device=device)

    def batch(self, numbers: Tensor) -> GraphBatch:
        """The molecules `numbers`, int64 (n,) with values in [0, len(self)), on the device."""
        chosen = numbers.to(self.nodes.device)
        nodes, bonds = (sent(part.index_select(0, chosen), self.device).long() for part in (self.nodes, self.bonds))
        return GraphBatch(nodes, bonds, numbers)

    def draw(self, seed: int, position: int, batch: int, rank: int = 0, ranks: int = 1) -> GraphBatch:
        """Part `rank` of `ranks` of the batch that begins at sample `position` of the stream of `order.indices`."""
        part = batch // ranks
        return self.batch(drawn_at(self.drawn, len(self), seed, position + rank * part, part))

    def shown_texts(self) -> list[str]:
        """The SMILES that `draw` takes."""
        if self.drawn is None:
            return list(self.texts)
        return [self.texts[number] for number in self.drawn.tolist()]

    def sample(self) -> "GraphSet":
        """All of it."""
        return self

    def hold_out(self, count: int) -> "tuple[GraphSet, GraphSet | None]":
        """The same molecules twice, of which each draws a part; at most half of them are held out."""
        shown, held_out = split(len(self), None, count, self.fingerprint)
        return replace(self, drawn=shown), None if held_out is None else replace(self, drawn=held_out)

    def close(self) -> None:
        """Nothing reads ahead."""


def load_graph_set(place: Place, *, most_atoms: int, progress: Progress | None = None) -> GraphSet:
    """The molecules of a file with at most so many atoms, as a set to train on. Raises: DataError as `load_graphs`."""
    found = load_graphs(place, most_atoms=most_atoms, progress=progress)
    return GraphSet(
        nodes=torch.from_numpy(found.graphs.nodes),
        bonds=torch.from_numpy(found.graphs.adjacency),
        atoms=found.graphs.atoms,
        texts=found.graphs.smiles,
        name=found.name,
        fingerprint=found.fingerprint,
        skipped=found.skipped,
        notices=found.notices,
    )


def load_graphs(
    place: Place, *, most_atoms: int | None = None, kekulised: bool = True, progress: Progress | None = None
) -> MoleculeGraphs:
    """The usable molecules of a file as graphs of `most_atoms` nodes; larger ones are left out.

    most_atoms: None takes the largest molecule's. kekulised: see `sparring.chemistry.graphs`.
    Raises: DataError as `read_molecules`, or if fewer than 16 are graphs.
    """
    from sparring.chemistry.graphs import VERSION, graphs_of

    found = read_molecules(place, progress)
    about = json.dumps(["graphs", VERSION, found.digest, versions(), most_atoms, kekulised])
    fingerprint = hashlib.blake2b(about.encode(), digest_size=16).hexdigest()
    notices = list(found.notices)
    graphs = _find(fingerprint)
    if graphs is None:
        graphs = graphs_of(found.smiles, most_atoms, kekulised=kekulised, progress=progress)
        try:
            _keep(fingerprint, graphs)
        except OSError as error:
            notices.append(f"the graphs cannot be kept in {cache.folder()}: {error.strerror or error}")
    if graphs.left_out:
        size = graphs.nodes.shape[1]
        notices.append(
            f"{graphs.left_out:,} molecules left out: no graphs of at most {size} atoms that come back the same"
        )
    skipped = tuple(Skipped(f"line {each.line}: {each.text}", each.reason) for each in found.skipped)
    return MoleculeGraphs(graphs, found.name, fingerprint, skipped, tuple(notices))


def _keep(key: str, graphs: "Graphs") -> None:
    about = {"atoms": graphs.atoms, "smiles": graphs.smiles, "left_out": graphs.left_out}
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    cache.folder().mkdir(parents=True, exist_ok=True)
    with cache.aside(cache.folder() / f"{key}.graphs.npz") as stream:
        np.savez_compressed(stream, allow_pickle=False, about=text, adjacency=graphs.adjacency, nodes=graphs.nodes)


def _find(key: str) -> "Graphs | None":
    """What `_keep` wrote; None if it is absent or damaged."""
    from sparring.chemistry.graphs import Graphs

    try:
        with np.load(cache.folder() / f"{key}.graphs.npz", allow_pickle=False) as kept:
            about = json.loads(kept["about"].tobytes())
            found = Graphs(
                tuple(about["atoms"]), kept["adjacency"], kept["nodes"], tuple(about["smiles"]), int(about["left_out"])
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return found if len(found.smiles) == len(found.nodes) == len(found.adjacency) else None
