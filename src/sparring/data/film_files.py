"""Files, arrays and folders of frames as films: frames in order, with the moments at which they are shown.

Nothing in a file is trusted: what reads it goes by how it begins, and only by that, for some formats that FFmpeg could
find by itself name other files or addresses to read. Frames are decoded one after the other and never held.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.data.decode import Form, UnusableError, eight_bit, identify, reason
from sparring.data.sources import Opener

CONTAINERS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mov"),
    (4, b"moov", "mov"),
    (4, b"mdat", "mov"),
    (4, b"wide", "mov"),
    (4, b"free", "mov"),
    (4, b"skip", "mov"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (8, b"AVI ", "avi"),
    (0, b"OggS", "ogg"),
    (0, b"FLV\x01", "flv"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (0, b"\0\0\x01\xba", "mpeg"),
)
"""At which byte what stands in a file, and what FFmpeg calls its format."""

STILL = (b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF")
"""How files begin that Pillow reads, which may hold one picture or many; RIFF is WebP here, AVI being known by more."""

MAX_FRAME = 2**26
"""Largest frame, in pixels, that is decoded: twice 8K."""

RATE = 25.0
"""Frames a second of folders of frames and of arrays, which do not say."""

FASTEST = 60.0
"""Frames a second at most of films of which each frame has a length of its own; others keep what they have."""

MOST_RATE = 1000.0
"""Frames a second beyond which times are nonsense."""

MOST_HELD = 100
"""How many times as many moments as frames a film may have: beyond that its times are nonsense."""

LEAST_DELAY, USUAL_DELAY = 0.02, 0.1
"""Seconds: browsers show a frame of an animation that would be shorter than the first for the second."""

UNEVEN = 0.6
"""Of a frame's length, how far from even times a frame may be: they are often rounded, to milliseconds for instance."""

MOST_BELIEVED = 10_000_000
"""Frames that a header may claim: more than four days."""

Make = Callable[[], Image.Image]
"""Gives the pixels of a frame; at once, for they may be gone when the next frame is decoded."""


@dataclass(frozen=True)
class Header:
    """What a film says of itself, as far as it knows: how many frames, and how many a second."""

    frames: int
    rate: float


@dataclass(frozen=True)
class Timeline:
    """A film at even moments: `shown` (T,) int64, ascending, is the number of the frame seen at moment t / `rate`."""

    rate: float
    shown: NDArray[np.int64]

    @property
    def header(self) -> Header:
        """What a true one says."""
        return Header(len(self.shown), self.rate)


class Film(Protocol):
    """A film that is open."""

    def header(self) -> Header:
        """Without decoding more than the beginning. Raises: UnusableError."""

    def timeline(self) -> Timeline:
        """When each frame is shown. Raises: UnusableError."""

    def frames(self, first: int, form: Form | None) -> Iterator[tuple[int, Make]]:
        """The frames from number `first` on, or from one before it, with their numbers, ascending.

        form: what they will be brought to, so that no more pixels than needed are made; None: all pixels.

        Raises: UnusableError, and whatever broken content raises.
        """


def even(count: int, rate: float) -> Timeline:
    """All frames, each as long as the others."""
    return Timeline(rate, np.arange(count))


def timed(times: NDArray[np.float64], rate: float) -> Timeline:
    """Frames that are shown from `times` on, (T + 1,) seconds, of which the last is when the film ends.

    Even times, but for rounding, are kept frame by frame at their mean rate. Others are shown as a player does, at even
    moments as long as the median frame, but no more than `FASTEST`: a frame may come several times, or not at all.

    rate: where the times are nonsense: not ascending, too dense, or with one frame for nearly all of the time.
    """
    count = len(times) - 1
    lengths = np.diff(times)
    if not np.isfinite(times).all() or (lengths[:-1] <= 0).any():
        return even(count, rate)
    if count > 1:
        mean = float((times[-2] - times[0]) / (count - 1))
        if mean * MOST_RATE < 1:
            return even(count, rate)
        if np.abs(times[:-1] - times[0] - mean * np.arange(count)).max() <= UNEVEN * mean:
            return even(count, 1 / mean)
    length = max(float(np.median(lengths)), 1 / FASTEST)
    moments = max(1, round((times[-1] - times[0]) / length))
    if moments > MOST_HELD * count:
        return even(count, rate)
    # The middle of a moment, so that rounding of times moves no frame.
    at = times[0] + (np.arange(moments) + 0.5) * length
    return Timeline(1 / length, np.searchsorted(times[1:-1], at, side="right"))


