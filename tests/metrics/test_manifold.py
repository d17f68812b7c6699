"""Nearest-neighbour metrics against hand-computed cases and the reference implementation of Naeem et al. 2020."""

import numpy as np
import pytest
import torch

from sparring.errors import MetricError
from sparring.metrics import copies, manifold, nearest, neighbours, precision_recall_density_coverage


def test_by_hand_on_a_line():
    # k = 1: reach of the real 0, 1, 3 is 1, 1, 2; of the generated 0.5, 4, 9 it is 3.5, 3.5, 5.
    measured = precision_recall_density_coverage(
        torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.5], [4.0], [9.0]]), k=1
    )
    assert measured.precision == pytest.approx(2 / 3)  # 9 is in no ball
    assert measured.density == pytest.approx((2 + 1 + 0) / 3)  # 0.5 lies in the balls of 0 and 1, 4 in that of 3
    assert measured.recall == 1.0  # all three are within 3.5 of 0.5
    assert measured.coverage == 1.0


def test_a_point_on_the_edge_is_outside():
    measured = precision_recall_density_coverage(torch.tensor([[0.0], [2.0]]), torch.tensor([[-2.0], [9.0]]), k=1)
    assert (measured.precision, measured.density, measured.coverage) == (0.0, 0.0, 0.0)


def test_identical_sets():
    points = torch.arange(40.0).reshape(20, 2)  # small whole numbers: float64 is exact
    measured = precision_recall_density_coverage(points, points, k=5)
    assert (measured.precision, measured.recall, measured.coverage) == (1.0, 1.0, 1.0)


def test_disjoint_sets():
    points = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    measured = precision_recall_density_coverage(points, points + 100, k=5)
    assert (measured.precision, measured.recall, measured.density, measured.coverage) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("k", [1, 5])
def test_agrees_with_prdc_in_blocks(k, monkeypatch):
    prdc = pytest.importorskip("prdc")
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(150, 6)), rng.normal(0.3, 0.8, size=(120, 6))
    expected = prdc.compute_prdc(real, fake, nearest_k=k)
    monkeypatch.setattr(manifold, "BLOCK", 1000)  # blocks of 6 and 8 rows
    measured = precision_recall_density_coverage(real, fake, k)
    assert {name: getattr(measured, name) for name in expected} == pytest.approx(expected)


def test_nearest_finds_itself_at_exactly_zero():
    points = 1e4 + torch.rand(50, 8, generator=torch.Generator().manual_seed(1))
    distance, index = nearest(points, points)
    assert torch.equal(index, torch.arange(50))
    assert distance.eq(0).all()


def test_neighbours_come_nearest_first():
    distance, index = neighbours(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0], [9.0, 9.0]]), 2)
    assert index.tolist() == [[1, 0]]
    assert distance.tolist() == [[1.0, 5.0]]


def test_copies_are_told_from_new_samples():
    generator = torch.Generator().manual_seed(2)
    real, new = torch.rand(300, 16, generator=generator), torch.rand(90, 16, generator=generator)
    assert copies(new, real) == 0.0
    noisy = real[:10] + 0.001 * torch.randn(10, 16, generator=generator)
    assert copies(torch.cat([new, noisy]), real) == pytest.approx(0.1)


def test_copies_are_found_when_the_real_ones_come_twice():
    real = torch.rand(50, 16, generator=torch.Generator().manual_seed(3))
    assert copies(real + 1e-4, torch.cat([real, real])) == 1.0


def test_copies_of_a_single_repeated_picture():
    real = torch.ones(6, 4)
    assert copies(torch.stack([torch.ones(4), torch.zeros(4)]), real) == 0.5


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(5, 2), torch.zeros(9, 2), "5 real samples; 5 nearest neighbours need at least 6"),
        (torch.zeros(9, 2), torch.zeros(9, 3), "real samples have 2 features and fake samples 3"),
        (torch.zeros(9, 2), torch.full((9, 2), torch.nan), "fake features contain NaN"),
        (torch.zeros(9), torch.zeros(9, 2), r"real features have shape \(9,\)"),
    ],
)
def test_what_cannot_be_compared(real, fake, message):
    with pytest.raises(MetricError, match=message):
        precision_recall_density_coverage(real, fake)


def test_nothing_to_be_near_to():
    with pytest.raises(MetricError, match="0 reference samples"):
        nearest(torch.zeros(3, 2), torch.zeros(0, 2))
