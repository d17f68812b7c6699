"""Films of all kinds give their frames, in order, at their times; what is broken says so."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sparring.data.clip_cuts import Share, frames_of, take
from sparring.data.decode import Form, UnusableError
from sparring.data.film_files import MAX_FRAME, film_in, steps, timed
from sparring.data.folders import open_file

Shades = Callable[..., NDArray[np.uint8]]
Write = Callable[..., Path]

WHOLE = Share(1.0, {})
FORM = Form(8, 8, 1)


def levels(path: Path, form: Form = FORM) -> tuple[list[int], float]:
    """The mean of each frame of a film, and its rate."""
    with film_in(partial(open_file, path, 2**30)) as film:
        taken = take(film, form, WHOLE, 0, path.parent)
        frames = np.concatenate(list(taken.parts())).reshape(-1, form.channels, form.height, form.width)
        return [round(float(frame.mean())) for frame in frames], taken.rate


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".wmv", ".flv"])
def test_every_frame_of_every_container(film: Write, shades: Shades, tmp_path: Path, suffix: str) -> None:
    found, rate = levels(film(tmp_path / f"a{suffix}", shades(), 24))
    assert found == pytest.approx(20 + 10 * np.arange(8), abs=4)
    assert rate == pytest.approx(24, rel=0.01)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng"])
def test_animations_need_no_pyav(shades: Shades, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    pictures = [Image.fromarray(frame) for frame in shades()]
    path = tmp_path / f"a{suffix}"
    format = {".apng": "PNG", ".gif": "GIF", ".webp": "WEBP"}[suffix]
    pictures[0].save(path, format, save_all=True, append_images=pictures[1:], duration=50)
    found, rate = levels(path)
    assert found == pytest.approx(20 + 10 * np.arange(8), abs=4)
    assert rate == pytest.approx(20)


def test_without_pyav_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    with pytest.raises(UnusableError, match=r"pip install \"sparring\[video\]\""):
        levels(tmp_path / "a.mp4")


def test_films_are_turned_as_the_phone_says(film: Write, shades: Shades, tmp_path: Path) -> None:
    frames = shades(4)
    frames[:, :, :24] = 20
    frames[:, :, 24:] = 220  # the right half is light
    path = film(tmp_path / "a.mp4", frames, turn=90)
    with film_in(partial(open_file, path, 2**30)) as opened:
        _, make = next(opened.frames(0, None))
        shown = np.asarray(make().convert("L"))
    assert shown.shape == (48, 32)
    # Turned against the clock, what was right is above.
    assert (round(float(shown[:20].mean())), round(float(shown[-20:].mean()))) == pytest.approx((220, 20), abs=4)


def test_a_large_frame_keeps_its_place_when_it_is_reduced(film: Write, tmp_path: Path) -> None:
    frames = np.zeros((3, 256, 512, 3), np.uint8)
    frames[:, :128, 128:256] = 200  # the upper left quarter of the middle
    path = film(tmp_path / "a.mp4", frames)
    with film_in(partial(open_file, path, 2**30)) as opened:
        first = next(frames_of(opened, Form(8, 8, 1), np.arange(3), [[(0, 3)]]))[0].astype(int)
    assert first[1:3, 1:3].min() > 180
    assert max(first[5:].max(), first[:, 5:].max()) < 20


def test_frames_are_shown_as_long_as_they_say(film: Write, shades: Shades, tmp_path: Path) -> None:
    # 40 ms each, but that the third stays for 200: five moments.
    times = [0, 40, 80, 280, 320, 360, 400, 440]
    found, rate = levels(film(tmp_path / "a.mkv", shades(), times=times))
    assert rate == pytest.approx(25)
    assert found[:10] == pytest.approx([20, 30, 40, 40, 40, 40, 40, 50, 60, 70], abs=4)


def test_times_by_hand() -> None:
    even = timed(np.array([0, 0.033, 0.067, 0.100, 0.133]), 25)  # 30 a second, rounded to milliseconds
    assert even.shown.tolist() == [0, 1, 2, 3]
    assert even.rate == pytest.approx(30, rel=0.01)
    late = timed(np.array([0, 0.1, 0.2, 0.5, 0.6, 0.7]), 25)
    assert (late.rate, late.shown.tolist()) == (pytest.approx(10), [0, 1, 2, 2, 2, 3, 4])
    quick = timed(np.array([0, 0.001, 0.002, 0.1, 0.101, 0.2]), 25)
    assert quick.rate == 60
    assert len(quick.shown) == 12
    for nonsense in ([0, 0.2, 0.1, 0.3], [0, 0.04, 1e9, 1e9 + 1], [0, float("nan"), 1, 2], [0, 1e-6, 2e-6, 3e-6]):
        found = timed(np.array(nonsense), 25)
        assert (found.rate, found.shown.tolist()) == (25, [0, 1, 2])


def test_a_leap_into_a_film_finds_the_frame(film: Write, shades: Shades, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", shades(20), g="5", bf="2")
    with film_in(partial(open_file, path, 2**30)) as opened:
        shown = opened.timeline().shown
        found = [round(float(frame.mean())) for frame in frames_of(opened, FORM, shown, [[(2, 4)], [(13, 16)]])]
    assert found == pytest.approx([40, 50, 150, 160, 170], abs=4)


def test_a_film_that_was_written_live_is_as_long_as_its_packets(shades: Shades, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "live.mkv"
    with av.open(str(path), "w", format="matroska", options={"live": "1"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for frame in shades(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    with film_in(partial(open_file, path, 2**30)) as opened:
        assert opened.header().frames == 12


def broken(kind: str, film: Write, shades: Shades, folder: Path) -> Path:
    path = folder / "a.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("These are words, and more of them.")
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    elif kind == "one frame":
        film(path, shades(1))
    elif kind == "cut":
        content = film(path, shades(), movflags="faststart").read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind == "noise":
        path.write_bytes(b"\0\0\0\x20ftypisom" + np.random.default_rng(0).bytes(2000))
    elif kind == "flipped":
        noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8)
        content = bytearray(film(path, noise).read_bytes())
        start = content.find(b"mdat") + 3000
        content[start : start + 4000] = bytes(4000)
        path.write_bytes(content)
    elif kind == "one picture":
        path = folder / "a.gif"
        Image.fromarray(shades(1)[0]).save(path)
    elif kind == "sound":
        import av

        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("empty", "empty file"),
        ("text", "not a film"),
        ("playlist", "not a film"),
        ("one frame", "one frame"),
        ("cut", "cut short|damaged"),
        ("noise", "damaged"),
        ("flipped", "damaged|cut short"),
        ("one picture", "one frame"),
        ("sound", "no picture"),
    ],
)
def test_what_is_no_film_says_why(film: Write, shades: Shades, tmp_path: Path, kind: str, why: str) -> None:
    with pytest.raises(UnusableError, match=why):
        levels(broken(kind, film, shades, tmp_path))


def test_frames_that_are_too_large_are_not_decoded(
    film: Write, shades: Shades, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_FRAME > 7680 * 4320
    path = film(tmp_path / "a.mp4", shades())
    monkeypatch.setattr("sparring.data.film_files.MAX_FRAME", 32 * 48 - 1)
    with pytest.raises(UnusableError, match=r"too large: 48x32 pixels, limit 1,535"):
        levels(path)


def test_much_waits_on_disk(film: Write, shades: Shades, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", shades())
    plain = levels(path)
    monkeypatch.setattr("sparring.data.clip_cuts.HELD", 100)
    assert levels(path) == plain


def test_numbers_go_up_evenly() -> None:
    assert steps([1, 2, 3]) is steps([0, 5, 10]) is None
    assert steps([1, 2, 4]) == "frames are missing: 2 is followed by 4"
