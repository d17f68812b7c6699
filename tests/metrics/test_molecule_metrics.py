import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from sparring.errors import MetricError
from sparring.metrics import molecules as metrics

A = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]], np.uint8)
B = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], np.uint8)


def test_similarities_by_hand() -> None:
    ((start, stop, rows),) = metrics.similarities(A, B)
    assert (start, stop) == (0, 3)
    assert rows.tolist() == [pytest.approx([2 / 3, 0]), pytest.approx([1 / 3, 0]), pytest.approx([1 / 4, 0])]
    ((_, _, empty),) = metrics.similarities(B[1:], B[1:])
    assert empty.item() == 1  # both without a bit, as in MOSES


def test_nearest_and_diversity_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    similarity, place = metrics.nearest_similarity(B, A)
    assert similarity.tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 4])
    assert place.tolist() == [0, 0, 0]
    assert metrics.snn(B, A).value == pytest.approx((2 / 3 + 1 / 3 + 1 / 4) / 3)
    # 1, 1/2, 0; 1/2, 1, 0; 0, 0, 1.
    assert metrics.internal_diversity(A).value == pytest.approx(1 - 4 / 9)
    roots = (2 * math.sqrt(1.25 / 3) + math.sqrt(1 / 3)) / 3
    assert metrics.internal_diversity(A, 2).value == pytest.approx(1 - roots)
    monkeypatch.setattr(metrics, "PANEL", 2)
    assert metrics.internal_diversity(A).value == pytest.approx(1 - 4 / 9)


def test_cosines_of_counts_by_hand() -> None:
    real, fake = [["a", "b"], ["a"]], [["a"], ["b", "c"], []]
    found = metrics.cosine_of_parts(real, fake)
    assert found.value == pytest.approx(3 / math.sqrt(5 * 3))
    assert metrics.cosine_of_parts(real, real).value == pytest.approx(1)
    assert metrics.cosine_of_parts([["a"]], [["b"]]).value == 0
    with pytest.raises(MetricError, match="no such part"):
        metrics.cosine_of_parts(real, [[]])


def test_wasserstein_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        real, fake = rng.normal(size=rng.integers(2, 60)), rng.normal(0.5, 2, size=rng.integers(2, 60))
        assert metrics.wasserstein(real, fake).value == pytest.approx(wasserstein_distance(real, fake))
    ties = np.array([0.0, 0, 1, 1]), np.array([1.0, 1, 1, 0])
    assert metrics.wasserstein(*ties).value == pytest.approx(0.25)
    with pytest.raises(MetricError, match="must be finite"):
        metrics.wasserstein(np.array([1.0, math.nan]), ties[0])


def covers(estimate: object, truth: float) -> bool:
    low, high = estimate.ends  # type: ignore[attr-defined]
    return bool(low <= truth <= high)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    distances, cosines, diversities = 0, 0, 0
    shares = rng.dirichlet(np.ones(8), 2)
    cosine = float(shares[0] @ shares[1] / np.linalg.norm(shares[0]) / np.linalg.norm(shares[1]))
    chances = rng.uniform(0.1, 0.6, 24)
    many = (rng.random((4000, 24)) < chances).astype(np.uint8)
    truth = metrics.internal_diversity(many).value
    for _ in range(100):
        distances += covers(metrics.wasserstein(rng.normal(size=200), rng.normal(1, 1, size=150)), 1.0)
        parts = [[[str(n)] for n in rng.choice(8, 300, p=p)] for p in shares]
        cosines += covers(metrics.cosine_of_parts(*parts), cosine)
        few = (rng.random((150, 24)) < chances).astype(np.uint8)
        diversities += covers(metrics.internal_diversity(few), truth)
    for hits in (distances, cosines):
        assert 88 <= hits <= 100
    assert diversities >= 80  # a molecule is among those it is compared with: 1 / N too low


def test_the_distance_of_like_sets_reaches_down_to_nothing() -> None:
    rng = np.random.default_rng(2)
    hits = sum(metrics.wasserstein(rng.normal(size=100), rng.normal(size=100)).ends[0] == 0 for _ in range(60))
    assert hits >= 40


def test_uniqueness_and_novelty_count_molecules() -> None:
    assert metrics.uniqueness(["C", "C", "CC", "CCC"]) == 0.75
    assert metrics.uniqueness(["C", "C", "CC", "CCC"], 2) == 0.5
    assert metrics.novelty(frozenset(["C"]), ["C", "C", "CC", "CCC"]) == pytest.approx(2 / 3)
    for function in (metrics.uniqueness, lambda made: metrics.novelty(frozenset(), made)):
        with pytest.raises(MetricError, match="no valid molecule"):
            function([])


def test_sides_have_to_match() -> None:
    with pytest.raises(MetricError, match="4 bits; both need"):
        list(metrics.similarities(torch.zeros(2, 3), A))
    with pytest.raises(MetricError, match="at least one"):
        metrics.snn(A, A[:0])
