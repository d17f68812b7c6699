"""Stacked digits: pictures of three digits, one in each colour, whose thousand combinations are known modes.

The test is Stacked MNIST (Metz et al. 2017, arXiv 1611.02163, section 3.3.1) on whatever digits are given: 128,000
pictures to learn from, 26,000 samples that a classifier of single digits reads.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.svm import SVC

from sparring.data.embedded import digits as embedded_digits
from sparring.model import Model

Images = NDArray[np.uint8]

PICTURES, SAMPLES = 128_000, 26_000
MODES = 1000
READ = 10_000
"""Digits that the classifier learns from at most."""

HELD_OUT = 1 / 3
CHUNK = 2000


@dataclass(frozen=True)
class Digits:
    """images: (N, H, W). labels: integers 0 to 9 (N,)."""

    images: Images
    labels: NDArray[np.int64]

    @classmethod
    def load(cls, path: Path | None) -> "Digits":
        """The arrays `images` and `labels` of an .npz, or scikit-learn's digits."""
        if path is None:
            images, names = embedded_digits()
            return cls(images, np.array(names, dtype=np.int64))
        with np.load(path) as arrays:
            return cls(arrays["images"], arrays["labels"].astype(np.int64))

    def enlarged(self, side: int) -> "Digits":
        """The same digits, each resampled to side x side pixels by Pillow's Lanczos filter."""
        pictures = [Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS) for image in self.images]
        return Digits(np.stack([np.asarray(picture) for picture in pictures]), self.labels)

    def stacked(self, count: int, seed: int) -> Images:
        """Pictures (count, H, W, 3), each of three digits drawn by chance."""
        chosen = np.random.default_rng(seed).integers(len(self.images), size=(count, 3))
        return np.moveaxis(self.images[chosen], 1, 3)


@dataclass(frozen=True)
class Coverage:
    """How many of the thousand modes were found, and KL(found || uniform) in nats."""

    modes: int
    divergence: float


class Reader:
    """A support vector machine that reads single digits; `accuracy` is that on the third that it did not learn from."""

    def __init__(self, digits: Digits) -> None:
        order = np.random.default_rng(0).permutation(len(digits.images))
        held = order[: round(HELD_OUT * len(order))]
        learned = order[len(held) :][:READ]
        self.machine = SVC(C=10.0).fit(flat(digits.images[learned]), digits.labels[learned])
        self.accuracy = float(self.machine.score(flat(digits.images[held]), digits.labels[held]))

    def coverage(self, images: Images) -> Coverage:
        """Of stacked pictures (N, H, W, 3)."""
        hundreds, tens, ones = (self.machine.predict(flat(images[..., channel])) for channel in range(3))
        return coverage(100 * hundreds + 10 * tens + ones)


def flat(images: Images) -> NDArray[np.float64]:
    """(N, H, W) -> (N, H * W) from 0 to 1."""
    scaled: NDArray[np.float64] = images.reshape(len(images), -1) / 255
    return scaled


def coverage(modes: NDArray[np.int64]) -> Coverage:
    """Of samples in the modes (N,), integers 0 to 999.

    N samples of the uniform distribution itself have a divergence of about (1000 - 1) / 2N.
    """
    counts = np.bincount(modes, minlength=MODES)
    shares = counts[counts > 0] / len(modes)
    return Coverage(len(shares), float((shares * np.log(shares * MODES)).sum()))


def pictures_of(model: Model, count: int) -> Images:
    """Pictures (count, H, W, 3) of a generator."""
    chunks = [model.sample(min(CHUNK, count - start), start=start) for start in range(0, count, CHUNK)]
    return np.concatenate([chunk.permute(0, 2, 3, 1).numpy() for chunk in chunks])
