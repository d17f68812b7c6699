import hashlib
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from sparring.errors import MetricError
from sparring.networks.resizing import fit
from sparring.networks.wavelets import DIRECTIONS, FLOOR, GRID, STEP, TINT, Wavelets, filters

WAVELETS = Wavelets()
STRENGTHS = WAVELETS.card.dimension - 3 * GRID**2
"""How many numbers come before the faint picture."""


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def by_place(pooled: torch.Tensor) -> torch.Tensor:
    """Strengths (N, octaves, maps, rows, columns)."""
    return pooled[:, :STRENGTHS].view(len(pooled), 4, DIRECTIONS + 2, GRID, GRID)


def test_filters_are_the_same_on_every_machine():
    steps = (filters() / STEP).to(torch.int32)
    assert torch.equal(steps * STEP, filters())
    assert (
        hashlib.sha256(steps.numpy().tobytes()).hexdigest()
        == "694c6465d50f92e4c7e1d3d7212fe70e52e28ff5621ec23c1ac305f7183cb09a"
    )
    assert WAVELETS.card.digest == "9d102bd5023effae395eb08e6a12327484691d80c0ae149c9ffd1c706b2a1fea"


def test_filters_see_nothing_in_what_is_flat():
    assert (filters().double().sum((1, 2, 3)) == 0).all()


def test_shapes_are_those_of_the_card():
    pictures = draw(3, 3, 64, 64)
    pooled = WAVELETS.pooled(pictures)
    assert pooled.shape == (3, WAVELETS.card.dimension) == (3, 560)
    assert pooled.dtype == torch.float32
    maps = WAVELETS.maps(draw(2, 3, 45, 30))
    assert {stride: tuple(edges.shape) for stride, edges in maps.items()} == {
        stride: (2, channels, math.ceil(45 / stride), math.ceil(30 / stride))
        for stride, channels in WAVELETS.card.strides.items()
    }


def test_flat_pictures_have_a_colour_and_no_edges():
    pooled = WAVELETS.pooled(torch.tensor([0.3, -0.9, 0.3])[:, None, None].expand(1, 3, 64, 64))
    assert pooled[0, :STRENGTHS].numpy() == pytest.approx(math.sqrt(FLOOR), abs=1e-4)
    # By hand: sums of brightness, no red against blue, and twice green less both, over lengths of these rows.
    colour = torch.tensor([-0.3 / math.sqrt(3), 0, -2.4 / math.sqrt(6)]) * TINT
    torch.testing.assert_close(pooled[0, STRENGTHS:], colour.repeat_interleave(GRID**2))


def test_another_brightness_changes_no_edge_and_a_negative_neither():
    pictures = draw(2, 3, 64, 64) / 2
    plain, lighter, negative = map(WAVELETS.pooled, (pictures, pictures + 0.25, -pictures))
    torch.testing.assert_close(lighter[:, :STRENGTHS], plain[:, :STRENGTHS], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(negative[:, :STRENGTHS], plain[:, :STRENGTHS])
    torch.testing.assert_close(negative[:, STRENGTHS:], -plain[:, STRENGTHS:])


def test_grey_pictures_have_edges_of_no_colour():
    strengths = by_place(WAVELETS.pooled(draw(2, 1, 64, 64).expand(-1, 3, -1, -1)))
    assert strengths[:, :, DIRECTIONS:].numpy() == pytest.approx(math.sqrt(FLOOR), abs=1e-4)
    assert (strengths[:, 0, :DIRECTIONS] > 2 * math.sqrt(FLOOR)).all()


def test_a_transposed_picture_has_the_same_edges_at_transposed_places():
    pictures = draw(2, 3, 64, 64)
    plain, transposed = by_place(WAVELETS.pooled(pictures)), by_place(WAVELETS.pooled(pictures.mT))
    # Waves that run at an angle t run at 90 degrees - t, and directions are 30 degrees apart.
    order = [(3 - direction) % DIRECTIONS for direction in range(DIRECTIONS)] + [DIRECTIONS, DIRECTIONS + 1]
    torch.testing.assert_close(transposed, plain[:, :, order].mT, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("direction", range(DIRECTIONS))
@pytest.mark.parametrize("octave", range(3))
def test_a_grating_is_found_at_its_direction_and_size(direction, octave):
    angle, cycles = math.pi * direction / DIRECTIONS, 0.375 / 2**octave
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    wave = torch.cos(2 * math.pi * cycles * (x * math.cos(angle) + y * math.sin(angle)))
    strengths = by_place(WAVELETS.pooled(wave.expand(1, 3, -1, -1)))[0, :, :DIRECTIONS].mean((2, 3))
    assert divmod(int(strengths.argmax()), DIRECTIONS) == (octave, direction)


def test_a_picture_has_the_same_features_whatever_is_beside_it():
    pictures = draw(40, 3, 64, 64)
    together = WAVELETS.pooled(pictures)
    for index in (0, 15, 16, 39):
        torch.testing.assert_close(WAVELETS.pooled(pictures[index : index + 1])[0], together[index])


@pytest.mark.parametrize("pictures", [draw(2, 3, 64, 64), torch.zeros(2, 3, 64, 64)], ids=["noise", "flat"])
def test_gradients_flow_to_pictures(pictures):
    pictures = pictures.clone().requires_grad_()
    WAVELETS.pooled(pictures)[:, :STRENGTHS].sum().backward()
    assert pictures.grad.isfinite().all()
    assert bool(pictures.grad.any()) == bool(pictures.detach().any())


def test_what_it_cannot_do_is_said():
    with pytest.raises(MetricError, match=r"shape \(2, 3, 32, 32\)"):
        WAVELETS.pooled(draw(2, 3, 32, 32))
    with pytest.raises(MetricError, match="no classes"):
        WAVELETS.logits(draw(2, 560))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """By the product of centred samples, whose singular values sum to the trace of the root of both covariances."""
    centred = [(x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (a, b)]
    cross = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + sum((c**2).sum() for c in centred) - 2 * cross)


def test_digits_spoilt_more_are_farther_from_real_ones():
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    images = torch.as_tensor(digits.images[order], dtype=torch.float32)[:, None] / 8 - 1
    target = digits.target[order]
    fresh = images[100:200]
    noise = torch.randn(fresh.shape, generator=torch.Generator().manual_seed(0))

    def features(pictures: torch.Tensor) -> np.ndarray:
        rgb = pictures.clamp(-1, 1).expand(-1, 3, -1, -1)
        return WAVELETS.pooled(fit(rgb, WAVELETS.card)).double().numpy()

    reference = features(images[:100])

    def rising(*pictures: torch.Tensor) -> bool:
        distances = [frechet(reference, features(p)) for p in pictures]
        return all(a < b for a, b in pairwise(distances))

    def blurred(side: int) -> torch.Tensor:
        return F.avg_pool2d(F.pad(fresh, (side // 2,) * 4, mode="replicate"), side, stride=1)

    def without_classes_from(first: int) -> torch.Tensor:
        return images[100:][target[100:] < first][:100]

    assert rising(fresh, blurred(3), blurred(5))
    assert rising(fresh, fresh + 0.3 * noise, fresh + 0.8 * noise)
    assert rising(*(without_classes_from(first) for first in (10, 6, 2)))
