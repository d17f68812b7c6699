"""What can be changed when a run goes wrong: one thing at a time, that theory supports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparring.config import TASKS_OF, Settings
from sparring.wording import compact

STRONGEST = 3
"""Doublings after which a remedy does not get stronger."""


@dataclass(frozen=True)
class Change:
    """Settings by name with their new values, and in words what was done.

    discriminator_alone: whether the discriminator alone is taken back, and everything else goes on.
    """

    words: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    discriminator_alone: bool = False


Remedy = Callable[[Settings, int], Change | None]
"""A change that theory supports, from the settings as they are and how often the run was taken back before, since what
did not help must be stronger; None where it does not apply."""


def calmer(settings: Settings, before: int) -> Change:
    """A lower learning rate of both players: what diverges at one step size converges at a smaller one (Mescheder et
    al. 2018)."""
    factor: int = 2 ** min(before + 1, STRONGEST)
    rates = ("learning_rate", "learning_rate_final", "judge_learning_rate", "supervised_learning_rate")
    lower = {name: rate / factor for name in rates if (rate := getattr(settings, name)) is not None}
    lessons = lower.get("supervised_learning_rate")
    words = f"lowered the learning rate to {compact(lower['learning_rate'])}"
    return Change(words if lessons is None else f"{words}, and that of lessons to {compact(lessons)}", lower)


def smoother(settings: Settings, before: int) -> Change | None:
    """R1 and R2, or more of them: that D's slope is held is what makes the game converge (Mescheder et al. 2018).

    WGAN-GP holds the slope at one, whatever its strength, and heads of bounded slope need no penalty.
    """
    if settings.spectral_norm or settings.penalty == "wgan-gp":
        return None
    strength, final = settings.penalty_strength, settings.penalty_strength_final
    if settings.penalty == "r1+r2" and strength > 0:
        factor: int = 4 * 2 ** min(before, STRONGEST - 1)
        more = {"penalty_strength": factor * strength, "penalty_strength_final": factor * final}
        return Change(f"raised the strength of R1 and R2 to {compact(factor * strength)}", more)
    both = {"penalty": "r1+r2", "penalty_strength": strength or 1.0, "penalty_strength_final": final or 0.1}
    return Change(f"put R1 and R2 on the discriminator, at a strength of {compact(strength or 1.0)}", both)


def weaker(settings: Settings, before: int) -> Change | None:
    """D alone as it was before it won: the nearer it is to the best, the less G has to learn from (Arjovsky & Bottou
    2017, theorem 2.4).

    Where lessons come before the game, what is gone back to may be of then, with a D that never played.
    """
    return None if settings.supervised else Change("took the discriminator alone back", discriminator_alone=True)


def augmented(settings: Settings, before: int) -> Change | None:
    """Adaptive augmentation, or one that comes on four times as fast (Karras et al. 2020); of pictures alone."""
    if settings.augment == "diffaugment" or settings.task not in TASKS_OF["pictures"]:
        return None
    if settings.augment == "none":
        return Change("put adaptive augmentation on", {"augment": "ada"})
    faster = {"augment_images": max(1, settings.augment_images // 4)}
    return Change("let augmentation come on four times as fast", faster)
