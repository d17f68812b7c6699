"""The commands, on a run of digits that was trained for a second; once in a process of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import sparring
from sparring import data
from sparring.cli import app
from sparring.data.decode import Form
from sparring.latents.boundaries import of_classes
from sparring.latents.pictures import held_out, read_pictures


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = {"width": 32, "depth": 1, "z_dim": 8, "batch": 32, "quality_samples": 64, "device": "cpu"}
    folder = tmp_path_factory.mktemp("runs") / "digits"
    sparring.train("digits", out=folder, images=640, **small)
    return folder


def latents(*arguments: object, status: int = 0) -> Any:
    """What a command says: its JSON, or the sentence of an error."""
    done = CliRunner().invoke(app, ["latents", *map(str, arguments), *(["--json", "-"] if not status else [])])
    assert done.exit_code == status, done.output
    return json.loads(done.stdout) if not status else done.stderr


def test_walk_in_a_process_of_its_own(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sparring", "latents", "walk", run, "0:0-2", "--frames", 4, "--json", "-", "--out"]
    done = subprocess.run([*map(str, command), str(tmp_path / "walk.gif")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 12
    with Image.open(tmp_path / "walk.gif") as film:
        assert film.n_frames == 12  # type: ignore[attr-defined]


def test_a_walk_as_rows_says_that_it_is_generated(run: Path, tmp_path: Path) -> None:
    found = latents("walk", run, "3", "4", "--no-loop", "--frames", 6, "--out", tmp_path / "row.png")
    assert found["frames"] == 6
    with Image.open(tmp_path / "row.png") as picture:
        assert picture.width > 5 * picture.height
        assert picture.text["AI-generated"] == "true"  # type: ignore[attr-defined]
        assert picture.text["Title"] == "a walk between 3:0, 4:0"  # type: ignore[attr-defined]


def test_pictures_that_were_held_out_are_inverted_and_walked_through(run: Path, tmp_path: Path) -> None:
    found = latents("invert", run, "--n", 5, "--steps", 20, "--out", tmp_path / "found")
    assert found["pictures"] == "held out by the run"
    mean = found["errors"]["psnr"]
    assert mean["low"] < mean["value"] < mean["high"]
    assert mean["value"] > found["before_the_search"]["psnr"]["value"]
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        *("compare.png", "latents.npz", "inversion.json", "pictures")
    }
    made = [np.array(Image.open(path)) for path in sorted((tmp_path / "found" / "pictures").iterdir())]
    z = torch.from_numpy(np.load(tmp_path / "found" / "latents.npz")["z"])
    assert np.array_equal(made, sparring.load(run).decode(z)[:, 0].numpy())
    found = latents("walk", run, f"{tmp_path}/found/latents.npz:1-2", "--out", tmp_path / "walk.png")
    assert found["points"][0] == held_out(run, 5)[1][1]


def test_held_out_pictures_were_never_shown(run: Path) -> None:
    pictures, names = held_out(run, 1000)
    digits = data.load("digits", resolution=(8, 8))
    shown, _ = digits.hold_out(len(names))
    assert shown.drawn is not None
    assert not {digits.names[number] for number in shown.drawn.tolist()} & set(names)
    assert len(pictures) == len(names) < 1000


def test_a_picture_of_another_size_is_brought_to_that_of_the_run(run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "white").save(tmp_path / "white.png")
    found = latents(
        *("invert", run, tmp_path / "white.png", "--encoder", "--encoder-steps", 3, "--steps", 0),
        *("--out", tmp_path / "found"),
    )
    assert [entry["picture"] for entry in found["each"]] == ["white.png"]
    assert found["errors"]["psnr"]["low"] is None
    assert (run / "encoder.safetensors").is_file()
    images, _ = read_pictures([str(tmp_path / "white.png")], Form(8, 8, 1))
    assert (images == 255).all()


def test_directions_are_shown_kept_and_followed(run: Path, tmp_path: Path) -> None:
    kept, z = tmp_path / "d.npz", tmp_path / "z.npz"
    found = latents("edit", run, "--by", "pca", "--count", 3, "--save", kept, "--out", tmp_path / "grid.png")
    assert len(found["directions"]) == 3
    latents(
        *("edit", run, "0:0-1", "--by", kept, "--direction", 1, "--strength", -2, "--latents", z),
        *("--out", tmp_path / "moved.npy"),
    )
    model = sparring.load(run)
    moved = np.load(z)["z"] - model.latents(2).numpy()
    assert np.allclose(moved, -2 * np.load(kept)["vectors"][1], atol=1e-5)
    assert np.load(tmp_path / "moved.npy").shape == (2, 8, 8, 1)
    found = latents("edit", run, "--by", "brightness", "--out", tmp_path / "bright.png")
    assert found["directions"][0]["name"] == "brightness"


def test_classes_are_learned_from_the_training_pictures(run: Path) -> None:
    found, told = of_classes(sparring.load(run), run)
    assert told.value > 0.9
    assert set(found.names) <= {str(digit) for digit in range(10)}


def test_a_mixture_and_its_latents(run: Path, tmp_path: Path) -> None:
    found = latents(
        *("mix", run, "0:1", "5", "--weights", "3,1", "--straight", "--latents", tmp_path / "z.npz"),
        *("--out", tmp_path / "mixed.npy"),
    )
    assert found["mixture"] == "0.75 of 0:1 + 0.25 of 5:0"
    model = sparring.load(run)
    mean = 0.75 * model.latents(1, 0, 1) + 0.25 * model.latents(1, 5)
    assert np.allclose(np.load(tmp_path / "z.npz")["z"], mean)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("walk", "--out", "a.avi"), "are written as"),
        (("walk", "--out", "a.png", "--frames", "1"), "at least 2"),
        (("walk", "0", "--out", "a.png"), "one point is no way"),
        (("walk", "--label", "3", "--out", "a.png"), "no classes"),
        (("invert", "gone.png", "--out", "a"), "gone.png"),
        (("invert", "--out", "a.png"), "a folder"),
        (("invert", "--features", "lite7", "--out", "a"), "lite0"),
        (("edit", "--by", "age", "--out", "a.png"), "there is sefa, pca"),
        (("edit", "--direction", "8", "--out", "a.png"), "0 to 7"),
        (("edit", "--out", "a.npy"), "--direction"),
        (("edit", "--save", "d.csv", "--out", "a.png"), "as .npz"),
        (("mix", "--weights", "1,x", "--out", "a.png"), "2,1,1"),
        (("mix", "--style", "1", "--out", "a.png"), "family skip"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *rest = arguments
    said = latents(command, run, *rest, status=2)
    assert words in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_broken_picture_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    assert "broken.png" in latents("invert", run, tmp_path / "broken.png", "--out", tmp_path / "a", status=2)


def test_other_tasks_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 255, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    settings = {"damage": "denoise", "resolution": 16, "width": 8, "depth": 1, "batch": 4, "device": "cpu"}
    sparring.train(folder, out=tmp_path / "run", task="restore", images=8, **settings)
    assert "pictures of noise" in latents("walk", tmp_path / "run", "--out", tmp_path / "a.png", status=2)
