"""Class divergence and modes against closed forms and draws whose truth is known."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from sparring.errors import MetricError
from sparring.metrics.classes import Classifier, class_divergence, classes, classes_of_labels, modes_found


@pytest.fixture(scope="module")
def digits():
    features, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    features, labels = features[order], labels[order]
    return features[:900], labels[:900], features[900:], labels[900:]


@pytest.fixture(scope="module")
def classifier(digits):
    return Classifier.fit(digits[0], digits[1])


def test_divergence_of_many_samples_is_the_closed_form():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    truth = 0.3 * math.log(2.5)
    measured = class_divergence(p * 1e8, q * 1e8)
    assert measured.value == pytest.approx(truth, abs=1e-6)
    # Delta method by hand: variance of log(p/q) under p, and sum of p^2 / q - 1, over 1e8 each.
    logs = np.log(p / q)
    error = math.sqrt(((p @ logs**2 - truth**2) + (p**2 / q).sum() - 1) / 1e8)
    assert measured.high - measured.value == pytest.approx(1.959964 * error, rel=1e-3)


def test_a_single_class_of_ten_has_the_logarithm_of_ten():
    assert class_divergence([10**8] + [0] * 9, [10**8] * 10).value == pytest.approx(math.log(10), abs=1e-6)


@pytest.mark.parametrize(
    "shares", [[0.1] * 10, [0.5, 0.3, 0.1, 0.05, 0.05, 0, 0, 0, 0, 0], [0.12, 0.08, 0.1, 0.1, 0.15, 0.05] + [0.1] * 4]
)
@pytest.mark.parametrize(("fakes", "reals"), [(200, 1000), (2000, 500)])
def test_divergence_covers_the_truth(shares, fakes, reals):
    rng = np.random.default_rng(0)
    truth = sum(p * math.log(p / 0.1) for p in shares if p)
    measured = [
        class_divergence(rng.multinomial(fakes, shares), rng.multinomial(reals, [0.1] * 10)) for _ in range(200)
    ]
    assert sum(estimate.low <= truth <= estimate.high for estimate in measured) >= 180
    spread = np.std([estimate.value for estimate in measured])
    # Miller 1955: what the plain divergence is too large by, on average.
    bias = (sum(p > 0 for p in shares) - 1) / (2 * fakes) + 9 / (2 * reals)
    mean = np.mean([estimate.value for estimate in measured])
    assert mean == pytest.approx(truth + bias, abs=max(0.3 * spread, 0.006))
    assert all(0 <= estimate.low <= estimate.value <= estimate.high for estimate in measured)


def test_modes_by_hand():
    assert modes_found([5, 3, 0, 9]).value == 3
    # 6 strays expected: chance has 12 or more in 2.0 % of cases, below 5 % but not below 5 % / 3; 9 or more in 15.3 %.
    measured = modes_found([100, 12, 9], [0.1, 6.0, 6.0])
    assert (measured.low, measured.value, measured.high) == (1, 2, 3)


@pytest.mark.parametrize("samples", [60, 300])
def test_modes_cover_the_classes_there_are(samples):
    rng = np.random.default_rng(1)
    # 40 of 50 classes, some rarer than others.
    covered = 0
    for _ in range(200):
        shares = np.concatenate([rng.dirichlet([3.0] * 40), np.zeros(10)])
        measured = modes_found(rng.multinomial(samples, shares))
        assert measured.low <= measured.value <= measured.high <= 50
        covered += measured.low <= 40 <= measured.high
    assert covered >= 180


def test_missing_digits_are_missing(digits, classifier):
    _, _, features, labels = digits
    measured = classes(classifier, features[labels < 6])
    assert measured.classes == 10
    assert measured.accuracy.value > 0.9
    assert measured.modes.value == 6 == measured.modes.low
    # Six of ten classes, as frequent as in the data: -log of their share.
    truth = math.log(10 / 6)
    assert measured.kl.low <= truth + 0.03
    assert measured.kl.high >= truth - 0.03


def test_other_digits_are_as_good_as_real(digits, classifier):
    measured = classes(classifier, torch.from_numpy(digits[2]))
    assert measured.modes.value == 10
    assert measured.kl.low == 0.0
    assert measured.kl.high < 0.05


def test_accuracy_is_that_of_samples_not_learnt_from(digits, classifier):
    # Out of fold it is about that of other samples; of those learnt from it would be 1.
    names, (features, labels) = classifier.names, digits[2:]
    right = sum(int(classifier.count(features[labels == name])[name]) for name in names)
    assert classifier.accuracy.value < 0.99
    assert classifier.accuracy.value == pytest.approx(right / len(labels), abs=0.03)
    assert classifier.confusion.sum(1).tolist() == np.bincount(digits[1]).tolist()


def test_strays_do_not_make_a_missing_class():
    # Two classes of three overlap, so that a tenth of the first is taken for the second.
    rng = np.random.default_rng(2)
    centres = np.array([[0.0, 0.0], [2.6, 0.0], [0.0, 50.0]])
    labels = np.repeat([3, 5, 8], 300)
    real = centres[np.repeat([0, 1, 2], 300)] + rng.normal(size=(900, 2))
    classifier = Classifier.fit(real, labels)
    fake = np.concatenate([rng.normal(size=(300, 2)), centres[2] + rng.normal(size=(300, 2))])
    assert classifier.count(fake)[1] > 10
    assert classes(classifier, fake).modes.value == 2


def test_labels_that_samples_bring():
    measured = classes_of_labels([1, 1, 4, 4], torch.tensor([4, 4, 1, 4, 7]))
    assert (measured.modes.value, measured.classes, measured.accuracy) == (2, 2, None)
    assert measured.kl == class_divergence([1, 3], [2, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: class_divergence([1, 2], [0, 3]), "1 classes that no real sample is of"),
        (lambda: class_divergence([1, 2], [3]), "both need the same number"),
        (lambda: class_divergence([0, 0], [1, 3]), "generated counts by class"),
        (lambda: Classifier.fit(torch.zeros(4, 2), [0, 0, 1]), "expected 4 int"),
        (lambda: Classifier.fit(torch.zeros(4, 2), [0.0, 0, 1, 1]), "expected 4 int"),
        (lambda: Classifier.fit(torch.zeros(4, 2), [6, 6, 6, 6]), "all real samples have label 6"),
        (lambda: Classifier.fit(torch.zeros(4, 2), [6, 6, 6, 7]), "class 7 has a single real sample"),
    ],
)
def test_what_cannot_be_counted(call, message):
    with pytest.raises(MetricError, match=message):
        call()


def test_other_features_than_learnt_from(classifier):
    with pytest.raises(MetricError, match="64 features and generated samples 3"):
        classes(classifier, torch.zeros(5, 3))
