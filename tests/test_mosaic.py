"""Grids of pictures, looked at pixel by pixel."""

import numpy as np
import pytest
import torch

from sparring import mosaic
from sparring.mosaic import full_columns, grid, nearest_grid


def test_pixels_of_a_small_grid():
    images = torch.tensor([10, 20, 30], dtype=torch.uint8).reshape(3, 1, 1, 1)
    sheet = np.asarray(grid(images, columns=2, padding=1, scale=2))
    assert sheet.tolist() == [
        [128, 128, 128, 128, 128, 128, 128],
        [128, 10, 10, 128, 20, 20, 128],
        [128, 10, 10, 128, 20, 20, 128],
        [128, 128, 128, 128, 128, 128, 128],
        [128, 30, 30, 128, 128, 128, 128],
        [128, 30, 30, 128, 128, 128, 128],
        [128, 128, 128, 128, 128, 128, 128],
    ]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_mode_follows_the_channels(channels, mode):
    assert grid(torch.zeros(5, channels, 8, 6, dtype=torch.uint8)).mode == mode


@pytest.mark.parametrize(("count", "side"), [(1, 8), (16, 8), (64, 8), (36, 28), (64, 64)])
def test_small_pictures_are_enlarged_to_a_comfortable_size(count, side):
    assert 512 <= grid(torch.zeros(count, 1, side, side, dtype=torch.uint8)).width <= 1024


def test_large_pictures_keep_their_size():
    assert grid(torch.zeros(4, 1, 700, 700, dtype=torch.uint8)).size == (2 * 700 + 12, 2 * 700 + 12)


def test_the_last_row_is_full_where_that_costs_little():
    assert full_columns(64, 64 / 53) == 8
    assert full_columns(100, 1) == 10
    assert full_columns(1, 1) == 1
    assert full_columns(3, 10) == 3
    assert full_columns(7, 1) in (2, 3)


def test_wide_pictures_get_fewer_columns():
    width, height = grid(torch.zeros(16, 1, 10, 40, dtype=torch.uint8)).size
    assert width == pytest.approx(height, rel=0.1)


def test_no_pictures():
    with pytest.raises(ValueError, match="expected uint8"):
        grid(torch.zeros(0, 1, 8, 8, dtype=torch.uint8))


def test_below_a_sample_is_the_training_picture_nearest_to_it():
    training = torch.arange(0, 250, 10, dtype=torch.uint8).reshape(25, 1, 1, 1).expand(-1, 3, 4, 4)
    sheet = nearest_grid(training[[3, 7]] + 1, training, count=2)
    pixel = [sheet.getpixel((sheet.width // 4, y))[0] for y in (sheet.height // 6, sheet.height // 2)]
    assert pixel == [31, 30]


def test_nearest_pictures_are_found_in_any_chunk(monkeypatch):
    monkeypatch.setattr(mosaic, "CHUNK", 4)
    training = torch.arange(0, 250, 10, dtype=torch.uint8).reshape(25, 1, 1, 1)
    nearest = mosaic._nearest_pictures(training[[0, 13]] + 1, training, 3)
    assert nearest.tolist() == [[0, 1, 2], [13, 14, 12]]


def test_a_single_training_picture():
    training = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    assert nearest_grid(training.repeat(8, 1, 1, 1), training).width > 256
