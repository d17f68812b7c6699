from pathlib import Path

import pytest
import torch
from tests.latents.conftest import untrained

from sparring import Model, SettingError
from sparring.latents import encoding
from sparring.latents.encoding import encoder_for
from sparring.latents.inversion import invert, pace
from sparring.latents.likeness import Errors, Likeness, space_for


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_a_generators_own_samples_are_found_again(model: Model) -> None:
    pictures = model.sample(4, seed=9)
    found = invert(model, pictures, names(4), Likeness("pixels", "cpu"), steps=120)
    assert min(found.errors.psnr) > 45
    assert (torch.tensor(found.errors.psnr) > torch.tensor(found.begun.psnr)).all()
    assert torch.equal(found.points.pictures(model), found.pictures)
    again = invert(model, pictures, names(4), Likeness("pixels", "cpu"), steps=120)
    assert torch.equal(again.points.z, found.points.z)


def test_the_class_is_found_too(conditional: Model) -> None:
    pictures = conditional.sample(6, seed=9)
    found = invert(conditional, pictures, names(6), Likeness("pixels", "cpu"), steps=120, starts=4)
    assert sum(found.errors.psnr) / 6 > 45
    given = invert(conditional, pictures, names(6), Likeness("pixels", "cpu"), label=2, steps=0)
    assert given.points.classes is not None
    assert given.points.classes.argmax(1).tolist() == [2] * 6


def test_features_lead_to_a_colour_picture() -> None:
    model = untrained("fast", (3, 32, 32))
    pictures = model.sample(1, seed=2)
    likeness = Likeness(space_for((3, 32, 32), None), "cpu")
    found = invert(model, pictures, names(1), likeness, steps=30, starts=2)
    assert found.errors.perceptual is not None and found.begun.perceptual is not None
    assert found.errors.perceptual[0] < found.begun.perceptual[0]
    assert set(found.errors.means()) == {"psnr", "perceptual"}


def test_an_encoder_guesses_better_than_the_nearest_sample_and_is_kept(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path / "generator.safetensors")
    encoder, kept = encoder_for(model, tmp_path, steps=150)
    assert not kept
    pictures = model.sample(16, seed=9)
    likeness = Likeness("pixels", "cpu")
    without = invert(model, pictures, names(16), likeness, steps=0)
    found = invert(model, pictures, names(16), likeness, steps=0, encoder=encoder)
    assert found.start.count("encoder") > 8
    assert found.errors.means()["psnr"].value > without.errors.means()["psnr"].value + 3
    again, kept = encoder_for(model, tmp_path / "generator.safetensors", steps=150)
    assert kept
    assert torch.equal(again.guess(pictures)[0], encoder.guess(pictures)[0])
    other = untrained("fast", classes=("a", "b"))
    other.save(tmp_path / "generator.safetensors")
    monkeypatch.setattr(encoding, "BATCH", 2)
    _, kept = encoder_for(other, tmp_path, steps=1)
    assert not kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder.safetensors", "generator.safetensors"]


def test_the_learning_rate_rises_and_falls() -> None:
    assert [pace(at) for at in (0, 0.025, 0.05, 0.5, 0.75, 1)] == pytest.approx([0, 0.5, 1, 1, 1, 0])


def test_equal_pictures_have_no_infinite_error(model: Model) -> None:
    pictures = model.sample(2)
    errors = Errors.of(Likeness("pixels", "cpu"), pictures, pictures)
    assert errors.psnr == pytest.approx([54.15, 54.15], abs=0.01)


def test_pictures_of_another_shape_are_refused(model: Model) -> None:
    with pytest.raises(SettingError, match="1x8x8"):
        invert(model, torch.zeros(1, 3, 8, 8, dtype=torch.uint8), ["x"], Likeness("pixels", "cpu"))
    with pytest.raises(SettingError, match="steps"):
        invert(model, model.sample(1), ["x"], Likeness("pixels", "cpu"), steps=-1)
