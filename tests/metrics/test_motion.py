import pytest
import torch
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.motion import SPEEDS, mean_speed, optical_flow, speed_distance, speeds, steps


def texture(side: int = 96) -> Tensor:
    """A smooth random picture that repeats at its edges, grey (side, side), 0 to 255."""
    noise = torch.randn(side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frequencies = torch.fft.fftfreq(side, dtype=torch.float64)
    kept = torch.exp(-2 * (2 * torch.pi) ** 2 * (frequencies[:, None] ** 2 + frequencies**2))
    picture = torch.fft.ifft2(torch.fft.fft2(noise) * kept).real
    return picture / picture.std() * 30 + 128


def shifted(picture: Tensor, across: float, down: float) -> Tensor:
    """The picture moved, exactly as a periodic one is, by its Fourier series; the middle of it (48, 48)."""
    frequencies = torch.fft.fftfreq(len(picture), dtype=torch.float64)
    phase = torch.exp(-2j * torch.pi * (frequencies[:, None] * down + frequencies * across))
    return torch.fft.ifft2(torch.fft.fft2(picture) * phase).real[24:72, 24:72]


@pytest.mark.parametrize("shift", [(0.25, 0.0), (-0.4, 0.7), (1.5, -1.0), (3.0, 2.0), (-5.0, 1.0)])
def test_flow_of_a_shifted_texture_is_the_shift(shift: tuple[float, float]) -> None:
    first, second = shifted(texture(), 0, 0), shifted(texture(), *shift)
    flow, weight = optical_flow(first[None], second[None])
    inner = flow[0, :, 8:-8, 8:-8].flatten(1)
    assert inner.median(1).values.tolist() == pytest.approx(shift, abs=0.03)
    assert ((inner - torch.tensor(shift)[:, None]).norm(dim=0) < 0.25).float().mean() > 0.8
    assert weight.min() >= 0 and weight.max() <= 1


def test_nothing_moves_where_nothing_changes_and_nothing_is_seen_where_all_is_plain() -> None:
    picture = texture()[None]
    assert optical_flow(picture, picture)[0].abs().max() < 1e-4
    flow, weight = optical_flow(torch.full((1, 16, 16), 90.0), torch.full((1, 16, 16), 140.0))
    assert flow.abs().max() == 0
    assert weight.max() < 1e-6


def clips(step: float, count: int = 3, frames: int = 6) -> Tensor:
    """A texture that moves to the right, uint8 (count, frames, 1, 48, 48)."""
    pictures = torch.stack([shifted(texture(), frame * step, 0) for frame in range(frames)])
    return pictures.round().clamp(0, 255).to(torch.uint8)[None, :, None].expand(count, -1, -1, -1, -1)


def test_speeds_are_those_that_things_have() -> None:
    slow, fast = speeds(clips(0.5)), speeds(clips(1.5))
    assert slow.shape == (3, SPEEDS)
    assert slow.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert mean_speed(slow) == pytest.approx(0.5, rel=0.12)
    assert mean_speed(fast) == pytest.approx(1.5, rel=0.12)
    assert speed_distance(slow, fast).value == pytest.approx(1.0, rel=0.15)
    still = speeds(clips(0.0))
    assert mean_speed(still) == 0
    assert speeds(torch.zeros(2, 3, 3, 16, 16, dtype=torch.uint8))[:, 0].tolist() == [1, 1]


def test_distance_of_speeds_of_the_same_clips_is_0_and_of_two_speeds_their_difference() -> None:
    random = torch.rand(20, SPEEDS, generator=torch.Generator().manual_seed(1))
    random /= random.sum(1, keepdim=True)
    same = speed_distance(random, random)
    assert same.value == 0
    assert same.low == 0
    one, other = torch.zeros(4, SPEEDS), torch.zeros(5, SPEEDS)
    one[:, 30], other[:, 50] = 1, 1
    assert speed_distance(one, other).value == pytest.approx(float(steps()[50] - steps()[30]))
    with pytest.raises(MetricError, match="1 generated clip"):
        speed_distance(one, other[:1])


def test_the_interval_is_that_of_other_clips() -> None:
    generator = torch.Generator().manual_seed(2)

    def drawn(fastest: int) -> Tensor:
        return torch.eye(SPEEDS)[torch.randint(20, fastest, (60,), generator=generator)]

    true = speed_distance(torch.eye(SPEEDS)[20:50].repeat(9, 1), torch.eye(SPEEDS)[20:60].repeat(9, 1)).value
    found = [speed_distance(drawn(50), drawn(60)) for _ in range(60)]
    inside = sum(each.ends[0] <= true <= each.ends[1] for each in found)
    assert inside >= 52
