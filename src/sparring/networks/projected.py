"""A discriminator that looks through a frozen, pretrained network, and so need not learn to see (Projected GAN).

A picture goes through a classifier whose weights never change. Its maps at several strides are mixed by convolutions
that are drawn once at random and never change either: across channels, and from coarse to fine, so that no head can
rest on a few channels, and fine places know what is around them. A small head for each stride judges each place; only
the heads learn. Sources: Sauer et al. 2021 (Projected GANs Converge Faster, arXiv 2111.01007), sections 3.1 and 3.2;
Kumari et al. 2022 (Vision-aided GAN).

Since nothing before the heads learns, `perceive` and `judge` are two functions, and the step asks once for what is
perceived of a picture (see `adversarial/game.py`).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.errors import MetricError, SettingError
from sparring.networks.convolution import Convolution
from sparring.networks.features import FeatureNetwork
from sparring.networks.layers import (
    GAIN,
    Shape,
    at_least_float32,
    check,
    draw_weights,
    full_precision,
    labels_for,
    resize,
)
from sparring.networks.spectral import normalise

FINEST_STRIDE = 4
"""Maps of smaller stride tell little but edges, and cost most."""

MIXED = 32
"""Channels of the mixed maps at the finest stride; twice as many with each coarser one."""

HEAD, PLACES = 64, 4
"""Channels of the heads, and places a side that they judge at most unless more are asked for."""

AT_ONCE = 32
"""Pictures looked at together when maps are measured."""

FLOOR = 0.2
"""Least deviation of a channel, as a share of the root mean square of those of its stride.

