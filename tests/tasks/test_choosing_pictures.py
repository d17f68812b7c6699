"""Pictures of which each is the one that the discriminator likes most of several."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import sparring
from sparring.errors import RunError, SettingError
from sparring.model import FILE, JUDGE, Model
from sparring.tasks import generate

CLASSES = generate.Blueprint("fast", (1, 8, 8), 8, 16, 1, ("a", "b"), (0.3, 0.7))


def model_of(blueprint: generate.Blueprint) -> Model:
    """Players with drawn weights."""
    torch.manual_seed(0)
    return Model(blueprint.generator(), blueprint, blueprint.judge())


@pytest.mark.parametrize("best_of", [3, 40])
def test_the_best_of_several_is_the_one_that_the_discriminator_likes_most(best_of: int) -> None:
    model = model_of(replace(CLASSES, classes=(), class_shares=()))
    assert model.judge is not None
    made = model.sample(6, seed=2, best_of=best_of)
    some = model.sample(6 * best_of, seed=2)
    liked = generate.scores(model.judge, some, None).view(6, best_of).argmax(1)
    assert torch.equal(made, some[torch.arange(6) * best_of + liked])
    assert torch.equal(model.sample(2, seed=2, best_of=best_of, start=3), made[3:5])


def test_a_sample_keeps_the_class_that_it_has_without_a_choice() -> None:
    model = model_of(CLASSES)
    made, labels = model.sample(6, seed=2, best_of=4), model.labels(6, seed=2)
    candidates = model.latents(24, seed=2)
    for picture, label, four in zip(made, labels, candidates.split(4), strict=True):
        of_class = model.decode(four, label.repeat(4))
        assert any(torch.equal(picture, one) for one in of_class)
    chosen = model.sample(3, seed=2, label="b", best_of=4)
    assert any(torch.equal(chosen[0], one) for one in model.decode(candidates[:4], "b"))


def test_a_run_keeps_what_chooses(tmp_path: Path) -> None:
    small = {"width": 16, "depth": 1, "z_dim": 8, "batch": 32, "quality_samples": 64, "device": "cpu"}
    sparring.train("digits", out=tmp_path / "run", images=64, **small)
    model = sparring.load(tmp_path / "run")
    assert not torch.equal(model.sample(4, best_of=4), model.sample(4))
    with pytest.raises(SettingError, match="at least 1"):
        model.sample(1, best_of=0)
    with pytest.raises(SettingError, match="temperature"):
        model.sample(1, temperature=2.0)
    with pytest.raises(SettingError, match=r"--top-p.* are for texts and molecules, .* makes pictures"):
        model.sample(1, top_p=0.9)
    (tmp_path / "run" / JUDGE).unlink()
    with pytest.raises(RunError, match="needs a discriminator"):
        sparring.load(tmp_path / "run" / FILE).sample(1, best_of=2)


def test_a_discriminator_with_pretrained_eyes_comes_back_as_it_was() -> None:
    blueprint = generate.Blueprint(
        "skip",
        (3, 16, 16),
        8,
        8,
        1,
        discriminator_features={"name": "lite0"},
        discriminator_size=32,
        spectral_norm=True,
    )
    pictures = torch.rand(4, 3, 16, 16) * 2 - 1
    features = generate.open_features("lite0")
    trained, again = blueprint.looking_through(features, pictures), blueprint.judge()
    again.load_state_dict(trained.state_dict())
    assert torch.equal(trained.eval()(pictures), again.eval()(pictures))
    with pytest.raises(SettingError, match=r"eyes\.pt, a file that is not kept"):
        replace(blueprint, discriminator_features={"name": "eyes.pt"}).judge()
