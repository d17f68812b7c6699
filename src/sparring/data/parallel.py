"""One piece of work on everything in a place, on all cores."""

import errno
import os
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sparring.data.decode import UnusableError, reason
from sparring.data.sources import Opener, Place, Progress

AHEAD = 4
"""Things waiting per thread: enough that no thread idles, few enough that they do not fill the memory."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

S = TypeVar("S")
T = TypeVar("T")


def each(
    place: Place[S],
    work: Callable[[int, S], T],
    keep: Callable[[int, T | UnusableError], None],
    stage: str,
    progress: Progress | None = None,
) -> None:
    """Calls work(index, thing) in threads, then keep(index, result) here, in the order of the items.

    Pillow gives up the interpreter's lock while it decodes and resizes, so threads are enough.
    Whatever goes wrong with one of them is kept as an `UnusableError`.

    Raises: OSError if a disk is full, which is no fault of what was read.
    """

    def attempt(index: int, opener: Opener[S]) -> T | UnusableError:
        try:
            with opener() as thing:
                return work(index, thing)
        except Exception as error:  # hostile bytes can raise anything, and must not end the run
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
            return UnusableError(reason(error))

    waiting: deque[Future[T | UnusableError]] = deque()
    done = 0

    def finish_one() -> None:
        nonlocal done
        keep(done, waiting.popleft().result())
        done += 1
        if progress is not None:
            progress(stage, done, len(place.items))

    threads = cores()
    with warnings.catch_warnings(), place.openings() as openings, ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")  # Pillow's, about broken metadata and large pictures
        for index, opener in enumerate(openings):
            waiting.append(pool.submit(attempt, index, opener))
            if len(waiting) >= AHEAD * threads:
                finish_one()
        while waiting:
            finish_one()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
