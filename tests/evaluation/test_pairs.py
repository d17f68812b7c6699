"""Restored pictures against clean ones: closed forms, numbers worked out by hand, and what cannot be compared."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images
from tests.evaluation.helpers import Means
from torch import Tensor, nn

from sparring.errors import MetricError
from sparring.evaluation.judgement import Evaluation, comparable, summary
from sparring.evaluation.pairs import device_of, joined, measure_pairs
from sparring.metrics.similarity import perceptual_distance, ssim
from sparring.networks.features import open_features


def flat(value: int, *shape: int) -> Tensor:
    return torch.full(shape, value, dtype=torch.uint8)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def test_a_constant_offset_has_its_psnr_in_closed_form_and_sizes_may_differ() -> None:
    shapes = [(3, 12, 20), (3, 16, 11), (1, 30, 30)]
    found = measure_pairs([flat(100, *s) for s in shapes], [flat(100 + d, *s) for d, s in enumerate(shapes, 1)])
    decibels = [20 * math.log10(255 / d) for d in (1, 2, 3)]
    assert found.value("psnr") == pytest.approx(np.mean(decibels), rel=1e-12)
    terms = [(2 * 100 * (100 + d) + 6.5025) / (100**2 + (100 + d) ** 2 + 6.5025) for d in (1, 2, 3)]
    assert found.value("ssim") == pytest.approx(np.mean(terms), abs=1e-9)


def test_the_mean_is_that_of_decibels_not_of_errors_and_its_interval_that_of_student() -> None:
    found = measure_pairs([flat(0, 1, 4, 4)] * 3, [flat(v, 1, 4, 4) for v in (1, 10, 100)], metrics="psnr")
    middle = 20 * math.log10(25.5)
    # 20 dB apart: a standard deviation of 20; 4.302653 is the 97.5 % quantile of t with 2 degrees of freedom.
    half = 4.302653 * 20 / math.sqrt(3)
    estimate = found.metrics["psnr"].estimate
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((middle - half, middle, middle + half))


def test_one_pair_has_no_interval() -> None:
    found = measure_pairs([flat(0, 3, 12, 12)], [flat(51, 3, 12, 12)], metrics="psnr")
    assert found.to_json()["metrics"]["psnr"] == {"value": pytest.approx(20 * math.log10(5)), "low": None, "high": None}
    assert "one pair has no interval" in found.notices


def test_batches_give_what_pairs_give_alone() -> None:
    clean = [noise(seed, 3, 24, 30) for seed in range(5)] + [noise(9, 3, 30, 24)]
    restored = [noise(seed + 50, *picture.shape) for seed, picture in enumerate(clean)]
    alone = [measure_pairs([a], [b]) for a, b in zip(clean, restored, strict=True)]
    together = measure_pairs(clean, restored)
    for name in ("psnr", "ssim"):
        assert together.value(name) == pytest.approx(np.mean([each.value(name) for each in alone]), rel=1e-12)


def test_equal_pictures_count_as_though_one_value_were_off_by_one() -> None:
    a = noise(1, 3, 16, 16)
    b = a.clone()
    b[0, 3, 3] ^= 1
    off_by_one = measure_pairs([a], [b], metrics=["psnr"]).value("psnr")
    found = measure_pairs([a, a], [a, b], metrics="psnr,psnr_y")
    assert off_by_one == pytest.approx(20 * math.log10(255) + 10 * math.log10(3 * 16 * 16))
    assert found.value("psnr") == pytest.approx(off_by_one)
    # In luminance a value off by one is off by less, and still no better than equal.
    assert found.value("psnr_y") == pytest.approx(20 * math.log10(255) + 10 * math.log10(16 * 16))
    assert found.protocol["pairs"]["equal"] == 1
    assert any("1 of 2 pairs are equal" in notice for notice in found.notices)
    json.dumps(found.to_json(), allow_nan=False)


def test_luminance_by_hand() -> None:
    a, b = flat(0, 3, 4, 4), flat(0, 3, 4, 4)
    a[0], b[2] = 255, 255  # red: Y = 16 + 65.481; blue: Y = 16 + 24.966
    assert measure_pairs([a], [b], metrics="psnr_y").value("psnr_y") == pytest.approx(
        20 * math.log10(255 / (65.481 - 24.966))
    )
    grey = measure_pairs([flat(10, 1, 4, 4)], [flat(20, 1, 4, 4)], metrics="psnr_y")
    assert grey.value("psnr_y") == pytest.approx(20 * math.log10(25.5))


def test_the_border_is_left_out_of_every_metric() -> None:
    clean, restored = flat(50, 3, 20, 24), flat(0, 3, 20, 24)
    restored[:, 4:-4, 4:-4] = 55
    found = measure_pairs([clean], [restored], metrics="psnr,psnr_y,ssim", shave=4)
    assert found.value("psnr") == pytest.approx(20 * math.log10(51))
    assert found.value("psnr_y") == pytest.approx(20 * math.log10(255 / (5 * 219 / 255)))
    assert found.value("ssim") == pytest.approx((2 * 50 * 55 + 6.5025) / (50**2 + 55**2 + 6.5025), abs=1e-9)
    assert "4 pixels of border left out" in summary(found.protocol)


def test_inside_sees_the_holes_alone_and_pictures_without_one_do_not_count() -> None:
    clean, restored = flat(0, 3, 8, 8), flat(200, 3, 8, 8)
    hole = torch.zeros(8, 8, dtype=torch.bool)
    hole[2:4, 3:6] = True
    restored[:, hole] = 10
    whole = torch.zeros_like(hole)
    found = measure_pairs([clean, clean], [restored, clean], metrics="psnr_inside", inside=[hole, whole])
    assert found.value("psnr_inside") == pytest.approx(20 * math.log10(25.5))
    same = measure_pairs([clean], [clean], metrics="psnr_inside", inside=[hole])
    assert same.value("psnr_inside") == pytest.approx(20 * math.log10(255) + 10 * math.log10(3 * 6))
    with pytest.raises(MetricError, match="no picture has a missing pixel"):
        measure_pairs([clean], [restored], metrics="psnr_inside", inside=[whole])


def test_perceptual_is_taken_at_the_pictures_own_size() -> None:
    network = open_features("lite0")
    a, b = noise(1, 3, 96, 70), noise(2, 3, 96, 70)
    maps = [network.maps(x[None].float() / 127.5 - 1) for x in (a, b)]
    found = measure_pairs([a, a], [b, a], network, "perceptual")
    assert found.value("perceptual") == pytest.approx(float(perceptual_distance(*maps)) / 2, rel=1e-5)
    assert found.protocol["pairs"]["features"]["name"] == "lite0"
    assert found.metrics["perceptual"].estimate.low == 0  # of two so different ones it would be negative
    small = measure_pairs([noise(1, 1, 8, 12)], [noise(2, 1, 8, 12)], network)
    assert set(small.metrics) == {"psnr", "perceptual"}
    assert any("ssim left out: 8x12 pixels" in notice for notice in small.notices)


def test_what_applies_is_measured_where_nothing_is_named() -> None:
    a, b = noise(1, 3, 16, 16), noise(2, 3, 16, 16)
    hole = torch.ones(16, 16, dtype=torch.bool)
    assert list(measure_pairs([a], [b], Means()).metrics) == ["psnr", "ssim"]
    everything = measure_pairs([a], [b], open_features("lite0"), inside=[hole])
    assert list(everything.metrics) == ["psnr", "ssim", "perceptual", "psnr_inside"]
    assert everything.value("psnr_inside") == pytest.approx(everything.value("psnr"))
    assert everything.value("ssim") == pytest.approx(float(ssim(a[None], b[None])))


def test_pairs_go_where_the_weights_of_the_network_are() -> None:
    assert [device_of(features) for features in (None, Means(), nn.Linear(1, 1, device="meta"))] == [
        "cpu",
        "cpu",
        "meta",
    ]


def test_the_worst_pair_is_named() -> None:
    found = measure_pairs([flat(0, 3, 12, 12)] * 2, [flat(9, 3, 12, 12), flat(3, 3, 12, 12)], names=["a", "b"])
    assert {name: worst["name"] for name, worst in found.protocol["pairs"]["worst"].items()} == {
        "psnr": "a",
        "ssim": "a",
    }


def test_numbers_of_other_borders_or_counts_do_not_compare() -> None:
    a, b = noise(1, 3, 30, 30), noise(2, 3, 30, 30)
    protocols = [
        comparable(measure_pairs([a] * n, [b] * n, shave=shave).protocol) for n, shave in ((1, 0), (1, 2), (2, 0))
    ]
    assert len(set(protocols)) == 3
    assert comparable(measure_pairs([a], [b]).protocol) == protocols[0]


def test_numbers_of_sets_and_pairs_stand_together() -> None:
    pairs = measure_pairs([flat(0, 3, 12, 12)], [flat(9, 3, 12, 12)])
    sets = Evaluation({}, {**pairs.protocol, "k": 5, "pairs": None, "real": {"count": 7}}, ["few"])
    both = joined(sets, pairs)
    assert list(both.metrics) == ["psnr", "ssim"]
    assert both.protocol["real"] == {"count": 7}
    assert "1 generated against 7 real; k = 5; 1 pair of pictures" in summary(both.protocol)
    assert list(both.notices) == ["few", *pairs.notices]


@pytest.mark.parametrize(
    ("clean", "restored", "options", "words"),
    [
        ([], [], {}, "no pairs"),
        ([flat(0, 3, 8, 8)], [], {}, "1 clean and 0 restored"),
        ([flat(0, 3, 8, 8)], [flat(0, 3, 8, 9)], {}, "the same shape"),
        ([flat(0, 2, 8, 8)], [flat(0, 2, 8, 8)], {}, "uint8"),
        ([torch.zeros(3, 8, 8)], [torch.zeros(3, 8, 8)], {}, "float32"),
        ([flat(0, 3, 8, 8)], [flat(0, 3, 8, 8)], {"metrics": "ssim"}, "needs at least 11x11"),
        ([flat(0, 3, 8, 8)], [flat(0, 3, 8, 8)], {"metrics": "psnr", "shave": 4}, "4 pixels of border"),
        ([flat(0, 3, 8, 8)], [flat(0, 3, 8, 8)], {"metrics": "psnr", "shave": -1}, "at least 0"),
        ([flat(0, 3, 8, 8)], [flat(0, 3, 8, 8)], {"metrics": "fid"}, "compares sets"),
        ([flat(0, 3, 8, 8)], [flat(0, 3, 8, 8)], {"metrics": "perceptual"}, "features with maps"),
        ([flat(0, 3, 8, 8)], [flat(0, 3, 8, 8)], {"metrics": "psnr_inside"}, "masks by the same names"),
        ([flat(0, 3, 8, 8)], [flat(0, 3, 8, 8)], {"inside": [torch.zeros(8, 9, dtype=torch.bool)]}, "holes"),
    ],
)
def test_what_makes_no_pairs(clean: list[Tensor], restored: list[Tensor], options: dict, words: str) -> None:
    with pytest.raises(MetricError, match=words):
        measure_pairs(clean, restored, **options)


def test_blur_has_the_better_psnr_and_misplaced_detail_the_better_perceptual_distance() -> None:
    # The trade-off of perception and distortion (Blau & Michaeli 2018): the reason to report both.
    clean, blurred, misplaced = [], [], []
    for photograph in load_sample_images().images:
        for top, left in itertools.product((0, 192), (0, 192, 384)):
            crop = Image.fromarray(photograph[top : top + 192, left : left + 192])
            blur = np.asarray(crop.filter(ImageFilter.GaussianBlur(2)), np.float64)
            detail = np.roll(crop - blur, (2, 2), (0, 1))
            for side, picture in ((clean, crop), (blurred, blur), (misplaced, blur + detail)):
                array = np.rint(picture).clip(0, 255).astype(np.uint8)
                side.append(torch.from_numpy(array).permute(2, 0, 1))
    network = open_features("lite0")
    soft, sharp = (measure_pairs(clean, side, network) for side in (blurred, misplaced))
    for name in ("psnr", "ssim"):
        assert soft.value(name) > sharp.value(name)
    assert sharp.value("perceptual") < 0.8 * soft.value("perceptual")
