"""Pictures by number, wherever they come from: decoded files, a generator of ours, or an ONNX file of anybody's."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring.data import Pictures, memory
from sparring.data.decode import Form, pixels
from sparring.data.sources import Progress
from sparring.errors import MetricError
from sparring.networks.foreign import need_onnxruntime
from sparring.randomness import key

CHUNK = 256
"""Pictures held at a time while features are taken."""

BLOCK = 32
"""Latents that go through an ONNX generator at once; each block has random numbers of its own."""


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


class Onnx:
    """`count` samples of a generator in an ONNX file: latents in, pictures out.

    Its first floating-point input takes standard normal latents, (n, z_dim) or (n, z_dim, 1, 1); further inputs are
    labels, int64 (n,), for which the entry `classes` of the file's metadata gives their number. They come as often as
    its entry `class_shares` says, a JSON list, or all alike. The output is a picture, channels first or last: uint8, or
    float in [-1, 1], [0, 1] or [0, 255], by what the first block holds.
    """

    def __init__(self, path: Path, count: int, seed: int) -> None:
        self.path = path
        self.count = count
        self.seed = seed
        runtime = need_onnxruntime(f"{path}: to run it")
        try:
            self.session = runtime.InferenceSession(str(path), providers=runtime.get_available_providers())
        except Exception as error:  # onnxruntime has no common class of its own
            raise MetricError(f"{path}: not an ONNX model that can be run: {_brief(error)}") from None
        with path.open("rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.latent, self.labels = self._inputs()
        first = self._run(0)
        self.channels_last = self._is_channels_last(first)
        self.scale, self.range = _range_of(first)
        self._first = self._pictures(first)

    def __len__(self) -> int:
        return self.count

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self._first.shape[1:]
        return channels, height, width

    def part(self, start: int, stop: int) -> Tensor:
        """Samples `start` to `stop - 1`; sample i depends on (seed, i) alone."""
        first, last = start // BLOCK, -(-stop // BLOCK)
        blocks = [self._first if block == 0 else self._pictures(self._run(block)) for block in range(first, last)]
        return torch.cat(blocks)[start - first * BLOCK : stop - first * BLOCK]

    def _inputs(self) -> tuple[Any, list[Any]]:
        latents = [given for given in self.session.get_inputs() if "float" in given.type]
        labels = [given for given in self.session.get_inputs() if given.type == "tensor(int64)"]
        listed = ", ".join(f"{given.name} {given.type} {given.shape}" for given in self.session.get_inputs())
        if len(latents) != 1 or len(labels) > 1 or len(latents) + len(labels) != len(self.session.get_inputs()):
            raise MetricError(
                f"{self.path}: a generator takes latents (floats) and perhaps a label; this takes {listed}"
            )
        shape = latents[0].shape
        if len(shape) not in (2, 4) or not isinstance(shape[1], int) or shape[2:] not in ([], [1, 1]):
            raise MetricError(f"{self.path}: latents are (n, z_dim) or (n, z_dim, 1, 1); this takes {listed}")
        return latents[0], labels

    def _run(self, block: int) -> np.ndarray[Any, Any]:
        generator = torch.Generator().manual_seed(key(self.seed, "latents", block))
        shape, kind = self.latent.shape, self.latent.type
        z = torch.randn(BLOCK, shape[1], generator=generator)
        dtype = np.float16 if "float16" in kind else np.float64 if "double" in kind else np.float32
        given = {self.latent.name: z.reshape(BLOCK, *shape[1:]).numpy().astype(dtype)}
        if self.labels:
            given[self.labels[0].name] = torch.multinomial(
                self._shares(), BLOCK, replacement=True, generator=generator
            ).numpy()
        # A model for a fixed number of samples gets so many at a time, the last ones repeated to fill up.
        fixed = shape[0] if isinstance(shape[0], int) else BLOCK
        order = np.minimum(np.arange(-(-BLOCK // fixed) * fixed), BLOCK - 1)
        try:
            parts = [
                self.session.run(None, {name: value[order[at : at + fixed]] for name, value in given.items()})[0]
                for at in range(0, len(order), fixed)
            ]
        except Exception as error:  # onnxruntime has no common class of its own
            raise MetricError(f"{self.path}: it cannot be run: {_brief(error)}") from None
        made = np.concatenate(parts)[:BLOCK]
        if made.dtype.kind == "f" and not np.isfinite(made).all():
            raise MetricError(f"{self.path}: it gives NaN or infinity")
        return made

    def _shares(self) -> Tensor:
        told = self.session.get_modelmeta().custom_metadata_map
        count = told.get("classes", "")
        if not (count.isdecimal() and int(count) > 0):
            raise MetricError(
                f"{self.path}: it takes a label, and its metadata has no number `classes`; sample it yourself and give "
                "the folder of pictures"
            )
        if "class_shares" not in told:
            return torch.ones(int(count))
        try:
            shares = torch.tensor(json.loads(told["class_shares"]), dtype=torch.float64)
        except (ValueError, TypeError):
            shares = torch.zeros(0)
        if shares.shape != (int(count),) or not (shares >= 0).all() or not 0 < shares.sum() < math.inf:
            raise MetricError(f"{self.path}: `class_shares` of its metadata are not {count} shares as a JSON list")
        return shares

    def _is_channels_last(self, made: np.ndarray[Any, Any]) -> bool:
        if made.ndim == 4 and len(made) == BLOCK:
            # As exports of ours are; else pictures four pixels high would seem to have four channels.
            ours = made.dtype == np.uint8 and self.session.get_outputs()[0].name == "image"
            if made.shape[1] in (1, 3, 4) and not (ours and made.shape[3] in (1, 3, 4)):
                return False
            if made.shape[3] in (1, 3, 4):
                return True
        raise MetricError(
            f"{self.path}: its first output has shape {made.shape} for {BLOCK} latents; pictures are "
            "(n, C, H, W) or (n, H, W, C) with 1, 3 or 4 channels"
        )

    def _pictures(self, made: np.ndarray[Any, Any]) -> Tensor:
        pictures = torch.from_numpy(np.ascontiguousarray(made))
        if self.channels_last:
            pictures = pictures.permute(0, 3, 1, 2)
        if pictures.dtype != torch.uint8:
            factor, offset = self.scale
            pictures = pictures.float().mul(factor).add(offset).round().clamp(0, 255).to(torch.uint8)
        return pictures.contiguous()


def _range_of(made: np.ndarray[Any, Any]) -> tuple[tuple[float, float], str]:
    """Factor and offset that bring values to [0, 255], and the range in words."""
    if made.dtype == np.uint8:
        return (1.0, 0.0), "uint8"
    if made.min() < -0.01:
        return (127.5, 127.5), "[-1, 1]"
    return ((255.0, 0.0), "[0, 1]") if made.max() <= 1.01 else ((1.0, 0.0), "[0, 255]")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
