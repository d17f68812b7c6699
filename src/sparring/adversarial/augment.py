"""What is done to real and generated pictures alike before the discriminator sees them: little data lasts longer.

An augmentation draws its parameters for a batch first and gives a function of pictures, which the step applies to the
real and the generated picture of a pair. These functions can be differentiated twice, so that R1 goes through them,
and compute in float32. Pictures are in [-1, 1], zero being mid-grey. Of four channels the last, of two the second, is
alpha: it moves with the picture, and colour operations leave it alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.errors import SettingError
from sparring.randomness import Random

Shape = tuple[int, ...]
Transformation = Callable[[Tensor], Tensor]
"""Takes pictures (N, C, H, W) in [-1, 1] to pictures of the same shape."""


class Augmentation(Protocol):
    """What the step needs: one transformation for the `random.count` samples of a batch."""

    def draw(self, random: Random, shape: Shape, p: float) -> Transformation:
        """Draws for pictures of `shape` (C, H, W). Every operation happens to a sample with probability p in [0, 1]."""


@dataclass(frozen=True)
class NoAugmentation:
    """Leaves pictures alone."""

    def draw(self, random: Random, shape: Shape, p: float) -> Transformation:
        """Gives the identity."""
        return identity


@dataclass(frozen=True)
class DiffAugment:
    """Brightness, saturation, contrast, translation and cutout (Zhao et al. 2020). The paper has p = 1.

    Attributes:
        translation: how far a picture moves at most, as a share of each side; zeros come in.
        cutout: the sides of the rectangle that is set to zero, as a share of the picture's.
    """

    translation: float = 1 / 8
    cutout: float = 1 / 2

    def __post_init__(self) -> None:
        check_shares(self)

    def draw(self, random: Random, shape: Shape, p: float) -> Transformation:
        """See `Augmentation`; with p = 0 the identity."""
        if p <= 0:
            return identity
        _, height, width = shape
        recoloured, resaturated, contrasted, moved, cut = (random.uniform("gates", 5) < p).unbind(1)
        amounts = random.uniform("colour", 3)
        brightness = torch.where(recoloured, amounts[:, 0] - 0.5, 0)
        saturation = torch.where(resaturated, amounts[:, 1] * 2, 1)
        contrast = torch.where(contrasted, amounts[:, 2] + 0.5, 1)
        farthest = [round_half_up(side * self.translation) for side in (height, width)]
        down, right = (
            torch.where(moved, random.integers(name, 2 * most + 1) - most, 0)
            for name, most in zip(("down", "right"), farthest, strict=True)
        )
        hole = (
            span(random, "hole rows", height, self.cutout)[:, :, None]
            & span(random, "hole columns", width, self.cutout)[:, None]
        )
        kept = ~(cut[:, None, None] & hole)

        @in_full_precision
        def transform(images: Tensor) -> Tensor:
            colours, alpha = split_alpha(images)
            colours = colours + per_sample(brightness, images)
            colours = about(colours.mean(1, keepdim=True), colours, per_sample(saturation, images))
            colours = about(colours.mean((1, 2, 3), keepdim=True), colours, per_sample(contrast, images))
            moved_images = shift(shift(torch.cat([colours, alpha], dim=1), down, dim=2), right, dim=3)
            return moved_images * kept[:, None]

        return transform


@dataclass(frozen=True)
class AdaptiveAugment:
    """The pixel, geometric and colour operations of StyleGAN2-ADA (Karras et al. 2020, appendix B), its `bgc`.

    An operation happens to a sample with probability p times the attribute of its name. All movements make one matrix,
    so that a picture is resampled once; all colour operations make one affine map.

    Attributes:
        flip: mirroring left and right, half of the time.
        quarter_turns: by 0, 90, 180 or 270 degrees; by 0 or 180 where pictures are not square.
        whole_translation: by whole pixels, up to an eighth of each side.
        scale: by 2^s, s ~ N(0, 0.2^2).
        rotation: by any angle, before or after the anisotropic scaling.
        anisotropic_scale: by 2^s along one axis and 2^-s along the other, s ~ N(0, 0.2^2).
        translation: by N(0, 0.125^2) of each side.
        brightness: adds b ~ N(0, 0.2^2).
        contrast: multiplies by 2^s, s ~ N(0, 0.5^2).
        luma_flip: negates the brightness and keeps hue and saturation, half of the time.
        hue: rotates colours about the grey axis by any angle; grey pictures have none.
        saturation: multiplies distances from the grey axis by 2^s, s ~ N(0, 1); grey pictures have none.
    """

    flip: float = 1
    quarter_turns: float = 1
    whole_translation: float = 1
    scale: float = 1
    rotation: float = 1
    anisotropic_scale: float = 1
    translation: float = 1
    brightness: float = 1
    contrast: float = 1
    luma_flip: float = 1
    hue: float = 1
    saturation: float = 1

    def __post_init__(self) -> None:
        check_shares(self)

    def draw(self, random: Random, shape: Shape, p: float) -> Transformation:
        """See `Augmentation`; with p = 0 the identity."""
        if p <= 0:
            return identity
        _, height, width = shape
        grid = sampling_grid(self.movement(random.at("movement"), height, width, p), height, width)
        colour = self.colour(random.at("colour"), p)

        @in_full_precision
        def transform(images: Tensor) -> Tensor:
            return colour(resample(images, grid))

        return transform

    def movement(self, random: Random, height: int, width: int, p: float) -> Tensor:
        """Where the outcome's pixels come from: matrices (N, 3, 3) on (x, y, 1), in pixels from the picture's centre.

        Every operation enters with its inverse, and the first to happen stands leftmost.
        """
        gates = random.uniform("gates", 8)
        uniform = random.uniform("uniform", 6)
        normal = random.normal("normal", 4)
        signed = 2 * uniform - 1
        one = torch.ones_like(gates[:, 0])

        flips = (gates[:, 0] < p * self.flip) & (uniform[:, 0] < 0.5)
        flip = scaling(torch.where(flips, -1, one), one)

        turns = (4 * uniform[:, 1]).floor() if height == width else 2 * (2 * uniform[:, 1]).floor()
        turns = torch.where(gates[:, 1] < p * self.quarter_turns, turns, 0)
        quarters = rotation(-turns * math.pi / 2).round()

        moves = gates[:, 2] < p * self.whole_translation
        across = torch.where(moves, (signed[:, 2] * width / 8).round(), 0)
        down = torch.where(moves, (signed[:, 3] * height / 8).round(), 0)
        whole = translation(-across, -down)

        factor = torch.where(gates[:, 3] < p * self.scale, torch.exp2(0.2 * normal[:, 0]), 1)
        size = scaling(1 / factor, 1 / factor)

        # Two chances of 1 - sqrt(1 - q) to rotate make one of q.
        once = 1 - math.sqrt(1 - min(p * self.rotation, 1))
        before = rotation(torch.where(gates[:, 4] < once, -signed[:, 4] * math.pi, 0))
        factor = torch.where(gates[:, 5] < p * self.anisotropic_scale, torch.exp2(0.2 * normal[:, 1]), 1)
        proportions = scaling(1 / factor, factor)
        after = rotation(torch.where(gates[:, 6] < once, -signed[:, 5] * math.pi, 0))

        moves = gates[:, 7] < p * self.translation
        across = torch.where(moves, normal[:, 2] * width / 8, 0)
        down = torch.where(moves, normal[:, 3] * height / 8, 0)
        fraction = translation(-across, -down)
        return reduce(multiply, [flip, quarters, whole, size, before, proportions, after, fraction])

    def colour(self, random: Random, p: float) -> "Colour":
        """What happens to colours."""
        gates = random.uniform("gates", 5)
        uniform = random.uniform("uniform", 2)
        normal = random.normal("normal", 3)
        flips = (gates[:, 2] < p * self.luma_flip) & (uniform[:, 0] < 0.5)
        return Colour(
            brightness=torch.where(gates[:, 0] < p * self.brightness, 0.2 * normal[:, 0], 0),
            contrast=torch.where(gates[:, 1] < p * self.contrast, torch.exp2(0.5 * normal[:, 1]), 1),
            luma=torch.where(flips, -1, torch.ones_like(uniform[:, 0])),
            hue=torch.where(gates[:, 3] < p * self.hue, (2 * uniform[:, 1] - 1) * math.pi, 0),
            saturation=torch.where(gates[:, 4] < p * self.saturation, torch.exp2(normal[:, 2]), 1),
        )


@dataclass(frozen=True)
class Colour:
    """The product of the five 4x4 colour matrices of Karras et al. 2020, in closed form; each attribute is (N,).

    A colour is grey + d, its projection on the grey axis v = (1, 1, 1) / sqrt(3) and the rest, which the operations
    treat apart: contrast * (luma * (grey + brightness) + saturation * (cos(hue) d + sin(hue) v x d)).
    """

    brightness: Tensor
    contrast: Tensor
    luma: Tensor
    hue: Tensor
    saturation: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Recolours (N, C, H, W); one and two channels have grey alone."""
        colours, alpha = split_alpha(images)
        grey = colours.mean(1, keepdim=True)
        lit = per_sample(self.contrast * self.luma, images) * (grey + per_sample(self.brightness, images))
        if colours.shape[1] == 1:
            return torch.cat([lit, alpha], dim=1)
        rest = colours - grey
        across = (rest.roll(1, 1) - rest.roll(-1, 1)) / math.sqrt(3)  # the cross product of v and d
        strength = self.contrast * self.saturation
        turned = (
            per_sample(strength * self.hue.cos(), images) * rest
            + per_sample(strength * self.hue.sin(), images) * across
        )
        return torch.cat([lit + turned, alpha], dim=1)


