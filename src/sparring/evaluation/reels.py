"""Clips by number, wherever they come from: a set, a generator, or memory."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from sparring.data.clips import Clips
from sparring.data.decode import Form
from sparring.errors import MetricError
from sparring.evaluation.galleries import Held, reformed, spread
from sparring.randomness import key

FRAMES = 16
"""Frames of a clip that is judged: what published FVD is measured of."""


class Reel(Protocol):
    """Clips with numbers from 0 to `len` - 1, all of one shape."""

    def __len__(self) -> int:
        """How many there are."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Frames, channels, height and width."""

    @property
    def rate(self) -> float:
        """Frames a second."""

    def clips(self, start: int, stop: int) -> Tensor:
        """Clips `start` to `stop - 1`, uint8 (n, T, C, H, W), on the CPU."""


def length_of(whole: Clips, most: int = FRAMES) -> int:
    """Frames that clips of a set are judged by: as many as three in four of them have, `most` at most."""
    return min(most, int(whole.lengths.double().quantile(0.25, interpolation="lower")))


@dataclass(frozen=True)
class Taken:
    """Clips of a set, spread evenly over those that are long enough: consecutive frames at the natural rate.

    They begin at a random place, which depends on the seed and on the clip's number in the set alone.
    Raises: MetricError, when clips are asked for, if none is long enough.
    """

    whole: Clips
    frames: int
    most: int
    seed: int = 0

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Frames, channels, height and width."""
        return self.frames, *self.whole.shape

    @property
    def rate(self) -> float:
        """Frames a second of the middle clip of the set."""
        return self.whole.rate

    @cached_property
    def numbers(self) -> Tensor:
        """Which clips of the set these are, int64 (N,)."""
        known = torch.arange(len(self.whole)) if self.whole.drawn is None else self.whole.drawn
        long = known[self.whole.lengths[known] >= self.frames]
        if not len(long):
            raise MetricError(f"{self.whole.name}: none of its clips has the {self.frames} frames that are compared")
        return long[spread(len(long), self.most)]

    @property
    def fingerprint(self) -> str:
        """Of what these clips are."""
        which = f"{self.whole.fingerprint} {self.frames} {self.seed} {self.numbers.tolist()}"
        return hashlib.blake2b(which.encode(), digest_size=16).hexdigest()

    def clips(self, start: int, stop: int) -> Tensor:
        """Clips `start` to `stop - 1`."""
        return torch.stack([self.clip(int(number)) for number in self.numbers[start:stop]])

    def clip(self, number: int) -> Tensor:
        """The frames taken of clip `number` of the set."""
        room = int(self.whole.lengths[number]) - self.frames
        begin = key(self.seed, "judged", number) % (room + 1)
        return self.whole.clip(number)[begin : begin + self.frames]


@dataclass(frozen=True)
class Shot:
    """Clips that are made when they are asked for: draw(start, stop) gives uint8 (stop - start, *shape)."""

    draw: Callable[[int, int], Tensor]
    count: int
    shape: tuple[int, int, int, int]
    rate: float

    def __len__(self) -> int:
        return self.count

    def clips(self, start: int, stop: int) -> Tensor:
        """Clips `start` to `stop - 1`."""
        return self.draw(start, stop)


@dataclass(frozen=True)
class Reframed:
    """A reel whose frames are resized, or given other channels, as they come, as pictures from files are."""

    reel: Reel
    form: Form

    def __len__(self) -> int:
        return len(self.reel)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Frames, channels, height and width."""
        return self.reel.shape[0], self.form.channels, self.form.height, self.form.width

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.reel.rate

    def clips(self, start: int, stop: int) -> Tensor:
        """Clips `start` to `stop - 1`."""
        clips = self.reel.clips(start, stop)
        frames = reformed(Held(clips.flatten(0, 1)), self.form)
        return frames.part(0, len(frames)).view(len(clips), *self.shape)


@dataclass(frozen=True)
class Kept:
    """Clips in memory, uint8 (N, T, C, H, W)."""

    all: Tensor
    rate: float

    def __len__(self) -> int:
        return len(self.all)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Frames, channels, height and width."""
        _, frames, channels, height, width = self.all.shape
        return frames, channels, height, width

    def clips(self, start: int, stop: int) -> Tensor:
        """Clips `start` to `stop - 1`."""
        return self.all[start:stop]
