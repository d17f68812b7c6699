"""The order in which training sees the data: endless, shuffled anew each epoch, and known from the position alone."""

from functools import lru_cache

import torch
from torch import Tensor

from sparring.randomness import key


def indices(n: int, seed: int, position: int, count: int) -> Tensor:
    """Samples number `position` to `position + count - 1` of an endless stream, int64 (count,), each in [0, n).

    The stream is one permutation of the n samples after another, each keyed by (seed, epoch). It is a pure function of
    its arguments, so a run that resumes needs to remember nothing but its position.

    Raises: ValueError if n < 1, position < 0 or count < 0.
    """
    if n < 1 or position < 0 or count < 0:
        raise ValueError(f"n {n}, position {position}, count {count}: n starts at 1, position and count at 0")
    pieces = [torch.empty(0, dtype=torch.int64)]
    while count > 0:
        epoch, offset = divmod(position, n)
        piece = _permutation(n, seed, epoch)[offset : offset + count]
        pieces.append(piece)
        position += len(piece)
        count -= len(piece)
    return torch.cat(pieces)


def drawn_at(drawn: Tensor | None, total: int, seed: int, position: int, count: int) -> Tensor:
    """The same numbers of a set of `total` samples of which only `drawn` (n,) are shown; None: all."""
    if drawn is None:
        return indices(total, seed, position, count)
    return drawn[indices(len(drawn), seed, position, count)]


@lru_cache(maxsize=2)  # a batch may span the end of one epoch and the start of the next
def _permutation(n: int, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator()
    generator.manual_seed(key(seed, "order of the data", epoch))
    return torch.randperm(n, generator=generator)
