"""What training needs to know of its data, and the pictures of a set as one tensor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from sparring.data import memory
from sparring.data.order import drawn_at
from sparring.data.sources import Skipped
from sparring.randomness import key

CPU = torch.device("cpu")


def to_floats(images: Tensor) -> Tensor:
    """Pictures of bytes as floats in [-1, 1]."""
    return images.float() / 127.5 - 1


def to_bytes(images: Tensor) -> Tensor:
    """Float pictures in [-1, 1], clamped, as uint8."""
    return images.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def shares_of(labels: Tensor | None, classes: int) -> tuple[float, ...]:
    """How much of a set each class is; empty for one without labels. labels: int64 (N,), below `classes`."""
    return () if labels is None else tuple((torch.bincount(labels, minlength=classes) / len(labels)).tolist())


@dataclass(frozen=True)
class Batch:
    """Some pictures on the training device: `images` uint8 (N, C, H, W), `labels` int64 (N,) or None."""

    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, samples: slice) -> "Batch":
        return Batch(self.images[samples], None if self.labels is None else self.labels[samples])


class Some(Protocol):
    """Some samples on the training device: a `Batch` of pictures, or `Tokens`."""

    def __len__(self) -> int: ...

    def __getitem__(self, samples: slice) -> "Some": ...


class Samples(Protocol):
    """What a run is trained on: pictures, which are `Data`, or `Sequences`."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal, of the content of the data and of the way it is decoded; the path plays no part."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their labels."""

    @property
    def class_shares(self) -> tuple[float, ...]:
        """How much of the set each class is; empty for a set without labels."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""

    @property
    def skipped(self) -> Sequence[Skipped]:
        """What is not used, as far as it is known."""

    @property
    def notices(self) -> Sequence[str]:
        """Sentences for the person: what went otherwise than usual while loading."""

    def __len__(self) -> int: ...

    def to(self, device: torch.device | str) -> "Samples":
        """The same set with batches on `device`."""

    def draw(self, seed: int, position: int, batch: int, rank: int = 0, ranks: int = 1) -> Some:
        """Part `rank` of `ranks` of the batch that begins at sample `position` of an endless stream of epochs.

        A pure function of its arguments. In every epoch each sample comes once. `batch` and `position` are multiples
        of `ranks`.
        """

    def sample(self) -> "Samples":
        """A part that stands for the whole, always the same, all at hand."""

    def hold_out(self, count: int) -> "tuple[Samples, Samples | None]":
        """The set with about `count` samples that are never drawn, always the same, and the set that draws just these.

        None in place of the latter where there are none to spare. Of every class at least one sample stays.
        """

    def close(self) -> None:
        """Lets go of what reads ahead."""


class Data(Samples, Protocol):
    """Pictures that a run is trained on: `Pictures` that are all at hand, a `Stream` of them, or two sets."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""

    def to(self, device: torch.device | str) -> "Data":
        """The same set with batches on `device`."""

    def draw(self, seed: int, position: int, batch: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Part `rank` of `ranks` of the batch that begins at sample `position` of an endless stream of epochs."""

    def sample(self) -> "Data":
        """A part that stands for the whole, always the same, all at hand: `Pictures`, or two sets of them."""

    def hold_out(self, count: int) -> "tuple[Data, Data | None]":
        """The set with about `count` pictures that are never drawn, and the set that draws just these."""


