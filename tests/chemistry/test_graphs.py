from pathlib import Path

import numpy as np
import pytest

from sparring.errors import DataError

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from sparring.chemistry import graphs
from sparring.chemistry.graphs import graphs_of, to_graph, to_smiles
from sparring.data.molecule_graphs import load_graphs

SMALL = ["C" * n + "O" for n in range(1, 9)] + ["C" * n + "N" for n in range(1, 9)]
RINGS = ["c1ccccc1", "Cc1ccncc1", "c1cc[nH]c1", "N#CC1CC1", "C[NH2+]CC(=O)[O-]", "C1=CC=CC=CC=C1"]


def test_ethyne_and_acetate_by_hand() -> None:
    graph = to_graph("C#C", ["C"], 3)
    assert graph is not None
    assert graph[0].tolist() == [[0, 3, 0], [3, 0, 0], [0, 0, 0]]
    assert graph[1].tolist() == [1, 1, 0]
    graph = to_graph("CC(=O)[O-]", ["C", "O", "O-"], 4)
    assert graph is not None
    assert graph[1].tolist() == [1, 1, 2, 3]
    assert graph[0][1].tolist() == [1, 0, 2, 1]


def test_kekulised_molecules_come_back_and_aromatic_ones_but_for_pyrroles() -> None:
    found = graphs_of(SMALL + RINGS)
    assert found.smiles == tuple(SMALL + RINGS)
    assert found.left_out == 0
    assert found.adjacency.max() == 3
    assert [to_smiles(a, n, found.atoms) for a, n in zip(found.adjacency, found.nodes, strict=True)] == SMALL + RINGS
    aromatic = graphs_of(SMALL + RINGS, kekulised=False)
    assert aromatic.adjacency.max() == 4
    assert set(found.smiles) - set(aromatic.smiles) == {"c1cc[nH]c1"}
    assert aromatic.left_out == 1


def test_kinds_are_those_of_the_molecules_that_come_back() -> None:
    found = graphs_of([*SMALL, "C[Si](C)C", "C[B]C"])  # radicals
    assert found.smiles == tuple(SMALL)
    assert found.atoms == ("C", "N", "O")
    assert found.nodes.max() == 3
    assert [to_smiles(a, n, found.atoms) for a, n in zip(found.adjacency, found.nodes, strict=True)] == SMALL


def test_a_graph_that_is_no_molecule_gives_none() -> None:
    atoms = ["C", "O", "F"]
    ethane, nodes = np.array([[0, 1], [1, 0]]), np.array([1, 1])
    assert to_smiles(ethane, nodes, atoms) == "CC"
    assert to_smiles(ethane, np.array([1, 0]), atoms) is None  # a bond to no atom
    assert to_smiles(ethane * 0, nodes, atoms) is None  # two parts
    assert to_smiles(ethane * 0, nodes * 0, atoms) is None  # nothing
    assert to_smiles(ethane * 2, np.array([1, 3]), atoms) is None  # C=F
    assert to_smiles(ethane * 4, nodes, atoms) is None  # an aromatic bond outside of rings
    assert to_smiles(ethane * 3, np.array([1, 2]), atoms) is None  # C#O without charges
    assert to_graph("CCC", atoms, 2) is None
    assert to_graph("CN", atoms, 9) is None


def test_the_order_of_nodes_does_not_matter_on_the_way_back() -> None:
    graph = to_graph("N#CC1CC1", ["C", "N"], 7)
    assert graph is not None
    order = np.random.default_rng(0).permutation(7)
    assert to_smiles(graph[0][order][:, order], graph[1][order], ["C", "N"]) == "N#CC1CC1"


def test_sets_are_left_to_what_fits_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.smi"
    file.write_text("\n".join([*SMALL, *RINGS, "C" * 30]))
    found = load_graphs(file, most_atoms=9)
    assert len(found.graphs.smiles) == len(SMALL + RINGS)
    assert found.graphs.nodes.shape == (22, 9)
    assert any("1 molecules left out" in notice for notice in found.notices)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("made a second time")

    monkeypatch.setattr(graphs, "graphs_of", refused)
    again = load_graphs(file, most_atoms=9)
    assert again.fingerprint == found.fingerprint
    assert np.array_equal(again.graphs.adjacency, found.graphs.adjacency)
    assert again.graphs.atoms == found.graphs.atoms
    monkeypatch.setattr(graphs, "VERSION", graphs.VERSION + 1)
    with pytest.raises(AssertionError, match="made a second time"):
        load_graphs(file, most_atoms=9)
    monkeypatch.undo()
    with pytest.raises(DataError, match="graphs of at most 3 atoms; at least 16 are needed"):
        graphs_of(SMALL, 3)
