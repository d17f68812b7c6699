"""What the two players minimise.

An objective is a pair of losses on logits, the discriminator's raw outputs (N,) or (N, K). Both are means over all
judgements, computed in float32. `D` below is the logit, `sigma` the logistic function, `real_i` and `fake_i` the pairs
of a batch. Every objective has its optimum where generated and real distributions agree.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


class Objective(Protocol):
    """The losses of the two players.

    `midpoint` is the logit at which D is undecided; None for a relativistic objective, where a logit means something
    against its pair alone.
    """

    @property
    def midpoint(self) -> float | None:
        """The logit at which D is undecided, or None."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The loss that D descends: a scalar from logits of the same shape, but for fewer partners (see `step`)."""

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The loss that G descends: a scalar from logits of the same shape, but for fewer partners."""


@dataclass(frozen=True)
class Minimax:
    """The value function, E[log sigma(D(real))] + E[log(1 - sigma(D(fake)))], with both players on it.

    That is binary cross-entropy for D. The generator's gradient vanishes where D is sure of itself.
    Source: Goodfellow et al. 2014, eq. 1.
    """

    midpoint: float | None = 0.0

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-log sigma(D(real)) - log(1 - sigma(D(fake)))."""
        return softplus(-real_logits.float()).mean() + softplus(fake_logits.float()).mean()

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """log(1 - sigma(D(fake))), negative and unbounded below."""
        return -softplus(fake_logits.float()).mean()


@dataclass(frozen=True)
class NonSaturating(Minimax):
    """Minimax for D; G maximises log sigma(D(fake)), whose gradient is strong where the generator is bad.

    Source: Goodfellow et al. 2014, section 3.
    """

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-log sigma(D(fake))."""
        return softplus(-fake_logits.float()).mean()


@dataclass(frozen=True)
class LeastSquares:
    """Regression of the logits to 1 for real and 0 for generated samples; G wants 1.

    Source: Mao et al. 2017, eq. 9 (a = 0, b = c = 1).
    """

    midpoint: float | None = 0.5

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """1/2 (D(real) - 1)^2 + 1/2 D(fake)^2."""
        return 0.5 * ((real_logits.float() - 1).square().mean() + fake_logits.float().square().mean())

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """1/2 (D(fake) - 1)^2."""
        return 0.5 * (fake_logits.float() - 1).square().mean()


@dataclass(frozen=True)
class Wasserstein:
    """The dual of the earth mover's distance; needs a penalty that keeps D 1-Lipschitz.

    Source: Arjovsky et al. 2017, eq. 2.
    """

    midpoint: float | None = 0.0

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """D(fake) - D(real)."""
        return fake_logits.float().mean() - real_logits.float().mean()

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-D(fake)."""
        return -fake_logits.float().mean()


@dataclass(frozen=True)
class Hinge:
    """D separates with a margin of 1 and ignores what it has separated; G raises D(fake).

    Source: Lim & Ye 2017, Miyato et al. 2018, eq. 16 and 17.
    """

    midpoint: float | None = 0.0

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """max(0, 1 - D(real)) + max(0, 1 + D(fake))."""
        return relu(1 - real_logits.float()).mean() + relu(1 + fake_logits.float()).mean()

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-D(fake)."""
        return -fake_logits.float().mean()


@dataclass(frozen=True)
class Relativistic:
    """Relativistic pairing: D says by how much real_i is more real than fake_i, G wants the contrary.

    Every sample is judged against a partner, so G cannot win by piling its samples on one good spot: the loss has no
    bad local minima there (Sun et al. 2020). Source: Jolicoeur-Martineau 2019; with R1 and R2: Huang et al. 2024
    (R3GAN, arXiv 2501.05441), eq. 2.
    """

    midpoint: float | None = None

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-log sigma(D(real_i) - D(fake_i))."""
        return softplus(fake_logits.float() - real_logits.float()).mean()

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-log sigma(D(fake_i) - D(real_i))."""
        return softplus(real_logits.float() - fake_logits.float()).mean()


@dataclass(frozen=True)
class RelativisticAll(Relativistic):
    """Relativistic pairing in which every real sample meets every generated one, in place of one partner each.

    The same loss in expectation where samples are drawn independently, with the least variance that an unbiased
    estimate of it has; it costs N^2 numbers a judgement. There may be more of one side than of the other
    (`partner_stride`). Those that meet are the ones that go through the networks at once: micro-batches and several
    processes are estimates with more variance. Source: Jolicoeur-Martineau 2020 (arXiv 1901.02474), the
    minimum-variance unbiased estimator of RpGANs.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-log sigma(D(real_i) - D(fake_j)), the mean over all i and j."""
        return super().discriminator(real_logits, fake_logits.unsqueeze(1))

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """-log sigma(D(fake_j) - D(real_i)), the mean over all i and j."""
        return super().generator(real_logits, fake_logits.unsqueeze(1))


OBJECTIVES: dict[str, Objective] = {
    "relativistic": Relativistic(),
    "relativistic-all": RelativisticAll(),
    "non-saturating": NonSaturating(),
    "minimax": Minimax(),
    "least-squares": LeastSquares(),
    "wasserstein": Wasserstein(),
    "hinge": Hinge(),
}


def undecided(objective: Objective, logits: Tensor) -> tuple[Tensor, Tensor]:
    """The losses of D and of G if all logits, of this shape, were the same and D without an opinion.

    log 2 for a relativistic objective, and for others that of a D which says midpoint to all.
    """
    same = torch.zeros_like(logits) + (objective.midpoint or 0.0)
    return objective.discriminator(same, same), objective.generator(same, same)


def signs(objective: Objective, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """How right D is, -1 to 1 a sample (N,), whatever the objective: what accuracy and adaptive augmentation read.

    A relativistic D gives sign(D(real_i) - D(fake_i)), since its logits have no zero of their own. Any other gives the
    mean of sign(D(real_i) - m) and sign(m - D(fake_i)), m being its midpoint.
    """
    real, fake = (logits.float().reshape(len(logits), -1).mean(1) for logits in (real_logits, fake_logits))
    if objective.midpoint is None:
        return torch.sign(real - fake)
    return (torch.sign(real - objective.midpoint) - torch.sign(fake - objective.midpoint)) / 2
