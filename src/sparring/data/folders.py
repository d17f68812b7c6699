"""Files in a folder and the folders in it."""

import hashlib
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sparring.data.decode import UnusableError
from sparring.data.sources import Files, Opener, Progress, Skipped, file_digest, hidden, natural, printable

MAX_FILE = 2**30
"""Largest file, in bytes, that is read as one picture."""


def folder(path: Path, suffixes: Collection[str], largest: int = MAX_FILE) -> Files:
    """All files in a folder and the folders in it whose names end in one of the `suffixes`.

    Links are never followed, so that nothing is read twice. Files of more than `largest` bytes are unusable.
    """
    found: list[tuple[str, Path]] = []
    skipped: list[Skipped] = []
    others = 0
    root = path.resolve()
    pending = [root]
    while pending:
        inside = pending.pop()
        try:
            entries = list(inside.iterdir())
        except OSError as error:
            skipped.append(Skipped(_name(inside, root), f"the folder cannot be read: {error.strerror}"))
            continue
        for entry in entries:
            name = _name(entry, root)
            try:
                kind = entry.lstat().st_mode
                if hidden(entry.name):
                    others += not stat.S_ISDIR(kind)
                elif stat.S_ISDIR(kind):
                    pending.append(entry)
                elif stat.S_ISLNK(kind) and (entry.suffix.lower() in suffixes or entry.is_dir()):
                    skipped.append(Skipped(name, _link(entry, root)))
                elif entry.suffix.lower() not in suffixes:
                    others += 1
                elif not stat.S_ISREG(kind):
                    skipped.append(Skipped(name, "not a regular file"))
                else:
                    found.append((name, entry))
            except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself, up to Python 3.12
                skipped.append(Skipped(name, f"cannot be read: {getattr(error, 'strerror', None) or error}"))
    found.sort(key=lambda item: natural(item[0]))
    skipped.sort(key=lambda each: natural(each.path))
    names = [name for name, _ in found]

    @contextmanager
    def groups(numbers: Sequence[Sequence[int]]) -> Iterator[Iterable[Sequence[Opener[BinaryIO]]]]:
        yield ([partial(open_file, found[number][1], largest) for number in group] for group in numbers)

    def digest(progress: Progress | None) -> str:
        whole = hashlib.blake2b(digest_size=20)
        for done, (name, entry) in enumerate(found, 1):
            whole.update(f"\0{name}\0".encode())
            try:
                whole.update(file_digest(entry))
            except OSError as error:
                whole.update(str(error.strerror).encode())
            if progress is not None:
                progress("reading", done, len(found))
        return whole.hexdigest()

    return Files(str(path), names, groups, digest, skipped, others)


@contextmanager
def open_file(path: Path, largest: int) -> Iterator[BinaryIO]:
    """A file of at most `largest` bytes. Raises: UnusableError if it has more."""
    with path.open("rb") as stream:
        size = path.stat().st_size
        if size > largest:
            raise UnusableError(f"too large: {size:,} bytes, limit {largest:,}")
        yield stream


def _name(entry: Path, root: Path) -> str:
    return printable(entry.relative_to(root).as_posix())


def _link(entry: Path, root: Path) -> str:
    target = entry.resolve()
    if not target.exists():
        return "a link to nothing"
    if target.is_relative_to(root):
        return "a link to what is in the folder already"
    return "a link that points outside the folder"
