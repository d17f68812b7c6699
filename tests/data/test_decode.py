import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sparring.data.decode import MAX_PIXELS, Form, UnusableError, eight_bit, identify, pixels, reason, size_as_shown

Noise = Callable[..., Image.Image]

# Pillow warns of broken metadata; `parallel.each` keeps that from people, and is not used here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def decoded(content: bytes, *form: object) -> NDArray[np.uint8]:
    return pixels(identify(io.BytesIO(content)), Form(*form))  # type: ignore[arg-type]


def why_not(content: bytes) -> str:
    with pytest.raises(Exception) as caught:  # anything may be raised: `reason` makes words of it
        eight_bit(identify(io.BytesIO(content)))
    assert isinstance(caught.value, Exception)
    return reason(caught.value)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_keep_every_pixel(noise: Noise, kind: str, options: dict[str, bool]) -> None:
    picture = noise()
    found = decoded(encoded(picture, kind, **options), 12, 16, 3)
    assert np.array_equal(found, np.asarray(picture).transpose(2, 0, 1))


def test_animations_and_pages_give_their_first_picture() -> None:
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    for kind in ("GIF", "TIFF", "WEBP", "PNG"):
        found = decoded(encoded(red, kind, save_all=True, append_images=[blue], lossless=True), 4, 4, 3)
        assert found[:, 0, 0].tolist() == [255, 0, 0], kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_rotation_lands_right(kind: str) -> None:
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :8] = 255  # the camera was turned: what is stored top left is to be seen top right
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(stored), kind, exif=exif)
    found = decoded(content, 32, 16, 1)[0]
    assert found[:6, 10:].min() > 200
    assert found[10:].max() < 50
    assert found[:, :6].max() < 50
    if kind != "PNG":  # where it may stand behind the pixels
        assert size_as_shown(identify(io.BytesIO(content))) == (16, 32)


def test_broken_exif_does_not_cost_the_picture(noise: Noise) -> None:
    content = encoded(noise(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decoded(content, 12, 16, 3).shape == (3, 12, 16)


def test_16_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 25700, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        assert decoded(encoded(Image.fromarray(values), kind), 1, 4, 1)[0, 0].tolist() == [0, 1, 100, 255]
    high = png(1, 1, 16, 2, b"\0" + struct.pack(">HHH", 0, 25700, 65535))
    assert decoded(high, 1, 1, 3)[:, 0, 0].tolist() == [0, 100, 255]


def test_large_integers_and_floats_are_scaled() -> None:
    integers = Image.fromarray(np.array([[0, 2**30, 2**31 - 1]], np.int32))
    assert decoded(encoded(integers, "TIFF"), 1, 3, 1)[0, 0].tolist() == [0, 128, 255]
    floats = np.array([[0, 0.2, 1]], np.float32)
    for scale in (1, 255):
        assert decoded(encoded(Image.fromarray(floats * scale), "TIFF"), 1, 3, 1)[0, 0].tolist() == [0, 51, 255]
    for wrong in (-1, 1000, np.nan):
        assert "floating-point values" in why_not(encoded(Image.fromarray(floats * np.float32(wrong)), "TIFF"))


def test_cmyk_has_about_the_right_colour() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    red, green, blue = decoded(encoded(cyan, "JPEG"), 8, 8, 3)[:, 4, 4].tolist()
    assert red < 30
    assert min(green, blue) > 220


def test_one_bit_grey_palette_and_luminance_with_alpha() -> None:
    half = np.zeros((2, 2), np.uint8)
    half[0] = 255
    grey = Image.fromarray(half)
    for mode in ("1", "L", "P", "LA", "RGBA"):
        found = decoded(encoded(grey.convert(mode), "PNG"), 2, 2, 1)
        assert np.array_equal(found[0], half), mode


def test_transparency_of_a_palette_and_of_rgba() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    content = encoded(palette, "PNG", transparency=0)
    assert decoded(content, 1, 2, 4)[:, 0].T.tolist() == [[255, 0, 0, 0], [0, 0, 255, 255]]
    assert decoded(content, 1, 2, 3)[:, 0].T.tolist() == [[255, 255, 255], [0, 0, 255]]  # over white
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    assert decoded(encoded(half, "PNG"), 1, 1, 1)[0, 0, 0] == 127


def test_the_colour_of_transparent_pixels_does_not_leak_into_others() -> None:
    picture = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (16, 0, 32, 32))
    found = decoded(encoded(picture, "PNG"), 4, 4, 4)
    assert found[0, :, 2:].max() == 0  # no red


def test_crop_pad_and_stretch_put_pixels_where_they_belong() -> None:
    columns = np.repeat(np.array([10, 20, 30, 40, 50, 60], np.uint8)[None, :, None], 2, axis=0).repeat(3, axis=2)
    content = encoded(Image.fromarray(columns), "PNG")  # 2 rows, 6 columns
    assert decoded(content, 2, 2, 1, "crop")[0].tolist() == [[30, 40], [30, 40]]
    padded = decoded(content, 4, 6, 1, "pad")[0]
    assert padded[1].tolist() == padded[2].tolist() == [10, 20, 30, 40, 50, 60]
    assert set(padded[0]) == set(padded[3]) == {35}  # the mean of the rows that the bars touch
    tall = decoded(encoded(Image.fromarray(columns.transpose(1, 0, 2)), "PNG"), 6, 4, 1, "pad")[0]
    assert tall[:, 1].tolist() == [10, 20, 30, 40, 50, 60]
    stretched = decoded(content, 2, 12, 1, "stretch")[0]
    assert stretched.shape == (2, 12)
    assert np.all(np.diff(stretched[0].astype(int)) >= 0)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (37, 91)])
