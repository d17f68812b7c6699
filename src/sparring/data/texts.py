"""Corpora of texts: what is in them, and from a place with texts to `Sequences`."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sparring.data import cache
from sparring.data.sequences import Sequences
from sparring.data.sources import Progress, Skipped
from sparring.data.text_files import Texts, is_text, read_texts
from sparring.data.vocabularies import (
    AT_ONCE,
    END,
    UNKNOWN,
    BytePairs,
    Characters,
    Vocabulary,
    character_counts,
    code_points,
    learn,
    vocabulary_of,
)
from sparring.errors import DataError, SettingError
from sparring.wording import share

__all__ = ["TextCheck", "TextSurvey", "Texts", "check_texts", "is_text", "load_texts", "read_texts", "survey_texts"]

VERSION = 1
"""Of the way texts are put into numbers; another one makes what is in the cache useless."""

LEAST = 16
"""Texts below which there is nothing to learn from."""

SHOWN = 20
"""Characters that a check lists."""

CJK = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
"""Kana, Han and Hangul, first and last code points."""


@dataclass(frozen=True)
class TextSurvey:
    """What a corpus holds."""

    name: str
    texts: int
    """How many there are."""
    characters: int
    """Of all texts together."""
    distinct: int
    """Different characters."""
    longest: int
    """Characters of the longest text."""
    median: int
    """Characters of a text."""
    cjk: float
    """Share of the characters, blanks aside, that are Chinese, Japanese or Korean: each says about as much as a word's
    piece elsewhere."""
    documents: bool = False
    """Whether each text is a whole file; long ones are cut at line borders then."""
    skipped: Sequence[Skipped] = ()
    progress: Progress | None = field(default=None, repr=False, compare=False)
    """Told of what `trained_on` does."""

    def trained_on(self, tokens: Literal["characters", "bpe"], vocabulary_size: int, longest: int) -> int:
        """How many texts there are to train on: of documents as many as the pieces that `load_texts` cuts them into,
        which it keeps in the cache folder.

        Raises: as `load_texts`.
        """
        if not self.documents:
            return self.texts
        place = Path(self.name)  # a string might be the name of an embedded corpus
        found = load_texts(
            place, tokens=tokens, vocabulary_size=vocabulary_size, longest=longest, progress=self.progress
        )
        return len(found)


class TextCheck(TypedDict):
    """The result of `check_texts`, ready for JSON."""

    name: str
    used: int
    skipped: list[dict[str, str]]
    """Each with `path` (a line or a file) and `reason`."""
    documents: bool
    duplicates: int
    """Texts that are the same as an earlier one; they are used."""
    characters: int
    distinct: int
    """Different characters."""
    lengths: dict[str, int]
    """In characters: shortest, median, 99 %, longest."""
    frequent: dict[str, int]
    """The most frequent characters, and how often they occur."""


def survey_texts(place: str | PathLike[str], progress: Progress | None = None) -> TextSurvey:
    """A look at a corpus; what is read, `read_texts` says.

    Raises: DataError if there is nothing usable, or too little to learn from.
    """
    found = read_texts(place, progress)
    if not found.documents:  # documents may be cut into many
        _refuse_few(found, len(found.texts))
    counts, lengths = character_counts(found.texts), np.array([len(text) for text in found.texts])
    blank = sum(int(counts[code]) for code in code_points(" \t\n\r\u00a0\u3000"))
    return TextSurvey(
        name=found.name,
        texts=len(found.texts),
        characters=int(counts.sum()),
        distinct=int(np.count_nonzero(counts)),
        longest=int(lengths.max()),
        median=int(np.median(lengths)),
        cjk=sum(int(counts[first : last + 1].sum()) for first, last in CJK) / (int(counts.sum()) - blank),
        documents=found.documents,
        skipped=found.skipped,
        progress=progress,
    )


def check_texts(place: str | PathLike[str], progress: Progress | None = None) -> TextCheck:
    """Reads a corpus and tells what can be used, what not, and why; what is read, `read_texts` says.

    Raises: DataError if there is nothing usable.
    """
    found = read_texts(place, progress)
    counts, lengths = character_counts(found.texts), np.array([len(text) for text in found.texts])
    shortest, median, most, longest = np.percentile(lengths, (0, 50, 99, 100), method="inverted_cdf").tolist()
    frequent = np.argsort(-counts, kind="stable")[: min(SHOWN, np.count_nonzero(counts))].tolist()
    return TextCheck(
        name=found.name,
        used=len(found.texts),
        skipped=[{"path": each.path, "reason": each.reason} for each in found.skipped],
        documents=found.documents,
        duplicates=found.duplicates,
        characters=int(counts.sum()),
        distinct=int(np.count_nonzero(counts)),
        lengths={"shortest": shortest, "median": median, "99 %": most, "longest": longest},
        frequent={chr(code): int(counts[code]) for code in frequent},
    )


def load_texts(
    place: str | PathLike[str],
    *,
    tokens: Literal["characters", "bpe"],
    vocabulary_size: int,
    longest: int,
    progress: Progress | None = None,
) -> Sequences:
    """All usable texts of a corpus, as numbers of symbols.

    place: what `read_texts` takes.
    tokens: what a text is cut into: its characters, or frequent pieces ("bpe"), which are learnt from the corpus.
    vocabulary_size: different symbols at most, the three special ones included.
    longest: symbols of a text at most, its END not counted. Longer texts are left out; longer documents are cut at
        line borders.
    progress: told of "reading" and "tokenising".

    The numbers are kept in the cache folder (see `cache.folder`) under the fingerprint of the texts and these settings.

    Raises: DataError if nothing is usable, or too little to learn from. SettingError on a bad setting, or where the
    library that bpe needs is missing.
    """
    if tokens not in ("characters", "bpe"):
        raise SettingError(f"tokens {tokens!r}: it is characters or bpe")
    if longest < 1:
        raise SettingError(f"length {longest}: a text has at least 1 symbol")
    found = read_texts(place, progress)
    about = f"{found.digest} {tokens} {vocabulary_size} {longest} {VERSION}"
    known = hashlib.blake2b(about.encode(), digest_size=16).hexdigest()
    notices = []
    if found.advice:
        notices.append(f"{len(found.skipped):,} skipped: {found.advice}")
    coded = find(known)
    if coded is None:
        coded = encode(found, learn(found.texts, tokens, vocabulary_size), longest, progress)
        try:
            keep(known, coded)
        except OSError as error:
            notices.append(
                f"the texts as numbers cannot be kept in {cache.folder()}: {error.strerror or error}; the next start "
                "makes them again, unless the variable SPARRING_CACHE names another folder"
            )
    return Sequences(
        tokens=torch.from_numpy(coded.tokens),
        vocabulary=coded.vocabulary,
        name=found.name,
        fingerprint=known,
        texts=tuple(found.texts[number][start:stop] for number, start, stop in coded.spans.tolist()),
        skipped=found.skipped,
        notices=(*coded.notices, *notices),
    )


@dataclass(frozen=True)
class Coded:
    """Texts as numbers."""

    tokens: NDArray[np.int16] | NDArray[np.int32]
    """(N, L), each row a text or a piece of a document, then END."""
    spans: NDArray[np.int64]
    """(N, 3): the number of the text that a row comes from, and from which character to which."""
    vocabulary: Vocabulary
    notices: tuple[str, ...]


def encode(found: Texts, vocabulary: Characters | BytePairs, longest: int, progress: Progress | None = None) -> Coded:
    """The texts as numbers, without those that have more than `longest`; documents are cut instead.

    Raises: DataError if fewer than `LEAST` are left.
    """
    notices = []
    if found.duplicates:
        notices.append(
            f"{found.duplicates:,} of {len(found.texts):,} texts are the same as an earlier one; they are kept, "
            "and count that much more"
        )
    spans = np.array([(number, 0, len(text)) for number, text in enumerate(found.texts)], np.int64)
    flat, lengths = _encode_all(vocabulary, found.texts, progress)
    if (longer := int((lengths > longest).sum())) and found.documents:
        spans, lost = _cut(found.texts, lengths, vocabulary, longest)
        pieces = len(spans) - (len(found.texts) - longer)
        notices.append(
            f"{longer:,} of {len(found.texts):,} documents have more than {longest:,} symbols and are cut at line ends "
            f"into {pieces:,} pieces" + f"; lines left out that have more by themselves: {lost:,}" * bool(lost)
        )
        flat, lengths = _encode_all(vocabulary, [found.texts[n][start:stop] for n, start, stop in spans.tolist()], None)
    elif longer:
        notices.append(
            f"{longer:,} of {len(found.texts):,} texts have more than {longest:,} symbols and are left out; "
            f"--set length={lengths.max()} takes all"
        )
    if found.documents and len(found.texts) == 1:
        notices.append("it is one document whose lines belong together; for one text a line, give the .txt file itself")
    used = lengths <= longest
    _refuse_few(found, int(used.sum()), longest)
    flat, lengths, spans = flat[np.repeat(used, lengths)], lengths[used], spans[used]
    if unknown := int((flat == UNKNOWN).sum()):
        notices.append(
            f"{share(unknown / len(flat))} of all characters are too rare for vocabulary_size {vocabulary.size}: they "
            "are unknown, and will not be generated"
        )
    longest = int(lengths.max())
    kind = np.int16 if vocabulary.size <= np.iinfo(np.int16).max else np.int32
    tokens = np.full((len(lengths), longest + 1), END, kind)
    tokens[np.arange(longest + 1) < lengths[:, None]] = flat
    return Coded(tokens, spans, vocabulary, tuple(notices))


def _encode_all(
    vocabulary: Characters | BytePairs, texts: Sequence[str], progress: Progress | None
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """As `encode_all` of the vocabulary does, in parts."""
    parts = []
    for start in range(0, len(texts) or 1, AT_ONCE):
        parts.append(vocabulary.encode_all(texts[start : start + AT_ONCE]))
        if progress is not None:
            progress("tokenising", min(start + AT_ONCE, len(texts)), len(texts))
    return np.concatenate([flat for flat, _ in parts]), np.concatenate([lengths for _, lengths in parts])


def _cut(
    texts: Sequence[str], lengths: NDArray[np.int64], vocabulary: Characters | BytePairs, longest: int
) -> tuple[NDArray[np.int64], int]:
    """The spans (N, 3) of the short texts and of the pieces of the others, and how many lines did not fit."""
    spans, lost = [], 0
    for number, text in enumerate(texts):
        if lengths[number] <= longest:
            spans.append((number, 0, len(text)))
            continue
        pieces, too_long = cut(text, vocabulary, longest)
        spans += [(number, start, stop) for start, stop in pieces if not text[start:stop].isspace()]
        lost += too_long
    return np.array(spans, np.int64).reshape(-1, 3), lost


def cut(text: str, vocabulary: Characters | BytePairs, longest: int) -> tuple[list[tuple[int, int]], int]:
    """Consecutive pieces of whole lines, as full as can be with `longest` symbols, from which character to which.

    And how many lines have more than that by themselves; they are in no piece.
    """
    rows = text.splitlines(keepends=True)
    _, symbols = vocabulary.encode_all(rows)
    budget = longest
    while True:
        pieces: list[tuple[int, int]] = []
        place = start = filled = lost = 0
        for row, count in zip(rows, symbols.tolist(), strict=True):
            if filled + count > budget and place > start:
                pieces.append((start, place))
                start, filled = place, 0
            place += len(row)
            if count > budget:
                start, lost = place, lost + 1
            else:
                filled += count
        if place > start:
            pieces.append((start, place))
        # Blanks on both sides of a line end are cut into pairs together, and may need more symbols than apart.
        _, together = vocabulary.encode_all([text[start:stop] for start, stop in pieces])
        over = int(together.max(initial=0)) - longest
        if over <= 0:
            return pieces, lost
        budget -= over


def find(fingerprint: str) -> Coded | None:
    """What was kept; None if it is absent or damaged."""
    try:
        with safe_open(cache.folder() / f"{fingerprint}.safetensors", framework="numpy") as stream:
            about = json.loads(stream.metadata()["about"])
            tokens, spans = stream.get_tensor("tokens"), stream.get_tensor("spans")
        if _hash(tokens, spans) != about["hash"]:
            return None
        return Coded(tokens, spans, vocabulary_of(about["vocabulary"]), tuple(about["notices"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, SettingError):
        return None


def keep(fingerprint: str, coded: Coded) -> None:
    """Writes what `find` finds, aside and then renamed. Raises: OSError if the folder cannot be written."""
    about = {
        "vocabulary": coded.vocabulary.describe(),
        "notices": coded.notices,
        "hash": _hash(coded.tokens, coded.spans),
    }
    content = save({"tokens": coded.tokens, "spans": coded.spans}, {"about": json.dumps(about)})
    cache.folder().mkdir(parents=True, exist_ok=True)
    with cache.aside(cache.folder() / f"{fingerprint}.safetensors") as stream:
        stream.write(content)


def _hash(tokens: NDArray[np.int16] | NDArray[np.int32], spans: NDArray[np.int64]) -> str:
    whole = hashlib.blake2b(np.ascontiguousarray(tokens).data, digest_size=20)
    whole.update(np.ascontiguousarray(spans).data)
    return whole.hexdigest()


def _refuse_few(found: Texts, count: int, longest: int | None = None) -> None:
    """Raises: DataError if fewer than `LEAST` texts can be used."""
    if count >= LEAST:
        return
    too_long = count < len(found.texts) and not found.documents
    within = f" with at most {longest:,} symbols (--set length= allows more)" if longest and too_long else ""
    sentence = f"{found.name}: {count} text{'s' * (count != 1)}{within}, and at least {LEAST} are needed to learn from"
    if found.skipped:
        first = found.skipped[0]
        sentence += f"; {len(found.skipped):,} are skipped, {first.path}: {first.reason}"
    raise DataError(f"{sentence}; {found.advice}" if found.advice else sentence)
