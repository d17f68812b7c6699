"""From a file of molecules to graphs, for generators of small ones; kept for the next time."""

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparring.data import cache
from sparring.data.molecule_files import Place
from sparring.data.molecules import read_molecules, versions
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


def load_graphs(
    place: Place, *, most_atoms: int | None = None, kekulised: bool = True, progress: Progress | None = None
) -> MoleculeGraphs:
    """The usable molecules of a file as graphs of `most_atoms` nodes; larger ones are left out.

    most_atoms: None takes the largest molecule's. kekulised: see `sparring.chemistry.graphs`.
    Raises: DataError as `read_molecules`, or if fewer than 16 are graphs.
    """
    from sparring.chemistry.graphs import graphs_of

    found = read_molecules(place, progress)
    about = json.dumps(["graphs", found.digest, versions(), most_atoms, kekulised])
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
