from typing import Any

import pytest
import torch
from tests.test_config import VALUES

from sparring import config, data
from sparring.adversarial.player import Player
from sparring.tasks.generate import Generate
from sparring.training.match import Groups, Match


def match(**given: Any) -> Match:
    settings = config.complete(VALUES | given)
    pictures = data.load("digits", resolution=settings.resolution, labels=settings.labels)
    return Match(settings, pictures, Generate(settings, pictures))


def descending(game: Match) -> Match:
    """With plain gradient descent at rate 1, a step shows the gradients themselves."""
    for player in (game.generator, game.discriminator):
        player.optimizer = torch.optim.SGD(player.module.parameters(), 1.0)
        player.optimizer.param_groups[0]["betas"] = ()
    return game


def weights(player: Player) -> torch.Tensor:
    return torch.cat([parameter.detach().double().flatten() for parameter in player.module.parameters()])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        # Half a cosine: at the start, in the middle, at the end of 960 images.
        (0, {"learning_rate": 1e-3, "beta2": 0.9, "penalty_strength": 1.0, "augment_p": 0.0}),
        (480, {"learning_rate": 5.5e-4, "beta2": 0.945, "penalty_strength": 0.55, "ema_half_life": 24.0}),
        (960, {"learning_rate": 1e-4, "beta2": 0.99, "penalty_strength": 0.1, "ema_half_life": 48.0}),
        (96_000, {"learning_rate": 1e-4, "ema_half_life": 500.0}),
    ],
)
def test_schedules_follow_the_images_shown(images: int, expected: dict[str, float]) -> None:
    game = match()
    game.state.images = images
    assert {name: game.schedule()[name] for name in expected} == pytest.approx(expected)


def test_with_minutes_they_follow_the_time() -> None:
    game = match(images=None, minutes=2.0)
    game.state.seconds = 60
    assert game.progress == 0.5
    assert game.schedule()["learning_rate"] == pytest.approx(5.5e-4)


def test_a_lazy_penalty_acts_every_so_many_steps_that_many_times_as_strong() -> None:
    """D's update is linear in gamma: what a lazy step adds to the bare one is three times what an eager one adds."""
    moves = {}
    for name, given in {
        "none": {"penalty": "none"},
        "eager": {},
        "lazy": {"penalty_interval": 3},
    }.items():
        game = descending(match(learning_rate=1.0, learning_rate_final=1.0, penalty_strength_final=1.0, **given))
        before = weights(game.discriminator)
        terms = game.play()
        moves[name] = weights(game.discriminator) - before
        assert ("r1" in terms) == (name != "none")
        assert ("r1" in game.play()) == (name == "eager")
    eager, lazy = moves["eager"] - moves["none"], moves["lazy"] - moves["none"]
    torch.testing.assert_close(lazy, 3 * eager, atol=1e-6, rtol=1e-4)


def test_the_learning_rate_and_beta2_reach_both_optimisers() -> None:
    game = match()
    game.state.images = 480
    game.play()
    for player in (game.generator, game.discriminator):
        (group,) = player.optimizer.param_groups
        assert group["lr"] == pytest.approx(5.5e-4)
        assert group["betas"] == pytest.approx((0.0, 0.945))


def test_the_average_follows_the_generator_with_its_half_life() -> None:
    game = match(ema_ramp=1.0, ema_half_life=32.0)
    before = torch.cat([p.flatten() for p in game.average.parameters()]).double()
    game.play()
    after = torch.cat([p.flatten() for p in game.average.parameters()]).double()
    # One batch of 32 is one half-life: half of the way.
    torch.testing.assert_close(after, (before + weights(game.generator)) / 2, atol=1e-7, rtol=1e-5)


def test_weights_that_are_not_finite_are_noticed() -> None:
    game = match()
    assert game.is_sound()
    with torch.no_grad():
        next(game.generator.module.parameters()).view(-1)[0] = torch.inf
    assert not game.is_sound()


def test_the_discriminator_alone_goes_back_with_the_memory_of_its_optimiser() -> None:
    def copied() -> Groups:
        return {name: {key: value.clone() for key, value in group.items()} for name, group in game.tensors().items()}

    game = match()
    game.play()
    saved = copied()
    game.play()
    played, state = copied(), game.snapshot()
    game.restore_discriminator(saved)
    for name, group in copied().items():
        expected, other = (saved, played) if name.startswith("discriminator") else (played, saved)
        assert group.keys() == expected[name].keys()
        assert all(torch.equal(value, expected[name][key]) for key, value in group.items())
        assert not all(torch.equal(value, other[name][key]) for key, value in group.items())
    assert any(name.endswith("exp_avg_sq") for name in saved["discriminator-optimizer"])
    assert game.snapshot() == state
    game.play()
    assert game.is_sound()
