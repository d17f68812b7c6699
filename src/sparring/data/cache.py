"""Decoded pictures, or frames of clips, kept on disk by what they are: the next start does not decode them again.

FINGERPRINT.npy holds the pictures, FINGERPRINT.json what belongs to them. Both are written aside and renamed, the JSON
last: where it is, the rest is whole. Whatever does not fit together is taken for absent and made again.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import platformdirs
from numpy.typing import NDArray

from sparring.data import memory

HEADER = 128
"""Bytes of the header of our .npy files: fixed, so that it can be written when the number of pictures is known."""


@dataclass(frozen=True)
class Decoded:
    """The usable pictures of a set, uint8 (N, C, H, W), and why each other item is not among them."""

    images: NDArray[np.uint8]
    skipped: dict[int, str]
    """Reasons by the item's place in its source."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else belongs to them, as JSON can say it."""


def folder() -> Path:
    """Where decoded pictures are kept: $SPARRING_CACHE, or the system's place for caches."""
    return Path(os.environ.get("SPARRING_CACHE") or platformdirs.user_cache_dir("sparring"))


def find(fingerprint: str) -> Decoded | None:
    """What was kept, in memory if it fits, else memory-mapped; None if it is absent or damaged."""
    path = folder() / f"{fingerprint}.npy"
    try:
        about = json.loads(path.with_suffix(".json").read_text())
        if path.stat().st_size != about["bytes"]:
            return None
        if memory.fits(about["bytes"]):
            images = np.load(path, allow_pickle=False)
            if _hash(images) != about["hash"]:
                return None
        else:
            # Copy on write only because PyTorch asks for arrays that can be written; a hash would read all of it.
            images = np.load(path, mmap_mode="c", allow_pickle=False)
        if images.dtype != np.uint8 or images.ndim != 4:
            return None
        skipped = {int(index): str(why) for index, why in about["skipped"].items()}
        return Decoded(images, skipped, about.get("more", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None


class Writer:
    """Writes pictures one after the other into a .npy file whose length is known at the end only."""

    def __init__(self, stream: BinaryIO, shape: tuple[int, int, int]) -> None:
        self._stream = stream
        self._shape = shape
        self._hash = hashlib.blake2b(digest_size=20)
        self._bytes = 0
        stream.write(bytes(HEADER))

    def add(self, images: NDArray[np.uint8]) -> None:
        """One or more pictures, (C, H, W) or (n, C, H, W)."""
        content = np.ascontiguousarray(images).data.cast("B")
        self._hash.update(content)
        self._stream.write(content)
        self._bytes += len(content)

    def finish(self) -> dict[str, int | str]:
        """Completes the file; gives its size in bytes and the hash of its pictures."""
        count = self._bytes // int(np.prod(self._shape))
        about = repr({"descr": "|u1", "fortran_order": False, "shape": (count, *self._shape)})
        start = b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little")  # numpy.lib.format, version 1.0
        self._stream.seek(0)
        self._stream.write(start + about.encode().ljust(HEADER - 11) + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        return {"bytes": HEADER + self._bytes, "hash": self._hash.hexdigest()}


@contextmanager
def keeping(
    fingerprint: str,
    shape: tuple[int, int, int],
    skipped: Mapping[int, str],
    more: Mapping[str, Any] | None = None,
) -> Iterator[Writer]:
    """A writer whose pictures are kept under the fingerprint when the context ends well.

    `skipped` and `more`, as in `Decoded`, may be filled until then.

    Raises: OSError if the folder cannot be written, or the disk is full; nothing half written is left then.
    """
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    with aside(place / f"{fingerprint}.npy") as stream:
        writer = Writer(stream, shape)
        yield writer
        about = writer.finish()
    with aside(place / f"{fingerprint}.json") as stream:
        stream.write(json.dumps({**about, "skipped": skipped, "more": more or {}}).encode())


UMASK = os.umask(0o022)
os.umask(UMASK)
"""Of the process when this was loaded; there is no other way to read it than to set it."""


@contextmanager
def aside(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name when it is whole, and is removed if anything goes wrong before."""
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        Path(part).chmod(0o666 & ~UMASK)  # as any other new file; a temporary one is for its owner alone
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _hash(images: NDArray[np.uint8]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(images).data, digest_size=20).hexdigest()
