"""Files in zip and tar archives, which are read in memory and never extracted."""

import io
import re
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from sparring.data.decode import UnusableError
from sparring.data.sources import Files, Opener, Progress, Skipped, file_digest, hidden, natural, printable
from sparring.errors import DataError

MAX_MEMBER = 2**28
"""Largest file, in bytes once decompressed, that is taken out of an archive into memory."""

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, NotImplementedError, ValueError)
"""What Python raises on archives that are cut short or broken, besides OSError."""


def zip_archive(path: Path, suffixes: Collection[str]) -> Files:
    """The files in a zip archive whose names end in one of the `suffixes`.

    Raises: DataError if it is damaged.
    """
    members: list[zipfile.ZipInfo] = []
    found = _Members(suffixes)
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
    def groups(numbers: Sequence[Sequence[int]]) -> Iterator[Iterable[Sequence[Opener[BinaryIO]]]]:
        lock = threading.Lock()
        with zipfile.ZipFile(path) as archive:

            @contextmanager
            def open_member(member: zipfile.ZipInfo) -> Iterator[BinaryIO]:
                try:
                    with lock:  # one file position for all threads
                        content = archive.read(member)
                except (*DAMAGE, RuntimeError) as error:
                    raise UnusableError(f"damaged in the archive: {error}") from error
                yield io.BytesIO(content)

            yield ([partial(open_member, members[number]) for number in group] for group in numbers)

    return found.files(path, groups)


def tar_archive(path: Path, suffixes: Collection[str]) -> Files:
    """The files in a tar archive, compressed or not, whose names end in one of the `suffixes`.

    Raises: DataError if it is damaged.
    """
    found = _Members(suffixes)
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

    def content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        try:
            stream = archive.extractfile(member)
            assert stream is not None, "members are regular files"
            return stream.read()
        except (*DAMAGE, OSError) as error:
            raise _damaged(path, error) from error

    @contextmanager
    def groups(numbers: Sequence[Sequence[int]]) -> Iterator[Iterable[Sequence[Opener[BinaryIO]]]]:
        with tarfile.open(path) as archive:

            def each() -> Iterator[Sequence[Opener[BinaryIO]]]:
                # Read here and not where it is opened: a compressed tar can only be read from front to back.
                for group in numbers:
                    size = sum(members[number].size for number in group)
                    if size > MAX_MEMBER:
                        yield [partial(_too_large, size)] * len(group)
                        continue
                    contents = {number: content(archive, members[number]) for number in sorted(group)}
                    yield [partial(open_bytes, contents[number]) for number in group]

            yield each()

    return found.files(path, groups)


class _Members:
    """Sorts the members of an archive into those wanted, skipped and others."""

    def __init__(self, suffixes: Collection[str]) -> None:
        self.suffixes = suffixes
        self.names: list[str] = []
        self.skipped: list[Skipped] = []
        self.others = 0

    def take(self, name: str, size: int, problem: str | None) -> bool:
        """Whether the member is a file to use. A `problem` counts only if its name ends as wanted."""
        shown = printable(name).replace("\\", "/").removeprefix("./")
        pure = PurePosixPath(shown)
        if pure.is_absolute() or ".." in pure.parts or re.match("[A-Za-z]:", shown):
            problem = "its path points outside the archive"
        elif any(hidden(part) for part in pure.parts) or pure.suffix.lower() not in self.suffixes:
            self.others += 1
            return False
        elif problem is None and size > MAX_MEMBER:
            problem = f"too large: {size:,} bytes, limit {MAX_MEMBER:,}"
        if problem is not None:
            self.skipped.append(Skipped(shown, problem))
            return False
        self.names.append(shown)
        return True

    def files(
        self,
        path: Path,
        groups: Callable[[Sequence[Sequence[int]]], AbstractContextManager[Iterable[Sequence[Opener[BinaryIO]]]]],
    ) -> Files:
        def digest(progress: Progress | None) -> str:
            return file_digest(path).hex()

        return Files(str(path), self.names, groups, digest, self.skipped, self.others)


@contextmanager
def open_bytes(content: bytes) -> Iterator[BinaryIO]:
    """A file of these bytes."""
    yield io.BytesIO(content)


def _too_large(size: int) -> AbstractContextManager[BinaryIO]:
    raise UnusableError(f"too large: {size:,} bytes, limit {MAX_MEMBER:,}; unpack the archive")


def _damaged(path: Path, error: Exception) -> DataError:
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{path}: cannot be read: {error.strerror}")
    kind = "zip" if path.suffix.lower() == ".zip" else "tar"
    return DataError(f"{path}: not a whole {kind} archive ({printable(str(error))}); copy or download it again")
