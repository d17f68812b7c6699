"""Discriminators that look at two pictures: at one beside the other, or at each with a judge of its own."""

import torch
from torch import Tensor, nn

from sparring.networks.projected import Discriminator


class Beside(nn.Module):
    """Judges a picture beside the one that it was made of (Isola et al. 2017, pix2pix): their channels together."""

    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self.together = judge

    def forward(self, made: Tensor, given: Tensor, y: Tensor | None = None) -> Tensor:
        """Judgements (N, K) of pictures (N, C, H, W)."""
        judgements: Tensor = self.together(torch.cat([made, given], dim=1), y=y)
        return judgements


class Each(nn.Module):
    """Two judges, `first` of one picture with its labels, and `second` of another without (CycleGAN)."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, one: Tensor, other: Tensor, y: Tensor | None = None) -> Tensor:
        """Judgements (N, K1 + K2)."""
        return torch.cat([self.first(one, y=y), self.second(other)], dim=1)


class EachSeen(nn.Module):
    """The same of two judges that look through a frozen network."""

    def __init__(self, first: Discriminator, second: Discriminator) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, one: Tensor, other: Tensor, y: Tensor | None = None) -> Tensor:
        """Judgements (N, K1 + K2)."""
        return self.judge(*self.perceive(one, other), y=y)

    def perceive(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """What each perceives of its picture."""
        one, other = parts
        return *self.first.perceive(one), *self.second.perceive(other)

    def judge(self, *maps: Tensor, y: Tensor | None = None) -> Tensor:
        """Judgements (N, K1 + K2) of what `perceive` gave."""
        count = len(self.first.heads)
        return torch.cat([self.first.judge(*maps[:count], y=y), self.second.judge(*maps[count:])], dim=1)
