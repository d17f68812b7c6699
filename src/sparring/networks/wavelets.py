"""A feature space without training: how strong the edges of each direction and size are, and where.

What the judge looks through when nothing else is asked for. It needs no download, it has learned nothing that a
discriminator could have learned too, and it gives the same numbers on every machine.
"""

import hashlib
import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.errors import MetricError
from sparring.networks.features import Card, no_classes

SIDE = 64
"""Height and width in pixels of the pictures that `pooled` takes."""

LEVELS = 4
"""Octaves: wavelets about 3, 6, 12 and 24 pixels long at `SIDE`."""

DIRECTIONS = 6
"""Directions of edges, 30 degrees apart."""

GRID = 4
"""Fields on each side over which strengths are averaged."""

RADIUS = 3
"""Of the filters, in pixels of their level."""

STEP = 2.0**-16
"""Filters are whole multiples of this, so that they are the same whatever library computed their sines."""

FLOOR = 1e-3
"""Least strength of an edge, an eighth of a step of 8-bit pixels in [-1, 1]. It keeps slopes finite where a picture is
flat, and what nobody can see from counting. With half a step, JPEG of quality 50 went unnoticed."""

BLOCK = 16
"""Pictures looked at together."""

COLOURS = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]])
COLOURS = COLOURS / COLOURS.norm(dim=1, keepdim=True)
"""Rows of an orthonormal basis of RGB: brightness, red against blue, green against both."""

TINT = torch.tensor([0.0625, 0.25, 0.25])
"""Weight of the mean of each of `COLOURS` beside the strengths of edges. Brightness varies most between pictures; with
a larger weight it drowns everything else."""

BLUR = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
"""Binomial filter before every second pixel is dropped (Burt & Adelson 1983)."""


class Wavelets:
    """Root of the mean strength of oriented wavelets, on a grid of 4 x 4 fields; and a faint 4 x 4 picture.

    A picture is split into brightness and two colours, each into octaves by a Gaussian pyramid. At each of four octaves
    a complex Morlet wavelet of each of six directions gives a modulus at every pixel: how strong the edge there is,
    wherever between light and dark it lies exactly. This is the first order of a scattering transform; the second order
    did not help. Strengths are averaged over each field of the grid; for colours over the directions too. The root
    keeps contrast, which differs between pictures far more than what is in them, from outweighing the rest.

    pooled: [octave][6 directions of brightness, 2 colours][4 x 4], then [3 colours][4 x 4]: 560 numbers.
    Source: Bruna & Mallat 2013, sec. 2 (modulus of Morlet wavelets, averaged); Burt & Adelson 1983 (pyramid).
    """

    def __init__(self) -> None:
        self._filters = filters()
        maps = DIRECTIONS + 2
        self.card = Card(
            name="wavelets",
            title="wavelets: strength of edges by direction, size and place; nothing trained",
            dimension=(LEVELS * maps + len(COLOURS)) * GRID**2,
            size=(SIDE, SIDE),
            resize="bicubic antialiased",
            licence="Apache-2.0",
            digest=_digest(self._filters),
            source="Bruna & Mallat 2013, first order",
            strides={2**level: maps for level in range(LEVELS)},
        )

    def pooled(self, pictures: Tensor) -> Tensor:
        """One vector a picture, float32 (N, 560), of pictures (N, 3, 64, 64) in [-1, 1].

        Raises: MetricError for pictures of another shape: vectors would not compare.
        """
        if pictures.ndim != 4 or pictures.shape[1:] != (3, SIDE, SIDE):
            raise MetricError(f"pictures of shape {tuple(pictures.shape)}; wavelets take (pictures, 3, {SIDE}, {SIDE})")
        # What a block needs stays in the processor's cache: twice as fast as 100 pictures at a time.
        return torch.cat([self._pooled(block) for block in torch.split(pictures, BLOCK)])

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        """Strength of edges (N, 8, ceil(H / stride), ceil(W / stride)) at strides 1, 2, 4 and 8, of any size.

        Six directions of brightness, from upright edges clockwise, then two colours in all directions. At least
        `FLOOR`.
        """
        level = _colours(pictures)
        found = {}
        for octave in range(LEVELS):
            if octave:
                level = _halved(level)
            found[2**octave] = self._edges(level)
        return found

    def logits(self, pooled: Tensor) -> Tensor:
        """Raises MetricError: wavelets tell no classes apart."""
        raise no_classes(self.card)

    def _pooled(self, pictures: Tensor) -> Tensor:
        strengths = [F.adaptive_avg_pool2d(edges, GRID).flatten(1) for edges in self.maps(pictures).values()]
        tint = F.adaptive_avg_pool2d(_colours(pictures), GRID) * TINT.to(pictures.device)[:, None, None]
        return torch.cat((torch.cat(strengths, 1).sqrt(), tint.flatten(1)), 1)

    def _edges(self, level: Tensor) -> Tensor:
        n, colours, height, width = level.shape
        padded = F.pad(level.reshape(n * colours, 1, height, width), (RADIUS,) * 4, mode="replicate")
        waves = F.conv2d(padded, self._filters.to(level.device)).view(n, colours, 2, DIRECTIONS, height, width)
        real, imaginary = waves.unbind(2)
        modulus = torch.addcmul(real.square(), imaginary, imaginary).add(FLOOR**2).sqrt()
        return torch.cat((modulus[:, 0], modulus[:, 1:].mean(2)), 1)


