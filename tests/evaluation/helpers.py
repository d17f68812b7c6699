"""What the tests of the judge share: a tiny feature network, and files of features."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparring.networks.features import Card


class Means:
    """A feature network for tests: the mean of each channel; counts the pictures that went through it."""

    def __init__(self, size: tuple[int, int] | None = (4, 4)) -> None:
        self.seen = 0
        self.card = Card(
            name="means",
            title="mean of each channel",
            dimension=3,
            size=size,
            resize="area",
            licence="none",
            digest=hashlib.sha256(b"means").hexdigest(),
            source="this test",
        )

    def pooled(self, pictures: Tensor) -> Tensor:
        self.seen += len(pictures)
        return pictures.mean((2, 3))

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        return {}

    def logits(self, pooled: Tensor) -> Tensor:
        raise AssertionError("it has no classes")


def write_features(path: Path, features: object, **others: object) -> Path:
    np.savez(path, features=np.asarray(features), **{name: np.asarray(value) for name, value in others.items()})
    return path


def normal(seed: int, *shape: int, shift: float = 0.0) -> np.ndarray:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).numpy() + shift