class Encoded:
    """A film in a container that PyAV reads, while it is open: what belongs to one that is closed crashes."""

    def __init__(self, container: Any, stream: Any) -> None:
        self.container = container
        self.stream = stream
        self.ticks: list[int] = []
        """When each frame is shown, ascending; empty where the packets do not say, or were not read yet."""

    def header(self) -> Header:
        """As the container says, or from its length; of one that says neither, or nonsense, from its packets."""
        rate = self._rate()
        frames = self.stream.frames or round(rate * self._seconds())
        return Header(frames, rate) if 1 < frames <= MOST_BELIEVED else self.timeline().header

    @cached_property
    def _timeline(self) -> Timeline:
        ticks, ends = [], []
        packets = 0
        self._rewind()
        for packet in self.container.demux(self.stream):
            if packet.size and not getattr(packet, "is_discard", False):
                packets += 1
                if packet.pts is not None:
                    ticks.append(packet.pts)
                    ends.append(packet.pts + (packet.duration or 0))
        if packets < self.stream.frames:
            raise UnusableError(f"cut short: {packets:,} of {self.stream.frames:,} frames")
        if len(set(ticks)) < packets:
            return even(packets, self._rate())
        ticks.sort()
        self.ticks = ticks
        base = float(self.stream.time_base or 1)
        seconds = np.array([*ticks, max(ends)], np.float64) * base
        seconds[-1] = max(seconds[-1], seconds[-2] + 1 / self._rate())
        return timed(seconds, self._rate())

    def timeline(self) -> Timeline:
        """From the times of all packets, which are read and not decoded."""
        return self._timeline

    def frames(self, first: int, form: Form | None) -> Iterator[tuple[int, Make]]:
        """From the key frame before `first` on, or from the beginning where `timeline` found no times."""
        from av.video.reformatter import VideoReformatter

        reformatter = VideoReformatter()  # one for all frames: to make one takes as long as to decode a small frame
        if first and self.ticks:
            self.container.seek(self.ticks[first], stream=self.stream)
        else:
            self._rewind()
        numbers = {tick: number for number, tick in enumerate(self.ticks)}
        number = -1
        for tick, frame in self._decoded():
            known = numbers.get(tick) if tick is not None else None
            if known is None and numbers:
                continue  # comes with no packet: what was before the beginning
            number = number + 1 if known is None else known
            yield number, lambda frame=frame: picture_of(frame, reformatter, self._shown, form)  # type: ignore[misc]

    def _decoded(self) -> Iterator[tuple[int | None, Any]]:
        for frame in self.container.decode(self.stream):
            if frame.width * frame.height > MAX_FRAME:
                raise UnusableError(f"too large: {frame.width}x{frame.height} pixels, limit {MAX_FRAME:,}")
            if frame.is_corrupt:
                raise UnusableError("damaged: a frame cannot be decoded whole")
            yield frame.pts, frame

    def _rewind(self) -> None:
        self.container.seek(self.stream.start_time or 0, stream=self.stream)

    def _rate(self) -> float:
        rate = self.stream.average_rate or self.stream.guessed_rate or RATE
        return float(rate) if 0.001 <= rate <= MOST_RATE else RATE

    def _seconds(self) -> float:
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        return (self.container.duration or 0) / 1e6

    def _shown(self, width: int, height: int) -> tuple[int, int]:
        """Width and height before rotation, with square pixels."""
        aspect = self.stream.sample_aspect_ratio
        return (max(1, round(width * aspect)) if aspect and 0.25 <= aspect <= 4 else width), height


