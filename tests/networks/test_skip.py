"""The light generator."""

import torch

from sparring.networks.skip import Generator, gate, smooth


def test_the_filter_keeps_what_is_even_and_takes_a_chequerboard_away() -> None:
    even = torch.full((1, 3, 6, 8), 0.4)
    torch.testing.assert_close(smooth(even), even)
    rows, columns = torch.arange(6)[:, None], torch.arange(8)
    for pattern in (rows + columns, rows + 0 * columns, 0 * rows + columns):
        chequered = (1 - 2 * (pattern % 2)).float().expand(1, 3, 6, 8)
        assert smooth(chequered)[:, :, 1:-1, 1:-1].abs().max() < 1e-6


def test_a_gate_normalises_each_place_by_itself() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 4, 4)
    louder = x.clone()
    louder[:, :, 0, 0] *= 100
    torch.testing.assert_close(gate(louder), gate(x), atol=1e-3, rtol=1e-3)
    assert gate(x).shape == (2, 4, 4, 4)


def test_the_coarsest_stage_reaches_the_finest_past_those_between() -> None:
    torch.manual_seed(0)
    generator = Generator((3, 32, 32), z_dim=8, width=8, depth=1)
    with torch.no_grad():
        for stage in generator.stages:  # what goes through them says nothing of z
            stage.first[-1].weight.zero_()
            stage.first[-1].bias.normal_()
    pictures = generator(torch.randn(4, 8))
    assert (pictures[0] - pictures[1]).abs().max() > 1e-3
    with torch.no_grad():
        generator.excite.squeeze.weight.zero_()
    pictures = generator(torch.randn(4, 8))
    assert torch.equal(pictures[0], pictures[1])
