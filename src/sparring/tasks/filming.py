"""Making clips: what one shows is painted once, and each frame moved by the noise around its moment.

A frame takes few anchors of the noise, and the motion does not change when anchors and moment move together. So each
frame is made from its own few anchors, as a clip of one frame: clips may be of any length, and the memory that they
take is that of `FORWARD` frames.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypedDict

import torch
from torch import Tensor, nn

from sparring.data import to_bytes
from sparring.errors import SettingError
from sparring.latents.sphere import slerp
from sparring.networks import video
from sparring.randomness import key
from sparring.tasks.generate import FORWARD as BLOCK

if TYPE_CHECKING:
    from sparring.tasks.video import Blueprint

FORWARD = 16
"""Frames that always go through the generator at once: kernels sum in another order at another size."""

DRAWN = 64
"""Anchors of which the noise is drawn at once."""

SLOWEST, FASTEST = 0.01, 100.0
MOST_FRAMES = 1_000_000


@dataclass(frozen=True)
class Beginning:
    """What a clip begins with: z float (z_dim,), noise float (A, motion_dim) as its first moment needs it, y (classes,)
    or None. psnr: decibels between its first frame and the picture that it was looked for. since: seconds of the course
    at which it begins."""

    z: Tensor
    noise: Tensor
    y: Tensor | None
    psnr: float
    since: float = 0.0


class Wishes(TypedDict, total=False):
    """What people say of clips, all of it optional; see `Model.take`."""

    frames: int | None
    fps: float | None
    speed: float
    loop: bool
    interpolate: bool
    same: Literal["content", "motion"] | None
    motion_seed: int | None
    label: int | str | None
    truncation: float
    first: Beginning | None


@dataclass(frozen=True)
class Take:
    """How clips are made.

    frames: of a clip. fps: frames a second, at which it is to be played. speed: below 1 everything goes slower.
    loop: the frame after the last would be the first. interpolate: the content of clip i becomes that of clip i + 1 in
    its course. same: `content` or `motion` of the first clip for all. motion_seed: where motions come from, if not
    from the seed of the contents. label: number of the class of all. truncation: z is multiplied by it. begins: what
    all begin with; they differ in how they go on. room: seconds of the course, if there is one, within which they
    begin; else at its beginning.

    Raises: SettingError for a number out of range, or wishes that do not go together.
    """

    frames: int
    fps: float
    speed: float = 1.0
    loop: bool = False
    interpolate: bool = False
    same: Literal["content", "motion"] | None = None
    motion_seed: int | None = None
    label: int | None = None
    truncation: float = 1.0
    begins: Beginning | None = None
    room: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= MOST_FRAMES:
            raise SettingError(f"frames={self.frames}: it should be from 1 to {MOST_FRAMES:,}")
        if not 0 < self.fps <= 1000:
            raise SettingError(f"fps={self.fps:g}: it should be above 0, and at most 1000")
        if not SLOWEST <= self.speed <= FASTEST:
            raise SettingError(f"speed={self.speed:g}: it should be from {SLOWEST:g} to {FASTEST:g}; 1 is as in life")
        if self.same not in (None, "content", "motion"):
            raise SettingError(f"same={self.same}: it should be content or motion")
        others = self.interpolate, self.same, self.loop, self.motion_seed is not None, self.truncation != 1
        if self.begins is not None and any(others):
            raise SettingError(
                "clips that begin with a picture have its content, and differ in how they go on: leave loop, "
                "interpolate, same, motion_seed and truncation away"
            )
        if self.interpolate and self.same == "content":
            raise SettingError("interpolate takes content from clip to clip, and same=content leaves one: give either")
        if self.loop and self.interpolate:
            raise SettingError("a clip whose content becomes another does not end as it began: loop or interpolate")


class Camera:
    """What makes the frames of a take, from one seed."""

    def __init__(self, generator: nn.Module, blueprint: "Blueprint", seed: int, take: Take) -> None:
        assert isinstance(generator, video.Generator)
        self.generator, self.blueprint, self.seed, self.take = generator, blueprint, seed, take
        motion = generator.motion
        self.device = next(generator.parameters()).device
        self.lasting = int(blueprint.course is not None)
        """Vectors of noise before those of anchors."""
        self.window = motion.vectors(blueprint.spacing) - self.lasting
        """Anchors that a moment between the first two needs."""
        self.seconds = take.frames * take.speed / take.fps
        """Of the motion that a clip shows."""
        self.period: int | None = None
        """Anchors after which the noise of a loop comes again."""
        if take.loop:
            self.seconds = motion.period(self.seconds)
            self.period = round(self.seconds / blueprint.spacing)
        self.latents = lru_cache(maxsize=4)(blueprint.latents)
        self.drawn = lru_cache(maxsize=4)(self.draw)
        self.painted = lru_cache(maxsize=1)(self.paint)

    def moments(self, first: int, last: int) -> list[float]:
        """The times of frames `first` to `last - 1`, in seconds of the motion; a loop meets its end exactly."""
        if self.period is not None:
            return [frame * self.seconds / self.take.frames for frame in range(first, last)]
        return [frame * self.take.speed / self.take.fps for frame in range(first, last)]

    def since(self, number: int, moment: float) -> float:
        """Seconds after the beginning of its course at which a clip is, at a moment; a loop goes there and back."""
        take = self.take
        if take.begins is not None:
            return take.begins.since + moment
        if self.period is not None:
            return self.seconds / 4 * (1 - math.cos(2 * math.pi * moment / self.seconds))
        at = key(self.seed, "course", number) / 2**63 if take.room else 0.0
        return take.room * at + moment

    def content(self, number: int) -> tuple[Tensor, Tensor | None]:
        """z (z_dim,) and y (classes,) of a clip."""
        take, blueprint = self.take, self.blueprint
        if take.begins is not None:
            return take.begins.z, take.begins.y
        z, labels = self.latents(number // BLOCK, self.seed)
        row = slice(number % BLOCK, number % BLOCK + 1)
        label = labels[row] if take.label is None else torch.tensor([take.label])
        y = blueprint.condition(label)
        return z[row][0] * take.truncation, None if y is None else y[0]

    def contents(self, number: int, first: int, last: int) -> tuple[Tensor, Tensor | None]:
        """z (n, z_dim) and y (n, classes) of frames `first` to `last - 1` of a clip that becomes the next."""
        z, y = self.content(number)
        count = last - first
        later, later_y = self.content(number + 1)
        share = torch.arange(first, last, dtype=torch.float64) / self.take.frames
        way = slerp(z.expand(count, -1), later.expand(count, -1), share).float()
        if y is None or later_y is None:
            return way, None
        part = share.float()[:, None]
        return way, (1 - part) * y + part * later_y

    def painting(self, number: int, first: int, last: int) -> video.Painting:
        """What frames `first` to `last - 1` of a clip show, filled up to `FORWARD`."""
        if not self.take.interpolate:
            return self.painted(0 if self.take.same == "content" else number).expand(FORWARD)
        z, y = self.contents(number, first, last)
        rows = torch.arange(FORWARD).clamp(max=last - first - 1)
        return self.generator.paint(z[rows].to(self.device), None if y is None else y[rows].to(self.device))

    def paint(self, number: int) -> video.Painting:
        """What a clip shows, if it is the same all the time."""
        z, y = self.content(number)
        return self.generator.paint(z[None].to(self.device), None if y is None else y[None].to(self.device))

    def draw(self, block: int, chunk: int) -> Tensor:
        """The noise of `BLOCK` clips at `DRAWN` anchors, float (BLOCK, DRAWN, motion_dim)."""
        seed = self.seed if self.take.motion_seed is None else self.take.motion_seed
        generator = torch.Generator().manual_seed(key(seed, "motion", block, chunk))
        return torch.randn(BLOCK, DRAWN, self.blueprint.motion_dim, generator=generator)

    def noise(self, number: int, at: int) -> Tensor:
        """The noise (A, motion_dim) that a moment of a clip between anchors `at` and `at + 1` needs."""
        lasting = range(self.lasting)
        anchors = (i if self.period is None else i % self.period for i in range(at, at + self.window))
        return torch.stack([self.vector(number, i) for i in (*lasting, *(self.lasting + i for i in anchors))])

    def vector(self, number: int, at: int) -> Tensor:
        """One vector of the noise (motion_dim,) of a clip."""
        begins = self.take.begins
        if begins is not None and at < len(begins.noise):
            return begins.noise[at]
        number = 0 if self.take.same == "motion" else number
        return self.drawn(number // BLOCK, at // DRAWN)[number % BLOCK, at % DRAWN]

    @torch.no_grad()
    def film(self, number: int, begin: int = 0) -> Iterator[Tensor]:
        """The frames of a clip from number `begin` on, a multiple of `FORWARD`, in parts, uint8 (at most FORWARD, C, H,
        W) on the CPU.

        The last part is filled up with its last frame, so that as many always go through the generator.
        """
        take, spacing, device = self.take, self.blueprint.spacing, self.device
        for first in range(begin, take.frames, FORWARD):
            last = min(first + FORWARD, take.frames)
            moments = self.moments(first, last)
            before = [math.floor(moment / spacing) for moment in moments]
            noise = torch.stack([self.noise(number, at) for at in before])
            times = torch.tensor([[moment - at * spacing] for moment, at in zip(moments, before, strict=True)])
            since = torch.tensor([[self.since(number, moment)] for moment in moments])
            rows = torch.arange(FORWARD).clamp(max=last - first - 1)
            painting = self.painting(number, first, last)
            made = self.generator.move(
                painting, noise[rows].to(device), times[rows].clamp(min=0).to(device), since[rows].to(device)
            )
            yield to_bytes(made[: last - first, 0]).cpu()


def sample(
    generator: nn.Module, blueprint: "Blueprint", n: int, seed: int, take: Take, start: int = 0, begin: int = 0
) -> Tensor:
    """Clips number `start` to `start + n - 1` of a seed, uint8 (n, T, C, H, W) on the CPU.

    begin: the first frame that is made of them, a multiple of `FORWARD`.

    Frame k of clip i is always moved in row k % FORWARD, beside frames of its own clip, so its bytes depend on
    (seed, i), its number and its moment alone.
    """
    camera = Camera(generator, blueprint, seed, take)
    return torch.stack([torch.cat(list(camera.film(number, begin))) for number in range(start, start + n)])
