"""What clean pictures suffer before they are restored: holes, noise, low resolution, or all of it, drawn anew every
time.

Every draw belongs to its sample, so that a picture's damage does not depend on its neighbours in the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.config import Settings
from sparring.data import chains, masks
from sparring.data.degradations import LEVELS, SEEDS, compressed, rounded, with_shot_noise, with_specks
from sparring.data.numbers import numbers_of
from sparring.errors import SettingError
from sparring.randomness import Random


@dataclass(frozen=True)
class Damaged:
    """Damaged pictures (N, C, h, w), and for those with holes a mask (N, 1, h, w), 1 where they are missing."""

    pictures: Tensor
    mask: Tensor | None = None


class Damage(Protocol):
    """What is done to a batch of pictures."""

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """Damages float pictures (N, C, H, W) in [-1, 1], N being `random.count`; C is 1 or 3.

        The result is on the same device and of the same type.
        """


@dataclass(frozen=True)
class Holes:
    """Parts are missing, and zero, mid-grey, stands there. `kinds`: how often each of `masks.KINDS` comes.

    Raises: SettingError when made, for unknown kinds or weights that are none.
    """

    kinds: Mapping[str, float] = field(default_factory=lambda: masks.ALL)

    def __post_init__(self) -> None:
        masks.check(self.kinds)

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`."""
        height, width = pictures.shape[2:]
        mask = masks.holes(random, height, width, self.kinds).to(pictures)
        return Damaged(pictures * (1 - mask), mask)


@dataclass(frozen=True)
class GaussianNoise:
    """White noise of a strength that is drawn for every picture; results leave [-1, 1] unless `rounded`.

    low, high: its standard deviation, in steps of 255. rounded: clamped and rounded, as a file of 8 bits holds them.
    Raises: SettingError when made, unless 0 <= low <= high <= 255.
    """

    low: float = 0
    high: float = 55
    rounded: bool = False

    def __post_init__(self) -> None:
        check_range("standard deviations of noise", self.low, self.high, 0, 255)

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`."""
        strength = self.low + (self.high - self.low) * random.uniform("strength", 1, 1, 1)
        noisy = pictures + (strength / LEVELS * random.normal("noise", *pictures.shape[1:])).to(pictures)
        return Damaged(rounded(noisy) if self.rounded else noisy)


@dataclass(frozen=True)
class PoissonNoise:
    """The noise of little light: a white pixel counts `fewest` to `most` photons, every number as likely per octave.

    Counts are not clamped at white unless `rounded`, as for `GaussianNoise`.
    Raises: SettingError when made, unless 1 <= fewest <= most <= 1e6.
    """

    fewest: float = 20
    most: float = 2000
    rounded: bool = False

    def __post_init__(self) -> None:
        check_range("photons of a white pixel", self.fewest, self.most, 1, 1e6)

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`."""
        photons = [n.between_logarithms(self.fewest, self.most) for n in numbers_of(random, "photons", 1)]
        seeds = random.integers("counts", SEEDS).tolist()
        noisy = torch.stack([with_shot_noise(*each) for each in zip(pictures, photons, seeds, strict=True)])
        return Damaged(rounded(noisy) if self.rounded else noisy)


@dataclass(frozen=True)
class Jpeg:
    """What JPEG files leave, of a quality that is drawn from `low` to `high`, as Pillow counts.

    Raises: SettingError when made, unless 1 <= low <= high <= 95.
    """

    low: int = 10
    high: int = 80

    def __post_init__(self) -> None:
        check_range("qualities of JPEG", self.low, self.high, 1, 95)

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`; clamped and rounded."""
        qualities = [n.whole(self.low, self.high) for n in numbers_of(random, "quality", 1)]
        return Damaged(torch.stack(compressed(pictures.unbind(), qualities)))


@dataclass(frozen=True)
class SaltAndPepper:
    """Some pixels are white, as many are black: a share from `low` to `high` together.

    Raises: SettingError when made, unless 0 <= low <= high <= 1.
    """

    low: float = 0.005
    high: float = 0.2

    def __post_init__(self) -> None:
        check_range("shares of salt and pepper", self.low, self.high, 0, 1)

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`."""
        share = self.low + (self.high - self.low) * random.uniform("share", 1, 1, 1)
        return Damaged(with_specks(pictures, share, random.uniform("specks", 1, *pictures.shape[2:])))


@dataclass(frozen=True)
class OneOf:
    """One of several damages for each picture, all as likely; none of them makes holes or changes the size.

    Raises: SettingError when made of none.
    """

    damages: tuple[Damage, ...]

    def __post_init__(self) -> None:
        if not self.damages:
            raise SettingError("no damages to choose from: give at least one")

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`."""
        chosen = random.integers("which", len(self.damages), 1, 1, 1)
        found = pictures
        for number, damage in enumerate(self.damages):
            found = torch.where(chosen == number, damage(pictures, random.at(str(number))).pictures, found)
        return Damaged(found)


@dataclass(frozen=True)
class Reduced:
    """Pictures reduced bicubically, each side `scale` times shorter: how methods of super-resolution are compared.

    Equals Pillow's BICUBIC on 8 bits, which goes along rows, clamps and rounds, then along columns and does so again.
    Raises: SettingError when made, if the scale is below 2, and when called, if it does not divide the sides.
    """

    scale: int = 4

    def __post_init__(self) -> None:
        check_scale(self.scale)

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`; the result is (N, C, H / scale, W / scale)."""
        height, width = reduced_size(pictures, self.scale)
        narrow = rounded(F.interpolate(pictures, (pictures.shape[2], width), mode="bicubic", antialias=True))
        return Damaged(rounded(F.interpolate(narrow, (height, width), mode="bicubic", antialias=True)))


