import math

import pytest
import torch
from torch import Tensor, nn

from sparring.adversarial.penalties import ExactSlope, SlopeByDifference, UnitSlope, penalty
from sparring.randomness import Random
from sparring.tasks import Sample, View


def judged(discriminator: nn.Module, real: Tensor, fake: Tensor, needs_gradient: bool):
    """A judge and the view of a pair, as the step makes them."""
    samples = [Sample((x,)) for x in (real, fake)]
    if needs_gradient:
        samples = [sample.requires_gradient() for sample in samples]

    def judge(*samples: Sample) -> tuple[Tensor, ...]:
        return discriminator(torch.cat([sample.parts[0] for sample in samples])).split(len(real))

    return judge, View(*samples, *judge(*samples))


class Linear(nn.Module):
    """D(x) = w . x + b, whose slope is w everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight + 0.3


class Bowl(nn.Module):
    """D(x) = a/2 |x|^2, whose slope is a x."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        return self.a / 2 * x.flatten(1).square().sum(1)


REAL = torch.randn(8, 1, 2, 3, generator=torch.Generator().manual_seed(1))
FAKE = torch.randn(8, 1, 2, 3, generator=torch.Generator().manual_seed(2))
RANDOM = Random(seed=0, step=0, count=8)


def test_exact_slope_of_a_linear_discriminator_is_its_squared_weight() -> None:
    weight = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, -1.0])
    terms = ExactSlope()(*judged(Linear(weight), REAL, FAKE, True), RANDOM)
    assert terms["r1"].item() == pytest.approx(weight.square().sum().item(), rel=1e-6)
    assert terms["r2"].item() == pytest.approx(weight.square().sum().item(), rel=1e-6)


def test_exact_slope_and_its_gradient_of_a_bowl() -> None:
    """R1 = a^2 E|x|^2, and so its derivative by a is 2 a E|x|^2."""
    bowl = Bowl()
    terms = ExactSlope(("r1",))(*judged(bowl, REAL, FAKE, True), RANDOM)
    mean = REAL.flatten(1).square().sum(1).mean()
    assert list(terms) == ["r1"]
    assert terms["r1"].item() == pytest.approx((bowl.a**2 * mean).item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(terms["r1"], bowl.a)
    assert gradient.item() == pytest.approx((2 * bowl.a * mean).item(), rel=1e-6)


def test_finite_differences_agree_with_the_exact_slope_on_average() -> None:
    """|grad|^2 is the mean of (grad . e)^2; with 4,096 directions its error is about sqrt(2 / 4096) of it."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))
    real, fake = REAL.repeat(512, 1, 1, 1), FAKE.repeat(512, 1, 1, 1)
    random = Random(seed=0, step=0, count=len(real))
    exact = ExactSlope()(*judged(network, real, fake, True), random)
    estimate = SlopeByDifference(step=0.01)(*judged(network, real, fake, False), random)
    for term in ("r1", "r2"):
        assert estimate[term].item() == pytest.approx(exact[term].item(), rel=0.06)
    weights = list(network.parameters())
    ours = torch.autograd.grad(sum(estimate.values()), weights, allow_unused=True)
    theirs = torch.autograd.grad(sum(exact.values()), weights, allow_unused=True)
    a, b = (torch.cat([g.flatten() for g in gradients if g is not None]) for gradients in (ours[:3], theirs[:3]))
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.98


def test_finite_differences_of_a_linear_discriminator_are_exact_for_any_step() -> None:
    weight = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, -1.0])
    small, large = (
        SlopeByDifference(("r1",), step)(*judged(Linear(weight), REAL, FAKE, False), RANDOM)["r1"]
        for step in (0.01, 1.0)
    )
    assert small.item() == pytest.approx(large.item(), rel=1e-3)


def test_unit_slope_vanishes_at_slope_one_and_counts_the_distance_from_it() -> None:
    for length in (1.0, 3.0):
        weight = torch.full((6,), length / math.sqrt(6))
        term = UnitSlope()(*judged(Linear(weight), REAL, FAKE, False), RANDOM)["wgan-gp"]
        assert term.item() == pytest.approx(2 * (length - 1) ** 2, abs=1e-5)


def test_unit_slope_can_be_differentiated_at_slope_zero() -> None:
    flat = Linear(torch.zeros(6))
    term = UnitSlope()(*judged(flat, REAL, FAKE, False), RANDOM)["wgan-gp"]
    (gradient,) = torch.autograd.grad(term, flat.weight)
    assert torch.isfinite(gradient).all()


def test_several_judgements_are_penalised_by_the_slope_of_their_mean() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([2 * x.flatten(1)[:, 0], 4 * x.flatten(1)[:, 0]], 1)

    terms = ExactSlope(("r1",))(*judged(Two(), REAL, FAKE, True), RANDOM)
    assert terms["r1"].item() == pytest.approx(9.0)


def test_penalties_by_name() -> None:
    assert penalty("none", "exact", 0.01) is None
    assert penalty("r1+r2", "exact", 0.01) == ExactSlope(("r1", "r2"))
    assert penalty("r2", "finite-difference", 0.02) == SlopeByDifference(("r2",), 0.02)
    assert penalty("wgan-gp", "exact", 0.01) == UnitSlope()
