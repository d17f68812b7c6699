"""Chains of degradations, as pictures go through on their way from a camera to a page: low resolution, or a blind mix.

Source: Wang et al. 2021 (Real-ESRGAN, arXiv 2107.10833), section 3, with the ranges of its released configuration.
Each picture goes through alone, so chains take and give lists of float pictures (C, h, w) in [-1, 1], one for each
sample of `random`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from sparring.data.degradations import (
    LEVELS,
    SEEDS,
    Method,
    blurred,
    compressed,
    gaussian_kernel,
    resized,
    ringing_kernel,
    rounded,
    with_shot_noise,
    with_specks,
)
from sparring.data.numbers import Numbers, numbers_of
from sparring.randomness import Random

NUMBERS = 24
"""More than any chain draws for a sample."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Chain:
    """Blur, another size, noise and JPEG, in this order.

    blur: how often. deviations: of the blur, in pixels. larger, smaller: how often the size changes so. ratio: at most.
    gaussian: standard deviations of noise, in steps of 255. shot: Poisson noise of 256 / shot^2 photons a white pixel.
    quality: of JPEG, as Pillow counts. Ranges are for a strength of 1.
    """

    blur: float
    deviations: Range
    larger: float
    smaller: float
    ratio: Range
    gaussian: Range
    shot: Range
    quality: Range = (30, 95)


FIRST = Chain(1.0, (0.2, 3), larger=0.2, smaller=0.7, ratio=(0.15, 1.5), gaussian=(1, 30), shot=(0.05, 3))
SECOND = Chain(0.8, (0.2, 1.5), larger=0.3, smaller=0.4, ratio=(0.3, 1.2), gaussian=(1, 25), shot=(0.05, 2.5))

RADII = 3, 10
"""Pixels from the middle of a blur to its border, least and most."""

SHAPES = {"gaussian": 0.63, "bell": 0.135, "plateau": 0.135, "ringing": 0.1}
"""Kinds of blur, and how often each comes."""

ALIKE = {"gaussian": 0.45 / 0.7, "bell": 0.8, "plateau": 0.8}
"""How often a blur is the same in all directions."""

POWERS = {"gaussian": (1.0, 1.0), "bell": (0.5, 4.0), "plateau": (1.0, 2.0)}

METHODS: tuple[tuple[Method, bool], ...] = (
    ("area", True),
    ("bilinear", True),
    ("bilinear", False),
    ("bicubic", True),
    ("bicubic", False),
)
"""Ways to change the size, with antialiasing or without; programs in use have either."""

GREY = 0.4
"""How often all channels have the same noise."""

FINAL_RINGING = 0.8
"""How often what comes last is a low pass that rings, as sharpening leaves it."""

MOST_PHOTONS = 1e6


def lowered(pictures: Sequence[Tensor], size: tuple[int, int], strength: float, random: Random) -> list[Tensor]:
    """Pictures of one shape through two chains, and brought to (C, *size).

    strength: 1 for the ranges of the source; towards 0 all becomes milder, until little but the reduction remains.
    Half of the pictures are compressed after the last change of their size, the others before it.
    """
    pictures = through(pictures, pictures[0].shape[1:], FIRST, strength, random.at("first"))
    pictures = compressed(pictures, qualities(FIRST, strength, random.at("first")))
    pictures = through(pictures, size, SECOND, strength, random.at("second"))

    numbers = numbers_of(random, "last", NUMBERS)
    chosen = qualities(SECOND, strength, random.at("second"))
    early = [n.happens(0.5) for n in numbers]
    pictures = compressed(pictures, [q if e else None for q, e in zip(chosen, early, strict=True)])
    pictures = [rescaled(p, size, n) for p, n in zip(pictures, numbers, strict=True)]
    pictures = [
        blurred(p, ringing(n, strength)) if n.happens(FINAL_RINGING * strength) else p
        for p, n in zip(pictures, numbers, strict=True)
    ]
    pictures = compressed(pictures, [None if e else q for q, e in zip(chosen, early, strict=True)])
    return [rounded(picture) for picture in pictures]


def through(
    pictures: Sequence[Tensor], size: Sequence[int], chain: Chain, strength: float, random: Random
) -> list[Tensor]:
    """Pictures through a chain as far as its noise; their new sides are relative to `size`."""
    numbers = numbers_of(random, "chain", NUMBERS)
    most = chain.ratio[1] ** strength
    normal = random.normal("noise", len(pictures[0]), *(math.ceil(most * side) for side in size))
    seeds = random.integers("photons", SEEDS).tolist()
    found = []
    for picture, n, noise, seed in zip(pictures, numbers, normal, seeds, strict=True):
        if n.happens(chain.blur):
            picture = blurred(picture, blur(n, chain.deviations, strength))
        ratio = change(n, chain, strength)
        sides = [max(1, round(ratio * side)) for side in size]
        picture = rescaled(picture, (sides[0], sides[1]), n)
        found.append(noisy(picture, n, chain.gaussian, chain.shot, strength, noise, seed))
    return found


