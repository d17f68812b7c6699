"""Convolution, batch normalisation and activation of a trained network, as one convolution once it is frozen."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Unit(nn.Module):
    """activation(bn(conv(x))), the brick of convolutional classifiers; after `fold`, activation(conv(x)).

    `conv` has no bias before it is folded.
    """

    def __init__(self, conv: nn.Conv2d, eps: float, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = conv
        self.bn: nn.Module = nn.BatchNorm2d(conv.out_channels, eps=eps)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H', W')."""
        return self.activation(self.bn(self.conv(x)))

    def fold(self) -> None:
        """Puts the normalisation, as it evaluates, into the convolution; computed in float64.

        g (W x - m) / sqrt(v + eps) + b = (s W) x + (b - s m) with s = g / sqrt(v + eps).
        """
        norm = self.bn
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
            return
        with torch.no_grad():
            scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            weight = self.conv.weight.double() * scale[:, None, None, None]
            bias = norm.bias.double() - scale * norm.running_mean.double()
            self.conv.weight = nn.Parameter(weight.to(self.conv.weight.dtype))
            self.conv.bias = nn.Parameter(bias.to(self.conv.weight.dtype))
        self.bn = nn.Identity()


def fold(network: nn.Module) -> None:
    """Folds all units of a network, in place."""
    for part in network.modules():
        if isinstance(part, Unit):
            part.fold()
