import pytest
import torch

from sparring.errors import MetricError
from sparring.evaluation.judgement import summary
from sparring.evaluation.transfer import Transfer, harmonic
from sparring.networks.features import open_features


def scenes(seed: int, low: int, high: int) -> torch.Tensor:
    """Pictures uint8 (40, 3, 32, 32) of coarse blotches, no brighter than `high` and no darker than `low`."""
    blotches = torch.rand(40, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(blotches, 32, mode="bicubic").clamp(0, 1)
    return (low + (high - low) * smooth).round().to(torch.uint8)


def test_photographs_are_where_the_way_begins_and_paintings_where_it_ends() -> None:
    photographs, paintings = scenes(0, 60, 160), scenes(1, 0, 255)
    judge = Transfer(photographs, {"bold": paintings}, open_features("wavelets"))
    as_it_was, as_painted = judge({"bold": photographs}), judge({"bold": paintings})
    assert [as_it_was.value(name) for name in ("style", "structure", "transfer")] == pytest.approx([0, 1, 0], abs=1e-6)
    assert as_painted.value("style") == pytest.approx(1, abs=1e-6)
    assert as_painted.value("structure") < 0.3
    # More contrast in the same scenes is what these paintings are.
    bolder = ((photographs.float() - 110) * 2.55 + 127.5).clamp(0, 255).to(torch.uint8)
    translated = judge({"bold": bolder})
    assert translated.value("style") > 0.5
    assert translated.value("structure") > 0.95
    assert translated.value("transfer") > as_painted.value("transfer")
    assert "40 photographs of 32x32" in summary(translated.protocol)


def test_the_mean_of_both_is_zero_if_one_is_missing() -> None:
    assert harmonic(0.5, 0.5) == pytest.approx(0.5)
    assert harmonic(-0.2, 0.9) == 0
    assert harmonic(0.2, 0.8) == pytest.approx(0.32)


def test_where_there_is_no_way_to_go_or_too_little_to_judge_it_says_so() -> None:
    photographs = scenes(0, 60, 160)
    with pytest.raises(MetricError, match="no way to go"):
        Transfer(photographs, {"same": photographs}, open_features("wavelets"))
    with pytest.raises(MetricError, match="at least two"):
        Transfer(photographs[:1], {"one": photographs}, open_features("wavelets"))
