"""Clips as files: a film each, all side by side in one film, one array, or a picture of their frames.

Clips come as iterators of their parts, uint8 (t, C, H, W), so that long ones go into the file as they are made.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring.errors import SettingError
from sparring.films import FILMS, MOST_OF_GIF, frame_rate, need_av, write_film
from sparring.mosaic import grid
from sparring.output import CLIP_FILES, channels_last, check_place, numbered
from sparring.provenance import png_texts
from sparring.training.files import writing

Format = Literal["mp4", "gif", "frames"]
Film = Iterable[Tensor]

SHEET = 16
"""Frames of a clip that one picture shows in a row, at most."""

MOST_SIDE_BY_SIDE = 100
"""Clips in one film, at most."""


def check_clips(path: Path, n: int, frames: int, fps: float, format: str | None = None) -> None:
    """Raises: SettingError or RunError if such clips cannot be written there so, said before they are made."""
    if format not in (None, *get_args(Format)):
        raise SettingError(f"format={format}: clips are written as {', '.join(get_args(Format))}")
    check_place(path, "clips")
    ending = path.suffix.lower()
    if ending in CLIP_FILES:
        if format is not None:
            raise SettingError(f"format={format} is for a folder of clips, and {path.name} says what it is by its end")
        if ending in FILMS and n > MOST_SIDE_BY_SIDE:
            raise SettingError(f"{path}: {n:,} clips side by side are too small to see: give a folder for a file each")
    else:
        ending = {"gif": ".gif", "frames": ""}.get(format or "", ".mp4")
    if ending in FILMS:
        frame_rate(Path(f"film{ending}"), fps)
    if ending == ".gif" and frames > MOST_OF_GIF:
        raise SettingError(
            f"{path}: a GIF of {frames:,} frames takes too much memory, more than {MOST_OF_GIF:,}: .mp4 does not"
        )
    if ending == ".mp4":
        need_av()


def write_clips(
    films: Iterable[Film],
    shape: tuple[int, ...],
    path: Path,
    fps: float,
    marks: Mapping[str, str],
    format: Format | None = None,
    start: int = 0,
) -> None:
    """Writes clips of one shape (N, T, C, H, W) by the ending of `path`.

    `.mp4` and `.gif`: one film, all clips side by side. `.npy`: uint8 (N, T, H, W, C). `.png`: a row of frames for each
    clip. Anything else: a folder, with a film each; format: mp4 if None; frames: a folder of PNG files each. A file is
    there whole or not at all. start: the number of the first clip, which the files of a folder tell.

    Raises: as `check_clips`; RunError if it cannot be written.
    """
    n, frames, *of_frame = shape
    check_clips(path, n, frames, fps, format)
    with writing(path.parent):
        match path.suffix.lower():
            case ".mp4" | ".gif":
                write_film(next(iter(films)) if n == 1 else side_by_side(films), path, fps, marks)
            case ".npy":
                write_array(films, (n, frames, *of_frame), path)
            case ".png":
                write_sheet(films, frames, path, marks)
            case _:
                path.mkdir(exist_ok=True)
                for number, film in enumerate(films):
                    told = {**marks, "Index": str(start + number)}
                    name = path / numbered(number, n)
                    if format == "frames":
                        write_frames(film, frames, name, told)
                    else:
                        write_film(film, name.with_suffix(f".{format or 'mp4'}"), fps, told)


def write_array(films: Iterable[Film], shape: tuple[int, ...], path: Path) -> None:
    """An array uint8 (N, T, H, W, C), part by part."""
    n, frames, channels, height, width = shape
    aside = path.with_name(f".{path.stem}.new.npy")
    try:
        array = np.lib.format.open_memmap(aside, "w+", np.uint8, (n, frames, height, width, channels))
        for row, film in zip(array, films, strict=True):
            at = 0
            for part in film:
                row[at : at + len(part)] = channels_last(part)
                at += len(part)
        array.flush()
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_frames(film: Film, frames: int, folder: Path, marks: Mapping[str, str]) -> None:
    """A folder of PNG files, whose numbers are those of the frames."""
    folder.mkdir()
    pictures = itertools.chain.from_iterable(channels_last(part) for part in film)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(
            folder / f"{numbered(number, frames)}.png", pnginfo=png_texts(marks)
        )


def write_sheet(films: Iterable[Film], frames: int, path: Path, marks: Mapping[str, str]) -> None:
    """One picture: a row for each clip, of frames evenly in time."""
    chosen = spread(frames)
    rows = []
    for film in films:
        pictures = itertools.chain.from_iterable(part.unbind() for part in film)
        rows += [picture for number, picture in enumerate(pictures) if number in chosen]
    aside = path.with_name(f".{path.stem}.new.png")
    try:
        grid(torch.stack(rows), len(chosen)).save(aside, pnginfo=png_texts(marks))
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sheet(clips: Tensor) -> Image.Image:
    """Clips uint8 (n, T, C, H, W) as one picture: a row for each, of frames evenly in time."""
    chosen = spread(clips.shape[1])
    return grid(clips[:, chosen].flatten(0, 1), len(chosen))


def spread(frames: int) -> list[int]:
    """Which of so many frames a row shows, the first and the last among them."""
    count = min(frames, SHEET)
    return [round(place * (frames - 1) / max(count - 1, 1)) for place in range(count)]


def side_by_side(films: Iterable[Film], side: int | None = None) -> Iterator[Tensor]:
    """Clips that play at the same time: parts (t, C, h, w) of one film.

    Each is enlarged to about `side` pixels, or all together as `mosaic.grid` does.
    """
    for parts in zip(*films, strict=True):
        scale = None if side is None else max(1, side // max(parts[0].shape[2:]))
        moments = (torch.stack(moment) for moment in zip(*parts, strict=True))
        yield torch.stack([as_tensor(grid(moment, scale=scale)) for moment in moments])


def as_tensor(picture: Image.Image) -> Tensor:
    """A picture as uint8 (C, H, W)."""
    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
