"""Muon: what it does to matrices, by singular values and by torch's own, and that it leaves the rest to Adam."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from sparring.adversarial.muon import Muon, orthogonal


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(5, 6), nn.Linear(6, 12), nn.LayerNorm(12), nn.Linear(12, 6))


def updates(*networks: nn.Module) -> Iterator[None]:
    """The same gradients for all, six times."""
    for seed in range(6):
        for network in networks:
            random = torch.Generator().manual_seed(seed)
            for parameter in network.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=random)
        yield


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (8, 8)])
def test_directions_stay_and_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))

    made = orthogonal(x)

    left, _, right = torch.linalg.svd(x, full_matrices=False)
    rotated = left.mT @ made @ right.mT
    values = rotated.diagonal(dim1=1, dim2=2)
    assert ((values > 0.6) & (values < 1.3)).all()
    torch.testing.assert_close(rotated, torch.diag_embed(values), atol=1e-4, rtol=0)


def test_no_gradient_is_no_move() -> None:
    assert not orthogonal(torch.zeros(2, 4, 6)).any()


def test_matrices_move_as_with_the_muon_of_torch_and_the_rest_as_with_adam(network: nn.Module) -> None:
    reference = copy.deepcopy(network)
    mine = Muon(network, 0.01, fused=True, precision=torch.bfloat16)
    layers = [layer for layer in reference if isinstance(layer, nn.Linear)]
    theirs = torch.optim.Muon(
        [layer.weight for layer in layers], lr=0.01, weight_decay=0, adjust_lr_fn="match_rms_adamw"
    )
    dense = {layer.weight for layer in layers}
    adam = torch.optim.Adam([each for each in reference.parameters() if each not in dense], lr=0.01, fused=True)

    for _ in updates(network, reference):
        for optimiser in (mine, theirs, adam):
            optimiser.step()

    # Both compute in bfloat16, and the products of a batch round differently: a hundredth of the way.
    for ours, other in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, other, atol=6 * 0.01 * 0.02, rtol=0)


def test_what_is_frozen_or_has_no_gradient_stays(network: nn.Module) -> None:
    first, last = network[1], network[3]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    first.weight.requires_grad_(False)
    before: list[Tensor] = [first.weight.clone(), last.weight.clone()]
    mine = Muon(network, 0.01, fused=True, precision=torch.float32)
    first.bias.grad = torch.ones(12)

    mine.step()

    assert torch.equal(first.weight, before[0]) and torch.equal(last.weight, before[1])


def test_a_convolution_moves_as_the_matrix_that_it_is() -> None:
    torch.manual_seed(0)
    convolution, dense = nn.Conv2d(3, 8, 3, bias=False), nn.Linear(27, 8, bias=False)
    dense.weight.data.copy_(convolution.weight.detach().flatten(1))
    for network in (convolution, dense):
        optimiser = Muon(network, 0.01, fused=True, precision=torch.float32)
        for seed in range(3):
            gradient = torch.randn(8, 27, generator=torch.Generator().manual_seed(seed))
            network.weight.grad = gradient.view_as(network.weight)
            optimiser.step()
    torch.testing.assert_close(convolution.weight.flatten(1), dense.weight)
