import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from sklearn.datasets import load_sample_image
from tests.applying.apparatuses import Fake, Filler, Negative, Network

from sparring.applying import apply_to_files
from sparring.errors import DataError, RunError, SettingError

FLOWER = load_sample_image("flower.jpg")[100:160, 200:280]


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(FLOWER)


@pytest.fixture
def folder(tmp_path: Path, photo: Image.Image) -> Path:
    """in/a.png, in/b.jpg, in/deep/c.webp (lossless), in/deep/notes.txt and the broken in/broken.png."""
    (tmp_path / "in/deep").mkdir(parents=True)
    photo.save(tmp_path / "in/a.png")
    photo.save(tmp_path / "in/b.jpg", quality=90)
    photo.save(tmp_path / "in/deep/c.webp", lossless=True)
    (tmp_path / "in/deep/notes.txt").write_text("no picture")
    (tmp_path / "in/broken.png").write_bytes((tmp_path / "in/a.png").read_bytes()[:3000])
    return tmp_path / "in"


def pixels(path: Path, mode: str | None = None) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as picture:
        return np.asarray(picture if mode is None else picture.convert(mode))


def content(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_keeps_names_and_formats_and_lists_what_is_none(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = apply_to_files(
        Negative(), folder, tmp_path / "out", progress=lambda _, done, total: seen.append((done, total))
    )
    assert content(tmp_path / "out") == {"a.png", "b.jpg", "deep/c.webp", ".sparring-apply.jsonl"}
    assert (found["pictures"], found["already"], found["notices"]) == (3, 0, [])
    assert {entry["path"]: entry["reason"] for entry in found["skipped"]} == {
        "deep/notes.txt": "not named as a picture is",
        "broken.png": "cut short",
    }
    assert seen[-1] == (4, 4)
    assert np.array_equal(pixels(tmp_path / "out/a.png"), 255 - FLOWER)
    assert np.array_equal(pixels(tmp_path / "out/deep/c.webp"), 255 - FLOWER)  # without loss, as it was
    with Image.open(tmp_path / "out/b.jpg") as jpeg:
        assert jpeg.format == "JPEG"
        assert np.abs(np.asarray(jpeg).astype(int) - (255 - pixels(folder / "b.jpg"))).mean() < 2


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.tif", "x.tiff", "x.webp", "x.jpg", "x.gif", "x.jfif"])
@pytest.mark.parametrize("scale", [1, 2])
def test_the_ending_of_a_file_is_its_format(folder: Path, tmp_path: Path, name: str, scale: int) -> None:
    apply_to_files(Network(scale=scale), folder / "a.png", tmp_path / "new" / name)
    with Image.open(tmp_path / "new" / name) as made:
        kinds = {"x.tif": "TIFF", "x.jpg": "JPEG", "x.jfif": "JPEG"}
        assert made.format == kinds.get(name, made.format) == kinds.get(name, Path(name).suffix[1:].upper())
        assert made.size == (80 * scale, 60 * scale)
    assert content(tmp_path / "new") == {name}


def test_one_picture_into_a_folder(folder: Path, tmp_path: Path) -> None:
    apply_to_files(Negative(), folder / "a.png", tmp_path / "out")
    assert content(tmp_path / "out") == {"a.png", ".sparring-apply.jsonl"}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_photographs_come_out_upright_with_all_else_that_their_file_says(
    tmp_path: Path, photo: Image.Image, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769], exif[0x8825] = 6, "Maker", {0xA002: 80, 0x9003: "2020:01:02"}, {1: "N"}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    before, after = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    photo.save(before, exif=exif.tobytes(), icc_profile=profile, dpi=(300, 300), lossless=True, quality=100)
    apply_to_files(Negative(scale=2), before, after)
    with Image.open(after) as made:
        assert made.size == (120, 160)
        found = made.getexif()
        assert found.get(0x0112, 1) == 1
        assert found[0x010F] == "Maker"
        assert found.get_ifd(0x8769) == {0xA002: 120, 0x9003: "2020:01:02"}
        assert found.get_ifd(0x8825)[1] == "N"
        assert made.info["icc_profile"] == profile
        if suffix != "webp":
            assert made.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        shown = np.asarray(made.convert("RGB"))[::2, ::2].astype(int)
    assert np.abs(shown - (255 - np.rot90(FLOWER, -1))).mean() < 4


def test_broken_exif_and_alien_profiles_do_not_cost_the_picture(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", icc_profile=b"\0" * 16 + b"CMYK" + b"\0" * 99)
    found = apply_to_files(Fake(), tmp_path / "a.jpg", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as made:
        assert made.size == (80, 60)
        assert "icc_profile" not in made.info
    assert any("profile is for other colours" in notice for notice in found["notices"])


def test_sixteen_bits_become_eight_and_it_is_said(tmp_path: Path) -> None:
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = apply_to_files(Negative(), tmp_path / "a.png", tmp_path / "b.png")
    assert found["notices"] == ["a.png: its values became 8 bits a channel"]
    assert np.array_equal(pixels(tmp_path / "b.png"), 255 - np.rint(values / 257).astype(np.uint8))


def inks_profile() -> bytes:
    """An ICC profile of inks with a table of two steps each (ICC.1:2010, 10.11): where "cyan" is printed, it is red.

    Colours are in CIELAB: paper is white, red for the first ink, black for any other.
    """
    white, red, black = (255, 128, 128), (136, 208, 195), (0, 128, 128)
    corners = [white if not number else red if number == 8 else black for number in range(16)]
    straight = bytes(range(256))
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + 4 * straight + bytes(sum(corners, ())) + 3 * straight
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    head = struct.pack(
        ">I4sI4s4s4s12s4s", 144 + len(table), bytes(4), 0x02100000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp"
    )
    head = head.ljust(68, b"\0") + d50
    return head.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


def test_printing_inks_become_srgb_by_their_profile_or_roughly(tmp_path: Path) -> None:
    inks = np.zeros((40, 60, 4), np.uint8)
    inks[:20, :20, 0] = 255
    picture = Image.fromarray(inks, "CMYK")
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, options, words, corner in (
        ("a.tif", {}, "only roughly", (0, 255, 255)),
        ("b.jpg", {"icc_profile": b"x" * 200, "exif": exif.tobytes()}, "only roughly", (0, 255, 255)),
        ("c.tif", {"icc_profile": inks_profile()}, "sRGB by its colour profile", (255, 0, 0)),
        ("d.jpg", {"icc_profile": inks_profile(), "exif": exif.tobytes()}, "sRGB by its colour profile", (255, 0, 0)),
    ):
        picture.save(tmp_path / name, **options)
        found = apply_to_files(Fake(), tmp_path / name, tmp_path / f"of-{name}")
        assert [words in notice for notice in found["notices"]] == [True]
        with Image.open(tmp_path / f"of-{name}") as made:
            assert (made.mode, "icc_profile" in made.info) == ("RGB", False)
            assert made.size == ((40, 60) if "exif" in options else (60, 40))
            x = made.width - 10 if "exif" in options else 10
            assert np.abs(np.subtract(made.getpixel((x, 10)), corner)).max() < 30  # type: ignore[arg-type]
            assert np.min(made.getpixel((30, 35))) > 240  # type: ignore[arg-type]


def test_the_first_picture_of_an_animation_and_the_colours_of_gif(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (80, 60), "red")])
    first = pixels(tmp_path / "a.gif", "RGB")
    found = apply_to_files(Negative(), tmp_path / "a.gif", tmp_path / "b.gif")
    assert "a.gif: it holds several pictures, of which the first was taken" in found["notices"]
    assert any("256 colours" in notice for notice in found["notices"])
    with Image.open(tmp_path / "b.gif") as made:
        assert made.n_frames == 1  # type: ignore[attr-defined]
        assert np.abs(np.asarray(made.convert("RGB")).astype(int) - (255 - first)).mean() < 6


def test_transparency_is_kept_or_laid_over_white(tmp_path: Path, photo: Image.Image) -> None:
    picture = photo.convert("LA")
    picture.putalpha(Image.linear_gradient("L").resize(photo.size))
    picture.save(tmp_path / "a.png")
    apply_to_files(Fake(), tmp_path / "a.png", tmp_path / "b.png")
    assert np.array_equal(pixels(tmp_path / "b.png"), np.asarray(picture))
    for name in ("b.jpg", "b.bmp"):
        found = apply_to_files(Fake(), tmp_path / "a.png", tmp_path / name)
        assert "laid over white" in found["notices"][0]
        made = pixels(tmp_path / name, "L").astype(int)
        assert (made[0] > 250).all()
        assert np.abs(made[-1] - np.asarray(picture)[-1, :, 0]).mean() < 4


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """masks/a.png, masks/b.png and masks/deep/c.bmp: a white bar each, in other lines."""
    (tmp_path / "masks/deep").mkdir(parents=True)
    for line, name in enumerate(("a.png", "b.png", "deep/c.bmp")):
        bar = np.zeros((60, 80), np.uint8)
        bar[10 * line : 10 * line + 5] = 255
        Image.fromarray(bar).save(tmp_path / "masks" / name)
    return tmp_path / "masks"


def test_known_pixels_come_back_bit_for_bit_in_a_format_that_can(folder: Path, masks: Path, tmp_path: Path) -> None:
    found = apply_to_files(Filler(), folder, tmp_path / "out", masks)
    assert content(tmp_path / "out") == {"a.png", "b.png", "deep/c.webp", ".sparring-apply.jsonl"}
    for line, (before, after) in enumerate([("a.png", "a.png"), ("b.jpg", "b.png"), ("deep/c.webp", "deep/c.webp")]):
        same = (pixels(folder / before) == pixels(tmp_path / "out" / after)).all(axis=2)
        assert same[: 10 * line].all() and same[10 * line + 5 :].all()
        assert not same[10 * line : 10 * line + 5].all()
    assert found["notices"] == ["b.jpg: its result is b.png: JPG would change the pixels outside of holes too"]
    assert {"path": "broken.png", "reason": f"there is no mask for it in {masks}"} in found["skipped"]


def test_png_keeps_its_name_where_another_becomes_one(tmp_path: Path, photo: Image.Image) -> None:
    (tmp_path / "in").mkdir()
    for name, options in (("a.jpg", {}), ("a.png", {}), ("a.webp", {}), ("a.jpg.png", {})):
        photo.save(tmp_path / "in" / name, **options)
    mask = np.zeros((60, 80), np.uint8)
    mask[:5] = 255
    Image.fromarray(mask).save(tmp_path / "in/mask.png")
    apply_to_files(Filler(), tmp_path / "in", tmp_path / "out", tmp_path / "in/mask.png")
    made = content(tmp_path / "out") - {".sparring-apply.jsonl"}
    assert made == {"a.png", "a.jpg.png", "a.jpg.png.png", "a.webp.png"}
    assert np.array_equal(pixels(tmp_path / "out/a.png")[5:], FLOWER[5:])
    assert np.array_equal(pixels(tmp_path / "out/a.jpg.png.png")[5:], pixels(tmp_path / "in/a.jpg")[5:])


def test_names_that_differ_in_the_size_of_letters_alone_stay(folder: Path, tmp_path: Path) -> None:
    (folder / "A.png").write_bytes((folder / "a.png").read_bytes())
    if len({"a.png", "A.png"} & content(folder)) < 2:
        pytest.skip("this disk does not tell them apart")
    apply_to_files(Negative(), folder, tmp_path / "out")
    assert {"a.png", "A.png"} <= content(tmp_path / "out")


def test_masks_may_lie_among_or_above_the_pictures(folder: Path, masks: Path, tmp_path: Path) -> None:
    masks.rename(folder / "masks")
    found = apply_to_files(Filler(), folder, tmp_path / "out", folder / "deep/../masks")
    assert (found["pictures"], [each["path"] for each in found["skipped"]]) == (3, ["deep/notes.txt", "broken.png"])
    (folder / "masks").rename(masks)
    (masks / "pictures").mkdir()
    (folder / "a.png").rename(masks / "pictures/a.png")
    assert apply_to_files(Filler(), masks / "pictures", tmp_path / "more", masks)["pictures"] == 1


def test_a_format_that_was_asked_for_is_given_with_a_warning(folder: Path, masks: Path, tmp_path: Path) -> None:
    found = apply_to_files(Filler(), folder / "a.png", tmp_path / "b.jpg", masks / "a.png")
    assert any("PNG would not" in notice for notice in found["notices"])
    apply_to_files(Filler(), folder / "b.jpg", tmp_path / "b.webp", masks / "a.png")
    assert np.array_equal(pixels(tmp_path / "b.webp")[5:], pixels(folder / "b.jpg")[5:])


def test_an_empty_mask_copies_the_file(folder: Path, tmp_path: Path) -> None:
    Image.new("L", (80, 60)).save(tmp_path / "empty.png")
    for name, target in (("a.png", "x.png"), ("b.jpg", "x.jpg")):
        found = apply_to_files(Filler(), folder / name, tmp_path / target, tmp_path / "empty.png")
        assert (tmp_path / target).read_bytes() == (folder / name).read_bytes()
        assert "no hole" in found["notices"][0]
    apply_to_files(Filler(), folder / "b.jpg", tmp_path / "out", tmp_path / "empty.png")
    assert np.array_equal(pixels(tmp_path / "out/b.png"), pixels(folder / "b.jpg"))


def test_masks_that_do_not_go_with_pictures(folder: Path, masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SettingError, match="takes no mask"):
        apply_to_files(Fake(), folder, out, masks)
    with pytest.raises(DataError, match="no such mask"):
        apply_to_files(Filler(), folder, out, tmp_path / "none.png")
    with pytest.raises(DataError, match=r"notes.txt: the mask cannot be used: not a picture"):
        apply_to_files(Filler(), folder, out, folder / "deep/notes.txt")
    with pytest.raises(DataError, match=r"a.png: nothing to fill: .*--mask"):
        apply_to_files(Filler(), folder / "a.png", out)
    Image.new("L", (8, 6)).save(masks / "a.png")
    with pytest.raises(DataError, match="8x6 pixels and the picture 80x60"):
        apply_to_files(Filler(), folder / "a.png", out, masks)
    (masks / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"its mask .*a.png: empty file"):
        apply_to_files(Filler(), folder / "a.png", out, masks)
    assert not out.exists() or content(out) == set()


def test_a_half_done_folder_is_completed(folder: Path, tmp_path: Path) -> None:
    class Stopping(Negative):
        def made(self, *arguments: Any) -> Any:
            if len(self.seen) > 2:
                raise KeyboardInterrupt
            return super().made(*arguments)

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        apply_to_files(Stopping(), folder, out, made_by="x")
    assert content(out) == {"a.png", "b.jpg", ".sparring-apply.jsonl"}
    told: list[str] = []
    negative = Negative()
    found = apply_to_files(negative, folder, out, made_by="x", note=told.append)
    assert (found["pictures"], found["already"], len(negative.seen)) == (1, 2, 1)
    assert told == ["2 done already"]
    again = apply_to_files(Negative(), folder, out, made_by="x")
    assert (again["pictures"], again["already"]) == (0, 3)


def test_results_of_other_pictures_masks_or_generators_are_made_anew(folder: Path, masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def made(made_by: str | None = "x") -> int:
        return apply_to_files(Filler(), folder, out, masks, made_by=made_by)["pictures"]  # type: ignore[no-any-return]

    assert [made(), made(), made("y"), made("y"), made(None), made(None)] == [3, 0, 3, 0, 3, 3]
    assert made() == 3
    Image.fromarray(255 - FLOWER).save(folder / "a.png")
    assert made() == 1
    mask = pixels(masks / "b.png")
    Image.fromarray(np.flip(mask)).save(masks / "b.png", compress_level=1)
    assert made() == 1
    (out / "deep/c.webp").unlink()
    assert made() == 1
    with (out / ".sparring-apply.jsonl").open("a") as record:
        record.write('{"result": "a.p')  # as a crash leaves it
    assert made() == 0


def test_files_of_others_are_never_overwritten(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.jpg").write_text("precious")
    (out / "diary.txt").write_text("not in the way")
    with pytest.raises(RunError, match=r"out/b.jpg: there already"):
        apply_to_files(Negative(), folder, out)
    assert content(out) == {"b.jpg", "diary.txt"}
    (out / "b.jpg").unlink()
    apply_to_files(Negative(), folder, out)
    Image.new("L", (1, 1)).save(out / "a.png")  # a result that somebody painted over
    with pytest.raises(RunError, match=r"out/a.png: there already"):
        apply_to_files(Negative(), folder, out)


def test_places_that_cannot_be(folder: Path, tmp_path: Path) -> None:
    def refused(source: Path, out: Path, words: str, error: type[Exception] = RunError) -> None:
        with pytest.raises(error, match=words):
            apply_to_files(Negative(), source, out)

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    refused(folder, folder, "overwritten while it is read")
    refused(folder, folder / "out", "lies inside")
    refused(folder / "a.png", folder / "a.png", "overwritten while it is read")
    refused(folder / "a.png", folder / "deep/../a.png", "overwritten while it is read")
    refused(folder / "a.png", folder, "overwritten while it is read")
    refused(folder, tmp_path / "out.png", "IN is a folder")
    refused(folder / "a.png", tmp_path / "out.xyz", r"ends in .png, .jpg")
    refused(tmp_path / "nothing", tmp_path / "out", "no such file or folder", DataError)
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "out", "nothing is in it", DataError)
    refused(folder / "broken.png", tmp_path / "out.png", "broken.png: cut short", DataError)
    refused(folder / "a.png", folder / "b.jpg/deeper/x.png", "cannot be written")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "out.png").exists()


def test_nothing_of_a_folder_works(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abcd":
        (tmp_path / f"in/{name}.png").write_text("text")
    with pytest.raises(DataError, match=r"a.png: not a picture.*; \.\.\.\)"):
        apply_to_files(Fake(), tmp_path / "in", tmp_path / "out")


def test_hidden_files_and_links_are_left_alone(folder: Path, tmp_path: Path) -> None:
    (folder / ".hidden.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "link.png").symlink_to(folder / "a.png")
    (folder / "loop").symlink_to(folder)
    found = apply_to_files(Negative(), folder, tmp_path / "out")
    assert content(tmp_path / "out") == {"a.png", "b.jpg", "deep/c.webp", ".sparring-apply.jsonl"}
    assert {"path": "link.png", "reason": "a link"} in found["skipped"]


def test_the_ending_of_a_picture_need_not_be_true(tmp_path: Path, photo: Image.Image) -> None:
    stream = io.BytesIO()
    photo.save(stream, "PNG")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    (tmp_path / "photo").write_bytes(stream.getvalue())
    apply_to_files(Fake(), tmp_path / "a.jpg", tmp_path / "out")
    apply_to_files(Fake(), tmp_path / "photo", tmp_path / "out")
    with Image.open(tmp_path / "out/a.jpg") as made:
        assert made.format == "JPEG"
    assert np.array_equal(pixels(tmp_path / "out/photo.png"), FLOWER)


def test_what_a_format_cannot_hold_is_skipped_with_the_reason(tmp_path: Path, photo: Image.Image) -> None:
    (tmp_path / "in").mkdir()
    Image.new("L", (10_000, 1)).save(tmp_path / "in/long.webp")
    photo.save(tmp_path / "in/a.png")
    found = apply_to_files(Fake(scale=2), tmp_path / "in", tmp_path / "out")
    assert found["pictures"] == 1
    assert "WEBP holds at most 16,383 pixels" in found["skipped"][0]["reason"]


def test_a_write_that_fails_leaves_the_old_result(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_to_files(Fake(), folder / "a.png", tmp_path / "b.png")
    replace: Callable[..., Path] = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "b.png":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match="No space left"):
        apply_to_files(Negative(), folder / "a.png", tmp_path / "b.png")
    assert np.array_equal(pixels(tmp_path / "b.png"), FLOWER)
    assert content(tmp_path) == {"b.png", *(f"in/{name}" for name in content(folder))}


def test_the_summary_is_json(folder: Path, tmp_path: Path) -> None:
    found = apply_to_files(Network(scale=2), folder, tmp_path / "out")
    assert set(json.loads(json.dumps(found))) == {"out", "pictures", "already", "skipped", "notices", "seconds"}