def rotation(frame: Any) -> int:
    """Degrees by which a frame is to be turned against the clock, in quarters: 0, 90, 180 or -90."""
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4
    return (0, 90, 180, -90)[quarters]


QUARTERS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, -90: Image.Transpose.ROTATE_270}


def picture_of(
    frame: Any, reformatter: Any, shown: Callable[[int, int], tuple[int, int]], form: Form | None
) -> Image.Image:
    """A decoded frame as L, RGB or RGBA, with square pixels and the right way up.

    form: a frame much larger is reduced while its colours are converted, to twice what the form keeps of it.
    """
    width, height = shown(frame.width, frame.height)
    smoothly = "BILINEAR"
    if form is not None:
        scale = 2 * max(form.width, form.height) / min(width, height)
        if scale < 0.75:
            width, height, smoothly = math.ceil(scale * width), math.ceil(scale * height), "AREA"
    components = frame.format.components
    transparent = any(component.is_alpha for component in components)
    format = "rgba" if transparent else "gray" if len(components) == 1 and not frame.format.has_palette else "rgb24"
    converted = reformatter.reformat(frame, width, height, format=format, interpolation=smoothly, threads=1)
    picture = Image.fromarray(converted.to_ndarray())
    turn = QUARTERS.get(rotation(frame))
    return picture if turn is None else picture.transpose(turn)


@dataclass(frozen=True)
class Animation:
    """A GIF, WebP or PNG file of several frames."""

    picture: Image.Image

    def header(self) -> Header:
        """As the file says, but for the lengths of the frames."""
        with silent():
            count = getattr(self.picture, "n_frames", 1)
            if count < 2:
                raise UnusableError("one frame: a picture, not a clip")
            delays = self._delays(min(count, 2))
        return Header(count, 1 / float(np.mean(delays)))

    def timeline(self) -> Timeline:
        """From the lengths of the frames."""
        with silent():
            delays = self._delays(getattr(self.picture, "n_frames", 1))
        return timed(np.concatenate([[0.0], np.cumsum(delays)]), 1 / float(np.median(delays)))

    def frames(self, first: int, form: Form | None) -> Iterator[tuple[int, Make]]:
        """Each as it is seen, put together from what changes."""
        for number in range(first, getattr(self.picture, "n_frames", 1)):
            self.picture.seek(number)
            yield number, lambda: eight_bit(self.picture.copy())

    def _delays(self, count: int) -> list[float]:
        delays = []
        for number in range(count):
            self.picture.seek(number)
            if self.picture.format == "WEBP":
                self.picture.load()  # which is when it knows
            delays.append(float(self.picture.info.get("duration") or 0) / 1000)
        self.picture.seek(0)
        return [delay if delay >= LEAST_DELAY - 1e-6 else USUAL_DELAY for delay in delays]


@dataclass(frozen=True)
class Numbered:
    """Pictures that are the frames of one film."""

    files: Sequence[Opener[BinaryIO]]
    names: Sequence[str]
    rate: float

    def header(self) -> Header:
        """As many as there are files."""
        return Header(len(self.files), self.rate)

    def timeline(self) -> Timeline:
        """Even."""
        return even(len(self.files), self.rate)

    def frames(self, first: int, form: Form | None) -> Iterator[tuple[int, Make]]:
        """One file after the other."""
        for number in range(first, len(self.files)):
            yield number, lambda number=number: self._open(number)  # type: ignore[misc]

    def _open(self, number: int) -> Image.Image:
        try:
            with self.files[number]() as stream:
                picture = identify(stream)
                picture.load()
                return picture
        except Exception as error:  # as in `parallel.each`, but that the frame is named
            raise UnusableError(f"{self.names[number]}: {reason(error)}") from error


