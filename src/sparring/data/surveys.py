"""What is in a set of pictures: at a glance from the headers, or checked by decoding every picture."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal, TypedDict

from PIL import Image

from sparring.data.decode import UnusableError, eight_bit, photographic, see_through, size_as_shown
from sparring.data.opening import open_source
from sparring.data.parallel import each
from sparring.data.shards import find
from sparring.data.sources import Progress, Skipped, Source, natural

LOOKED_AT = 64
"""How many pictures at most, spread evenly over the set, a survey decodes to see what they are like."""

GLANCED = 1024
"""How many pictures of shards, which may be too many to go through, a survey looks at at most."""

Header = tuple[int, int, str, bool | None, bool | None]
"""What `Entry` holds of a picture besides its name and label."""


@dataclass(frozen=True)
class Entry:
    """One picture as far as its header tells."""

    name: str
    label: str | None
    """The name of its class."""
    width: int
    height: int
    mode: str
    """Pillow's mode: 1, L, LA, P, RGB, RGBA, CMYK, I;16, ..."""
    transparent: bool | None
    """Whether some of its pixels are; None if it was not looked at."""
    photographic: bool | None
    """Whether its pixels are those of a photograph in colour; None if it was not looked at."""


@dataclass(frozen=True)
class Survey:
    """What a set holds as far as headers tell; a picture that turns out damaged further on is still among the items."""

    name: str
    items: Sequence[Entry]
    skipped: Sequence[Skipped]
    others: int
    """How many files have nothing to do with pictures."""
    in_shards: int | None = None
    """How many pictures there are in shards, of which the items are a sample; None if there are no others."""

    @property
    def pictures(self) -> int:
        """How many there are."""
        return len(self.items) if self.in_shards is None else self.in_shards

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their labels; empty if the set has none."""
        return class_names([entry.label for entry in self.items])

    @property
    def sizes(self) -> Mapping[tuple[int, int], int]:
        """How many pictures there are of each (height, width), the most common first."""
        return dict(Counter((entry.height, entry.width) for entry in self.items).most_common())

    def common_size(self) -> tuple[int, int]:
        """Height and width of at least half of the pictures, or else the median of each."""
        (size, count), *_ = self.sizes.items()
        if 2 * count >= len(self.items):
            return size
        return int(median(entry.height for entry in self.items)), int(median(entry.width for entry in self.items))

    def channels(self) -> Literal[1, 3, 4]:
        """4 if most pictures are transparent somewhere, 1 if all are grey, else 3."""
        looked = [entry.transparent for entry in self.items if entry.transparent is not None]
        if 2 * sum(looked) > len(looked):
            return 4
        return 1 if all(_is_grey(entry.mode) for entry in self.items) else 3

    def photographic(self) -> bool:
        """Whether most pictures are photographs in colour."""
        looked = [entry.photographic for entry in self.items if entry.photographic is not None]
        return 2 * sum(looked) > len(looked)


class Check(TypedDict):
    """The result of `check`, ready for JSON."""

    name: str
    used: int
    skipped: list[dict[str, str]]
    """Each with `path` and `reason`."""
    others: int
    """Files that have nothing to do with pictures."""
    sizes: dict[str, int]
    """Pictures of each size, written height x width as in "64x96", the most common first."""
    modes: dict[str, int]
    classes: dict[str, int]
    """Pictures of each class, in the order of their labels."""


def survey(data: str | Path, progress: Progress | None = None) -> Survey:
    """A quick look at a set: the headers of all pictures, and the pixels of a few.

    Raises: DataError if there is nothing usable.
    """
    shards = find(data, progress)
    if shards is None:
        return survey_source(open_source(data), progress)
    return replace(survey_source(shards.source(GLANCED), progress), in_shards=shards.pictures)


def survey_source(source: Source, progress: Progress | None = None) -> Survey:
    """A `survey` of a source that is open already."""
    seen: dict[int, Header] = {}
    skipped = list(source.skipped)
    stride = max(1, math.ceil(len(source.items) / LOOKED_AT))

    def look(index: int, picture: Image.Image) -> Header:
        width, height = size_as_shown(picture)
        mode = picture.mode
        if index % stride:
            return width, height, mode, None, None
        transparent = see_through(picture)
        try:
            return width, height, mode, transparent, photographic(picture)
        except Exception:  # hostile bytes can raise anything; what is wrong with them is said when they are loaded
            return width, height, mode, transparent, None

    def keep(index: int, result: Header | UnusableError) -> None:
        if isinstance(result, UnusableError):
            skipped.append(Skipped(source.items[index], str(result)))
        else:
            seen[index] = result

    each(source, look, keep, "looking", progress)
    if not seen:
        raise source.refuse(skipped)
    labels = source.classes(list(seen))
    items = [
        Entry(source.items[index], label, *header) for (index, header), label in zip(seen.items(), labels, strict=True)
    ]
    return Survey(source.name, items, skipped, source.others)


def check(data: str | Path, progress: Progress | None = None) -> Check:
    """Decodes every picture of a set on all cores, and tells what can be used, what not, and why.

    Raises: DataError if there is nothing usable.
    """
    source = open_source(data)
    used: list[int] = []
    sizes: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    skipped = list(source.skipped)

    def decode(index: int, picture: Image.Image) -> tuple[str, str]:
        mode = picture.mode
        whole = eight_bit(picture)
        return f"{whole.height}x{whole.width}", mode

    def keep(index: int, result: tuple[str, str] | UnusableError) -> None:
        if isinstance(result, UnusableError):
            skipped.append(Skipped(source.items[index], str(result)))
        else:
            used.append(index)
            sizes[result[0]] += 1
            modes[result[1]] += 1

    each(source, decode, keep, "decoding", progress)
    if not used:
        raise source.refuse(skipped)
    labels = source.classes(used)
    counted = Counter(labels)
    return Check(
        name=source.name,
        used=len(used),
        skipped=[{"path": each.path, "reason": each.reason} for each in skipped],
        others=source.others,
        sizes=dict(sizes.most_common()),
        modes=dict(modes.most_common()),
        classes={name: counted[name] for name in class_names(labels)},
    )


def class_names(labels: Sequence[str | None]) -> tuple[str, ...]:
    """The classes among the labels in their natural order: s2 before s10."""
    return tuple(sorted({label for label in labels if label is not None}, key=natural))


def _is_grey(mode: str) -> bool:
    return mode in ("1", "L", "LA", "La", "F") or mode.startswith("I")
