"""Distances of pairs against full sums, closed forms and the jackknife by leaving out."""

import importlib
import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from sparring.errors import MetricError
from sparring.metrics.variety import diversity, pairwise_distance


def normals(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def test_by_hand():
    assert pairwise_distance(torch.tensor([[0.0], [1.0], [3.0]])).value == pytest.approx((1 + 3 + 2) / 3)


def test_value_and_jackknife_are_those_of_all_pairs(monkeypatch):
    (points,) = normals(0, (40, 5))
    # The package exports a function of the same name.
    monkeypatch.setattr(importlib.import_module("sparring.metrics.variety"), "PANEL", 100)
    estimate = pairwise_distance(points + 50)
    assert estimate.value == pytest.approx(pdist(points).mean(), abs=1e-9)
    without = np.array([pdist(np.delete(points.numpy(), i, 0)).mean() for i in range(40)])
    assert estimate.high - estimate.value == pytest.approx(1.959964 * math.sqrt(39 * without.var()), rel=1e-6)


def test_intervals_cover_the_closed_forms():
    # |x - y| of normals in d dimensions: 2 Gamma((d + 1) / 2) / Gamma(d / 2).
    truth = 2 * math.gamma(2) / math.gamma(1.5)
    draws = [normals(seed, (60, 3), (40, 3)) for seed in range(100)]
    alone = [pairwise_distance(real) for real, _ in draws]
    assert sum(estimate.low <= truth <= estimate.high for estimate in alone) >= 90
    ratios = [diversity(real, 0.3 * fake) for real, fake in draws]
    assert sum(estimate.low <= 0.3 <= estimate.high for estimate in ratios) >= 90
    assert np.mean([estimate.high - estimate.low for estimate in ratios]) < 0.15


def test_a_generator_that_makes_one_sample_has_no_variety():
    (real,) = normals(1, (30, 4))
    measured = diversity(real, torch.full((20, 4), 0.1))
    assert (measured.value, measured.low, measured.high) == (0.0, 0.0, 0.0)


def test_what_has_no_variety_to_compare_with():
    with pytest.raises(MetricError, match="all real samples are the same"):
        diversity(torch.full((5, 2), 0.1), torch.zeros(5, 2))
    with pytest.raises(MetricError, match="2 generated samples; at least 3"):
        pairwise_distance(torch.zeros(2, 2))
