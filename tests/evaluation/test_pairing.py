"""Pictures paired by name from folders and archives, and what is said of those that make no pair."""

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sparring
from sparring.errors import DataError, MetricError
from sparring.evaluation.pairing import match
from sparring.evaluation.showing import protocol_lines

OFFSETS = {"a": 1, "b/c": 5, "b/d": 10}


def save(path: Path, array: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path, **options)


def grey(value: int, height: int = 14, width: int = 12) -> np.ndarray:
    return np.full((height, width), value)


def in_colour(value: int, height: int = 14, width: int = 12) -> np.ndarray:
    return np.full((height, width, 3), value)


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Pictures of three sizes, and the same ones brighter by what `OFFSETS` says."""
    for number, (name, offset) in enumerate(OFFSETS.items()):
        save(tmp_path / f"clean/{name}.png", in_colour(100, 14 + number))
        save(tmp_path / f"restored/{name}.png", in_colour(100 + offset, 14 + number))
    return tmp_path / "clean", tmp_path / "restored"


EXPECTED = np.mean([20 * math.log10(255 / offset) for offset in OFFSETS.values()])


def packed(folder: Path, inside: str) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png"), reverse=True):
            archive.write(file, f"{inside}{file.relative_to(folder)}")
    return path


def test_folders_are_paired_by_relative_names(sides: tuple[Path, Path]) -> None:
    found = sparring.evaluate(*sides, "psnr,ssim")
    assert found.value("psnr") == pytest.approx(EXPECTED)
    assert found.protocol["pairs"]["count"] == found.protocol["real"]["count"] == 3
    assert found.protocol["pairs"]["worst"]["psnr"] == {
        "name": "b/d.png",
        "value": pytest.approx(20 * math.log10(25.5)),
    }
    assert found.protocol["pairs"]["left_out"] == []
    assert not found.notices


@pytest.mark.parametrize("inside", ["", "somewhere/else/"])
def test_archives_are_paired_too_also_with_a_folder_of_their_own(sides: tuple[Path, Path], inside: str) -> None:
    assert sparring.evaluate(sides[0], packed(sides[1], inside), "psnr").value("psnr") == pytest.approx(EXPECTED)


def test_arrays_are_paired_by_number(tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 51)):
        np.save(tmp_path / f"{name}.npy", np.full((2, 16, 16, 3), value, np.uint8))
    found = sparring.evaluate(tmp_path / "a.npy", tmp_path / "b.npy", ["psnr"])
    assert found.value("psnr") == pytest.approx(20 * math.log10(5))


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        (["a.png", "b.png"], ["b.png", "a.png"], [(0, 1), (1, 0)]),
        (["x/a.png", "y/a.png"], ["y/a.jpg", "x/a.jpg"], [(0, 1), (1, 0)]),
        (["a.png", "a.jpg"], ["a.webp"], []),
        (["a.png", "a.jpg"], ["a.webp", "a.jpg"], [(0, 0), (1, 1)]),
        (["hr/a.png", "hr/b.png"], ["out/x/a.png", "out/x/c.png"], [(0, 0)]),
        (["a.png", "x/b.png"], ["x/b.png", "x/a.png"], [(1, 0)]),
        (["a.png"], ["b.png"], []),
    ],
)
def test_which_names_belong_together(first: list[str], second: list[str], pairs: list[tuple[int, int]]) -> None:
    found = match(first, second)
    # An equal name goes first; what is left is paired where its stem is that of one other alone.
    assert found.pairs == pairs
    assert [len(alone) for alone in found.alone] == [len(first) - len(pairs), len(second) - len(pairs)]


def test_what_makes_no_pair_is_listed_and_the_rest_is_compared(sides: tuple[Path, Path]) -> None:
    clean, restored = sides
    save(clean / "only-clean.png", in_colour(1))
    save(restored / "only-restored.png", in_colour(1))
    save(restored / "b/c.png", in_colour(1, 28))
    (restored / "a.png").write_bytes(b"nothing")
    found = sparring.evaluate(clean, restored, "psnr")
    assert found.value("psnr") == pytest.approx(20 * math.log10(25.5))
    left_out = {Path(each["path"]).stem: each["reason"] for each in found.protocol["pairs"]["left_out"]}
    assert set(left_out) == {"only-clean", "only-restored", "c", "a"}
    assert left_out["c"] == "sizes differ: 15x12, 28x12"
    assert "not a picture" in left_out["a"]
    (notice, *_) = found.notices
    assert all(name in notice for name in ("1 pair is compared", "only-clean", "only-restored", "b/c.png", "a.png"))


def test_no_pair_left_is_an_error_that_shows_what_there_was(sides: tuple[Path, Path], tmp_path: Path) -> None:
    save(tmp_path / "other/z.png", in_colour(1))
    with pytest.raises(MetricError, match=r"no pictures of the same name: .*such as a.png and .*such as z.png"):
        sparring.evaluate(sides[0], tmp_path / "other", "psnr")
    save(tmp_path / "sizes/a.png", in_colour(1, 50))
    with pytest.raises(MetricError, match=r"no pair can be compared: .*sizes differ: 14x12, 50x12"):
        sparring.evaluate(sides[0], tmp_path / "sizes", "psnr")
    save(tmp_path / "small/a.png", in_colour(1, 8))
    with pytest.raises(MetricError, match="8x12 pixels; ssim needs at least 11x11"):
        sparring.evaluate(tmp_path / "small", tmp_path / "small", "psnr,ssim")


def test_grey_stays_grey_and_meets_colour_as_rgb_and_transparency_lies_on_white(tmp_path: Path) -> None:
    save(tmp_path / "a/1.png", grey(10))
    save(tmp_path / "b/1.png", grey(20))
    both_grey = sparring.evaluate(tmp_path / "a", tmp_path / "b", "psnr_y").value("psnr_y")
    assert both_grey == pytest.approx(20 * math.log10(25.5))
    red = in_colour(10)
    red[..., 0] = 40
    save(tmp_path / "b/1.png", red)
    assert sparring.evaluate(tmp_path / "a", tmp_path / "b", "psnr").value("psnr") == pytest.approx(
        10 * math.log10(255**2 / (30**2 / 3))
    )
    clear = np.concatenate([in_colour(7), np.zeros((14, 12, 1), int)], 2)
    save(tmp_path / "c/1.png", clear)
    save(tmp_path / "d/1.png", in_colour(250))
    assert sparring.evaluate(tmp_path / "c", tmp_path / "d", "psnr").value("psnr") == pytest.approx(
        20 * math.log10(255 / 5)
    )


def test_pictures_are_turned_once_as_their_metadata_say(tmp_path: Path) -> None:
    ramp = np.arange(14 * 12 * 3).reshape(14, 12, 3) % 256
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 270 degrees
    save(tmp_path / "a/1.png", np.rot90(ramp))
    save(tmp_path / "b/1.png", np.rot90(ramp, 2), exif=turned.tobytes())
    assert sparring.evaluate(tmp_path / "a", tmp_path / "b", "psnr").protocol["pairs"]["equal"] == 1


def test_masks_say_where_to_look(sides: tuple[Path, Path], tmp_path: Path) -> None:
    clean, restored = sides
    picture = in_colour(100)
    picture[2:6, 3:8] = 151
    save(restored / "a.png", picture)
    mask = grey(0)
    mask[2:6, 3:8] = 255
    save(tmp_path / "masks/a.png", mask)
    found = sparring.evaluate(clean, restored, "psnr_inside,psnr", masks=tmp_path / "masks")
    assert found.value("psnr_inside") == pytest.approx(20 * math.log10(255 / 51))
    assert found.protocol["pairs"]["count"] == 1
    assert "no mask in" in found.notices[0]


def test_sets_and_pairs_in_one_call(sides: tuple[Path, Path]) -> None:
    both = sparring.evaluate(*sides, "fid,psnr", features="pixels")
    assert both.value("psnr") == pytest.approx(EXPECTED)
    assert both.value("fid") == pytest.approx(sparring.evaluate(*sides, "fid", features="pixels").value("fid"))
    assert both.protocol["features"]["name"] == "pixels"
    assert both.protocol["pairs"]["count"] == 3
    assert {"real", "pairs", "features"} <= dict(protocol_lines(both.protocol)).keys()


def test_unnamed_metrics_are_those_of_sets(sides: tuple[Path, Path]) -> None:
    assert not {"psnr", "ssim", "perceptual"} & sparring.evaluate(*sides).metrics.keys()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metrics": "psnr", "shave": 7}, "7 pixels of border left out; psnr needs at least 1x1"),
        ({"metrics": "psnr", "shave": -1}, "shave=-1"),
        ({"metrics": "fid", "shave": 2}, "shave is for metrics of pairs"),
        ({"metrics": "psnr", "masks": "digits"}, "name it under --metrics"),
        ({"metrics": "psnr_inside"}, "--masks"),
        ({"metrics": "psnr", "resolution": 8}, "resolution is for metrics of sets"),
        ({"metrics": "psnr", "nearest": "x.png"}, "nearest is for metrics of sets"),
        ({"metrics": "perceptual", "features": "pixels"}, "features with maps"),
    ],
)
def test_options_that_do_not_go_together(sides: tuple[Path, Path], options: dict, words: str) -> None:
    with pytest.raises(MetricError, match=words):
        sparring.evaluate(*sides, **options)


def test_generators_and_places_without_names_make_no_pairs(sides: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.toml").write_text("")
    (tmp_path / "empty").mkdir()
    for place, words in {
        tmp_path / "run": "is a run",
        "g.onnx": "is a generator",
        "pipe:cat a.tar": "shards hold no names",
    }.items():
        with pytest.raises(MetricError, match=words):
            sparring.evaluate(sides[0], place, "psnr")
    with pytest.raises(DataError, match="no picture that can be used"):
        sparring.evaluate(sides[0], tmp_path / "empty", "psnr")


def test_everything_is_json_and_people_read_decibels(sides: tuple[Path, Path]) -> None:
    found = sparring.evaluate(*sides, "psnr,psnr_y,ssim,perceptual")
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["protocol"]["pairs"]["features"]["name"] == "lite0"
    lines = repr(found).splitlines()
    assert lines[0].startswith("psnr ")
    assert f"{EXPECTED:.2f} dB" in lines[0]
    assert dict(protocol_lines(found.protocol))["clean"].endswith("pictures, 3")
