import pytest
import torch
from torch import nn

from sparring.errors import SettingError
from sparring.networks import parameters, r3


def test_residual_branches_add_nothing_at_first():
    torch.manual_seed(0)
    generator = r3.Generator((3, 16, 16), z_dim=8, width=8, depth=2)
    discriminator = r3.Discriminator((3, 16, 16), width=8, depth=2)
    for player, data in ((generator, torch.randn(3, 8)), (discriminator, torch.randn(3, 3, 16, 16))):
        before = player(data)
        skeleton = [layer for layer in player.layers if not isinstance(layer, r3.Block)]
        player.layers = nn.Sequential(*skeleton)
        assert torch.equal(before, player(data))


def test_the_skeletons_are_linear():
    torch.manual_seed(0)
    generator = r3.Generator((3, 16, 16), z_dim=8, width=8, depth=1)
    a, b = torch.randn(2, 4, 8)
    torch.testing.assert_close(generator(a + b), generator(a) + generator(b), atol=1e-5, rtol=1e-4)


def test_a_block_keeps_the_variance_inside():
    """He's gain holds: with the depth scaling taken away, a branch's activations have its input's second moment."""
    torch.manual_seed(0)
    block = r3.Block(64, blocks=1)
    x = torch.randn(16, 64, 8, 8)
    inner = block.expand(x)
    assert inner.square().mean().item() == pytest.approx(1, rel=0.1)


def test_the_size_is_that_of_the_paper():
    """The paper's FFHQ-64 generator: widths 768, 768, 768, 768, 384 and two blocks at each, counted layer by layer."""

    def block(channels: int) -> int:
        wide = 2 * channels
        return channels * wide + wide + wide * 16 * 9 + wide + wide * channels

    widths = [768, 768, 768, 768, 384]
    expected = 64 * 768 + 768 * 16 + 2 * sum(map(block, widths)) + 768 * 384 + 384 * 3
    with torch.device("meta"):
        generator = r3.Generator((3, 64, 64), z_dim=64, width=384, depth=2)
    assert parameters(generator) == expected


def test_width_fits_the_groups():
    with pytest.raises(SettingError, match="multiple of 8"):
        r3.Generator((3, 16, 16), z_dim=8, width=12, depth=1)
