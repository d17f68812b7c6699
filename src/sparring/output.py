"""Samples as files: one grid, one array, or one picture each."""

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from sparring.errors import RunError
from sparring.mosaic import grid

OTHER_FILES = {".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".txt", ".zip"}
"""Endings that a file is meant by, and that samples are not written as; whatever has another one is a folder."""


def check_place(path: Path) -> None:
    """Raises: RunError if samples cannot be written there, said before they are made."""
    ending = path.suffix.lower()
    try:
        if ending in OTHER_FILES:
            raise RunError(f"{path}: samples are written as .png, .npy, .npz or into a folder, not as {ending}")
        if not is_file(path) and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path}: is there already and not an empty folder; give another --out")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None


def is_file(path: Path) -> bool:
    """Whether samples go into one file."""
    return path.suffix.lower() in (".png", ".npy", ".npz")


def write_samples(pictures: Tensor, path: Path) -> None:
    """Writes uint8 (N, C, H, W) to `path`, by its ending.

    `.png`: one grid. `.npy` and `.npz` (key `images`): uint8 (N, H, W, C). Anything else: a folder of PNG files, whose
    numbers are those of the samples. A file is replaced whole.

    Raises: RunError if it cannot be written, or a folder holds files already.
    """
    check_place(path)
    aside = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        if is_file(path):
            write_file(pictures, aside)
            aside.replace(path)
        else:
            write_folder(pictures, path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        aside.unlink(missing_ok=True)


def write_file(pictures: Tensor, path: Path) -> None:
    """One grid or one array."""
    match path.suffix.lower():
        case ".png":
            grid(pictures).save(path)
        case ".npy":
            np.save(path, channels_last(pictures))
        case ".npz":
            np.savez_compressed(path, images=channels_last(pictures))


def write_folder(pictures: Tensor, folder: Path) -> None:
    """One PNG for each picture."""
    folder.mkdir(exist_ok=True)
    digits = max(5, len(str(len(pictures))))
    for number, picture in enumerate(channels_last(pictures)):
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(
            folder / f"{number:0{digits}d}.png"
        )


def channels_last(pictures: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(N, C, H, W) as an array (N, H, W, C)."""
    return np.ascontiguousarray(pictures.permute(0, 2, 3, 1).numpy())
