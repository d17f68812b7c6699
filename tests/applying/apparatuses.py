"""Small generators of known behaviour."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int]


@dataclass
class Fake:
    """Adds nothing; notes the sizes that it was given."""

    channels: int = 3
    scale: int = 1
    takes_mask: bool = False
    reach: int = 0
    multiple: int = 1

    def __post_init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        assert pictures.shape[1] == self.channels
        assert (mask is not None) == self.takes_mask
        self.seen.append(tuple(pictures.shape))
        return self.made(pictures, mask)

    def made(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        return F.interpolate(pictures, scale_factor=self.scale, mode="nearest")


class Negative(Fake):
    """Bright becomes dark."""

    def made(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        return -super().made(pictures, mask)


class Mean(Fake):
    """Adds the mean of all that it sees: the worst that can be cut into tiles."""

    def made(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        return 0.5 * pictures + 0.5 * pictures.mean((2, 3), keepdim=True)


class Filler(Fake):
    """Fills holes with the mean of what is known in sight, and disturbs what is known."""

    def __init__(self, channels: int = 3, multiple: int = 1) -> None:
        super().__init__(channels, takes_mask=True, multiple=multiple)

    def made(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        assert mask is not None
        assert mask.shape == (len(pictures), 1, *pictures.shape[2:])
        known = 1 - mask
        mean = (pictures * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
        return torch.where(mask > 0, mean, -pictures)


class Network(Fake):
    """Strided convolutions with padding at the edges and random weights; pads by itself to multiples of 4."""

    def __init__(self, channels: int = 3, scale: int = 1) -> None:
        # Each of 2 + 3 * 2 kernels of 3 reaches 1 at strides 1, 2 and 4: 1 + 2 + 4 + 4 + 2 + 1; folding adds up to 3.
        super().__init__(channels, scale, reach=18, multiple=4)
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.Conv2d(16, channels * (4 * scale) ** 2, 1),
            nn.PixelShuffle(4 * scale),
        ).requires_grad_(False)

    def made(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        height, width = pictures.shape[2:]
        padded = F.pad(pictures, (0, -width % 4, 0, -height % 4), mode="replicate")
        added = self.layers(padded)[..., : height * self.scale, : width * self.scale]
        return super().made(pictures, mask) + 2 * added
