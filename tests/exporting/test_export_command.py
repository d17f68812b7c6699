"""`sparring export` as a person runs it, and the page that it writes."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.exporting.models import CHANGING, CLIPS, TEXT, model_of
from torch import Tensor
from typer.testing import CliRunner

import sparring
from sparring.cli import app
from sparring.exporting import export
from sparring.exporting.cards import data_in_words
from sparring.training.files import checksum

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    small = {"width": 32, "depth": 1, "z_dim": 8, "batch": 32, "quality_samples": 64, "device": "cpu"}
    sparring.train("digits", out=folder, images=640, labels=True, **small)
    return folder


def command(*arguments: object, status: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == status, (done.output, done.exception)
    return done.stderr if status else done.stdout


def test_the_real_command(run: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sparring", "export", str(run), "--to", "onnx", "--out", "g.onnx", "--json", "-"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["difference"] <= 1
    assert made["inputs"] == {"z": "float32 (n, 8)", "label": "int64 (n,)"}
    assert made["bytes"] == (tmp_path / "g.onnx").stat().st_size
    assert "of 255 at most" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.onnx", "g.onnx.md"]
    told = runtime.InferenceSession(str(tmp_path / "g.onnx")).get_modelmeta().custom_metadata_map
    assert (told["run"], told["data"]) == ("digits", "digits")
    assert told["weights_sha256"] == checksum(run / "generator.safetensors")


def test_the_card_tells_settings_data_quality_and_a_use_that_works(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command("export", run, "--to", "onnx", "--out", "g.onnx")
    card = (tmp_path / "g.onnx.md").read_text()
    for words in ("AI-generated", 'data = "digits"', "1,797", "Protocol: pixels", "> 64 samples are few", "| fid |"):
        assert words in card
    assert str(run.parent) not in card
    exec(re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0], {})
    assert np.asarray(Image.open("15.png")).shape == (8, 8)


@pytest.mark.parametrize("name", CHANGING)
def test_the_code_of_each_card_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    export(model_of(CHANGING[name]), "g.onnx", "onnx")
    Image.new("RGB", (40, 30), "teal").save("photo.jpg")
    Image.new("L", (40, 30), 255).save("holes.png")
    exec(re.findall(r"```python\n(.*?)```", Path("g.onnx.md").read_text(), re.DOTALL)[0], {})
    scale = 2 if name == "upscale" else 1
    assert Image.open("changed.png").size == (40 * scale, 30 * scale)


@pytest.mark.parametrize("name", CLIPS)
def test_the_code_of_the_card_makes_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    export(model_of(CLIPS[name]), "g.onnx", "onnx")
    exec(re.findall(r"```python\n(.*?)```", Path("g.onnx.md").read_text(), re.DOTALL)[0], {})
    with Image.open("clip.gif") as clip:
        assert clip.size == CLIPS[name].shape[:0:-1]


def test_the_card_counts_what_was_learned_from_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text('{"name": "clips", "pictures": 60, "classes": []}')
    assert "| clips | 60 |" in data_in_words(tmp_path, "clips")
    assert "| pictures | 60 |" in data_in_words(tmp_path, "pictures")


def test_programs_are_used_as_their_card_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_here(path: Path, trials: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
        program = torch.export.load(path).module()
        return [program(*given.values()) for given in trials]

    monkeypatch.setattr("sparring.exporting.programs.run_elsewhere", run_here)
    monkeypatch.chdir(tmp_path)
    export(model_of(TEXT), "g.pt2", "torch")
    names: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", Path("g.pt2.md").read_text(), re.DOTALL)[0], names)
    assert names["log_probabilities"].shape == (16, 1, 10)  # type: ignore[attr-defined]


def test_pictures_say_that_they_are_generated_by_what_and_from_which_seed(run: Path, tmp_path: Path) -> None:
    command("sample", run, "--n", 3, "--seed", 5, "--label", 7, "--out", tmp_path / "folder")
    command("sample", run, "--n", 3, "--seed", 5, "--label", 7, "--out", tmp_path / "a.npy")
    command("sample", run, "--n", 3, "--seed", 5, "--out", tmp_path / "grid.png")
    second = Image.open(tmp_path / "folder/00001.png")
    assert second.info == {  # type: ignore[comparison-overlap]
        "Software": f"sparring {sparring.__version__}",
        "AI-generated": "true",
        "Run": "digits",
        "Model": f"sha256:{checksum(run / 'generator.safetensors')}",
        "Seed": "5",
        "Label": "7",
        "Index": "1",
    }
    assert np.array_equal(np.asarray(second), np.load(tmp_path / "a.npy")[1, :, :, 0])
    grid = Image.open(tmp_path / "grid.png").info
    assert (grid["Seed"], grid["AI-generated"]) == ("5", "true")
    assert "Index" not in grid


def test_changed_pictures_say_so_too(tmp_path: Path) -> None:
    model = model_of(CHANGING["denoise"])
    model.save(tmp_path / "denoiser.safetensors")
    Image.new("RGB", (20, 16), "teal").save(tmp_path / "in.png")
    command("apply", tmp_path / "denoiser.safetensors", tmp_path / "in.png", tmp_path / "out.png")
    made = Image.open(tmp_path / "out.png")
    assert made.info["AI-generated"] == "true"
    wanted = model.apply(Image.open(tmp_path / "in.png"))
    assert np.array_equal(np.asarray(made), np.asarray(wanted))


def test_a_run_without_a_generator_and_a_wrong_place(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/config.toml").write_text("")
    out = ("--to", "onnx", "--out", tmp_path / "g.onnx")
    assert "holds no generator yet" in command("export", tmp_path / "empty", *out, status=2)
    assert "there is no run" in command("export", tmp_path / "none", *out, status=2)
    assert "is a folder" in command("export", run, "--to", "onnx", "--out", tmp_path, status=2)
    assert not (tmp_path / "g.onnx").exists()
