"""What clean pictures suffer before they are restored: holes and noise, drawn anew every time.

Every draw belongs to its sample, so that a picture's damage does not depend on its neighbours in the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from sparring.config import Settings
from sparring.data import masks
from sparring.errors import SettingError
from sparring.randomness import Random

LEVELS = 127.5
"""Steps of 8 bits in a unit of pictures in [-1, 1]."""


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
    """White noise of a strength that is drawn for every picture; sums are not clamped, so they leave [-1, 1].

    low, high: its standard deviation, in steps of 255.
    Raises: SettingError when made, unless 0 <= low <= high.
    """

    low: float = 0
    high: float = 55

    def __post_init__(self) -> None:
        check_range("standard deviations of noise", self.low, self.high, 0, 255)

    def __call__(self, pictures: Tensor, random: Random) -> Damaged:
        """See `Damage`."""
        strength = self.low + (self.high - self.low) * random.uniform("strength", 1, 1, 1)
        noise = strength / LEVELS * random.normal("noise", *pictures.shape[1:])
        return Damaged(pictures + noise.to(pictures))


def check_range(what: str, low: float, high: float, least: float, most: float) -> None:
    """Raises SettingError unless least <= low <= high <= most."""
    if not least <= low <= high <= most:
        raise SettingError(
            f"{what} from {low:g} to {high:g}: the first should not be above the second, and both between "
            f"{least:g} and {most:g}"
        )


def inpaint(settings: Settings) -> Damage:
    """The holes of the settings."""
    return Holes(masks.ALL if settings.holes in (None, "all") else {settings.holes: 1.0})


def denoise(settings: Settings) -> Damage:
    """The noise of the settings."""
    low, high = settings.noise_low, settings.noise_high
    return GaussianNoise(0 if low is None else low, 55 if high is None else high)


DAMAGES: Mapping[str, Callable[[Settings], Damage]] = {"inpaint": inpaint, "denoise": denoise}
"""What makes a damage out of a run's settings, by the name that `damage` has there."""


def damage_of(settings: Settings) -> Damage:
    """The damage that the settings of a run ask for.

    Raises: SettingError if they name none, or one with values that do not go together.
    """
    if settings.damage is None or settings.damage not in DAMAGES:
        raise SettingError(f"damage={settings.damage}: it should be one of {', '.join(DAMAGES)}")
    return DAMAGES[settings.damage](settings)
