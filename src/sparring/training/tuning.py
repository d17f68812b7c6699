"""A short search before the run: several values of one setting play for a while, and the best goes on.

It is a race (Maron & Moore 1994, Hoeffding races) against the chosen value. All play for a small share of the time; who
is then better than the chosen one beyond doubt, intervals apart, plays on beside it, and has to be so again. That is
the doubt of the samples alone: where the runs would end, nobody knows by then, and another seed makes more of a
difference. So a search is there to see what fails, and is over soon where nothing does. What learns fastest at first
need not end best: a weak penalty was seen to do the one and not the other. Only what is apt to learn more slowly at
first is tried, stronger penalties and lower rates, whose lead then means something.

The setting is the strength of the penalty where there is one, for that is what differs most from set to set (from .05
to 150 in the tables of R3GAN, arXiv 2501.05441), else the learning rate.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from sparring import config
from sparring.choices import Choice, shown
from sparring.config import Settings
from sparring.errors import MetricError, SettingError
from sparring.evaluation.catalogue import METRICS
from sparring.evaluation.judgement import shown as quality_shown
from sparring.evaluation.judgement import space_of
from sparring.metrics.estimate import Estimate
from sparring.training.match import Match
from sparring.wording import duration, share, things

FACTORS = {"penalty_strength": (1.0, 3.0, 10.0), "learning_rate": (1.0, 0.5, 0.25)}
"""What the chosen value is multiplied by."""

LOOKS = (0.02, 0.05)
"""Shares of the budget that each candidate has played for when they are compared."""

Judge = Callable[[Match], Estimate]
"""The metric of `compared_by` of the averaged generator."""

Tell = Callable[[str], None]


@dataclass
class Candidate:
    """A value of the setting, the match that is played with it, and how good it was when last judged."""

    value: float
    match: Match
    quality: Estimate | None = None


def tuned_setting(settings: Settings, given: Sequence[str]) -> str:
    """The setting that is searched for.

    Raises: SettingError if the person has settled it already, or if none makes a difference as early as that.
    """
    lessons = settings.supervised if settings.adversarial else 1.0
    playing = lessons < LOOKS[0]
    acts = {
        "penalty_strength": playing and settings.penalty in ("r1", "r2", "r1+r2") and settings.penalty_strength > 0,
        "learning_rate": playing or settings.supervised_learning_rate is None,
    }
    if not any(acts.values()):
        raise SettingError(
            f"there is nothing to tune: for {share(lessons)} of the time the generator learns without the game, and at "
            "a rate of its own; use `sparring train`"
        )
    for name, does in acts.items():
        if does and name not in given:
            return name
    settled = " and ".join(name for name, does in acts.items() if does)
    raise SettingError(f"{settled} {'are' if ' ' in settled else 'is'} given: nothing to tune, use `sparring train`")


def compared_by(settings: Settings) -> str:
    """The metric of the search: the one that decides in the run, unless that is 0 as long as a share is."""
    return "fid" if settings.quality_metric == "prc" else settings.quality_metric


def longest(name: str, seconds: float, judging: float) -> float:
    """Seconds that a search takes at most, of a run of so many; what is kept of it included.

    judging: seconds of an evaluation.
    """
    return len(FACTORS[name]) * (LOOKS[-1] * seconds + len(LOOKS) * judging)


def variant(settings: Settings, name: str, factor: float) -> Settings:
    """The settings with one of them, and what it falls to, multiplied."""
    names = (name, f"{name}_final")
    return config.complete(settings.model_dump() | {one: factor * getattr(settings, one) for one in names})


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
    metric, tried = compared_by(settings), ", ".join(shown(candidate.value) for candidate in candidates)
    space = space_of(metric, settings.quality_features)
    metric_shown = f"{metric} in {space}" if space else metric
    ahead: list[Candidate] = []
    for until in LOOKS:
        for candidate in candidates:
            play(candidate.match, until * 60 * settings.minutes)
            candidate.quality = judged(candidate.match, judge)
            took = duration(candidate.match.state.seconds)
            tell(
                f"{name} {shown(candidate.value)}: {metric_shown} {with_doubt(metric, candidate.quality)} after {took}"
            )
        chosen, *others = candidates
        ahead = those_ahead(others, chosen.quality, metric)
        if not ahead:
            break
        candidates = [chosen, *ahead]
    best = ahead[0] if ahead else candidates[0]
    if best.quality is None:
        raise SettingError(
            f"none of the values of {name} that were tried gave anything that could be judged: there may be too few "
            f"{things(settings.task)[0]}, or the learning rate is too high"
        )
    gone = time.perf_counter() - begun - best.match.state.seconds
    left = max(settings.minutes - gone / 60, best.match.state.seconds / 60)
    best.match.settings = config.complete(best.match.settings.model_dump() | {"minutes": left})
    said = f"{metric_shown} {quality_shown(metric, best.quality.value)} after {duration(best.match.state.seconds)}"
    reason = f"the best of {tried}, which were tried: {said}"
    if best.match is first:
        reason = f"as chosen: of {tried}, which were tried, none is better beyond doubt; it came to {said}"
    return best.match, Choice(name, shown(best.value), reason)


def with_doubt(metric: str, quality: Estimate | None) -> str:
    """A number with its interval, as people read it."""
    if quality is None:
        return "no numbers"
    low, high = (quality_shown(metric, end) for end in quality.ends)
    return f"{quality_shown(metric, quality.value)} ({low} to {high})"


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


def those_ahead(others: Sequence[Candidate], chosen: Estimate | None, metric: str) -> list[Candidate]:
    """Those that are better beyond doubt than the chosen one is, or that can be judged where it cannot; best first.

    Where an interval is not known nothing is beyond doubt.
    """
    sign = 1 if METRICS[metric].better == "lower" else -1
    known = [
        (sign * other.quality.value, other) for other in others if other.quality and surely(other.quality, chosen, sign)
    ]
    return [other for _, other in sorted(known, key=itemgetter(0))]


def surely(quality: Estimate, chosen: Estimate | None, sign: int) -> bool:
    """Whether one is better beyond doubt than the other; sign: 1 where lower is better, else -1."""
    if chosen is None:
        return True
    if quality.low is None or chosen.low is None:
        return False
    return max(sign * end for end in quality.ends) < min(sign * end for end in chosen.ends)
