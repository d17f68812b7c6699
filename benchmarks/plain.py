"""The training loop that a tutorial would write, which ours is measured against.

The very same networks and losses in float32, of the layers that PyTorch comes with: DataLoader, Adam as PyTorch makes
it, one pass of the discriminator for the real and one for the generated pictures, a new batch of these for the
generator's update, exact penalties by double backward, no averaged generator.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, linear, softplus
from torch.utils.data import DataLoader, TensorDataset

from sparring import data
from sparring.networks import FAMILIES, dcgan, fast, r3
from sparring.networks.convolution import Convolution, TransposedConvolution
from sparring.networks.layers import SLOPE


def activate(x: Tensor) -> Tensor:
    return leaky_relu(x, SLOPE)


def convolve(layer: Convolution, x: Tensor) -> Tensor:
    convolved = nn.Conv2d.forward(layer, x)
    return activate(convolved) if layer.activates else convolved


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return activate(linear(x, weight, bias))


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(x.float(), size, mode="bilinear", antialias=size[0] < x.shape[2] or size[1] < x.shape[3])


@contextmanager
def layers_of_the_library() -> Iterator[None]:
    """While networks run on PyTorch's own convolutions, activation and resampling, which give the same numbers."""
    with ExitStack() as stack:
        for ours, theirs in ((Convolution, convolve), (TransposedConvolution, nn.ConvTranspose2d.forward)):
            stack.enter_context(mock.patch.object(ours, "forward", theirs))
        for family in (dcgan, fast):
            stack.enter_context(mock.patch.object(family, "activate", activate))
        stack.enter_context(mock.patch.object(fast, "product", product))
        stack.enter_context(mock.patch.object(r3, "resize", resize))
        yield


class Plain:
    """The game of a network as a tutorial would play it: by binary cross-entropy, or relativistic with R1 and R2.

    `given` has `width`, `depth`, `batch` and `penalty` ("none", or anything else for both), and may have
    `learning_rate`, `beta1`, `beta2` and `penalty_strength`. `images` are uint8 (N, C, H, W).
    """

    def __init__(self, network: str, given: dict[str, Any], images: Tensor, device: torch.device) -> None:
        family, sizes = FAMILIES[network], {"width": given["width"], "depth": given["depth"]}
        shape = (images.shape[1], images.shape[2], images.shape[3])
        self.device = device
        self.generator = family.generator(shape, z_dim=64, **sizes).to(device, memory_format=torch.contiguous_format)
        self.discriminator = family.discriminator(shape, **sizes).to(device, memory_format=torch.contiguous_format)
        betas = given.get("beta1", 0.0), given.get("beta2", 0.99)
        rates: dict[str, Any] = {"lr": given.get("learning_rate", 2e-4), "betas": betas}
        self.of_generator = torch.optim.Adam(self.generator.parameters(), **rates)
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), **rates)
        self.penalised = given["penalty"] != "none"
        self.gamma = given.get("penalty_strength", 1.0)
        self.batch = given["batch"]
        loader = DataLoader(TensorDataset(data.to_floats(images)), self.batch, shuffle=True, drop_last=True)
        self.batches = self.endless(loader)

    def endless(self, loader: DataLoader[tuple[Tensor, ...]]) -> Iterator[Tensor]:
        while True:
            for (real,) in loader:
                yield real.to(self.device)

    @layers_of_the_library()
    def play(self) -> None:
        real = next(self.batches)
        fake = self.generator(torch.randn(self.batch, 64, device=self.device)).detach()
        if self.penalised:
            real, fake = real.requires_grad_(), fake.requires_grad_()
            on_real, on_fake = self.discriminator(real), self.discriminator(fake)
            loss = softplus(on_fake - on_real).mean()
            for logits, pictures in ((on_real, real), (on_fake, fake)):
                (slope,) = torch.autograd.grad(logits.sum(), pictures, create_graph=True)
                loss = loss + self.gamma / 2 * slope.square().sum((1, 2, 3)).mean()
        else:
            loss = softplus(-self.discriminator(real)).mean() + softplus(self.discriminator(fake)).mean()
        self.of_discriminator.zero_grad()
        loss.backward()
        self.of_discriminator.step()

        fake = self.generator(torch.randn(self.batch, 64, device=self.device))
        if self.penalised:
            loss = softplus(self.discriminator(real.detach()) - self.discriminator(fake)).mean()
        else:
            loss = softplus(-self.discriminator(fake)).mean()
        self.of_generator.zero_grad()
        loss.backward()
        self.of_generator.step()
