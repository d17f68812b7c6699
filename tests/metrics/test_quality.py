"""The pixel judge: reduction against Pillow's box filter, and cases with known verdicts."""

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.errors import MetricError
from sparring.metrics import judge
from sparring.metrics.quality import area_weights, harmonic_mean, pixels, reduced


def pictures(count, channels=1, height=8, width=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def test_reduction_is_pillows_box_filter():
    picture = np.random.default_rng(0).random((36, 48)).astype(np.float32)
    expected = np.asarray(Image.fromarray(picture).resize((16, 12), Image.Resampling.BOX))
    measured = area_weights(36, 12) @ torch.tensor(picture) @ area_weights(48, 16).T
    assert measured.numpy() == pytest.approx(expected, abs=1e-6)  # whole ratios: Pillow rounds others to whole pixels


def test_weights_average_by_area():
    assert area_weights(3, 2) == pytest.approx(torch.tensor([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]]))


@pytest.mark.parametrize(
    ("size", "expected"), [((8, 8), (8, 8)), ((64, 96), (11, 16)), ((16, 4), (16, 4)), ((1, 500), (1, 16))]
)
def test_longer_side_becomes_16(size, expected):
    assert reduced(*size) == expected


def test_transparent_pixels_have_no_colour():
    picture = torch.zeros(1, 4, 2, 2, dtype=torch.uint8)
    picture[:, :3] = 255
    assert pixels(picture).eq(0).all()


def test_the_real_pictures_themselves_are_perfect_copies():
    real = pictures(40)
    quality = judge(real, real)
    assert (quality.precision, quality.recall, quality.coverage, quality.score) == (1.0, 1.0, 1.0, 1.0)
    assert quality.copies == 1.0


def test_one_picture_repeated_has_no_variety():
    real = pictures(40)
    quality = judge(real, real[:1].expand(40, -1, -1, -1))
    assert quality.precision == 1.0
    assert quality.recall == 0.0
    assert quality.score == 0.0


def test_protocol_says_what_was_compared():
    quality = judge(pictures(30, 3, 32, 24), pictures(20, 3, 32, 24, seed=1), limit=25)
    assert quality.protocol == {
        "features": "pixels 16x12",
        "k": 5,
        "real": 25,
        "fake": 20,
        "resize": "area from 32x24",
    }


def test_pictures_of_other_shapes_cannot_be_compared():
    with pytest.raises(MetricError, match=r"real pictures \(9, 1, 8, 8\) and generated ones \(9, 3, 8, 8\)"):
        judge(pictures(9), pictures(9, 3))


def test_harmonic_mean():
    assert harmonic_mean(1.0, 0.5, 0.25) == pytest.approx(3 / 7)
    assert harmonic_mean(1.0, 0.0, 1.0) == 0.0
