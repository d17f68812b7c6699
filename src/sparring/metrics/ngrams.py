"""n-grams that texts share with others, or repeat themselves: BLEU, self-BLEU, repetition.

Everything is counted on whole numbers (`units.Corpus`), exactly, in O(n-grams log n-grams).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.errors import MetricError
from sparring.metrics.estimate import Z95, Estimate, normal, t95
from sparring.metrics.units import Corpus, Ints

Floats = NDArray[np.float64]

EPSILON = 0.1
"""What counts as found where no n-gram is found: "method 1" of Chen & Cherry 2014, as Texygen (Zhu et al. 2018) has."""

GROUPS = 10
"""Groups that are left out in turn for the interval of a number that all samples make together."""


@dataclass(frozen=True)
class Counts:
    """n-grams of one length: text[i] has gram[i] count[i] times. totals: (N,) n-grams of each text."""

    text: Ints
    gram: Ints
    count: Ints
    totals: Ints


def counted(corpora: Sequence[Corpus], order: int) -> Iterator[list[Counts]]:
    """For n = 1 to `order`: the n-grams of each corpus, by numbers from 0 on that all of them share."""
    symbols = np.concatenate([corpus.symbols for corpus in corpora])
    lengths = np.concatenate([corpus.lengths for corpus in corpora])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(symbols))  # tokens from here to the end of the text
    bounds = np.cumsum([len(corpus) for corpus in corpora])[:-1]
    at = np.arange(len(symbols))
    _, gram = np.unique(symbols, return_inverse=True)
    radix = int(symbols.max(initial=0)) + 1
    for n in range(1, order + 1):
        if n > 1:
            fits = left[at] >= n
            at, gram = at[fits], gram[fits]
            _, gram = np.unique(gram * radix + symbols[at + n - 1], return_inverse=True)
        size = int(gram.max(initial=0)) + 1
        keys, count = np.unique(owner[at] * size + gram, return_counts=True)
        text, kind = keys // size, keys % size
        totals = np.maximum(lengths - n + 1, 0)
        edges = [0, *np.searchsorted(text, bounds), len(text)]
        firsts = [0, *bounds]
        yield [
            Counts(text[a:b] - first, kind[a:b], count[a:b], part)
            for a, b, first, part in zip(edges[:-1], edges[1:], firsts, np.split(totals, bounds), strict=True)
        ]


def bleu(candidates: Corpus, references: Corpus, order: int = 5) -> Floats:
    """BLEU-1 to BLEU-`order` of each candidate against all references at once, 0 to 1: (order, N).

    An n-gram counts as often as the reference with most of it has it; the references' length nearest to the
    candidate's is the one for the brevity penalty (the shorter of two); weights are equal; where none of the n-grams
    is found, 0.1 of one is, but a candidate without a known token has 0. Equal to NLTK's sentence_bleu with method 1.

    Raises: MetricError if there are no references.
    Source: Papineni et al. 2002, section 2; Chen & Cherry 2014 (method 1); as in Texygen, Zhu et al. 2018.
    """
    if not len(references):
        raise MetricError("no references; BLEU needs at least one")
    found = []
    for mine, theirs in counted([candidates, references], order):
        most = np.zeros(1 + max(mine.gram.max(initial=0), theirs.gram.max(initial=0)), np.int64)
        np.maximum.at(most, theirs.gram, theirs.count)
        found.append(_hits(mine, most[mine.gram]))
    lengths = np.unique(references.lengths)
    return _scores(found, candidates.lengths, _nearest(candidates.lengths, lengths))


def self_bleu(texts: Corpus, order: int = 5) -> Floats:
    """BLEU-1 to BLEU-`order` of each text against all the others, (order, N): 1 if others say it all.

    Of each n-gram the two largest counts are kept: the largest among the others is the second, for a text that has the
    largest itself.

    Raises: MetricError for fewer than two texts.
    Source: Zhu et al. 2018 (Texygen), arXiv 1802.01886, section 3.2.
    """
    if len(texts) < 2:
        raise MetricError(f"{len(texts)} text{'s' * (len(texts) != 1)}; self-BLEU needs at least 2")
    found = []
    for (mine,) in counted([texts], order):
        ordered = np.lexsort((mine.count, mine.gram))
        gram, count = mine.gram[ordered], mine.count[ordered]
        last = np.flatnonzero(np.diff(gram, append=-1))
        most, second = np.zeros((2, len(last)), np.int64)
        most[:] = count[last]
        several = (last > 0) & (gram[last - 1] == gram[last])
        second[several] = count[last[several] - 1]
        others = np.where(mine.count == most[mine.gram], second[mine.gram], most[mine.gram])
        found.append(_hits(mine, others))
    lengths, number = np.unique(texts.lengths, return_inverse=True)
    nearest = texts.lengths.copy()  # another text of the same length, mostly
    for alone in np.flatnonzero(np.bincount(number) == 1):
        mine_, rest = lengths[alone], np.delete(lengths, alone)
        if len(rest):
            nearest[number == alone] = _nearest(np.array([mine_]), rest)
    return _scores(found, texts.lengths, nearest)


def self_bleu_estimates(texts: Corpus, order: int = 5) -> list[Estimate]:
    """The mean of `self_bleu` for n = 1 to `order`, with intervals.

    All samples make it together, so its scatter is told by leaving out each tenth of them (the grouped jackknife).

    Raises: MetricError for fewer than 20 texts.
    Source: Shao & Tu 1995, section 2.3 (the grouped jackknife).
    """
    if len(texts) < 2 * GROUPS:
        raise MetricError(f"{len(texts)} texts; self-BLEU with an interval needs at least {2 * GROUPS}")
    values = self_bleu(texts, order).mean(1)
    without = np.stack([self_bleu(part, order).mean(1) for part in left_out(texts)])
    errors = group_errors(without)
    return [
        normal(float(value), float(error) * t95(GROUPS - 1) / Z95, least=0, most=1)
        for value, error in zip(values, errors, strict=True)
    ]


def left_out(texts: Corpus) -> Iterator[Corpus]:
    """The texts without each tenth of them."""
    for group in range(GROUPS):
        yield texts.without(np.arange(len(texts)) % GROUPS == group)


def group_errors(without: Floats) -> Floats:
    """Standard errors (...) of numbers from their values without each group, (GROUPS, ...)."""
    errors: Floats = np.sqrt(without.var(0) * (GROUPS - 1))
    return errors


def repetition(texts: Corpus, n: int = 2) -> Floats:
    """Which share of its n-grams each text has had before, (N,); 0 for texts of fewer than n tokens.

    Source: Welleck et al. 2020, arXiv 1908.04319, section 6 (seq-rep-n).
    """
    *_, (found,) = counted([texts], n)
    different = np.bincount(found.text, minlength=len(texts))
    return (found.totals - different) / np.maximum(found.totals, 1)


def _hits(mine: Counts, most: Ints) -> tuple[Floats, Ints]:
    """n-grams of each text that are found, clipped at `most`, and n-grams in all, both (N,)."""
    hits = np.bincount(mine.text, np.minimum(mine.count, most), minlength=len(mine.totals))
    return hits.astype(np.float64), mine.totals


def _scores(found: Sequence[tuple[Floats, Ints]], lengths: Ints, nearest: Ints) -> Floats:
    """BLEU (order, N) of hits and totals for each n, lengths (N,), and the nearest lengths of references."""
    logs = [np.log(np.where(hits > 0, hits, EPSILON) / np.maximum(totals, 1)) for hits, totals in found]
    means = np.cumsum(logs, axis=0) / np.arange(1, len(logs) + 1)[:, None]
    short = np.minimum(0, 1 - nearest / np.maximum(lengths, 1))
    scores: Floats = np.where(found[0][0] > 0, np.exp(means + short), 0.0)
    return scores


def _nearest(lengths: Ints, others: Ints) -> Ints:
    """The nearest of other lengths (M,), ascending, to each length; the shorter of two."""
    place = np.searchsorted(others, lengths)
    below, above = others[np.maximum(place - 1, 0)], others[np.minimum(place, len(others) - 1)]
    return np.where(np.abs(lengths - below) <= np.abs(above - lengths), below, above)
