"""Holes for inpainting: thick strokes, boxes, thin scribbles, and margins to be painted on.

Large holes teach to look far (Suvorov et al. 2021, LaMa, section 2.3, arXiv 2109.07161), so pieces are added until a
hole is as large as was drawn for it. Lengths are relative to the picture, which may have any size.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sparring.data.numbers import Numbers, numbers_of
from sparring.errors import SettingError
from sparring.randomness import Random

LEAST, MOST = 0.02, 0.6
"""Share of a picture that is missing."""

PIECES = 12
"""Strokes or boxes of a hole, at most."""

CORNERS = 6
"""Segments of a stroke, at most."""

NUMBERS = 2 + PIECES * (4 + 2 * CORNERS)
"""What the kind that needs most draws for a sample."""


Piece = Callable[[ImageDraw.ImageDraw, Numbers, int, int], None]
"""Draws a part of a hole onto a canvas of a height and a width."""


@dataclass(frozen=True)
class Strokes:
    """Chains of segments, as wide as drawn between `thinnest` and `thickest`.

    Widths and lengths are shares of the shorter side.
    """

    thinnest: float
    thickest: float
    shortest: float
    longest: float

    def __call__(self, canvas: ImageDraw.ImageDraw, numbers: Numbers, height: int, width: int) -> None:
        """One chain."""
        side = min(height, width)
        radius = max(1.0, side * numbers.between(self.thinnest, self.thickest)) / 2
        x, y = numbers.between(0, width), numbers.between(0, height)
        direction = numbers.between(0, 2 * math.pi)
        dot(canvas, x, y, radius)
        for _ in range(numbers.whole(1, CORNERS)):
            length = side * numbers.between(self.shortest, self.longest)
            before = x, y
            x = inwards(x, length * math.cos(direction), width)
            y = inwards(y, length * math.sin(direction), height)
            canvas.line([*before, x, y], fill=1, width=round(2 * radius))
            dot(canvas, x, y, radius)
            direction += numbers.between(-0.75, 0.75) * math.pi


def dot(canvas: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    """A disc: the round end of a segment, and the joint with the next."""
    canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=1)


def inwards(place: float, step: float, side: int) -> float:
    """A step, or one the other way where it would lead out of the picture."""
    return place + step if 0 <= place + step < side else min(max(place - step, 0), side)


def box(canvas: ImageDraw.ImageDraw, numbers: Numbers, height: int, width: int) -> None:
    """A rectangle with sides of an eighth to three fifths of the picture's."""
    tall, wide = (max(1, round(side * numbers.between(1 / 8, 3 / 5))) for side in (height, width))
    left, top = numbers.whole(0, width - wide), numbers.whole(0, height - tall)
    canvas.rectangle([left, top, left + wide - 1, top + tall - 1], fill=1)


SIDES = ("l", "r", "t", "b", "lr", "tb", "lt", "lb", "rt", "rb", "lrtb")
"""Sides that a picture is to be continued on: one, two or all of left, right, top and bottom."""


def margins(canvas: ImageDraw.ImageDraw, numbers: Numbers, height: int, width: int) -> None:
    """All around a rectangle of 45 to 90 % of the picture, which touches the sides that are not to be continued."""
    kept = numbers.between(0.45, 0.9)
    sides = SIDES[numbers.whole(0, len(SIDES) - 1)]
    across, down = any(side in sides for side in "lr"), any(side in sides for side in "tb")
    share_across = numbers.between(0.3, 0.7) if across and down else float(across)
    left, right = split(width, kept**share_across, "l" in sides, "r" in sides, numbers)
    top, bottom = split(height, kept ** (1 - share_across), "t" in sides, "b" in sides, numbers)
    canvas.rectangle([0, 0, width, height], fill=1)
    canvas.rectangle([left, top, right - 1, bottom - 1], fill=0)


def split(side: int, kept: float, before: bool, after: bool, numbers: Numbers) -> tuple[int, int]:
    """From where to where a share of a side is kept, when something is missing before, after, or on both ends."""
    missing = round(side * (1 - kept))
    first = round(missing * numbers.between(0.3, 0.7)) if before and after else missing * before
    return first, side - missing + first


@dataclass(frozen=True)
class Kind:
    """Pieces are added until at least a share of the picture is missing that is drawn below `most`."""

    piece: Piece
    pieces: int
    most: float


KINDS = {
    "thick": Kind(Strokes(1 / 12, 1 / 4, 1 / 8, 1 / 2), pieces=6, most=0.45),
    "boxes": Kind(box, pieces=6, most=0.4),
    "irregular": Kind(Strokes(1 / 64, 1 / 14, 1 / 16, 1 / 4), pieces=PIECES, most=0.3),
    "outpainting": Kind(margins, pieces=1, most=MOST),
}
"""Holes by name."""

ALL = {"thick": 0.4, "boxes": 0.25, "irregular": 0.2, "outpainting": 0.15}
"""A bit of everything: how often each kind comes."""


def holes(random: Random, height: int, width: int, kinds: Mapping[str, float]) -> Tensor:
    """Masks (N, 1, height, width) on the device of `random` for its N samples: 1 where a picture is missing, else 0.

    kinds: names out of `KINDS`, and how often each is drawn. Between 2 and 60 % are missing, as far as pixels allow,
    and at least one pixel is. Masks are drawn on the CPU, so that they are the same on every device.

    Raises: SettingError for an unknown kind, weights that are no weights, or pictures smaller than 4x4.
    """
    check(kinds)
    if min(height, width) < 4:
        raise SettingError(f"pictures of {height}x{width} pixels: holes need at least 4x4")
    masks = np.stack([hole(numbers, height, width, kinds) for numbers in numbers_of(random, "holes", NUMBERS)])
    return torch.from_numpy(masks)[:, None].to(random.device, torch.float32)


def check(kinds: Mapping[str, float]) -> None:
    """Raises SettingError unless these are weights of known kinds of holes, one of them above zero."""
    for name, weight in kinds.items():
        if name not in KINDS:
            raise SettingError(f"there are no holes of the kind {name!r}: the kinds are {', '.join(KINDS)}")
        if not 0 <= weight < math.inf:
            raise SettingError(f"{weight:g} is how often holes of the kind {name!r} come: it should be 0 or more")
    if not any(kinds.values()):
        raise SettingError(f"no holes are chosen: give one of {', '.join(KINDS)} a weight above 0")


def hole(numbers: Numbers, height: int, width: int, kinds: Mapping[str, float]) -> np.ndarray[tuple[int, int]]:
    """One mask (height, width) of uint8, 1 in the hole."""
    kind = KINDS[numbers.choice(kinds)]
    enough = numbers.between(LEAST, kind.most)

    mask = np.zeros((height, width), np.uint8)
    for _ in range(kind.pieces):
        image = Image.fromarray(mask).copy()
        kind.piece(ImageDraw.Draw(image), numbers, height, width)
        larger = np.asarray(image)
        share = np.count_nonzero(larger) / larger.size
        if share <= MOST:
            mask = larger
        if share >= enough:
            break
    if np.count_nonzero(mask) < LEAST * mask.size:  # a stroke across a strip, or one too large to keep
        mask = mask.copy()
        tall, wide = (max(1, math.ceil(side / 5)) for side in (height, width))
        top, left = (height - tall) // 2, (width - wide) // 2
        mask[top : top + tall, left : left + wide] = 1
    return mask
