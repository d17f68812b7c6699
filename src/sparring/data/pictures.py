"""The pictures of a set as one tensor, and batches of them by index."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.data import memory
from sparring.data.sources import Skipped

CPU = torch.device("cpu")


def to_floats(images: Tensor) -> Tensor:
    """Pictures of bytes as floats in [-1, 1]."""
    return images.float() / 127.5 - 1


@dataclass(frozen=True)
class Batch:
    """Some pictures on the training device: `images` uint8 (N, C, H, W), `labels` int64 (N,) or None."""

    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, samples: slice) -> "Batch":
        return Batch(self.images[samples], None if self.labels is None else self.labels[samples])


@dataclass(frozen=True)
class Pictures:
    """A decoded set: everything training needs to know of its data."""

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

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def to(self, device: torch.device | str) -> "Pictures":
        """The same set with batches on `device`; the images move there too when they fit into a third of its memory."""
        device = torch.empty(0, device=device).device  # "cuda" becomes "cuda:0", as tensors there call it
        images = self.images
        if device != self.device and device.type != "cpu" and memory.fits_device(images.nbytes, device):
            images = images.to(device)
        elif images.device != device:
            images = images.cpu()
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=images, labels=labels, device=device)

    def batch(self, indices: Tensor) -> Batch:
        """The pictures `indices`, int64 (n,) with values in [0, len(self)), on the device.

        Gathers where the images are. If that is main memory and the device is a GPU, the copy goes through page-locked
        memory and does not wait.
        """
        images = self.images.index_select(0, indices.to(self.images.device))
        if images.device != self.device:
            if self.device.type == "cuda":
                images = images.pin_memory()
            images = images.to(self.device, non_blocking=True)
        labels = None if self.labels is None else self.labels.index_select(0, indices.to(self.labels.device))
        return Batch(images, labels)
