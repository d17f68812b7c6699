"""One piece of work on every molecule of a list, on all cores."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Progress = Callable[[str, int, int], None]
"""Told of a stage, how many of its molecules are done, and how many there are; as `data.sources.Progress`."""

CHUNK = 500
"""Molecules that a process gets at a time: half a second of work or less, so that progress is seen."""

LEAST = 4000
"""Molecules for which other processes are started: fewer are done before these would have loaded RDKit."""

T = TypeVar("T")
R = TypeVar("R")


def in_chunks(
    work: Callable[[Sequence[T]], R],
    items: Sequence[T],
    stage: str = "",
    progress: Progress | None = None,
    *,
    chunk: int = CHUNK,
    least: int = LEAST,
) -> Iterator[R]:
    """work(chunk) for chunks of the items, in their order. `work` is a function of a module, or a `partial` of one.

    least: items for which other processes are started.

    Threads would wait for each other, as RDKit and selfies keep the interpreter's lock. The processes are those of
    joblib, which neither fork a process that has threads, nor run the caller's script again, and stay for the next
    call.

    Raises: whatever `work` raises.
    """
    chunks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    processes = min(_cores(), len(chunks))
    if processes < 2 or len(items) < least:
        results: Iterator[R] = map(work, chunks)
    else:
        from joblib import Parallel, delayed  # type: ignore[import-untyped]

        parallel = Parallel(n_jobs=processes, return_as="generator", pre_dispatch="3 * n_jobs")
        results = parallel(delayed(work)(part) for part in chunks)
    done = 0
    for part, result in zip(chunks, results, strict=True):
        done += len(part)
        if progress is not None:
            progress(stage, done, len(items))
        yield result


def _cores() -> int:
    """As `data.parallel.cores`, which would load torch into processes that do not need it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
