"""The few numbers that say what happens to one sample, where what is drawn depends on what was drawn before."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from sparring.randomness import CPU, Random


class Numbers:
    """Uniform numbers in [0, 1), taken one after the other; StopIteration when there are none left."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self._rest = iter(numbers)

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * next(self._rest)

    def between_logarithms(self, low: float, high: float) -> float:
        """A number in [low, high), above 0, whose logarithm is uniform."""
        return math.exp(self.between(math.log(low), math.log(high)))

    def whole(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return low + int((high - low + 1) * next(self._rest))

    def happens(self, probability: float) -> bool:
        """True with this probability."""
        return next(self._rest) < probability

    def choice(self, weights: Mapping[str, float]) -> str:
        """A name, as often as its weight says; one of them must be above zero."""
        limits = list(accumulate(weights.values()))
        place = self.between(0, limits[-1])
        return next(name for name, limit in zip(weights, limits, strict=True) if place < limit)


def numbers_of(random: Random, purpose: str, count: int) -> list[Numbers]:
    """As many numbers for each sample; drawn on the CPU, so that they are the same on every device, and at hand."""
    return [Numbers(row) for row in replace(random, device=CPU).uniform(purpose, count).tolist()]
