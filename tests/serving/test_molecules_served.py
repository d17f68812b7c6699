"""Molecules as SMILES and as drawings."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from starlette.testclient import TestClient
from tests.serving.conftest import client_of

from sparring.model import Model
from sparring.tasks import sequences

selfies = pytest.importorskip("selfies")
pytest.importorskip("rdkit")

SVG = "{http://www.w3.org/2000/svg}svg"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sparring.data.selfies_symbols import SelfiesSymbols

    torch.manual_seed(0)
    described = SelfiesSymbols(sorted(selfies.get_semantic_robust_alphabet())[:20]).describe()
    blueprint = sequences.Blueprint("molecules", described, 12, 64, 1, 64, 1, False)
    path = tmp_path_factory.mktemp("molecules") / "generator.safetensors"
    Model(blueprint.generator(), blueprint).save(path)
    return path


@pytest.fixture(scope="module")
def chemist(place: Path) -> Iterator[TestClient]:
    with client_of(place) as client:
        yield client


def test_drawings_come_with_their_smiles(chemist: TestClient, place: Path) -> None:
    wanted = Model.load(place).sample(6, seed=3)
    assert chemist.post("/v1/sample", json={"n": 6, "seed": 3}).json() == {"texts": wanted}
    found = chemist.post("/v1/sample", json={"n": 6, "seed": 3, "format": "svg"}).json()
    assert found["texts"] == wanted and any(wanted)
    for smiles, drawing in zip(wanted, found["drawings"], strict=True):
        assert ElementTree.fromstring(drawing).tag == SVG if smiles else drawing == ""


def test_drawings_as_files(chemist: TestClient) -> None:
    asked = {"n": 3, "seed": 3, "format": "svg"}
    drawings = chemist.post("/v1/sample", json=asked).json()["drawings"]
    zipped = chemist.post("/v1/sample", json=asked, headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        assert archive.namelist() == ["00000.svg", "00001.svg", "00002.svg"]
        files = [archive.read(name).decode() for name in archive.namelist()]
    assert all(ElementTree.fromstring(file).tag == SVG for file in files)
    assert all(file == drawing for file, drawing in zip(files, drawings, strict=True) if drawing)
    one = chemist.post("/v1/sample", json=asked | {"n": 1}, headers={"Accept": "image/svg+xml"})
    assert one.headers["content-type"].startswith("image/svg+xml")
    assert one.text == files[0]
    assert chemist.post("/v1/sample", json=asked, headers={"Accept": "image/svg+xml"}).status_code == 406


def test_what_is_for_molecules_alone(chemist: TestClient, client: TestClient) -> None:
    for asked, words in (
        ({"run": "words", "format": "svg"}, "for molecules"),
        ({"run": "faces", "format": "svg"}, "for texts and molecules"),
        ({"run": "words", "scaffold": "CC"}, "for molecules"),
    ):
        answer = client.post("/v1/sample", json=asked)
        assert (answer.status_code, words in answer.json()["error"]["message"]) == (422, True), answer.text
    answer = chemist.post("/v1/sample", json={"scaffold": "no molecule"})
    assert answer.status_code == 422
