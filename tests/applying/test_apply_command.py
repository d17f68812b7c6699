"""The command around `apply_to_files`, with a model that is none, and with restorers that have learned nothing yet."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.applying.apparatuses import Fake, Filler, Negative
from typer.testing import CliRunner, Result

from sparring.cli import app
from sparring.model import Model
from sparring.tasks.restore import Blueprint


class Mock:
    """Gives an apparatus and notes what for."""

    def __init__(self, apparatus: Fake) -> None:
        self._apparatus = apparatus
        self.asked: list[dict[str, Any]] = []
        self.origin: Path | None = None

    def apparatus(self, **options: Any) -> Fake:
        self.asked.append(options)
        return self._apparatus


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mock:
    found = Mock(Negative())
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


def test_a_folder_with_a_listing_of_what_was_skipped(model: Mock, tmp_path: Path) -> None:
    (tmp_path / "in/bad.png").write_text("text")
    done = sparring("apply", tmp_path / "run", tmp_path / "in", tmp_path / "out", "--json", "-")
    found = json.loads(done.stdout)
    assert (found["pictures"], [entry["path"] for entry in found["skipped"]]) == (2, ["bad.png"])
    assert "2 pictures" in done.stderr
    assert "bad.png" in done.stderr
    assert "changing pictures: 3 of 3" in done.stderr
    assert np.asarray(Image.open(tmp_path / "out/20.png"))[0, 0].tolist() == [235, 255, 255]
    assert model.asked == [{"style": None, "strength": None, "ensemble": False}]


def test_style_and_strength_are_passed_on_and_part_of_what_is_done_already(model: Mock, tmp_path: Path) -> None:
    command = ("apply", tmp_path / "run", tmp_path / "in", tmp_path / "out", "--style", "monet", "--strength")
    for strength, made in (("0.5", 2), ("0.5", 0), ("0.7", 2)):
        done = sparring(*command, strength, "--json", "-")
        assert json.loads(done.stdout)["pictures"] == made
        assert ("2 done already" in done.stderr) == (not made)
    assert model.asked[0] == {"style": "monet", "strength": 0.5, "ensemble": False}
    (tmp_path / "run/generator.safetensors").write_bytes(b"other weights")
    assert json.loads(sparring(*command, "0.7", "--json", "-").stdout)["pictures"] == 2


def test_a_mask_and_a_notice(model: Mock, tmp_path: Path) -> None:
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
    model: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = sparring("apply", "run", *arguments, status=2)
    assert done.stderr.startswith("sparring: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("damage", "channels", "scale"), [("denoise", 1, 1), ("super", 3, 2), ("inpaint", 3, 1)])
def test_a_restorer_that_has_learned_nothing_is_what_it_starts_from(
    tmp_path: Path, damage: str, channels: int, scale: int
) -> None:
    blueprint = Blueprint(damage, channels, 8, 1, scale)
    Model(blueprint.generator(), blueprint).save(tmp_path / "new.safetensors")
    values = np.full((600, 540, 3), (200, 100, 50), np.uint8)
    mask = np.zeros((600, 540), np.uint8)
    mask[300:420, 100:180] = 255
    values[mask > 0] = 0
    (tmp_path / "in").mkdir()
    Image.fromarray(values).save(tmp_path / "in/a.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    more = ["--mask", tmp_path / "mask.png"] if damage == "inpaint" else []
    command = ["apply", tmp_path / "new.safetensors", tmp_path / "in", tmp_path / "out", *more, "--json", "-"]
    done = subprocess.run([sys.executable, "-m", "sparring", *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pictures"] == 1
    made = np.asarray(Image.open(tmp_path / "out/a.png")).astype(int)
    if damage == "denoise":
        assert np.array_equal(made, values)
    elif damage == "inpaint":  # Laplace's equation between edges of one colour
        assert np.array_equal(made[mask == 0], values[mask == 0])
        assert np.abs(made - (200, 100, 50)).max() <= 2
    else:
        wanted = Image.fromarray(values).resize((1080, 1200), Image.Resampling.BICUBIC)
        assert made.shape == (1200, 1080, 3)
        assert np.abs(made - np.asarray(wanted)).mean() < 1