class AdaController:
    """Sets p so that the discriminator stays right about as often as `target` says (Karras et al. 2020, section 3.1).

    After every `interval` updates p moves up if the mean sign since the last move was above the target, else down, by
    as much as takes it from 0 to 1 in `images` images.

    The paper's target .6 is for the sign of D(real): 80 % of the real pictures above zero. A relativistic discriminator
    has no zero, and gives sign(D(real_i) - D(fake_i)). If real and generated logits are normal with means m and -m and
    one standard deviation s, 80 % means m / s = .84, and Phi(sqrt(2) * .84) = 88 % of the pairs are in order: a target
    of .77, RELATIVISTIC_TARGET.
    """

    def __init__(self, target: float, images: float = 500_000, *, interval: int = 4) -> None:
        if not -1 < target < 1:
            raise SettingError(f"the target of adaptive augmentation is {target}; it must be between -1 and 1")
        if images <= 0 or interval < 1:
            raise SettingError("adaptive augmentation needs a positive number of images and an interval of at least 1")
        self.target = target
        self.images = images
        self.interval = interval
        self.p = 0.0
        self.updates = 0
        self.seen = 0
        self.right: float | Tensor = 0.0

    def update(self, sign: Tensor, images: int) -> None:
        """Notes one update of D: `sign` is the mean over its `images` pictures. Waits for the device at moves only."""
        self.right = self.right + sign.detach().float() * images
        self.seen += images
        self.updates += 1
        if self.updates == self.interval:
            direction = math.copysign(1, float(self.right) / self.seen - self.target)
            self.p = min(max(self.p + direction * self.seen / self.images, 0.0), 1.0)
            self.updates, self.seen, self.right = 0, 0, 0.0

    def state(self) -> dict[str, float]:
        """All that changes, as numbers that JSON keeps exactly."""
        return {"p": self.p, "updates": self.updates, "seen": self.seen, "right": float(self.right)}

    def restore(self, state: dict[str, float]) -> None:
        """Goes on from what `state` gave."""
        self.p, self.right = state["p"], state["right"]
        self.updates, self.seen = int(state["updates"]), int(state["seen"])