Pictures whose alpha channel is always the same leave channels that hardly vary, of .002 beside 2 at stride 32: a hair
that the generator is off there would be all that the heads see. The root mean square, not the median, since alpha has
half of the channels. Through EfficientNet-Lite0 no channel comes below .24 where pictures differ, and all stay as they
are; of the wavelets, the faintest count for less. With one mask for 256 pictures of 32x32 the Frechet distance after
1,600 images is 1.66 instead of 2.55 (in wavelets, one seed).
"""

EPS = 1e-3


class Discriminator(nn.Module):
    """Pictures (N, C, H, W) in [-1, 1] and labels to judgements (N, K), one a place of each stride.

    features: the frozen network. It is no part of the state that is saved; the random mixing is, and so are the means
    and deviations that maps are standardised by, taken over `pictures`, some real ones. side: pixels that the
    longer side of a picture is brought to first, in proportion. places: a side that are judged at most: the more, the
    less each sees of the scene, and the more of the strokes. beside: how many pictures are seen side by side, a part
    each, such as a painting and its photograph; they are judged as one.

    Raises: SettingError if no gradient comes through the network, or pictures of this shape do not.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        features: FeatureNetwork,
        pictures: Tensor,
        side: int,
        classes: int = 0,
        spectral_norm: bool = True,
        places: int = PLACES,
        beside: int = 1,
    ) -> None:
        super().__init__()
        check(shape)
        self.size = in_proportion(shape, side)
        self.beside = beside
        self.frozen = Frozen(features)
        maps = self.probe(shape)
        mixed = [MIXED * 2**level for level in range(len(maps))]
        self.standard = nn.ModuleList(Standard(x.shape[1]) for x in maps)
        self.across = nn.ModuleList(Mix(x.shape[1], after, 1) for x, after in zip(maps, mixed, strict=True))
        self.down = nn.ModuleList(Mix(b, a, 3) for a, b in pairwise(mixed))
        self.heads = nn.ModuleList(
            Head(beside * before, (x.shape[2], x.shape[3]), classes, places)
            for before, x in zip(mixed, maps, strict=True)
        )
        self.measure(pictures)
        if spectral_norm:
            normalise(self.heads)

    def forward(self, x: Tensor, y: Tensor | None = None, *beside: Tensor) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        return self.judge(*self.perceive(x, *beside), y=y)

    def perceive(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Mixed maps of a batch of pictures, or of several side by side, finest first; gradients flow to them.

        A mask (N, 1, H, W) may come with them, 1 in holes, and stands behind the maps then.
        """
        pictures, mask = parts[: self.beside], parts[self.beside :]
        maps = zip(*(self.mixed(part) for part in pictures), strict=True)
        return (*(torch.cat(sides, dim=1) for sides in maps), *mask)

    def mixed(self, pictures: Tensor) -> list[Tensor]:
        """Mixed maps of pictures (N, C, H, W), finest first."""
        seen = zip(self.standard, self.across, self.look(pictures), strict=True)
        maps = [mix(standardise(x)) for standardise, mix, x in seen]
        for level in reversed(range(len(self.down))):
            coarse = self.down[level](maps[level + 1])
            maps[level] = maps[level] + F.interpolate(coarse, maps[level].shape[2:], mode="nearest")
        return maps

    def judge(self, *perceived: Tensor, y: Tensor | None = None) -> Tensor:
        """Judgements (N, K) of mixed maps; with a mask, those of places that no hole reaches into are 0."""
        count = len(self.heads)
        maps, mask = perceived[:count], perceived[count:]
        judged = [head(x, y) for head, x in zip(self.heads, maps, strict=True)]
        for holes in mask:
            judged = [places * F.adaptive_max_pool2d(holes, places.shape[1:]).squeeze(1) for places in judged]
        return torch.cat([places.flatten(1) for places in judged], dim=1)

    def look(self, pictures: Tensor) -> list[Tensor]:
        """The maps of the frozen network that the heads use, finest first; its vector as one place if it has no maps.

        Grey pictures are seen as RGB. Of those with an alpha channel two pictures are seen, the colours over mid-grey
        and alpha as grey, whose maps lie one after the other in the channels.
        """
        network = self.frozen.network
        if pictures.shape[2:] != self.size:
            with full_precision(pictures):  # as when the maps were measured
                pictures = resize(pictures, self.size)
        colours = 1 if pictures.shape[1] < 3 else 3
        views = [pictures[:, :colours]]
        if pictures.shape[1] > colours:
            alpha = pictures[:, colours:]
            views = [views[0] * (alpha + 1) / 2, alpha]
        shown = torch.cat([view.expand(-1, 3, -1, -1) for view in views])
        maps = [x for stride, x in network.maps(shown).items() if stride >= FINEST_STRIDE]
        wanted = maps or [network.pooled(shown)[:, :, None, None]]
        return [torch.cat(x.chunk(len(views)), dim=1) for x in wanted]

    def probe(self, shape: Shape) -> list[Tensor]:
        """Maps of a picture. Raises SettingError if the network takes no such pictures, or gives no gradient."""
        network = self.frozen.network
        name = network.card.name
        device = next((weight.device for weight in getattr(network, "parameters", list)()), torch.device("cpu"))
        picture = torch.zeros(1, *shape, device=device, requires_grad=True)
        try:
            maps = self.look(picture)
        except MetricError as error:
            expected = network.card.size
            hint = f"; try discriminator_size={max(expected)}" if expected else ""
            raise SettingError(f"discriminator_features={name}: {error}{hint}") from None
        if not all(x.requires_grad for x in maps):
            raise SettingError(
                f"discriminator_features={name}: no gradient comes through it to the picture, so that a generator "
                "learns nothing; take lite0, or a TorchScript file"
            )

        return maps

    @torch.no_grad()
    def measure(self, pictures: Tensor) -> None:
        """Takes means and deviations of the maps over these pictures; a channel that hardly varies gets `FLOOR`."""
        moments: list[Tensor] = []
        for part in torch.split(pictures, AT_ONCE):
            sums = [powers(x.cpu().double()) for x in self.look(part)]
            moments = [a + b for a, b in zip(moments, sums, strict=True)] if moments else sums
        for standard, (count, total, squares) in zip(self.standard, moments, strict=True):
            standard.mean = (total / count).float()
            variance = squares / count - (total / count) ** 2
            least = max(EPS**2, FLOOR**2 * float(variance.mean()))
            standard.deviation = variance.clamp(min=least).sqrt().float()


def powers(maps: Tensor) -> Tensor:
    """How many values each channel of (N, C, H, W) has, their sum, and that of their squares: (3, C)."""
    count = torch.full_like(maps[0, :, 0, 0], maps[:, 0].numel())
    return torch.stack([count, maps.sum((0, 2, 3)), maps.square().sum((0, 2, 3))])


class Frozen:
    """Holds a network that is no part of the module that looks through it, nor of what is saved; copies share it."""

    def __init__(self, network: FeatureNetwork) -> None:
        self.network = network

    def __deepcopy__(self, memo: dict[int, object]) -> "Frozen":
        return self


class Standard(nn.Module):
    """Takes a mean from each channel of maps (N, C, H, W) and divides by a deviation, both measured over real pictures.

    Those of EfficientNet-Lite0 are of 8 at stride 4 and of 2 at stride 32: heads of bounded slope would tell real from
    generated at once, and the fine strides drown the coarse ones.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.mean: Tensor
        self.deviation: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Keeps shape and precision."""
        mean, deviation = (number.to(x.dtype)[:, None, None] for number in (self.mean, self.deviation))
        return (x - mean) / deviation


class Head(nn.Module):
    """Judgements (N, h, w) of the places of a map (N, before, H, W), its sides halved until they are at most `places`.

    With labels, by projection: what place and label have in common is added (Miyato & Koyama 2018, eq. 3).
    """

    def __init__(self, before: int, size: tuple[int, int], classes: int, places: int) -> None:
        super().__init__()
        layers = []
        while max(size) > places:
            stride = (1 + (size[0] > places), 1 + (size[1] > places))
            layers.append(Convolution(before, HEAD, (stride[0] + 2, stride[1] + 2), stride, 1, activates=True))
            before, size = HEAD, (size[0] // stride[0], size[1] // stride[1])
        layers = layers or [Convolution(before, HEAD, 3, padding=1, activates=True)]
        for layer in layers:
            draw_weights(layer, GAIN)
        self.layers = nn.ModuleList(layers)
        self.verdict = Convolution(HEAD, 1, 3, padding=1)
        draw_weights(self.verdict, gain=1)
        self.embedding = nn.Linear(classes, HEAD, bias=False) if classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=HEAD**-0.5)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """See the class."""
        for layer in self.layers:
            x = layer(x)
        with full_precision(x):
            x = at_least_float32(x)
            judgements: Tensor = self.verdict(x).squeeze(1)
            y = labels_for(self.embedding, y)
            if self.embedding is None or y is None:
                return judgements
            return judgements + torch.einsum("nchw,nc->nhw", x, self.embedding(y.to(x.dtype)))


class Mix(nn.Conv2d):
    """A random convolution that keeps the variance and never learns; it is saved with the rest."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__(before, after, kernel, padding=kernel // 2, bias=False)
        draw_weights(self, gain=1)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W), of any precision, to (N, after, H, W)."""
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.weight.dtype)
        return super().forward(x)


def in_proportion(shape: Shape, side: int) -> tuple[int, int]:
    """(height, width) of pictures whose longer side becomes `side`.

    >>> in_proportion((3, 50, 100), 128)
    (64, 128)
    """
    _, height, width = shape
    return max(1, round(side * height / max(height, width))), max(1, round(side * width / max(height, width)))
