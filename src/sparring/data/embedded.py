"""Sets that come with the library and its dependencies: no download, good for trying and testing."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays import array_source
from sparring.data.sources import Source


@dataclass(frozen=True)
class Embedded:
    """An embedded set: what it is, and what gives its pictures, uint8 (N, H, W) or (N, H, W, C), and class names."""

    about: str
    load: Callable[[], tuple[NDArray[np.uint8], list[str]]]


def digits() -> tuple[NDArray[np.uint8], list[str]]:
    """Handwritten digits: uint8 (1797, 8, 8), and the class of each, "0" to "9".

    Source: E. Alpaydin & C. Kaynak 1998, UCI machine learning repository (its test set), as scikit-learn carries it,
    with 17 levels of grey, 0 to 16.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    return np.rint(found.images * (255 / 16)).astype(np.uint8), [str(label) for label in found.target]


def photographs() -> tuple[NDArray[np.uint8], list[str]]:
    """Two photographs cut into tiles: uint8 (16, 213, 160, 3), and the photograph of each, "china" or "flower".

    Source: scikit-learn's sample images, by the photographers that it names, under Creative Commons (CC BY).
    """
    from sklearn.datasets import load_sample_image

    tiles, labels = [], []
    for name in ("china", "flower"):
        picture = load_sample_image(f"{name}.jpg")[:426]
        tiles += [picture[top : top + 213, left : left + 160] for top in (0, 213) for left in (0, 160, 320, 480)]
        labels += [name] * 8
    return np.stack(tiles), labels


EMBEDDED = {
    "digits": Embedded("1,797 handwritten digits, 8x8, grey, ten classes; from scikit-learn", digits),
    "photographs": Embedded("16 parts of two photographs, 213x160, in colour; from scikit-learn", photographs),
}
"""Every embedded set by its name."""


def embedded(name: str) -> Source:
    """The embedded set of that name. It is not kept in the cache, for it is decoded already."""
    images, labels = EMBEDDED[name].load()
    digest = hashlib.blake2b(images.tobytes() + "\0".join(labels).encode(), digest_size=20).hexdigest()
    return array_source(name, images, labels, digest, cached=False)
