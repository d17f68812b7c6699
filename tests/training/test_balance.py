"""What losses say in words is right for every objective, and raises no alarm at healthy runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparring.adversarial.objectives import OBJECTIVES
from sparring.training.balance import reading

RELATIVISTIC = OBJECTIVES["relativistic"]
TRACES: dict[str, Any] = json.loads((Path(__file__).parent / "healthy.json").read_text())
OTHERS = {
    "digits, minimax": "minimax",
    "digits, non-saturating-r1": "non-saturating",
    "digits, spectral-hinge": "hinge",
    "digits, wgan-gp": "wasserstein",
}
"""Runs of another objective than relativistic pairing."""


def line(loss: float = 0.4, made: float = 1.2, accuracy: float = 0.9, **others: float) -> dict[str, float]:
    level = {"discriminator_gradient": 1.0, "generator_gradient": 1.0, "penalty_strength": 1.0}
    return {"discriminator_loss": loss, "generator_loss": made, "accuracy": accuracy} | level | others


@pytest.mark.parametrize("name", TRACES)
def test_healthy_runs_raise_no_alarm(name: str) -> None:
    columns, rows = TRACES[name]["columns"], TRACES[name]["rows"]
    looks = [{key: value for key, value in zip(columns, row, strict=True) if value is not None} for row in rows]
    lines = [look | {"accuracy": (1 + look["sign"]) / 2} for look in looks]
    said = reading(OBJECTIVES[OTHERS.get(name, "relativistic")], lines)
    assert "gradients have not grown much since early on" in said and "but the" not in said
    assert (" ahead" in said) is (OTHERS.get(name) != "wasserstein")


@pytest.mark.parametrize(
    ("objective", "losses"),
    [
        ("relativistic", "both would be 0.693"),
        ("non-saturating", "they would be 1.39 and 0.693"),
        ("minimax", "they would be 1.39 and -0.693"),
        ("least-squares", "they would be 0.25 and 0.125"),
        ("hinge", "they would be 2 and 0 "),
    ],
)
def test_losses_stand_beside_those_of_no_opinion(objective: str, losses: str) -> None:
    """By hand: log 2 = .693 for each term of a cross-entropy, (1/2)^2 / 2 of a square, 1 of a margin."""
    assert losses in reading(OBJECTIVES[objective], [line()])


@pytest.mark.parametrize(
    ("loss", "accuracy", "words"),
    [
        (0.69, 0.52, "right 52 % of the time: the players are even"),
        (0.68, 0.96, "right 96 % of the time: by small margins, as a strong penalty has it"),
        (0.68, 0.8, "right 80 % of the time: it is ahead by little"),
        (0.3, 0.97, "right 97 % of the time: it is far ahead"),
        (0.4, 0.9, "right 90 % of the time: it is ahead, which alone is no fault"),
        (0.01, 0.999, "it hardly errs"),
        (0.9, 0.45, "it errs more gravely than it is right"),
    ],
)
def test_what_loss_and_accuracy_mean_together(loss: float, accuracy: float, words: str) -> None:
    assert words in reading(RELATIVISTIC, [line(loss, accuracy=accuracy)])


def test_a_critic_has_no_loss_without_an_opinion_and_no_accuracy() -> None:
    """All its logits may be shifted alike, and so the share of them above 0 tells nothing."""
    said = reading(OBJECTIVES["wasserstein"], [line(-1.8, accuracy=0.5)])
    assert "loss is -1.8: it ranks real samples above generated ones by that much" in said
    assert "50 %" not in said and "opinion" not in said
    assert "above 0: for now it ranks generated samples above real ones" in reading(
        OBJECTIVES["wasserstein"], [line(0.3)]
    )


def test_the_discriminator_draws_ahead_where_its_loss_falls_and_the_generators_rises() -> None:
    ahead = "has drawn further ahead (its loss fell, the generator's rose)"
    assert ahead in reading(RELATIVISTIC, [*[line(0.6, 0.8)] * 27, *[line(0.4, 1.2)] * 3])
    assert ahead not in reading(RELATIVISTIC, [*[line(0.6, 1.2)] * 27, *[line(0.4, 1.2)] * 3])
    assert ahead not in reading(RELATIVISTIC, [*[line(0.4, 1.4)] * 27, *[line(0.6, 1.2)] * 3])


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({}, "what slopes cost (R1 1, R2 2) and gradients have not grown much since early on"),
        ({"generator_gradient": 20.0}, "but the generator's gradient has grown 20 times"),
        ({"r1": 30.0}, "but R1, weighed by its strength, has grown 30 times"),
        (
            {"r1": 30.0, "penalty_strength": 0.1},
            "what slopes cost (R1 30, R2 2) and gradients have not grown much since early on",
        ),
    ],
)
def test_what_grows_is_said_unless_a_weaker_penalty_lets_it(now: dict[str, float], words: str) -> None:
    slopes = {"r1": 1.0, "r2": 2.0}
    assert words in reading(RELATIVISTIC, [*[line(**slopes)] * 27, *[line(**slopes | now)] * 3])


def test_nothing_is_said_where_there_was_no_game() -> None:
    assert reading(RELATIVISTIC, []) == ""
    assert reading(RELATIVISTIC, [{"images": 100, "generator_loss": 3.0, "generator_gradient": 1.0}]) == ""


def test_a_loss_that_is_not_the_objectives_is_not_compared() -> None:
    said = reading(RELATIVISTIC, [line(0.4, -0.02)], compared=False)
    assert "loss is 0.4, where it would be 0.693" in said and "-0.02" not in said
