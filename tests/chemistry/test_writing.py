import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring.errors import RunError

pytest.importorskip("rdkit")

from rdkit import Chem

from sparring.chemistry.conformers import shapes
from sparring.chemistry.drawing import pictures, svg
from sparring.chemistry.neighbours import nearest_training
from sparring.chemistry.writing import write_molecules

MADE = ["OCC", "", "c1ccccc1", "C(", "CC(=O)Oc1ccccc1C(=O)O"]
TRAINING = ["CCO", "CCCCCC", "O=C(O)c1ccccc1O"]


def test_a_list_has_as_many_lines_as_samples(tmp_path: Path) -> None:
    assert write_molecules(MADE, tmp_path / "a.smi") == []
    assert (tmp_path / "a.smi").read_text() == "CCO\n\nc1ccccc1\n\nCC(=O)Oc1ccccc1C(=O)O\n"


def test_a_table_has_properties_and_the_nearest_training_molecule(tmp_path: Path) -> None:
    write_molecules(MADE, tmp_path / "a.csv", TRAINING)
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 5
    assert rows[0]["nearest_training"] == "CCO"
    assert float(rows[0]["similarity"]) == 1
    assert rows[4]["nearest_training"] == "O=C(O)c1ccccc1O"
    assert rows[4]["weight"] == "180.2"
    assert set(rows[1].values()) == {""}


def test_shapes_have_bonds_of_the_right_length_and_are_the_same_every_time(tmp_path: Path) -> None:
    (notice,) = write_molecules(MADE, tmp_path / "a.sdf")
    assert "2 of 5 samples are not in the file: 2 (empty): no molecule" in notice
    molecules = list(Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False))
    assert [Chem.MolToSmiles(Chem.RemoveHs(mol)) for mol in molecules] == ["CCO", "c1ccccc1", MADE[4]]
    ethanol = molecules[0]
    assert ethanol.GetNumAtoms() == 9
    assert ethanol.GetProp("_Name") == "sample 1"
    assert float(ethanol.GetProp("weight")) == pytest.approx(46.1, abs=0.05)
    places = ethanol.GetConformer().GetPositions()
    assert places[:, 2].std() > 0.1
    assert ((places[0] - places[1]) ** 2).sum() ** 0.5 == pytest.approx(1.52, abs=0.03)
    assert shapes(["CCO"]) == shapes(["CCO"])


def test_drawings_differ_and_what_is_none_is_grey(tmp_path: Path) -> None:
    drawn = pictures(MADE, 4)
    assert drawn.shape == (5, 3, 250, 250)
    assert drawn.dtype == torch.uint8
    assert drawn[0, :, 0, 0].tolist() == [255, 255, 255]
    assert drawn[0].float().std() > 5
    assert (drawn[1] == drawn[1, 0, 0, 0]).all()
    assert not torch.equal(drawn[0], drawn[2])
    assert pictures([]).shape[0] == 0
    write_molecules(MADE, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.width > 600


class Page(HTMLParser):
    """Counts elements, and keeps what could run or reach outside."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = list[str]()
        self.outside = list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        named = dict(attrs)
        if tag in ("script", "link", "iframe") or "src" in named or any(name.startswith("on") for name in named):
            self.outside.append(tag)


def test_a_page_holds_everything_and_runs_nothing(tmp_path: Path) -> None:
    write_molecules([*MADE, "<script>alert(1)</script>"], tmp_path / "a.html", TRAINING)
    text = (tmp_path / "a.html").read_text()
    page = Page()
    page.feed(text)
    assert page.outside == []
    assert page.seen.count("article") == 6
    assert page.seen.count("svg") == 3
    assert "alert(1)" not in text
    assert "3 of them are valid molecules, 3 different, of which 2 are not in the training set" in " ".join(
        text.split()
    )
    assert svg("") == ""


def test_other_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"written as \.smi, \.csv, \.sdf, \.png, \.html, not as \.pdf"):
        write_molecules(MADE, tmp_path / "a.pdf")
    with pytest.raises(RunError, match="no molecules to write"):
        write_molecules([], tmp_path / "a.smi")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_molecules(MADE, tmp_path / "file" / "a.smi")


def test_nearest_are_found_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparring.chemistry import neighbours

    monkeypatch.setattr(neighbours, "CHUNK", 2)
    found = nearest_training(["c1ccccc1", "", "CCO"], ["CCO", "CCN", "CC", "Cc1ccccc1", "CCO"])
    assert found[0][0] == "Cc1ccccc1"
    assert found[1] == ("", 0.0)
    assert found[2] == ("CCO", 1.0)
