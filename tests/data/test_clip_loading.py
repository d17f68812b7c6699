"""Films become clips: once decoded, the same the second time, cut where they are long, and nothing broken is fatal."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sparring.data import check_clips, clip_loading, clips_fingerprint, load_clips, survey_clips
from sparring.data.clip_cuts import Share, cuts_of, joined, share_of, take
from sparring.data.decode import Form
from sparring.data.film_files import Header
from sparring.errors import DataError

Shades = Callable[..., NDArray[np.uint8]]
Write = Callable[..., Path]

FORM = Form(8, 12, 1)


@pytest.fixture
def films(film: Write, shades: Shades, tmp_path: Path) -> Path:
    """Two classes: run/0.mp4 of 8 frames at 25 a second and run/1.mp4 of 6 at 10, sit/0.webm of 4 at 25; one broken."""
    root = tmp_path / "films"
    film(root / "run/0.mp4", shades(8))
    film(root / "run/1.mp4", shades(6), 10)
    film(root / "sit/0.webm", shades(4, 64, 96))
    (root / "sit/1.mp4").write_bytes(b"")
    (root / "notes.txt").write_text("words")
    return root


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each film that is decoded."""
    decoded: list[int] = []

    def counted(*given: Any) -> Any:
        decoded.append(1)
        return take(*given)

    monkeypatch.setattr(clip_loading, "take", counted)
    return decoded


def means(frames: torch.Tensor) -> list[float]:
    return frames.float().mean((1, 2, 3)).tolist()


def test_clips_keep_lengths_rates_and_order(films: Path) -> None:
    found = load_clips(films, FORM, labels=True)
    assert found.lengths.tolist() == [8, 6, 4]
    assert found.starts.tolist() == [0, 8, 14]
    assert found.rates.tolist() == [25, 10, 25]
    assert found.rate == 25
    assert found.names == ("run/0.mp4", "run/1.mp4", "sit/0.webm")
    assert (found.classes, found.labels.tolist()) == (("run", "sit"), [0, 0, 1])  # type: ignore[union-attr]
    assert found.shape == (1, 8, 12)
    assert means(found.clip(1)) == pytest.approx([20, 30, 40, 50, 60, 70], abs=4)
    assert [(each.path, each.reason) for each in found.skipped] == [("sit/1.mp4", "empty file")]


def test_the_second_start_decodes_nothing(films: Path, decoding: list[int], tmp_path: Path) -> None:
    first = load_clips(films, FORM)
    assert len(decoding) == 3
    shutil.copytree(films, tmp_path / "elsewhere")
    second = load_clips(tmp_path / "elsewhere", FORM, labels=True)
    assert len(decoding) == 3
    assert torch.equal(first.frames, second.frames)
    assert first.fingerprint == second.fingerprint == clips_fingerprint(films, FORM)
    assert first.skipped == second.skipped
    assert load_clips(films, Form(8, 8, 3)).fingerprint != first.fingerprint
    assert len(decoding) == 6


def test_a_damaged_cache_is_made_again(films: Path, decoding: list[int], cache_folder: Path) -> None:
    first = load_clips(films, FORM)
    for path in cache_folder.glob("*.npy"):
        content = bytearray(path.read_bytes())
        content[500] ^= 255
        path.write_bytes(content)
    assert torch.equal(load_clips(films, FORM).frames, first.frames)
    assert len(decoding) == 6
    assert sorted(path.suffix for path in cache_folder.iterdir()) == [".json", ".npy"]


def test_without_a_cache_the_frames_are_in_memory(films: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = load_clips(films, FORM)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "file/cache"))
    found = load_clips(films, FORM)
    assert torch.equal(found.frames, kept.frames)
    assert torch.equal(found.starts, kept.starts)
    assert len(found.notices) == 1
    assert "cannot be kept" in found.notices[0]
    monkeypatch.setattr("sparring.data.memory.available", lambda: 100)
    with pytest.raises(DataError, match="do not fit into memory, and cannot be kept"):
        load_clips(films, FORM)


def test_large_sets_are_memory_mapped(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = load_clips(films, FORM)
    monkeypatch.setattr("sparring.data.memory.available", lambda: 1000)
    mapped = load_clips(films, FORM)
    assert torch.equal(mapped.draw(0, 0, 4).frames, kept.draw(0, 0, 4).frames)


def test_clips_shorter_than_what_is_seen_are_skipped(films: Path, decoding: list[int]) -> None:
    found = load_clips(films, FORM, seen=6)
    assert found.names == ("run/0.mp4", "run/1.mp4")
    assert found.skipped[-1].reason == "4 frames; 6 are seen at once"
    assert means(found.clip(1)) == pytest.approx([20, 30, 40, 50, 60, 70], abs=4)
    with pytest.raises(DataError, match=r"no clip that can be used .*4 skipped: sit/1\.mp4: empty file"):
        load_clips(films, FORM, seen=9)
    assert len(decoding) == 3


def test_nothing_left_is_an_error_that_says_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "b.gif").write_text("words, and more of them")
    (tmp_path / "c.txt").write_text("words")
    for look in (survey_clips, check_clips, lambda place: load_clips(place, FORM)):
        with pytest.raises(DataError, match=r"no clip .*3 files, 2 skipped: a\.mp4: empty file; b\.gif: not a film"):
            look(tmp_path)


