"""Pictures by number, wherever they come from: decoded files, or a generator."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring.data import Pictures, memory
from sparring.data.decode import Form, pixels
from sparring.data.sources import Progress

CHUNK = 256
"""Pictures held at a time while features are taken."""


class Gallery(Protocol):
    """Pictures with numbers from 0 to `len` - 1, all of one shape."""

    def __len__(self) -> int:
        """How many there are."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""

    def part(self, start: int, stop: int) -> Tensor:
        """Pictures `start` to `stop - 1`, uint8 (n, C, H, W), on the CPU."""


def chunks(gallery: Gallery, size: int = CHUNK) -> Iterator[Tensor]:
    """All pictures in order, `size` at a time."""
    for start in range(0, len(gallery), size):
        yield gallery.part(start, min(start + size, len(gallery)))


def held(gallery: Gallery, progress: Progress | None = None, stage: str = "") -> Gallery:
    """The same pictures, made once and kept, if they fit into memory; the gallery itself otherwise."""
    if isinstance(gallery, Held | Decoded) or not memory.fits(len(gallery) * math.prod(gallery.shape)):
        return gallery
    parts: list[Tensor] = []
    for images in chunks(gallery):
        parts.append(images)
        if progress:
            progress(stage, min(len(parts) * CHUNK, len(gallery)), len(gallery))
    return Held(torch.cat(parts))


def spread(count: int, most: int) -> Tensor:
    """The numbers of at most `most` of `count` things, spread evenly, int64."""
    return torch.arange(min(count, most)) * count // min(count, most)


def take(gallery: Gallery, numbers: Tensor) -> Tensor:
    """The pictures `numbers`, int64 (n,): uint8 (n, C, H, W)."""
    return torch.cat([gallery.part(int(number), int(number) + 1) for number in numbers])


@dataclass(frozen=True)
class Decoded:
    """`count` pictures of a decoded set, spread evenly over it."""

    pictures: Pictures
    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.pictures.shape

    @cached_property
    def numbers(self) -> Tensor:
        """Which pictures of the set these are, int64 (count,)."""
        return spread(len(self.pictures), self.count)

    def part(self, start: int, stop: int) -> Tensor:
        """Pictures `start` to `stop - 1`."""
        images = self.pictures.images
        return images.index_select(0, self.numbers[start:stop].to(images.device)).cpu()


@dataclass(frozen=True)
class Held:
    """Pictures in memory, uint8 (N, C, H, W)."""

    images: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def part(self, start: int, stop: int) -> Tensor:
        """Pictures `start` to `stop - 1`."""
        return self.images[start:stop]


@dataclass(frozen=True)
class Drawn:
    """`count` pictures that are made when they are asked for: draw(start, stop) gives uint8 (stop - start, *shape)."""

    draw: Callable[[int, int], Tensor]
    count: int
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return self.count

    def part(self, start: int, stop: int) -> Tensor:
        """Pictures `start` to `stop - 1`."""
        return self.draw(start, stop)


@dataclass(frozen=True)
class Reformed:
    """A gallery whose pictures are resized, or given other channels, as they come, as pictures from files are."""

    gallery: Gallery
    form: Form

    def __len__(self) -> int:
        return len(self.gallery)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.form.channels, self.form.height, self.form.width

    def part(self, start: int, stop: int) -> Tensor:
        """Pictures `start` to `stop - 1`."""
        images = self.gallery.part(start, stop).permute(0, 2, 3, 1).squeeze(-1).numpy()
        return torch.from_numpy(np.stack([pixels(Image.fromarray(image), self.form) for image in images]))


def reformed(gallery: Gallery, form: Form) -> Gallery:
    """The gallery in that form; itself if it is in it already."""
    return gallery if gallery.shape == (form.channels, form.height, form.width) else Reformed(gallery, form)
