"""Picture similarity against closed forms and scipy's filters."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sparring.errors import MetricError
from sparring.metrics.similarity import mean_of_pairs, ms_ssim, perceptual_distance, psnr, scales, ssim


def pictures(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def noisy(a, seed, amount=40):
    noise = torch.randint(-amount, amount, a.shape, generator=torch.Generator().manual_seed(seed))
    return (a.long() + noise).clamp(0, 255).to(torch.uint8)


def smooth(seed, *shape):
    """Pictures with structure at all scales."""
    ramp = torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).cumsum(2).cumsum(3)
    low, high = ramp.amin((1, 2, 3), keepdim=True), ramp.amax((1, 2, 3), keepdim=True)
    return ((ramp - low) / (high - low) * 255).to(torch.uint8)


def reference(a, b):
    """(whole, contrast) of one channel (H, W) in 0 to 255, with scipy's Gaussian of 11 pixels, windows inside only."""

    def blur(image):
        return gaussian_filter(image, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    contrast = (2 * covariance + 58.5225) / (variance_a + variance_b + 58.5225)  # (0.03 * 255)^2
    luminance = (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)  # (0.01 * 255)^2
    return (luminance * contrast).mean(), contrast.mean()


def test_psnr_in_closed_form():
    zeros = torch.zeros(2, 3, 4, 5, dtype=torch.uint8)
    tens = torch.full_like(zeros, 10)
    assert psnr(zeros, tens).tolist() == pytest.approx([20 * math.log10(25.5)] * 2)
    assert psnr(zeros.float(), tens.float() / 100).tolist() == pytest.approx([20.0] * 2)
    assert psnr(zeros.float() - 1, tens.float() / 50 - 1, span=2.0).tolist() == pytest.approx([20.0] * 2)
    assert psnr(zeros, zeros).tolist() == [math.inf] * 2


def test_ssim_of_flat_pictures_is_its_luminance_term():
    a = torch.full((1, 1, 16, 20), 100, dtype=torch.uint8)
    b = torch.full_like(a, 50)
    expected = (2 * 100 * 50 + 6.5025) / (100**2 + 50**2 + 6.5025)
    assert ssim(a, b).tolist() == pytest.approx([expected], abs=1e-9)


def test_ssim_agrees_with_scipy():
    a = pictures(0, 3, 2, 24, 31)
    b = noisy(a, 1)
    expected = [
        np.mean([reference(*(x.double().numpy() for x in pair))[0] for pair in zip(*two, strict=True)])
        for two in zip(a, b, strict=True)
    ]
    assert ssim(a, b).tolist() == pytest.approx(expected, abs=1e-9)
    assert ssim(a.float() / 255, b.float() / 255).tolist() == pytest.approx(expected, abs=1e-6)


def test_equal_pictures_are_wholly_similar():
    a = smooth(2, 2, 3, 40, 40)
    assert ssim(a, a).tolist() == pytest.approx([1.0] * 2, abs=1e-12)
    assert ms_ssim(a, a).tolist() == pytest.approx([1.0] * 2, abs=1e-12)


@pytest.mark.parametrize(
    ("size", "number"), [((176, 176), 5), ((175, 400), 4), ((88, 88), 4), ((32, 32), 2), ((11, 64), 1), ((10, 64), 0)]
)
def test_scales(size, number):
    assert scales(*size) == number


@pytest.mark.parametrize(("height", "width"), [(176, 180), (47, 64), (32, 32), (12, 12)])
def test_ms_ssim_agrees_with_scipy(height, width):
    a = smooth(3, 1, 1, height, width)
    b = noisy(a, 4)
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333][: scales(height, width)])
    weights /= weights.sum()
    x, y, expected = a[0, 0].double().numpy(), b[0, 0].double().numpy(), 1.0
    for scale, weight in enumerate(weights):
        expected *= reference(x, y)[0 if scale == len(weights) - 1 else 1] ** weight
        x, y = (
            z[: z.shape[0] // 2 * 2, : z.shape[1] // 2 * 2].reshape(z.shape[0] // 2, 2, z.shape[1] // 2, 2).mean((1, 3))
            for z in (x, y)
        )
    assert 0.1 < expected < 0.99
    assert ms_ssim(a, b).tolist() == pytest.approx([expected], abs=1e-9)


def test_a_negative_has_no_similarity():
    a = pictures(5, 1, 1, 32, 32)
    assert ms_ssim(a, 255 - a).tolist() == [0.0]


def test_perceptual_distance_by_hand():
    # One place with vectors (3, 4) and (4, 3): unit vectors differ by (0.2, 0.2). Another with the same direction.
    a = {8: torch.tensor([[[[3.0, 1.0]], [[4.0, 2.0]]]])}
    b = {8: torch.tensor([[[[4.0, 2.0]], [[3.0, 4.0]]]])}
    assert perceptual_distance(a, b).tolist() == pytest.approx([0.08 / 2], abs=1e-6)
    opposite = {4: torch.ones(1, 3, 2, 2), 8: -a[8]}
    assert perceptual_distance({4: torch.ones(1, 3, 2, 2), 8: a[8]}, opposite).tolist() == pytest.approx([4.0])


def test_perceptual_distance_has_gradients_even_where_maps_are_zero():
    maps = torch.zeros(1, 2, 3, 3, requires_grad=True)
    perceptual_distance({4: maps}, {4: torch.ones(1, 2, 3, 3)}).sum().backward()
    assert maps.grad.isfinite().all()


def test_pairs_of_one_picture_are_wholly_similar():
    measured = mean_of_pairs(smooth(6, 1, 1, 24, 24).expand(10, -1, -1, -1), ms_ssim, seed=0, count=100)
    assert (measured.value, measured.low) == pytest.approx((1.0, 1.0))


def test_pairs_are_disjoint_and_the_interval_covers_the_mean_of_all_pairs():
    # Flat pictures: similarity is the luminance term, known for every pair.
    shades = torch.randint(1, 256, (400,), generator=torch.Generator().manual_seed(7)).to(torch.uint8)
    flat = shades[:, None, None, None].expand(-1, 1, 12, 12)
    x = shades.double()
    every = (2 * x[:, None] * x + 6.5025) / (x[:, None] ** 2 + x**2 + 6.5025)
    truth = float((every.sum() - 400) / (400 * 399))
    measured = [mean_of_pairs(flat, ms_ssim, seed=seed, count=80) for seed in range(100)]
    assert sum(estimate.low <= truth <= estimate.high for estimate in measured) >= 90
    assert measured[0] == mean_of_pairs(flat, ms_ssim, seed=0, count=80) != measured[1]


def test_no_picture_is_in_two_pairs():
    seen = []

    def likeness(a, b):
        seen.extend(torch.cat([a, b]).flatten().tolist())
        return (a - b).flatten().abs()

    measured = mean_of_pairs(torch.arange(41.0)[:, None, None, None], likeness, seed=3, count=100)
    assert len(seen) == len(set(seen)) == 40
    assert measured.low < 41 / 3 < measured.high  # the mean distance of two of 0, 1, ... 40


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(1, 1, 12, 12), torch.zeros(1, 1, 12, 13), "alike"),
        (torch.zeros(1, 1, 12, 12), torch.zeros(1, 1, 12, 12, dtype=torch.uint8), "the same type"),
        (torch.zeros(1, 1, 9, 12), torch.zeros(1, 1, 9, 12), "pictures of 12x9 pixels"),
        (torch.zeros(1, 1, 12, 12), torch.full((1, 1, 12, 12), torch.nan), "NaN"),
    ],
)
def test_what_cannot_be_compared(a, b, message):
    for measure in (ssim, ms_ssim):
        with pytest.raises(MetricError, match=message):
            measure(a, b)


def test_maps_that_do_not_match():
    with pytest.raises(MetricError, match="both need the same ones"):
        perceptual_distance({4: torch.ones(1, 2, 3, 3)}, {8: torch.ones(1, 2, 3, 3)})
    with pytest.raises(MetricError, match="at least one"):
        perceptual_distance({}, {})


def test_too_few_pairs():
    with pytest.raises(MetricError, match="3 pictures in 1 pairs"):
        mean_of_pairs(pictures(8, 3, 1, 12, 12), ms_ssim, seed=0, count=5)


def test_ssim_of_large_pictures_in_tiles_agrees_with_scipy():
    a = pictures(9, 1, 1, 151, 203)  # more than two tiles each way, with something left over
    b = noisy(a, 10)
    whole, _ = reference(*(x[0, 0].double().numpy() for x in (a, b)))
    assert ssim(a, b).tolist() == pytest.approx([whole], abs=1e-9)
