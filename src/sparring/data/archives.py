"""Pictures in zip and tar archives, which are read in memory and never extracted."""

import io
import re
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from PIL import Image

from sparring.data.decode import UnusableError, identify
from sparring.data.sources import (
    SUFFIXES,
    Open,
    Openings,
    Progress,
    Skipped,
    Source,
    file_digest,
    hidden,
    natural,
    printable,
)
from sparring.errors import DataError

MAX_MEMBER = 2**28
"""Largest picture file, in bytes once decompressed, that is taken out of an archive into memory."""

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, NotImplementedError, ValueError)
"""What Python raises on archives that are cut short or broken, besides OSError."""


def zip_archive(path: Path) -> Source:
    """The pictures in a zip archive.

    Raises: DataError if it is damaged.
    """
    members: list[zipfile.ZipInfo] = []
    found = _Members()
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (*DAMAGE, OSError) as error:
        raise _damaged(path, error) from error
    for member in sorted(listed, key=lambda member: natural(member.filename)):
        problem = None
        if stat.S_ISLNK(member.external_attr >> 16):
            problem = "a link"
        elif member.flag_bits & 1:
            problem = "encrypted"
        if not member.is_dir() and found.take(member.filename, member.file_size, problem):
            members.append(member)

    @contextmanager
    def pictures() -> Iterator[Iterable[Open]]:
        lock = threading.Lock()
        with zipfile.ZipFile(path) as archive:

            @contextmanager
            def open_member(member: zipfile.ZipInfo) -> Iterator[Image.Image]:
                try:
                    with lock:  # one file position for all threads
                        content = archive.read(member)
                except (*DAMAGE, RuntimeError) as error:
                    raise UnusableError(f"damaged in the archive: {error}") from error
                yield identify(io.BytesIO(content))

            yield (partial(open_member, member) for member in members)

    return found.source(path, pictures)


def tar_archive(path: Path) -> Source:
    """The pictures in a tar archive, compressed or not.

    Raises: DataError if it is damaged.
    """
    found = _Members()
    members: list[tarfile.TarInfo] = []
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                problem = None
                if member.issym() or member.islnk():
                    problem = "a link"
                elif not member.isreg():
                    problem = "not a regular file"
                if not member.isdir() and found.take(member.name, member.size, problem):
                    members.append(member)
    except (*DAMAGE, OSError) as error:
        raise _damaged(path, error) from error

    @contextmanager
    def pictures() -> Iterator[Iterable[Open]]:
        with tarfile.open(path) as archive:

            def each() -> Iterator[Open]:
                # Read here and not where it is opened: a compressed tar can only be read from front to back.
                for member in members:
                    try:
                        stream = archive.extractfile(member)
                        assert stream is not None, "members are regular files"
                        content = stream.read()
                    except (*DAMAGE, OSError) as error:
                        raise _damaged(path, error) from error
                    yield partial(open_bytes, content)

            yield each()

    return found.source(path, pictures)


class _Members:
    """Sorts the members of an archive into pictures, skipped and others."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.skipped: list[Skipped] = []
        self.others = 0

    def take(self, name: str, size: int, problem: str | None) -> bool:
        """Whether the member is a picture to use. A `problem` counts only if it looks like one."""
        shown = printable(name).replace("\\", "/").removeprefix("./")
        pure = PurePosixPath(shown)
        if pure.is_absolute() or ".." in pure.parts or re.match("[A-Za-z]:", shown):
            problem = "its path points outside the archive"
        elif any(hidden(part) for part in pure.parts) or pure.suffix.lower() not in SUFFIXES:
            self.others += 1
            return False
        elif problem is None and size > MAX_MEMBER:
            problem = f"too large: {size:,} bytes, limit {MAX_MEMBER:,}"
        if problem is not None:
            self.skipped.append(Skipped(shown, problem))
            return False
        self.names.append(shown)
        return True

    def source(self, path: Path, pictures: Openings) -> Source:
        def digest(progress: Progress | None) -> str:
            return file_digest(path).hex()

        return Source(str(path), self.names, pictures, digest, self.skipped, self.others)


@contextmanager
def open_bytes(content: bytes) -> Iterator[Image.Image]:
    """The picture that a file of these bytes would hold. Raises: as `identify`."""
    yield identify(io.BytesIO(content))


def _damaged(path: Path, error: Exception) -> DataError:
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{path}: cannot be read: {error.strerror}")
    kind = "zip" if path.suffix.lower() == ".zip" else "tar"
    return DataError(f"{path}: not a whole {kind} archive ({printable(str(error))}); copy or download it again")
