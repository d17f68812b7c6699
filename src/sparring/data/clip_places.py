"""Where clips lie: folders and archives of films or of frames, arrays, and the embedded set, as places of films."""

import hashlib
import re
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sparring.data.arrays import mapped, unpacked
from sparring.data.decode import identify
from sparring.data.film_files import RATE, Film, Numbered, Row, film_in, steps
from sparring.data.folders import folder, open_file
from sparring.data.moving_digits import moving_digits
from sparring.data.opening import ARCHIVES
from sparring.data.parallel import cores
from sparring.data.sources import (
    SUFFIXES,
    Files,
    Opener,
    Place,
    Progress,
    Skipped,
    Thing,
    file_digest,
    missing,
    natural,
    printable,
)
from sparring.errors import DataError, SettingError

ENCODED = frozenset([".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ogv", ".flv", ".wmv"])
"""A file that ends so is a film and nothing else, and needs PyAV."""

GIF = ".gif"
FILMS = ENCODED | {GIF, ".apng", ".webp"}
"""A file that ends so claims to be a film where clips are wanted; a WebP file may be a frame of one, too."""

FRAMES = SUFFIXES - {GIF}
"""A file that ends so may be a frame."""

LARGEST = 2**40
"""Bytes of a film that lies in a folder; it is never read as a whole."""

GLANCED = 512
"""Files of a tar archive, which can only be read from front to back, that are looked at to tell what it holds."""

TAR, _ = ARCHIVES[1]
"""How the names of tar archives end."""

GIFS = 8
"""GIF files at most that are opened to tell whether a set of them moves."""

LAYOUTS = "(N, T, H, W) or (N, T, H, W, C) with 1, 3 or 4 channels C"

CLIP = Thing(
    "clip",
    "clips are MP4, MOV, WebM, MKV, AVI and GIF films, folders of numbered frames, and arrays of uint8 (N, T, H, W, C)",
)


@dataclass(frozen=True)
class Embedded:
    """An embedded set of clips: what it is, and what gives it."""

    about: str
    load: Callable[[Thing], Place[Film]]


EMBEDDED_CLIPS = {
    "moving-digits": Embedded(
        "1,797 clips of a handwritten digit that moves, 32 frames at 25 a second, grey, ten classes", moving_digits
    )
}
"""Every embedded set of clips by its name."""


def surely_clips(place: str | Path) -> bool:
    """Whether a place holds clips by what its files are called: films outnumber pictures.

    GIF files are films where most of the first few have several frames. Folders of frames may just as well be pictures,
    so they are not films: whoever wants clips says so.
    """
    if isinstance(place, str) and place in EMBEDDED_CLIPS:
        return True
    try:
        path = Path(place).expanduser()
        if place == "" or not path.exists():
            return False
        name = path.name.lower()
        if name.endswith(".npy"):
            return bool(np.load(path, mmap_mode="r", allow_pickle=False).ndim == 5)
        if name.endswith(".npz"):
            with zipfile.ZipFile(path) as arrays:
                return "clips.npy" in arrays.namelist()
        if path.is_file() and path.suffix.lower() in ENCODED:
            return True
        suffixes = Counter(PurePosixPath(each).suffix.lower() for each in _listed(path))
        films = sum(suffixes[suffix] for suffix in ENCODED)
        pictures, gifs = sum(suffixes[suffix] for suffix in FRAMES), suffixes[GIF]
        if gifs and films - gifs <= pictures < films + gifs:  # they decide
            gifs = gifs if _gifs_move(path) else -gifs
        return films + gifs > pictures
    except Exception:  # NumPy's headers and archives fail in all sorts of ways; whoever opens it says what is wrong
        return False


def _gifs_move(path: Path) -> bool:
    """Whether most of the first few GIF files in a folder or archive have several frames."""
    files = _files(path, [GIF])
    first = range(min(len(files.names), GIFS)) if files is not None else range(0)
    return files is not None and 2 * len(_moving(files, first)) > len(first)


def _files(path: Path, suffixes: Collection[str]) -> Files | None:
    """The files of these endings in a folder or archive; None of any other place."""
    if path.is_dir():
        return folder(path, suffixes)
    for endings, unpack in ARCHIVES:
        if path.name.lower().endswith(endings):
            return unpack(path, suffixes)
    return None


