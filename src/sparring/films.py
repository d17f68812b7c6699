"""Pictures one after another as a film: .mp4 by PyAV, .gif by Pillow."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.data.decode import in_channels
from sparring.errors import RunError, SettingError
from sparring.training.files import writing

FILMS = (".mp4", ".gif")
SLOWEST, FASTEST = 1, 120
"""Frames a second of a film."""

FASTEST_OF_GIF = 50
"""Viewers slow down a GIF that is faster."""

MOST_OF_GIF = 2000
"""Frames of a GIF, which are held in memory, a byte a pixel, until it is written."""

LEAST_SIDE = 256
"""Pixels of the longer side up to which a film is enlarged, pixel by pixel: players blur what is smaller."""

QUALITY = "18"
"""Constant rate factor of H.264: hardly to be told from the original."""

THREADS = "4"
"""Of x264, however many cores there are: it gives other bytes for another number of them."""

Frame = NDArray[np.uint8]


def frame_rate(path: Path, fps: float) -> Fraction:
    """Frames a second that the format can have: a GIF counts time in hundredths of a second.

    Raises: SettingError for another format, or a rate out of range.
    """
    kind = path.suffix.lower()
    if kind not in FILMS:
        raise SettingError(f"{path}: films are written as {' or '.join(FILMS)}")
    if not SLOWEST <= fps <= FASTEST:
        raise SettingError(f"fps={fps:g}: it should be from {SLOWEST} to {FASTEST}")
    if kind == ".gif":
        return Fraction(100, round(100 / min(fps, FASTEST_OF_GIF)))
    return Fraction(fps).limit_denominator(1001)


def write_film(pictures: Iterable[Tensor], path: Path, fps: float, marks: Mapping[str, str]) -> None:
    """Writes uint8 pictures, in parts (n, C, H, W), as a film; a film is there whole or not at all.

    marks: what made it, as `provenance.marks`, which becomes the comment of the file. A GIF plays again and
    again. What is transparent is white.

    Raises: SettingError as `frame_rate`, or if there is no PyAV for .mp4; RunError if it cannot be written.
    """
    rate = frame_rate(path, fps)
    frames = (frame for part in pictures for frame in as_frames(part))
    told = "; ".join(f"{name}: {text}" for name, text in marks.items())
    aside = path.with_name(f".{path.stem}.new{path.suffix}")
    with writing(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            (write_gif if path.suffix.lower() == ".gif" else write_mp4)(frames, aside, rate, told)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def as_frames(pictures: Tensor) -> Iterator[Frame]:
    """Pictures uint8 (n, C, H, W) as RGB (h, w, 3), enlarged pixel by pixel to about 256."""
    scale = max(1, LEAST_SIDE // max(pictures.shape[2:]))
    for picture in pictures.permute(0, 2, 3, 1).numpy():
        rgb = np.asarray(in_channels(Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture), 3))
        yield rgb.repeat(scale, 0).repeat(scale, 1)


def write_gif(frames: Iterable[Frame], path: Path, rate: Fraction, told: str) -> None:
    """All frames at `rate`, for ever; each with colours of its own."""
    pictures = map(Image.fromarray, frames)
    next(pictures).save(
        path,
        "GIF",
        save_all=True,
        append_images=pictures,  # one after the other: Pillow keeps a third of what they take, a byte a pixel
        duration=round(1000 / rate),
        loop=0,
        comment=told.encode(),
    )


def write_mp4(frames: Iterable[Frame], path: Path, rate: Fraction, told: str) -> None:
    """H.264 in 4:2:0, which every browser plays; sides that are odd get their last row or column twice.

    Raises: SettingError if PyAV is missing.
    """
    av = need_av()
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            container.metadata["comment"] = told
            stream = container.add_stream("libx264", rate=rate, options={"crf": QUALITY, "threads": THREADS})
            stream.pix_fmt = "yuv420p"
            for number, frame in enumerate(frames):
                even = np.pad(frame, [(0, side % 2) for side in frame.shape[:2]] + [(0, 0)], "edge")
                if not number:
                    stream.height, stream.width = even.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            container.mux(stream.encode())
    except av.error.FFmpegError as error:
        raise RunError(f"{path.parent}: the film cannot be written: {error}") from None


def need_av() -> Any:
    """PyAV.

    Raises: SettingError that says how to get it, and what works without it.
    """
    try:
        import av
    except ImportError:
        raise SettingError(
            '.mp4 needs PyAV: pip install "sparring[video]"; .gif (--format gif) works without it'
        ) from None
    return av
