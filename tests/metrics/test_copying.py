"""Copying, against hand-computed cases and what symmetry says about fresh samples."""

import numpy as np
import pytest
import torch
from scipy.special import betainc

from sparring.errors import MetricError
from sparring.metrics import manifold
from sparring.metrics.copying import closeness, copies, expected_memorisation, memorisation, suspects


def column(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def test_memorisation_by_hand():
    # Nearest others of the real 0, 1, 4 are 1, 1 and 3 away.
    close = closeness(column(0.2, 0.5, 5.0, 8.0), column(0.0, 1.0, 4.0))
    # 0.2 and 0.5 are nearer to 0 than 1 is, 5 is nearer to 4 than 1 is; 8 is further from 4 than 1 is.
    assert memorisation(close).value == 0.75
    assert close.nearest.tolist() == [0, 0, 2, 2]
    assert close.spacing.tolist() == [1.0, 1.0, 3.0, 3.0]
    # 0 and 1 are nearest to each other; the nearest of 4 is 1, whose nearest is 0.
    assert expected_memorisation(close) == pytest.approx(2 / 3)


def test_as_far_as_the_neighbour_is_not_memorised():
    assert memorisation(closeness(column(-1.0), column(0.0, 1.0))).value == 0.0


def test_duplicates_in_training_count_once():
    real = column(0.0, 0.0, 1.0, 4.0, 4.0, -0.0)
    fake = column(0.2, 0.5, 5.0, 8.0)
    close, once = closeness(fake, real), closeness(fake, column(0.0, 1.0, 4.0))
    assert memorisation(close) == memorisation(once)
    assert expected_memorisation(close) == expected_memorisation(once)
    assert close.nearest.tolist() == [0, 0, 3, 3]


def test_suspects_come_most_suspicious_first():
    fake, real, ratio = suspects(closeness(column(0.2, 5.0, 4.0, 8.0), column(0.0, 1.0, 4.0)), 3)
    assert fake.tolist() == [2, 0, 1]
    assert real.tolist() == [2, 0, 2]
    assert ratio.tolist() == pytest.approx([0.0, 0.2, 1 / 3])


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_fresh_samples_are_memorised_as_often_as_henze_says(dimensions):
    generator = torch.Generator().manual_seed(dimensions)
    real, fresh = (torch.rand(6000, dimensions, generator=generator) for _ in range(2))
    # The ball around one of two mutual neighbours, over the union of both balls.
    expected = 1 / (2 - betainc((dimensions + 1) / 2, 0.5, 0.75))
    close = closeness(fresh, real)
    assert memorisation(close).value == pytest.approx(expected, abs=0.025)  # 4 standard errors
    assert expected_memorisation(close) == pytest.approx(expected, abs=0.025)


def test_expected_holds_where_a_few_samples_are_neighbours_of_most():
    generator = torch.Generator().manual_seed(5)
    real = torch.randn(1000, 64, generator=generator)
    close = closeness(torch.randn(4000, 64, generator=generator), real)
    assert expected_memorisation(close) < 0.3  # far from the half of endless samples
    assert memorisation(close).value == pytest.approx(expected_memorisation(close), abs=0.04)


def test_noisy_copies_are_memorised():
    generator = torch.Generator().manual_seed(6)
    real = torch.randn(300, 8, generator=generator)
    fake = real[:200] + 0.01 * torch.randn(200, 8, generator=generator)
    assert memorisation(closeness(fake, real)).value == 1.0


def test_interval_covers_endless_samples_of_the_same_training():
    generator = torch.Generator().manual_seed(7)
    real = torch.randn(100, 3, generator=generator)
    truth = memorisation(closeness(torch.randn(40_000, 3, generator=generator), real)).value
    estimates = [memorisation(closeness(torch.randn(150, 3, generator=generator), real)) for _ in range(100)]
    assert sum(estimate.low <= truth <= estimate.high for estimate in estimates) >= 90


def test_copies_are_told_from_new_samples():
    generator = torch.Generator().manual_seed(2)
    real, new = torch.rand(300, 16, generator=generator), torch.rand(90, 16, generator=generator)
    none = copies(closeness(new, real))
    assert none.value == none.low == 0.0
    assert 0 < none.high < 0.05
    noisy = real[:10] + 0.001 * torch.randn(10, 16, generator=generator)
    some = copies(closeness(torch.cat([new, noisy]), real))
    assert some.value == pytest.approx(0.1)
    assert some.low < 0.1 < some.high


def test_copies_are_found_when_the_real_ones_come_twice():
    real = torch.rand(50, 16, generator=torch.Generator().manual_seed(3))
    assert copies(closeness(real + 1e-4, torch.cat([real, real]))).value == 1.0


def test_copies_of_a_single_repeated_picture():
    close = closeness(torch.stack([torch.ones(4), torch.zeros(4)]), torch.ones(6, 4))
    assert copies(close).value == memorisation(close).value == 0.5
    assert suspects(close, 5)[2].tolist() == [0.0, np.inf]


def test_panels_change_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(8)
    fake, real = torch.randn(70, 6, generator=generator), torch.randn(60, 6, generator=generator)
    real = torch.cat([real, real[:7]])
    whole = closeness(fake, real)
    monkeypatch.setattr(manifold, "PANEL", 300)
    parts = closeness(fake, real)
    assert torch.equal(whole.distance, parts.distance)
    assert torch.equal(whole.nearest, parts.nearest)
    assert torch.equal(whole.spacings, parts.spacings)


def test_one_training_sample_has_no_scale():
    with pytest.raises(MetricError, match="one real sample; telling copies from others needs at least 2"):
        closeness(torch.zeros(3, 2), torch.zeros(1, 2))
