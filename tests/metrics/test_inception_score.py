"""Inception Score against closed forms and known truths by simulation."""

import pytest
import torch

from sparring.errors import MetricError
from sparring.metrics.inception import inception_score


def one_hot(labels, classes):
    return torch.nn.functional.one_hot(labels, classes).double()


def dirichlet(count, classes, concentration, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.distributions.Dirichlet(torch.full((classes,), concentration, dtype=torch.float64)).sample(
            (count,)
        )


def test_sure_of_every_class_as_often():
    measured = inception_score(one_hot(torch.arange(70) % 7, 7), 10)
    assert measured.value == pytest.approx(7, rel=1e-12)
    assert measured.high == pytest.approx(7, rel=1e-12)


def test_the_same_for_every_sample():
    measured = inception_score(torch.tensor([[0.5, 0.3, 0.2]]).expand(40, 3), 4)
    assert (measured.value, measured.low, measured.high) == pytest.approx((1, 1, 1), abs=1e-7)


def test_two_kinds_of_samples_by_hand():
    # p(y) = (1/2, 1/2); KL of (3/4, 1/4) from it: 3/4 log 3/2 + 1/4 log 1/2
    given = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).repeat(10, 1)
    assert inception_score(given, 1).value == pytest.approx(1.5**0.75 * 0.5**0.25, rel=1e-7)


def test_splits_are_consecutive():
    labels = torch.arange(5).repeat_interleave(20)  # each fifth has one class only
    assert inception_score(one_hot(labels, 5), 5).value == pytest.approx(1, rel=1e-12)
    assert inception_score(one_hot(labels, 5), 1).value == pytest.approx(5, rel=1e-12)


def test_uneven_splits():
    given = one_hot(torch.tensor([0, 1, 0, 1, 1]), 2)  # parts of 2 and 3 rows: one half each, and a third against two
    thirds = 3 / 4 ** (1 / 3)  # exp of the entropy of (1/3, 2/3)
    assert inception_score(given, 2).value == pytest.approx((2 + thirds) / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("classes", "concentration", "count", "truth"),
    [
        (10, None, 100, 10.0),
        (50, None, 50, 50.0),
        (200, None, 60, 200.0),  # most classes are never seen
        (10, 1.0, 200, None),
        (10, 0.05, 200, None),
        (100, 0.02, 150, None),
    ],
)
def test_interval_covers_the_score_of_endless_samples(classes, concentration, count, truth):
    if truth is None:
        truth = dirichlet_score(classes, concentration)
    generator, covered = torch.Generator().manual_seed(0), 0
    for seed in range(100):
        if concentration is None:
            given = one_hot(torch.randint(classes, (count,), generator=generator), classes)
        else:
            given = dirichlet(count, classes, concentration, seed)
        measured = inception_score(given, 5)
        assert 1 <= measured.low <= measured.value <= measured.high <= classes
        covered += measured.low <= truth <= measured.high
    assert covered >= 90


def dirichlet_score(classes, concentration):
    """exp(log K - mean entropy), the latter being psi(K a + 1) - psi(a + 1) (Wolpert & Wolf 1995)."""
    a = torch.tensor(concentration, dtype=torch.float64)
    return float((torch.tensor(classes).log() - torch.digamma(classes * a + 1) + torch.digamma(a + 1)).exp())


def test_interval_of_many_samples_is_narrow():
    measured = inception_score(dirichlet(5000, 10, 0.1, 0), 1)
    assert measured.high - measured.low < 0.05 * measured.value


@pytest.mark.parametrize(
    ("given", "splits", "message"),
    [
        (torch.eye(3), 4, "4 splits of 3 samples; expected 1 to 3"),
        (torch.eye(3), 0, "0 splits of 3 samples"),
        (torch.tensor([[0.5, 0.5], [0.5, 0.6]]), 1, r"the probabilities of row 1 add up to 1\.1; expected 1"),
        (torch.tensor([[0.5, 0.5], [-1.0, 2.0]]), 1, "row 1 holds a negative probability"),
        (torch.zeros(3), 1, r"shape \(3,\)"),
        (torch.full((3, 2), torch.nan), 1, "NaN"),
    ],
)
def test_what_has_no_score(given, splits, message):
    with pytest.raises(MetricError, match=message):
        inception_score(given, splits)
