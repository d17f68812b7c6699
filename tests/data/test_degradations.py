import math
from io import BytesIO

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sparring.data.degradations import (
    blurred,
    compressed,
    gaussian_kernel,
    resized,
    ringing_kernel,
    rounded,
    with_shot_noise,
    with_specks,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Uniform numbers in [-1, 1)."""
    return 2 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 1


def moments(kernel: Tensor) -> tuple[float, float, float]:
    """Variance across, variance down, and covariance of a kernel in pixels."""
    places = torch.arange(len(kernel)) - len(kernel) // 2
    return (
        (kernel * places.square()).sum().item(),
        (kernel * places[:, None].square()).sum().item(),
        (kernel * places * places[:, None]).sum().item(),
    )


def test_a_gaussian_kernel_has_the_covariance_of_its_axes() -> None:
    s, t, angle = 2.5, 1.2, 0.6
    kernel = gaussian_kernel(12, (s, t), angle)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
    cos, sin = math.cos(angle), math.sin(angle)
    wanted = (s * cos) ** 2 + (t * sin) ** 2, (s * sin) ** 2 + (t * cos) ** 2, (s**2 - t**2) * sin * cos
    assert moments(kernel) == pytest.approx(wanted, rel=2e-3)


def test_a_plateau_falls_as_its_formula_says() -> None:
    kernel = gaussian_kernel(9, (3, 3), angle=1.0, power=1.5, shape="plateau")
    middle = kernel[9, 9]
    for away in (1, 4, 9):
        assert (middle / kernel[9, 9 + away]).item() == pytest.approx(1 + (away / 3) ** 3, rel=1e-4)
        assert kernel[9 - away, 9].item() == pytest.approx(kernel[9, 9 + away].item(), rel=1e-4)


def test_a_large_power_makes_a_disc_of_a_bell() -> None:
    kernel = gaussian_kernel(10, (5, 5), power=40)
    distances = torch.cartesian_prod(torch.arange(-10, 11), torch.arange(-10, 11)).square().sum(1).view(21, 21)
    assert torch.allclose(kernel[distances < 4.5**2], kernel[10, 10], rtol=1e-3)
    assert kernel[distances > 5.5**2].abs().max() < 1e-6


def test_a_kernel_that_is_too_narrow_to_blur_leaves_pictures_alone() -> None:
    picture = noise(3, 20, 20)
    assert torch.allclose(blurred(picture, gaussian_kernel(3, (0.0, 0.0))), picture, atol=1e-5)


def test_a_ringing_kernel_keeps_what_is_below_its_cutoff_and_stops_what_is_above() -> None:
    columns = torch.arange(200.0)
    kernel = ringing_kernel(10, 1.2)

    def amplitude(frequency: float) -> float:
        wave = torch.sin(frequency * columns).expand(1, 60, 200)
        return (blurred(wave, kernel)[:, 20:40, 20:-20].std() / wave[:, 20:40, 20:-20].std()).item()

    assert amplitude(0.6) == pytest.approx(1, abs=0.12)
    assert amplitude(2.0) < 0.06
    edge = torch.where(columns < 100, -1.0, 1.0).expand(1, 60, 200)
    assert blurred(edge, kernel).max() > 1.05


@pytest.mark.parametrize(("height", "width", "radius"), [(13, 29, 10), (96, 64, 3), (1, 1, 5)])
def test_blurring_is_a_convolution_with_repeated_borders(height: int, width: int, radius: int) -> None:
    picture = noise(3, height, width)
    kernel = torch.rand(2 * radius + 1, 2 * radius + 1, generator=torch.Generator().manual_seed(1))
    padded = F.pad(picture[:, None], (radius,) * 4, mode="replicate")
    wanted = F.conv2d(padded, kernel.flip(0, 1)[None, None])[:, 0]
    assert torch.allclose(blurred(picture, kernel), wanted, atol=2e-4)


@pytest.mark.parametrize("size", [(20, 31), (60, 90)])
def test_resizing_with_antialiasing_is_pillows(size: tuple[int, int]) -> None:
    pixels = ((noise(1, 41, 62) + 1) * 127.5).round().to(torch.uint8)
    picture = pixels.float() / 127.5 - 1
    for method, resample in (("bicubic", Image.Resampling.BICUBIC), ("bilinear", Image.Resampling.BILINEAR)):
        pillow = Image.fromarray(pixels[0].numpy().astype(np.float32)).resize(size[::-1], resample)
        wanted = torch.from_numpy(np.asarray(pillow).copy()) / 127.5 - 1
        found = resized(picture, size, method)[0]  # type: ignore[arg-type]
        assert torch.allclose(found, wanted, atol=1e-4)


def test_area_averages_and_without_antialiasing_pixels_are_skipped() -> None:
    picture = torch.zeros(1, 8, 8)
    picture[:, ::4, ::4] = 1
    assert torch.allclose(resized(picture, (2, 2), "area"), torch.tensor(1 / 16))
    assert resized(picture, (2, 2), "bilinear", antialias=False).abs().max() == 0


def test_shot_noise_has_the_variance_of_counts() -> None:
    """Of a Poisson count with mean x n, divided by n, the variance is x / n."""
    for light, photons in ((0.02, 30.0), (0.5, 30.0), (0.9, 3000.0)):
        picture = torch.full((3, 200, 200), 2 * light - 1)
        found = (with_shot_noise(picture, photons, seed=3) + 1) / 2
        assert found.mean().item() == pytest.approx(light, rel=0.02)
        assert found.var().item() == pytest.approx(light / photons, rel=0.03)
        assert torch.allclose((found * photons).round(), found * photons, atol=0.01)


def test_black_has_no_shot_noise_and_grey_noise_is_the_same_in_all_channels() -> None:
    black = torch.full((3, 20, 20), -1.0)
    assert torch.equal(with_shot_noise(black, 10, seed=1), black)
    picture = noise(3, 40, 40)
    added = with_shot_noise(picture, 50, seed=1, grey=True) - picture
    assert torch.allclose(added[0], added[1], atol=1e-6)
    assert torch.allclose(added[0], added[2], atol=1e-6)
    light = (picture.mean(0) + 1) / 2
    assert (added[0] / 2 / light.sqrt()).var().item() == pytest.approx(1 / 50, rel=0.1)


def test_specks_are_white_and_black_in_equal_shares_and_the_rest_stays() -> None:
    picture = 0.5 * noise(3, 200, 200)
    found = with_specks(picture, 0.1, torch.rand(1, 200, 200, generator=torch.Generator().manual_seed(2)))
    for level in (-1, 1):
        speck = found == level
        assert speck.all(0).float().mean().item() == pytest.approx(0.05, abs=0.004)
        assert torch.equal(speck.all(0), speck.any(0))
    kept = found.abs() < 1
    assert torch.equal(found[kept], picture[kept])


@pytest.mark.parametrize("channels", [1, 3])
def test_compression_is_pillows(channels: int) -> None:
    shapes = [(channels, 24, 40), (channels, 7, 5), (channels, 16, 16), (channels, 1, 1)]
    pictures = [0.99 * noise(*shape, seed=i) for i, shape in enumerate(shapes)]
    qualities = [10, 50, None, 95]
    for picture, quality, found in zip(pictures, qualities, compressed(pictures, qualities), strict=True):
        if quality is None:
            assert torch.equal(found, picture)
            continue
        pixels = ((picture + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        file = BytesIO()
        Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels).save(file, "JPEG", quality=quality)
        read = np.asarray(Image.open(file)).reshape(pixels.shape)
        assert torch.equal(((found + 1) * 127.5).round().permute(1, 2, 0), torch.from_numpy(read.astype(np.float32)))


def test_rounded_pictures_are_what_a_file_of_8_bits_holds() -> None:
    found = rounded(torch.tensor([-1.3, -1.0, 0.0, 0.004, 0.999, 7.0], dtype=torch.float64))
    assert found.dtype == torch.float64
    assert ((found + 1) * 127.5).tolist() == pytest.approx([0, 0, 128, 128, 255, 255], abs=1e-4)
