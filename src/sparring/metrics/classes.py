"""Whether generated samples come from all classes of the data, and as often."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.checks import Features, rows
from sparring.metrics.estimate import Z95, Estimate, share

FOLDS = 5
"""Parts of the real samples, each classified by a classifier that learnt from the others."""

DOUBT = 0.05
"""Probability at which misclassified samples of other classes would make a class that is missing count as found."""

Labels = Tensor | Sequence[int] | NDArray[Any]


@dataclass(frozen=True)
class Classes:
    """Which classes generated samples belong to, compared with real ones.

    modes: classes found among the generated samples (`modes_found`). kl: divergence of their shares from those among
    the real ones (`class_divergence`). classes: number of classes of the real samples. accuracy: share of real samples
    whose class is recognised by a classifier that did not learn from them; None if the samples brought their labels.
    """

    modes: Estimate
    kl: Estimate
    classes: int
    accuracy: Estimate | None


@dataclass(frozen=True)
class Classifier:
    """Logistic regression on standardised features, and what it makes of the real samples it did not learn from.

    names: (K,) labels of the classes, ascending. model: predicts numbers of classes. confusion: int64 (K, K), real
    samples by true and by predicted class, out of fold.
    """

    names: NDArray[np.int64]
    model: Any
    confusion: NDArray[np.int64]

    @classmethod
    def fit(cls, real: Features, labels: Labels) -> Self:
        """Learns from real features (N, D) and their labels, int (N,).

        The linear probe is the usual way to read classes out of frozen features. For the confusion the real samples
        are split in 5 folds with all classes in each, the same way every time; fewer if a class has fewer samples.

        Raises: MetricError for another number of labels than samples, fewer than two classes, a class with a single
        sample, NaN or infinity.
        Source: Kornblith et al. 2019 (linear probes).
        """
        from sklearn.model_selection import StratifiedKFold

        matrix = rows(real, "real").cpu().numpy()
        names, number = np.unique(_labels(labels, len(matrix), "real"), return_inverse=True)
        sizes = np.bincount(number)
        if len(names) < 2:
            raise MetricError(f"all real samples have label {names[0]}; telling classes needs at least two")
        if sizes.min() < 2:
            raise MetricError(f"class {names[sizes.argmin()]} has a single real sample; at least 2 are needed of each")
        folds = StratifiedKFold(min(FOLDS, int(sizes.min())), shuffle=True, random_state=0)
        confusion = np.zeros((len(names), len(names)), dtype=np.int64)
        for learnt, held_out in folds.split(matrix, number):
            predicted = _probe().fit(matrix[learnt], number[learnt]).predict(matrix[held_out])
            np.add.at(confusion, (number[held_out], predicted), 1)
        return cls(names, _probe().fit(matrix, number), confusion)

    def count(self, features: Features) -> NDArray[np.int64]:
        """Samples (M, D) by predicted class, int64 (K,).

        Raises: MetricError for another number of features than learnt from, NaN or infinity.
        """
        matrix = rows(features, "generated").cpu().numpy()
        if matrix.shape[1] != self.model.n_features_in_:
            raise MetricError(
                f"real samples have {self.model.n_features_in_} features and generated samples {matrix.shape[1]}; "
                "both need the same number"
            )
        return np.bincount(self.model.predict(matrix), minlength=len(self.names))

    @property
    def accuracy(self) -> Estimate:
        """Share of real samples recognised out of fold, with Wilson's interval."""
        return share(float(np.trace(self.confusion) / self.confusion.sum()), int(self.confusion.sum()))

    @property
    def stray_rates(self) -> NDArray[np.float64]:
        """Probability (K,) that a sample of another class is taken for one of this.

        At least the mean of all classes, with one error added to those seen: a class without errors among some hundred
        samples is not one that never has any.
        """
        predicted, true = self.confusion.sum(0), self.confusion.sum(1)
        wrong = predicted - np.diagonal(self.confusion)
        mean = (wrong.sum() + 1) / len(wrong)
        return np.asarray(np.maximum(wrong, mean) / (true.sum() - true), dtype=np.float64)


def classes(classifier: Classifier, fake: Features) -> Classes:
    """Classes of generated samples (M, D), as a classifier of the real ones sees them.

    Both sides are counted by predicted class, the real ones out of fold, so that what the classifier confuses it
    confuses on both, and samples that are as good as real have a divergence of 0.

    Raises: MetricError as `Classifier.count`.
    """
    counts = classifier.count(fake)
    # A class that never is recognised is counted once: what is hard to recognise is not infinitely unlikely.
    expected = np.maximum(classifier.confusion.sum(0), 1)
    strays = classifier.stray_rates * counts.sum()
    return Classes(modes_found(counts, strays), class_divergence(counts, expected), len(counts), classifier.accuracy)


def classes_of_labels(real_labels: Labels, fake_labels: Labels) -> Classes:
    """`classes` where generated samples come with labels (M,), int, that are right by themselves.

    Such labels are for instance those of a data set's own classifier, or the mode that a point of a toy lies in; not
    the classes that a conditional generator was asked for. Labels that no real sample has are left out of both.

    Raises: MetricError for no labels, or none that a real sample has.
    """
    real, fake = (_labels(labels, None, name) for labels, name in ((real_labels, "real"), (fake_labels, "generated")))
    names, expected = np.unique(real, return_counts=True)
    counts = np.asarray([(fake == name).sum() for name in names])
    return Classes(modes_found(counts), class_divergence(counts, expected), len(names), None)


