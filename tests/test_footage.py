"""Clips as files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sparring.errors import RunError, SettingError
from sparring.footage import SHEET, check_clips, sheet, spread, write_clips

MARKS = {"AI-generated": "true"}
CLIPS = torch.arange(2 * 20, dtype=torch.uint8).view(2, 20, 1, 1, 1).expand(2, 20, 3, 8, 12) * 6


def parts(clips: Tensor = CLIPS) -> list[list[Tensor]]:
    """As `Model.films` gives them."""
    return [list(clip.split(16)) for clip in clips]


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as film:
        found = []
        for number in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(number)
            found.append(np.asarray(film.convert("RGB")))
    return found


def test_an_array_has_clips_frames_rows_columns_and_channels(tmp_path: Path) -> None:
    write_clips(parts(), CLIPS.shape, tmp_path / "clips.npy", 25, MARKS)
    made = np.load(tmp_path / "clips.npy")
    assert made.dtype == np.uint8
    assert np.array_equal(made, CLIPS.permute(0, 1, 3, 4, 2).numpy())


def test_a_folder_holds_a_film_of_each(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    write_clips(parts(), CLIPS.shape, tmp_path / "films", 10, MARKS)
    for number in range(2):
        with av.open(str(tmp_path / "films" / f"0000{number}.mp4")) as film:
            frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
            assert film.streams.video[0].average_rate == 10
            assert film.metadata["comment"] == f"AI-generated: true; Index: {number}"
        assert len(frames) == 20
        assert frames[0].shape[0] * 12 == frames[0].shape[1] * 8  # enlarged, but in proportion
        assert abs(float(frames[7].mean()) - float(CLIPS[number, 7].float().mean())) < 3


def test_a_folder_of_gifs_or_of_frames(tmp_path: Path) -> None:
    write_clips(parts(), CLIPS.shape, tmp_path / "gifs", 10, MARKS, "gif")
    assert len(frames_of(tmp_path / "gifs" / "00001.gif")) == 20
    write_clips(parts(), CLIPS.shape, tmp_path / "frames", 10, MARKS, "frames")
    with Image.open(tmp_path / "frames" / "00001" / "00019.png") as frame:
        assert frame.size == (12, 8)
        assert (np.asarray(frame) == CLIPS[1, 19, 0, 0, 0].item()).all()
        assert frame.info["AI-generated"] == "true"


def test_one_film_shows_all_clips_at_the_same_time(tmp_path: Path) -> None:
    write_clips(parts(), CLIPS.shape, tmp_path / "both.gif", 10, MARKS)
    frames = frames_of(tmp_path / "both.gif")
    assert len(frames) == 20
    values = {int(CLIPS[number, 5, 0, 0, 0]) for number in range(2)}
    seen = {int(value) for value in np.unique(frames[5])}
    assert all(any(abs(value - there) <= 4 for there in seen) for value in values)
    write_clips(parts()[:1], (1, *CLIPS.shape[1:]), tmp_path / "one.gif", 10, MARKS)
    assert (frames_of(tmp_path / "one.gif")[3] == frames_of(tmp_path / "one.gif")[3][0, 0]).all()  # and no edge


def test_a_picture_shows_frames_from_the_first_to_the_last(tmp_path: Path) -> None:
    assert spread(20)[0] == 0
    assert spread(20)[-1] == 19
    assert len(spread(20)) == SHEET
    assert spread(3) == [0, 1, 2]
    assert spread(1) == [0]
    write_clips(parts(), CLIPS.shape, tmp_path / "rows.png", 10, MARKS)
    with Image.open(tmp_path / "rows.png") as picture:
        assert picture.info["AI-generated"] == "true"
        assert np.array_equal(np.asarray(picture), np.asarray(sheet(CLIPS)))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.png"]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("clips.jpg", {}, "clips are written as .mp4, .gif, .npy, .png or into a folder, not as .jpg"),
        ("clips.npy", {"format": "gif"}, "format=gif is for a folder"),
        ("clips", {"format": "avi"}, "format=avi: clips are written as mp4, gif, frames"),
        ("clips.gif", {"n": 101}, "101 clips side by side"),
        ("clips.gif", {"fps": 500.0}, "fps=500: it should be from 1 to 120"),
        ("clips.gif", {"frames": 3000}, "a GIF of 3,000 frames takes too much memory"),
        ("clips", {"fps": 0.5}, r"fps=0\.5"),
        ("full", {}, "not an empty folder"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_made(
    tmp_path: Path, name: str, options: dict[str, object], words: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    given = {"n": 2, "frames": 8, "fps": 25.0, **options}
    with pytest.raises((SettingError, RunError), match=words):
        check_clips(tmp_path / name, **given)  # type: ignore[arg-type]


def test_without_pyav_it_is_said_what_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(SettingError, match=r"\.mp4 needs PyAV: .*--format gif"):
        check_clips(tmp_path / "clips", 2, 8, 25)
    check_clips(tmp_path / "clips", 2, 8, 25, "gif")
    check_clips(tmp_path / "clips.npy", 2, 8, 25)


def test_nothing_is_left_of_an_array_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        write_clips(parts()[:1], CLIPS.shape, tmp_path / "clips.npy", 25, MARKS)
    assert not list(tmp_path.iterdir())
