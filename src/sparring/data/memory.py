"""How much memory there is for the data."""

import os
from contextlib import suppress
from pathlib import Path

import torch

UNKNOWN = 4 * 2**30
"""What is taken for free, in bytes, on systems that do not tell."""


def available() -> int:
    """Bytes of main memory that can be used without swapping, within the limit of the container if there is one."""
    free = [_system()]
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    with suppress(OSError, ValueError):  # no container, or one whose limit is the word "max"
        free.append(int(limit.read_text()) - int(used.read_text()))
    return max(0, min(free))


def fits(size: int) -> bool:
    """Whether `size` bytes of pictures may be held in main memory: a quarter of it, for training needs the rest.

    Processes that `torchrun` started on this host share it.
    """
    return size <= available() // 4 // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def fits_device(size: int, device: torch.device) -> bool:
    """Whether `size` bytes of pictures may live on the device: a third of what is free there."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available()
    return size <= free // 3


def _system() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):  # no /proc (macOS, Windows), no such name, no sysconf
        return UNKNOWN
