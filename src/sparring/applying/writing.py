"""Results as files: in which format, with what is kept of the original, and whole or not at all."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from sparring.applying.reading import EXIF_IFD, GPS_IFD
from sparring.data.decode import UnusableError
from sparring.provenance import png_texts
from sparring.training.files import writing

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""What a result is saved as, by the ending of its name."""

OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"quality": 95},
    "BMP": {},
    "GIF": {},
    "TIFF": {"compression": "tiff_lzw"},
}

KEPT = {
    "PNG": {"exif", "icc_profile", "dpi"},
    "JPEG": {"exif", "icc_profile", "dpi"},
    "WEBP": {"exif", "icc_profile"},
    "BMP": {"dpi"},
    "GIF": set(),
    "TIFF": {"exif", "icc_profile", "dpi"},
}
"""What of an image's `info` a format has room for."""

LOSSY = ("JPEG", "GIF")
"""Formats in which pixels may not come back as they were. WebP can be either."""

OPAQUE = ("JPEG", "BMP")
"""Formats without transparency."""

LARGEST_SIDE = {"JPEG": 65_535, "GIF": 65_535, "WEBP": 16_383}


def encoded(
    picture: Image.Image, suffix: str, lossless: bool, marks: Mapping[str, str] | None = None
) -> tuple[bytes, list[str]]:
    """The file of a result, L, RGB, LA or RGBA, with the `exif`, `icc_profile` and `dpi` of its `info`; and notices.

    suffix: one of `FORMATS`. lossless: of WebP, which can be either. marks: texts that a PNG file holds.

    Raises: UnusableError if the format cannot hold the picture.
    """
    kind = FORMATS[suffix.lower()]
    if max(picture.size) > LARGEST_SIDE.get(kind, max(picture.size)):
        raise UnusableError(f"{kind} holds at most {LARGEST_SIDE[kind]:,} pixels a side, and its result is larger")
    notices = []
    options = OPTIONS[kind] | {name: picture.info[name] for name in KEPT[kind] if name in picture.info}
    if kind == "PNG" and marks:
        options |= {"pnginfo": png_texts(marks)}
    if kind == "WEBP" and lossless:
        options |= {"lossless": True, "exact": True}  # exact: colours under full transparency too
    if kind == "TIFF" and has_tables(options.get("exif", b"")):
        del options["compression"]  # libtiff, which compresses, cannot write them
    if kind in OPAQUE and picture.mode in ("LA", "RGBA"):
        picture = over_white(picture)
        notices.append(f"{kind} has no transparency: it was laid over white")
    if kind == "GIF" and picture.mode in ("RGB", "RGBA"):
        notices.append("GIF has 256 colours: those of its result were reduced to as many")
    if "icc_profile" in picture.info and "icc_profile" not in KEPT[kind]:
        notices.append(f"{kind} has no place for its colour profile")
    stream = io.BytesIO()
    try:
        picture.save(stream, kind, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise UnusableError(f"its result cannot be saved as {kind}: {error}") from None
    return stream.getvalue(), notices


def has_tables(exif: bytes) -> bool:
    """Whether EXIF data has more than the first table."""
    data = Image.Exif()
    data.load(exif)
    return EXIF_IFD in data or GPS_IFD in data


def over_white(picture: Image.Image) -> Image.Image:
    """LA or RGBA as L or RGB, over white."""
    opaque = Image.new("L" if picture.mode == "LA" else "RGB", picture.size, "white")
    opaque.paste(picture.convert(opaque.mode), mask=picture.getchannel("A"))
    opaque.info = picture.info
    return opaque


@contextmanager
def putting(path: Path) -> Iterator[Path]:
    """Gives the path of a new file to write, and puts what was written into the place of `path` in the end.

    Makes the folders above. If anything fails, `path` is as it was.

    Raises: RunError.
    """
    aside = path.with_name(f".{path.name}.new")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield aside
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
