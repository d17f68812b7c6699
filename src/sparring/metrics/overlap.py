"""What generated texts have taken over from training texts as it was, and how many of them are different."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from sparring.errors import MetricError
from sparring.metrics.estimate import Estimate, share

CLAUSE = re.compile("[\n,.;:!?\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f]+")
"""Where clauses end: at ends of lines and marks, those of Chinese and Japanese among them."""


def distinct(texts: Sequence[str]) -> Estimate:
    """How many different texts there are for each text, 0 to 1. Raises: MetricError for no texts."""
    _some(texts)
    return share(len(set(texts)) / len(texts), len(texts))


def copied(texts: Sequence[str], training: frozenset[str]) -> Estimate:
    """Which share of the texts is among the training texts, character by character but for spaces at both ends.

    Raises: MetricError for no texts.
    """
    _some(texts)
    return share(sum(text.strip() in training for text in texts) / len(texts), len(texts))


def copied_clauses(texts: Sequence[str], training: frozenset[str]) -> Estimate:
    """Which share of the clauses of all texts is among the clauses of the training texts.

    Clauses of a text come and go together, so the interval is that of a ratio of sums over texts (linearised).

    Raises: MetricError if there are no clauses.
    """
    parts = [clauses(text) for text in texts]
    totals = np.array([len(part) for part in parts], np.float64)
    if not totals.sum():
        raise MetricError("no text has a clause, or there are no texts")
    hits = np.array([sum(clause in training for clause in part) for part in parts], np.float64)
    value = float(hits.sum() / totals.sum())
    variance = float(((hits - value * totals) / totals.mean()).var() / max(len(parts) - 1, 1))
    spread = value * (1 - value)
    return share(value, min(float(totals.sum()), spread / variance) if variance and spread else len(parts))


def clauses(text: str) -> list[str]:
    """The pieces between ends of lines and marks, without spaces around them.

    >>> clauses("one, two. three")
    ['one', 'two', 'three']
    """
    return [clause for piece in CLAUSE.split(text) if (clause := piece.strip())]


def all_clauses(texts: Iterable[str]) -> frozenset[str]:
    """Every clause of the texts."""
    return frozenset(clause for text in texts for clause in clauses(text))


def _some(texts: Sequence[str]) -> None:
    if not texts:
        raise MetricError("no texts; at least one is needed")
