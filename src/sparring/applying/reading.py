"""A picture taken apart: its colours the right way up, its transparency, and what else in its file is to be kept."""

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from sparring.data.decode import TURNS, UnusableError, eight_bit, identify
from sparring.data.folders import MAX_FILE

ORIENTATION, EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x0112, 0x8769, 0x8825, 0xA005
"""Tags of EXIF 2.3: how the picture is to be turned, and the tables beside the first."""

RANGES = ((254, 259), (262, 266), (273, 273), (277, 281), (284, 284), (290, 293), (301, 301), (317, 325), (330, 330))
MORE_RANGES = ((332, 334), (336, 347), (512, 521), (529, 532), (34675, 34675))
LAYOUT = frozenset(tag for first, last in RANGES + MORE_RANGES for tag in range(first, last + 1))
"""Tags of TIFF 6.0 that tell how a file holds its pixels and of what colours they are: wrong in any other file."""

GREY = ("1", "L", "LA", "F")
"""Modes of pictures without colour; those of integers begin with I."""

SPACES = {b"GRAY": "L", b"RGB ": "RGB"}
"""What an ICC profile says that it is for (ICC.1:2010, 7.2.6), as a mode."""


@dataclass(frozen=True)
class Reading:
    """What a generator needs of a picture, and what its result is to be given back."""

    colours: Image.Image
    """L or RGB, upright."""
    alpha: Image.Image | None = None
    """L, of the same size; None for a picture that cannot be transparent."""
    exif: bytes = b""
    """Empty if there was none. The orientation has been carried out and is 1."""
    profile: bytes | None = None
    """ICC profile of the colours."""
    dpi: tuple[float, float] | None = None
    notices: tuple[str, ...] = ()
    """What is not as it was in the file."""
    kind: str = ""
    """PNG, JPEG, WEBP, BMP, GIF or TIFF, if it came out of a file."""
    lossless: bool = True
    """Whether the file's format keeps pixels as they are."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file that may be a picture. Pillow's warnings of what is odd in it are of no use to anybody.

    Raises: UnusableError if it is too large to be one; OSError.
    """
    with path.open("rb") as stream, warnings.catch_warnings(action="ignore"):
        size = path.stat().st_size
        if size > MAX_FILE:
            raise UnusableError(f"too large: {size:,} bytes, limit {MAX_FILE:,}")
        yield stream


def read(path: Path) -> Reading:
    """The picture in a file; of several in one file the first.

    Raises: UnusableError if there is none. Damaged files raise all sorts of errors; see `decode.reason`.
    """
    with opened(path) as stream:
        picture = identify(stream)
        reading, kind = take_apart(picture), picture.format or ""
        stream.seek(0)
        several = count(identify(stream)) > 1
        lossless = kind != "JPEG" and (kind != "WEBP" or lossless_webp(stream))
    more = ("it holds several pictures, of which the first was taken",) if several else ()
    return replace(reading, notices=reading.notices + more, kind=kind, lossless=lossless)


def read_mask(path: Path) -> Tensor:
    """The holes of a mask in a file, bool (H, W).

    Raises: as `read`.
    """
    with opened(path) as stream:
        return holes(identify(stream))


def holes(picture: Image.Image) -> Tensor:
    """Where a mask is brighter than 127 of 255, bool (H, W), upright. What is transparent in it is no hole."""
    whole = eight_bit(picture)
    if whole.mode == "RGBA":
        black = Image.new("RGBA", whole.size, "black")
        black.alpha_composite(whole)
        whole = black
    return torch.from_numpy(np.asarray(whole.convert("L")) > 127)


def take_apart(picture: Image.Image) -> Reading:
    """What is in a picture, of any of Pillow's modes that `eight_bit` takes.

    Raises: UnusableError, or whatever decoding raises.
    """
    notices = []
    mode = picture.mode
    if mode.startswith("I") or mode == "F" or any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ())):
        notices.append("its values became 8 bits a channel")
    picture.load()
    try:
        exif, orientation = kept_exif(picture)
    except Exception:  # broken EXIF raises all sorts of errors, and is no reason to lose a good picture
        exif, orientation = b"", 1
        notices.append("its EXIF data is damaged and was left out")
    profile = picture.info.get("icc_profile")
    if mode == "CMYK":
        upright, how = from_cmyk(picture, profile)
        notices.append(how)
        profile = None
        if orientation in TURNS:
            upright = upright.transpose(TURNS[orientation])
    else:
        upright = eight_bit(picture)
    alpha = upright.getchannel("A") if upright.mode == "RGBA" else None
    if upright.mode == "RGBA":
        upright = upright.getchannel("R") if mode in GREY else upright.convert("RGB")
    if profile and SPACES.get(profile[16:20]) != upright.mode:
        profile = None
        notices.append("its colour profile is for other colours and was left out")
    return Reading(upright, alpha, exif, profile or None, resolution(picture), tuple(notices))


def kept_exif(picture: Image.Image) -> tuple[bytes, int]:
    """The EXIF data of a loaded picture with orientation 1, and the orientation that it had.

    Raises: all sorts of errors if it is broken.
    """
    exif = picture.getexif()
    kept = Image.Exif()
    kept.endian = exif.endian  # which notes of makers follow without saying so
    for tag, value in exif.items():
        if tag in (EXIF_IFD, GPS_IFD):
            value = dict(exif.get_ifd(tag))
            if INTEROP_IFD in value:
                value[INTEROP_IFD] = dict(exif.get_ifd(INTEROP_IFD))
        if not (isinstance(picture, TiffImageFile) and tag in LAYOUT):
            kept[tag] = value
    orientation = exif.get(ORIENTATION, 1)
    if ORIENTATION in kept:
        kept[ORIENTATION] = 1
    return (kept.tobytes() if len(kept) else b""), orientation if isinstance(orientation, int) else 1


def from_cmyk(picture: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """A picture in printing inks as RGB, not yet turned, and how this came about."""
    if profile:
        try:
            inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(picture, inks, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ImportError):  # damaged, or Pillow was built without colour management
            pass
        else:
            assert made is not None  # as it is where nothing is changed in place
            return made, "its CMYK colours became sRGB by its colour profile"
    return picture.convert("RGB"), "its CMYK colours became RGB, without a colour profile only roughly the same"


def resolution(picture: Image.Image) -> tuple[float, float] | None:
    """Dots an inch across and down, if the file says so in a way that makes sense."""
    try:
        across, down = (float(number) for number in picture.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if all(math.isfinite(n) and 0 < n < 1e5 for n in (across, down)) else None


def count(picture: Image.Image) -> int:
    """How many pictures, frames or pages a file holds; 1 if what follows the first is damaged."""
    try:
        return int(getattr(picture, "n_frames", 1))
    except Exception:  # as when decoding
        return 1


def lossless_webp(stream: BinaryIO) -> bool:
    """Whether a WebP file holds a single picture that was compressed without loss (RFC 9649, 2.4 to 2.7)."""
    stream.seek(12)
    for _ in range(16):  # chunks before the pixels; there are five kinds of them
        head = stream.read(8)
        if head[:4] in (b"VP8L", b"VP8 ", b"ANIM") or len(head) < 8:
            return head[:4] == b"VP8L"
        size = int.from_bytes(head[4:], "little")
        stream.seek(size + size % 2, io.SEEK_CUR)
    return False
