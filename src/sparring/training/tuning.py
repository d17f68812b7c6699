"""A short search before the run: several values of one setting play for a while, and the best goes on.

It is a race (Maron & Moore 1994, Hoeffding races): all candidates play for a small share of the time, and those that
are worse than the best beyond doubt, whose intervals do not meet, are out. Those left play on, unless it is one alone.
What learns fastest at first need not end best: a weak penalty was seen to do the one and not the other, so that none
weaker than the chosen one is tried, and the chosen one goes on where none is better beyond doubt.

The setting is the strength of the penalty where there is one, for that is what differs most from set to set (from .05
to 150 in the tables of R3GAN, arXiv 2501.05441), else the learning rate.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from sparring import config
from sparring.choices import Choice, shown
from sparring.chooser import FALL
from sparring.config import Settings
from sparring.errors import MetricError, SettingError
from sparring.evaluation.catalogue import METRICS
from sparring.evaluation.judgement import shown as quality_shown
from sparring.evaluation.judgement import space_of
from sparring.metrics.estimate import Estimate
from sparring.training.match import Match
from sparring.wording import duration, things

FACTORS = {"penalty_strength": (1.0, 3.0, 10.0), "learning_rate": (1.0, 0.5, 2.0)}
"""What the chosen value is multiplied by."""

LOOKS = (0.03, 0.06)
"""Shares of the budget that each candidate has played for when they are compared."""

TRYING = 3 * LOOKS[-1]
"""Share of the budget that this takes at most, what is kept of it included."""

Judge = Callable[[Match], Estimate]
"""The deciding metric of the averaged generator."""

Tell = Callable[[str], None]


@dataclass
class Candidate:
    """A value of the setting, the match that is played with it, and how good it was when last judged."""

    value: float
    match: Match
    quality: Estimate | None = None


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
    space = space_of(metric, settings.quality_features)
    metric_shown = f"{metric} in {space}" if space else metric
    for until in LOOKS:
        for candidate in candidates:
            play(candidate.match, until * 60 * settings.minutes)
            candidate.quality = judged(candidate.match, judge)
            quality = "no numbers" if candidate.quality is None else quality_shown(metric, candidate.quality.value)
            took = duration(candidate.match.state.seconds)
            tell(f"{name} {shown(candidate.value)}: {metric_shown} {quality} after {took}")
        candidates = unbeaten(candidates, metric)
        if len(candidates) < 2:
            break
    if not candidates:
        raise SettingError(
            f"none of the values of {name} that were tried gave anything that could be judged: there may be too few "
            f"{things(settings.task)[0]}, or the learning rate is too high"
        )
    best = next((candidate for candidate in candidates if candidate.match is first), candidates[0])
    assert best.quality is not None
    gone = time.perf_counter() - begun - best.match.state.seconds
    left = max(settings.minutes - gone / 60, best.match.state.seconds / 60)
    best.match.settings = config.complete(best.match.settings.model_dump() | {"minutes": left})
    said = f"{metric_shown} {quality_shown(metric, best.quality.value)} after {duration(best.match.state.seconds)}"
    reason = f"of {tried} that were tried the best: {said}"
    if best.match is first:
        reason = f"as chosen: of {tried} that were tried none is better beyond doubt; it came to {said}"
    return best.match, Choice(name, shown(best.value), reason)


def play(match: Match, seconds: float) -> None:
    """Plays until so many seconds have been played in all."""
    begun = time.perf_counter() - match.state.seconds
    while match.state.seconds < seconds:
        float(match.play()["generator_loss"])  # waits for the device
        match.state.seconds = time.perf_counter() - begun


def judged(match: Match, judge: Judge) -> Estimate | None:
    """How good a match is; None where its weights are no longer numbers."""
    if not match.is_sound():
        return None
    try:
        return judge(match)
    except MetricError:
        return None


def unbeaten(candidates: Sequence[Candidate], metric: str) -> list[Candidate]:
    """Those that no other is better than beyond doubt, the best first; none of those that could not be judged."""
    sign = 1 if METRICS[metric].better == "lower" else -1
    ends = [
        (sign * candidate.quality.value, sorted(sign * end for end in candidate.quality.ends), candidate)
        for candidate in candidates
        if candidate.quality is not None
    ]
    least_high = min((high for _, (_, high), _ in ends), default=0.0)
    left = [(value, candidate) for value, (low, _), candidate in ends if low <= least_high]
    return [candidate for _, candidate in sorted(left, key=itemgetter(0))]