RELATIVISTIC_TARGET = 0.77


def mirror(images: Tensor, random: Random) -> Tensor:
    """Mirrors each of the pictures (N, C, H, W), of any type, left and right with probability one half."""
    flips = random.uniform("mirror") < 0.5
    return torch.where(flips[:, None, None, None], images.flip(-1), images)


def turned(images: Tensor, random: Random) -> Tensor:
    """Each of the pictures (N, C, H, W) upside down with probability one half, and if square, transposed too.

    After `mirror`, all eight symmetries of a square are as likely.
    """
    flips, turns = (random.uniform("turn", 2) < 0.5).unbind(1)
    images = torch.where(flips[:, None, None, None], images.flip(-2), images)
    if images.shape[-2] != images.shape[-1]:
        return images
    return torch.where(turns[:, None, None, None], images.mT, images)


def identity(images: Tensor) -> Tensor:
    """The transformation that does nothing."""
    return images


def check_shares(augmentation: DiffAugment | AdaptiveAugment) -> None:
    """Raises SettingError unless all attributes are in [0, 1]."""
    for field in fields(augmentation):
        value = getattr(augmentation, field.name)
        if not 0 <= value <= 1:
            raise SettingError(f"{field.name} = {value} in {type(augmentation).__name__}; it must be between 0 and 1")


