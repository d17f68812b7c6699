"""The game: one update of the discriminator, then one of the generator."""

from typing import Any

import torch
from torch import Tensor

from sparring.adversarial.game import Bouts, Game, partners
from sparring.adversarial.objectives import signs
from sparring.adversarial.player import Player
from sparring.randomness import Random
from sparring.tasks.sample import Sample, View

Losses = tuple[Tensor, dict[str, Tensor]]
"""What a player descends, and the named scalars in it that people follow."""


def step(game: Game, generator: Player, discriminator: Player, batch: Any, random: Random) -> dict[str, Tensor]:
    """One discriminator update, then one generator update (Goodfellow et al. 2014, algorithm 1), on the same pairs.

    With `partner_stride`, which must divide the penalty's, losses get unequal numbers of real and generated judgements.

    Returns the named losses, penalties, norms of the gradients and `sign`, how right D is from -1 to 1; scalars on the
    device, detached.
    """
    bouts = Bouts(game, generator.module, discriminator.module, len(batch))

    def discriminator_loss(batch: Any, random: Random) -> Losses:
        bout, penalty = bouts(batch, random, for_generator=False), game.penalty
        real, fake = bout.real, bout.fake.detached()
        if penalty and (penalty.needs_gradient or penalty.full_precision):
            if penalty.full_precision:
                bout = bout.in_full_precision()
            if penalty.needs_gradient:
                real, fake = real.requires_gradient(), fake.requires_gradient()
            seen = bout.see(real), bout.see(fake)
        else:
            seen = bout.real_seen, bout.fake_seen.detached()
        first = -random.start % game.penalty_stride
        met = partners(len(real), game.partner_stride, first)
        if penalty and game.penalty_stride > 1:
            logits, chosen = bout.judge_apart(seen, first)
        else:
            logits = chosen = bout.judge_seen(seen[0], every(seen[1], met))
        view = View(real, fake, *logits)
        terms = {"discriminator_loss": game.objective.discriminator(view.real_logits, view.fake_logits)}
        slopes = penalty(bout.judge, View(real, fake, *chosen), random) if penalty else {}
        slopes = {name: game.penalty_stride * slope for name, slope in slopes.items()}
        loss = terms["discriminator_loss"] + game.penalty_strength / 2 * sum(slopes.values())
        sign = signs(game.objective, view.real_logits[met.start : met.stop : met.step], view.fake_logits).mean()
        return with_task_losses(game, "discriminator", view, loss, terms | slopes | {"sign": sign})

    def generator_loss(batch: Any, random: Random) -> Losses:
        bout = bouts(batch, random, for_generator=True)
        (fake_logits,) = bout.judge_seen(bout.fake_seen)
        real_logits = torch.zeros_like(fake_logits)
        if game.objective.midpoint is None:
            with torch.no_grad():
                (real_logits,) = bout.judge_seen(
                    every(bout.real_seen, partners(len(bout.real_seen), game.partner_stride))
                )
        view = View(bout.real, bout.fake, real_logits, fake_logits, layers=bout.layers)
        loss = game.task.generator_loss(game.objective, view)
        return with_task_losses(game, "generator", view, loss, {"generator_loss": loss})

    judged = discriminator.descend(discriminator_loss, batch, random)
    with discriminator.frozen():
        made = generator.descend(generator_loss, batch, random)
    norms = {"discriminator_gradient": discriminator.gradient_norm(), "generator_gradient": generator.gradient_norm()}
    return judged | made | norms


def supervised_step(game: Game, generator: Player, batch: Any, random: Random) -> dict[str, Tensor]:
    """One generator update on what the task wants besides the game, as before it begins or in its place.

    Returns as `step`: the losses by name, their sum `generator_loss`, and the norm of the gradient.
    """

    def loss(batch: Any, random: Random) -> Losses:
        with game.low_precision():
            view = game.task.lesson(generator.module, batch, random)
        nothing = torch.zeros((), device=view.real.parts[0].device)
        total, terms = with_task_losses(game, "generator", view, nothing, {})
        return total, {"generator_loss": total, **terms}

    made = generator.descend(loss, batch, random)
    return made | {"generator_gradient": generator.gradient_norm()}


def every(sample: Sample, rows: range) -> Sample:
    """These rows of a sample, which is itself if they are all."""
    return sample if len(rows) == len(sample) else sample.rows(torch.tensor(rows, device=sample.parts[0].device))


def with_task_losses(game: Game, player: str, view: View, loss: Tensor, terms: dict[str, Tensor]) -> Losses:
    """Adds what the task wants of this player besides the game."""
    for name, (weight, value) in game.task.losses(player, view).items():
        loss = loss + weight * value
        terms[name] = value
    return loss, terms
