"""An n-gram language model, learnt by counting: how surprising texts are to who has read others.

It knows nothing of the generator, which makes it a judge of both ways: of generated texts by a model of real ones
(forward), and of real texts by a model of generated ones (reverse).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.errors import MetricError
from sparring.metrics.estimate import Z95, Estimate, t95
from sparring.metrics.units import Corpus, Ints

Floats = NDArray[np.float64]

ORDER = 4
"""Tokens that are looked at together."""

USUAL_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where counts are too few to tell discounts from, as in KenLM."""


@dataclass(frozen=True)
class Level:
    """n-grams of one length, sorted by key: the number of the context times the symbols in all, plus the last symbol.

    A context's number is its place among the n-grams one shorter. kept: (G,) what the discount leaves of each count.
    totals, freed: (contexts,) sum of the counts after a context, and what discounts have taken from them.
    """

    keys: Ints
    kept: Floats
    totals: Floats
    freed: Floats

    def places(self, keys: Ints) -> Ints:
        """Where keys are, -1 for those that are not there."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)


class LanguageModel:
    """Interpolated Kneser-Ney smoothing with three discounts for each length of n-grams.

    texts: what it learns from. vocabulary: symbols from 0 on that it tells apart; all symbols from there on are one
    more, UNKNOWN, and so the vocabulary is open. It has a probability for each of these and for the end of the text:
    the lowest order is interpolated with the uniform distribution over all of them, seen or not. Models of one
    vocabulary can be compared, whatever they have seen. n-grams that begin where a text begins count by how often they
    occur, since nothing comes before them; others below the highest order, by how many different tokens do.

    Raises: MetricError for no texts.
    Source: Chen & Goodman 1999, eq. 26 (their eq. 27 for the discounts); Heafield et al. 2013 (the beginnings).
    """

    def __init__(self, texts: Corpus, vocabulary: int, order: int = ORDER) -> None:
        if not len(texts):
            raise MetricError("no texts; a language model needs at least one")
        self.order = order
        self.unknown, self.end, self.start = range(vocabulary, vocabulary + 3)
        self.symbols = vocabulary + 3
        self.levels = self._learnt(texts)

    def log_probabilities(self, texts: Corpus) -> Floats:
        """Natural logarithm of the probability of each token after those before it, text by text.

        Each text has one more than tokens: that of its end.
        """
        symbols, place = self._stream(texts)
        inside = place > 0
        first = self.levels[0]
        chance = first.kept[symbols] / first.totals[0] + first.freed[0] / first.totals[0] / (self.symbols - 1)
        found = symbols
        for n, level in enumerate(self.levels[1:], 2):
            at = np.flatnonzero(place >= n - 1)
            context = found[at - 1]
            known = context >= 0
            at, context = at[known], context[known]
            there = level.totals[context] > 0
            at, context = at[there], context[there]
            places = level.places(context * self.symbols + symbols[at])
            kept = np.where(places >= 0, level.kept[places], 0)
            chance[at] = (kept + level.freed[context] * chance[at]) / level.totals[context]
            found = np.full(len(symbols), -1)
            found[at] = places
        logarithms: Floats = np.log(chance[inside])
        return logarithms

    def surprise(self, texts: Corpus) -> Floats:
        """Minus the logarithm of the probability of each text with its end, in nats, (N,)."""
        owners = np.repeat(np.arange(len(texts)), texts.lengths + 1)
        return -np.bincount(owners, self.log_probabilities(texts), minlength=len(texts)).astype(np.float64)

    def _stream(self, texts: Corpus) -> tuple[Ints, Ints]:
        """All texts with marks at both ends, one after another, and the place of each symbol in its text."""
        lengths = texts.lengths + 2
        ends = lengths.cumsum()
        symbols = np.full(int(lengths.sum()), self.end)
        symbols[ends - lengths] = self.start
        symbols[np.arange(len(texts.symbols)) + 2 * texts.owners + 1] = np.minimum(texts.symbols, self.unknown)
        return symbols, np.arange(len(symbols)) - np.repeat(ends - lengths, lengths)

    def _learnt(self, texts: Corpus) -> list[Level]:
        symbols, place = self._stream(texts)
        alone = place > 0  # the beginning is never predicted
        keys = np.arange(self.symbols)
        found, context = symbols, np.zeros(self.symbols, np.int64)
        counts = np.bincount(symbols[alone], minlength=self.symbols)
        begins = np.zeros(self.symbols, np.bool_)
        contexts = 1
        levels = []
        for n in range(1, self.order + 1):
            if n == self.order:
                levels.append(_level(keys, context, counts, contexts))
                break
            at = np.flatnonzero(place >= n)
            longer, first, inverse, often = np.unique(
                found[at - 1] * self.symbols + symbols[at], return_index=True, return_inverse=True, return_counts=True
            )
            before = np.bincount(found[at[first]], minlength=len(keys))
            levels.append(_level(keys, context, np.where(begins, counts, before), contexts))
            contexts, keys, context, counts = len(keys), longer, longer // self.symbols, often
            begins = place[at[first]] == n
            found = np.full(len(symbols), -1)
            found[at] = inverse
        return levels


def perplexity(surprise: Floats, tokens: Ints, error: float = 0.0) -> Estimate:
    """exp of the mean surprise of a token in nats, with the interval of other texts of the kind.

    surprise: (N,) of each text. tokens: (N,) in each text, its end among them. The interval is that of a ratio of sums
    (linearised), on the scale of logarithms. error: another standard error of the logarithm, such as of the model's.

    Raises: MetricError for no texts.
    """
    if not len(surprise):
        raise MetricError("no texts; perplexity needs at least one")
    mean = float(surprise.sum() / tokens.sum())
    if len(surprise) < 2:
        return Estimate(math.exp(mean))
    spread = ((surprise - mean * tokens) / tokens.mean()).std(ddof=1) / math.sqrt(len(surprise))
    half = math.hypot(t95(len(surprise) - 1) * float(spread), Z95 * error)
    return Estimate(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def discounts(counts: Ints) -> tuple[float, float, float]:
    """What is taken off counts of 1, 2, and 3 or more; the usual ones where counts are too few or too odd to tell.

    Source: Chen & Goodman 1999, eq. 27.
    """
    once, twice, thrice, four = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if not min(once, twice, thrice, four):
        return USUAL_DISCOUNTS
    share = once / (once + 2 * twice)
    found = (1 - 2 * share * twice / once, 2 - 3 * share * thrice / twice, 3 - 4 * share * four / thrice)
    sound = all(0 < value < most for value, most in zip(found, (1, 2, 3), strict=True))
    return found if sound else USUAL_DISCOUNTS


def _level(keys: Ints, context: Ints, counts: Ints, contexts: int) -> Level:
    taken = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]
    totals, freed = (np.bincount(context, each, minlength=contexts).astype(np.float64) for each in (counts, taken))
    return Level(keys, counts - taken, totals, freed)
