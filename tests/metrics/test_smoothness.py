"""Perceptual path length against closed forms for linear generators."""

import math

import pytest
import torch

from sparring.errors import MetricError
from sparring.metrics.smoothness import path_length, slerp, trimmed_mean


def squared(a, b):
    return (a - b).square().flatten(1).sum(1)


def linear(matrix):
    return lambda z: (z @ matrix.T)[:, :, None, None]


def test_of_the_identity_in_two_dimensions():
    """On a circle of radius sqrt(2) the speed is sqrt(2) times the angle between the ends, uniform in 0 to pi."""
    # The mean of 2 angle^2 between its 1st and 99th percentile.
    truth = 2 * math.pi**2 * (0.99**3 - 0.01**3) / (3 * 0.98)
    measured = [path_length(linear(torch.eye(2)), squared, 2, 400, seed, batch=400) for seed in range(100)]
    assert sum(estimate.low <= truth <= estimate.high for estimate in measured) >= 90
    # The standard deviation of 2 angle^2 is 2 pi^2 sqrt(1/5 - 1/9).
    width = 2 * 1.96 * 2 * math.pi**2 * math.sqrt(1 / 5 - 1 / 9) / 20
    assert measured[0].high - measured[0].low == pytest.approx(width, rel=0.15)


def test_of_a_matrix_is_its_squared_norm_times_the_mean_squared_angle():
    """E |A v|^2 over directions v is |A|^2 / D; between random directions in 3-D E angle^2 is (pi^2 - 4) / 2."""
    matrix = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, -0.5], [0.3, 0.0, 1.0], [1.0, 1.0, 1.0]])
    truth = float(matrix.square().sum()) * (math.pi**2 - 4) / 2
    measured = path_length(linear(matrix), squared, 3, 20_000, seed=0, batch=5000)
    # Trimming both ends of a skewed distribution takes about 1 % off its mean.
    assert measured.value == pytest.approx(truth, rel=0.03)
    assert 0 < measured.high - measured.low < 0.06 * truth


def test_batches_and_epsilon_hardly_matter():
    matrix = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    whole = path_length(linear(matrix), squared, 8, 200, seed=2, batch=200)
    coarse = path_length(linear(matrix), squared, 8, 200, seed=2, batch=200, epsilon=1e-3)
    assert coarse.value == pytest.approx(whole.value, rel=0.01)
    again = path_length(linear(matrix), squared, 8, 200, seed=2, batch=200)
    assert again == whole != path_length(linear(matrix), squared, 8, 200, seed=3, batch=200)


def test_slerp_keeps_to_the_sphere_at_constant_speed():
    a, b = torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    ends = [slerp(a, b, torch.full((50, 1), t, dtype=torch.float64)) for t in (0.0, 0.25, 1.0)]
    for point in ends:
        assert point.norm(dim=1).tolist() == pytest.approx([math.sqrt(6)] * 50)
    for point, end in ((ends[0], a), (ends[2], b)):
        assert torch.cosine_similarity(point, end).tolist() == pytest.approx([1.0] * 50)
    quarter = torch.arccos(torch.cosine_similarity(ends[0], ends[1]))
    assert quarter.tolist() == pytest.approx((torch.arccos(torch.cosine_similarity(a, b)) / 4).tolist())


def test_trimmed_mean_by_hand():
    values = torch.arange(1.0, 201.0)
    values[-1] = 1e9
    # Two of 200 on each side go: 3 to 198 are left.
    measured = trimmed_mean(values)
    assert measured.value == pytest.approx(100.5)
    winsorized = values.clamp(3, 198).double()
    half = 1.959964 * float(winsorized.std()) / (0.98 * math.sqrt(200))
    assert (measured.low, measured.high) == pytest.approx((100.5 - half, 100.5 + half))


def test_a_generator_that_ignores_its_latent_has_no_length():
    measured = path_length(lambda z: torch.ones(len(z), 1, 2, 2), squared, 4, 100, seed=0)
    assert (measured.value, measured.low, measured.high) == (0.0, 0.0, 0.0)


def test_what_has_no_length():
    with pytest.raises(MetricError, match="50 steps"):
        path_length(linear(torch.eye(2)), squared, 2, 50, seed=0)
    with pytest.raises(MetricError, match="NaN or infinity"):
        path_length(linear(torch.full((2, 2), torch.inf)), squared, 2, 100, seed=0)
