"""The command around `apply_to_files`, with a model that is none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.applying.apparatuses import Fake, Filler, Negative
from typer.testing import CliRunner, Result

from sparring.cli import app


class Model:
    """Gives an apparatus and notes what for."""

    def __init__(self, apparatus: Fake) -> None:
        self._apparatus = apparatus
        self.asked: list[dict[str, Any]] = []

    def apparatus(self, **options: Any) -> Fake:
        self.asked.append(options)
        return self._apparatus


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    found = Model(Negative())
    monkeypatch.setattr("sparring.api.load", lambda place, device: found)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/generator.safetensors").write_bytes(b"weights")
    (tmp_path / "in").mkdir()
    for value in (10, 20):
        Image.new("RGB", (8, 6), (value, 0, 0)).save(tmp_path / f"in/{value}.png")
    return found


def sparring(*arguments: object, status: int = 0) -> Result:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == status, (done.output, done.exception)
    return done


def test_a_folder_with_a_listing_of_what_was_skipped(model: Model, tmp_path: Path) -> None:
    (tmp_path / "in/bad.png").write_text("text")
    done = sparring("apply", tmp_path / "run", tmp_path / "in", tmp_path / "out", "--json", "-")
    found = json.loads(done.stdout)
    assert (found["pictures"], [entry["path"] for entry in found["skipped"]]) == (2, ["bad.png"])
    assert "2 pictures" in done.stderr
    assert "bad.png" in done.stderr
    assert "changing pictures: 3 of 3" in done.stderr
    assert np.asarray(Image.open(tmp_path / "out/20.png"))[0, 0].tolist() == [235, 255, 255]
    assert model.asked == [{"style": None, "strength": None}]


def test_style_and_strength_are_passed_on_and_part_of_what_is_done_already(model: Model, tmp_path: Path) -> None:
    command = ("apply", tmp_path / "run", tmp_path / "in", tmp_path / "out", "--style", "monet", "--strength")
    for strength, made in (("0.5", 2), ("0.5", 0), ("0.7", 2)):
        done = sparring(*command, strength, "--json", "-")
        assert json.loads(done.stdout)["pictures"] == made
        assert ("2 done already" in done.stderr) == (not made)
    assert model.asked[0] == {"style": "monet", "strength": 0.5}
    (tmp_path / "run/generator.safetensors").write_bytes(b"other weights")
    assert json.loads(sparring(*command, "0.7", "--json", "-").stdout)["pictures"] == 2


def test_a_mask_and_a_notice(model: Model, tmp_path: Path) -> None:
    model._apparatus = Filler()
    mask = np.zeros((6, 8), np.uint8)
    mask[:2] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.new("RGB", (8, 6), "red").save(tmp_path / "in/photo.jpg")
    done = sparring("apply", tmp_path / "run", tmp_path / "in", tmp_path / "out", "--mask", tmp_path / "mask.png")
    assert done.stdout == ""
    assert "photo.jpg: its result is photo.png" in done.stderr


@pytest.mark.parametrize("arguments", [("nothing", "out"), ("in", "in"), ("in", "out", "--mask", "in/10.png")])
def test_what_a_person_can_put_right_is_one_sentence(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = sparring("apply", "run", *arguments, status=2)
    assert done.stderr.startswith("sparring: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
