"""Memory that is freed stays with the process.

A step of training frees all it made and makes as much again. glibc gives large blocks back to the system each time, and
the system clears them anew, page by page, which takes up to a sixth of a step on a busy CPU (`benchmarks/step.py`).
"""

import ctypes
import platform

LARGEST = (2**28, 2**25)
"""Bytes; what is larger, as a decoded set may be, goes back to the system. Before glibc 2.35 the second is the most."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""


def keep_freed_memory() -> None:
    """Tells glibc to keep what this process frees; elsewhere nothing happens."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        # Where neither is taken, the other threshold alone would do harm.
        if any(libc.mallopt(M_MMAP_THRESHOLD, largest) for largest in LARGEST):
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
