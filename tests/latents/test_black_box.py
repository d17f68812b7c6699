"""Latent tools on generators that others made: files that give pictures, and mostly no gradient."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.latents.conftest import CLASSES, untrained
from torch import Tensor, nn
from typer.testing import CliRunner

from sparring import Model, RunError, SettingError
from sparring.cli import app
from sparring.data import to_floats
from sparring.exporting.players import FromNoise
from sparring.foreign_generators import ForeignGenerator
from sparring.latents import directions
from sparring.latents.boundaries import of_attribute
from sparring.latents.decoders import opened
from sparring.latents.encoding import encoder_for
from sparring.latents.inversion import invert
from sparring.latents.likeness import Likeness
from sparring.latents.mixing import styled
from sparring.latents.points import samples

PIXELS = Likeness("pixels", "cpu")


@torch.no_grad()
def script(module: nn.Module, path: Path, *example: Tensor) -> ForeignGenerator:
    torch.jit.save(torch.jit.trace(module, example), path)  # type: ignore[no-untyped-call]
    return ForeignGenerator(path)


@pytest.fixture
def foreign(model: Model, tmp_path: Path) -> ForeignGenerator:
    """What `model` is, as a TorchScript file that gives bytes."""
    return script(FromNoise(model.generator, 0), tmp_path / "g.pt", torch.zeros(3, 8))


@pytest.fixture
def exported(conditional: Model, tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime")
    conditional.export(tmp_path / "g.onnx", "onnx")
    return tmp_path / "g.onnx"


def latents(*arguments: object, status: int = 0) -> Any:
    done = CliRunner().invoke(app, ["latents", *map(str, arguments), *(["--json", "-"] if not status else [])])
    assert done.exit_code == status, done.output
    return json.loads(done.stdout) if not status else done.stderr


class Flat(nn.Module):
    """Eight numbers to the 64 pixels of a picture, by a matrix; bytes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.matrix = nn.Parameter(0.1 * torch.randn(8, 64))

    def forward(self, z: Tensor) -> Tensor:
        return ((z @ self.matrix + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).view(-1, 8, 8, 1)


def test_the_latent_of_a_linear_generator_is_found_in_a_few_steps(tmp_path: Path) -> None:
    generator = script(Flat(), tmp_path / "g.pt", torch.zeros(3, 8))
    assert generator.floats is None
    z = generator.latents(3, seed=9)
    found = invert(generator, generator.decode(z), ["a", "b", "c"], PIXELS, steps=3, starts=2)
    assert (found.points.z - z).abs().max() < 0.05  # a level is 1 / 127.5, and a pixel has 0.1 for each number of z
    assert found.made is not None and found.made <= 3 * 2 * (3 * (1 + 8 + 6) + 2)


def test_own_samples_are_met_through_bytes_alone(model: Model, foreign: ForeignGenerator) -> None:
    pictures = model.sample(4, seed=9)
    found = invert(foreign, pictures, list("abcd"), PIXELS, steps=30)
    assert min(found.errors.psnr) > 40
    assert (torch.tensor(found.errors.psnr) > torch.tensor(found.begun.psnr)).all()
    assert torch.equal(found.points.pictures(foreign), found.pictures)
    again = invert(foreign, pictures, list("abcd"), PIXELS, steps=30)
    assert torch.equal(again.points.z, found.points.z)


def test_where_gradients_come_through_they_are_followed(model: Model, tmp_path: Path) -> None:
    generator = script(model.generator, tmp_path / "g.pt", torch.zeros(3, 8))
    pictures = model.sample(2, seed=9)
    found = invert(generator, pictures, ["a", "b"], PIXELS, steps=120)
    assert found.made is None
    assert min(found.errors.psnr) > 40


def test_an_encoder_learns_from_the_samples_of_a_black_box(foreign: ForeignGenerator) -> None:
    encoder, kept = encoder_for(foreign, foreign.path, steps=100)
    assert not kept
    assert encoder_for(foreign, foreign.path, steps=100)[1]
    assert foreign.path.with_name("g.encoder.safetensors").is_file()
    pictures = foreign.sample(8, seed=9)
    without = invert(foreign, pictures, list("abcdefgh"), PIXELS, steps=0)
    found = invert(foreign, pictures, list("abcdefgh"), PIXELS, steps=0, encoder=encoder)
    assert found.errors.means()["psnr"].value > without.errors.means()["psnr"].value


@pytest.mark.parametrize("name", ["pixels", "lite0"])
def test_residuals_lie_as_far_apart_as_pictures(name: str) -> None:
    likeness = Likeness(name, "cpu")
    a, b = to_floats(untrained(shape=(3, 16, 12)).sample(6)).split(3)
    wanted = likeness.distances(a, b, likeness.maps(b))
    assert torch.allclose((likeness.residuals(a) - likeness.residuals(b)).square().sum(1), wanted, rtol=1e-4)


def test_boundaries_are_found_and_what_looks_inside_is_refused(model: Model, foreign: ForeignGenerator) -> None:
    ours, theirs = of_attribute(model, "brightness"), of_attribute(foreign, "brightness")
    assert torch.allclose(ours.vectors, theirs.vectors, atol=1e-4)
    for find in (directions.sefa, lambda model: directions.principal(model, 3)):
        with pytest.raises(RunError, match="a file whose layers are not known: take --by brightness"):
            find(foreign)
    points = samples(foreign, 1, 0)
    with pytest.raises(SettingError, match=r"family skip.*layers are not known"):
        styled(foreign, points, points)


def test_commands_take_an_onnx_file_with_classes(conditional: Model, exported: Path, tmp_path: Path) -> None:
    found = latents("mix", exported, "0:1", "5", "--label", "dog", "--straight", "--out", tmp_path / "mixed.npy")
    mean = (conditional.latents(1, 0, 1) + conditional.latents(1, 5)) / 2
    wanted = conditional.decode(mean, "dog").permute(0, 2, 3, 1).int().numpy()
    assert np.abs(np.load(tmp_path / "mixed.npy").astype(int) - wanted).max() <= 1
    assert "1.00" not in found["mixture"]
    assert list(opened(exported).classes) == list(CLASSES)
    found = latents("walk", exported, "3", "4", "--label", "cat,2", "--frames", 4, "--out", tmp_path / "row.png")
    assert found["frames"] == 8
    with Image.open(tmp_path / "row.png") as picture:
        assert picture.text["Run"] == "g.onnx"  # type: ignore[attr-defined]
    found = latents("edit", exported, "--by", "brightness", "--out", tmp_path / "bright.png")
    assert found["directions"][0]["score"] > 0.6
    conditional.sample(1, seed=8)
    Image.fromarray(conditional.sample(1, seed=8)[0, 0].numpy()).save(tmp_path / "one.png")
    found = latents("invert", exported, tmp_path / "one.png", "--steps", 10, "--out", tmp_path / "found")
    assert found["search"].startswith("black box")
    assert found["generator_pictures"] > 10
    assert found["errors"]["psnr"]["value"] > found["before_the_search"]["psnr"]["value"]
    assert "give pictures" in latents("invert", exported, "--out", tmp_path / "none", status=2)
