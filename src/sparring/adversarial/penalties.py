"""Penalties on the discriminator's slope, which make the game converge.

All act on the slope with respect to the samples *before* augmentation, summed over channels and pixels. Two methods
give the squared norm of the slope:

- exact: the gradient by automatic differentiation, differentiated once more for the update (double backward);
- finite differences: ((D(x + s e) - D(x)) / s)^2 with e ~ N(0, 1) in every pixel. Its mean over e is |grad D(x)|^2 plus
  terms of the order of s^2 where D is smooth. One more forward pass takes the place of the second derivative, and it
  compiles. The difference of two nearly equal logits drowns in the rounding of bf16, so the discriminator runs in
  float32 for it; and a D of leaky ReLUs that has learned has kinks so close by that its gradients are mostly noise
  (`benchmarks/penalty_gradient.py`). It is for networks without a second derivative.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sparring.randomness import Random
from sparring.tasks.sample import Sample, View

Judge = Callable[..., tuple[Tensor, ...]]
"""`judge(*samples)`: the logits (N,) or (N, K) of each sample, augmented alike, in one pass of the discriminator."""


class Penalty(Protocol):
    """A regulariser of D, called after D has judged the pair."""

    @property
    def needs_gradient(self) -> bool:
        """Whether the samples must require gradients when they are judged."""

    @property
    def full_precision(self) -> bool:
        """Whether D must run in float32, for the pair's logits too."""

    def __call__(self, judge: Judge, view: View, random: Random) -> dict[str, Tensor]:
        """The terms by name, each a scalar that half the penalty's strength multiplies."""


def where(terms: tuple[str, ...], view: View) -> list[tuple[Sample, Tensor]]:
    """The samples and their logits at which each of the terms takes the slope."""
    places = {"r1": (view.real, view.real_logits), "r2": (view.fake, view.fake_logits)}
    return [places[term] for term in terms]


@dataclass(frozen=True)
class ExactSlope:
    """R1 and R2: the mean squared norm of D's gradient at real (R1) and at generated samples (R2).

    Sources: Mescheder et al. 2018, eq. 9 and 10; both together, for relativistic pairs: Huang et al. 2024 (R3GAN).
    """

    terms: tuple[str, ...] = ("r1", "r2")
    needs_gradient: bool = True
    full_precision: bool = False

    def __call__(self, judge: Judge, view: View, random: Random) -> dict[str, Tensor]:
        """The terms `r1` and `r2`, as far as asked for."""
        chosen = where(self.terms, view)
        total = torch.stack([total_logit(logits).sum() for _, logits in chosen]).sum()
        inputs = [part for sample, _ in chosen for part in sample.differentiable]
        gradients = iter(torch.autograd.grad(total, inputs, create_graph=True))
        return {
            term: torch.stack([squared_norm(next(gradients)) for _ in sample.smooth]).sum(0).mean()
            for term, (sample, _) in zip(self.terms, chosen, strict=True)
        }


@dataclass(frozen=True)
class SlopeByDifference:
    """R1 and R2 by finite differences along random directions; see the head of this file.

    `step` is s, in units of the samples, whose range is [-1, 1]: at .01 float32 keeps four digits of the difference,
    and larger steps meet more kinks of D.
    """

    terms: tuple[str, ...] = ("r1", "r2")
    step: float = 0.01
    needs_gradient: bool = False
    full_precision: bool = True

    def __call__(self, judge: Judge, view: View, random: Random) -> dict[str, Tensor]:
        """The terms `r1` and `r2`, as far as asked for."""
        chosen = where(self.terms, view)
        moved = [self.moved(sample, random.at(term)) for term, (sample, _) in zip(self.terms, chosen, strict=True)]
        return {
            term: ((total_logit(there) - total_logit(here)) / self.step).square().mean()
            for term, there, (_, here) in zip(self.terms, judge(*moved), chosen, strict=True)
        }

    def moved(self, sample: Sample, random: Random) -> Sample:
        """The sample one step away, in a direction drawn for each of its members."""
        return sample.with_differentiable(
            [
                part + self.step * random.normal(f"direction {i}", *part.shape[1:])
                for i, part in enumerate(sample.differentiable)
            ]
        )


@dataclass(frozen=True)
class UnitSlope:
    """WGAN-GP: on straight lines between real and generated samples the slope is drawn to 1.

    2 (|grad D| - 1)^2, so that half a strength of 20 gives the paper's 10 (|grad D| - 1)^2.
    Source: Gulrajani et al. 2017, eq. 3.
    """

    needs_gradient: bool = False
    full_precision: bool = False

    def __call__(self, judge: Judge, view: View, random: Random) -> dict[str, Tensor]:
        """The term `wgan-gp`."""
        share = random.uniform("interpolation")
        between = view.real.with_differentiable(
            [
                torch.lerp(a, b, share.view(-1, *[1] * (a.ndim - 1)))
                for a, b in zip(view.real.differentiable, view.fake.differentiable, strict=True)
            ]
        ).requires_gradient()
        (logits,) = judge(between)
        gradients = torch.autograd.grad(total_logit(logits).sum(), between.differentiable, create_graph=True)
        # The root has no derivative at 0; a slope of 1e-6 is far below anything that matters.
        slope = torch.stack([squared_norm(gradient) for gradient in gradients]).sum(0).add(1e-12).sqrt()
        return {"wgan-gp": 2 * (slope - 1).square().mean()}


def penalty(name: str, method: str, step: float) -> Penalty | None:
    """The penalty called `name`: `r1+r2`, `r1`, `r2`, `wgan-gp` or `none`.

    method: `exact`, or `finite-difference` with the given step.
    """
    if name == "none":
        return None
    if name == "wgan-gp":
        return UnitSlope()
    terms = tuple(name.split("+"))
    return ExactSlope(terms) if method == "exact" else SlopeByDifference(terms, step)


def total_logit(logits: Tensor) -> Tensor:
    """One number a sample (N,): the mean of its judgements, whose slope is penalised."""
    return logits.float().unsqueeze(-1).flatten(1).mean(1)  # a reshape to (N, -1) refuses N = 0


def squared_norm(gradient: Tensor) -> Tensor:
    """Sum of squares over all but the first dimension, in float32: (N, ...) -> (N,)."""
    return gradient.float().square().flatten(1).sum(1)
