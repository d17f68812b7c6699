"""Whether a picture that was changed still shows the same scene: its edges stand where they stood."""

import torch
from torch import Tensor

from sparring.networks.wavelets import DIRECTIONS, Wavelets

STRIDES = (2, 4, 8)
"""Of the wavelets that are compared; those of stride 1 are as fine as strokes."""


def structure(before: Tensor, after: Tensor) -> Tensor:
    """The correlation (N,) of the strengths of edges, by direction and place, before and after; -1 to 1.

    before, after: pictures (N, 3, H, W) in [-1, 1]. Strengths are those of oriented wavelets of the brightness at three
    octaves, whose roots are correlated over places and directions; the mean over octaves is given.
    """
    found = []
    maps = [Wavelets().maps(pictures) for pictures in (before, after)]
    for stride in STRIDES:
        rows = [side[stride][:, :DIRECTIONS].flatten(1).double().sqrt() for side in maps]
        a, b = (row - row.mean(1, keepdim=True) for row in rows)
        norms = (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-12)
        found.append((a * b).sum(1) / norms)
    return torch.stack(found).mean(0)
