"""The light generator."""

import pytest
import torch
from torch.autograd.functional import hessian

from sparring.networks.skip import Generator, formula, gate, smooth


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


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_gate_and_its_gradient_are_those_of_the_formula(channels_last: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 6, 5, 4, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    ours, book = x.clone().requires_grad_(), x.clone().requires_grad_()
    weights = torch.randn(3, 3, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(gate(ours), formula(book))
    for gated in (gate(ours), formula(book)):
        (gated * weights).sum().backward()
    torch.testing.assert_close(ours.grad, book.grad)
    assert torch.autograd.gradcheck(gate, ours)
    with torch.no_grad():
        torch.testing.assert_close(gate(x), formula(x))


def test_a_gate_has_a_second_derivative() -> None:
    """Also where the gradient that comes in is a constant, as that of a sum is."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(gate, x)
    curved = hessian(lambda x: formula(x).sum(), x)
    assert curved.norm() > 1
    torch.testing.assert_close(hessian(lambda x: gate(x).sum(), x), curved)


def test_in_bf16_a_gate_is_as_near_to_float32_as_the_formula() -> None:
    torch.manual_seed(0)
    exact = torch.randn(2, 96, 16, 16).bfloat16().float().requires_grad_()
    formula(exact).square().sum().backward()
    far = []
    for gated in (gate, formula):
        x = exact.detach().bfloat16().requires_grad_()
        gated(x).float().square().sum().backward()
        far.append((x.grad.float() - exact.grad).square().mean().sqrt().item())
    assert far[0] < 1.3 * far[1]


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
