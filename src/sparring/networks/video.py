"""Players for clips: what is seen in one and how it moves are apart, in the noise and in the generator.

A clip has one content z, and at each moment t a motion m(t) (Tulyakov et al. 2018, MoCoGAN). Content paints a ground
and some layers, once for all frames; motion says where they are (layers: Wang & Adelson 1994; ground, layer and mask
out of a generator: Vondrick et al. 2016, VGAN). So a thing keeps its colour and shape: it is painted once.
"""

from itertools import pairwise
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.joining import joined
from sparring.networks import family
from sparring.networks.layers import (
    Latent,
    Shape,
    activate,
    at_least_float32,
    check,
    draw_weights,
    full_precision,
    mapping,
)
from sparring.networks.motion import Motion

COVER, FALL = 4.0, 40.0
"""Logit of how much a layer hides at first in its middle, and how far that has fallen at an edge: a veil over the whole
would learn the colour of the ground before it became a thing with one of its own."""

COLOURS = 0.6
"""Standard deviation, at first, of the two ends that each colour of a layer lies between."""

LIVELY, STILL = 0.5, 0.05
"""Standard deviation, at first, of where layers are, and the ground, in halves of a picture."""

STRETCH, BEND, TURN = 0.1, 0.05, 0.5
"""How far motion may stretch things (logarithm) and bend them (halves of a picture), and radians of a unit of turning:
freer ones swelled, shrank and tore."""

BENDS = 4
"""Points along a side of the grid between which bends are interpolated."""


class Painting(NamedTuple):
    """What a clip shows, before it is moved: `content` (N, size), the latent; `ground` (N, C, H, W); `layers` (N, L,
    C + 1, H, W), colours times cover, and cover."""

    content: Tensor
    ground: Tensor
    layers: Tensor

    def expand(self, count: int) -> Self:
        """One for all of `count` clips."""
        return type(self)(*(part.expand(count, *part.shape[1:]) for part in self))


class Generator(nn.Module):
    """Content z (N, z_dim), motion noise (N, A, motion_dim) and times (N, K) in seconds to frames (N, K, C, H, W).

    `since`: (N, K) how many seconds after its beginning a clip is at these times, if it has a course; the same as the
    times where nothing is said.

    The painter is a generator of pictures, `network` a name of `FAMILIES`, and `width` and `depth` are its own. Each
    colour of a layer lies between two ends that content sets: contents differ in colour from the beginning.

    `spacing`: seconds between the anchors of the motion, and `course`: see `Motion`. `layers`: things before the
    ground, each of which moves by itself.
    """

    middle: Tensor

    def __init__(
        self,
        shape: Shape,
        *,
        z_dim: int,
        motion_dim: int,
        spacing: float,
        course: float | None = None,
        layers: int,
        classes: int = 0,
        width: int,
        depth: int,
        network: str,
    ) -> None:
        super().__init__()
        check(shape, width=width, depth=depth, z_dim=z_dim, motion_dim=motion_dim)
        self.colours, height, across = shape
        painted = self.colours + layers * (self.colours + 1), height, across
        self.motion = Motion(motion_dim, spacing, course)
        self.painter = family(network).generator(painted, z_dim=z_dim, classes=classes, width=width, depth=depth)
        content = self.latent.size
        meeting = 2 * (content + motion_dim)
        self.meeting = mapping(content + motion_dim, meeting, meeting)
        rows, columns = places(height, across, torch.device("cpu")).unbind(2)
        self.register_buffer("middle", COVER - FALL * (rows.square() + columns.square()), persistent=False)
        self.palette = nn.Linear(content, layers * 2 * self.colours)
        draw_weights(self.palette, COLOURS)
        self.ground = Moved(meeting, STILL, padding="border")
        self.layers = nn.ModuleList(Moved(meeting, LIVELY, padding="zeros") for _ in range(layers))

    @property
    def latent(self) -> Latent:
        """What z and classes are brought to: the painter's."""
        latent = self.painter.latent
        assert isinstance(latent, Latent), "the generators of all families have one"
        return latent

    def forward(
        self, z: Tensor, noise: Tensor, times: Tensor, y: Tensor | None = None, since: Tensor | None = None
    ) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        return self.move(self.paint(z, y), noise, times, since)

    def paint(self, z: Tensor, y: Tensor | None = None) -> Painting:
        """What clips of contents z (N, z_dim) show, float32."""
        painted = self.painter(z, y)
        with full_precision(painted):
            content = at_least_float32(self.latent(z, y))
            painted = at_least_float32(painted)
            ground = painted[:, : self.colours]
            layers = painted[:, self.colours :].unflatten(1, (len(self.layers), -1))  # type: ignore[no-untyped-call]
            cover = torch.sigmoid(layers[:, :, self.colours :] + self.middle)
            least, most = self.palette(content).view(-1, len(self.layers), 2, self.colours, 1, 1).unbind(2)
            shown = least + (most - least) * torch.sigmoid(layers[:, :, : self.colours])
            return Painting(content, ground, torch.cat([shown * cover, cover], 2))

    def move(self, painting: Painting, noise: Tensor, times: Tensor, since: Tensor | None = None) -> Tensor:
        """The frames (N, K, C, H, W) of N paintings, by the noise and at the times of `forward`."""
        moments = times.shape[1]
        with full_precision(painting.ground):
            motion = self.motion(noise, times, since)
            meeting = torch.cat([painting.content[:, None].expand(-1, moments, -1), motion], 2)
            meeting = activate(self.meeting(meeting.flatten(0, 1)))
            still = painting.ground, painting.layers
            ground, layers = (x[:, None].expand(-1, moments, *x.shape[1:]).flatten(0, 1) for x in still)
            frames: Tensor = self.ground(meeting, ground)
            for moved, layer in zip(self.layers, layers.unbind(1), strict=True):
                shown = moved(meeting, layer)
                frames = frames * (1 - shown[:, self.colours :]) + shown[:, : self.colours]
        return frames.unflatten(0, (-1, moments))  # type: ignore[no-untyped-call, no-any-return]


