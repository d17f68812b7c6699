"""What every place that pictures, or clips, lie in has in common: a `Place`, which of pictures is a `Source`."""

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from PIL import Image

from sparring.errors import DataError

Progress = Callable[[str, int, int], None]
"""Told of a stage ("reading", "decoding"), how many of its items are done, and how many there are."""

T = TypeVar("T")

Opener = Callable[[], AbstractContextManager[T]]
"""Opens one thing, of which only the beginning is read yet; may be called in any thread. Raises UnusableError."""

Open = Opener[Image.Image]
"""Opens one picture."""

Openings = Callable[[], AbstractContextManager[Iterable[Opener[T]]]]
"""Gives the things of a place one after the other, in their order. They can be opened until the context ends."""

SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"])
"""A file that ends so claims to be a picture: it is used, or listed with the reason why not."""


@dataclass(frozen=True)
class Skipped:
    """Something that looked like a picture, or a clip, and is not used."""

    path: str
    reason: str


@dataclass(frozen=True)
class Thing:
    """What is looked for in a place."""

    noun: str
    are: str
    """Which files are such things, for people."""


PICTURE = Thing("picture", "pictures are PNG, JPEG, WebP, BMP, GIF and TIFF files")


@dataclass(frozen=True)
class Place(Generic[T]):
    """What was found in one place, before any of it is decoded."""

    name: str
    items: Sequence[str]
    """Names of the things: paths with "/" inside a folder or archive, numbers inside an array."""
    openings: Openings[T]
    digest: Callable[[Progress | None], str]
    """Hexadecimal hash of the content and names of the items."""
    skipped: Sequence[Skipped] = ()
    others: int = 0
    """How many files have nothing to do with the matter."""
    labels: Sequence[str] | Callable[[], Sequence[str | None]] | None = None
    """The class of each item, where the source itself says, or what reads them; otherwise classes are folders, see
    `classes_by_folder`."""
    cached: bool = True
    """Whether keeping what was decoded for the next time is worth it."""
    thing: Thing = PICTURE

    def classes(self, used: Sequence[int]) -> list[str | None]:
        """The class of each of the items `used`, None for an item that has none."""
        if self.labels is not None:
            labels = self.labels() if callable(self.labels) else self.labels
            return [labels[index] for index in used]
        return classes_by_folder([self.items[index] for index in used])

    def refuse(self, skipped: Sequence[Skipped]) -> DataError:
        """The error that says what was found when nothing can be used; `skipped` tells of all that was skipped."""
        files = len(skipped) + self.others
        found = f"{files} file{'s' * (files != 1)}" if files else "nothing in it"
        if skipped:
            found += f", {len(skipped)} skipped: " + "; ".join(f"{each.path}: {each.reason}" for each in skipped[:3])
            found += "; ..." * (len(skipped) > 3)
        return DataError(f"{self.name}: no {self.thing.noun} that can be used ({found}); {self.thing.are}")


Source = Place[Image.Image]
"""A place of pictures."""


@dataclass(frozen=True)
class Files:
    """The files of one place whose names end as wanted, before any is opened."""

    name: str
    names: Sequence[str]
    """Paths with "/" inside the place, in the order in which they are best read."""
    groups: Callable[[Sequence[Sequence[int]]], AbstractContextManager[Iterable[Sequence[Opener[BinaryIO]]]]]
    """Given numbers of files that belong together, group by group, what opens them, in the order that was given."""
    digest: Callable[[Progress | None], str]
    """Hexadecimal hash of their content and names."""
    skipped: Sequence[Skipped]
    others: int
    """How many files are of no wanted kind."""


def classes_by_folder(names: Sequence[str]) -> list[str | None]:
    """The class of each name: the first folder below the folders that all names share; None where there is none.

    `set/cat/1.png`, `set/dog/big/2.png` -> cat, dog.
    """
    folders = [name.split("/")[:-1] for name in names]
    if not folders:
        return []
    first, last = min(folders), max(folders)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return [parts[shared] if len(parts) > shared else None for parts in folders]


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `s2` before `s10`."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]


def hidden(part: str) -> bool:
    """Whether a file or folder of this name is the system's own business (.DS_Store, ._picture.jpg, __MACOSX)."""
    return part.startswith(".") or part == "__MACOSX"


def printable(name: str) -> str:
    """The name without what a terminal or UTF-8 would choke on."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)


def file_digest(path: Path) -> bytes:
    """Hash of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=20)).digest()


def missing(path: Path) -> str:
    """What is said of a path where nothing is, and what may have been meant: a neighbour, or an embedded set.

    Those of all kinds are named, as a place where nothing is has no kind.
    """
    # Each of these modules opens places itself, and so needs this one.
    from sparring.data.clip_places import EMBEDDED_CLIPS
    from sparring.data.corpora import CORPORA
    from sparring.data.embedded import EMBEDDED
    from sparring.data.molecule_files import EMBEDDED_MOLECULES

    kinds: dict[str, Iterable[str]]
    kinds = {"pictures": EMBEDDED, "texts": CORPORA, "molecules": EMBEDDED_MOLECULES, "clips": EMBEDDED_CLIPS}
    names = [name for sets in kinds.values() for name in sets]
    there = "; ".join(f"{kind}: {', '.join(sets)}" for kind, sets in kinds.items())
    siblings: list[str] = []
    with suppress(OSError):  # a folder that may not be looked into has neighbours that nobody knows
        siblings += [entry.name for entry in path.parent.iterdir()]
    sentence = f"{printable(str(path))}: no such file or folder, and not an embedded set ({there})"
    close = difflib.get_close_matches(path.name, [*names, *siblings], n=1)
    if not close:
        return sentence
    nearest = close[0] if close[0] in names else path.parent / close[0]
    return f"{sentence}; did you mean {nearest}?"