def class_divergence(counts_fake: ArrayLike, counts_real: ArrayLike) -> Estimate:
    """Kullback-Leibler divergence of the generated from the real class distribution, KL(fake || real), in nats.

    counts_fake, counts_real: samples by class, int (K,). The value is the plain divergence of the observed shares, as
    in published tables. It is too large on average, for N generated and M real samples by about (K' - 1) / 2N +
    sum of p (1 - q) / (2 M q), where p and q are the shares and K' the classes with p > 0. The interval lies around
    what is left without that, by the delta method, with the variance of the second order added, which is all there is
    where both are alike; its lower end allows for unseen classes that have a share. With fewer samples than classes it
    is a rough guide.

    Raises: MetricError for negative counts, no samples, or generated samples of a class that no real one is of.
    Source: Miller 1955 (bias); van der Vaart 1998, section 3.1 (delta method).
    """
    fake, real = _counts(counts_fake, "generated"), _counts(counts_real, "real")
    if fake.shape != real.shape:
        raise MetricError(f"{len(fake)} counts of fake and {len(real)} of real classes; both need the same number")
    unknown = int(((real == 0) & (fake > 0)).sum())
    if unknown:
        raise MetricError(
            f"generated samples are of {unknown} classes that no real sample is of; the divergence is infinite"
        )
    fake, real = fake[real > 0], real[real > 0]
    n, m = fake.sum(), real.sum()
    p, q = fake / n, real / m
    seen = p > 0
    logs = np.log(p[seen] / q[seen])
    plain = float(p[seen] @ logs)
    kinds = int(seen.sum())
    bias = (kinds - 1) / (2 * n) + float((p * (1 - q) / q).sum()) / (2 * m)
    first = (float(p[seen] @ logs**2) - plain**2) / n + (float((p**2 / q).sum()) - 1) / m
    second = (len(q) - 1) / 2 * (1 / n + 1 / m) ** 2
    margin = Z95 * math.sqrt(max(first, 0.0) + second)
    centre = max(0.0, plain - bias)
    # Classes that are unseen for want of samples, not missing, would have their share in the bias too.
    unseen = (len(q) - kinds) / (2 * n)
    low, high = min(plain, max(0.0, centre - margin - unseen)), max(plain, centre + margin)
    return Estimate(plain, float(low), float(high))


def modes_found(counts: ArrayLike, strays: ArrayLike | None = None) -> Estimate:
    """Number of classes found among generated samples, from 0 to K.

    counts: generated samples by class, int (K,). strays: (K,) how many of these are expected to be misclassified
    samples of other classes; none if None. A class is found if its count is larger than its strays would be in 95 of
    100 cases (Poisson); without strays, if it has any sample.

    The interval is about the classes that endless generated samples would show. Its lower end counts the classes of
    which chance would not bring up a single one too many in 95 of 100 cases (Bonferroni); the upper one adds to all
    classes with any sample those still unseen, by Chao's estimate and its interval, up to K. Classes of which fewer
    than about three samples are expected can escape it.

    Raises: MetricError for negative counts or no samples.
    Source: Chao 1987, eq. 4 and 12 (unseen classes), with the bias-corrected form of Chao 2005.
    """
    found = _counts(counts, "generated")
    rates = np.zeros(len(found)) if strays is None else np.asarray(strays, dtype=np.float64)
    chance = np.asarray([_at_least(int(number), float(rate)) for number, rate in zip(found, rates, strict=True)])
    seen = int((found > 0).sum())
    value = int((chance <= DOUBT).sum())
    low = int((chance <= DOUBT / len(found)).sum())
    once, twice = int((found == 1).sum()), int((found == 2).sum())
    return Estimate(value, low, max(value, min(len(found), seen + _unseen(once, twice))))


def _unseen(once: int, twice: int) -> float:
    """Upper end of Chao's interval for the number of classes without a sample; 0 if no class has a single one."""
    if not once:
        return 0.0
    unseen = max(once * (once - 1) / (2 * (twice + 1)), once / 2)
    ratio = once / max(twice, 1)
    variance = max(twice, 1) * (ratio**4 / 4 + ratio**3 + ratio**2 / 2)
    return unseen * math.exp(Z95 * math.sqrt(math.log(1 + variance / unseen**2)))


def _at_least(number: int, mean: float) -> float:
    """Probability of at least `number` by a Poisson distribution."""
    return float(torch.special.gammainc(torch.tensor(number).double(), torch.tensor(mean).double())) if number else 1.0


def _probe() -> Any:
    # Imported here, since scikit-learn takes a second that most commands need not wait.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _labels(labels: Labels, count: int | None, name: str) -> NDArray[np.int64]:
    array = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu" or count not in (None, len(array)):
        expected = "one int for each" if count is None else f"{count} int, one for each"
        raise MetricError(f"{name} labels are {array.dtype} {array.shape}; expected {expected} sample")
    return array.astype(np.int64)


def _counts(counts: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(counts, dtype=np.float64)
    if array.ndim != 1 or not array.sum() or (array < 0).any():
        raise MetricError(f"{name} counts by class are {array.tolist()}; expected one for each class, of some samples")
    return array
