"""What clips lie in, and what is found there."""

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sparring.data import EMBEDDED_CLIPS, surely_clips
from sparring.data.clip_places import open_clips
from sparring.errors import DataError, SettingError

Shades = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def frames(tmp_path: Path, shades: Shades) -> Path:
    """Two classes of two clips each in folders of frames: set/run/a/0001.png to set/sit/b/0006.png."""
    root = tmp_path / "set"
    for folder in ("run/a", "run/b", "sit/a", "sit/b"):
        (root / folder).mkdir(parents=True)
        for number, frame in enumerate(shades(6), 1):
            Image.fromarray(frame).save(root / folder / f"{number:04}.png")
    return root


def test_folders_of_frames_are_clips(frames: Path) -> None:
    (frames / "notes.txt").write_text("words")
    (frames / "cover.png").write_bytes((frames / "run/a/0001.png").read_bytes())
    place = open_clips(frames, 10)
    assert place.items == ["run/a", "run/b", "sit/a", "sit/b"]
    assert place.classes([0, 1, 2, 3]) == ["run", "run", "sit", "sit"]
    assert place.others == 2
    with place.openings() as openings, next(iter(openings))() as film:
        assert film.header().rate == 10
        assert [number for number, _ in film.frames(0, None)] == list(range(6))


def test_frames_go_by_their_numbers(tmp_path: Path, shades: Shades) -> None:
    for number, frame in zip((8, 9, 10, 11), shades(4), strict=True):
        Image.fromarray(frame).save(tmp_path / f"walk_{number}.png")
        Image.fromarray(255 - frame).save(tmp_path / f"jump_{number}.png")
    place = open_clips(tmp_path)
    assert place.items == ["./jump", "./walk"]
    with place.openings() as openings, list(openings)[1]() as film:
        means = [np.asarray(make()).mean() for _, make in film.frames(0, None)]
    assert means == [20, 30, 40, 50]


def test_missing_frames_are_named(frames: Path) -> None:
    (frames / "run/a/0003.png").unlink()
    place = open_clips(frames)
    assert [(each.path, each.reason) for each in place.skipped] == [("run/a", "frames are missing: 2 is followed by 4")]
    assert len(place.items) == 3
    assert place.others == 0


def test_still_webp_files_are_frames_and_moving_ones_films(tmp_path: Path, shades: Shades) -> None:
    pictures = [Image.fromarray(frame) for frame in shades(3)]
    for number, picture in enumerate(pictures):
        (tmp_path / "still").mkdir(exist_ok=True)
        (tmp_path / "moving").mkdir(exist_ok=True)
        picture.save(tmp_path / f"still/{number}.webp")
        picture.save(tmp_path / f"moving/{number}.webp", save_all=True, append_images=pictures)
    assert open_clips(tmp_path / "still").items == ["."]
    assert open_clips(tmp_path / "moving").items == ["0.webp", "1.webp", "2.webp"]


def test_pictures_beside_films_are_no_clips(tmp_path: Path, shades: Shades) -> None:
    for number in range(3):
        pictures = [Image.fromarray(frame) for frame in shades(3)]
        pictures[0].save(tmp_path / f"{number}.gif", save_all=True, append_images=pictures[1:])
    (tmp_path / "thumbs").mkdir()
    for number in range(3):
        pictures[0].save(tmp_path / f"thumbs/{number}.png")
    place = open_clips(tmp_path)
    assert place.items == ["0.gif", "1.gif", "2.gif"]
    assert place.others == 3


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_an_archive_holds_what_its_folder_holds(frames: Path, tmp_path: Path, name: str) -> None:
    files = sorted(frames.rglob("*.png"))
    if name.endswith("zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file in files:
                archive.write(file, f"set/{file.relative_to(frames).as_posix()}")
    else:
        with tarfile.open(tmp_path / name, f"w:{'gz' if name.endswith('gz') else ''}") as tar:
            for file in reversed(files):
                tar.add(file, f"set/{file.relative_to(frames).as_posix()}")
    place = open_clips(tmp_path / name)
    assert sorted(place.items) == ["set/run/a", "set/run/b", "set/sit/a", "set/sit/b"]
    assert set(place.classes(range(4))) == {"run", "sit"}
    with place.openings() as openings, next(iter(openings))() as film:
        assert [np.asarray(make()).mean() for _, make in film.frames(0, None)] == [20, 30, 40, 50, 60, 70]


def test_arrays_are_clips(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).integers(0, 255, (3, 5, 8, 6, 3), np.uint8)
    np.save(tmp_path / "a.npy", clips)
    np.save(tmp_path / "first.npy", clips.transpose(0, 1, 4, 2, 3))
    np.savez(tmp_path / "a.npz", clips=clips, labels=np.array(["x", "y", "x"]))
    for name in ("a.npy", "first.npy", "a.npz"):
        place = open_clips(tmp_path / name)
        with place.openings() as openings, list(openings)[2]() as film:
            assert all((np.asarray(make()) == clips[2, number]).all() for number, make in film.frames(0, None))
    assert place.classes([0, 1, 2]) == ["x", "y", "x"]
    np.save(tmp_path / "grey.npy", clips[..., 0])
    assert len(open_clips(tmp_path / "grey.npy").items) == 3


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((2, 3, 4, 4, 3), np.float32), "clips are uint8"),
        (np.zeros((2, 3, 5, 4, 2), np.uint8), r"clips are \(N, T, H, W\)"),
        (np.zeros((10, 8, 8, 3), np.uint8), r"clips are \(N, T, H, W\)"),
        (np.zeros((2, 0, 4, 4, 3), np.uint8), "empty"),
        (np.array([None]), "Python objects"),
    ],
)
def test_arrays_of_other_things_are_refused(tmp_path: Path, array: NDArray[np.generic], why: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=why):
        open_clips(tmp_path / "a.npy")


