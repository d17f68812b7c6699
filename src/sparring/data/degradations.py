"""What optics, sensors and files do to one picture: blur, another size, noise, JPEG.

Pictures are float (C, h, w) in [-1, 1], C being 1 or 3. What is random comes as an argument.
"""

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.data.pictures import to_bytes, to_floats

LEVELS = 127.5
"""Steps of 8 bits in a unit of pictures in [-1, 1]."""

SEEDS = 2**62
"""How many seeds there are to draw from, where an operation needs a generator of its own for a picture."""

NARROWEST = 0.1
"""Standard deviation in pixels below which a kernel is one pixel anyway."""

Method = Literal["area", "bilinear", "bicubic"]


def rounded(pictures: Tensor) -> Tensor:
    """The pictures as a PNG file gives them back: clamped, and one of 256 levels."""
    return to_floats(to_bytes(pictures)).to(pictures.dtype)


def gaussian_kernel(
    radius: int,
    deviations: tuple[float, float],
    angle: float = 0.0,
    power: float = 1.0,
    shape: Literal["bell", "plateau"] = "bell",
) -> Tensor:
    """A blur (2 radius + 1, 2 radius + 1) that sums to 1.

    With q = (u/s)^2 + (v/t)^2, u and v being the axes turned by `angle`, and s and t the standard deviations in pixels,
    a bell has the heights exp(-q^power / 2), a plateau 1 / (1 + q^power). A power of 1 makes a Gaussian of the bell.

    Source: Wang et al. 2021 (Real-ESRGAN, arXiv 2107.10833), section 3.1; Liu et al. 2020 for the shapes.
    """
    places = torch.arange(-radius, radius + 1, dtype=torch.float32)
    rows, columns = places[:, None], places
    s, t = (max(deviation, NARROWEST) for deviation in deviations)
    u = (columns * math.cos(angle) + rows * math.sin(angle)) / s
    v = (rows * math.cos(angle) - columns * math.sin(angle)) / t
    q = (u.square() + v.square()) ** power
    heights = torch.exp(-q / 2) if shape == "bell" else 1 / (1 + q)
    kernel: Tensor = heights / heights.sum()
    return kernel


def ringing_kernel(radius: int, cutoff: float) -> Tensor:
    """An ideal low pass (2 radius + 1, 2 radius + 1), cut off in space, that sums to 1: it rings at edges.

    cutoff: in radians a pixel, at most pi. At a distance r its height is cutoff J1(cutoff r) / (2 pi r).

    Source: Wang et al. 2021 (Real-ESRGAN), eq. 6.
    """
    places = torch.arange(-radius, radius + 1, dtype=torch.float32)
    distances = torch.hypot(places[:, None], places)
    distances[radius, radius] = 1
    heights = torch.special.bessel_j1(cutoff * distances) * cutoff / (2 * math.pi * distances)
    heights[radius, radius] = cutoff**2 / (4 * math.pi)  # the limit at r = 0
    kernel: Tensor = heights / heights.sum()
    return kernel


def blurred(picture: Tensor, kernel: Tensor) -> Tensor:
    """The picture convolved with a kernel of odd sides; pixels at its border are repeated outwards.

    By Fourier transforms, of sides that are quick to transform: ten times quicker on a CPU than by 21 x 21 weights.
    """
    radius = kernel.shape[0] // 2
    height, width = picture.shape[1:]
    padded = F.pad(picture[None], (radius,) * 4, mode="replicate")[0]
    sides = [math.ceil(side / 8) * 8 for side in padded.shape[1:]]
    spectrum = torch.fft.rfft2(padded, s=sides) * torch.fft.rfft2(kernel.to(picture), s=sides)
    whole: Tensor = torch.fft.irfft2(spectrum, s=sides)
    return whole[:, 2 * radius :, 2 * radius :][:, :height, :width].contiguous()


def resized(picture: Tensor, size: tuple[int, int], method: Method, antialias: bool = True) -> Tensor:
    """The picture (C, *size). Without `antialias` bilinear and bicubic look at 4 and 16 pixels however small it gets.

    With it they are the filters of Pillow, and bicubic has a = -0.5; without, a = -0.75, as in OpenCV.
    """
    if method == "area":
        return F.interpolate(picture[None], size, mode="area")[0]
    return F.interpolate(picture[None], size, mode=method, antialias=antialias)[0]


def with_shot_noise(picture: Tensor, photons: float, seed: int, grey: bool = False) -> Tensor:
    """The picture as counts of photons, of which a white pixel gets as many on average: Poisson noise.

    A value x in [0, 1] gets the variance x / photons. With `grey` brightness is noisy, and all channels alike.
    The seed is of a generator for this picture alone: how many numbers it takes depends on what is in the picture.
    """
    light = (picture.clamp(-1, 1) + 1) / 2
    if grey:
        light = light.mean(0, keepdim=True)
    rates = light * photons
    if rates.device.type != "cuda":
        rates = rates.cpu()  # other devices have no Poisson numbers
    counts = torch.poisson(rates, torch.Generator(rates.device).manual_seed(seed))
    return picture + ((counts - rates) * (2 / photons)).to(picture)


def with_specks(picture: Tensor, share: float | Tensor, uniform: Tensor) -> Tensor:
    """Salt and pepper: a share of the pixels is white or black, half of them each, where `uniform` numbers say so.

    Also for a batch (N, C, h, w) with shares (N, 1, 1, 1); uniform: in [0, 1), one channel.
    """
    picture = torch.where(uniform < share / 2, -1.0, picture)
    return torch.where(uniform >= 1 - share / 2, 1.0, picture)


def compressed(pictures: Sequence[Tensor], qualities: Sequence[int | None]) -> list[Tensor]:
    """Pictures as JPEG files of these qualities (1 to 95, as Pillow counts) give them back, clamped and rounded.

    A picture whose quality is None comes back as it is. Colours have half the resolution, as in most files. All cross
    from their device and back at once.
    """
    found = list(pictures)
    chosen = [(i, quality) for i, quality in enumerate(qualities) if quality is not None]
    if chosen:
        sizes = [pictures[i].numel() for i, _ in chosen]
        parts = torch.cat([to_bytes(pictures[i]).flatten() for i, _ in chosen]).cpu()
        # In threads it would take as long: Pillow encodes under the interpreter's lock.
        read = [
            torch.from_numpy(through_jpeg(part.view(pictures[i].shape).numpy(), quality)).flatten()
            for part, (i, quality) in zip(torch.split(parts, sizes), chosen, strict=True)
        ]
        moved = to_floats(torch.cat(read).to(pictures[0].device)).to(pictures[0].dtype)
        for part, (i, _) in zip(torch.split(moved, sizes), chosen, strict=True):
            found[i] = part.view(pictures[i].shape)
    return found


Pixels = NDArray[np.uint8]


def through_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Pixels (C, h, w) written to a JPEG file in memory, and read again."""
    channels, height, width = pixels.shape
    file = BytesIO()
    colours = pixels[0] if channels == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    Image.fromarray(colours).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        read = np.array(image).reshape(height, width, channels)
    return np.ascontiguousarray(read.transpose(2, 0, 1))
