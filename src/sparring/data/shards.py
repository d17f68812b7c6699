"""Shards in the layout of WebDataset: tar files, from disk or from the output of a command, read from front to back.

A sample is what shares a key, that is the path up to the first dot of the name: `000001.jpg` and its class, the text of
`000001.cls` or `label` in `000001.json`. Everything else is left alone.
"""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import tarfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

import torch
from PIL import Image

from sparring.data import cache
from sparring.data.archives import DAMAGE, MAX_MEMBER, open_bytes
from sparring.data.decode import UnusableError, identify, reason
from sparring.data.embedded import EMBEDDED
from sparring.data.pictures_in_files import picture_in
from sparring.data.sources import SUFFIXES, Open, Progress, Skipped, Source, hidden, natural, printable
from sparring.errors import DataError
from sparring.randomness import key

INDEX = "index.json"
"""What makes a folder one that was packed; written last."""

FORMAT = "sparring shards 1"

COMMAND = "pipe:"
"""What the output of a command begins with, where a path could stand."""

NOT_ITS_FAULT = (0, -13, 128 + 13)
"""How a command ends that did its work, or was told by SIGPIPE that nobody reads on."""

RUNNING: set["subprocess.Popen[bytes]"] = set()
"""Commands that run."""

ABOUT = (".cls", ".json")
"""How files end that say something of a picture."""

MAX_ABOUT = 2**20
"""Bytes of such a file at most."""

READERS = 4
"""Shards read at a time."""

LEAST_SAMPLE = 1024
"""Bytes of a picture in a tar file at least: its header and a block."""

MOST_SHARDS = 1_000_000
MOST_SAMPLED = 64
"""Shards that a sample of them all is taken from, at most."""


@dataclass(frozen=True)
class Shard:
    """One tar file, what it holds, and the hash of the names, classes and bytes of its pictures."""

    place: str
    """A path, or `pipe:` and a command."""
    pictures: int
    digest: str
    size: int
    """Bytes of the file; 0 for what comes out of a command."""


@dataclass(frozen=True)
class Sample:
    """One picture of a shard: the bytes as they are, of which the header has been read, and its class if it has one."""

    name: str
    content: bytes
    picture: Image.Image
    label: str | None


