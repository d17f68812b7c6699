from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring import SettingError
from sparring.films import as_frames, frame_rate, write_film

MARKS = {"AI-generated": "true", "Title": "a walk"}


def test_a_gif_has_every_frame_and_loops(tmp_path: Path) -> None:
    pictures = torch.arange(15, dtype=torch.uint8)[:, None, None, None].expand(15, 1, 8, 8) * 17
    write_film(iter(pictures.split(4)), tmp_path / "walk.gif", 25, MARKS)
    with Image.open(tmp_path / "walk.gif") as film:
        assert film.n_frames == 15  # type: ignore[attr-defined]
        assert film.size == (256, 256)
        assert film.info["loop"] == 0
        assert film.info["duration"] == 40
        assert b"AI-generated: true" in film.info["comment"]


def test_an_mp4_has_every_frame_at_even_sides(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    pictures = torch.arange(0, 250, 10, dtype=torch.uint8)[:, None, None, None].expand(25, 3, 301, 257)
    write_film([pictures], tmp_path / "walk.mp4", 12.5, MARKS)
    with av.open(str(tmp_path / "walk.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 12.5
        assert film.metadata["comment"] == "AI-generated: true; Title: a walk"
    assert len(frames) == 25
    assert frames[0].shape == (302, 258, 3)
    assert [abs(float(frame.mean()) - 10 * i) < 3 for i, frame in enumerate(frames)] == [True] * 25


def test_a_film_has_the_same_bytes_however_many_cores_there_are(tmp_path: Path) -> None:
    pytest.importorskip("av")
    pictures = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for name in ("a.mp4", "b.mp4"):
        write_film([pictures], tmp_path / name, 10, MARKS)
    film = (tmp_path / "a.mp4").read_bytes()
    assert film == (tmp_path / "b.mp4").read_bytes()
    assert b" threads=4 " in film  # as x264 says of itself: by default it takes one and a half for each core


def test_grey_and_transparent_pictures_become_colour() -> None:
    grey = torch.full((1, 1, 100, 50), 7, dtype=torch.uint8)
    (frame,) = as_frames(grey)
    assert frame.shape == (200, 100, 3)
    assert (frame == 7).all()
    clear = torch.zeros(1, 4, 300, 300, dtype=torch.uint8)
    (frame,) = as_frames(clear)
    assert (frame == 255).all()


def test_formats_and_rates_that_there_are_not(tmp_path: Path) -> None:
    assert frame_rate(Path("a.gif"), 24) == 25
    with pytest.raises(SettingError, match=r"\.mp4 or \.gif"):
        frame_rate(Path("a.avi"), 24)
    with pytest.raises(SettingError, match="fps"):
        frame_rate(Path("a.gif"), 0)


def test_nothing_is_left_of_a_film_that_failed(tmp_path: Path) -> None:
    def broken() -> object:
        yield torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(broken(), tmp_path / "walk.gif", 24, MARKS)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
