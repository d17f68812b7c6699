import pytest
import torch

from sparring.errors import MetricError
from sparring.metrics.consistency import colours, decline, drift, relative_drift


def test_what_stays_the_same_does_not_drift() -> None:
    frames = torch.rand(3, 1, 5).expand(3, 7, 5)
    assert drift(frames).tolist() == [[0.0] * 6] * 3
    walking = torch.arange(4.0)[None, :, None] * torch.tensor([3.0, 4.0])
    assert drift(walking).tolist() == [[5.0, 10.0, 15.0]]


def test_colours_do_not_change_where_a_thing_only_moves() -> None:
    clip = torch.zeros(1, 5, 3, 12, 12, dtype=torch.uint8)
    for frame in range(5):
        clip[0, frame, 0, 3:6, frame : frame + 3] = 200
    assert drift(colours(clip)).abs().max() == 0
    clip[0, 3:] = clip[0, 3:].flip(1)  # red becomes blue
    assert drift(colours(clip))[0, :2].abs().max() == 0
    mean, deviation = 200 * 9 / 144 / 255, 200 / 255 * (9 / 144 * 135 / 144) ** 0.5
    assert drift(colours(clip))[0, 3].item() == pytest.approx((2 * mean**2 + 2 * deviation**2) ** 0.5, rel=1e-5)


def test_drift_is_told_in_that_of_real_clips() -> None:
    real = torch.rand(40, 5, generator=torch.Generator().manual_seed(0)) + 0.5
    same = relative_drift(real, real)
    assert same.value == 1
    assert same.low is not None and same.high is not None and same.low < 1 < same.high
    assert relative_drift(real, 2 * real).value == pytest.approx(2)
    assert relative_drift(real, torch.zeros(4, 5)).value == 0
    with pytest.raises(MetricError, match="do not change"):
        relative_drift(torch.zeros(4, 5), real)


def test_clips_that_stay_as_good_do_not_decline_and_a_shift_counts_by_its_square() -> None:
    generator = torch.Generator().manual_seed(0)
    real, early = (torch.randn(100, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    assert decline(real, early, early).value == 0
    shift = torch.tensor([1.0, 0, 2, 0], dtype=torch.float64)
    found = decline(real, real, real + shift)
    assert found.value == pytest.approx(5.0)
    assert found.low is not None and found.low > 0
    with pytest.raises(MetricError, match="at least 40"):
        decline(real[:30], early, early)


def test_the_interval_of_a_decline_holds_it() -> None:
    generator = torch.Generator().manual_seed(3)
    inside = 0
    for _ in range(40):
        real, early, late = torch.randn(3, 80, 3, generator=generator, dtype=torch.float64)
        late = early * 0.5 + late * 0.75**0.5 + 0.5
        found = decline(real, early, late)
        inside += found.ends[0] <= 0.75 <= found.ends[1]
    assert inside >= 34
