"""Files that are whole or not there, and errors of the disk as sentences."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from sparring.errors import RunError


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what a disk can refuse into a sentence.

    Raises: RunError.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{folder}: cannot be written: {reason}; what was saved before is whole") from error


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turns what a disk can refuse into a sentence.

    Raises: RunError.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{folder}: cannot be read: {error.strerror or error}") from None


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises: RunError if it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file; a last line that a crash cut short is left out."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line))
    return lines


def write_json(path: Path, values: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all.

    Raises: RunError.
    """
    aside = path.with_name(f".{path.name}.new")
    with writing(path.parent):
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Waits until a file or folder is on the disk, where the system can do that for what is open for reading."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
