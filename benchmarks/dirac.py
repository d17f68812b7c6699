"""The Dirac-GAN: the smallest game that shows which objectives and penalties converge.

All data is the point 0, the generator makes the point theta, and the discriminator is a line through the data,
D(x) = m + psi x, m being the logit at which it is undecided. The players should come to rest at theta = psi = 0.
Source: Mescheder et al. 2018, arXiv 1801.04406.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.adversarial.augment import NoAugmentation
from sparring.adversarial.game import Game
from sparring.adversarial.objectives import OBJECTIVES
from sparring.adversarial.penalties import penalty
from sparring.adversarial.player import MicroBatch, Player
from sparring.adversarial.step import step
from sparring.randomness import Random
from sparring.tasks.sample import Sample, View
from toys import Batch, Points

START = (1.0, 1.0)
"""(theta, psi) at the beginning of a game."""


@dataclass(frozen=True)
class Dirac:
    """The game with one of the engine's objectives, and one of its penalties with strength gamma."""

    objective: str
    penalty: str
    gamma: float

    @property
    def undecided(self) -> float:
        """The logit m; 0 where only differences of logits count."""
        return OBJECTIVES[self.objective].midpoint or 0.0

    def losses(self, theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        """What the generator and the discriminator descend."""

        def judge(*samples: Sample) -> tuple[Tensor, ...]:
            return tuple(self.undecided + psi * sample.parts[0].squeeze(1) for sample in samples)

        real, fake = Sample((torch.zeros(1, 1, requires_grad=True),)), Sample((theta.reshape(1, 1),))
        view = View(real, fake, *judge(real), *judge(fake))
        objective, rule = OBJECTIVES[self.objective], penalty(self.penalty, "exact", 0.01)
        slopes = rule(judge, view, Random(0, 0, 1)) if rule else {}
        losing = objective.discriminator(view.real_logits, view.fake_logits)
        return (
            objective.generator(view.real_logits, view.fake_logits),
            losing + self.gamma / 2 * sum(slopes.values(), torch.zeros(())),
        )

    def field(self, state: Tensor) -> Tensor:
        """The direction (2,) in which gradient descent takes the players from state (2,) = (theta, psi)."""
        theta, psi = state
        generator_loss, discriminator_loss = self.losses(theta, psi)
        (down_theta,) = torch.autograd.grad(generator_loss, theta, create_graph=True)
        (down_psi,) = torch.autograd.grad(discriminator_loss, psi, create_graph=True)
        return -torch.stack([down_theta, down_psi])

    def eigenvalues(self) -> list[complex]:
        """Of the field's Jacobian at the equilibrium; the game converges around it if all real parts are below 0.

        Closed forms: +-i f' without a penalty, and -g/2 +- sqrt(g^2/4 - f'^2) with R1 or R2 of strength g, both
        together acting as twice that strength; f' is the slope of the losses where D is undecided, 1/2, or 1 for
        Wasserstein and hinge. They are those of ((0, f'), (-f', -g)). WGAN-GP has a kink at psi = 0, where the
        engine's rounding of it repels.
        """
        jacobian = torch.autograd.functional.jacobian(self.field, torch.zeros(2))  # type: ignore[no-untyped-call]
        return [complex(value) for value in torch.linalg.eigvals(jacobian)]

    def simultaneous(self, rate: float, steps: int) -> Tensor:
        """(theta, psi) after so many steps in which both players move at once."""
        state = torch.tensor(START)
        for _ in range(steps):
            state = (state + rate * self.field(state.requires_grad_())).detach()
        return state

    def alternating(self, rate: float, steps: int) -> Tensor:
        """(theta, psi) after so many steps of the engine, in which the discriminator moves first."""
        generator, discriminator = Place(START[0]), Slope(START[1], self.undecided)
        players = (
            Player(generator, torch.optim.SGD(generator.parameters(), rate), MicroBatch(1)),
            Player(discriminator, torch.optim.SGD(discriminator.parameters(), rate), MicroBatch(1)),
        )
        rule = penalty(self.penalty, "exact", 0.01)
        game = Game(Points(), OBJECTIVES[self.objective], rule, NoAugmentation(), penalty_strength=self.gamma)  # type: ignore[arg-type]
        for number in range(steps):
            step(game, *players, Batch(torch.zeros(1, 1), torch.zeros(1, 1)), Random(0, number, 1))
        return torch.stack([generator.theta, discriminator.psi]).detach()


class Place(nn.Module):
    """The generator: theta, whatever the latent."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, latents: Tensor) -> Tensor:
        """(N, 1) -> (N, 1)."""
        return self.theta.expand(len(latents), 1)


class Slope(nn.Module):
    """The discriminator m + psi x."""

    def __init__(self, psi: float, undecided: float) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(psi))
        self.undecided = undecided

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, 1) -> logits (N, 1)."""
        return self.undecided + self.psi * x
