"""Pictures of any size, held as they are, of which training sees random patches at several scales."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.data import memory
from sparring.data.decode import Form, UnusableError, whole
from sparring.data.loading import class_labels, fingerprint_of
from sparring.data.opening import open_source
from sparring.data.order import drawn_at
from sparring.data.parallel import each
from sparring.data.pictures import CPU, Batch, Pictures, sent, shares_of, split
from sparring.data.sources import Progress, Skipped
from sparring.errors import DataError
from sparring.randomness import Random


@dataclass(frozen=True)
class Patches:
    """A decoded set, all at hand, whose batches are patches cut at random places.

    Patch i of an epoch comes from picture i of its order: large pictures are seen as often as small ones, each time
    somewhere else. A patch covers up to `zoom` times the sides of its own size, and is reduced to it then.
    """

    pixels: Sequence[Tensor]
    """uint8 (C, h, w) each, no smaller than a patch."""
    size: tuple[int, int]
    """Height and width of a patch."""
    zoom: float
    labels: Tensor | None
    """int64 (N,), positions in `classes`; None for a set without labels."""
    classes: tuple[str, ...]
    name: str
    fingerprint: str
    skipped: Sequence[Skipped] = ()
    names: Sequence[str] = ()
    notices: Sequence[str] = ()
    device: torch.device = CPU
    drawn: Tensor | None = None
    """int64, the numbers of the pictures that `draw` takes; None: all."""

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a patch."""
        return len(self.pixels[0]), *self.size

    @property
    def class_shares(self) -> tuple[float, ...]:
        """How much of the set each class is; empty for a set without labels."""
        return shares_of(self.labels, len(self.classes))

    def to(self, device: torch.device | str) -> "Patches":
        """The same set with batches on `device`; the pictures stay in main memory, where they are cut."""
        device = torch.empty(0, device=device).device
        return replace(self, device=device, labels=None if self.labels is None else self.labels.to(device))

    def draw(self, seed: int, position: int, batch: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Patches of the pictures whose turn it is; a pure function of its arguments."""
        part = batch // ranks
        start = rank * part
        numbers = drawn_at(self.drawn, len(self), seed, position + start, part)
        places = Random(seed, position, part, start).uniform("patch", 3)
        patches = [
            cut(self.pixels[number], self.size, *place, zoom=self.zoom)
            for number, place in zip(numbers.tolist(), places.tolist(), strict=True)
        ]
        labels = None if self.labels is None else self.labels[numbers.to(self.labels.device)]
        return Batch(sent(torch.stack(patches), self.device), labels)

    @cached_property
    def middles(self) -> Pictures:
        """The middle of each picture, as much as a patch can cover."""
        patches = torch.stack([cut(picture, self.size, 0.5, 0.5, 1.0, zoom=self.zoom) for picture in self.pixels])
        return Pictures(
            patches, self.labels, self.classes, self.name, self.fingerprint, names=self.names, device=self.device
        )

    def sample(self) -> Pictures:
        """The middle of each picture."""
        return replace(self.middles, drawn=self.drawn)

    def hold_out(self, count: int) -> "tuple[Patches, Patches | None]":
        """The same pictures twice, of which each draws a part; at most half of them are held out."""
        shown, held_out = split(len(self), self.labels, count, self.fingerprint)
        return replace(self, drawn=shown), None if held_out is None else replace(self, drawn=held_out)

    @property
    def own(self) -> list[Tensor]:
        """The whole pictures that `draw` takes from."""
        return list(self.pixels) if self.drawn is None else [self.pixels[number] for number in self.drawn.tolist()]

    def close(self) -> None:
        """Nothing reads ahead."""


def cut(picture: Tensor, size: tuple[int, int], down: float, right: float, far: float, *, zoom: float) -> Tensor:
    """A patch uint8 (C, *size) of a picture uint8 (C, H, W) no smaller.

    down, right: 0 to 1, where from top to bottom and from left to right. far: 0 to 1, the logarithm of how many times
    `size` the patch covers, from once to `zoom` times or as often as there is room for.
    """
    room = min(inside / side for inside, side in zip(picture.shape[1:], size, strict=True))
    factor = max(1.0, min(zoom, room)) ** far
    height, width = (min(round(side * factor), inside) for side, inside in zip(size, picture.shape[1:], strict=True))
    top = min(int(down * (picture.shape[1] - height + 1)), picture.shape[1] - height)
    left = min(int(right * (picture.shape[2] - width + 1)), picture.shape[2] - width)
    patch = picture[:, top : top + height, left : left + width]
    if (height, width) == size:
        return patch
    reduced = torch.nn.functional.interpolate(patch[None].float(), size, mode="bilinear", antialias=True)
    return reduced[0].round().clamp(0, 255).to(torch.uint8)


def load_patches(
    data: str | Path, form: Form, *, longest: int, zoom: float, labels: bool = False, progress: Progress | None = None
) -> Patches:
    """All usable pictures of a set, decoded as they are; `form` says the size and the channels of patches.

    longest: pixels that the longer side of a picture is reduced to, if it is longer. Pictures smaller than a patch are
    enlarged until they cover one. zoom: as in `Patches`.

    Raises: DataError if nothing is usable, labels are wanted and there are none, or memory does not suffice.
    """
    source = open_source(data)
    if not source.items:
        raise source.refuse(source.skipped)
    if not memory.fits(len(source.items) * form.channels * form.height * form.width):
        raise DataError(
            f"{source.name}: {len(source.items):,} pictures do not fit into memory, not even reduced to the size of a "
            "patch: take fewer of them, a smaller --resolution, or with task=restore --set fit=crop"
        )
    known = fingerprint_of(source.digest(progress), form) + f"-{longest}-{zoom:g}"
    decoded: list[Tensor] = []
    used: list[int] = []
    skipped = list(source.skipped)

    def keep(index: int, result: NDArray[np.uint8] | UnusableError) -> None:
        if isinstance(result, UnusableError):
            skipped.append(Skipped(source.items[index], str(result)))
        else:
            decoded.append(torch.from_numpy(result))
            used.append(index)

    def decode(_: int, picture: Image.Image) -> NDArray[np.uint8]:
        return whole(picture, form.channels, lambda height, width: covering(height, width, form, longest))

    each(source, decode, keep, "decoding", progress)
    if not decoded:
        raise source.refuse(skipped)
    names, found = class_labels(source, used) if labels else ((), None)
    return Patches(
        pixels=decoded,
        size=(form.height, form.width),
        zoom=zoom,
        labels=found,
        classes=names,
        name=source.name,
        fingerprint=known,
        skipped=tuple(skipped),
        names=tuple(source.items[index] for index in used),
    )


def covering(height: int, width: int, form: Form, longest: int) -> tuple[int, int]:
    """(height, width) that a picture is brought to in proportion: at most `longest`, and no smaller than a patch.

    Raises: UnusableError for a strip so narrow that it would have more pixels then than any other picture.
    """
    shrink = min(1.0, longest / max(height, width))
    grow = max(form.height / (height * shrink), form.width / (width * shrink), 1.0)
    factor = shrink * grow
    size = max(form.height, math.floor(height * factor)), max(form.width, math.floor(width * factor))
    if size[0] * size[1] > max(longest, form.height, form.width) ** 2:
        raise UnusableError(f"{height}x{width} pixels: too narrow for patches of {form.height}x{form.width}")
    return size
