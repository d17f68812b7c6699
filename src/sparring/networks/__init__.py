"""Generators and discriminators for pictures, one family per file.

All families have the same signature: `generator(shape, z_dim=, classes=, width=, depth=)` maps z (N, z_dim) and labels
(N, classes) to pictures (N, C, H, W); `discriminator(shape, classes=, width=, depth=, spectral_norm=)` maps pictures
and labels to logits (N,). They never mix the samples of a batch, and draw nothing. In place of a family's own
discriminator, `projected.Discriminator` looks through a pretrained network.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from sparring.config import NETWORKS, OWN_NETWORKS
from sparring.errors import RunError, SettingError
from sparring.networks import dcgan, fast, r3, skip

__all__ = ["FAMILIES", "Family", "family", "parameters", "register"]


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


def register(name: str, players: Family) -> None:
    """Makes a family of one's own known under a name, for this process: to settings as `network`, to runs and files.

    Runs and generators of such a family are loaded by programs that have registered it: a file of weights brings no
    code along. Under a name of one's own that is known already it takes the place of the family before.

    Raises: SettingError for the name of a family that comes along, or one that is no identifier of Python.
    """
    if name in NETWORKS or not name.isidentifier():
        raise SettingError(f"network {name!r}: a family of your own wants a name of its own, an identifier of Python")
    FAMILIES[name] = players
    OWN_NETWORKS.add(name)


def family(name: str) -> Family:
    """The players of a name.

    Raises: RunError for one that no program has registered here.
    """
    if name not in FAMILIES:
        raise RunError(
            f"the networks of this generator are of the family {name!r}, which is not known here: load it from a "
            "program that registers the family with sparring.networks.register"
        )
    return FAMILIES[name]


def parameters(module: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in module.parameters())
