"""What is looked at now and then to see how the game stands; nothing learns from it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparring.adversarial.game import Bout, Bouts, Game
from sparring.adversarial.objectives import undecided
from sparring.adversarial.penalties import ExactSlope, squared_norm, total_logit
from sparring.adversarial.player import Player, unmoved
from sparring.randomness import Random
from sparring.tasks.sample import Sample, View

BOTH_SLOPES = ExactSlope(("r1", "r2"))


def probe(
    game: Game, generator: Player, discriminator: Player, batch: Any, held_out: Any | None, random: Random
) -> dict[str, Tensor]:
    """How the players stand on a batch; scalars on the device, detached, means over parts that fit the memory.

    gap: mean of D(real) - D(fake). slope_real, slope_fake: mean squared norm of D's gradient at real and at generated
    samples, before augmentation (R1 and R2). spread_real, spread_fake: mean distance between two of them, in all parts
    of the sample together; 0 for a single one. push: mean squared norm of the gradient of G's loss at the generated
    samples, which is all that G learns from. undecided: D's loss if all its logits were the same. held_out_gap: mean of
    D(held out) - D(fake), where `held_out` are as many real samples that D is never shown in training.
    """

    def looked(size: int) -> dict[str, Tensor]:
        means: dict[str, Tensor] = {}
        bouts = []
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            unseen = None if held_out is None else held_out[start : start + size]
            numbers = random.part(start, len(part))
            bout = Bouts(game, generator.module, discriminator.module, len(part)).make(part, numbers)
            for name, value in look(bout, unseen, numbers).items():
                means[name] = means.get(name, 0) + value.detach() * len(part) / len(batch)
            bouts.append(bout)
        return means | {
            "spread_real": spread_of([bout.real for bout in bouts]),
            "spread_fake": spread_of([bout.fake for bout in bouts]),
        }

    with discriminator.frozen(), generator.frozen(), unmoved(generator.module, discriminator.module):
        return discriminator.micro_batch.fitting(len(batch), looked)


def look(bout: Bout, held_out: Any | None, random: Random) -> dict[str, Tensor]:
    """What `probe` gives, of one bout."""
    real, fake = bout.real.requires_gradient(), bout.fake.requires_gradient()
    view = View(real, fake, *bout.judge(real, fake))
    objective = bout.game.objective
    loss = objective.generator(view.real_logits, view.fake_logits) * len(fake)
    pushes = torch.autograd.grad(loss, fake.differentiable, retain_graph=True)
    slopes = BOTH_SLOPES(bout.judge, view, random)
    of_real, of_fake = total_logit(view.real_logits).mean(), total_logit(view.fake_logits).mean()
    found = {
        "gap": of_real - of_fake,
        "slope_real": slopes["r1"],
        "slope_fake": slopes["r2"],
        "push": torch.stack([squared_norm(push) for push in pushes]).sum(0).mean(),
        "undecided": undecided(objective, view.real_logits)[0],
    }
    if held_out is not None:
        with torch.no_grad():
            (logits,) = bout.judge(bout.game.task.real(held_out, random))
        found["held_out_gap"] = total_logit(logits).mean() - of_fake
    return found


def spread_of(samples: Sequence[Sample]) -> Tensor:
    """Mean Euclidean distance between two members of all the samples together; 0 for a single one."""
    parts = [torch.cat([sample.differentiable[i] for sample in samples]) for i in range(len(samples[0].smooth))]
    rows = torch.cat([part.detach().float().flatten(1) for part in parts], dim=1)
    return torch.pdist(rows).mean() if len(rows) > 1 else rows.new_zeros(())
