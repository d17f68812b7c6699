"""What the latent tools need of a generator, be it ours or in a file of somebody else's."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from sparring.foreign_generators import ForeignGenerator, is_foreign
from sparring.model import Model
from sparring.tasks.generate import FromNoise


class Decoder(Protocol):
    """A generator of pictures out of noise: a `Model`, or a `ForeignGenerator`.

    origin: the file it was read from. from_noise: shape, size of z and classes; RunError if it makes no pictures of
    noise. generator: the network whose layers are at hand; None of a black box. floats: what makes pictures
    (n, C, H, W), about in [-1, 1], of z (n, z_dim) and y, with gradients; None where there are none.
    """

    @property
    def origin(self) -> Path | None:
        """See the class."""

    @property
    def from_noise(self) -> FromNoise:
        """See the class."""

    @property
    def generator(self) -> nn.Module | None:
        """See the class."""

    @property
    def floats(self) -> Callable[[Tensor, Tensor | None], Tensor] | None:
        """See the class."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes that can be asked for; empty if there are none."""

    def latents(self, n: int, seed: int = 0, start: int = 0) -> Tensor:
        """Those of the samples of a seed, float32 (n, z_dim)."""

    def labels(self, n: int, seed: int = 0, start: int = 0) -> Tensor:
        """Their class numbers, int64 (n,)."""

    def inputs(self, z: Tensor, label: int | str | Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """z and shares of classes (n, classes), checked. Raises: SettingError."""

    def decode(self, z: Tensor, label: int | str | Tensor | None = None) -> Tensor:
        """The pictures of z (n, z_dim), uint8 (n, C, H, W) on the CPU. Raises: SettingError as `inputs`."""


def opened(place: str | PathLike[str], device: str = "cpu") -> Decoder:
    """The generator of a run folder, a `.safetensors` file, or a file of somebody else's.

    A TorchScript file is a program, which runs with the rights of the person who opens it.

    Raises: RunError or MetricError as `Model.load` and `ForeignGenerator`.
    """
    return ForeignGenerator(place, device) if is_foreign(place) else Model.load(place, device)
