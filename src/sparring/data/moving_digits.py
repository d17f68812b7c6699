"""Handwritten digits that move and bounce, a clip for each of scikit-learn's digits."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.data.decode import Form
from sparring.data.embedded import digits
from sparring.data.film_files import Film, Header, Make, Timeline, even
from sparring.data.sources import Opener, Place, Progress, Thing

FRAMES, RATE = 32, 25.0
SIDE = 64
"""Pixels a side unless asked for otherwise."""

SIZE = 28 / 64
"""Of the picture's shorter side, how large a digit is, as in the paper."""

SLOWEST, FASTEST = 0.015, 0.06
"""Of the picture's sides, how far a digit moves from frame to frame."""

VERSION = 1
"""Goes up whenever a clip would become another one."""


@dataclass(frozen=True)
class MovingDigit:
    """A digit uint8 (8, 8), and where it is in each frame: (T, 2), 0 to 1, of the room it has across and down."""

    digit: NDArray[np.uint8]
    path: NDArray[np.float64]

    def header(self) -> Header:
        """As all of them."""
        return Header(len(self.path), RATE)

    def timeline(self) -> Timeline:
        """Even."""
        return even(len(self.path), RATE)

    def frames(self, first: int, form: Form | None) -> Iterator[tuple[int, Make]]:
        """Drawn at the size that is asked for."""
        height, width = (SIDE, SIDE) if form is None else (form.height, form.width)
        digit = Image.fromarray(np.pad(self.digit, 1))  # so that its edges fade
        for number in range(first, len(self.path)):
            yield number, partial(self._drawn, digit, number, height, width)

    def _drawn(self, digit: Image.Image, number: int, height: int, width: int) -> Image.Image:
        size = SIZE * min(height, width)
        left, top = self.path[number] * (width - size, height - size)
        scale = 8 / size
        return digit.transform(
            (width, height),
            Image.Transform.AFFINE,
            (scale, 0, 1 - left * scale, 0, scale, 1 - top * scale),
            Image.Resampling.BICUBIC,
        )


def bouncing(number: int) -> NDArray[np.float64]:
    """Where clip `number` has its digit: (T, 2), 0 to 1; straight on, and back from the edges as from a mirror."""
    random = np.random.default_rng((VERSION, number))
    begin, angle, speed = random.uniform(0, 1, 2), random.uniform(0, 2 * math.pi), random.uniform(SLOWEST, FASTEST)
    step = speed / (1 - SIZE) * np.array([math.cos(angle), math.sin(angle)])
    unfolded = begin + step * np.arange(FRAMES)[:, None]
    return 1 - np.abs(unfolded % 2 - 1)


def moving_digits(thing: Thing) -> Place[Film]:
    """1,797 clips of one moving digit each, of 32 frames at 25 a second; the class is the digit.

    Source: Srivastava et al. 2015 (arXiv 1502.04681), section 4.1, of which each clip shows two digits of MNIST.
    """
    pictures, labels = digits()

    def opener(number: int) -> AbstractContextManager[Film]:
        return nullcontext(MovingDigit(pictures[number], bouncing(number)))

    @contextmanager
    def openings() -> Iterator[Iterable[Opener[Film]]]:
        yield (partial(opener, number) for number in range(len(pictures)))

    def digest(progress: Progress | None) -> str:
        return hashlib.blake2b(f"moving {VERSION} ".encode() + pictures.tobytes(), digest_size=20).hexdigest()

    names = [str(number) for number in range(len(pictures))]
    return Place("moving-digits", names, openings, digest, labels=labels, thing=thing)