@dataclass(frozen=True)
class Shards:
    """A set of shards that was looked through."""

    name: str
    shards: Sequence[Shard]
    classes: Mapping[str, int]
    """Pictures of each class, in the natural order of their names."""
    skipped: Sequence[Skipped] = ()
    numbered: bool = False
    """Whether `.cls` holds numbers of `classes`, as other readers of WebDataset want them, and not names."""

    @property
    def pictures(self) -> int:
        """How many there are."""
        return sum(shard.pictures for shard in self.shards)

    @cached_property
    def _numbers(self) -> dict[str, str]:
        return {str(number): name for number, name in enumerate(self.classes)}

    def digest(self) -> str:
        """Hexadecimal hash of the content; where it lies plays no part."""
        content = "\0".join(shard.digest for shard in self.shards)
        return hashlib.blake2b(content.encode(), digest_size=20).hexdigest()

    def samples(self, number: int, start: int = 0) -> Generator[Sample]:
        """The samples of one shard from number `start` on.

        Raises: DataError if it cannot be read, or holds another number of them than when it was looked through.
        """
        shard, found = self.shards[number], 0
        for sample in read(shard.place):
            if isinstance(sample, Skipped):
                continue
            if found >= start:
                yield replace(sample, label=self._class_name(sample)) if self.numbered else sample
            found += 1
        if found != shard.pictures:
            raise DataError(
                f"{shard.place}: holds {found:,} pictures, where there were {shard.pictures:,} when it was looked "
                "through; copy or download it again, or pack the set anew"
            )

    def _class_name(self, sample: Sample) -> str | None:
        if sample.label is None:
            return None
        try:
            return self._numbers[sample.label]
        except KeyError:
            raise DataError(f"{self.name}: {sample.name} is of class {sample.label}, which {INDEX} lacks") from None

    def source(self, most: int | None = None) -> Source:
        """All of it, or a sample of at most `most`, always the same: the first pictures of shards drawn by chance."""
        parts = list(enumerate(shard.pictures for shard in self.shards))
        if most is not None and most < self.pictures:
            parts = self._sampled(most)
        digest = self.digest() if most is None else f"{most} of {self.digest()}"
        known: list[str | None] = []

        def each() -> Generator[Sample]:
            noted = []
            for number, count in parts:
                with closing(self.samples(number)) as samples:
                    for sample in islice(samples, count):
                        noted.append(sample.label)
                        yield sample
                    if count == self.shards[number].pictures:
                        yield from samples  # none, or the error of a shard that is not whole
            known[:] = noted

        @contextmanager
        def pictures() -> Iterator[Iterable[Open]]:
            with closing(each()) as samples:
                yield (partial(picture_in, partial(open_bytes, sample.content)) for sample in samples)

        def labels() -> list[str | None]:
            if not known:  # else they were seen with the pictures
                for _ in each():
                    pass
            return known

        names = [f"{Path(self.shards[number].place).name}/{place}" for number, count in parts for place in range(count)]
        return Source(self.name, names, pictures, lambda _: digest, self.skipped, labels=labels)

    def _sampled(self, most: int) -> list[tuple[int, int]]:
        order = torch.randperm(len(self.shards), generator=torch.Generator().manual_seed(key("sample of shards")))
        quota = -(-most // min(len(self.shards), MOST_SAMPLED))
        parts = []
        for number in order.tolist():
            count = min(quota, most, self.shards[number].pictures)
            parts.append((number, count))
            most -= count
        return [(number, count) for number, count in parts if count]


def is_command(place: str) -> bool:
    """Whether it is run and not opened."""
    return place.startswith(COMMAND)


def find(data: str | Path, progress: Progress | None = None) -> Shards | None:
    """The shards that a packed folder, a pattern as in `a-{000..099}.tar`, or `pipe:COMMAND` stands for; None for none.

    Shards without an index are read once from end to end, which the cache folder remembers: files by their size and
    time, commands by their words.

    Raises: DataError if one is missing or cannot be read.
    """
    text = str(data)
    if text == "" or data in EMBEDDED:
        return None
    if is_command(text):
        return _look_through(text, _expanded(text), progress)
    try:
        # Absolute, so that no place which a pattern stands for is taken for a command.
        path = Path(text).expanduser().absolute()
        is_packed, is_pattern = (path / INDEX).is_file(), "{" in text and not path.exists()
    except (OSError, ValueError, RuntimeError):  # whoever opens it as something else says what is wrong
        return None
    if is_packed:
        return _packed(path)
    return _look_through(text, _expanded(str(path)), progress) if is_pattern else None


def read(place: str) -> Iterator[Sample | Skipped]:
    """The samples of a shard from front to back, and what claims to be a picture and by its header is none.

    Raises: DataError if it is missing, not a whole tar, or the command fails.
    """
    try:
        for found in library().tariterators.group_by_keys(_members(place)):
            suffix = next((name for name in found if f".{name.split('.')[-1]}" in SUFFIXES), None)
            if suffix is None:
                continue
            name, content = f"{Path(place).name}/{printable(found['__key__'])}.{suffix}", found[suffix]
            try:
                if isinstance(content, UnusableError):
                    raise content
                yield Sample(name, content, identify(io.BytesIO(content)), _label(found))
            except Exception as error:  # hostile bytes can raise anything
                yield Skipped(name, reason(error))
    except (*DAMAGE, OSError) as error:
        raise _unreadable(place, error) from error


def library() -> Any:
    """The library webdataset.

    Raises: DataError if it is not installed.
    """
    try:
        import webdataset
    except ImportError:
        raise DataError("shards are read and written with webdataset: pip install 'sparring[shards]'") from None
    return webdataset


class Strict(tarfile.TarInfo):
    """A header of a tar; a damaged one or none is an error, where the library takes it for the end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        """Raises: tarfile.ReadError."""
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError, tarfile.EmptyHeaderError) as error:  # type: ignore[attr-defined]
            if tarfile_.offset == 0:  # no tar at all, which the library says itself
                raise
            raise tarfile.ReadError(f"damaged or cut short: {error}") from None


def _members(place: str) -> Iterator[dict[str, Any]]:
    """Name and content of each file that may belong to a sample, as `group_by_keys` takes them.

    Of a sample one file of a kind is read: however many there are, memory holds one picture.
    """
    last, kinds = "", set[str]()
    with _opened(place) as stream, tarfile.open(fileobj=stream, mode="r|*", tarinfo=Strict) as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # it would remember all of them
            path = PurePosixPath(member.name)
            suffix = path.suffix.lower()
            if not member.isreg() or suffix not in {*SUFFIXES, *ABOUT}:
                continue
            if any(hidden(part) for part in path.parts):
                continue
            sample, kind = str(path.parent / path.name.partition(".")[0]), suffix if suffix in ABOUT else "picture"
            if sample != last:
                last, kinds = sample, set()
            content: bytes | UnusableError
            if kind in kinds or (kind in ABOUT and member.size > MAX_ABOUT):
                content = b""
            elif member.size > MAX_MEMBER:
                content = UnusableError(f"too large: {member.size:,} bytes, limit {MAX_MEMBER:,}")
            else:
                file = archive.extractfile(member)
                assert file is not None, "it is a regular file"
                content = file.read()
            kinds.add(kind)
            yield {"fname": member.name, "data": content, "__url__": place}


@contextmanager
def _opened(place: str) -> Iterator[IO[bytes]]:
    if not is_command(place):
        with Path(place).open("rb") as file:
            yield file
        return
    # In a session of its own, Ctrl-C does not reach it: the run is saved first.
    command = place.removeprefix(COMMAND)
    with subprocess.Popen(
        command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        RUNNING.add(process)
        try:
            yield process.stdout
            while block := process.stdout.read(2**16):  # the padding, so that the command ends by itself
                if block.strip(b"\0"):
                    raise DataError(f"{place}: more follows after the end of the archive; a command gives one shard")
        except (GeneratorExit, KeyboardInterrupt):  # the reader has what it wants, or somebody has enough
            _end(process)
            raise
        except Exception:
            process.stdout.close()
            if process.wait() in NOT_ITS_FAULT:
                raise
        finally:
            RUNNING.discard(process)
    if process.returncode:
        raise DataError(f"{place}: the command ended with status {process.returncode}, and not with 0")


def end_commands() -> None:
    """Ends the commands that are running, for which threads may wait."""
    for process in tuple(RUNNING):
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)  # the shell, and what it has started


def _label(found: Mapping[str, Any]) -> str | None:
    """The class of a sample, where it says so."""
    label: Any = None
    if isinstance(found.get("cls"), bytes):
        label = found["cls"].decode(errors="replace").strip()
    elif isinstance(found.get("json"), bytes):
        with suppress(ValueError):
            about = json.loads(found["json"])
            label = about.get("label") if isinstance(about, dict) else None
    return printable(str(label)) if isinstance(label, str | int) and str(label) else None


def _expanded(pattern: str) -> list[str]:
    """Every place that a pattern in braces stands for."""
    library()
    from braceexpand import braceexpand

    ranges = re.findall(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.-?\d+)?\}", pattern)
    if any(abs(int(last[:20]) - int(first[:20])) >= MOST_SHARDS for first, last in ranges):
        raise DataError(f"{pattern}: stands for more than {MOST_SHARDS:,} shards")
    try:
        places = list(islice(braceexpand(pattern, escape=False), MOST_SHARDS + 1))
    except ValueError:
        raise DataError(f"{pattern}: its braces do not match; shards are written a-{{000..099}}.tar") from None
    if len(places) > MOST_SHARDS:
        raise DataError(f"{pattern}: stands for more than {MOST_SHARDS:,} shards")
    return places


def _look_through(name: str, places: Sequence[str], progress: Progress | None) -> Shards:
    """Reads shards once to see what they hold, or remembers it."""
    try:
        stamps = [(place, *(() if is_command(place) else _stamp(Path(place)))) for place in places]
    except OSError as error:
        raise _unreadable(str(error.filename), error) from error
    kept = cache.folder() / f"shards-{hashlib.blake2b(json.dumps(stamps).encode(), digest_size=16).hexdigest()}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return _from_json(name, json.loads(kept.read_text()), places)
    shards, classes, skipped = [], Counter[str](), []
    with ThreadPoolExecutor(READERS) as readers:
        try:
            for shard, found, left_out in readers.map(look_at, places):
                shards.append(shard)
                classes += found
                skipped += left_out
                if progress is not None:
                    progress("looking through shards", len(shards), len(places))
        except BaseException:
            readers.shutdown(wait=False, cancel_futures=True)
            end_commands()
            raise
    sorted_classes = {label: classes[label] for label in sorted(classes, key=natural)}
    looked = Shards(name, shards, sorted_classes, skipped)
    if not looked.pictures:
        raise looked.source().refuse(skipped)
    with suppress(OSError):
        write_index(looked, kept)
    return looked


def look_at(place: str) -> tuple[Shard, Counter[str], list[Skipped]]:
    """A shard, the pictures of each of its classes, and what is skipped.

    Raises: DataError if it cannot be read.
    """
    whole, classes, skipped, count = hashlib.blake2b(digest_size=20), Counter[str](), [], 0
    for sample in read(place):
        if isinstance(sample, Skipped):
            skipped.append(sample)
            continue
        count += 1
        whole.update(f"\0{PurePosixPath(sample.name).name}\0{sample.label}\0{len(sample.content)}\0".encode())
        whole.update(sample.content)
        if sample.label is not None:
            classes[sample.label] += 1
    size = 0 if is_command(place) else Path(place).stat().st_size
    return Shard(place, count, whole.hexdigest(), size), classes, skipped


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def write_index(shards: Shards, path: Path) -> None:
    """Writes what was found in shards as JSON, aside and renamed.

    Raises: OSError.
    """
    values = {
        "format": FORMAT,
        "pictures": shards.pictures,
        "classes": dict(shards.classes),
        "shards": [{**asdict(shard), "place": Path(shard.place).name} for shard in shards.shards],
        "skipped": [asdict(entry) for entry in shards.skipped],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with cache.aside(path) as stream:
        stream.write(json.dumps(values, indent=1).encode())


def _from_json(name: str, values: Any, places: Sequence[str]) -> Shards:
    """The inverse of `write_index`. Places never come out of a file: what is run is what a person wrote.

    Raises: ValueError, KeyError or TypeError if it is something else.
    """
    if values["format"] != FORMAT:
        raise ValueError(values["format"])
    shards = [
        Shard(place, int(entry["pictures"]), str(entry["digest"]), int(entry["size"]))
        for place, entry in zip(places, values["shards"], strict=True)
    ]
    skipped = [Skipped(str(entry["path"]), str(entry["reason"])) for entry in values["skipped"]]
    return Shards(name, shards, {str(label): int(n) for label, n in values["classes"].items()}, skipped)


def _packed(folder: Path) -> Shards | None:
    """The shards of a packed folder; None if its index is of something else.

    Raises: DataError if the index is damaged or a shard is missing.
    """
    damaged = DataError(f"{folder / INDEX}: damaged; copy it again, or pack the set anew")
    try:
        values = json.loads((folder / INDEX).read_text())
    except OSError as error:
        raise _unreadable(str(folder / INDEX), error) from error
    except (ValueError, RecursionError) as error:
        if any(folder.glob("*.tar")):
            raise damaged from error
        return None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        return None
    try:
        # Plain names: an index that came with a download must not make anything else be read.
        places = [str(folder.absolute() / Path(entry["place"]).name) for entry in values["shards"]]
        shards = _from_json(str(folder), values, places)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise damaged from error
    if not all(n >= 0 for n in shards.classes.values()) or sum(shards.classes.values()) > shards.pictures:
        raise damaged
    for shard in shards.shards:
        place = Path(shard.place)
        if not place.is_file():
            raise DataError(f"{place}: there is no such shard, and {folder / INDEX} lists it; copy it here again")
        if (size := place.stat().st_size) != shard.size or not 0 <= shard.pictures <= size // LEAST_SAMPLE:
            raise DataError(f"{place}: is of {size:,} bytes, and {folder / INDEX} says otherwise; copy it here again")
    return replace(shards, skipped=(), numbered=True)


def _unreadable(place: str, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        hint = "; what is not on a disk is given as 'pipe:curl -sfL URL'" if re.search("https?:/", place) else ""
        return DataError(f"{place}: there is no such shard{hint}")
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{place}: cannot be read: {error.strerror}")
    what = printable(" ".join(str(error.args[0] if error.args else error).split())[:80])
    if isinstance(error, ValueError):
        return DataError(f"{place}: not in the layout of WebDataset ({what})")
    return DataError(f"{place}: not a whole tar archive ({what}); copy or download it again")
