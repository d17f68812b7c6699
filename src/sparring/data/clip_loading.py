"""From a place with clips to `Clips`: survey, check, decode on all cores or take what was kept, and put together."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sparring.data import cache, memory
from sparring.data.clip_cuts import MOST_BYTES, PIECE, Share, Taken, cuts_of, share_of, take
from sparring.data.clip_places import open_clips
from sparring.data.clips import Clips
from sparring.data.decode import GREYISH, LEAST_COLOUR, VERSION, Form, UnusableError, eight_bit
from sparring.data.film_files import RATE, Film, Header
from sparring.data.loading import all_skipped, class_labels
from sparring.data.parallel import each
from sparring.data.sources import Place, Progress, Skipped
from sparring.data.surveys import class_names
from sparring.errors import DataError

CLIPS_VERSION = 1
"""Goes up whenever the same film would give other frames, so that what an older version kept is made anew."""

Clip = tuple[int, int, float]
"""The number of the film that a clip is of, how many frames it has, and how many a second."""

LOOKED_AT = 64
"""How many films at most, spread evenly over the set, a survey decodes a frame of."""

MOST_CLIPS = 0.9
"""Share of the clips that says how long a long one is: a few that are far longer than all others say nothing."""


@dataclass(frozen=True)
class ClipSurvey:
    """What a set of clips holds as far as headers tell; a film that turns out damaged further on still counts."""

    name: str
    clips: int
    """How many; long films are cut into several."""
    frames: int
    """Of all clips."""
    seconds: float
    """The median length of a clip."""
    long: float
    """Seconds of a long one: `MOST_CLIPS` of all are no longer."""
    rate: float
    """The median of the frames a second."""
    height: int
    """Of the middle clip by area, as `width`."""
    width: int
    channels: Literal[1, 3]
    """1 if all are grey, else 3."""
    classes: tuple[str, ...] = ()
    skipped: Sequence[Skipped] = ()
    others: int = 0
    """How many files have nothing to do with clips."""


class ClipCheck(TypedDict):
    """The result of `check_clips`, ready for JSON."""

    name: str
    used: int
    skipped: list[dict[str, str]]
    others: int
    frames: int
    seconds: dict[str, float]
    """The shortest, median and longest film."""
    rates: dict[str, int]
    """Films of each number of frames a second, the most common first."""
    sizes: dict[str, int]
    """Films of each height x width, the most common first."""
    classes: dict[str, int]
    """Films of each class, in the order of their labels."""


def survey_clips(data: str | Path, progress: Progress | None = None, *, frame_rate: float = RATE) -> ClipSurvey:
    """A quick look at a set of clips: the headers of all films, and a frame of a few.

    frame_rate: of folders of frames and of arrays, which do not say.

    Raises: DataError if there is nothing usable. SettingError for a rate out of range.
    """
    place = open_clips(data, frame_rate)
    headers: dict[int, Header] = {}
    looks: list[tuple[int, int, bool]] = []
    skipped = list(place.skipped)
    stride = max(1, -(-len(place.items) // LOOKED_AT))

    def look(number: int, film: Film) -> tuple[Header, tuple[int, int, bool] | None]:
        header = film.header()
        return header, None if number % stride else look_at(film, header)

    def keep(number: int, result: tuple[Header, tuple[int, int, bool] | None] | UnusableError) -> None:
        if isinstance(result, UnusableError):
            skipped.append(Skipped(place.items[number], str(result)))
            return
        headers[number] = result[0]
        if result[1] is not None:
            looks.append(result[1])

    each(place, look, keep, "looking", progress)
    if not headers or not looks:
        raise place.refuse(skipped)
    clips = [(end - begin, header.rate) for header in headers.values() for begin, end in cuts_of(*_both(header))]
    lengths = sorted(frames / rate for frames, rate in clips)
    looks.sort(key=lambda each: each[0] * each[1])
    height, width, _ = looks[len(looks) // 2]
    return ClipSurvey(
        name=place.name,
        clips=len(clips),
        frames=sum(frames for frames, _ in clips),
        seconds=median(lengths),
        long=lengths[math.ceil(MOST_CLIPS * len(lengths)) - 1],
        rate=median(rate for _, rate in clips),
        height=height,
        width=width,
        channels=1 if all(grey for _, _, grey in looks) else 3,
        classes=class_names(place.classes(list(headers))),
        skipped=skipped,
        others=place.others,
    )


def _both(header: Header) -> tuple[int, float]:
    return header.frames, header.rate


def look_at(film: Film, header: Header) -> tuple[int, int, bool] | None:
    """Height and width of a film, and whether it is grey, from a frame in its middle; None if it gives none."""
    shown = film.timeline().shown
    middle = int(shown[len(shown) // 2])
    picture = None
    for number, make in film.frames(middle, None):
        if number >= middle or picture is None:
            picture = eight_bit(make())
        if number >= middle:
            break
    return None if picture is None else (picture.height, picture.width, _grey(picture))


def _grey(picture: Image.Image) -> bool:
    if picture.mode == "L":
        return True
    colours = np.asarray(picture.convert("RGB"), np.int16)
    return bool((np.ptp(colours, axis=2) > GREYISH).mean() <= LEAST_COLOUR)


def check_clips(data: str | Path, progress: Progress | None = None, *, frame_rate: float = RATE) -> ClipCheck:
    """Decodes every frame of a set of clips on all cores, and tells what can be used, what not, and why.

    Raises: DataError if there is nothing usable. SettingError for a rate out of range.
    """
    place = open_clips(data, frame_rate)
    used: list[int] = []
    lengths: list[tuple[int, float]] = []
    sizes: Counter[str] = Counter()
    skipped = list(place.skipped)

    def decode(number: int, film: Film) -> tuple[str, int, float]:
        look = look_at(film, film.header())
        taken = take(film, Form(8, 8, 1), Share(1.0, {}), number, cache.folder())
        taken.content.close()
        return f"{look[0]}x{look[1]}" if look is not None else "unknown", sum(taken.lengths), taken.rate

    def keep(number: int, result: tuple[str, int, float] | UnusableError) -> None:
        if isinstance(result, UnusableError):
            skipped.append(Skipped(place.items[number], str(result)))
        else:
            used.append(number)
            sizes[result[0]] += 1
            lengths.append(result[1:])

    each(place, decode, keep, "decoding", progress)
    if not used:
        raise place.refuse(skipped)
    labels = place.classes(used)
    counted = Counter(labels)
    seconds = [round(frames / rate, 3) for frames, rate in lengths]
    return ClipCheck(
        name=place.name,
        used=len(used),
        skipped=[{"path": each.path, "reason": each.reason} for each in skipped],
        others=place.others,
        frames=sum(frames for frames, _ in lengths),
        seconds={"shortest": min(seconds), "median": median(seconds), "longest": max(seconds)},
        rates=dict(Counter(f"{rate:.4g}" for _, rate in lengths).most_common()),
        sizes=dict(sizes.most_common()),
        classes={name: counted[name] for name in class_names(labels)},
    )


def load_clips(
    data: str | Path,
    form: Form,
    *,
    labels: bool = False,
    seen: int = 3,
    window: float = 1.0,
    progress: Progress | None = None,
    frame_rate: float = RATE,
) -> Clips:
    """All usable clips of a set, decoded.

    data: a folder or archive of films or of folders of frames, a film, an array file, or the name of an embedded set.
    labels: take the folder that a film is in (or the `labels` of an .npz file) as its class.
    seen, window: as in `Clips`. Clips of fewer frames than `seen` are skipped.
    progress: told of "reading" (the content, to see whether it is known), "looking" (how long films are), "decoding".
    frame_rate: of folders of frames and of arrays, which do not say.

    Films of at least 20 seconds are cut into clips of about 10; of sets that would take more than `MOST_BYTES` on disk
    only a part of the clips is kept, evenly over all films. The frames are kept in the cache folder (see
    `cache.folder`) under their fingerprint. They come in memory if they fit into a quarter of it, else memory-mapped.

    Raises: DataError if nothing is usable, labels are wanted and there are none, or there is no room for the frames.
    SettingError for a rate out of range.
    """
    place = open_clips(data, frame_rate)
    if not place.items:
        raise place.refuse(place.skipped)
    known = fingerprint_of(place.digest(progress), form)
    notices: list[str] = []
    kept = cache.find(known) or _decode(place, form, known, notices, progress)
    return _put_together(place, kept, known, notices, labels, seen, window)


def clips_fingerprint(data: str | Path, form: Form, *, frame_rate: float = RATE) -> str:
    """What `load_clips` would give as the fingerprint of these clips in that form, without decoding them.

    Raises: DataError if there is nothing usable.
    """
    return fingerprint_of(open_clips(data, frame_rate).digest(None), form)


def fingerprint_of(content: str, form: Form) -> str:
    """The fingerprint of clips with that digest of their content, in that form."""
    versions = f"{VERSION} {CLIPS_VERSION}"
    return hashlib.blake2b(f"clips {content} {form} {versions}".encode(), digest_size=16).hexdigest()


def _put_together(
    place: Place[Film],
    kept: cache.Decoded,
    known: str,
    notices: list[str],
    labels: bool,
    seen: int,
    window: float,
) -> Clips:
    cut: list[Clip] = [(int(film), int(length), float(rate)) for film, length, rate in kept.more["clips"]]
    starts = list(accumulate((length for _, length, _ in cut), initial=0))
    clips = [(*clip, start) for clip, start in zip(cut, starts, strict=False) if clip[1] >= seen]
    short = {film: f"{length} frames; {seen} are seen at once" for film, length, _ in cut if length < seen}
    skipped = all_skipped(place, {**kept.skipped, **short})
    if not clips:
        raise place.refuse(skipped)
    used = [film for film, *_ in clips]
    names, found = class_labels(place, used) if labels else ((), None)
    return Clips(
        frames=torch.from_numpy(kept.images),
        starts=torch.tensor([start for *_, start in clips]),
        lengths=torch.tensor([length for _, length, *_ in clips]),
        rates=torch.tensor([rate for _, _, rate, _ in clips], dtype=torch.float32),
        labels=found,
        classes=names,
        name=place.name,
        fingerprint=known,
        seen=seen,
        window=window,
        skipped=skipped,
        names=tuple(place.items[number] for number in used),
        notices=(*notices, *_notices(cut, float(kept.more["part"]))),
    )


def _notices(clips: Sequence[Clip], part: float) -> list[str]:
    several = [count for count in Counter(film for film, *_ in clips).values() if count > 1]
    notices = []
    if several:
        notices.append(
            f"{len(several):,} film{'s' * (len(several) > 1)} of {2 * PIECE:g} seconds or more "
            f"{'are' if len(several) > 1 else 'is'} cut into {sum(several):,} clips of about {PIECE:g} seconds"
        )
    if part < 1:
        notices.append(
            f"all clips would take more than {MOST_BYTES >> 30} GiB: {part:.1%} of them are kept, evenly over all "
            "films; a lower resolution keeps more"
        )
    return notices


def _decode(place: Place[Film], form: Form, known: str, notices: list[str], progress: Progress | None) -> cache.Decoded:
    """Decodes everything into the cache; where that cannot be written into memory, if it fits there."""
    headers: dict[int, Header] = {}

    def look(number: int, result: Header | UnusableError) -> None:
        if not isinstance(result, UnusableError):
            headers[number] = result

    shape = (form.channels, form.height, form.width)
    size = int(np.prod(shape))
    each(place, lambda _, film: film.header(), look, "looking", progress)
    share = share_of(headers, size)
    if share.part < 1:  # which is not left to what headers claim
        headers.clear()
        each(place, lambda _, film: film.timeline().header, look, "looking closer", progress)
        share = share_of(headers, size)
    skipped: dict[int, str] = {}
    clips: list[Clip] = []
    more = {"clips": clips, "part": share.part}
    try:
        with cache.keeping(known, shape, skipped, more) as writer:
            _decode_each(place, form, share, writer.add, skipped, clips, progress)
    except OSError as error:
        why = f"cannot be kept in {cache.folder()}: {error.strerror or error}"
        if not memory.fits(size * sum(header.frames for header in headers.values())):
            raise DataError(
                f"{place.name}: the frames do not fit into memory, and {why}; let the variable SPARRING_CACHE name a "
                "folder with more room"
            ) from error
        notices.append(
            f"the frames {why}; the next start decodes them again, unless the variable SPARRING_CACHE names another "
            "folder"
        )
        parts: list[NDArray[np.uint8]] = []
        skipped.clear()
        clips.clear()
        try:
            _decode_each(place, form, share, parts.append, skipped, clips, progress)
        except OSError as again:
            raise DataError(
                f"{place.name}: films wait on disk while they are decoded, and there is no room in {cache.folder()}; "
                "let the variable SPARRING_CACHE name a folder with more"
            ) from again
        return cache.Decoded(np.concatenate(parts).reshape(-1, *shape), skipped, more)
    kept = cache.find(known)
    if kept is None:
        raise DataError(f"{cache.folder()}: what was just written there cannot be read again; is the disk sound?")
    return kept


def _decode_each(
    place: Place[Film],
    form: Form,
    share: Share,
    put: Callable[[NDArray[np.uint8]], None],
    skipped: dict[int, str],
    clips: list[Clip],
    progress: Progress | None,
) -> None:
    """Puts the bytes of all kept frames one after the other; fills `skipped` and `clips`."""

    def keep(number: int, result: Taken | UnusableError) -> None:
        if isinstance(result, UnusableError):
            skipped[number] = str(result)
            return
        for part in result.parts():
            put(part)
        clips.extend((number, frames, result.rate) for frames in result.lengths)

    each(place, lambda number, film: take(film, form, share, number, cache.folder()), keep, "decoding", progress)
    if not clips:
        raise place.refuse(all_skipped(place, skipped))