def _listed(path: Path) -> list[str]:
    """Names of the films and pictures in a folder or archive; of a tar, of the first of them."""
    if path.name.lower().endswith(TAR) and path.is_file():
        with tarfile.open(path) as archive:
            return [member.name for member in islice(archive, GLANCED) if member.isreg()]
    files = _files(path, ENCODED | SUFFIXES)
    return [] if files is None else list(files.names)


def open_clips(data: str | Path, rate: float = RATE) -> Place[Film]:
    """The place that a path or the name of an embedded set stands for.

    rate: frames a second of what does not say: folders of frames, and arrays.

    Raises: DataError if there is nothing at the path, nothing of a kind that holds clips, or PyAV is needed and not
    there. SettingError for a rate out of range.
    """
    if not 0.1 <= rate <= 1000:
        raise SettingError(f"frame_rate={rate:g}: it should be from 0.1 to 1000 frames a second")
    if isinstance(data, str) and data in EMBEDDED_CLIPS:
        return EMBEDDED_CLIPS[data].load(CLIP)
    if data == "":  # which would be the current folder
        raise DataError("the name of the data is empty; give a path or the name of an embedded set")
    path = Path(data)
    try:
        path = path.expanduser()
        if path.is_dir():
            return films_in(folder(path, FILMS | FRAMES, LARGEST), rate)
        if path.is_file():
            return _file(path, rate)
        if path.exists():
            raise DataError(f"{path}: neither a file nor a folder")
        raise DataError(missing(path))
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a name too long, a zero byte, no such home
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{printable(str(path))}: cannot be read: {why}") from error


def _file(path: Path, rate: float) -> Place[Film]:
    name = path.name.lower()
    for endings, unpack in ARCHIVES:
        if name.endswith(endings):
            return films_in(unpack(path, FILMS | FRAMES), rate)
    if name.endswith((".npy", ".npz")):
        return _array(path, rate)
    if path.suffix.lower() in FILMS:
        return films_in(_single(path), rate)
    raise DataError(
        f"{path}: not a set of clips; sets are folders, .zip, .tar (.gz, .bz2, .xz), .npy, .npz, a single film, and "
        f"the embedded {', '.join(EMBEDDED_CLIPS)}"
    )


def _single(path: Path) -> Files:
    @contextmanager
    def groups(numbers: Sequence[Sequence[int]]) -> Iterator[Iterable[Sequence[Opener[BinaryIO]]]]:
        yield ([partial(open_file, path, LARGEST)] * len(group) for group in numbers)

    def digest(progress: Progress | None) -> str:
        return file_digest(path).hex()

    return Files(str(path), [printable(path.name)], groups, digest, (), 0)


