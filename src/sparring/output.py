"""Samples as files: one grid, one array, one text a line, or a file each."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from torch import Tensor

from sparring.errors import RunError
from sparring.mosaic import grid
from sparring.provenance import png_texts
from sparring.training.files import write_text

PICTURE_FILES = (".png", ".npy", ".npz")
TEXT_FILES = (".txt", ".jsonl")
MOLECULE_FILES = (".smi", ".csv", ".sdf", ".png", ".html")
CLIP_FILES = (".mp4", ".gif", ".npy", ".png")
FILES = {"pictures": PICTURE_FILES, "texts": TEXT_FILES, "molecules": MOLECULE_FILES, "clips": CLIP_FILES}
"""Endings of what is written into one file; of molecules see `chemistry.writing`, of clips `footage`."""

OTHER_FILES = {".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".zip", ".json"}
"""Endings that a file is meant by, and that samples are not written as; whatever has another one is a folder."""


def check_place(path: Path, kind: Literal["pictures", "texts", "molecules", "clips"] = "pictures") -> None:
    """Raises: RunError if samples cannot be written there, said before they are made."""
    ending, mine = path.suffix.lower(), FILES[kind]
    meant = {*OTHER_FILES, *(other for endings in FILES.values() for other in endings)}
    try:
        if ending not in mine and (ending in meant or kind == "molecules"):
            samples = "samples" if kind == "pictures" else kind
            folder = "" if kind == "molecules" else " or into a folder"
            raise RunError(f"{path}: {samples} are written as {', '.join(mine)}{folder}, not as {ending or 'a folder'}")
        if ending in mine and path.is_dir():
            raise RunError(f"{path}: is a folder, and its name is that of a file; give another --out")
        if ending not in mine and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path}: is there already and not an empty folder; give another --out")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None


def is_file(path: Path) -> bool:
    """Whether samples go into one file."""
    return path.suffix.lower() in (*PICTURE_FILES, *TEXT_FILES)


def ending_of(texts: Sequence[str]) -> str:
    """`.txt` for texts of one line each, `.jsonl` if one of them has several."""
    return ".jsonl" if any(map(has_lines, texts)) else ".txt"


def has_lines(text: str) -> bool:
    """Whether a text has several lines, by the line ends that `.txt` files are read by."""
    return "\n" in text or "\r" in text


def as_lines(texts: Sequence[str], ending: str) -> str:
    """Texts one a line: as they are for `.txt`, as JSON strings for `.jsonl`.

    Raises: RunError if a text of several lines is to be one of `.txt`.
    """
    if ending == ".jsonl":
        texts = [json.dumps(text, ensure_ascii=False) for text in texts]
    elif any(map(has_lines, texts)):
        raise RunError("these texts have several lines each: give --out an ending of .jsonl, or a folder")
    return "".join(f"{text}\n" for text in texts)


def write_texts(texts: Sequence[str], path: Path) -> None:
    """Writes texts by the ending of `path`: `.txt` one a line, `.jsonl` one JSON string a line, else a folder of files.

    Raises: RunError if it cannot be written, a folder holds files already, or a text does not fit on a line.
    """
    check_place(path, "texts")
    try:
        if is_file(path):
            write_text(path, as_lines(texts, path.suffix.lower()))
        else:
            path.mkdir(exist_ok=True)
            for number, text in enumerate(texts):
                (path / f"{numbered(number, len(texts))}.txt").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None


def numbered(number: int, count: int) -> str:
    """The name of the file of a sample, of `count` that sort by it."""
    return f"{number:0{max(5, len(str(count)))}d}"


def write_samples(pictures: Tensor, path: Path, marks: Mapping[str, str] | None = None) -> None:
    """Writes uint8 (N, C, H, W) to `path`, by its ending; `marks` into PNG files, as texts.

    `.png`: one grid. `.npy` and `.npz` (key `images`): uint8 (N, H, W, C). Anything else: a folder of PNG files, whose
    numbers are those of the samples. A file is replaced whole.

    Raises: RunError if it cannot be written, or a folder holds files already.
    """
    check_place(path)
    aside = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        if is_file(path):
            write_file(pictures, aside, marks or {})
            aside.replace(path)
        else:
            write_folder(pictures, path, marks or {})
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        aside.unlink(missing_ok=True)


def write_file(pictures: Tensor, path: Path, marks: Mapping[str, str]) -> None:
    """One grid or one array."""
    match path.suffix.lower():
        case ".png":
            grid(pictures).save(path, pnginfo=png_texts(marks))
        case ".npy":
            np.save(path, channels_last(pictures))
        case ".npz":
            np.savez_compressed(path, images=channels_last(pictures))


def write_folder(pictures: Tensor, folder: Path, marks: Mapping[str, str]) -> None:
    """One PNG for each picture, which says its number too if it says anything."""
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(channels_last(pictures)):
        texts = png_texts({**marks, "Index": str(number)} if marks else {})
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(
            folder / f"{numbered(number, len(pictures))}.png", pnginfo=texts
        )


def channels_last(pictures: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(N, C, H, W) as an array (N, H, W, C)."""
    return np.ascontiguousarray(pictures.permute(0, 2, 3, 1).numpy())
