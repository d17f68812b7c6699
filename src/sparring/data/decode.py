"""From a stream of bytes to 8-bit pixels of the wanted size and channels, whatever the bytes are.

Nothing in a file is trusted: only the six formats below are parsed, sizes are checked before pixels are decoded, and
whatever goes wrong becomes an `UnusableError` with a reason for people.
"""

import math
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from sparring.errors import DataError

VERSION = 1
"""Goes up whenever the same file would give other pixels, so that pictures kept by an older version are made anew."""

MAX_PIXELS = 178_956_970
"""Largest picture that is decoded: 512 MiB as RGB. Pillow refuses from here on too."""

LARGE_PIXELS = 2**24
"""Pictures larger than this are decoded one at a time, so that many cores do not need many times their memory."""

FORMATS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"\xff\xd8\xff", JpegImageFile),
    (b"RIFF", WebPImageFile),
    (b"GIF8", GifImageFile),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
    (b"II+\0", TiffImageFile),
    (b"MM\0+", TiffImageFile),
)
"""How a file begins, and what reads it. The ending of its name does not matter here."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation (EXIF 2.3, tag 0x0112)."""

GLANCE = 256
"""Pixels a side that are looked at to tell a photograph."""

MOST_FLAT = 0.5
"""Share of neighbours of one colour from which on a picture is no photograph."""

GREYISH, LEAST_COLOUR = 8, 0.01
"""How far the channels of a grey pixel are apart at most, and the share of pixels that are not grey in a picture in
colour."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode for a number of channels."""

Fit = Literal["crop", "pad", "stretch"]
"""How a picture of another shape is brought to one of a form."""

_one_large = threading.Lock()


class UnusableError(Exception):
    """A picture that cannot be used; the message is a short reason without the picture's name."""


@dataclass(frozen=True)
class Form:
    """What every picture of a set is brought to."""

    height: int
    width: int
    channels: Literal[1, 3, 4]
    fit: Fit = "crop"


def channels_of(number: int) -> Literal[1, 3, 4]:
    """The number, if pictures can have so many channels.

    Raises: DataError.
    """
    match number:
        case 1 | 3 | 4:
            return number
        case _:
            raise DataError(f"pictures with {number} channels; they can be grey (1), RGB (3) or RGBA (4)")


def identify(stream: BinaryIO) -> Image.Image:
    """The picture in a seekable stream, of which only the header is read yet.

    Raises: UnusableError if it is none, or too large. Other errors come from broken headers: see `reason`.
    """
    start = stream.read(16)
    stream.seek(0)
    if not start:
        raise UnusableError("empty file")
    for signature, read in FORMATS:
        if start.startswith(signature):
            picture = read(stream)
            width, height = picture.size
            if width < 1 or height < 1:
                raise UnusableError(f"{width}x{height} pixels")
            if width * height > MAX_PIXELS:
                raise UnusableError(f"too large: {width}x{height} pixels, limit {MAX_PIXELS:,}")
            return picture
    raise UnusableError("not a picture: not the content of a PNG, JPEG, WebP, BMP, GIF or TIFF file")


def reason(error: Exception) -> str:
    """Why a picture is not used, in a few words, from whatever reading it raised."""
    if isinstance(error, UnusableError):
        return str(error)
    if isinstance(error, MemoryError):
        return "too large for the memory"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if "truncated" in str(error).lower():
        return "cut short"
    words = " ".join(str(error).split()) or type(error).__name__
    return "damaged: " + (words if len(words) <= 80 else words[:77] + "...")


def size_as_shown(picture: Image.Image) -> tuple[int, int]:
    """Width and height after rotation, from the header alone."""
    width, height = picture.size
    if isinstance(picture, TiffImageFile):  # some versions of Pillow turn its size already, some do not
        width, height = picture.tag_v2[256], picture.tag_v2[257]
    if isinstance(picture, PngImageFile) and "exif" not in picture.info:
        return width, height  # it may stand behind the pixels, which are not read here
    return (height, width) if _orientation(picture) >= 5 else (width, height)


def eight_bit(picture: Image.Image) -> Image.Image:
    """The whole picture decoded and the right way up, as L, RGB or RGBA with 8 bits a channel.

    16-bit grey is divided by 257, that is 65535 -> 255. Larger integers are divided so that 2^31 - 1 -> 255.
    Floats are taken for 0-1 if none is above 1, else for 0-255. CMYK is converted without its colour profile.
    """
    large = picture.width * picture.height > LARGE_PIXELS
    with _one_large if large else nullcontext():
        picture.load()
        turn = TURNS.get(_orientation(picture))
        if picture.mode.startswith("I") or picture.mode == "F":
            picture = Image.fromarray(_grey(np.asarray(picture)))
        elif picture.has_transparency_data:
            picture = picture.convert("RGBA")
        elif picture.mode not in ("L", "RGB"):
            picture = picture.convert("L" if picture.mode == "1" else "RGB")
        return picture if turn is None else picture.transpose(turn)


def see_through(picture: Image.Image) -> bool:
    """Whether any pixel is transparent, at least in part. Decodes the picture if it has an alpha channel."""
    if not picture.has_transparency_data:
        return False
    whole = eight_bit(picture)
    return whole.mode == "RGBA" and whole.getchannel("A").getextrema() != (255, 255)


