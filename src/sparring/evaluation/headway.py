"""Work on texts and molecules that takes long enough to be told of: writing samples, and one metric after the other."""

from collections.abc import Iterator, Sequence
from typing import Any

from sparring.data.sources import Progress
from sparring.model import Model

CHUNK = 256
"""Samples between two reports: a multiple of what generators write at once, so that nothing is written twice."""


def written(
    model: Model, n: int, seed: int, progress: Progress | None = None, stage: str = "", **options: Any
) -> list[str] | None:
    """n texts or SMILES of a generator, the same as at once; None if it makes neither."""
    made: list[str] = []
    for start in range(0, n, CHUNK):
        samples = model.sample(min(CHUNK, n - start), seed=seed, start=start, **options)
        if not isinstance(samples, list):
            return None
        made += samples
        if progress:
            progress(stage, len(made), n)
    return made


def one_by_one(names: Sequence[str], progress: Progress | None = None) -> Iterator[str]:
    """The names of metrics, each told of before it is measured."""
    for place, name in enumerate(names):
        if progress:
            progress(f"measuring {name}", place, len(names))
        yield name
    if progress:
        progress("measuring", len(names), len(names))
