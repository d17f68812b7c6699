"""What texts are counted in: characters, words, or tokens of Python; and texts as whole numbers."""

import io
import re
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparring.metrics.wellformed import is_code

Ints = NDArray[np.int64]

Unit = Literal["characters", "words", "code"]
"""characters: as they are. words: see `words`. code: tokens of Python; of texts that are none, words."""

LOOKED_AT = 1000
"""Texts that the unit is told from, evenly spread."""

FEW_WORDS = 2
"""Words between spaces that texts have on average, at least, to be counted in words: names and formulas have one."""

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao; Burmese; Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # kana, Chinese characters
)
"""Letters of languages that are written without spaces between words."""

WORD = re.compile(r"\n|\w+(?:['\u2019]\w+)*|[^\w\s]")

INDENT, DEDENT = "\t", "\b"
"""What stands for deeper and shallower lines of code: characters that no token of Python is."""


@dataclass(frozen=True)
class Corpus:
    """Texts as numbers: the symbols of all tokens, one text after another, and where each begins, (N + 1,)."""

    symbols: Ints
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Ints:
        """Tokens of each text, (N,)."""
        return np.diff(self.starts)

    @property
    def owners(self) -> Ints:
        """The number of the text that each token belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def without(self, left_out: NDArray[np.bool_]) -> "Corpus":
        """The texts but those marked, (N,)."""
        lengths = self.lengths[~left_out]
        return Corpus(self.symbols[~left_out[self.owners]], np.concatenate([[0], lengths.cumsum()]))


def coded(texts: Iterable[Sequence[str]], numbers: dict[str, int]) -> Corpus:
    """Texts of tokens as numbers. numbers: the symbol of each token; new tokens are added."""
    kept = list(texts)
    starts = np.concatenate([[0], np.cumsum([len(text) for text in kept], dtype=np.int64)]).astype(np.int64)
    tokens = chain.from_iterable(kept)
    return Corpus(np.fromiter((numbers.setdefault(token, len(numbers)) for token in tokens), np.int64), starts)


def unit_of(texts: Sequence[str]) -> Unit:
    """What texts are counted in, by up to 1,000 of them.

    Code if `wellformed.is_code`; characters if half of the letters are of languages without spaces, or texts have fewer
    than two words on average; words otherwise.
    """
    some = texts[:: max(1, len(texts) // LOOKED_AT)][:LOOKED_AT]
    if is_code(some):
        return "code"
    letters = sum(character.isalpha() for text in some for character in text)
    unspaced = sum(len(UNSPACED.findall(text)) for text in some)
    spoken = sum(len(text.split()) for text in some)
    return "characters" if 2 * unspaced > letters or spoken < FEW_WORDS * len(some) else "words"


def split(text: str, unit: Unit) -> Sequence[str]:
    """The tokens of a text. Characters are a text as it is."""
    match unit:
        case "characters":
            return text
        case "words":
            return words(text)
        case "code":
            return code(text)


def words(text: str) -> list[str]:
    """Runs of letters and digits with the apostrophes inside them, marks one by one, ends of lines; no other space.

    >>> words("it isn't one, is it?")
    ['it', "isn't", 'one', ',', 'is', 'it', '?']
    """
    return WORD.findall(text)


def code(text: str) -> list[str]:
    """Tokens as Python sees them, with marks for ends of lines and indentation; `words` where it sees none."""
    found: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            match token.type:
                case tokenize.NL | tokenize.ENDMARKER:
                    pass
                case tokenize.NEWLINE:
                    found.append("\n")
                case tokenize.INDENT:
                    found.append(INDENT)
                case tokenize.DEDENT:
                    found.append(DEDENT)
                case _:
                    found.append(token.string)
    except (tokenize.TokenError, SyntaxError, ValueError):
        return words(text)
    return found