@dataclass(frozen=True)
class Row:
    """A clip of an array, uint8 (T, H, W) or (T, H, W, C)."""

    array: NDArray[np.uint8]
    rate: float

    def header(self) -> Header:
        """From the shape."""
        return Header(len(self.array), self.rate)

    def timeline(self) -> Timeline:
        """Even."""
        return even(len(self.array), self.rate)

    def frames(self, first: int, form: Form | None) -> Iterator[tuple[int, Make]]:
        """One after the other."""
        for number in range(first, len(self.array)):
            yield number, lambda number=number: self._picture(number)  # type: ignore[misc]

    def _picture(self, number: int) -> Image.Image:
        frame = np.ascontiguousarray(self.array[number])
        return Image.fromarray(frame[..., 0] if frame.ndim == 3 and frame.shape[-1] == 1 else frame)


@contextmanager
def film_in(file: Opener[BinaryIO], threads: int = 1) -> Iterator[Film]:
    """The film in a file, by how it begins.

    threads: for decoding, where there are fewer files than cores.

    Raises: UnusableError, and whatever broken content raises.
    """
    with file() as stream:
        start = stream.read(16)
        stream.seek(0)
        if not start:
            raise UnusableError("empty file")
        format = next((name for place, mark, name in CONTAINERS if start.startswith(mark, place)), None)
        if format is not None:
            with encoded(stream, format, threads) as film:
                yield film
        elif start.startswith(STILL):
            picture = identify(stream)
            if picture.width * picture.height > MAX_FRAME:
                raise UnusableError(f"too large: {picture.width}x{picture.height} pixels, limit {MAX_FRAME:,}")
            yield Animation(picture)
        else:
            raise UnusableError("not a film: not the content of an MP4, MOV, WebM, MKV, AVI, GIF or other known film")


class Quiet:
    """A stream for PyAV, which prints what `seek` raises when a broken file sends it astray, and goes by -1 as well."""

    def __init__(self, stream: BinaryIO) -> None:
        self.read = stream.read
        self.tell = stream.tell
        self._seek = stream.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """The new place, or -1."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError):
            return -1


@contextmanager
def encoded(stream: BinaryIO, format: str, threads: int) -> Iterator[Encoded]:
    """A film that PyAV reads from a seekable stream."""
    try:
        import av
    except ImportError:
        raise UnusableError('needs PyAV: pip install "sparring[video]"') from None
    try:
        with av.open(Quiet(stream), format=format, metadata_errors="replace") as container:
            pictures = [
                each
                for each in container.streams.video
                if not (each.disposition & av.stream.Disposition.attached_pic) and each.codec_context is not None
            ]
            if not pictures:
                raise UnusableError("there is no picture in it, or of a kind that is not known")
            shown = pictures[0]
            codec = shown.codec_context
            if codec.width * codec.height > MAX_FRAME:
                raise UnusableError(f"too large: {codec.width}x{codec.height} pixels, limit {MAX_FRAME:,}")
            if codec.codec_tag in ("encv", "drmi"):
                raise UnusableError("encrypted")
            codec.thread_count = threads
            codec.thread_type = "AUTO" if threads > 1 else "SLICE"  # of frames, too: one alone has few slices
            with suppress(AttributeError, ValueError):
                codec.options = {"max_pixels": str(MAX_FRAME)}
            yield Encoded(container, shown)
    except av.error.FFmpegError as error:
        raise UnusableError(f"damaged: {error.strerror or error}") from error


@contextmanager
def silent() -> Iterator[None]:
    """Without Pillow's warnings about broken metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def steps(numbers: Sequence[int]) -> str | None:
    """What is wrong with the numbers of frames, ascending; None if each is as far from the next as the others."""
    gaps = [after - before for before, after in pairwise(numbers)]
    usual = min(gaps, default=1)
    if not usual:
        return f"two files are frame {numbers[gaps.index(0)]}"
    for before, gap in zip(numbers, gaps, strict=False):
        if gap != usual:
            return f"frames are missing: {before} is followed by {before + gap}"
    return None
