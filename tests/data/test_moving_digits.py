"""Digits that move: where they should be, whole, and the same every time."""

import numpy as np
import torch

from sparring.data import load_clips, survey_clips
from sparring.data.clip_places import open_clips
from sparring.data.decode import Form
from sparring.data.moving_digits import SIZE, bouncing, moving_digits
from sparring.data.sources import PICTURE


def test_the_survey_knows_them() -> None:
    found = survey_clips("moving-digits")
    assert (found.clips, found.frames, found.rate) == (1797, 1797 * 32, 25)
    assert (found.height, found.width, found.channels) == (64, 64, 1)
    assert found.classes == tuple("0123456789")


def test_paths_are_straight_and_bounce() -> None:
    paths = np.stack([bouncing(number) for number in range(500)])
    assert paths.min() >= 0
    assert paths.max() <= 1
    steps = np.diff(paths, axis=1)
    turns = (np.abs(np.diff(np.abs(steps), axis=1)) > 1e-9).any(axis=(1, 2))
    assert 0.2 < turns.mean() < 1
    lengths = np.linalg.norm(steps[~turns], axis=2) * (1 - SIZE)
    assert np.allclose(lengths, lengths[:, :1])
    assert lengths.min() > 0.0149
    assert lengths.max() < 0.0601
    assert np.array_equal(bouncing(3), paths[3])


def test_a_digit_is_drawn_whole_where_it_is() -> None:
    with moving_digits(PICTURE).openings() as openings:
        for number, opener in zip(range(20), openings, strict=False):
            with opener() as film:
                frames = np.stack([np.asarray(make(), float) for _, make in film.frames(0, Form(48, 64, 1))])
            assert frames.shape == (32, 48, 64)
            light = frames.sum((1, 2))
            assert np.allclose(light, light.mean(), rtol=0.03)  # nothing is cut off
            rows, columns = np.mgrid[:48, :64]
            at = np.stack([(frames * columns).sum((1, 2)), (frames * rows).sum((1, 2))], 1) / light[:, None]
            size = SIZE * 48
            offset = at - bouncing(number) * (64 - size, 48 - size)
            assert np.ptp(offset, axis=0).max() < 0.5  # pixels


def test_they_load_in_any_size() -> None:
    found = load_clips("moving-digits", Form(8, 8, 1), labels=True)
    assert len(found) == 1797
    assert found.frames.shape == (1797 * 32, 1, 8, 8)
    assert found.labels is not None
    assert torch.bincount(found.labels).min() > 170
    assert open_clips("moving-digits").classes([0, 1, 2]) == ["0", "1", "2"]
