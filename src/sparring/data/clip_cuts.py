"""Which frames of films are kept, and those frames as pixels of a form."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sparring.data.decode import Form, UnusableError, pixels
from sparring.data.film_files import Film, Header

PIECE = 10.0
"""Seconds of a clip: a film of at least twice that is cut into clips of about that. So a long film is seen more often
than a short one, some of it can be held out, and what is kept of hours can be spread evenly over them."""

ROUNDING = 1e-6
"""Of a rate that comes from rounded times."""

LEAST_FRAMES = 32
"""Of such a clip: what is cut of a film in slow steps may be longer."""

MOST_BYTES = 16 << 30
"""Of the kept frames of a set. 16 GiB are 15 hours of 64x64 in colour at 25 a second, or one hour of 256x256."""

HELD = 8 << 20
"""Bytes of the frames of a film that wait in memory for their turn to be written; more waits on disk."""

NEAR = 10.0
"""Seconds that are decoded rather than leapt over, for a leap decodes from the key frame before."""

LOST = 2
"""Frames at the end of a film that may fail to come out of the decoder."""

Cut = tuple[int, int]
"""First moment of a clip within its film, and one past the last."""


@dataclass(frozen=True)
class Share:
    """How much of a set is kept: `part`, 0 to 1, evenly over the pieces of all films one after the other."""

    part: float
    before: dict[int, int]
    """By the number of a film: pieces of the films before it, as far as headers told."""

    def kept(self, film: int, cuts: list[Cut]) -> list[Cut]:
        """The cuts of a film that are kept."""
        if self.part >= 1:
            return cuts
        first = self.before.get(film, 0)
        return [cut for place, cut in enumerate(cuts, first) if int((place + 1) * self.part) > int(place * self.part)]


def share_of(headers: dict[int, Header], size: int) -> Share:
    """What may be kept of films with these headers, whose frames have `size` bytes each."""
    before: dict[int, int] = {}
    pieces = total = 0
    for film, header in headers.items():
        before[film] = pieces
        pieces += len(cuts_of(header.frames, header.rate))
        total += header.frames * size
    return Share(min(1.0, MOST_BYTES / max(total, 1)), before)


def cuts_of(moments: int, rate: float) -> list[Cut]:
    """The clips that a film of so many moments, `rate` a second, is cut into: equal ones of about `PIECE`, or one.

    >>> cuts_of(700, 25.0)
    [(0, 350), (350, 700)]
    """
    count = max(1, int(moments / max(PIECE * rate, LEAST_FRAMES) + ROUNDING))
    edges = [place * moments // count for place in range(count + 1)]
    return list(pairwise(edges))


@dataclass(frozen=True)
class Taken:
    """The clips of a film: frames in `content`, bytes as (C, H, W) one after the other, and how many each has."""

    content: IO[bytes]
    lengths: list[int]
    rate: float

    def parts(self) -> Iterator[NDArray[np.uint8]]:
        """The frames as bytes, in parts of at most `HELD`; the content is gone then."""
        with self.content:
            while part := self.content.read(HELD):
                yield np.frombuffer(part, np.uint8)


def take(film: Film, form: Form, share: Share, number: int, place: Path) -> Taken:
    """The frames of a film that are kept, in a form. Bounded in memory: what is much waits in a file in `place`.

    Raises: UnusableError if it has one frame only, or cannot be decoded.
    """
    timeline = film.timeline()
    if len(np.unique(timeline.shown)) < 2:
        raise UnusableError("one frame: a picture, not a clip")
    cuts = share.kept(number, cuts_of(len(timeline.shown), timeline.rate))
    aside = str(place) if os.access(place, os.W_OK) else None
    content: IO[bytes] = tempfile.SpooledTemporaryFile(HELD, dir=aside)  # noqa: SIM115 - closed by `parts`
    try:
        for frame in frames_of(film, form, timeline.shown, joined(cuts, round(NEAR * timeline.rate))):
            content.write(np.ascontiguousarray(frame).data)
    except BaseException:
        content.close()
        raise
    content.seek(0)
    return Taken(content, [end - begin for begin, end in cuts], timeline.rate)


def joined(cuts: list[Cut], near: int) -> list[list[Cut]]:
    """The cuts in runs that are decoded in one go: less than `near` moments lie between those of a run."""
    runs: list[list[Cut]] = []
    for cut in cuts:
        if runs and cut[0] - runs[-1][-1][1] < near:
            runs[-1].append(cut)
        else:
            runs.append([cut])
    return runs


def frames_of(film: Film, form: Form, shown: NDArray[np.int64], runs: list[list[Cut]]) -> Iterator[NDArray[np.uint8]]:
    """The frames seen at the moments of all cuts, each uint8 (C, H, W).

    Raises: UnusableError if the end, or all, cannot be decoded.
    """
    for run in runs:
        wanted = np.concatenate([shown[begin:end] for begin, end in run])
        place, seen, picture = 0, -1, None
        for seen, make in film.frames(int(wanted[0]), form):
            while picture is not None and place < len(wanted) and wanted[place] < seen:  # for what was not decoded
                yield picture
                place += 1
            if place == len(wanted):
                break
            if wanted[place] <= seen:
                picture = pixels(make(), form)
                yield picture
                place += 1
        missing = int(wanted[-1]) - seen
        if picture is None or missing > LOST:
            raise UnusableError(f"cut short: the last {missing:,} frames cannot be decoded")
        for _ in range(place, len(wanted)):
            yield picture
