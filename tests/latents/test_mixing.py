import pytest
import torch
from tests.latents.conftest import untrained

from sparring import Model, SettingError
from sparring.latents.mixing import crossed, styled
from sparring.latents.points import samples
from sparring.networks import skip


def test_a_sample_in_its_own_style_is_itself_and_in_another_is_not() -> None:
    model = untrained("skip", (3, 16, 16))
    points, others = samples(model, 20, 0), samples(model, 20, 1)
    assert torch.equal(styled(model, points, points), points.pictures(model))
    mixed = styled(model, points, others)
    assert not torch.equal(mixed, points.pictures(model))
    assert torch.equal(styled(model, points[:3], others[:3]), mixed[:3])
    assert torch.equal(crossed(model, points[:2], others[:3])[4], styled(model, points[[1]], others[[1]])[0])
    generator = model.generator
    assert isinstance(generator, skip.Generator)
    assert not generator.excite._forward_pre_hooks


def test_other_families_say_that_they_cannot(model: Model) -> None:
    points = samples(model, 1, 0)
    with pytest.raises(SettingError, match=r"family skip.*fast"):
        styled(model, points, points)
