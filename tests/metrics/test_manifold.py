"""Nearest-neighbour metrics against hand-computed cases, plain float64, and the reference of Naeem et al. 2020."""

import math

import numpy as np
import pytest
import torch

from sparring.errors import MetricError
from sparring.metrics import manifold, nearest, neighbours, precision_recall_density_coverage
from sparring.metrics.manifold import manifold_estimates, other_neighbours, share

NAMES = ("precision", "recall", "density", "coverage")


def normals(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def plain(real, fake, k):
    """The definitions on full matrices of float64 distances of the differences."""
    real_real, fake_fake, across = (
        torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
        for a, b in ((real, real), (fake, fake), (real, fake))
    )
    # Column 0 is the sample itself.
    real_reach, fake_reach = (matrix.sort(1).values[:, k] for matrix in (real_real, fake_fake))
    inside = across < real_reach[:, None]
    return {
        "precision": float(inside.any(0).double().mean()),
        "recall": float((across < fake_reach).any(1).double().mean()),
        "density": float(inside.double().sum() / (k * len(fake))),
        "coverage": float(inside.any(1).double().mean()),
    }


def values(measured):
    return {name: getattr(measured, name) for name in NAMES}


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


def test_a_copy_of_the_neighbour_is_on_the_edge_whatever_the_numbers():
    (real,) = normals(0, (200, 7))
    _, index = other_neighbours(real, 5)
    # Each generated sample is the fifth neighbour of a real one, at its reach to the last bit.
    fake = real[index[:, 4]]
    assert values(precision_recall_density_coverage(real, fake)) == plain(real, fake, 5)


def test_identical_sets():
    points = torch.arange(40.0).reshape(20, 2)  # small whole numbers: float64 is exact
    measured = precision_recall_density_coverage(points, points, k=5)
    assert (measured.precision, measured.recall, measured.coverage) == (1.0, 1.0, 1.0)


def test_disjoint_sets():
    points = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    measured = manifold_estimates(points, points + 100, k=5)
    for name in NAMES:
        estimate = getattr(measured, name)
        assert estimate.value == estimate.low == 0.0
        assert 0.05 < estimate.high < 0.5


@pytest.mark.parametrize("k", [1, 5])
def test_agrees_with_prdc_in_panels(k, monkeypatch):
    prdc = pytest.importorskip("prdc")
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(150, 6)), rng.normal(0.3, 0.8, size=(120, 6))
    expected = prdc.compute_prdc(real, fake, nearest_k=k)
    monkeypatch.setattr(manifold, "PANEL", 1000)  # panels of 6 and 8 rows
    measured = precision_recall_density_coverage(real, fake, k)
    assert values(measured) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda real, fake: (real, fake),
        lambda real, fake: (real + 1e6, fake + 1e6),
        lambda real, fake: (real * 1e-20, fake * 1e-20),
        lambda real, fake: (real, 3 + fake * 1e-7),  # a collapsed generator: float32 cannot tell its samples apart
        lambda real, fake: (real, torch.cat([1e5 * torch.ones_like(fake[:1]), fake[1:]])),  # an outlier
        lambda real, fake: (real.round(), fake.round()),  # many ties
        lambda real, fake: (torch.cat([real, real]), fake),
        lambda real, fake: (real * 1e-4 + 3 * (real > 0), fake * 1e-4 + 3 * (fake > 0)),  # 16 tight modes
        lambda real, fake: (real, real[:100]),
    ],
)
def test_agrees_with_plain_float64_on_hard_points(spoil):
    real, fake = spoil(*normals(1, (180, 4), (160, 4)))
    assert values(precision_recall_density_coverage(real, fake)) == plain(real, fake, 5)


def test_a_generator_that_makes_one_sample():
    real, _ = normals(2, (60, 3), (1, 3))
    fake = torch.zeros(50, 3, dtype=torch.float64)
    assert values(precision_recall_density_coverage(real, fake)) == plain(real, fake, 5)


def test_precision_of_products_for_training_changes_nothing():
    real, fake = normals(3, (100, 16), (100, 16))
    expected = plain(real, fake, 5)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert values(precision_recall_density_coverage(real, fake)) == expected
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("rounded", [False, True])
def test_standard_errors_are_those_of_leaving_out_each_sample(rounded):
    real, fake = normals(4, (30, 3), (25, 3))
    fake = 0.8 * fake + 0.5
    if rounded:
        real, fake = real.round(), fake.round()
    k, everything = 3, plain(real, fake, 3)
    less_real = [plain(torch.cat([real[:i], real[i + 1 :]]), fake, k) for i in range(30)]
    less_fake = [plain(real, torch.cat([fake[:i], fake[i + 1 :]]), k) for i in range(25)]
    measured = manifold_estimates(real, fake, k)
    for name in NAMES:
        sides = [np.array([other[name] for other in less]) for less in (less_real, less_fake)]
        variance = sum((len(side) - 1) * side.var() for side in sides)
        estimate, value = getattr(measured, name), everything[name]
        assert estimate.value == value
        if name == "density":
            half = math.exp(1.959964 * math.sqrt(variance) / value)
            assert (estimate.low, estimate.high) == pytest.approx((value / half, value * half))
        else:
            worth = min(12.5, value * (1 - value) / variance)
            assert (estimate.low, estimate.high) == pytest.approx((share(value, worth).low, share(value, worth).high))


