"""Tensors joined to one."""

import pytest
import torch

from sparring.joining import joined


def test_what_is_joined_and_all_its_derivatives_are_the_librarys() -> None:
    torch.manual_seed(0)
    parts = [torch.randn(2, width, 3, dtype=torch.float64, requires_grad=True) for width in (1, 4, 2)]
    torch.testing.assert_close(joined(parts, 1), torch.cat(parts, 1))
    assert torch.autograd.gradcheck(lambda *parts: joined(parts, 1).pow(3), parts)
    assert torch.autograd.gradgradcheck(lambda *parts: joined(parts, 1).pow(3), parts)


def test_parts_that_nobody_asks_about_take_no_part() -> None:
    """The second derivative is by one of them; another does not even require a gradient."""
    asked, other, fixed = (torch.randn(2, 3, requires_grad=wanted) for wanted in (True, True, False))
    results = []
    for join in (joined, torch.cat):
        (slope,) = torch.autograd.grad(join([asked, other, fixed]).pow(3).sum(), asked, create_graph=True)
        results.append(torch.autograd.grad(slope.square().sum(), asked)[0])
    torch.testing.assert_close(*results)
    joined([asked, other, fixed]).sum().backward()
    assert torch.equal(asked.grad, torch.ones(2, 3)) and torch.equal(other.grad, torch.ones(2, 3))


@pytest.mark.parametrize("learns", [False, True])
def test_it_compiles_in_one_piece(learns: bool) -> None:
    parts = [torch.randn(2, 3, requires_grad=learns) for _ in range(2)]
    whole = torch.compile(lambda *parts: joined(parts, 1), backend="eager", fullgraph=True)(*parts)
    assert torch.equal(whole, torch.cat(parts, 1)) and whole.requires_grad == learns


def test_channels_last_stays() -> None:
    parts = [torch.randn(1, 2, 4, 4).contiguous(memory_format=torch.channels_last) for _ in range(2)]
    assert joined(parts).is_contiguous(memory_format=torch.channels_last)
