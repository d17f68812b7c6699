"""Generators and discriminators for pictures, one family per file.

All families have the same signature: `generator(shape, z_dim=, classes=, width=, depth=)` maps z (N, z_dim) and labels
(N, classes) to pictures (N, C, H, W); `discriminator(shape, classes=, width=, depth=, spectral_norm=)` maps pictures
and labels to logits (N,). They never mix the samples of a batch, and draw nothing. In place of a family's own
discriminator, `projected.Discriminator` looks through a pretrained network.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from sparring.networks import dcgan, fast, r3, skip

__all__ = ["FAMILIES", "Family", "parameters"]


@dataclass(frozen=True)
class Family:
    """A pair of player classes, and what they are good for in a sentence."""

    generator: Callable[..., nn.Module]
    discriminator: Callable[..., nn.Module]
    about: str


FAMILIES = {
    "r3": Family(
        r3.Generator,
        r3.Discriminator,
        "the networks of R3GAN: grouped convolutions at full resolution; the best pictures, on a GPU",
    ),
    "fast": Family(
        fast.Generator,
        fast.Discriminator,
        "dense layers on coarse grids of patches, an MLP for tiny pictures; the most from each second of a CPU",
    ),
    "skip": Family(
        skip.Generator,
        fast.Discriminator,
        "the generator of FastGAN without batch statistics, for a discriminator that looks through pretrained "
        "features; its own is that of `fast`",
    ),
    "dcgan": Family(
        dcgan.Generator,
        dcgan.Discriminator,
        "the classic of 2016, strided convolutions; a baseline",
    ),
}


def parameters(module: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in module.parameters())