def test_places_without_clips_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    for place, why in (
        (tmp_path / "a.txt", "not a set of clips"),
        (tmp_path / "nothing", "no such file or folder"),
        ("moving-digit", "did you mean moving-digits"),
        ("", "empty"),
    ):
        with pytest.raises(DataError, match=why):
            open_clips(place)
    with pytest.raises(SettingError, match="frame_rate=0"):
        open_clips(tmp_path, 0)


def test_without_pyav_one_sentence_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(100))
    monkeypatch.setattr("sparring.data.clip_places.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"films such as a\.mp4 need PyAV: pip install \"sparring\[video\]\""):
        open_clips(tmp_path)


def test_only_what_is_sure_is_taken_for_clips(frames: Path, tmp_path: Path) -> None:
    assert all(surely_clips(name) for name in EMBEDDED_CLIPS)
    assert not surely_clips(frames)
    assert not surely_clips("digits")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'fortran")
    assert not surely_clips(tmp_path / "cut.npy")
    assert not surely_clips(tmp_path / "nothing")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "a.png").write_bytes(b"")
    (mixed / "a.mp4").write_bytes(b"")
    assert not surely_clips(mixed)
    (mixed / "b.webm").write_bytes(b"")
    assert surely_clips(mixed)
    assert surely_clips(mixed / "a.mp4")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/a.MP4", b"")
    assert surely_clips(tmp_path / "a.zip")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(mixed)
    assert surely_clips(tmp_path / "a.tar.gz")
    np.save(tmp_path / "clips.npy", np.zeros((1, 2, 4, 4, 3), np.uint8))
    np.save(tmp_path / "pictures.npy", np.zeros((2, 4, 4, 3), np.uint8))
    assert surely_clips(tmp_path / "clips.npy")
    assert not surely_clips(tmp_path / "pictures.npy")
    (tmp_path / "broken.zip").write_bytes(b"PK")
    assert not surely_clips(tmp_path / "broken.zip")


@pytest.mark.parametrize("name", ["gifs", "gifs.zip", "gifs.tar"])
def test_gif_files_are_clips_where_most_of_them_move(tmp_path: Path, shades: Shades, name: str) -> None:
    folder = tmp_path / "gifs"
    folder.mkdir()
    still, *others = [Image.fromarray(frame) for frame in shades(3)]

    def sure() -> bool:
        if name.endswith(".zip"):
            with zipfile.ZipFile(tmp_path / name, "w") as archive:
                for path in folder.iterdir():
                    archive.write(path, path.name)
        elif name.endswith(".tar"):
            with tarfile.open(tmp_path / name, "w") as tar:
                tar.add(folder, "gifs")
        return surely_clips(tmp_path / name)

    still.save(folder / "a.gif")
    (folder / "broken.gif").write_bytes(b"GIF89a")
    assert not sure()
    for number in range(3):
        still.save(folder / f"{number}.gif", save_all=True, append_images=others)
    assert sure()
    for number in range(5):
        still.save(folder / f"{number}.png")
    assert not sure()  # as many pictures
    (folder / "a.mp4").write_bytes(b"")
    assert sure()
