import pytest
import torch
from torch import nn

from sparring.adversarial import ema


def test_half_is_forgotten_after_a_half_life() -> None:
    average, current = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(average.weight, 0.0)
    nn.init.constant_(current.weight, 1.0)
    for _ in range(10):
        ema.update(average, current, 0.5 ** (32 / 320))
    assert average.weight.item() == pytest.approx(0.5, abs=1e-6)


def test_the_half_life_ramps_up_with_the_images_shown() -> None:
    assert ema.half_life(500_000, 0.05, 1000) == pytest.approx(50)
    assert ema.half_life(500_000, 0.05, 10_000_000) == pytest.approx(500_000)
    assert ema.half_life(500_000, 0.05, 0) > 0


def test_buffers_are_copied() -> None:
    average, current = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    current.running_mean = torch.tensor([1.0, 2.0])
    ema.update(average, current, 0.9)
    assert average.running_mean is not None
    assert average.running_mean.tolist() == [1.0, 2.0]