def films_in(files: Files, rate: float) -> Place[Film]:
    """The films among the files, or, where they are more, the folders of numbered frames.

    Raises: DataError if PyAV is needed and not there.
    """
    films = [number for number, name in enumerate(files.names) if PurePosixPath(name).suffix.lower() in FILMS]
    clips, broken = _numbered(files)
    framed = {number for _, group in clips for number in group}.union(*(group for _, group in broken))
    alone = [number for number in films if number not in framed]
    if len(clips) + len(broken) > len(alone):
        films = alone
    else:
        clips, broken = [], []
    encoded = [files.names[number] for number in films if PurePosixPath(files.names[number]).suffix.lower() in ENCODED]
    if encoded and find_spec("av") is None:
        raise DataError(
            f'{files.name}: films such as {encoded[0]} need PyAV: pip install "sparring[video]"; GIF files and folders '
            "of frames work without it"
        )
    items = [(files.names[number], [number]) for number in films] + clips
    items.sort(key=lambda item: min(item[1]))
    threads = max(1, cores() // max(1, len(items)))

    @contextmanager
    def openings() -> Iterator[Iterable[Opener[Film]]]:
        with files.groups([numbers for _, numbers in items]) as groups:
            yield (
                partial(film_in, group[0], threads)
                if len(group) == 1
                else partial(_frames, Numbered(group, [PurePosixPath(files.names[n]).name for n in numbers], rate))
                for (_, numbers), group in zip(items, groups, strict=True)
            )

    used = sum(len(numbers) for _, numbers in items) + sum(len(group) for _, group in broken)
    return Place(
        name=files.name,
        items=[name for name, _ in items],
        openings=openings,
        digest=lambda progress: hashlib.blake2b(f"{files.digest(progress)} {rate}".encode()).hexdigest(),
        skipped=[*(each for each in files.skipped if _claims(each.path)), *(each for each, _ in broken)],
        others=files.others + len(files.names) - used + sum(not _claims(each.path) for each in files.skipped),
        thing=CLIP,
    )


def _frames(film: Film) -> AbstractContextManager[Film]:
    return nullcontext(film)


def _claims(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in FILMS


def _numbered(files: Files) -> tuple[list[tuple[str, list[int]]], list[tuple[Skipped, list[int]]]]:
    """Clips of numbered frames: a name, and the numbers of its files in their order.

    Pictures of one folder whose names differ by the number at their end are one clip, called as the folder, or, where
    there are several in it, as folder/name. And those of which frames are missing, with theirs.
    """
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for number, name in enumerate(files.names):
        pure = PurePosixPath(name)
        if pure.suffix.lower() in FRAMES and (match := re.fullmatch(r"(.*?)([0-9]{1,15})", pure.stem, re.DOTALL)):
            found[str(pure.parent), match[1]].append((int(match[2]), number))
    found = {key: sorted(frames) for key, frames in found.items() if len(frames) > 1}
    webp = {key for key, frames in found.items() if files.names[frames[0][1]].lower().endswith(".webp")}
    moving = _moving(files, [found[key][0][1] for key in webp]) if webp else set()
    found = {key: frames for key, frames in found.items() if frames[0][1] not in moving}
    sharing = Counter(parent for parent, _ in found)
    clips = []
    broken = []
    for (parent, prefix), frames in sorted(found.items(), key=lambda item: natural("/".join(item[0]))):
        name = parent if sharing[parent] == 1 else f"{parent}/{prefix.rstrip('-_. ') or '0'}"
        group = [number for _, number in frames]
        if why := steps([frame for frame, _ in frames]):
            broken.append((Skipped(name, why), group))
        else:
            clips.append((name, group))
    return clips, broken


def _moving(files: Files, numbers: Sequence[int]) -> set[int]:
    """Which of these GIF or WebP files hold films of their own."""
    moving = set()
    ordered = sorted(numbers)
    with files.groups([[number] for number in ordered]) as groups:
        for number, (opener,) in zip(ordered, groups, strict=True):
            try:
                with opener() as stream:
                    if getattr(identify(stream), "is_animated", False):
                        moving.add(number)
            except Exception:  # what is wrong with it is said when it is decoded
                continue
    return moving


def _array(path: Path, rate: float) -> Place[Film]:
    """The clips in a .npy file, which stays on disk, or in a .npz file: its array `clips`, or its only one, with
    `labels` (N,) if it has them.

    Raises: DataError if it is damaged, too large for the memory, holds Python objects, or no clips.
    """
    if path.suffix.lower() == ".npy":
        clips, named = mapped(path), None
    else:
        clips, named = unpacked(path, "clips", "clips")
    labels = None if named is None else [str(label) for label in named.reshape(-1)]
    rows = _channels_last(path, clips)
    if labels is not None and len(labels) != len(rows):
        raise DataError(f"{path}: {len(labels):,} labels for {len(rows):,} clips; there must be one each")

    def opener(number: int) -> AbstractContextManager[Film]:
        return nullcontext(Row(rows[number], rate))

    @contextmanager
    def openings() -> Iterator[Iterable[Opener[Film]]]:
        yield (partial(opener, number) for number in range(len(rows)))

    def digest(progress: Progress | None) -> str:
        return hashlib.blake2b(file_digest(path) + str(rate).encode()).hexdigest()

    return Place(str(path), [str(number) for number in range(len(rows))], openings, digest, labels=labels, thing=CLIP)


def _channels_last(path: Path, clips: NDArray[np.generic]) -> NDArray[np.uint8]:
    shape = clips.shape
    if clips.dtype != np.uint8:
        raise DataError(f"{path}: the values are {clips.dtype}; clips are uint8, 0 to 255")
    if 0 in shape:
        raise DataError(f"{path}: the array {shape} is empty")
    if len(shape) == 5 and shape[-1] not in (1, 3, 4) and shape[2] in (1, 3, 4):
        clips = clips.transpose(0, 1, 3, 4, 2)
    elif not (len(shape) == 5 and shape[-1] in (1, 3, 4)) and not (len(shape) == 4 and shape[-1] not in (1, 3, 4)):
        raise DataError(f"{path}: the array has shape {shape}; clips are {LAYOUTS}")
    return clips  # type: ignore[return-value]
