"""Pictures in NumPy arrays: .npy and .npz files."""

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.data import memory
from sparring.data.sources import Open, Progress, Source, file_digest
from sparring.errors import DataError

LAYOUTS = "(N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels C"


def npy(path: Path) -> Source:
    """The pictures in a .npy file, which stays on disk.

    Raises: DataError if it is damaged, holds Python objects, or no pictures.
    """
    return _source(path, mapped(path), None)


def npz(path: Path) -> Source:
    """The pictures in a .npz file: its array `images`, or its only one, with `labels` (N,) if it has them.

    Raises: DataError if it is damaged, too large for the memory, holds Python objects, or no pictures.
    """
    images, labels = unpacked(path, "images", "pictures")
    return _source(path, images, None if labels is None else _classes(path, labels, len(images)))


def mapped(path: Path) -> NDArray[np.generic]:
    """The array in a .npy file, which stays on disk.

    Raises: DataError if it is damaged or holds Python objects.
    """
    try:
        array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy's header is Python source: broken ones raise all sorts of errors
        raise _unreadable(path, error) from error
    return array


def unpacked(path: Path, name: str, things: str) -> tuple[NDArray[np.generic], NDArray[np.generic] | None]:
    """The array called `name` in a .npz file, or its only one, and that called `labels`; things: what people call them.

    Raises: DataError if it is damaged, too large for the memory, or holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > memory.available() // 2:
            raise DataError(f"{path}: {size:,} bytes do not fit into memory; save the {things} as .npy, which need not")
        with np.load(path, allow_pickle=False) as arrays:
            names = [each for each in arrays.files if each != "labels"]
            wanted = name if name in names else names[0] if len(names) == 1 else None
            if wanted is None:
                raise DataError(f"{path}: holds {', '.join(arrays.files) or 'nothing'}; name the {things} `{name}`")
            return arrays[wanted], arrays["labels"] if "labels" in arrays.files else None
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def array_source(
    name: str,
    images: NDArray[np.generic],
    labels: Sequence[str] | None,
    digest: str,
    cached: bool = True,
) -> Source:
    """A source over pictures (N, H, W) or (N, H, W, C) in memory or memory-mapped."""

    def open_row(index: int) -> AbstractContextManager[Image.Image]:
        row = _eight_bit(images[index])
        return nullcontext(Image.fromarray(row[..., 0] if row.ndim == 3 and row.shape[-1] == 1 else row))

    @contextmanager
    def pictures() -> Iterator[Iterable[Open]]:
        yield (partial(open_row, index) for index in range(len(images)))

    def digested(progress: Progress | None) -> str:
        return digest

    items = [str(index) for index in range(len(images))]
    return Source(name, items, pictures, digested, labels=labels, cached=cached)


def _source(path: Path, array: NDArray[np.generic], labels: Sequence[str] | None) -> Source:
    images = _pictures_last(path, array)
    _check_values(path, images)
    return array_source(str(path), images, labels, file_digest(path).hex())


def _pictures_last(path: Path, array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The array as (N, H, W) or (N, H, W, C); channels are taken to be last where both places are possible."""
    shape = array.shape
    if 0 in shape:
        raise DataError(f"{path}: the array {shape} is empty")
    if array.ndim == 3 and shape[-1] in (3, 4):
        raise DataError(f"{path}: the array {shape} is one picture, or very narrow ones; pictures are {LAYOUTS}")
    if array.ndim == 3 or (array.ndim == 4 and shape[-1] in (1, 3, 4)):
        return array
    if array.ndim == 4 and shape[1] in (1, 3, 4):
        return array.transpose(0, 2, 3, 1)
    raise DataError(f"{path}: the array has shape {shape}; pictures are {LAYOUTS}")


def _check_values(path: Path, images: NDArray[np.generic]) -> None:
    if images.dtype in (np.uint8, np.uint16, np.bool_):
        return
    if images.dtype.kind == "f":
        low, high = np.array([(row.min(), row.max()) for row in images], np.float64).T
        if low.min() >= 0 and high.max() <= 1:  # neither holds for NaN
            return
        found = f"floats from {low.min():g} to {high.max():g}"
    else:
        found = str(images.dtype)
    raise DataError(f"{path}: the values are {found}; they can be uint8, uint16, bool, or floats from 0 to 1")


def _eight_bit(row: NDArray[np.generic]) -> NDArray[np.uint8]:
    if row.dtype == np.uint8:
        return np.ascontiguousarray(row, np.uint8)
    scale = {"b": 255.0, "u": 1 / 257, "f": 255.0}[row.dtype.kind]
    return np.rint(row.astype(np.float64) * scale).astype(np.uint8)


def _classes(path: Path, labels: NDArray[np.generic], count: int) -> list[str]:
    if labels.size != count or labels.dtype.kind not in "iuUb":
        raise DataError(
            f"{path}: labels are {labels.dtype} {labels.shape} for {count} pictures; they must be one integer or "
            "string each"
        )
    return [str(label) for label in labels.reshape(-1)]


def _unreadable(path: Path, error: Exception) -> DataError:
    if "pickle" in str(error) or "Python objects" in str(error):
        return DataError(f"{path}: holds Python objects, which are never loaded; save a plain array of numbers")
    return DataError(f"{path}: not a whole {path.suffix} file ({' '.join(str(error).split())[:80]})")
