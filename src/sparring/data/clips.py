"""Clips of a set, all frames of all of them in one tensor, and what a discriminator is shown of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from sparring.data.order import drawn_at
from sparring.data.pictures import CPU, sent, settled, shares_of, split
from sparring.data.sources import Skipped
from sparring.randomness import Random


@dataclass(frozen=True)
class ClipBatch:
    """A few frames of each of some clips, on the training device.

    frames: uint8 (N, K, C, H, W). times: float32 (N, K), seconds since the first frame of the K, ascending.
    begins: float32 (N,), seconds from the beginning of the clip to that frame. labels: int64 (N,) or None.
    """

    frames: Tensor
    times: Tensor
    begins: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, samples: slice) -> "ClipBatch":
        labels = None if self.labels is None else self.labels[samples]
        return ClipBatch(self.frames[samples], self.times[samples], self.begins[samples], labels)


@dataclass(frozen=True)
class Clips:
    """A decoded set of clips of any lengths and frame rates; `to` a GPU they move there if they fit."""

    frames: Tensor
    """uint8 (F, C, H, W): frames of all clips one after the other, in main memory, memory-mapped, or on `device`."""
    starts: Tensor
    """int64 (N,): the first frame of each clip."""
    lengths: Tensor
    """int64 (N,): how many frames each clip has, at least `seen`."""
    rates: Tensor
    """float32 (N,): frames a second of each clip."""
    labels: Tensor | None
    """int64 (N,), positions in `classes`; None for a set without labels."""
    classes: tuple[str, ...]
    name: str
    fingerprint: str
    """Hexadecimal, of the content of the clips and of the way they were decoded; the path plays no part."""
    seen: int = 3
    """Frames of a clip that `draw` takes."""
    window: float = 1.0
    """Seconds within which they lie, or, of a clip with few frames a second, as many frames as that takes."""
    skipped: Sequence[Skipped] = ()
    names: Sequence[str] = ()
    """Where clip i came from: its path within the folder or archive."""
    notices: Sequence[str] = ()
    """Sentences for the person: what went otherwise than usual while loading."""
    device: torch.device = CPU
    """Where batches go."""
    drawn: Tensor | None = None
    """int64, the numbers of the clips that `draw` takes; None: all."""

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a frame."""
        _, channels, height, width = self.frames.shape
        return channels, height, width

    @property
    def class_shares(self) -> tuple[float, ...]:
        """How much of the set each class is; empty for a set without labels."""
        return shares_of(self.labels, len(self.classes))

    @property
    def rate(self) -> float:
        """Frames a second of the middle clip, by which samples are made unless another rate is asked for."""
        return float(self.rates.median())

    def to(self, device: torch.device | str) -> "Clips":
        """The same set with batches on `device`; the frames move there too when they fit into a third of its memory."""
        device, (frames,) = settled(device, self.device, self.frames)
        return replace(self, frames=frames, device=device)

    def clip(self, number: int) -> Tensor:
        """All frames of a clip, uint8 (T, C, H, W), on the CPU."""
        start = int(self.starts[number])
        return self.frames[start : start + int(self.lengths[number])].cpu()

    def draw(self, seed: int, position: int, batch: int, rank: int = 0, ranks: int = 1) -> ClipBatch:
        """Part `rank` of `ranks` of the batch that begins at sample `position` of the stream of `order.indices`.

        Of each clip `seen` frames, no two the same: see `offsets`. The parts of all ranks together are the whole batch.
        """
        part = batch // ranks
        start = rank * part
        numbers = drawn_at(self.drawn, len(self), seed, position + start, part)
        offsets = self.offsets(numbers, Random(seed, position, part, start))
        places = (self.starts[numbers, None] + offsets).flatten()
        frames = self.frames.index_select(0, places.to(self.frames.device)).view(part, self.seen, *self.shape)
        times = (offsets - offsets[:, :1]) / self.rates[numbers, None]
        begins = offsets[:, 0] / self.rates[numbers]
        labels = None if self.labels is None else self.labels[numbers].to(self.device)
        times, begins = (seconds.to(self.device, torch.float32) for seconds in (times, begins))
        return ClipBatch(sent(frames, self.device), times, begins, labels)

    def offsets(self, numbers: Tensor, random: Random) -> Tensor:
        """Which frames are drawn of the clips `numbers` (n,): int64 (n, seen), ascending, counted from their first.

        How far the last is from the first is uniform, from `seen` - 1 to what `reach` says; so is where they begin, and
        which frames between them are taken. All gaps come, short ones the most (Skorokhodov et al. 2022, section 3.2,
        found that a few frames at random distances suffice to judge motion).
        """
        lengths, reach = self.lengths[numbers], self.reach(numbers)
        least = self.seen - 1
        spread = least + (random.uniform("spread") * (reach - least + 1)).long().clamp(max=reach - least)
        begin = (random.uniform("begin") * (lengths - spread)).long().clamp(max=lengths - 1 - spread)
        ends = torch.stack([torch.zeros_like(spread), spread], 1)
        if self.seen == 2:
            return begin[:, None] + ends
        # Those with the largest of numbers drawn for all frames between the ends are a set drawn uniformly.
        inside = torch.arange(1, self.farthest)  # for all clips the same, so that no part of a batch changes another
        drawn = random.uniform("between", len(inside)).masked_fill(inside >= spread[:, None], -1)
        between = inside[drawn.topk(self.seen - 2, 1).indices]
        return begin[:, None] + torch.cat([ends[:, :1], between.sort(1).values, ends[:, 1:]], 1)

    def reach(self, numbers: Tensor) -> Tensor:
        """How far those drawn of the clips `numbers` (n,) lie apart at most: int64 (n,) frames, at least `seen` - 1."""
        window = (self.window * self.rates[numbers]).round().long().clamp(min=self.seen - 1)
        return torch.minimum(self.lengths[numbers] - 1, window)

    @cached_property
    def farthest(self) -> int:
        """The largest `reach` of all clips."""
        return int(self.reach(torch.arange(len(self))).max())

    def sample(self) -> "Clips":
        """All of it."""
        return self

    def hold_out(self, count: int) -> "tuple[Clips, Clips | None]":
        """The same clips twice, of which each draws a part; at most half of them are held out."""
        shown, held_out = split(len(self), self.labels, count, self.fingerprint)
        return replace(self, drawn=shown), None if held_out is None else replace(self, drawn=held_out)

    def close(self) -> None:
        """Nothing reads ahead."""
