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


EMBEDDED = {"digits": Embedded("1,797 handwritten digits, 8x8, grey, ten classes; from scikit-learn", digits)}
"""Every embedded set by its name."""


def embedded(name: str) -> Source:
    """The embedded set of that name. It is not kept in the cache, for it is decoded already."""
    images, labels = EMBEDDED[name].load()
    digest = hashlib.blake2b(images.tobytes() + "\0".join(labels).encode(), digest_size=20).hexdigest()
    return array_source(name, images, labels, digest, cached=False)
