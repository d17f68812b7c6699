import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.data import check, load, survey
from sparring.errors import DataError

Noise = Callable[..., Image.Image]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.fixture
def hostile(tmp_path: Path, noise: Noise) -> Path:
    """Fourteen good pictures of all kinds, and all that can be wrong with others."""
    folder = tmp_path / "hostile"
    (folder / "deeper/still").mkdir(parents=True)
    base = noise(48, 64)
    for name, picture in {
        "rgb.png": base,
        "grey.png": base.convert("L"),
        "rgba.png": base.convert("RGBA"),
        "palette.gif": base.convert("P"),
        "cmyk.jpg": base.convert("CMYK"),
        "la.png": base.convert("LA"),
        "one.png": base.convert("1"),
        "web.webp": base,
        "win.bmp": base,
        "fax.tiff": base,
        "日本 語.png": base,
        "really-a-jpeg.png": base,
    }.items():
        picture.save(folder / name, "JPEG" if "jpeg" in name else None)
    Image.fromarray(np.random.default_rng(0).integers(0, 65535, (40, 40), np.uint16)).save(
        folder / "deeper/sixteen.png"
    )
    turned = Image.Exif()
    turned[0x0112] = 6
    base.save(folder / "deeper/still/turned.jpg", exif=turned)
    whole = io.BytesIO()
    base.save(whole, "JPEG")
    (folder / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 3])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"this is no picture")
    (folder / "page.html").write_text("<html></html>")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1_000_000))))
    (folder / "loop").symlink_to(folder)
    return folder


def test_check_uses_what_is_good_and_lists_the_rest(hostile: Path) -> None:
    told: list[tuple[str, int, int]] = []
    report = check(hostile, lambda *progress: told.append(progress))
    assert report["used"] == 14
    assert report["others"] == 1
    assert {each["path"]: each["reason"] for each in report["skipped"]} == {
        "bomb.png": "too large: 60000x60000 pixels, limit 178,956,970",
        "cut.jpg": "cut short",
        "empty.png": "empty file",
        "loop": "a link to what is in the folder already",
        "text.jpg": "not a picture: not the content of a PNG, JPEG, WebP, BMP, GIF or TIFF file",
    }
    assert report["sizes"] == {"48x64": 12, "40x40": 1, "64x48": 1}
    assert report["modes"] == {"RGB": 7, "L": 1, "RGBA": 1, "P": 1, "CMYK": 1, "LA": 1, "1": 1, "I;16": 1}
    assert told == [("decoding", done, 18) for done in range(1, 19)]


def test_survey_sees_all_that_headers_tell(hostile: Path) -> None:
    found = survey(hostile)
    assert found.pictures == 15  # the one that is cut short has a good header
    assert found.common_size() == (48, 64)
    assert found.channels() == 3
    assert {each.path for each in found.skipped} == {"bomb.png", "empty.png", "loop", "text.jpg"}
    turned = next(entry for entry in found.items if entry.name.endswith("turned.jpg"))
    assert (turned.height, turned.width) == (64, 48)


def test_load_takes_what_check_takes(hostile: Path) -> None:
    found = load(hostile, resolution=(16, 16))
    assert len(found) == 14
    assert {each.path for each in found.skipped} == {each["path"] for each in check(hostile)["skipped"]}


def test_nothing_is_written_to_standard_error(hostile: Path) -> None:
    code = f"from sparring.data import check, load; check({str(hostile)!r}); load({str(hostile)!r}, resolution=(8, 8))"
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    assert "PIL" not in done.stderr
    assert "Warning" not in done.stderr


def test_classes_of_a_survey_and_a_check(pictures: Path) -> None:
    assert survey(pictures).classes == ("cat", "dog")
    assert check(pictures)["classes"] == {"cat": 4, "dog": 6}


def test_the_common_size_of_a_mixed_set_is_its_median(tmp_path: Path, noise: Noise) -> None:
    for i, (height, width) in enumerate([(10, 50), (20, 40), (30, 30), (40, 20), (50, 10)]):
        noise(height, width).save(tmp_path / f"{i}.png")
    assert survey(tmp_path).common_size() == (30, 30)


@pytest.mark.parametrize(
    ("modes", "channels"),
    [
        (["L", "1", "LA"], 1),
        (["L", "L", "RGB"], 3),
        (["RGBA", "RGBA", "RGB"], 3),  # with alpha, but not transparent
        (["see-through", "see-through", "RGB"], 4),
        (["see-through", "RGB", "RGB"], 3),
    ],
)
def test_channels_follow_from_the_pictures(tmp_path: Path, noise: Noise, modes: list[str], channels: int) -> None:
    for i, mode in enumerate(modes):
        picture = noise().convert("RGBA" if mode == "see-through" else mode)
        if mode == "see-through":
            picture.putpixel((0, 0), (0, 0, 0, 0))
        picture.save(tmp_path / f"{i}.png")
    assert survey(tmp_path).channels() == channels
    assert load(tmp_path, resolution=(4, 4)).shape == (channels, 4, 4)


def test_nothing_usable_says_what_was_found(tmp_path: Path) -> None:
    for use in (survey, check, lambda folder: load(folder, resolution=(8, 8))):
        with pytest.raises(DataError, match=r"no picture that can be used \(nothing in it\)"):
            use(tmp_path)
    for name in ("a.png", "b.png", "c.jpg", "d.gif", "e.txt"):
        (tmp_path / name).write_bytes(b"")
    for use in (survey, check, lambda folder: load(folder, resolution=(8, 8), channels=3)):
        with pytest.raises(DataError, match=r"\(5 files, 4 skipped: a\.png: empty file; b\.png: .*; \.\.\.\)"):
            use(tmp_path)


def shaded(seed: int, *, colour: bool = True) -> Image.Image:
    """What a camera gives: shading and noise."""
    random = np.random.default_rng(seed)
    light = np.linspace(60, 200, 64)[:, None, None] + random.normal(0, 4, (64, 64, 1))
    tint = np.array([20, 0, -20]) * colour
    return Image.fromarray(np.clip(light + tint, 0, 255).astype(np.uint8))


def drawn(seed: int) -> Image.Image:
    """Squares of one colour."""
    random = np.random.default_rng(seed)
    picture = np.full((64, 64, 3), 255, np.uint8)
    for _ in range(5):
        y, x = random.integers(0, 48, 2)
        picture[y : y + 16, x : x + 16] = random.integers(0, 255, 3)
    return Image.fromarray(picture)


@pytest.mark.parametrize(
    ("pictures", "photographic"),
    [
        ([shaded(1), shaded(2), drawn(3)], True),
        ([shaded(1), drawn(2), drawn(3)], False),
        ([shaded(1, colour=False), shaded(2, colour=False)], False),
        ([shaded(1).convert("L")], False),
        ([shaded(1).convert("RGBA")], True),
    ],
    ids=["most are", "most are not", "grey in RGB", "grey", "with alpha"],
)
def test_a_survey_tells_photographs_in_colour(tmp_path: Path, pictures: list[Image.Image], photographic: bool) -> None:
    for i, picture in enumerate(pictures):
        picture.save(tmp_path / f"{i}.png")
    assert survey(tmp_path).photographic() is photographic


def test_large_drawings_are_told_from_photographs_in_jpeg_too(tmp_path: Path) -> None:
    for name, picture in (("drawn", drawn(1).resize((1024, 1024), 0)), ("shaded", shaded(1).resize((1024, 1024)))):
        folder = tmp_path / name
        folder.mkdir()
        picture.save(folder / "1.jpg", quality=90)
        assert survey(folder).photographic() is (name == "shaded"), name
