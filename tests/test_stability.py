"""The benchmark of mode collapse: games played at once are the games one by one, and it counts right."""

import cmath
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.randomness import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from dirac import START, Dirac
from stability import means
from stacked import Coverage, Digits, Reader, coverage
from toys import Mixture, Recipe, Seeds, Verdict, grid, ring

SMALL = Recipe(objective="non-saturating", width=8, depth=2, batch=16, steps=5)


@pytest.mark.parametrize("penalty", ["none", "r1+r2", "wgan-gp"])
def test_a_seed_among_others_gets_the_weights_that_it_gets_alone(penalty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The engine draws WGAN-GP's interpolation by place in the batch, which is another place among others.
    monkeypatch.setattr(Random, "uniform", lambda random, *_: torch.full((random.count,), 0.3))
    together, alone = (Seeds(replace(SMALL, penalty=penalty), grid(), seeds) for seeds in ([3, 5, 8], [5]))
    for games in (together, alone):
        for _ in range(SMALL.steps):
            games.play()
    for ours, mine in (
        (together.generator.module, alone.generator.module),
        (together.discriminator.module, alone.discriminator.module),
        (together.average, alone.average),
    ):
        for all_seeds, one in zip(ours.parameters(), mine.parameters(), strict=True):
            torch.testing.assert_close(all_seeds[1], one[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mixture", [ring(), grid()])
def test_perfect_samples_find_all_modes_and_miss_by_chance_alone(mixture: Mixture) -> None:
    """In the plane a Gaussian has exp(-r^2 / 2) of its mass beyond r deviations."""
    found = mixture.judge(mixture.draw(100_000, torch.Generator().manual_seed(0)))
    assert found.modes == len(mixture.centres)
    assert found.quality == pytest.approx(1 - math.exp(-4.5), abs=0.001)
    assert found.core == pytest.approx(1 - math.exp(-0.5), abs=0.005)


def test_one_point_is_one_mode_and_far_points_are_none() -> None:
    assert ring().judge(torch.tensor([[1.0, 0.0]]).expand(50, 2)) == Verdict(1, 1.0, 1.0)
    assert grid().judge(torch.full((50, 2), 100.0)) == Verdict(0, 0.0, 0.0)


@pytest.mark.parametrize(
    "objective, slope",
    [
        *[("minimax", 0.5), ("non-saturating", 0.5), ("least-squares", 0.5), ("relativistic", 0.5)],
        *[("wasserstein", 1.0), ("hinge", 1.0)],
    ],
)
@pytest.mark.parametrize("penalty, strength", [("none", 0.0), ("r1", 0.4), ("r2", 0.4), ("r1+r2", 0.8)])
def test_eigenvalues_are_those_of_the_paper(objective: str, slope: float, penalty: str, strength: float) -> None:
    """-g/2 +- sqrt(g^2/4 - f'^2): Mescheder et al. 2018, without a penalty and with R1 or R2."""
    root = cmath.sqrt(strength**2 / 4 - slope**2)
    found = Dirac(objective, penalty, gamma=0.4).eigenvalues()
    assert sorted(found, key=lambda value: value.imag) == pytest.approx(
        [-strength / 2 - root, -strength / 2 + root], abs=1e-5
    )


def test_the_engine_moves_the_discriminator_then_the_generator() -> None:
    """Wasserstein with R1, by hand: psi += h (-theta - g psi), then theta += h psi."""
    theta, psi = START
    for _ in range(3):
        psi += 0.1 * (-theta - 0.4 * psi)
        theta += 0.1 * psi
    found = Dirac("wasserstein", "r1", gamma=0.4).alternating(rate=0.1, steps=3)
    torch.testing.assert_close(found, torch.tensor([theta, psi]))


def test_coverage_of_known_shares() -> None:
    """Uniform over all modes: 0. Uniform over k of 1,000: log(1000 / k)."""
    assert coverage(np.arange(1000).repeat(3)) == coverage(np.arange(1000))
    assert coverage(np.arange(1000)).divergence == pytest.approx(0)
    found = coverage(np.array([7, 8, 9, 9, 8, 7]))
    assert found.modes == 3
    assert found.divergence == pytest.approx(math.log(1000 / 3))


def test_several_seeds_have_means_and_ranges() -> None:
    made = [Coverage(998, 0.25), Coverage(1000, 0.05)]
    assert means(made) == "999.0 modes (998 to 1000), KL 0.150 (0.050 to 0.250)"


def test_stacked_digits_are_read_as_what_they_are() -> None:
    single = Digits.load(None)
    reader = Reader(single)
    assert reader.accuracy > 0.98
    three = single.images[[1, 2, 3]]
    assert reader.coverage(np.stack([np.moveaxis(three, 0, 2)] * 2)) == coverage(np.array([123, 123]))


def test_enlarged_digits_are_the_same_digits() -> None:
    """Reduced again by a mean over blocks they are where they were, and they are read as well."""
    single = Digits.load(None)
    large = single.enlarged(32)
    assert large.images.shape == (1797, 32, 32) and large.images.dtype == np.uint8
    assert np.array_equal(large.images, single.enlarged(32).images)
    reduced = large.images.reshape(-1, 8, 4, 8, 4).mean((2, 4))
    assert np.abs(reduced - single.images).mean() < 15  # 43 if they lay one pixel off
    reader = Reader(large)
    assert reader.accuracy > 0.98
    three = large.images[[1, 2, 3]]
    assert reader.coverage(np.moveaxis(three, 0, 2)[None]) == coverage(np.array([123]))
