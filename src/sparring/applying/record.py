"""What was done in a folder of results, so that a half-done one is completed and no other file is overwritten."""

import hashlib
import json
from collections.abc import Sequence
from os import stat_result
from pathlib import Path
from typing import Any

from sparring.applying.planning import Item
from sparring.errors import RunError
from sparring.training.files import checksum, read_lines, reading, writing

NAME = ".sparring-apply.jsonl"
"""One line a result: where, of which file, made by what. Of several lines for one place the last holds."""


class Record:
    """The results in a folder.

    made_by: what tells one generator and its settings from another; None for results that are always made anew.
    """

    def __init__(self, folder: Path, made_by: str | None) -> None:
        self.folder, self.path, self.made_by = folder, folder / NAME, made_by
        with reading(self.path):
            lines = read_lines(self.path) if self.path.exists() else []
        self.entries: dict[str, dict[str, Any]] = {line["result"]: line for line in lines if "result" in line}

    def protect(self, items: Sequence[Item]) -> None:
        """Raises: RunError if a result would overwrite what was not written here, or was changed since."""
        foreign = [str(item.target) for item in items if item.target.exists() and not self._is_ours(item)]
        if foreign:
            more = f" and {len(foreign) - 3:,} more" if len(foreign) > 3 else ""
            raise RunError(
                f"{', '.join(foreign[:3])}{more}: there already, and not a result of this command: give another OUT"
            )

    def done(self, item: Item) -> bool:
        """Whether the result is there, and made of the same file by the same generator."""
        if self.made_by is None or not item.target.exists() or not self._is_ours(item):
            return False
        entry = self.entries[self._key(item)]
        return entry.get("of") == origin(item) and entry.get("by") == self.made_by

    def note(self, item: Item, written: Path) -> None:
        """Says that a file is about to become the result. It is said before, so that no result is ever unknown.

        Raises: RunError.
        """
        entry = {"result": self._key(item), "is": stamp(written.stat()), "of": origin(item), "by": self.made_by}
        with writing(self.folder), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.entries[self._key(item)] = entry

    def _is_ours(self, item: Item) -> bool:
        entry = self.entries.get(self._key(item))
        return entry is not None and entry.get("is") == stamp(item.target.stat())

    def _key(self, item: Item) -> str:
        return item.target.relative_to(self.folder).as_posix()


def stamp(status: stat_result) -> list[int]:
    """What changes when a file does."""
    return [status.st_size, status.st_mtime_ns]


def origin(item: Item) -> list[list[int] | None]:
    """What changes when the picture or its mask does."""
    return [stamp(item.source.stat()), None if item.mask is None else stamp(item.mask.stat())]


def identity(weights: Path, *options: object) -> str:
    """What tells a generator, by the file of its weights, and its settings from all others; hexadecimal.

    Raises: RunError if the file cannot be read.
    """
    with reading(weights):
        return hashlib.sha256(json.dumps([checksum(weights), *options]).encode()).hexdigest()
