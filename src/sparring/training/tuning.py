"""A short search before the run: several values of one setting play for a while, and the best goes on.

Successive halving (Jamieson & Talwalkar 2016): all candidates play for a small share of the time, the better ones for
more of it, and what they have learned is kept. Which setting it is: the strength of the penalty where there is one, for
that is what differs most from set to set (from .05 to 150 in the tables of R3GAN, arXiv 2501.05441), else the learning
rate.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparring import config
from sparring.chooser import FALL, Choice, shown
from sparring.config import Settings
from sparring.errors import MetricError, SettingError
from sparring.evaluation.catalogue import improves
from sparring.evaluation.judgement import shown as quality_shown
from sparring.training.match import Match
from sparring.wording import duration

FACTORS = {"penalty_strength": (1.0, 0.1, 0.3, 3.0, 10.0), "learning_rate": (1.0, 0.5, 2.0)}
"""What the chosen value is multiplied by."""

ROUNDS = ((1.0, 0.05), (0.4, 0.125))
"""Share of the candidates that play on, and share of the budget that each of them has played for then."""

TRYING = 0.4
"""About the share of the budget that this takes, what is kept of it included."""

Judge = Callable[[Match], float]
"""The deciding metric of the averaged generator."""

Tell = Callable[[str], None]


@dataclass
class Candidate:
    """A value of the setting, the match that is played with it, and how good it was when last judged."""

    value: float
    match: Match
    quality: float | None = None


def tuned_setting(settings: Settings, given: Sequence[str]) -> str:
    """The setting that is searched for.

    Raises: SettingError if the person has settled it already.
    """
    penalised = settings.penalty in ("r1", "r2", "r1+r2") and settings.penalty_strength > 0
    for name in ("penalty_strength", "learning_rate"):
        if name not in given and (penalised or name != "penalty_strength"):
            return name
    raise SettingError(
        "penalty_strength and learning_rate are given, so there is nothing to tune: use `sparring train`"
    )


def variant(settings: Settings, name: str, factor: float) -> Settings:
    """The settings with one of them multiplied, and what it falls to as well."""
    value = factor * getattr(settings, name)
    changes = {name: value, f"{name}_final": FALL * value}
    return config.complete(settings.model_dump() | changes)


def search(
    first: Match, name: str, again: Callable[[Settings], Match], judge: Judge, tell: Tell
) -> tuple[Match, Choice]:
    """Plays the candidates, `first` being one of them and `again` making the others, and gives the best.

    Its budget is what is left of the minutes of `first`; its state is what it has learned.
    Raises: SettingError if none of them came out with numbers.
    """
    settings, begun = first.settings, time.perf_counter()
    assert settings.minutes is not None, "a search is for runs by the clock"
    candidates = [Candidate(getattr(settings, name), first)]
    for factor in FACTORS[name][1:]:
        other = variant(settings, name, factor)
        candidates.append(Candidate(getattr(other, name), again(other)))
    metric, tried = settings.quality_metric, len(candidates)
    for share, until in ROUNDS:
        candidates = candidates[: max(1, round(share * tried))]
        for candidate in candidates:
            play(candidate.match, until * 60 * settings.minutes)
            candidate.quality = judged(candidate.match, judge)
            quality = "no numbers" if candidate.quality is None else quality_shown(metric, candidate.quality)
            tell(f"{name} {shown(candidate.value)}: {metric} {quality} after {duration(candidate.match.state.seconds)}")
        candidates = sorted_by_quality(candidates, metric)
    best = candidates[0]
    if best.quality is None:
        raise SettingError(
            f"none of the values of {name} that were tried gave anything that could be judged: there may be too few "
            "pictures, or the learning rate is too high"
        )
    gone = time.perf_counter() - begun - best.match.state.seconds
    left = max(settings.minutes - gone / 60, best.match.state.seconds / 60)
    best.match.settings = config.complete(best.match.settings.model_dump() | {"minutes": left})
    reason = (
        f"the best of {tried} that were tried: {metric} {quality_shown(metric, best.quality)} after as many seconds"
    )
    return best.match, Choice(name, shown(best.value), reason)


def play(match: Match, seconds: float) -> None:
    """Plays until so many seconds have been played in all."""
    begun = time.perf_counter() - match.state.seconds
    while match.state.seconds < seconds:
        float(match.play()["generator_loss"])  # waits for the device
        match.state.seconds = time.perf_counter() - begun


def judged(match: Match, judge: Judge) -> float | None:
    """How good a match is; None where its weights are no longer numbers."""
    if not match.is_sound():
        return None
    try:
        return judge(match)
    except MetricError:
        return None


def sorted_by_quality(candidates: Sequence[Candidate], metric: str) -> list[Candidate]:
    """The best first; of equals the one that came first."""
    ranked: list[Candidate] = []
    for candidate in candidates:
        behind = [other for other in ranked if better(metric, candidate, other)]
        ranked.insert(ranked.index(behind[0]) if behind else len(ranked), candidate)
    return ranked


def better(metric: str, one: Candidate, other: Candidate) -> bool:
    """Whether one is better than the other."""
    return one.quality is not None and (other.quality is None or improves(metric, one.quality, other.quality))