def filters() -> Tensor:
    """Morlet wavelets, float32 (12, 1, 7, 7): real parts of six directions, then imaginary ones.

    A plane wave of 3/8 cycles a pixel under a Gaussian of 1.3 pixels across the edge and 2.2 along it, less the
    multiple of the Gaussian that makes its sum 0, so that flat areas have no edges.
    Source: Bruna & Mallat 2013, sec. 2.1.
    """
    place = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    y, x = torch.meshgrid(place, place, indexing="ij")
    real, imaginary = [], []
    for direction in range(DIRECTIONS):
        angle = math.pi * direction / DIRECTIONS
        across = x * math.cos(angle) + y * math.sin(angle)
        along = y * math.cos(angle) - x * math.sin(angle)
        window = torch.exp(-(across**2 + (0.6 * along) ** 2) / (2 * 1.3**2))
        window = window / window.sum()
        wave = window * torch.cos(0.75 * math.pi * across)
        wave = ((wave - window * wave.sum()) / STEP).round()
        wave[RADIUS, RADIUS] -= wave.sum()  # what rounding left over
        real.append(wave)
        imaginary.append((window * torch.sin(0.75 * math.pi * across) / STEP).round())
    return (torch.stack(real + imaginary)[:, None] * STEP).float()


def _colours(pictures: Tensor) -> Tensor:
    return torch.einsum("dc,nchw->ndhw", COLOURS.to(pictures.device), pictures.float())


def _halved(level: Tensor) -> Tensor:
    """Every second pixel (N, C, ceil(H / 2), ceil(W / 2)) after a blur."""
    channels = level.shape[1]
    row = BLUR.to(level.device).expand(channels, 1, 1, -1)
    padded = F.pad(level, (2, 2, 2, 2), mode="replicate")
    across = F.conv2d(padded, row, stride=(1, 2), groups=channels)
    return F.conv2d(across, row.mT, stride=(2, 1), groups=channels)


def _digest(weights: Tensor) -> str:
    """SHA-256 of the filters and of everything else that the numbers depend on."""
    rest = (
        SIDE,
        LEVELS,
        DIRECTIONS,
        GRID,
        FLOOR,
        TINT.tolist(),
        BLUR.tolist(),
        "opponent colours, edges repeated, root",
    )
    return hashlib.sha256(repr(rest).encode() + (weights / STEP).to(torch.int32).numpy().tobytes()).hexdigest()
