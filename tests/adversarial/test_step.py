"""The step on a task of numbers instead of pictures: what is checked is the game, not the networks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparring.adversarial.augment import NoAugmentation, Transformation
from sparring.adversarial.game import Game, partners
from sparring.adversarial.objectives import OBJECTIVES, Objective
from sparring.adversarial.penalties import penalty
from sparring.adversarial.player import MicroBatch, Player
from sparring.adversarial.step import step
from sparring.errors import SettingError
from sparring.randomness import Random
from sparring.tasks import Sample, View

BATCH = 48


class Points:
    """Real points of N((2, 2, ...), 1), G: z -> point."""

    def __init__(self, further: float = 0.0) -> None:
        self.further = further

    def real(self, batch: Tensor, random: Random) -> Sample:
        return Sample((batch,))

    def fake(self, generator: nn.Module, batch: Tensor, random: Random) -> Sample:
        return Sample((generator(random.normal("latent", 4)),))

    def augmented(self, sample: Sample, transformation: Transformation) -> Sample:
        return sample

    def lesson(self, generator: nn.Module, batch: Tensor, random: Random) -> View:
        return View.before_the_game(self.real(batch, random), self.fake(generator, batch, random))

    def generator_loss(self, objective: Objective, view: View) -> Tensor:
        return objective.generator(view.real_logits, view.fake_logits)

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        if player == "generator" and self.further:
            return {"size": (self.further, view.fake.parts[0].square().mean())}
        return {}


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.layers(x).squeeze(1)


@dataclass
class Ring:
    game: Game
    generator: Player
    discriminator: Player

    def play(self, steps: int) -> dict[str, Tensor]:
        for number in range(steps):
            batch = Random(1, number, BATCH).normal("real", 4) + 2
            terms = step(self.game, self.generator, self.discriminator, batch, Random(0, number, BATCH))
        return terms


def ring(micro_batch: int = BATCH, rate: float = 0.01, **rules: Any) -> Ring:
    torch.manual_seed(0)
    shared = MicroBatch(micro_batch)
    generator, judge = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4)), Judge()
    players = [Player(m, torch.optim.Adam(m.parameters(), rate, (0.0, 0.9)), shared) for m in (generator, judge)]
    game = Game(Points(), OBJECTIVES["relativistic"], penalty("r1+r2", "exact", 0.01), NoAugmentation())  # type: ignore[arg-type]
    return Ring(replace(game, **rules), *players)


def weights(player: Player) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in player.module.parameters()])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_generator_finds_the_real_mean(objective: str) -> None:
    game = ring(objective=OBJECTIVES[objective], rate=0.02 if objective == "minimax" else 0.01)
    game.play(400)
    made = game.generator.module(torch.randn(500, 4))
    assert (made.mean(0) - 2).abs().max() < 0.6


@pytest.mark.parametrize(("method", "stride"), [("exact", 1), ("exact", 5), ("finite-difference", 1)])
@pytest.mark.parametrize("micro_batch", [16, 20, 7, 2])
def test_micro_batches_give_the_update_of_the_whole_batch(micro_batch: int, method: str, stride: int) -> None:
    rules = {"penalty": penalty("r1+r2", method, 0.01), "penalty_stride": stride}
    whole, parts = ring(**rules), ring(micro_batch, **rules)
    for player in (whole.generator, whole.discriminator, parts.generator, parts.discriminator):
        # Adam would blow up the rounding of a gradient that is zero, as that of D's last bias is for pairs.
        player.optimizer = torch.optim.SGD(player.module.parameters(), 0.05)
    expected, found = whole.play(3), parts.play(3)
    torch.testing.assert_close(weights(parts.generator), weights(whole.generator), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(weights(parts.discriminator), weights(whole.discriminator), atol=1e-5, rtol=1e-4)
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("lazy", [False, True])
def test_with_fewer_partners_each_player_learns_from_all_of_its_own_side(lazy: bool) -> None:
    """D from all real samples and every third generated one, G the other way round; the penalty at every sixth pair."""
    objective, rules = OBJECTIVES["relativistic-all"], penalty("r1+r2", "exact", 0.01)
    game = ring(objective=objective, penalty=None if lazy else rules, penalty_stride=6, partner_stride=3)
    game.discriminator.optimizer = torch.optim.SGD(game.discriminator.module.parameters(), 0.1)
    judge, module = game.discriminator.module, game.generator.module
    before = {name: parameter.detach().clone() for name, parameter in judge.named_parameters()}
    batch = Random(1, 0, BATCH).normal("real", 4)
    real = batch.clone().requires_grad_()
    fake = module(Random(0, 0, BATCH).normal("latent", 4)).detach().requires_grad_()
    on_real, on_fake = judge(real), judge(fake)
    loss = torch.nn.functional.softplus(on_fake[::3, None] - on_real[None]).mean()
    slopes = torch.autograd.grad(on_real.sum() + on_fake.sum(), (real, fake), create_graph=True)
    terms = dict(zip(("r1", "r2"), (slope[::6].square().sum(1).mean() for slope in slopes), strict=True))
    right = torch.sign(on_real[::3] - on_fake[::3]).mean()
    assert abs(right) < 1
    whole = loss if lazy else loss + sum(terms.values()) / 2
    gradients = torch.autograd.grad(whole, list(judge.parameters()), allow_unused=True)
    found = step(game.game, game.generator, game.discriminator, batch, Random(0, 0, BATCH))
    torch.testing.assert_close(found["discriminator_loss"], loss.detach())
    torch.testing.assert_close(found["sign"], right)
    assert lazy or all(torch.allclose(found[name], value) for name, value in terms.items())
    for (name, parameter), gradient in zip(judge.named_parameters(), gradients, strict=True):
        moved = torch.zeros_like(parameter) if gradient is None else gradient
        torch.testing.assert_close(parameter.detach(), before[name] - 0.1 * moved, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        against = torch.nn.functional.softplus(judge(real)[::3, None] - judge(fake)[None]).mean()
    torch.testing.assert_close(found["generator_loss"], against)


def test_partners_are_in_step_with_the_batch_and_one_at_least() -> None:
    assert partners(7, 3, 5) == range(2, 7, 3)
    assert partners(2, 3, 2) == range(1)
    assert partners(6, 1, 4) == range(6)


@pytest.mark.parametrize("micro_batch", [24, 12, 7, 1])
def test_fewer_partners_in_micro_batches_are_partners_all_the_same(micro_batch: int) -> None:
    rules: dict[str, Any] = {"objective": OBJECTIVES["non-saturating"], "penalty_stride": 6, "partner_stride": 3}
    whole, parts = ring(**rules), ring(micro_batch, **rules)
    expected, found = whole.play(1), parts.play(1)
    assert all(value.isfinite() for value in found.values())
    if micro_batch % 3 == 0:
        torch.testing.assert_close(weights(parts.generator), weights(whole.generator), atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(weights(parts.discriminator), weights(whole.discriminator), atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(found["sign"], expected["sign"])


def test_parts_in_which_the_penalty_looks_at_nothing_tell_the_same_terms() -> None:
    """Ranks take the mean of theirs in the order in which they come: one that lacked some would be added up wrongly."""
    game = ring(penalty_stride=4).game
    bare = ring()
    told = []
    for start in (4, 5):
        random = Random(0, 0, 2, start)
        batch = Random(1, 0, 2, start).normal("real", 4) + 2
        told.append(step(game, bare.generator, bare.discriminator, batch, random))
    assert list(told[0]) == list(told[1])
    assert told[0]["r1"] > 0
    assert told[1]["r1"] == 0


@pytest.mark.parametrize("stride", [1, 3])
def test_one_update_is_gradient_descent_on_the_loss_by_hand(stride: int) -> None:
    """With plain gradient descent the first D update is rate times the gradient of loss + gamma/2 (R1 + R2).

    R1 and R2 are means over every pair, or every third, whose logits are those of all others too.
    """
    game = ring(penalty_strength=3.0, penalty_stride=stride)
    game.discriminator.optimizer = torch.optim.SGD(game.discriminator.module.parameters(), 0.1)
    judge = game.discriminator.module
    before = {name: p.detach().clone() for name, p in judge.named_parameters()}
    real = (Random(1, 0, BATCH).normal("real", 4) + 2).requires_grad_()
    with torch.no_grad():
        made = game.generator.module(Random(0, 0, BATCH).normal("latent", 4))
    fake = made.requires_grad_()
    real_logits, fake_logits = judge(real), judge(fake)
    slopes = torch.autograd.grad(real_logits.sum() + fake_logits.sum(), (real, fake), create_graph=True)
    loss = torch.nn.functional.softplus(fake_logits - real_logits).mean()
    loss = loss + 3.0 / 2 * sum(slope[::stride].square().sum(1).mean() for slope in slopes)
    gradients = torch.autograd.grad(loss, list(judge.parameters()), allow_unused=True)
    game.play(1)
    for (name, parameter), gradient in zip(judge.named_parameters(), gradients, strict=True):
        moved = torch.zeros_like(parameter) if gradient is None else gradient
        torch.testing.assert_close(parameter.detach(), before[name] - 0.1 * moved, atol=1e-6, rtol=1e-5)


def test_each_update_moves_its_own_player_alone() -> None:
    game = ring()
    game.generator.optimizer = torch.optim.SGD(game.generator.module.parameters(), 0.0)
    before = weights(game.generator)
    game.play(2)
    assert torch.equal(weights(game.generator), before)
    assert all(parameter.requires_grad for parameter in game.discriminator.module.parameters())


def test_weights_that_do_not_learn_stay_so() -> None:
    game = ring()
    frozen = next(game.discriminator.module.parameters()).requires_grad_(False)
    game.play(2)
    assert not frozen.requires_grad


def test_a_task_adds_losses_of_its_own() -> None:
    plain, pulled = ring(), ring(task=Points(further=10.0))
    plain.play(200)
    terms = pulled.play(200)
    assert terms["size"] < 1
    assert weights(pulled.generator).norm() < weights(plain.generator).norm()


class Greedy(Judge):
    """Runs out of memory above `limit` samples at once."""

    limit = 2 * 10

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(x, y)


def test_out_of_memory_is_answered_by_smaller_micro_batches_and_the_same_update() -> None:
    told: list[int] = []
    roomy, tight = ring(), ring()
    judge = Greedy()
    judge.load_state_dict(tight.discriminator.module.state_dict())
    shared = MicroBatch(BATCH, told.append)
    tight.discriminator = Player(judge, torch.optim.Adam(judge.parameters(), 0.01, (0.0, 0.9)), shared)
    tight.generator.micro_batch = shared
    roomy.play(2)
    tight.play(2)
    assert told == [24, 12, 6]
    torch.testing.assert_close(weights(tight.generator), weights(roomy.generator), atol=2e-4, rtol=1e-3)


def test_a_sample_that_does_not_fit_alone_is_said() -> None:
    game = ring()
    judge = Greedy()
    judge.limit = 0
    game.discriminator.module = judge
    with pytest.raises(SettingError, match="one sample at a time does not fit"):
        game.play(1)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    game = ring()
    game.generator.module = nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        game.play(1)


class Looking(nn.Module):
    """`Judge` in two parts, the first of which is frozen; counts how often it is asked to look."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.layers = judge.layers
        self.layers[0].requires_grad_(False)
        self.looks = 0

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.judge(*self.perceive(x), y=y)

    def perceive(self, *parts: Tensor) -> tuple[Tensor, ...]:
        self.looks += 1
        return tuple(self.layers[:2](part) for part in parts)

    def judge(self, *features: Tensor, y: Tensor | None = None) -> Tensor:
        (seen,) = features
        return self.layers[2](seen).squeeze(1)


