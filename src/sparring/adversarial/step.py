"""The game: one update of the discriminator, then one of the generator."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparring.adversarial.augment import Augmentation
from sparring.adversarial.objectives import Objective, signs
from sparring.adversarial.penalties import Judge, Penalty
from sparring.adversarial.player import Player
from sparring.randomness import Random
from sparring.tasks import Task
from sparring.tasks.sample import Sample, View

Losses = tuple[Tensor, dict[str, Tensor]]
"""What a player descends, and the named scalars in it that people follow."""


@dataclass(frozen=True)
class Game:
    """The rules. `low_precision` makes the context in which the players run, bf16 autocast or none.

    `penalty_strength` (gamma of the papers) and `augment_p` are those of this step.
    """

    task: Task
    objective: Objective
    penalty: Penalty | None
    augmentation: Augmentation
    low_precision: Callable[[], AbstractContextManager[Any]] = nullcontext
    penalty_strength: float = 1.0
    augment_p: float = 0.0


def step(game: Game, generator: Player, discriminator: Player, batch: Any, random: Random) -> dict[str, Tensor]:
    """One discriminator update, then one generator update (Goodfellow et al. 2014, algorithm 1).

    Returns the named losses, penalties and `sign`, how right D is from -1 to 1; scalars on the device, detached.
    """

    def discriminator_loss(batch: Any, random: Random) -> Losses:
        real = game.task.real(batch, random)
        with torch.no_grad():
            fake = generate(game, generator.module, batch, random)
        penalty = game.penalty
        if penalty and penalty.needs_gradient:
            real, fake = real.requires_gradient(), fake.requires_gradient()
        judge = judge_of(
            game, discriminator.module, real, random, full_precision=bool(penalty and penalty.full_precision)
        )
        view = View(real, fake, *judge(real, fake))
        terms = {"discriminator_loss": game.objective.discriminator(view.real_logits, view.fake_logits)}
        slopes = penalty(judge, view, random) if penalty else {}
        loss = terms["discriminator_loss"] + game.penalty_strength / 2 * sum(slopes.values())
        sign = signs(game.objective, view.real_logits, view.fake_logits).mean()
        return with_task_losses(game, "discriminator", view, loss, terms | slopes | {"sign": sign})

    def generator_loss(batch: Any, random: Random) -> Losses:
        real = game.task.real(batch, random)
        fake = generate(game, generator.module, batch, random)
        judge = judge_of(game, discriminator.module, real, random)
        (fake_logits,) = judge(fake)
        real_logits = torch.zeros_like(fake_logits)
        if game.objective.midpoint is None:
            with torch.no_grad():
                (real_logits,) = judge(real)
        view = View(real, fake, real_logits, fake_logits)
        loss = game.objective.generator(real_logits, fake_logits)
        return with_task_losses(game, "generator", view, loss, {"generator_loss": loss})

    judged = discriminator.descend(discriminator_loss, batch, random.at("discriminator"))
    with discriminator.frozen():
        made = generator.descend(generator_loss, batch, random.at("generator"))
    return judged | made


def generate(game: Game, generator: nn.Module, batch: Any, random: Random) -> Sample:
    """The task's generated sample in float32, whatever the generator computed in."""
    with game.low_precision():
        fake = game.task.fake(generator, batch, random)
    return fake.with_differentiable([part.float() for part in fake.differentiable])


def judge_of(game: Game, discriminator: nn.Module, real: Sample, random: Random, full_precision: bool = False) -> Judge:
    """D as a function of samples: all go through it in one pass, each pair under the same augmentation."""
    shape = real.differentiable[0].shape[1:]
    augment = game.augmentation.draw(random.at("augment"), shape, game.augment_p)

    def judge(*samples: Sample) -> tuple[Tensor, ...]:
        views = [game.task.augmented(sample, augment) for sample in samples]
        parts = [torch.cat(column) for column in zip(*(view.parts for view in views), strict=True)]
        conditions = [view.condition for view in views if view.condition is not None]
        with nullcontext() if full_precision else game.low_precision():
            logits: Tensor = discriminator(*parts, y=torch.cat(conditions) if conditions else None)
        return torch.split(logits.float(), len(real))

    return judge


def with_task_losses(game: Game, player: str, view: View, loss: Tensor, terms: dict[str, Tensor]) -> Losses:
    """Adds what the task wants of this player besides the game."""
    for name, (weight, value) in game.task.losses(player, view).items():
        loss = loss + weight * value
        terms[name] = value
    return loss, terms
