"""What choosing settings has in common for all tasks: those that are given stand, and the others come with a reason."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from sparring.errors import SettingError

LOOKED = 0.25
"""Seconds in which it shows how busy the cores are."""


@dataclass(frozen=True)
class Choice:
    """One setting, its value as people read it, and the reason for it."""

    setting: str
    value: str
    reason: str


class Choices:
    """Settings that are given, and those that are chosen for want of them."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.values = dict(given)
        self.given = frozenset(given)
        self.told: list[Choice] = []

    def was_given(self, setting: str) -> bool:
        """Whether a person or a preset gave it."""
        return setting in self.given

    def choose(self, setting: str, value: Any, reason: str = "") -> Any:
        """The given value, or else this one; with a reason it is one of those that people are told."""
        if setting not in self.values:
            self.values[setting] = value
            if reason:
                self.told.append(Choice(setting, shown(value), reason))
        return self.values[setting]

    def confirm(self, setting: str) -> None:
        """Tells people of a given setting as well: one that many others follow from."""
        if self.was_given(setting):
            self.told.append(Choice(setting, shown(self.values[setting]), "as given"))


def shown(value: Any) -> str:
    """A setting as people read it."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()  # as --set and config.toml have it
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def every(images: float, batch: int) -> int:
    """A multiple of the batch near `images`, at least one batch."""
    return max(1, round(images / batch)) * batch


def pick_device(wanted: str | None) -> str:
    """The device to train on: the one asked for, else CUDA or Apple's MPS where it is there, else the CPU.

    Several processes cannot share an MPS.
    Raises: SettingError if the one asked for is not there.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted is None:
        alone = os.environ.get("WORLD_SIZE", "1") == "1"
        return "cuda" if cuda else "mps" if mps and alone else "cpu"
    kind, _, number = wanted.partition(":")
    there = {"cpu": True, "mps": mps, "cuda": cuda and int(number or 0) < torch.cuda.device_count()}
    if not there[kind]:
        have = ", ".join(name for name, found in (("cpu", True), ("cuda", cuda), ("mps", mps)) if found)
        raise SettingError(f"device={wanted}: this machine or this build of torch has none; it has {have}")
    return wanted


def has_bf16(device: str) -> bool:
    """Whether the device computes in bf16 faster than in float32."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device == "mps":
        return False
    abilities: dict[str, Any] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # newer than the oldest torch that we take
    return any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def threads_for(settings: Choices) -> tuple[int, str]:
    """As many threads as there are cores that nobody else keeps busy, those of PyTorch at most; and why they are fewer.

    The threads of a layer wait for the slowest, so that one which has to share its core holds all of them up.
    """
    most = torch.get_num_threads()
    if most == 1 or settings.values["device"] != "cpu" or settings.was_given("threads"):
        return most, ""
    every_core = psutil.cpu_percent(LOOKED, percpu=True)
    cores = [every_core[number] for number in own_cores(len(every_core))]
    busy = sum(cores) / 100
    free = max(1, min(most, round(len(cores) - busy)))
    return free, f"others keep {busy:.1f} of {len(cores)} cores busy" if free < most else ""


def own_cores(count: int) -> list[int]:
    """The numbers of those of so many cores on which this process may run: all, where the system does not tell."""
    process = psutil.Process()
    allowed = process.cpu_affinity() if hasattr(process, "cpu_affinity") else ()
    return [number for number in allowed if number < count] or list(range(count))