def test_a_share_has_the_interval_of_wilson():
    # The roots p of (share - p)^2 = z^2 p (1 - p) / n, for 3 of 10 and 0 of 10.
    assert (share(0.3, 10).low, share(0.3, 10).high) == pytest.approx((0.10779, 0.60322), abs=1e-5)
    assert (share(0.0, 10).low, share(0.0, 10).high) == pytest.approx((0.0, 0.27753), abs=1e-5)


def test_density_and_coverage_of_alike_sets_are_as_expected():
    """Naeem et al. 2020: density 1; coverage 1 - (N - 1)...(N - k) / ((N + M - 1)...(N + M - k))."""
    n, m, k, draws = 120, 80, 5, 100
    expected = {"density": 1.0, "coverage": 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))}
    measured = [manifold_estimates(*normals(seed, (n, 4), (m, 4)), k) for seed in range(draws)]
    for name, truth in expected.items():
        estimates = [getattr(one, name) for one in measured]
        spread = np.std([estimate.value for estimate in estimates])
        assert np.mean([estimate.value for estimate in estimates]) == pytest.approx(truth, abs=3 * spread / 10)
        assert sum(estimate.low <= truth <= estimate.high for estimate in estimates) >= 90
        # Not at any price. The jackknife is known to err on the wide side.
        assert np.mean([estimate.high - estimate.low for estimate in estimates]) < 3 * 2 * 1.96 * spread


def test_intervals_of_precision_and_recall_cover_their_mean():
    measured = [
        manifold_estimates(real, 0.8 * fake + 0.5)
        for real, fake in (normals(seed, (100, 2), (100, 2)) for seed in range(100))
    ]
    for name in ("precision", "recall"):
        estimates = [getattr(one, name) for one in measured]
        truth = np.mean([estimate.value for estimate in estimates])
        assert sum(estimate.low <= truth <= estimate.high for estimate in estimates) >= 90
        assert all(0 <= estimate.low <= estimate.value <= estimate.high <= 1 for estimate in estimates)


def test_nearest_finds_itself_at_exactly_zero():
    points = 1e4 + torch.rand(50, 8, generator=torch.Generator().manual_seed(1))
    distance, index = nearest(points, points)
    assert torch.equal(index, torch.arange(50))
    assert distance.eq(0).all()


def test_neighbours_come_nearest_first():
    distance, index = neighbours(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0], [9.0, 9.0]]), 2)
    assert index.tolist() == [[1, 0]]
    assert distance.tolist() == [[1.0, 5.0]]


@pytest.mark.parametrize("spread", [1.0, 1e-6, 1e-13])
def test_neighbours_are_those_of_all_distances(spread, monkeypatch):
    # Far from the centre of both, float32, then float64 products cannot tell the points apart.
    left, right = normals(5, (90, 5), (90, 5))
    points = torch.cat([spread * left - 1, spread * right + 1])
    monkeypatch.setattr(manifold, "PANEL", 2000)
    expected = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    distance, index = other_neighbours(points, 4)
    assert torch.equal(distance, expected.sort(1).values[:, :4])
    assert torch.equal(expected.gather(1, index), distance)
    distance, index = neighbours(points[:70], points, 3)
    assert torch.equal(distance[:, 1:], expected[:70].sort(1).values[:, :2])


def test_no_queries():
    distance, index = neighbours(torch.zeros(0, 3), torch.zeros(4, 3), 2)
    assert distance.shape == index.shape == (0, 2)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(5, 2), torch.zeros(9, 2), "5 real samples; 5 nearest neighbours need at least 6"),
        (torch.zeros(9, 2), torch.zeros(9, 3), "real samples have 2 features and generated samples 3"),
        (torch.zeros(9, 2), torch.full((9, 2), torch.nan), "generated features contain NaN"),
        (torch.zeros(9), torch.zeros(9, 2), r"real features have shape \(9,\)"),
    ],
)
def test_what_cannot_be_compared(real, fake, message):
    with pytest.raises(MetricError, match=message):
        precision_recall_density_coverage(real, fake)


def test_nothing_to_be_near_to():
    with pytest.raises(MetricError, match="0 reference samples"):
        nearest(torch.zeros(3, 2), torch.zeros(0, 2))
