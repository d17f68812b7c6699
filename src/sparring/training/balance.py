"""How the players stand, in words: what a run's log says by losses, accuracy, slopes and gradients."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import torch

from sparring.adversarial.objectives import Objective, undecided
from sparring.wording import compact, share

Lines = Sequence[Mapping[str, Any]]
"""Of metrics.jsonl."""

FEWEST = 10
"""Lines of which earlier ones are compared with the last."""

NEAR = 0.1
"""Part of the loss of a D without an opinion by which people take no notice of a difference."""

EVEN, CLEAR, NEVER_WRONG = 0.6, 0.95, 0.99
"""Accuracies of D below which the players are even, above which it is far ahead, as the report has it, and above which
there is nothing that it does not know."""

GROWN = 10
"""Times that gradients, and what slopes cost, may grow from the first third of a run to its last tenth. In the twenty
healthy runs of `benchmarks/healthy.py` gradients grew up to 4 times."""


def reading(objective: Objective, lines: Lines, *, compared: bool = True) -> str:
    """A sentence without its end; "" if the lines hold nothing of a game.

    compared: whether G's loss is that of the objective, and can be compared with what it would be without a game.
    """
    played = [line for line in lines if line.get("accuracy") is not None]
    recent = played[-max(1, len(played) // 10) :]
    earlier = played[len(played) // 10 : len(played) // 3] if len(played) >= FEWEST else []
    if middle(recent, "discriminator_loss") is None:
        return ""
    said = standing(objective, earlier, recent, compared=compared)
    if growing := " and ".join(grows(earlier, recent)):
        return f"{said}; but {growing}"
    return f"{said}; {slopes(recent)}gradients have not grown much since early on" if earlier else said


def standing(objective: Objective, earlier: Lines, recent: Lines, *, compared: bool) -> str:
    """The losses beside those of a D without an opinion, its accuracy, and what both mean."""
    equal, equal_made = (float(loss) + 0.0 for loss in undecided(objective, torch.zeros(1)))
    loss, made = middle(recent, "discriminator_loss") or 0.0, middle(recent, "generator_loss")
    if equal == 0:
        return distance(loss)
    right = sum(line["accuracy"] for line in recent) / len(recent)
    losses, would = f"The discriminator's loss is {compact(loss)}", f"it would be {compact(equal)}"
    if compared and made is not None:
        losses += f" and the generator's {compact(made)}"
        both = equal == equal_made
        would = (
            f"both would be {compact(equal)}" if both else f"they would be {compact(equal)} and {compact(equal_made)}"
        )
    fell = (middle(earlier, "discriminator_loss") or loss) - loss
    rose = 0.0 if made is None or not compared else made - (middle(earlier, "generator_loss") or made)
    drawn = min(fell, rose) > NEAR * equal
    return f"{losses}, where {would} if it had no opinion, and it is right {share(right)} of the time: " + means(
        loss / equal, right, drawn=drawn
    )


def means(loss: float, right: float, *, drawn: bool) -> str:
    """What a loss of D means, relative to that without an opinion, for a D that is right so often.

    drawn: whether its loss fell and G's rose. A strong penalty keeps logits close together, and so the loss near that
    of no opinion, however many pairs are in order.
    """
    if loss > 1 + NEAR:
        return "for now it errs more gravely than it is right"
    if right < EVEN:
        return "the players are even, as they also are while neither has learned much"
    if loss > 1 - NEAR:
        return "by small margins, as a strong penalty has it" if right > CLEAR else "it is ahead by little"
    if right > NEVER_WRONG:
        return "it hardly errs"
    since = " and has drawn further ahead (its loss fell, the generator's rose)" if drawn else ""
    if right > CLEAR:
        return f"it is far ahead{since}"
    return f"it is ahead{since}, which alone is no fault"


def distance(loss: float) -> str:
    """D(fake) - D(real) in words. Such a D may add anything to all its logits, so that no accuracy can be read off."""
    if loss > 0:
        return (
            f"The discriminator's loss is {compact(loss)}, above 0: for now it ranks generated samples above real ones"
        )
    return (
        f"The discriminator's loss is {compact(loss)}: it ranks real samples above generated ones by that much, which "
        "shrinks as these come closer, or as it is held more firmly"
    )


def grows(earlier: Lines, recent: Lines) -> Iterator[str]:
    """What has grown as it does not in good runs: gradients, and what the slopes cost.

    A penalty that falls tenfold lets squared slopes grow tenfold, at the same cost.
    """
    for player in ("discriminator", "generator"):
        if (times := growth(earlier, recent, f"{player}_gradient")) > GROWN:
            yield f"the {player}'s gradient has grown {compact(times)} times"
    for term in ("r1", "r2"):
        if (times := growth(earlier, recent, term) * growth(earlier, recent, "penalty_strength")) > GROWN:
            yield f"{term.upper()}, weighed by its strength, has grown {compact(times)} times"


def slopes(recent: Lines) -> str:
    """R1 and R2, as far as they are measured."""
    known = {term.upper(): value for term in ("r1", "r2") if (value := middle(recent, term)) is not None}
    listed = ", ".join(f"{term} {compact(value)}" for term, value in known.items())
    return f"what slopes cost ({listed}) and " if known else ""


def middle(lines: Lines, name: str) -> float | None:
    """The median of what the lines hold under a name; None if none does."""
    values = [line[name] for line in lines if line.get(name) is not None]
    return median(values) if values else None


def growth(earlier: Lines, recent: Lines, name: str) -> float:
    """How many times larger it has become; 0 where that is not known."""
    before, now = middle(earlier, name), middle(recent, name)
    return now / before if before and now else 0.0