def in_full_precision(transform: Transformation) -> Transformation:
    """The same function without autocast, on float32 or float64 pictures."""

    def transform_precisely(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return transform(images.to(torch.promote_types(images.dtype, torch.float32)))

    return transform_precisely


def per_sample(values: Tensor, images: Tensor) -> Tensor:
    """(N,) as (N, 1, 1, 1), in the type of the pictures."""
    return values.to(images.dtype)[:, None, None, None]


def split_alpha(images: Tensor) -> tuple[Tensor, Tensor]:
    """Colour channels (1 or 3) and alpha (0 or 1) of (N, C, H, W)."""
    colours = 1 if images.shape[1] < 3 else 3
    return images[:, :colours], images[:, colours:]


def about(centre: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """Multiplies the distance from the centre."""
    return centre + (images - centre) * factor


def round_half_up(value: float) -> int:
    """Rounds as Zhao et al. do."""
    return int(value + 0.5)


def span(random: Random, purpose: str, side: int, share: float) -> Tensor:
    """Which of `side` pixels lie in a randomly placed span of that share, cut off at the ends: bool (N, side)."""
    length = round_half_up(side * share)
    start = random.integers(purpose, side + 1 - length % 2)[:, None] - length // 2
    pixels = torch.arange(side, device=start.device)
    return (pixels >= start) & (pixels < start + length)


def shift(images: Tensor, by: Tensor, dim: int) -> Tensor:
    """Moves pictures by whole pixels (N,) along a dimension; zeros come in."""
    side = images.shape[dim]
    shape = [len(images), 1, 1, 1]
    shape[dim] = side
    source = torch.arange(side, device=by.device) - by[:, None]
    index = source.clamp(0, side - 1).view(shape).expand_as(images)
    inside = ((source >= 0) & (source < side)).view(shape)
    return images.gather(dim, index) * inside


def matrices(rows: list[list[Tensor | float]]) -> Tensor:
    """Nine numbers, each (N,) or a constant, as (N, 3, 3)."""
    like = next(entry for row in rows for entry in row if isinstance(entry, Tensor))
    entries = [
        torch.as_tensor(entry, dtype=like.dtype, device=like.device).expand_as(like) for row in rows for entry in row
    ]
    return torch.stack(entries, dim=1).view(-1, 3, 3)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """The products of matrices (N, 3, 3), exact in float32 where a GPU's matrix units and autocast are not."""
    return (a[:, :, :, None] * b[:, None]).sum(2)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Scales the two axes."""
    return matrices([[x, 0, 0], [0, y, 0], [0, 0, 1]])


def rotation(angle: Tensor) -> Tensor:
    """Rotates by an angle in radians from the x towards the y axis."""
    cos, sin = angle.cos(), angle.sin()
    return matrices([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Moves along the two axes."""
    return matrices([[1, 0, x], [0, 1, y], [0, 0, 1]])


def sampling_grid(matrix: Tensor, height: int, width: int) -> Tensor:
    """Where to read pictures for `resample`, (N, 2 H, 2 W, 2) in the coordinates of `F.grid_sample`, from `movement`.

    Every pixel of the outcome is the mean of four readings. They coincide where the picture is not shrunk, which keeps
    it sharp and whole movements exact, and move apart as it shrinks, to a quarter of a pixel either way at half size,
    which keeps fine patterns from turning into coarse ones.
    """
    a, b, c, d = matrix[:, :2, :2].flatten(1).unbind(1)
    stretch = (torch.hypot(a + d, c - b) + torch.hypot(a - d, b + c)) / 2  # the largest singular value
    apart = (stretch - 1).clamp(0, 1)[:, None] / 4

    def readings(side: int) -> Tensor:
        centres = torch.arange(side, device=matrix.device) + (1 - side) / 2
        return torch.stack([centres - apart, centres + apart], dim=2).flatten(1)

    x, y = readings(width)[:, None, :, None], readings(height)[:, :, None, None]
    points = x * matrix[:, None, None, :2, 0] + y * matrix[:, None, None, :2, 1] + matrix[:, None, None, :2, 2]
    return points * points.new_tensor([2 / width, 2 / height])


def resample(images: Tensor, grid: Tensor) -> Tensor:
    """Reads pictures (N, C, H, W) at `sampling_grid`; what lies outside is a reflection of what is inside."""
    fine: Tensor = ReadAt.apply(images, grid.to(images.dtype))  # type: ignore[no-untyped-call]
    return F.avg_pool2d(fine, 2)


class ReadAt(torch.autograd.Function):
    """`F.grid_sample` as a linear function of the pictures alone, which unlike the original has all its derivatives."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        """(N, C, H, W) and (N, h, w, 2) to (N, C, h, w), bilinear, reflecting at the edges."""
        ctx.save_for_backward(grid)
        ctx.size = images.shape[2:]
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The transpose."""
        (grid,) = ctx.saved_tensors
        return AddAt.apply(gradient, grid, ctx.size), None  # type: ignore[no-untyped-call]


class AddAt(torch.autograd.Function):
    """The transpose of `ReadAt`: adds what was read at each point to the pixels it was read from."""

    @staticmethod
    def forward(ctx: Any, readings: Tensor, grid: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, C, h, w) and (N, h, w, 2) to (N, C, *size)."""
        ctx.save_for_backward(grid)
        # Mode 0 is bilinear, 2 reflection. The values of the pictures would matter for the gradient of the grid only.
        images = readings.new_empty(1).expand(*readings.shape[:2], *size)
        added: Tensor = torch.ops.aten.grid_sampler_2d_backward(readings, images, grid, 0, 2, False, (True, False))[0]
        return added

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The transpose of the transpose."""
        (grid,) = ctx.saved_tensors
        return ReadAt.apply(gradient, grid), None, None  # type: ignore[no-untyped-call]


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": NoAugmentation(),
    "diffaugment": DiffAugment(),
    "ada": AdaptiveAugment(),
}
