"""What is looked at in the game, against closed forms: D is linear, so its slope is its weight everywhere."""

import pytest
import torch
from tests.adversarial.test_penalties import Linear
from tests.adversarial.test_step import Points
from torch import Tensor, nn

from sparring.adversarial.augment import NoAugmentation
from sparring.adversarial.game import Game
from sparring.adversarial.objectives import OBJECTIVES
from sparring.adversarial.player import MicroBatch, Player
from sparring.adversarial.probe import probe
from sparring.randomness import Random

BATCH = 48
WEIGHT = torch.tensor([1.0, -2.0, 0.5, 0.0])
REAL = 2 + torch.randn(BATCH, 4, generator=torch.Generator().manual_seed(1))
UNSEEN = torch.randn(BATCH, 4, generator=torch.Generator().manual_seed(2))


class Judge(Linear):
    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(x)


def look(objective: str, micro_batch: int = BATCH, batch: Tensor = REAL, unseen: Tensor | None = UNSEEN):
    torch.manual_seed(0)
    game = Game(Points(), OBJECTIVES[objective], None, NoAugmentation())
    size = MicroBatch(micro_batch)
    players = [
        Player(module, torch.optim.Adam(module.parameters()), size) for module in (nn.Linear(4, 4), Judge(WEIGHT))
    ]
    found = probe(game, *players, batch, unseen, Random(seed=0, step=0, count=len(batch)))
    assert all(
        parameter.requires_grad and parameter.grad is None for p in players for parameter in p.module.parameters()
    )
    fake = players[0].module(Random(seed=0, step=0, count=len(batch)).normal("latent", 4)).detach()
    return {name: value.item() for name, value in found.items()}, fake


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_slopes_and_gaps_of_a_linear_discriminator(objective: str) -> None:
    found, fake = look(objective)
    squared = WEIGHT.square().sum().item()
    assert found["slope_real"] == pytest.approx(squared, rel=1e-5)
    assert found["slope_fake"] == pytest.approx(squared, rel=1e-5)
    assert found["gap"] == pytest.approx(((REAL - fake).mean(0) @ WEIGHT).item(), rel=1e-4)
    assert found["held_out_gap"] == pytest.approx(((UNSEEN - fake).mean(0) @ WEIGHT).item(), rel=1e-4)


def test_what_the_generator_learns_from() -> None:
    """Wasserstein's loss of G is -D(fake), whose gradient at a sample is the weight; softplus leaves a share of it."""
    squared = WEIGHT.square().sum().item()
    assert look("wasserstein")[0]["push"] == pytest.approx(squared, rel=1e-5)
    found, fake = look("relativistic")
    share = torch.sigmoid((REAL - fake) @ WEIGHT)
    assert found["push"] == pytest.approx(squared * share.square().mean().item(), rel=1e-4)


def test_the_loss_of_a_discriminator_without_an_opinion() -> None:
    known = {"relativistic": 0.6931472, "minimax": 1.3862944, "least-squares": 0.25, "hinge": 2.0, "wasserstein": 0.0}
    for objective, loss in known.items():
        assert look(objective)[0]["undecided"] == pytest.approx(loss, abs=1e-6)


def test_spread_is_the_mean_distance_of_two() -> None:
    corners = torch.tensor([[0.0, 0, 0, 0], [3, 0, 0, 0], [0, 4, 0, 0]])
    assert look("hinge", batch=corners, unseen=None)[0]["spread_real"] == pytest.approx((3 + 4 + 5) / 3)
    assert look("hinge", batch=corners[:1], unseen=None)[0]["spread_real"] == 0


@pytest.mark.parametrize("micro_batch", [1, 32, 47])
def test_parts_of_a_batch_tell_the_same_as_all_of_it(micro_batch: int) -> None:
    whole, parts = look("relativistic")[0], look("relativistic", micro_batch)[0]
    assert parts == pytest.approx(whole, rel=1e-5)


def test_without_held_out_samples_there_is_no_gap_of_them() -> None:
    assert "held_out_gap" not in look("hinge", unseen=None)[0]