def photographic(picture: Image.Image) -> bool:
    """Whether the pixels are those of a photograph in colour, opaque or not: neighbours differ, and some have colour.

    Drawings, diagrams and sprites have areas of one colour, where noise and shading of a photograph leave none: of
    horizontal neighbours a twentieth are the same there, as a median over landscapes, against two thirds among drawn
    shapes. What JPEG made of small drawings may look photographic. Of large pictures the middle is looked at.
    """
    if isinstance(picture, JpegImageFile):
        picture.draft("RGB", (GLANCE, GLANCE))
    whole = eight_bit(picture)
    if whole.mode not in ("RGB", "RGBA"):
        return False
    left, top = ((side - GLANCE) // 2 for side in whole.size)
    middle = whole.crop((max(left, 0), max(top, 0), whole.width - max(left, 0), whole.height - max(top, 0)))
    colours = np.asarray(middle.convert("RGB"), dtype=np.int16)
    same = (np.diff(colours, axis=1) == 0).all(axis=2)
    coloured = np.ptp(colours, axis=2) > GREYISH
    return bool(same.size and same.mean() < MOST_FLAT and coloured.mean() > LEAST_COLOUR)


def pixels(picture: Image.Image, form: Form) -> NDArray[np.uint8]:
    """The picture as uint8 (C, H, W) in the wanted form. Transparency lies over white where alpha is not wanted."""
    if isinstance(picture, JpegImageFile):
        # JPEG decodes to 1/2, 1/4 or 1/8 for a fraction of the time; twice the final size keeps all its detail.
        scale = max(form.width, form.height) / min(picture.size)
        picture.draft(picture.mode, (math.ceil(2 * scale * picture.width), math.ceil(2 * scale * picture.height)))
    picture = in_channels(eight_bit(picture), form.channels)
    size = (form.width, form.height)
    if picture.size == size:
        array = np.asarray(picture)
    elif form.fit == "stretch":
        array = np.asarray(_resize(picture, size))
    elif form.fit == "crop":
        array = np.asarray(_resize(picture, size, _centre(picture.size, size)))
    else:
        array = _pad(picture, form)
    return np.ascontiguousarray(array.reshape(form.height, form.width, form.channels).transpose(2, 0, 1))


def whole(picture: Image.Image, channels: int, size: Callable[[int, int], tuple[int, int]]) -> NDArray[np.uint8]:
    """The whole picture as uint8 (C, h, w), where `size` gives (h, w) for its height and width.

    channels: 1, 3 or 4. Transparency lies over white where alpha is not wanted.
    """
    width, height = size_as_shown(picture)
    if isinstance(picture, JpegImageFile):
        wanted = max(size(height, width))
        picture.draft(picture.mode, (2 * wanted, 2 * wanted))
    picture = in_channels(eight_bit(picture), channels)
    if picture.size != (width, height):  # JPEG was read smaller, or was turned by what stands behind the pixels
        turned = (picture.width < picture.height) != (width < height)
        width, height = (height, width) if turned else (width, height)
    height, width = size(height, width)
    if picture.size != (width, height):
        picture = _resize(picture, (width, height))
    return np.ascontiguousarray(np.asarray(picture).reshape(height, width, channels).transpose(2, 0, 1))


def in_channels(picture: Image.Image, channels: int) -> Image.Image:
    """An 8-bit picture with 1, 3 or 4 channels. Transparency lies over white where alpha is not wanted."""
    if picture.mode == "RGBA" and channels != 4:
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture)
        picture = white.convert("RGB")
    return picture if picture.mode == MODES[channels] else picture.convert(MODES[channels])


def _orientation(picture: Image.Image) -> int:
    try:
        found = picture.getexif().get(0x0112, 1)
    except Exception:  # broken EXIF raises all sorts of errors, and is no reason to lose a good picture
        return 1
    return found if isinstance(found, int) else 1


def _grey(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 255):  # so that NaN is refused too
            raise UnusableError(f"floating-point values from {low:g} to {high:g}; 0 to 1 or 0 to 255 can be used")
        scale = 255.0 if high <= 1 else 1.0
    else:
        scale = 1 / 257 if int(values.max()) <= 65535 else 255 / (2**31 - 1)
    return np.rint(values.astype(np.float64) * scale).clip(0, 255).astype(np.uint8)


def _resize(
    picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    # Lanczos over the whole footprint antialiases; the gap lets it shrink by averaging first, down to 3 times the size.
    return picture.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _centre(whole: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest centred box of the proportions of `size`."""
    scale = max(size[0] / whole[0], size[1] / whole[1])
    width, height = min(whole[0], size[0] / scale), min(whole[1], size[1] / scale)
    left, top = (whole[0] - width) / 2, (whole[1] - height) / 2
    return left, top, left + width, top + height


def _pad(picture: Image.Image, form: Form) -> NDArray[np.uint8]:
    """The whole picture in the middle of a canvas of the mean colour of the two edges that the bars touch.

    Black bars would be something for the discriminator to look at; these vanish on a plain background of any colour.
    """
    scale = min(form.width / picture.width, form.height / picture.height)
    width, height = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
    inner = np.asarray(_resize(picture, (width, height))).reshape(height, width, form.channels)
    edges = inner[[0, -1]] if height < form.height else inner[:, [0, -1]]
    canvas = np.empty((form.height, form.width, form.channels), np.uint8)
    canvas[:] = np.rint(edges.mean(axis=(0, 1)))
    top, left = (form.height - height) // 2, (form.width - width) // 2
    canvas[top : top + height, left : left + width] = inner
    return canvas