def test_any_size_and_proportion_comes_out_right(noise: Noise, fit: str, size: tuple[int, int]) -> None:
    for kind in ("PNG", "JPEG"):
        assert decoded(encoded(noise(*size), kind), 5, 9, 3, fit).shape == (3, 5, 9)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_shrinking_antialiases(kind: str) -> None:
    board = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found = decoded(encoded(Image.fromarray(board), kind, quality=95), 16, 16, 1).astype(int)
    assert np.abs(found - 127.5).max() < 4


def test_shortcuts_of_jpeg_decoding_do_not_show() -> None:
    y, x = np.mgrid[:600, :600] / 600
    smooth = (127 + 60 * np.sin(9 * x) + 60 * np.cos(11 * y)).astype(np.uint8)
    content = encoded(Image.fromarray(smooth), "JPEG", quality=98)
    direct = identify(io.BytesIO(content)).resize((32, 32), Image.Resampling.LANCZOS)
    assert np.abs(decoded(content, 32, 32, 1)[0].astype(int) - np.asarray(direct)).max() <= 2


def test_reasons_are_short_and_clear(noise: Noise) -> None:
    whole = encoded(noise(40, 50), "JPEG")
    assert why_not(b"") == "empty file"
    assert why_not(b"this is no picture").startswith("not a picture")
    assert why_not(whole[: len(whole) // 3]) == "cut short"
    assert why_not(encoded(noise(40, 50), "PNG")[:2000]) == "cut short"
    assert why_not(whole[:10]) == "cut short"
    assert why_not(b"RIFF1234WAVEfmt ").startswith("damaged")
    bomb = png(60000, 60000, 8, 2, b"\0" * 1000)
    assert why_not(bomb) == f"too large: 60000x60000 pixels, limit {MAX_PIXELS:,}"
    for content in (png(0, 5, 8, 2, b""), png(5, 5, 8, 2, b""), png(5, 5, 7, 9, b"")):
        assert len(why_not(content)) < 120


def test_hostile_bytes_end_in_a_reason_whatever_they_are(noise: Noise) -> None:
    random = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"):
        content = np.frombuffer(encoded(noise(), kind), np.uint8)
        for _ in range(40):
            broken = content.copy()
            broken[random.integers(4, len(broken), 8)] = random.integers(0, 256, 8)
            try:
                assert decoded(broken[: random.integers(4, len(broken) + 1)].tobytes(), 4, 4, 3).shape == (3, 4, 4)
            except Exception as error:
                assert 0 < len(reason(error)) < 150


def test_the_reason_for_a_lack_of_memory_or_permission() -> None:
    assert reason(MemoryError()) == "too large for the memory"
    assert reason(PermissionError(13, "Permission denied")) == "cannot be read: Permission denied"
    assert reason(UnusableError("why")) == "why"
