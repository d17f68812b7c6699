import torch
import torch.nn.functional as F
from torch import nn

from sparring.networks import fast, parameters


def test_tiny_pictures_get_a_residual_mlp():
    torch.manual_seed(0)
    generator = fast.Generator((1, 8, 8), z_dim=64, width=256, depth=3)
    assert parameters(generator) == (64 * 256 + 256) + 3 * (2 * 256 * 512 + 512 + 256) + (256 * 64 + 64)
    with torch.no_grad():
        for block in generator.layers:
            block.second.weight.normal_(std=0.05)

    z = torch.randn(5, 64)
    x = F.linear(z, generator.start.weight, generator.start.bias)
    for block in generator.layers:
        inner = F.leaky_relu(F.linear(F.leaky_relu(x, 0.2), block.first.weight, block.first.bias), 0.2)
        x = x + F.linear(inner, block.second.weight, block.second.bias)
    x = F.linear(F.leaky_relu(x, 0.2), generator.picture.mix.weight, generator.picture.mix.bias)
    torch.testing.assert_close(generator(z), x.view(5, 1, 8, 8))


def test_residual_branches_add_nothing_at_first():
    torch.manual_seed(0)
    generator = fast.Generator((3, 20, 12), z_dim=8, width=8, depth=2)
    discriminator = fast.Discriminator((3, 20, 12), width=8, depth=2)
    for player, data in ((generator, torch.randn(3, 8)), (discriminator, torch.randn(3, 3, 20, 12))):
        before = player(data)
        player.layers = nn.Sequential(*(layer for layer in player.layers if not isinstance(layer, fast.Block)))
        assert torch.equal(before, player(data))


def test_grids_follow_from_the_shape():
    def places(*shape: int) -> list[tuple[int, int]]:
        return [(grid.height, grid.width) for grid in fast.levels(shape, 8, 1)]

    assert places(1, 8, 8) == [(8, 8), (1, 1)]
    assert places(3, 32, 32) == [(32, 32), (16, 16), (8, 8), (4, 4), (1, 1)]
    assert places(3, 64, 40) == [(64, 40), (16, 10), (8, 5), (4, 5), (1, 1)]
    assert places(3, 13, 9) == [(13, 9), (7, 5), (4, 5), (1, 1)]


def test_cut_then_join_gives_the_patches_back():
    """With the mixing layers the identity, cutting and joining are inverse, also where patches stand out."""
    fine, coarse = fast.Grid(2, 7, 9), fast.Grid(2 * 2 * 3, 4, 3)
    cut, join = fast.Cut(fine, coarse), fast.Join(coarse, fine)
    with torch.no_grad():
        for layer in (cut.mix, join.mix):
            layer.weight.copy_(torch.eye(12)[:, :, None, None])
    x = torch.randn(3, 2, 7, 9)
    assert cut(x).shape == (3, 12, 4, 3)
    assert torch.equal(join(cut(x)), x)
    assert torch.equal(cut(x)[:, 6, 1, 2], x[:, 0, 3, 6])  # row 1, column 0, channel 0 of the patch
