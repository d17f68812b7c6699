"""A discriminator of patches: one judgement of every place, none of the whole (Isola et al. 2017, PatchGAN)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks.convolution import Convolution
from sparring.networks.layers import GAIN, at_least_float32, draw_weights, full_precision, labels_for
from sparring.networks.spectral import normalise

HALVINGS = 3
"""A place is 8 x 8 pixels, and sees about 46 x 46."""


class Discriminator(nn.Module):
    """Pictures (N, C, H, W) in [-1, 1] to judgements (N, H/8 W/8) in float32; `width` channels at first.

    With a mask (N, 1, H, W), 1 in holes, only places that a hole reaches into are judged; all others come out 0, which
    is the same for real and generated pictures, so that nobody learns from them (LaMa, Suvorov et al. 2021, section
    2.2). The mask is not shown: where a hole was should not be seen in the picture.

    With `classes` y is float (N, classes), and each place is judged by whether it goes with the label, too (Miyato &
    Koyama 2018, eq. 3).
    """

    def __init__(self, channels: int, *, width: int, spectral_norm: bool, classes: int = 0) -> None:
        super().__init__()
        widths = [channels, width, 2 * width, 4 * width]
        self.halve = nn.ModuleList(Convolution(a, b, 4, 2, 1, activates=True) for a, b in pairwise(widths))
        self.look = Convolution(widths[-1], widths[-1], 3, padding=1, activates=True)
        self.verdict = Convolution(widths[-1], 1, 3, padding=1)
        for layer in (*self.halve, self.look):
            draw_weights(layer, GAIN)
        draw_weights(self.verdict, gain=1)
        self.embedding = nn.Linear(classes, widths[-1], bias=False) if classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=widths[-1] ** -0.5)
        if spectral_norm:
            normalise(self)

    def forward(self, x: Tensor, mask: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """See the class."""
        x = self.maps(x)[-1]
        with full_precision(x):
            x = at_least_float32(x)
            judgements: Tensor = self.verdict(x)
            y = labels_for(self.embedding, y)
            if self.embedding is not None and y is not None:
                judgements = judgements + torch.einsum("nchw,nc->nhw", x, self.embedding(y.to(x.dtype)))[:, None]
            if mask is not None:
                judgements = judgements * F.adaptive_max_pool2d(mask, judgements.shape[2:])
        return judgements.flatten(1)

    def maps(self, x: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """What the layers before the verdict make of pictures, maps (N, C, h, w); a mask changes nothing."""
        maps = []
        for layer in (*self.halve, self.look):
            x = layer(x)
            maps.append(x)
        return maps
