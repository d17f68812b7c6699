import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sparring
from sparring.errors import MetricError, RunError
from sparring.model import Model
from sparring.tasks.restore import Blueprint


def saved(path: Path, **blueprint: object) -> Path:
    """A restorer that has learned nothing: it gives back what it is given, enlarged or filled."""
    made = Blueprint(**{"channels": 3, "width": 16, "depth": 1} | blueprint)  # type: ignore[arg-type]
    Model(made.generator(), made).save(path)
    return path


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name, size in (("a.png", (40, 50)), ("b.png", (33, 64)), ("c.png", (48, 48))):
        coarse = draw.integers(60, 196, (size[0] // 8 + 1, size[1] // 8 + 1, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC).save(folder / name)
    (folder / "d.png").write_bytes(b"broken")
    return folder


def test_what_learned_nothing_leaves_the_noise_that_its_training_has(tmp_path: Path, photographs: Path) -> None:
    protocol = {"noise": "gaussian", "noise_low": 20.0, "noise_high": 20.0}
    run = saved(tmp_path / "g.safetensors", damage="denoise", protocol=protocol)
    found = sparring.evaluate(photographs, run, "psnr,ssim")
    assert found.value("psnr") == pytest.approx(20 * math.log10(255 / 20), abs=0.3)
    assert found.protocol["generated"]["noise_high"] == 20.0
    assert "d.png" in found.notices[0]
    again = sparring.evaluate(photographs, run, "psnr,ssim")
    assert again.value("psnr") == found.value("psnr")


def test_holes_are_judged_inside_and_known_pixels_are_right(tmp_path: Path, photographs: Path) -> None:
    run = saved(tmp_path / "g.safetensors", damage="inpaint", protocol={"holes": "boxes"})
    found = sparring.evaluate(photographs, run)
    assert set(found.metrics) == {"psnr", "ssim", "perceptual", "psnr_inside"}
    assert found.value("psnr") > found.value("psnr_inside") + 2


def test_enlarged_pictures_are_compared_as_far_as_they_can_be_reduced(tmp_path: Path, photographs: Path) -> None:
    run = saved(tmp_path / "g.safetensors", damage="super", scale=4, protocol={"scale": 4, "degradation": "bicubic"})
    for name in ("b.png", "c.png"):
        (photographs / name).unlink()
    found = sparring.evaluate(photographs, run, "psnr")
    picture = np.asarray(Image.open(photographs / "a.png"))[:40, :48]
    small = Image.fromarray(picture).resize((12, 10), Image.Resampling.BICUBIC)
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float(), scale_factor=4, mode="bicubic"
    )
    error = (enlarged[0].permute(1, 2, 0).round().clamp(0, 255).numpy() - picture) ** 2
    assert found.value("psnr") == pytest.approx(10 * math.log10(255**2 / error.mean()), abs=0.05)


def test_metrics_of_sets_say_nothing_of_a_restorer(tmp_path: Path, photographs: Path) -> None:
    run = saved(tmp_path / "g.safetensors", damage="denoise")
    with pytest.raises(MetricError, match="compares sets, not pairs"):
        sparring.evaluate(photographs, run, "fid")


@pytest.mark.parametrize("option", ["nearest", "masks", "resolution"])
def test_options_without_a_meaning_for_a_restorer_are_refused(tmp_path: Path, photographs: Path, option: str) -> None:
    run = saved(tmp_path / "g.safetensors", damage="inpaint", protocol={"holes": "boxes"})
    value = 32 if option == "resolution" else tmp_path / "there.png"
    with pytest.raises(MetricError, match=f"{option} has no meaning"):
        sparring.evaluate(photographs, run, **{option: value})  # type: ignore[arg-type]


def test_a_run_of_another_task_is_no_place_of_clean_pictures(tmp_path: Path) -> None:
    other = sparring.train("digits", out=tmp_path / "run", images=64, batch=32, width=16, z_dim=4, device="cpu")
    run = saved(tmp_path / "g.safetensors", damage="denoise", channels=1)
    with pytest.raises(RunError, match="were not restored"):
        sparring.evaluate(other, run)


def test_training_pictures_of_the_run_itself_are_called_so(tmp_path: Path, photographs: Path) -> None:
    chosen = {"task": "restore", "damage": "denoise", "images": 8, "batch": 8, "width": 16, "resolution": (32, 32)}
    run = sparring.train(photographs, out=tmp_path / "run", device="cpu", **chosen)
    assert "shown in training" in sparring.evaluate(run, run, "psnr").notices[-1]
