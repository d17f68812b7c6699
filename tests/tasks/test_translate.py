import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_sample_images

import sparring
from sparring.errors import SettingError
from sparring.tasks.translate import Blueprint
from sparring.training.monitor import QuietMonitor

SMALL: dict[str, Any] = {
    "task": "translate",
    "resolution": 32,
    "width": 16,
    "depth": 1,
    "batch": 4,
    "quality_samples": 64,
    "quality_features": "pixels",
    "discriminator_features": "none",
    "device": "cpu",
    "threads": 1,
    "images": 16,
    "evaluate_every": 8,
    "checkpoint_every": 8,
}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Parts of two photographs, and the same with their colours turned, in two styles."""
    for scene, picture in enumerate(load_sample_images().images):
        for number in range(4):
            part = Image.fromarray(picture[100 * number : 100 * number + 48, 200:264])
            name = f"{scene}{number}.png"
            style = ("turned", "grey")[scene]
            for side, shown in (
                (tmp_path / "photographs", part),
                (
                    tmp_path / "paintings" / style,
                    Image.merge("RGB", part.split()[::-1]) if scene else part.convert("L"),
                ),
            ):
                side.mkdir(parents=True, exist_ok=True)
                shown.save(side / name)
    return tmp_path / "photographs", tmp_path / "paintings"


class Interrupting(QuietMonitor):
    """Presses Ctrl-C when the first evaluation is made."""

    def update(self, *arguments: Any) -> None:
        super().update(*arguments)
        if "quality" in arguments[0]:
            raise KeyboardInterrupt


def weights(run: sparring.Run) -> dict[str, torch.Tensor]:
    last = run.checkpoints / f"step-{run.steps()[-1]:09d}"
    return {
        f"{file.name}: {name}": tensor
        for file in last.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }


@pytest.mark.parametrize("given", [{"content": "contrastive"}, {"content": "cycle"}, {"paired": True}])
def test_interrupted_and_resumed_is_the_same_as_never_stopped(
    places: tuple[Path, Path], tmp_path: Path, given: dict[str, Any]
) -> None:
    whole = sparring.train(*places, out=tmp_path / "whole", **SMALL, **given)
    with pytest.raises(KeyboardInterrupt):
        sparring.train(*places, out=tmp_path / "broken", monitor=Interrupting(), **SMALL, **given)
    broken = sparring.resume(tmp_path / "broken")
    a, b = weights(whole), weights(broken)
    assert len(a) > 20
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_a_second_set_that_changed_is_not_gone_on_with(places: tuple[Path, Path], tmp_path: Path) -> None:
    run = sparring.train(*places, out=tmp_path / "run", **SMALL | {"images": 4})
    next(iter(places[1].glob("*/*.png"))).unlink()
    with pytest.raises(sparring.RunError, match="have changed"):
        sparring.resume(run.folder, images=8)


def test_one_set_too_few_or_too_many_is_said(places: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="second set"):
        sparring.train(places[0], out=tmp_path / "run", **SMALL)
    with pytest.raises(SettingError, match="takes one set"):
        sparring.train(*places, out=tmp_path / "run", task="restore", device="cpu")
    with pytest.raises(sparring.RunError, match="inside"):
        sparring.train(*places, out=places[1] / "run", **SMALL)


def test_a_set_is_not_translated_into_itself(places: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="given twice"):
        sparring.train(places[0], places[0], out=tmp_path / "run", device="cpu")


def test_the_command_line_trains_on_two_sets_and_the_model_knows_the_styles(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    run, chosen = tmp_path / "run", {name: value for name, value in SMALL.items() if name != "task"}
    options = [part for name, value in chosen.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "sparring", "train", *map(str, places), "--out", str(run), "--json", "-", *options]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(finished.stdout)["state"] == "finished"
    assert set(json.loads((run / "summary.json").read_text())["quality"]["metrics"]) == {
        "transfer",
        "style",
        "structure",
    }
    before, after = (Image.open(run / "samples" / f"{side}-0.png") for side in ("before", "after"))
    assert after.size == before.size == (64, 96)  # both styles, above the photograph twice: no strip, however many
    half = before.height // 2
    assert before.crop((0, 0, before.width, half)).tobytes() == before.crop((0, half, *before.size)).tobytes()
    page = (run / "report.html").read_text()
    assert "Photographs to the left, translated to the right" in page
    assert "amaged" not in page
    assert ", by patches of " in page
    model = sparring.load(run)
    assert list(model.styles) == ["grey", "turned"]
    picture = torch.rand(1, 3, 37, 35) * 2 - 1
    assert torch.equal(model.apparatus("grey", 0.0)(picture, None), picture)
    assert not torch.equal(model.apparatus("grey")(picture, None), model.apparatus("turned")(picture, None))
    photograph = torch.randint(256, (3, 41, 37), dtype=torch.uint8)
    assert torch.equal(model.apply(photograph, style="grey", strength=0.0), photograph)
    assert model.apply(photograph, style="grey+turned").shape == photograph.shape
    with pytest.raises(SettingError, match="from 0"):
        model.apply(photograph, style="grey", strength=1.5)
    with pytest.raises(SettingError, match="grey, turned"):
        model.apparatus("cubist")


def test_mixtures_of_styles() -> None:
    blueprint = Blueprint(3, 16, 1, styles=("monet", "van-gogh", "munch"))
    assert blueprint.mixture("Munch") == (0, 0, 1)
    assert blueprint.mixture("monet+munch") == (0.5, 0, 0.5)
    assert blueprint.mixture("van-gogh:3 + munch:1") == (0, 0.75, 0.25)
    for wrong in (None, "manet", "monet:x", "monet:-1", "monet:0", "monet+"):
        with pytest.raises(SettingError):
            blueprint.mixture(wrong)
    assert Blueprint(3, 16, 1).mixture(None) == ()
    with pytest.raises(SettingError):
        Blueprint(3, 16, 1).mixture("monet")
