"""Inception Score: how sure a classifier is about each sample, and how many classes the samples spread over."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.checks import Features, rows
from sparring.metrics.estimate import Z95, Estimate

TOLERANCE = 1e-4
"""By which a row of probabilities may miss the sum 1: rounding of single precision, over a thousand classes."""


def inception_score(probabilities: Features, splits: int = 10) -> Estimate:
    """exp of the mean KL divergence of p(class | sample) from p(class), for probabilities (N, K): from 1 to K.

    value: the mean over so many consecutive parts of the samples, as papers report it; so shuffle samples that come in
    an order. It is too low, the more so the smaller the parts: classes look rarer than they are.

    The interval is about the score of endless samples: from all samples at once, with the leading part of that bias
    taken off (Miller 1955), and 1.96 standard errors (delta method) around it. In units of log score the bias b reaches
    1/2 where no two samples share a class, and then nothing bounds the score but K; so the upper end is raised by
    4 b^2 / (1 - 2 b). It holds the value, and keeps to 1..K.

    Raises: MetricError as `checks.rows`, for what are no probabilities, or for more splits than samples.
    Source: Salimans et al. 2016, section 4.
    """
    given = rows(probabilities, "class probability", least=2)
    _check(given)
    if not 1 <= splits <= len(given):
        raise MetricError(f"{splits} splits of {len(given)} samples; expected 1 to {len(given)}")
    edges = [index * len(given) // splits for index in range(splits + 1)]
    scores = [_divergences(given[start:stop]).mean().exp() for start, stop in pairwise(edges)]
    value = float(sum(scores) / splits)

    count, classes = given.shape
    divergences = _divergences(given)
    marginal, spread = given.mean(0), given.var(0)
    seen = marginal > 0
    bias = float((spread[seen] / marginal[seen]).sum()) / (2 * count)
    centre = float(divergences.mean()) + bias
    margin = Z95 * float(divergences.std()) / math.sqrt(count)
    low = max(1.0, math.exp(centre - margin))
    doubt = 4 * bias**2 / (1 - 2 * bias) if bias < 0.5 else math.inf
    highest = centre + margin + doubt
    high = math.exp(highest) if highest < math.log(classes) else float(classes)
    return Estimate(value, min(value, low), max(value, high))


def _check(probabilities: Tensor) -> None:
    negative = probabilities < 0
    if negative.any():
        place = int(negative.any(1).nonzero()[0])
        raise MetricError(f"row {place} holds a negative probability; expected softmax outputs, not logits")
    sums = probabilities.sum(1)
    wrong = (sums - 1).abs() > TOLERANCE
    if wrong.any():
        place = int(wrong.nonzero()[0])
        raise MetricError(f"the probabilities of row {place} add up to {float(sums[place]):.4g}; expected 1")


def _divergences(probabilities: Tensor) -> Tensor:
    """KL divergence (N,) of each row from the mean row, in nats; 0 log 0 is 0."""
    own: Tensor = torch.special.xlogy(probabilities, probabilities)
    crossed: Tensor = torch.special.xlogy(probabilities, probabilities.mean(0))
    return (own - crossed).sum(1)
