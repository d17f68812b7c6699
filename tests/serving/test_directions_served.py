"""Pictures moved along directions that lie beside a generator."""

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.serving.conftest import client_of

from sparring.latents import directions
from sparring.latents.directions import NAME, Directions
from sparring.model import Model

VECTORS = torch.tensor([[3.0, 4.0] + [0.0] * 6, [0.0] * 7 + [1.0]])
"""Lengths 5 and 1: they are brought to 1."""


@pytest.fixture
def edited(shelf_folder: Path, tmp_path: Path) -> Path:
    """A generator with two directions beside it."""
    shutil.copytree(shelf_folder / "faces", tmp_path / "faces")
    directions.write(Directions(VECTORS, ("smile", "1"), (2.0, 1.0), "by hand", "none"), tmp_path / "faces" / NAME)
    return tmp_path / "faces"


def test_pictures_are_those_of_latents_that_were_moved(edited: Path) -> None:
    model = Model.load(edited)
    z, labels = model.latents(3, 5), model.labels(3, 5)
    unit = VECTORS / VECTORS.norm(dim=1, keepdim=True)
    wanted = model.decode(0.7 * z + 1.5 * unit[0] - 2 * unit[1], labels)
    asked = {"n": 3, "seed": 5, "truncation": 0.7, "edit": {"smile": 1.5, "1": -2}}
    with client_of(edited) as client:
        (card,) = client.get("/v1/models").json()["runs"]
        assert card["directions"] == ["smile", "1"]
        found = client.post("/v1/sample", json=asked, headers={"Accept": "application/json"}).json()["pictures"]
        plain = client.post("/v1/sample", json=asked | {"edit": {"smile": 0}})
        assert plain.content == client.post("/v1/sample", json=asked | {"edit": {}}).content
        answer = client.post("/v1/sample", json=asked | {"edit": {"frown": 1}})
        assert answer.status_code == 422 and "smile" in answer.json()["error"]["message"]
        assert client.post("/v1/sample", json=asked | {"edit": {"smile": 21}}).status_code == 422
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]
    assert np.array_equal(np.stack(pictures), wanted.permute(0, 2, 3, 1))


def test_directions_that_change_are_taken_up(edited: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = {"seed": 5, "edit": {"1": 2}}
    with client_of(edited) as client:
        before = client.post("/v1/sample", json=asked).content
        other = Directions(VECTORS.flip(0), ("0", "1"), (2.0, 1.0), "by hand", "none")
        directions.write(other, edited / NAME)
        assert client.post("/v1/sample", json=asked).content != before
        (edited / NAME).write_bytes(b"damaged")
        assert client.get("/v1/models").json()["runs"][0]["directions"] == []
        assert "holds no directions" in caplog.text
        answer = client.post("/v1/sample", json=asked)
        assert answer.status_code == 422 and "no directions" in answer.json()["error"]["message"]
        assert client.post("/v1/sample", json={"seed": 5}).status_code == 200
