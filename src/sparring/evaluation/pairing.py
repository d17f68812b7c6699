"""The same pictures in two places, found by their names and decoded at their own size, and what is left out and why."""

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from sparring.applying.changing import as_tensor
from sparring.data.decode import eight_bit, in_channels, reason
from sparring.data.opening import open_source
from sparring.data.shards import find, is_command
from sparring.data.sources import Open, Progress, Skipped, Source
from sparring.errors import MetricError
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.pairs import Pair, compare, evaluation_of, lacks, too_small
from sparring.evaluation.sides import Place
from sparring.foreign_generators import is_foreign
from sparring.model import FILE
from sparring.networks.features import FeatureNetwork

LISTED = 5
"""Pictures left out that a notice names; the protocol holds all."""

MISSING = 128
"""Brightness from which on a pixel of a mask means that the picture's was missing."""


@dataclass(frozen=True)
class Matching:
    """Positions in two lists of names that belong together, in the order of the first, and those that stay alone."""

    pairs: Sequence[tuple[int, int]]
    alone: tuple[Sequence[int], Sequence[int]]


def evaluate_pairs(
    clean: Place,
    restored: Place,
    names: Sequence[str],
    features: FeatureNetwork | None,
    masks: Place | None = None,
    *,
    shave: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Judges the pictures of one place by those of the same names in another: `measure_pairs` on files.

    clean, restored: folders, archives or arrays of pictures; masks: the same, white where pixels were missing. What has
    no partner, another size, or cannot be decoded is left out: a notice names the first of it, and
    `protocol["pairs"]["left_out"]` all. Pictures that are both grey stay grey, all others are compared as RGB,
    transparent ones on white.

    Raises: MetricError if no pair is left, or a metric cannot be computed of pairs. DataError for places that cannot be
    read.
    """
    for name in names:
        if lack := lacks(name, features, masks is not None):
            raise MetricError(f"{name}: {lack}")
    sources = [opened(place) for place in (clean, restored, *([] if masks is None else [masks]))]
    matching = match(*(source.items for source in sources[:2]))
    left_out = [Skipped(f"{source.name}/{each.path}", each.reason) for source in sources for each in source.skipped]
    for source, alone, other in zip(sources[:2], matching.alone, (sources[1], sources[0]), strict=True):
        left_out += [Skipped(f"{source.name}/{source.items[at]}", f"nothing in {other.name}") for at in alone]
    numbers: list[tuple[int, ...]] = list(matching.pairs)
    if masks is not None:
        numbers, without = with_masks(matching.pairs, sources[0].items, sources[2].items)
        left_out += [Skipped(sources[0].items[at], f"no mask in {sources[2].name}") for at in without]
    if not numbers:
        raise MetricError(f"no pictures of the same name: {' and '.join(map(example, sources))}")
    kept = decoded(sources, numbers, names, shave, left_out)
    tally = compare(kept, names, features, shave=shave, device=device, total=len(numbers), progress=progress)
    if not tally.count:
        whys = "; ".join(f"{each.path}: {each.reason}" for each in left_out[:LISTED])
        raise MetricError(f"no pair can be compared: {whys}{'; ...' * (len(left_out) > LISTED)}")
    if left_out:
        tally.notices.insert(0, said(left_out, tally.count))
    sides: list[dict[str, Any]] = [
        {"kind": "pictures", "name": source.name, "count": tally.count, "fingerprint": source.digest(progress)}
        for source in sources[:2]
    ]
    found = evaluation_of(tally, features, *sides, shave=shave, device=device)
    found.protocol["pairs"]["left_out"] = [{"path": each.path, "reason": each.reason} for each in left_out]
    return found


def opened(place: Place) -> Source:
    """The pictures in a place. Raises: MetricError if it is a generator or has no names; DataError as `open_source`."""
    path = Path(place)
    if path.is_dir() and any((path / name).is_file() for name in ("config.toml", FILE)):
        raise MetricError(f"{path} is a run; pairs are pictures: give the folder of those that it restored")
    if path.suffix.lower() == ".safetensors" or is_foreign(path):
        raise MetricError(f"{path} is a generator; pairs are pictures: give the folder of those that it restored")
    if is_command(str(place)) or find(place if isinstance(place, str) else path) is not None:
        raise MetricError(f"{place}: shards hold no names that pairs could be found by; give a folder or an archive")
    source = open_source(place if isinstance(place, str) else path)
    if not source.items:
        raise source.refuse(source.skipped)
    return source


def match(first: Sequence[str], second: Sequence[str]) -> Matching:
    """Which names mean the same picture: equal ones; else those equal but for their suffix; where there are none of
    either, the same without the folders that all names of a side share, as archives of a folder have them.

    A name that could mean several pictures means none.

    >>> match(["a.png", "b.png", "c.png"], ["c.jpg", "a.png"]).pairs
    [(0, 1), (2, 0)]
    """
    for reduced in (list, without_shared_folders):
        sides = reduced(first), reduced(second)
        partners: dict[int, int] = {}
        for key in (str, stem):
            places = unique(sides[0], key, partners.keys()), unique(sides[1], key, partners.values())
            partners |= {at: places[1][name] for name, at in places[0].items() if name in places[1]}
        if partners:
            break
    taken = set(partners.values())
    alone = [at for at in range(len(first)) if at not in partners], [at for at in range(len(second)) if at not in taken]
    return Matching(sorted(partners.items()), alone)


def unique(names: Sequence[str], key: Callable[[str], str], taken: Collection[int]) -> dict[str, int]:
    """The places of the names that are not taken, by their keys; keys of several names are left out."""
    used = set(taken)
    keys = {at: key(name) for at, name in enumerate(names) if at not in used}
    counts = Counter(keys.values())
    return {name: at for at, name in keys.items() if counts[name] == 1}


def stem(name: str) -> str:
    """The name without its suffix, folders kept."""
    return str(PurePosixPath(name).with_suffix(""))


def without_shared_folders(names: Sequence[str]) -> list[str]:
    """The names without the folders that all of them are in."""
    folders = [name.split("/")[:-1] for name in names]
    first, last = min(folders), max(folders)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return ["/".join(name.split("/")[shared:]) for name in names]


def with_masks(
    pairs: Sequence[tuple[int, int]], names: Sequence[str], masks: Sequence[str]
) -> tuple[list[tuple[int, ...]], list[int]]:
    """The pairs, each with the place of the mask of its clean picture; and the clean pictures without one."""
    known = dict(match(names, masks).pairs)
    return [(*pair, known[pair[0]]) for pair in pairs if pair[0] in known], [at for at, _ in pairs if at not in known]


def decoded(
    sources: Sequence[Source],
    numbers: Sequence[tuple[int, ...]],
    names: Sequence[str],
    shave: int,
    left_out: list[Skipped],
) -> Iterator[Pair]:
    """The pairs one by one; those that cannot be compared go to `left_out` with the reason."""
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")  # Pillow's, about broken metadata and large pictures
        # Of folders and zips only places are held here; of a tar, which has one order, the files as they are packed.
        files: list[list[Open]] = [list(stack.enter_context(source.openings())) for source in sources]
        for places in numbers:
            name = sources[0].items[places[0]]
            wholes: list[Image.Image] = []
            for source, openings, at in zip(sources, files, places, strict=True):
                try:
                    with openings[at]() as picture:
                        wholes.append(eight_bit(picture))
                except Exception as error:  # hostile bytes can raise anything, and must not end the comparison
                    left_out.append(Skipped(f"{source.name}/{source.items[at]}", reason(error)))
                    break
            if len(wholes) < len(sources):
                continue
            sizes = [f"{whole.height}x{whole.width}" for whole in wholes]
            if len(set(sizes)) > 1:
                left_out.append(Skipped(name, f"sizes differ: {', '.join(sizes)}"))
                continue
            grey = all(whole.mode == "L" for whole in wholes[:2])
            clean, restored, *masks = (
                as_tensor(in_channels(whole, 1 if grey or number == 2 else 3)) for number, whole in enumerate(wholes)
            )
            if small := next((why for each in names if (why := too_small(each, clean, shave))), ""):
                left_out.append(Skipped(name, small))
                continue
            yield Pair(clean, restored, name, masks[0][0] >= MISSING if masks else None)


def example(source: Source) -> str:
    """How many pictures a place holds, and what they are called."""
    return f"{source.name} has {len(source.items):,}, such as {source.items[0]}"


def said(left_out: Sequence[Skipped], used: int) -> str:
    """The first of what is left out, in a sentence."""
    listed = "; ".join(f"{each.path}: {each.reason}" for each in left_out[:LISTED])
    rest = f"; and {len(left_out) - LISTED:,} more" if len(left_out) > LISTED else ""
    return f"{used:,} pair{'s are' if used > 1 else ' is'} compared; left out: {listed}{rest}"