@dataclass(frozen=True)
class Degraded:
    """Pictures reduced as real ones have been: blurred, resized, noisy, compressed, twice over; see `chains.lowered`.

    strength: 1 for the ranges of Real-ESRGAN, milder towards 0.
    Raises: SettingError when made, if the scale is below 2 or the strength not in (0, 1], and when called, if the scale
    does not divide the sides.
    """

    scale: int = 4
    strength: float = 1

    def __post_init__(self) -> None:
        check_scale(self.scale)
        check_strength(self.strength)

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`; the result is (N, C, H / scale, W / scale), clamped and rounded."""
        size = reduced_size(pictures, self.scale)
        return Damaged(torch.stack(chains.lowered(pictures.unbind(), size, self.strength, random)))


@dataclass(frozen=True)
class Mixed:
    """Any of blur, low resolution, noise, salt and pepper, and JPEG, at the size that pictures have; `chains.mixed`.

    Raises: SettingError when made, if the strength is not in (0, 1].
    """

    strength: float = 1

    def __post_init__(self) -> None:
        check_strength(self.strength)

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`; clamped and rounded."""
        return Damaged(torch.stack(chains.mixed(pictures.unbind(), self.strength, random)))


def reduced_size(pictures: Tensor, scale: int) -> tuple[int, int]:
    """The sides of pictures divided by `scale`. Raises: SettingError if that leaves a rest."""
    height, width = pictures.shape[2:]
    if height % scale or width % scale:
        raise SettingError(f"pictures of {height}x{width} pixels: scale={scale} needs sides that are multiples of it")
    return height // scale, width // scale


def check_range(what: str, low: float, high: float, least: float, most: float) -> None:
    """Raises SettingError unless least <= low <= high <= most."""
    if not least <= low <= high <= most:
        raise SettingError(
            f"{what} from {low:g} to {high:g}: the first should not be above the second, and both between "
            f"{least:g} and {most:g}"
        )


def check_scale(scale: int) -> None:
    """Raises SettingError unless it is 2 or more."""
    if scale < 2:
        raise SettingError(f"scale={scale}: pictures are made so many times smaller, which takes at least 2")


def check_strength(strength: float) -> None:
    """Raises SettingError unless it is above 0 and at most 1."""
    if not 0 < strength <= 1:
        raise SettingError(f"a strength of {strength:g}: it should be above 0, and 1 at most")


def inpaint(settings: Settings) -> Damage:
    """The holes of the settings."""
    return Holes(masks.ALL if settings.holes in (None, "all") else {settings.holes: 1.0})


def denoise(settings: Settings) -> Damage:
    """The noise of the settings, in 8 bits, as it lies in files."""
    low, high = settings.noise_low, settings.noise_high
    gaussian = GaussianNoise(0 if low is None else low, 55 if high is None else high, rounded=True)
    kinds: dict[str, Damage] = {
        "gaussian": gaussian,
        "poisson": PoissonNoise(rounded=True),
        "jpeg": Jpeg(),
        "salt-and-pepper": SaltAndPepper(),
    }
    return OneOf(tuple(kinds.values())) if settings.noise == "all" else kinds[settings.noise or "gaussian"]


def reduce(settings: Settings) -> Damage:
    """The reduction of the settings."""
    scale = settings.scale or 4
    return Reduced(scale) if settings.degradation == "bicubic" else Degraded(scale, settings.severity or 1)


def mix(settings: Settings) -> Damage:
    """The blind mix of the settings."""
    return Mixed(settings.severity or 1)


DAMAGES: Mapping[str, Callable[[Settings], Damage]] = {
    "inpaint": inpaint,
    "denoise": denoise,
    "super": reduce,
    "mixed": mix,
}
"""What makes a damage out of a run's settings, by the name that `damage` has there."""


def damage_of(settings: Settings) -> Damage:
    """The damage that the settings of a run ask for.

    Raises: SettingError if they name none, or one with values that do not go together.
    """
    if settings.damage is None:
        raise SettingError(f"damage=none: it should be one of {', '.join(DAMAGES)}")
    return DAMAGES[settings.damage](settings)