@pytest.mark.parametrize("micro_batch", [BATCH, 16])
@pytest.mark.parametrize(
    ("name", "method"), [("none", "exact"), ("r1+r2", "exact"), ("r1", "finite-difference"), ("wgan-gp", "exact")]
)
def test_a_discriminator_in_two_parts_plays_like_the_same_in_one(name: str, method: str, micro_batch: int) -> None:
    rules = {"penalty": penalty(name, method, 0.01)}
    one, two = ring(micro_batch, **rules), ring(micro_batch, **rules)
    one.discriminator.module.layers[0].requires_grad_(False)
    looking = Looking(two.discriminator.module)
    learning = [weight for weight in looking.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(learning, 0.01, (0.0, 0.9))
    two.discriminator = Player(looking, optimizer, two.generator.micro_batch)
    one.play(3)
    two.play(3)
    assert torch.equal(weights(two.generator), weights(one.generator))
    assert torch.equal(weights(two.discriminator), weights(one.discriminator))


def test_fewer_partners_are_the_same_for_a_discriminator_in_two_parts() -> None:
    rules: dict[str, Any] = {"objective": OBJECTIVES["relativistic-all"], "penalty": None, "partner_stride": 3}
    one, two = ring(**rules), ring(**rules)
    for game in (one, two):
        game.discriminator.module.layers[0].requires_grad_(False)
    two.discriminator.module = Looking(two.discriminator.module)
    one.play(3)
    two.play(3)
    torch.testing.assert_close(weights(two.generator), weights(one.generator))


def test_what_is_perceived_of_a_pair_is_asked_for_once() -> None:
    game = ring(penalty=None)
    game.discriminator.module = Looking(game.discriminator.module)
    made = []
    game.generator.module.register_forward_hook(lambda *_: made.append(1))
    game.play(1)
    assert game.discriminator.module.looks == 2
    assert len(made) == 1
