import math

import pytest
import torch

from sparring.tasks.likeness import contrast, distance


def test_places_that_are_told_apart_cost_little_and_those_that_are_not_log_of_their_number() -> None:
    """Orthonormal keys: -log(e^(1/t) / (e^(1/t) + S - 1)) if each query is its key; log S if none is like any."""
    axes = torch.eye(8)[None]
    keys = axes[:, :4]
    assert contrast(keys, keys, temperature=0.5).item() == pytest.approx(math.log(1 + 3 * math.exp(-2)), rel=1e-5)
    assert contrast(axes[:, 4:], keys).item() == pytest.approx(math.log(4), rel=1e-5)
    # A query that is another place's key: the same denominator, and 0 in place of 1/t.
    swapped = keys[:, [1, 0, 3, 2]]
    assert contrast(swapped, keys, temperature=0.5).item() == pytest.approx(math.log(math.exp(2) + 3), rel=1e-5)


def maps(seed: int) -> dict[int, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {stride: torch.randn(2, 16, 32 // stride, 32 // stride, generator=generator) for stride in (4, 8, 16)}


def test_distance_does_not_mind_contrast_and_is_two_for_maps_that_have_nothing_in_common() -> None:
    a = maps(0)
    assert distance(a, {stride: 3 * x + 1 for stride, x in a.items()}).max() < 1e-3
    # Independent vectors of variance 1: E (u - v)^2 = 2.
    assert distance(a, maps(1)).mean().item() == pytest.approx(2, abs=0.3)
