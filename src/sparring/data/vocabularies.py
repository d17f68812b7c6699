"""What the numbers of a sequence stand for: characters, or frequent pieces of text, learnt from a corpus."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sparring.errors import SettingError

END, START, UNKNOWN = 0, 1, 2
SPECIAL = 3
"""Numbers that stand for no symbol of a text."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What an unknown symbol is written as."""

CODE_POINTS = 0x110000
AT_ONCE = 100_000
"""Texts that are worked on at once."""

LEARNT_FROM = 30_000_000
"""Characters, evenly out of the whole corpus, that are enough to find the frequent pieces in."""


class Vocabulary(Protocol):
    """The symbols that texts are made of, by number."""

    @property
    def size(self) -> int:
        """How many numbers there are, END, START and UNKNOWN included."""

    def encode(self, text: str) -> list[int]:
        """The numbers of a text, without START and END; UNKNOWN for what has none."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text up to the first END; START is left out."""

    def describe(self) -> dict[str, Any]:
        """JSON values, out of which `vocabulary_of` makes the same vocabulary."""

    def unknown(self, text: str) -> list[str]:
        """The symbols of a text that have no number, in their order, each once."""


@dataclass(frozen=True)
class Characters:
    """Every character (Unicode code point) is a symbol."""

    symbols: str
    """The characters, the most frequent first; their numbers begin at 3."""

    @property
    def size(self) -> int:
        """How many numbers there are, END, START and UNKNOWN included."""
        return SPECIAL + len(self.symbols)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols, SPECIAL)}

    @cached_property
    def _table(self) -> NDArray[np.int32]:
        """The number of each code point."""
        table = np.full(CODE_POINTS, UNKNOWN, np.int32)
        table[code_points(self.symbols)] = np.arange(SPECIAL, self.size)
        return table

    def encode(self, text: str) -> list[int]:
        """The numbers of a text, without START and END; UNKNOWN for what has none."""
        return [self._numbers.get(symbol, UNKNOWN) for symbol in text]

    def encode_all(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The numbers of all texts, one after the other, and how many each text has (N,)."""
        return self._table[code_points("".join(texts))], np.array([len(text) for text in texts], np.int64)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text up to the first END; START is left out."""
        return "".join(
            REPLACEMENT if token == UNKNOWN else self.symbols[token - SPECIAL]
            for token in up_to_end(tokens)
            if token != START
        )

    def describe(self) -> dict[str, Any]:
        """JSON values, out of which `vocabulary_of` makes the same vocabulary."""
        return {"kind": "characters", "symbols": self.symbols}

    def unknown(self, text: str) -> list[str]:
        """The symbols of a text that have no number, in their order, each once."""
        return [symbol for symbol in dict.fromkeys(text) if symbol not in self._numbers]


@dataclass(frozen=True)
class BytePairs:
    """Frequent pieces of text are symbols, found by joining the most frequent pair of neighbours again and again.

    It begins with the 256 bytes, so every text can be written, and comes back as it was, blanks and line ends included.
    Source: Sennrich et al. 2016; with bytes as in Radford et al. 2019 (GPT-2). The library `tokenizers` does the work.
    """

    merges: tuple[str, ...]
    """What is joined, in this order: two pieces with a blank between them, in the printable letters that GPT-2 writes
    bytes in (where a blank is U+0120)."""

    @cached_property
    def _pieces(self) -> list[str]:
        joined = (merge.replace(" ", "") for merge in self.merges)
        return list(dict.fromkeys([*byte_letters(), *joined]))  # two ways may lead to the same piece

    @property
    def size(self) -> int:
        """How many numbers there are, END, START and UNKNOWN included."""
        return SPECIAL + len(self._pieces)

    @cached_property
    def _tokenizer(self) -> Any:
        library()
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        numbers = {piece: number for number, piece in enumerate(self._pieces)}
        pairs = [(first, second) for first, second in (merge.split(" ") for merge in self.merges)]
        # Its own special symbols would be found in texts that happen to have their names, so ours are left to us.
        tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=pairs))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    def encode(self, text: str) -> list[int]:
        """The numbers of a text, without START and END; none is UNKNOWN."""
        return [SPECIAL + number for number in self._tokenizer.encode(text).ids]

    def encode_all(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The numbers of all texts, one after the other, and how many each text has (N,); on all cores."""
        found = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        lengths = np.array([len(numbers) for numbers in found], np.int64)
        flat = np.fromiter((number for numbers in found for number in numbers), np.int32, int(lengths.sum()))
        return flat + SPECIAL, lengths

    def decode(self, tokens: Sequence[int]) -> str:
        """The text up to the first END; START is left out, and bytes that are no UTF-8 become U+FFFD."""
        pieces = [token - SPECIAL for token in up_to_end(tokens) if token >= SPECIAL]
        return str(self._tokenizer.decode(pieces, skip_special_tokens=False))

    def describe(self) -> dict[str, Any]:
        """JSON values, out of which `vocabulary_of` makes the same vocabulary."""
        return {"kind": "bpe", "merges": list(self.merges)}

    def unknown(self, text: str) -> list[str]:
        """Halves of surrogate pairs alone: what the terminal gives for bytes that are no UTF-8."""
        return [symbol for symbol in dict.fromkeys(text) if "\ud800" <= symbol <= "\udfff"]


def vocabulary_of(description: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that `describe` told of.

    Raises: SettingError for one of a kind that is not known here, or of molecules where RDKit is not installed.
    """
    match description.get("kind"):
        case "characters":
            return Characters(description["symbols"])
        case "bpe":
            return BytePairs(tuple(description["merges"]))
        case "selfies":
            from sparring.data.selfies_symbols import SelfiesSymbols  # which builds on this file

            return SelfiesSymbols.from_description(description)
        case kind:
            raise SettingError(
                f"a vocabulary of kind {kind!r}: it is characters, bpe or selfies; a later sparring may know it"
            )


def learn(texts: Sequence[str], kind: Literal["characters", "bpe"], size: int) -> Characters | BytePairs:
    """The vocabulary of a corpus with at most `size` symbols, END, START and UNKNOWN included.

    The same texts in the same order give the same vocabulary.

    Raises: SettingError if the size is too small, or the library that bpe needs is missing.
    """
    if kind == "characters":
        if size <= SPECIAL:
            raise SettingError(f"vocabulary_size {size}: characters need at least {SPECIAL + 1}")
        counts = character_counts(texts)
        frequent = np.argsort(-counts, kind="stable")[: min(size - SPECIAL, np.count_nonzero(counts))]
        return Characters("".join(map(chr, frequent.tolist())))
    library()
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    least = SPECIAL + len(byte_letters())
    if size < least:
        raise SettingError(f"vocabulary_size {size}: bpe needs at least {least}, and some thousand to be of use")
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size - SPECIAL, min_frequency=2, show_progress=False, initial_alphabet=byte_letters()
    )
    stride = 1 + sum(map(len, texts)) // LEARNT_FROM
    tokenizer.train_from_iterator(islice(texts, 0, None, stride), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return BytePairs(tuple(f"{first} {second}" for first, second in merges))


def code_points(text: str) -> NDArray[np.uint32]:
    """The number that Unicode gives each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def character_counts(texts: Sequence[str]) -> NDArray[np.int64]:
    """How often each character occurs, by its code point (1114112,)."""
    counts = np.zeros(CODE_POINTS, np.int64)
    for start in range(0, len(texts), AT_ONCE):
        counts += np.bincount(code_points("".join(texts[start : start + AT_ONCE])), minlength=CODE_POINTS)
    return counts


def up_to_end(tokens: Iterable[int]) -> list[int]:
    """The tokens before the first END."""
    found = []
    for token in tokens:
        if token == END:
            break
        found.append(int(token))
    return found


def byte_letters() -> list[str]:
    """The 256 printable letters that GPT-2 writes bytes in, in a fixed order."""
    library()
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


def library() -> None:
    """Raises: SettingError if the library `tokenizers` is missing."""
    try:
        import tokenizers  # noqa: F401
    except ImportError as error:
        raise SettingError(
            "tokens=bpe needs the library tokenizers: pip install 'sparring[text]', or choose --set tokens=characters"
        ) from error
