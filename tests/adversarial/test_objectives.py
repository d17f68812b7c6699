import itertools
import math

import pytest
import torch

from sparring.adversarial.objectives import OBJECTIVES, Objective, signs

LOG_2 = math.log(2)


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        # With all logits 0 the losses are known in closed form.
        ("minimax", 2 * LOG_2, -LOG_2),
        ("non-saturating", 2 * LOG_2, LOG_2),
        ("least-squares", 0.5, 0.5),
        ("wasserstein", 0.0, 0.0),
        ("hinge", 2.0, 0.0),
        ("relativistic", LOG_2, LOG_2),
        ("relativistic-all", LOG_2, LOG_2),
    ],
)
def test_losses_of_an_undecided_discriminator(name: str, discriminator: float, generator: float) -> None:
    zeros = torch.zeros(5)
    assert OBJECTIVES[name].discriminator(zeros, zeros).item() == pytest.approx(discriminator, abs=1e-6)
    assert OBJECTIVES[name].generator(zeros, zeros).item() == pytest.approx(generator, abs=1e-6)


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_losses_at_hand_computed_logits() -> None:
    real, fake = torch.tensor([2.0]), torch.tensor([-1.0])
    value = math.log(sigma(2)) + math.log(1 - sigma(-1))
    expected = {
        "minimax": (-value, math.log(1 - sigma(-1))),
        "non-saturating": (-value, -math.log(sigma(-1))),
        "least-squares": (0.5 * (1 + 1), 0.5 * 4),
        "wasserstein": (-3.0, 1.0),
        "hinge": (0.0, 1.0),
        "relativistic": (-math.log(sigma(3)), -math.log(sigma(-3))),
        "relativistic-all": (-math.log(sigma(3)), -math.log(sigma(-3))),
    }
    for name, (discriminator, generator) in expected.items():
        assert OBJECTIVES[name].discriminator(real, fake).item() == pytest.approx(discriminator, rel=1e-5), name
        assert OBJECTIVES[name].generator(real, fake).item() == pytest.approx(generator, rel=1e-5), name


@pytest.mark.parametrize("shape", [(4,), (4, 3)])
def test_all_pairs_are_the_mean_of_relativistic_pairing_over_all_ways_to_pair(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(shape), torch.randn(shape)
    every, own = OBJECTIVES["relativistic-all"], OBJECTIVES["relativistic"]
    ways = [torch.tensor(order) for order in itertools.permutations(range(4))]
    for player in ("discriminator", "generator"):
        mean = torch.stack([getattr(own, player)(real, fake[order]) for order in ways]).mean()
        torch.testing.assert_close(getattr(every, player)(real, fake), mean)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_generator_wants_its_logits_higher_and_the_discriminator_wants_them_lower(name: str) -> None:
    real = torch.tensor([0.1, -0.4])
    fake = torch.tensor([-0.2, 0.3], requires_grad=True)
    (wish,) = torch.autograd.grad(OBJECTIVES[name].generator(real, fake), fake)
    (answer,) = torch.autograd.grad(OBJECTIVES[name].discriminator(real, fake), fake)
    assert (wish < 0).all()
    assert (answer > 0).all() or name == "least-squares"


def test_the_optimal_discriminator_of_minimax_gives_the_jensen_shannon_divergence() -> None:
    """With D* = log(p/q) the value is -log 4 + 2 JSD(p, q) (Goodfellow 2014, theorem 1)."""
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    logits = (p / q).log()
    value = -(
        sum(p[i] * OBJECTIVES["minimax"].discriminator(logits[i : i + 1], torch.tensor([-100.0])) for i in range(3))
        + sum(q[i] * OBJECTIVES["minimax"].discriminator(torch.tensor([100.0]), logits[i : i + 1]) for i in range(3))
    )
    middle = (p + q) / 2
    divergence = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    assert value.item() == pytest.approx(-math.log(4) + 2 * divergence.item(), abs=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_losses_are_means_over_all_judgements_in_float32(objective: Objective) -> None:
    real, fake = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(6, 3)
    whole = objective.discriminator(real, fake)
    halves = [objective.discriminator(real[i : i + 3], fake[i : i + 3]) for i in (0, 3)]
    assert whole.item() == pytest.approx((halves[0] + halves[1]).item() / 2, rel=1e-5)
    assert objective.generator(real.bfloat16(), fake.bfloat16()).dtype == torch.float32


def test_signs_are_of_pairs_for_a_relativistic_discriminator() -> None:
    real, fake = torch.tensor([5.0, 1.0, 2.0]), torch.tensor([4.0, 3.0, 2.0])
    assert signs(OBJECTIVES["relativistic"], real, fake).tolist() == [1, -1, 0]


def test_signs_are_measured_from_the_midpoint_otherwise() -> None:
    real, fake = torch.tensor([0.7, 0.4]), torch.tensor([0.1, 0.6])
    assert signs(OBJECTIVES["least-squares"], real, fake).tolist() == [1, -1]
    assert signs(OBJECTIVES["hinge"], real, fake).tolist() == [0, 0]