def change(n: Numbers, chain: Chain, strength: float) -> float:
    """How many times as large a picture becomes."""
    low, high = chain.ratio
    kind = n.choice({"larger": chain.larger, "smaller": chain.smaller, "kept": 1 - chain.larger - chain.smaller})
    if kind == "kept":
        return 1.0
    ratio = n.between(1, high) if kind == "larger" else n.between(low, 1)
    return math.pow(ratio, strength)


def qualities(chain: Chain, strength: float, random: Random) -> list[int]:
    """Of JPEG, for each sample; nearer to the best as the strength goes to 0."""
    low, high = chain.quality
    return [round(n.between(high - (high - low) * strength, high)) for n in numbers_of(random, "quality", 1)]


def blur(n: Numbers, deviations: Range, strength: float) -> Tensor:
    """The kernel of a blur of any shape and direction."""
    shape = n.choice(SHAPES)
    if shape == "ringing":
        return ringing(n, strength)
    radius = n.whole(*RADII)
    first, second = (strength * n.between(*deviations) for _ in range(2))
    if n.happens(ALIKE[shape]):
        second = first
    return gaussian_kernel(
        radius,
        (first, second),
        angle=n.between(-math.pi, math.pi),
        power=n.between(*POWERS[shape]),
        shape="plateau" if shape == "plateau" else "bell",
    )


def ringing(n: Numbers, strength: float) -> Tensor:
    """The kernel of a low pass that rings."""
    return ringing_kernel(n.whole(*RADII), math.pi * n.between(1 - 2 / 3 * strength, 1))


def rescaled(picture: Tensor, size: tuple[int, int], n: Numbers) -> Tensor:
    """The picture in another size, by any of the methods."""
    method, antialias = METHODS[n.whole(0, len(METHODS) - 1)]
    return resized(picture, size, method, antialias)


def noisy(
    picture: Tensor, n: Numbers, gaussian: Range, shot: Range, strength: float, normal: Tensor, seed: int
) -> Tensor:
    """The picture with Gaussian or Poisson noise, in colour or grey, clamped as sensors are.

    normal: (C, >= h, >= w), standard normal numbers.
    """
    grey = n.happens(GREY)
    if n.happens(0.5):
        noise = normal[: 1 if grey else None, : picture.shape[1], : picture.shape[2]]
        noisy = picture + strength * n.between(*gaussian) / LEVELS * noise.to(picture)
    else:
        photons = 256 / (strength * n.between(*shot)) ** 2
        noisy = with_shot_noise(picture, min(photons, MOST_PHOTONS), seed, grey)
    return noisy.clamp(-1, 1)


MIXED = Chain(0.5, (0.5, 3), larger=0, smaller=1, ratio=(0.25, 1), gaussian=(1, 50), shot=(0.05, 4), quality=(10, 90))

MIX: Mapping[str, float] = {"blur": MIXED.blur, "resolution": 0.4, "noise": 0.6, "specks": 0.15, "JPEG": 0.6}
"""What may happen to a picture of a blind mix, in the order in which it does, and how often."""

SPECKS = 0.002, 0.05
"""Share of the pixels that are white or black."""


def mixed(pictures: Sequence[Tensor], strength: float, random: Random) -> list[Tensor]:
    """Pictures of one shape, which they keep, each with one or several of `MIX`.

    strength: 1 for the ranges above, milder towards 0.
    """
    channels, height, width = pictures[0].shape
    numbers = numbers_of(random, "mix", 2 * NUMBERS)
    normal = random.normal("noise", channels, height, width)
    uniform = random.uniform("specks", 1, height, width)
    seeds = random.integers("photons", SEEDS).tolist()
    found: list[Tensor] = []
    compress = []
    for picture, n, noise, places, seed in zip(pictures, numbers, normal, uniform, seeds, strict=True):
        chosen = {name for name, probability in MIX.items() if n.happens(probability)} or {n.choice(MIX)}
        if "blur" in chosen:
            picture = blurred(picture, blur(n, MIXED.deviations, strength))
        if "resolution" in chosen:
            ratio = change(n, MIXED, strength)
            small = rescaled(picture, (max(1, round(ratio * height)), max(1, round(ratio * width))), n)
            picture = resized(small, (height, width), "bilinear" if n.happens(0.5) else "bicubic")
        if "noise" in chosen:
            picture = noisy(picture, n, MIXED.gaussian, MIXED.shot, strength, noise, seed)
        if "specks" in chosen:
            picture = with_specks(picture, strength * n.between(*SPECKS), places.to(picture))
        found.append(picture)
        compress.append("JPEG" in chosen)
    chosen_qualities = zip(qualities(MIXED, strength, random), compress, strict=True)
    found = compressed(found, [quality if wanted else None for quality, wanted in chosen_qualities])
    return [rounded(picture) for picture in found]
