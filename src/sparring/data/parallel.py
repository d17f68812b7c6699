"""One piece of work on every picture of a source, on all cores."""

import os
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from sparring.data.decode import UnusableError, reason
from sparring.data.sources import Open, Progress, Source

AHEAD = 4
"""Pictures waiting per thread: enough that no thread idles, few enough that they do not fill the memory."""

T = TypeVar("T")


def each(
    source: Source,
    work: Callable[[int, Image.Image], T],
    keep: Callable[[int, T | UnusableError], None],
    stage: str,
    progress: Progress | None = None,
) -> None:
    """Calls work(index, picture) in threads, then keep(index, result) here, in the order of the items.

    Pillow gives up the interpreter's lock while it decodes and resizes, so threads are enough.
    Whatever goes wrong with a picture is kept as an `UnusableError`.
    """

    def attempt(index: int, open_picture: Open) -> T | UnusableError:
        try:
            with open_picture() as picture:
                return work(index, picture)
        except Exception as error:  # hostile bytes can raise anything, and must not end the run
            return UnusableError(reason(error))

    waiting: deque[Future[T | UnusableError]] = deque()
    done = 0

    def finish_one() -> None:
        nonlocal done
        keep(done, waiting.popleft().result())
        done += 1
        if progress is not None:
            progress(stage, done, len(source.items))

    threads = cores()
    with warnings.catch_warnings(), source.pictures() as pictures, ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")  # Pillow's, about broken metadata and large pictures
        for index, open_picture in enumerate(pictures):
            waiting.append(pool.submit(attempt, index, open_picture))
            if len(waiting) >= AHEAD * threads:
                finish_one()
        while waiting:
            finish_one()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
