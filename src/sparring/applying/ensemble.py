"""A picture restored in eight ways, turned and mirrored, and the mean of all.

What a restorer adds wrongly differs from way to way, and what it adds rightly does not: the mean is nearer to the
original, and smoother. Source: Timofte et al. 2016 (arXiv 1511.02228), "enhanced prediction"; Lim et al. 2017 (EDSR,
arXiv 1707.02921), section 3.4, "geometric self-ensemble".
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.applying.apparatus import Apparatus

TURNS = range(4)
"""Quarters of a turn, each as it is and mirrored."""

SIDES = (2, 3)


@dataclass(frozen=True)
class Ensemble:
    """An apparatus that takes eight times as long as the one it asks."""

    asked: Apparatus

    @property
    def channels(self) -> int:
        """As it is asked."""
        return self.asked.channels

    @property
    def scale(self) -> int:
        """As it is asked."""
        return self.asked.scale

    @property
    def takes_mask(self) -> bool:
        """As it is asked."""
        return self.asked.takes_mask

    @property
    def reach(self) -> int:
        """As it is asked."""
        return self.asked.reach

    @property
    def multiple(self) -> int:
        """As it is asked."""
        return self.asked.multiple

    def __call__(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        """See `Apparatus`."""
        ways = [
            turned_back(self.asked(turned(pictures, turns, mirrored), hole), turns, mirrored)
            for turns in TURNS
            for mirrored in (False, True)
            for hole in [None if mask is None else turned(mask, turns, mirrored)]
        ]
        return torch.stack(ways).mean(0)


def turned(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    """(N, C, H, W) by so many quarters, and mirrored then."""
    x = x.rot90(turns, SIDES)
    return x.flip(3) if mirrored else x


def turned_back(x: Tensor, turns: int, mirrored: bool) -> Tensor:
    """What undoes `turned`."""
    return (x.flip(3) if mirrored else x).rot90(-turns, SIDES)