class Moved(nn.Module):
    """Where something painted is: shifted, its middle never out of the picture, turned, stretched a little and bent a
    little, as a motion says.

    spread: standard deviation, at first, of its moves. padding: what lies outside the painting, as in `F.grid_sample`.
    Reading a picture at places that a network moves is a spatial transformer (Jaderberg et al. 2015).
    """

    def __init__(self, meeting: int, spread: float, *, padding: str) -> None:
        super().__init__()
        self.padding = padding
        self.whole = nn.Linear(meeting, 5)
        self.bends = nn.Linear(meeting, 2 * BENDS * BENDS)
        draw_weights(self.whole, spread)
        draw_weights(self.bends, spread)

    def forward(self, meeting: Tensor, x: Tensor) -> Tensor:
        """What became of content and motion together (N, size), and paintings (N, C, H, W), to the same shape."""
        shift, turn, stretch = self.whole(meeting).split([2, 1, 2], dim=1)
        cosine, sine = (TURN * turn).cos(), (TURN * turn).sin()
        matrix = torch.cat([cosine, sine, -sine, cosine], 1).view(-1, 2, 2) * (STRETCH * stretch.tanh()).exp()[:, None]
        # The middle stays in the picture: the tail of a normal distribution would take things out of it for good.
        at = places(x.shape[2], x.shape[3], x.device) - shift.tanh()[:, None, None]
        at = torch.einsum("nhwe,nef->nhwf", at, matrix)
        bends = BEND * self.bends(meeting).tanh().view(-1, 2, BENDS, BENDS)
        at = at + F.grid_sample(bends, at, padding_mode="border", align_corners=True).permute(0, 2, 3, 1)
        return F.grid_sample(x, at, padding_mode=self.padding, align_corners=False)


class Discriminator(nn.Module):
    """K frames (N, C, H, W) and the seconds between them (N, K - 1) to logits (N,): all are seen at once.

    To a discriminator of pictures all frames of a clip are the channels of one: it costs what a picture costs, and
    sees from its first layer on what changes. Changes from frame to frame come along as such, and each time between
    two as a channel of its own (times tell what is a likely change: Skorokhodov et al. 2022, section 3.3).
    `network`: a name of `FAMILIES`.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        seen: int,
        classes: int = 0,
        width: int,
        depth: int,
        network: str,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        channels = shape[0] * (2 * seen - 1) + seen - 1
        self.judge = family(network).discriminator(
            (channels, *shape[1:]), classes=classes, width=width, depth=depth, spectral_norm=spectral_norm
        )

    def forward(self, *parts: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        *frames, gaps = parts
        changes = [later - earlier for earlier, later in pairwise(frames)]
        times = gaps.to(frames[0].dtype)[:, :, None, None].expand(-1, -1, *frames[0].shape[2:])
        logits: Tensor = self.judge(joined([*frames, *changes, times], 1), y)
        return logits


def places(height: int, width: int, device: torch.device) -> Tensor:
    """Column and row (H, W, 2) of the middle of each pixel; the picture reaches from -1 to 1."""
    rows, columns = (torch.linspace(-1, 1, side, device=device) * (1 - 1 / side) for side in (height, width))
    return torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], 2)