def test_labels_need_folders(film: Write, shades: Shades, tmp_path: Path) -> None:
    film(tmp_path / "set/0.mp4", shades(4))
    with pytest.raises(DataError, match="the clips are not sorted into folders"):
        load_clips(tmp_path / "set", FORM, labels=True)


def test_a_survey_tells_the_numbers(films: Path) -> None:
    found = survey_clips(films)
    assert (found.clips, found.frames, found.rate, found.channels) == (3, 18, 25, 1)
    assert (found.seconds, found.long) == pytest.approx((0.32, 0.6))  # of 0.32, 0.6 and 0.16
    assert (found.height, found.width) == (32, 48)
    assert found.classes == ("run", "sit")
    assert [each.path for each in found.skipped] == ["sit/1.mp4"]
    assert found.others == 1


def test_a_check_decodes_everything(films: Path) -> None:
    found = check_clips(films)
    assert found["used"] == 3
    assert found["frames"] == 18
    assert found["skipped"] == [{"path": "sit/1.mp4", "reason": "empty file"}]
    assert found["seconds"] == {"shortest": 0.16, "median": 0.32, "longest": 0.6}
    assert found["rates"] == {"25": 2, "10": 1}
    assert found["sizes"] == {"32x48": 2, "64x96": 1}
    assert found["classes"] == {"run": 2, "sit": 1}
    assert found["others"] == 1


def test_colour_is_seen(film: Write, shades: Shades, tmp_path: Path) -> None:
    frames = shades(4)
    frames[..., 0] = 200
    film(tmp_path / "set/0.mp4", frames)
    assert survey_clips(tmp_path / "set").channels == 3


def test_long_films_are_cut_into_clips(
    film: Write, shades: Shades, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.data.clip_cuts.LEAST_FRAMES", 8)
    film(tmp_path / "set/0.mp4", shades(23), 1)  # 23 seconds: two clips
    film(tmp_path / "set/1.mp4", shades(19), 1)
    found = load_clips(tmp_path / "set", FORM)
    assert found.lengths.tolist() == [11, 12, 19]
    assert found.names == ("0.mp4", "0.mp4", "1.mp4")
    assert means(found.clip(1)) == pytest.approx(20 + 10 * np.arange(11, 23), abs=4)
    assert found.notices == ("1 film of 20 seconds or more is cut into 2 clips of about 10 seconds",)
    assert survey_clips(tmp_path / "set").clips == 3

    monkeypatch.setattr(clip_loading, "CLIPS_VERSION", 2)  # or the cache would know them
    monkeypatch.setattr("sparring.data.clip_cuts.MOST_BYTES", 42 * 96 * 2 // 3)
    monkeypatch.setattr("sparring.data.clip_loading.MOST_BYTES", 42 * 96 * 2 // 3)
    part = load_clips(tmp_path / "set", FORM)
    assert part.names == ("0.mp4", "1.mp4")
    assert means(part.clip(0)) == pytest.approx(20 + 10 * np.arange(11, 23), abs=4)
    assert part.notices == (
        "all clips would take more than 0 GiB: 66.7% of them are kept, evenly over all films; a lower resolution keeps "
        "more",
    )


def test_what_is_kept_is_spread_evenly() -> None:
    hour = cuts_of(90_000, 25)
    assert len(hour) == 360
    assert hour[0] == (0, 250)
    assert hour[-1] == (89_750, 90_000)
    assert cuts_of(499, 25) == [(0, 499)]
    assert [end - begin for begin, end in cuts_of(100, 0.5)] == [33, 33, 34]
    headers = {0: Header(90_000, 25), 1: Header(100, 25), 3: Header(90_000, 25)}
    size = (16 << 30) // 180_100 * 4
    share = share_of(headers, size)
    assert share.part == pytest.approx(1 / 4, rel=1e-3)
    kept = share.kept(3, hour)
    assert 89 <= len(kept) <= 91
    assert set(np.diff([begin for begin, _ in kept])) <= {750, 1000, 1250}
    assert len(share.kept(0, hour)) + len(share.kept(1, [(0, 100)])) + len(kept) == int(721 * share.part)
    assert Share(1.0, {}).kept(5, hour) == hour
    assert joined([(0, 2), (2, 4), (9, 10)], 5) == [[(0, 2), (2, 4)], [(9, 10)]]


def test_progress_is_told(films: Path) -> None:
    told: list[tuple[str, int, int]] = []
    load_clips(films, FORM, progress=lambda *each: told.append(each))
    assert {stage for stage, _, _ in told} == {"reading", "looking", "decoding"}
    assert told[-1] == ("decoding", 4, 4)


def test_a_full_disk_is_no_fault_of_the_films(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(clip_loading, "take", full)
    with pytest.raises(DataError, match=r"no room in .*; let the variable SPARRING_CACHE"):
        load_clips(films, FORM)
    monkeypatch.undo()
    assert len(load_clips(films, FORM)) == 3