@dataclass(frozen=True)
class Pictures:
    """A decoded set, all at hand."""

    images: Tensor
    """uint8 (N, C, H, W), in main memory, memory-mapped, or on `device`."""
    labels: Tensor | None
    """int64 (N,), positions in `classes`; None for a set without labels."""
    classes: tuple[str, ...]
    name: str
    fingerprint: str
    """Hexadecimal, of the content of the data and of the way it was decoded; the path plays no part."""
    skipped: Sequence[Skipped] = ()
    names: Sequence[str] = ()
    """Where picture i came from: its path within the folder or archive, or its number in an array."""
    notices: Sequence[str] = ()
    """Sentences for the person: what went otherwise than usual while loading."""
    device: torch.device = CPU
    """Where batches go."""
    drawn: Tensor | None = None
    """int64, the numbers of the pictures that `draw` takes; None: all."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def class_shares(self) -> tuple[float, ...]:
        """How much of the set each class is; empty for a set without labels."""
        return shares_of(self.labels, len(self.classes))

    def to(self, device: torch.device | str) -> "Pictures":
        """The same set with batches on `device`; the images move there too when they fit into a third of its memory."""
        device, (images,) = settled(device, self.device, self.images)
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=images, labels=labels, device=device)

    def batch(self, numbers: Tensor) -> Batch:
        """The pictures `numbers`, int64 (n,) with values in [0, len(self)), on the device.

        Gathers where the images are. If that is main memory and the device is a GPU, the copy goes through page-locked
        memory and does not wait.
        """
        images = sent(self.images.index_select(0, numbers.to(self.images.device)), self.device)
        labels = None if self.labels is None else self.labels.index_select(0, numbers.to(self.labels.device))
        return Batch(images, labels)

    def draw(self, seed: int, position: int, batch: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Part `rank` of `ranks` of the batch that begins at sample `position` of the stream of `order.indices`."""
        part = batch // ranks
        return self.batch(drawn_at(self.drawn, len(self), seed, position + rank * part, part))

    def sample(self) -> "Pictures":
        """All of it."""
        return self

    def hold_out(self, count: int) -> "tuple[Pictures, Pictures | None]":
        """The same pictures twice, of which each draws a part; at most half of them are held out."""
        shown, held_out = split(len(self), self.labels, count, self.fingerprint)
        return replace(self, drawn=shown), None if held_out is None else replace(self, drawn=held_out)

    def close(self) -> None:
        """Nothing reads ahead."""


def split(total: int, labels: Tensor | None, count: int, fingerprint: str) -> tuple[Tensor | None, Tensor | None]:
    """Numbers of the pictures that are shown, and of about `count` of `total` that are held out, ascending.

    At most half are held out, and of every class at least one is shown. (None, None) where none can be spared: all are
    shown then. Which ones goes by the fingerprint of the set.
    """
    if not count:
        return None, None
    numbers = torch.randperm(total, generator=torch.Generator().manual_seed(key(fingerprint, "held out")))
    labels = torch.zeros(total) if labels is None else labels.cpu()[numbers]
    order = labels.argsort(stable=True)
    first = order[torch.cat([torch.ones(1), labels[order].diff()]) != 0]  # one of each class
    count = min(count, (total - len(first)) // 2)
    if not count:
        return None, None
    others = torch.ones(total, dtype=torch.bool).index_fill(0, first, False)
    numbers = torch.cat([numbers[first], numbers[others]])
    return numbers[:-count].sort().values, numbers[-count:].sort().values


def settled(device: torch.device | str, before: torch.device, *held: Tensor) -> tuple[torch.device, list[Tensor]]:
    """Where batches of a set go from now on, and what it holds: there too if that fits into a third of its memory.

    before: where they went. On a device that they go to already, what was held stays where it is.
    """
    device = torch.empty(0, device=device).device  # "cuda" becomes "cuda:0", as tensors there call it
    size = sum(tensor.nbytes for tensor in held)
    if device != before and device.type != "cpu" and memory.fits_device(size, device):
        return device, [tensor.to(device) for tensor in held]
    return device, [tensor if tensor.device == device else tensor.cpu() for tensor in held]


def sent(images: Tensor, device: torch.device) -> Tensor:
    """Pictures on the device, on the way there if it is a GPU: through page-locked memory, without waiting."""
    if images.device == device:
        return images
    if device.type == "cuda":
        images = images.pin_memory()
    return images.to(device, non_blocking=True)
