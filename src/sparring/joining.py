"""Tensors joined to one, with a second derivative that is as cheap as the first.

The gradient of `torch.cat` is parts of the gradient that comes in. The library differentiates each part by itself, for
which it fills a whole tensor with zeros, copies the part into it, and adds up all of them; but together the parts are
what was joined, and are joined again.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def joined(parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    """`torch.cat(parts, dim)`."""
    learns = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
    if len(parts) == 1 or not learns:
        return torch.cat(list(parts), dim)
    whole: Tensor = Joined.apply(dim, *parts)  # type: ignore[no-untyped-call]
    return whole


class Joined(torch.autograd.Function):
    """Parts to the whole."""

    @staticmethod
    def forward(ctx: Any, dim: int, *parts: Tensor) -> Tensor:
        """All of one shape, but for the dimension along which they are joined."""
        ctx.dim, ctx.sizes = dim, [part.shape[dim] for part in parts]
        return torch.cat(parts, dim)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The whole to parts."""
        parts: tuple[Tensor, ...] = Parted.apply(ctx.dim, ctx.sizes, gradient)  # type: ignore[no-untyped-call]
        return None, *parts


class Parted(torch.autograd.Function):
    """The whole to parts."""

    @staticmethod
    def forward(ctx: Any, dim: int, sizes: list[int], whole: Tensor) -> tuple[Tensor, ...]:
        """They share its memory."""
        ctx.dim = dim
        return torch.split(whole, sizes, dim)

    @staticmethod
    def backward(ctx: Any, *changes: Tensor) -> tuple[None, None, Tensor]:
        """Parts to the whole."""
        return None, None, joined(changes, ctx.dim)
