"""Runs over clips from beginning to end, and what is made of them, as a person does it."""

import json
import os
import signal
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
from sparring.cli import app
from sparring.errors import SettingError
from sparring.training.monitor import QuietMonitor

SMALL: dict[str, Any] = {
    "width": 16,
    "depth": 1,
    "z_dim": 8,
    "motion_dim": 4,
    "batch": 8,
    "images": 64,
    "evaluate_every": 32,
    "checkpoint_every": 16,
    "guard_every": 32,
    "quality_samples": 64,
    "quality_features": "lite0-clips",
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 films of 10 frames in which a square of one colour moves evenly."""
    folder, random = tmp_path_factory.mktemp("data") / "squares", np.random.default_rng(0)
    folder.mkdir()
    for number in range(24):
        colour, place, step = random.integers(80, 256, 3), random.uniform(0, 12, 2), random.uniform(-1, 1, 2)
        frames = np.zeros((10, 16, 16, 3), np.uint8)
        for at, frame in enumerate(frames):
            row, column = np.clip(place + at * step, 0, 12).astype(int)
            frame[row : row + 4, column : column + 4] = colour
            frame[0, 0] = at  # a still clip would be written as a single frame
        pictures = [Image.fromarray(frame) for frame in frames]
        pictures[0].save(folder / f"{number}.gif", save_all=True, append_images=pictures[1:], duration=100, loop=0)
    return folder


@pytest.fixture(scope="module")
def run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return sparring.train(clips, out=tmp_path_factory.mktemp("runs") / "run", monitor=QuietMonitor(), **SMALL)


def command(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"}
    asked = [sys.executable, "-m", "sparring", *map(str, arguments)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == status, done.stderr
    return done


def test_a_run_is_of_video_by_itself_and_leaves_what_can_be_watched(run: Any) -> None:
    settings = run.settings()
    assert (settings.task, settings.resolution, settings.seen) == ("video", (16, 16), 3)
    assert run.summary()["state"] == "finished"
    for name in ("latest.png", "latest.gif", "grid-000000064.gif"):
        assert (run.folder / "samples" / name).is_file()
    with Image.open(run.folder / "samples" / "latest.gif") as film:
        assert film.n_frames == 10  # type: ignore[attr-defined]
        assert film.info["duration"] == 100
    assert "24 clips of 16x16 pixels" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_the_generator_of_a_run_makes_the_clips_of_its_previews_rate(run: Any) -> None:
    model = sparring.load(run.folder)
    assert model.makes == "clips"
    made = model.sample(2)
    assert isinstance(made, torch.Tensor)
    assert made.shape == (2, 10, 3, 16, 16)
    assert model.take().fps == pytest.approx(10)


class Interrupting(QuietMonitor):
    """Once, after so many clips."""

    def __init__(self, after: int) -> None:
        self.after: float = after

    def update(self, measurements: Any, fraction: float, seconds_left: float | None) -> None:
        if measurements["images"] >= self.after:
            self.after = float("inf")
            os.kill(os.getpid(), signal.SIGINT)


def test_resumed_equals_uninterrupted(clips: Path, run: Any, tmp_path: Path) -> None:
    halves = sparring.train(clips, out=tmp_path / "halves", monitor=Interrupting(32), **SMALL)
    assert halves.summary()["state"] == "interrupted"
    assert halves.summary()["images"] < SMALL["images"]
    sparring.resume(halves, monitor=QuietMonitor())
    one, other = (found.load_checkpoint("cpu")[0] for found in (run, halves))
    assert all(torch.equal(one[group][name], other[group][name]) for group in one for name in one[group])


def test_the_real_commands(clips: Path, tmp_path: Path) -> None:
    settings = {name: value for name, value in SMALL.items() if name not in ("images", "device")}
    assignments = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    place = tmp_path / "run"
    told = command("train", clips, "--out", place, "--task", "video", "--images", 32, "--device", "cpu", *assignments)
    assert "clips" in told.stderr
    made = json.loads(
        command(
            "sample", place, "--n", 2, "--frames", 21, "--fps", 20, "--out", tmp_path / "c.npy", "--json", "-"
        ).stdout
    )
    assert (made["n"], made["frames"], made["fps"], made["shape"]) == (2, 21, 20, [21, 3, 16, 16])
    array = np.load(tmp_path / "c.npy")
    assert (array.shape, array.dtype) == ((2, 21, 16, 16, 3), np.uint8)
    same = sparring.load(place).sample(2, frames=21, fps=20)
    assert isinstance(same, torch.Tensor)
    assert np.array_equal(array, same.permute(0, 1, 3, 4, 2).numpy())
    first = clips / "3.gif"
    told = command(
        "sample",
        place / "generator.safetensors",
        "--n",
        2,
        "--first",
        first,
        "--format",
        "frames",
        "--out",
        tmp_path / "on",
    )
    assert " dB" in told.stderr
    assert len(list((tmp_path / "on" / "00001").glob("*.png"))) == 10
    told = command("sample", place, "--n", 2, "--prompt", "x", "--out", tmp_path / "none", status=2)
    assert told.stderr.startswith("sparring: --temperature, --top-p, --prompt")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sample", "--format", "avi", "--out", "x"), "format=avi: clips are written as mp4, gif, frames"),
        (("sample", "--n", "0", "--out", "x"), "n=0: it should be at least 1"),
        (("sample", "--first", "missing.png", "--out", "x"), "missing.png"),
        (("sample", "--label", "round", "--out", "x"), "knows no classes: train with --set labels=true"),
        (("sample", "--out", "x.jpg"), "not as .jpg"),
        (("latents", "walk", "--out", "x.gif"), "this generator makes clips, and this is for pictures"),
        (("apply", "in.png", "out.png"), "--first PICTURE"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    depth = 2 if arguments[0] == "latents" else 1
    done = CliRunner().invoke(app, [*arguments[:depth], str(run.folder), *arguments[depth:]])
    assert done.exit_code == 2, done.output
    assert words in " ".join(done.stderr.split())


def test_a_run_starts_with_the_weights_of_another_of_the_same_form(clips: Path, run: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"seen is 3 in .* and would be 4 here"):
        sparring.train(clips, out=tmp_path / "other", start_from=run.folder, monitor=QuietMonitor(), **SMALL, seen=4)
    settings = {name: SMALL[name] for name in SMALL if name not in ("width", "depth", "z_dim", "motion_dim")}
    again = sparring.train(
        clips, out=tmp_path / "same", start_from=run.folder, monitor=QuietMonitor(), **(settings | {"images": 8})
    )
    assert again.settings().motion_dim == 4
