"""Watches a run, says in plain words when it goes wrong, and what to change; it sees numbers alone.

At fixed counts of images the trainer hands over vitals: means since the last time, and how the game stands now. Every
signal makes one number of them, which alarms above a threshold, some after several watches in a row. docs/guard.md
has the runs that the thresholds come from.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from torch import Tensor

from sparring.config import Settings
from sparring.metrics.estimate import Estimate
from sparring.training.remedies import Change, Remedy, augmented, calmer, smoother, weaker
from sparring.wording import compact

Vitals = Mapping[str, float]
"""What is known at one watch, by name: of `adversarial/step.py` the means since the last watch, of
`adversarial/probe.py` how the game stands, and after an evaluation `decline`, `lost_variety` and `repeating`."""

LITTLE_REPETITION = 0.02
"""Share of a text that came in it before below which nobody minds."""

TRIES = 5
"""Times that a run is taken back before it is given up."""

OBVIOUS = 100
"""Times the threshold above which nobody waits for it to come again."""

TREATED = 3
"""Times that a setting is changed for a signal that does not take the run back."""

REMEMBERED = 20
"""Watches that what is usual is taken from."""

USUAL_FROM = 5
"""Watches after which something is usual."""

ALL_BUT_FEW = 0.96
"""Mean sign of a D that is right about 98 of 100 pairs."""

TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Something that goes wrong, and the number that shows it.

    measure: the number from the vitals so far, the newest last; None where they do not tell. It alarms above
    `threshold`, after as many watches as `in_a_row`.
    healthy: the largest number of the twenty healthy runs of `benchmarks/healthy.py` and of a longer one, of 200,000
    digits, at as many watches in a row, rounded up; None where none of them has it.
    reason: why the threshold is where it is. says: what happened, in words that people know, with the number filled in.
    goes_back: whether the run is taken back; otherwise it goes on with a changed setting. of_quality: whether it goes
    back to when the quality was at its best.
    """

    name: str
    measure: Callable[[Sequence[Vitals]], float | None]
    threshold: float
    in_a_row: int
    healthy: float | None
    reason: str
    says: str
    remedies: tuple[Remedy, ...]
    goes_back: bool = True
    of_quality: bool = False


def broken(past: Sequence[Vitals]) -> float:
    """How many of the vitals are not numbers."""
    return float(sum(not math.isfinite(value) for value in past[-1].values()))


def explosion(past: Sequence[Vitals]) -> float | None:
    """The larger of the players' gradients, as a multiple of what is usual."""
    names = ("discriminator_gradient", "generator_gradient")
    if len(past) <= USUAL_FROM:
        return None
    return max(past[-1][name] / max(usual(past, name), TINY) for name in names)


def confusion(past: Sequence[Vitals]) -> float | None:
    """D's loss, as a multiple of what it would be without an opinion; None for a loss that has no such measure."""
    undecided = past[-1]["undecided"]
    return past[-1]["discriminator_loss"] / undecided if undecided > 0 else None


def victory(past: Sequence[Vitals]) -> float:
    """Where D orders nearly all pairs: how many times less G has to learn from than at first, in squared gradients."""
    return past[-1]["fading"] if past[-1]["sign"] > ALL_BUT_FEW else 0.0


def out_of_range(past: Sequence[Vitals]) -> float | None:
    """How far generated samples lie from each other, compared with real ones; None if these are all the same.

    Where they were never as near as real ones it is compared with the least that was seen: samples of a new generator
    differ many times as much as pictures of little on a plain ground.
    """
    if "diversity" not in past[-1]:
        return None
    return past[-1]["diversity"] / max(1.0, min(vitals["diversity"] for vitals in past if "diversity" in vitals))


def sameness(past: Sequence[Vitals]) -> float | None:
    """How many times nearer generated samples lie to each other than real ones; None if these are all the same."""
    return 1 / max(past[-1]["diversity"], TINY) if "diversity" in past[-1] else None


def lopsidedness(past: Sequence[Vitals]) -> float:
    """How many times steeper D is at one kind of samples than at the other, in squared slopes."""
    real, fake = (max(past[-1][name], TINY) for name in ("slope_real", "slope_fake"))
    return max(real / fake, fake / real)


def memorised(past: Sequence[Vitals]) -> float | None:
    """How far D takes real samples that it was never shown for generated ones, 0 to 1.

    (D(real) - D(held out)) / (D(real) - D(fake)), in means over the last watches: r_v of Karras et al. 2020,
    section 3.1. None as long as D hardly tells real from generated.
    """
    recent = past[-USUAL_FROM:]
    if "held_out_gap" not in past[-1] or len(recent) < USUAL_FROM:
        return None
    gap, unseen = (sum(vitals[name] for vitals in recent) for name in ("gap", "held_out_gap"))
    return (gap - unseen) / gap if gap > 0 and min(v["sign"] for v in recent) > 0.5 else None


def steepening(past: Sequence[Vitals]) -> float:
    """How many times steeper D has become than at first, in squared slopes."""
    return past[-1]["steepening"]


def decline(past: Sequence[Vitals]) -> float | None:
    """How many times larger the Frechet distance is than at its best, beyond doubt; None where it was not measured."""
    return past[-1].get("decline")


def lost_variety(past: Sequence[Vitals]) -> float | None:
    """How many times less of the real variety is reached than at best, beyond doubt; None where it was not measured."""
    return past[-1].get("lost_variety")


def repeating(past: Sequence[Vitals]) -> float | None:
    """How many times more a text repeats itself than at best, beyond doubt; None where it was not measured."""
    return past[-1].get("repeating")


def usual(past: Sequence[Vitals], name: str) -> float:
    """The median over the watches before the last."""
    return median(vitals[name] for vitals in past[-REMEMBERED - 1 : -1])


SIGNALS = (
    Signal(
        name="not a number",
        measure=broken,
        threshold=0,
        in_a_row=1,
        healthy=0,
        reason="nothing comes back from it",
        says="a loss, a gradient or a weight is no longer a number",
        remedies=(calmer,),
    ),
    Signal(
        name="explosion",
        measure=explosion,
        threshold=30,
        in_a_row=1,
        healthy=9,
        reason="Adam forgives a factor of ten, and takes a hundred steps to get over more",
        says="a player's gradient is {number} times as large as usual",
        remedies=(calmer, smoother),
    ),
    Signal(
        name="confusion",
        measure=confusion,
        threshold=3,
        in_a_row=3,
        healthy=1.1,
        reason="a discriminator that learns at all is better than a coin",
        says="the discriminator's loss is {number} times that of one without an opinion: it swings and does not learn",
        remedies=(calmer, smoother),
    ),
    Signal(
        name="victory",
        measure=victory,
        threshold=1e4,
        in_a_row=3,
        healthy=3,
        reason="a hundredth of the gradient: the generator stands still",
        says="the discriminator is right about all pairs, and leaves the generator {number} times less to learn from "
        "than at first",
        remedies=(weaker, smoother, calmer),
    ),
    Signal(
        name="out of range",
        measure=out_of_range,
        threshold=3,
        in_a_row=3,
        healthy=1.4,
        reason="pixels beyond black and white",
        says="the samples differ {number} times as much from each other as real ones do: the generator runs away",
        remedies=(calmer, smoother),
    ),
    Signal(
        name="collapse",
        measure=sameness,
        threshold=4,
        in_a_row=5,
        healthy=2.4,
        reason="a quarter of the distance: a sixteenth of the variance",
        says="the samples lie {number} times nearer to each other than real ones do: all are nearly the same",
        remedies=(smoother, calmer),
    ),
    Signal(
        name="lopsided",
        measure=lopsidedness,
        threshold=30,
        in_a_row=3,
        healthy=2.1,
        reason="a penalty on one kind of samples alone lets the slope explode at the other (R3GAN, section 2)",
        says="the discriminator is {number} times steeper at one kind of samples than at the other",
        remedies=(smoother, calmer),
    ),
    Signal(
        name="steepening",
        measure=steepening,
        threshold=40,
        in_a_row=3,
        healthy=11,
        reason="a penalty that falls tenfold lets it grow tenfold",
        says="the discriminator has become {number} times steeper than at first, and nothing stops it",
        remedies=(smoother, calmer),
    ),
    Signal(
        name="learnt by heart",
        measure=memorised,
        threshold=0.8,
        in_a_row=5,
        healthy=0.35,
        reason="at 1 the discriminator sees nothing but which pictures it was shown",
        says="the discriminator takes real samples that it was never shown for generated ones, to {number} of 1",
        remedies=(augmented, smoother),
        goes_back=False,
    ),
    Signal(
        name="decline",
        measure=decline,
        threshold=1.3,
        in_a_row=2,
        healthy=1.2,
        reason="beyond the intervals of both evaluations, and again at the next",
        says="the Frechet distance is {number} times larger than at its best, beyond doubt",
        remedies=(smoother, calmer),
        of_quality=True,
    ),
    Signal(
        name="lost variety",
        measure=lost_variety,
        threshold=1.5,
        in_a_row=2,
        healthy=0.9,
        reason="beyond the intervals of both evaluations, and again at the next",
        says="{number} times less of the real variety is reached than at best, beyond doubt",
        remedies=(smoother, calmer),
        of_quality=True,
    ),
    Signal(
        name="repetition",
        measure=repeating,
        threshold=3,
        in_a_row=2,
        healthy=None,
        reason="beyond the intervals of both evaluations, and again at the next",
        says="the texts repeat themselves {number} times more than at their best, beyond doubt",
        remedies=(calmer,),
        of_quality=True,
    ),
)
"""In the order in which they are asked."""


@dataclass(frozen=True)
class Finding:
    """A signal that alarmed, the number behind it, and what it means in words."""

    signal: Signal
    number: float
    words: str


NOT_A_NUMBER = Finding(SIGNALS[0], math.nan, SIGNALS[0].says)


class Guard:
    """The memory of a run: what its vitals were since it last began or was taken back."""

    def __init__(self) -> None:
        self.sums: dict[str, float | Tensor] = {}
        self.counts: Counter[str] = Counter()
        self.looks = 0
        self.past: list[dict[str, float]] = []
        self.streaks: Counter[str] = Counter()
        self.alarms: Counter[str] = Counter()
        self.warned: set[str] = set()
        self.best: dict[str, float] = {}
        self.judged: dict[str, float] = {}
        self.at_its_best = False
        """Whether no evaluation gave a smaller Frechet distance than the last."""

    def begin_anew(self) -> None:
        """Forgets what was usual: a game under other rules has another balance."""
        self.past, self.streaks, self.sums, self.counts = [], Counter(), {}, Counter()

    @property
    def suspects(self) -> bool:
        """Whether a signal is above its threshold, so that what is saved now may be spoilt already.

        An evaluation counts before the look at it.
        """
        return any(
            self.streaks[signal.name] or (signal.of_quality and (signal.measure([self.judged]) or 0) > signal.threshold)
            for signal in SIGNALS
            if signal.goes_back
        )

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Notes one step."""
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0) + term
            self.counts[name] += 1  # a penalty need not be part of every step

    def judge(self, judged: Mapping[str, Estimate]) -> None:
        """Notes an evaluation, which the next watch looks at; intervals count, so that noise is no alarm.

        Variety is the smaller of recall and coverage: a generator of noise, far and wide, has recall but no coverage.
        What is judged pair by pair has neither, and no Frechet distance.
        """
        if not {"fid", "recall", "coverage"} <= judged.keys():
            self.at_its_best = False
            return
        fid, variety = judged["fid"], min(judged["recall"], judged["coverage"], key=lambda estimate: estimate.value)
        (fid_low, fid_high), (variety_low, variety_high) = fid.ends, variety.ends
        self.at_its_best = fid.value <= self.best.get("value", math.inf)
        self.best["value"] = min(self.best.get("value", math.inf), fid.value)
        self.best["fid"] = min(self.best.get("fid", math.inf), fid_high)
        self.best["variety"] = max(self.best.get("variety", 0.0), variety_low)
        self.judged = {
            "decline": fid_low / max(self.best["fid"], TINY),
            "lost_variety": self.best["variety"] / max(variety_high, TINY),
        }
        if repetition := judged.get("repetition"):
            low, high = repetition.ends
            self.best["repetition"] = min(self.best.get("repetition", math.inf), max(high, LITTLE_REPETITION))
            self.judged["repeating"] = low / self.best["repetition"]

    def watch(self, standing: Mapping[str, float]) -> tuple[dict[str, float], Finding | None]:
        """The vitals, with how the game stands now, and what is wrong, if anything is."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        steepness, push = max(standing["slope_real"], standing["slope_fake"]), standing["push"]
        self.looks += 1
        if self.looks <= USUAL_FROM:
            self.best["slope"] = max(self.best.get("slope", 0.0), steepness)
            self.best["push"] = max(self.best.get("push", 0.0), push)
        since = {
            "steepening": steepness / max(self.best["slope"], TINY),
            "fading": self.best["push"] / max(push, TINY**2),
        }
        vitals = {**means, **standing, **since, **self.judged}
        self.past = [*self.past, vitals][-REMEMBERED - 1 :]
        self.sums, self.counts, self.judged = {}, Counter(), {}
        found = None
        for signal in SIGNALS:
            number = signal.measure(self.past)
            if number is None:
                continue
            above = number > signal.threshold
            self.streaks[signal.name] = self.streaks[signal.name] + 1 if above else 0
            if not above:
                self.warned.discard(signal.name)
            obvious = number > OBVIOUS * signal.threshold
            if (self.streaks[signal.name] >= signal.in_a_row or obvious) and found is None:
                found = Finding(signal, number, signal.says.format(number=compact(number)))
        return vitals, found

    def is_news(self, signal: Signal) -> bool:
        """Whether this is news: a signal that stays above its threshold warns once."""
        news = signal.name not in self.warned
        self.warned.add(signal.name)
        return news

    def remedy(self, signal: Signal, settings: Settings, before: int) -> Change | None:
        """What to change: at each alarm of a signal its next remedy. `before`: times that the run was taken back.

        None if there is none, or what does not go back has been treated often enough.
        """
        first = self.alarms[signal.name]
        self.alarms[signal.name] += 1
        self.streaks[signal.name] = 0
        if not signal.goes_back and first >= TREATED:
            return None
        turn = first % len(signal.remedies)
        for remedy in (*signal.remedies[turn:], *signal.remedies[:turn]):
            if change := remedy(settings, before):
                return change
        return None

    def state(self) -> dict[str, Any]:
        """All that changes, as JSON values that keep numbers exactly."""
        return {
            "sums": {name: float(total) for name, total in self.sums.items()},
            "counts": dict(self.counts),
            "looks": self.looks,
            "past": self.past,
            "streaks": dict(self.streaks),
            "alarms": dict(self.alarms),
            "warned": sorted(self.warned),
            "best": self.best,
            "judged": self.judged,
            "at_its_best": self.at_its_best,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` gave, or begins anew with an empty one."""
        self.sums, self.counts = dict(state.get("sums", {})), Counter(state.get("counts", {}))
        self.looks, self.past = state.get("looks", 0), list(state.get("past", []))
        self.streaks = Counter(state.get("streaks", {}))
        self.alarms = Counter(state.get("alarms", {}))
        self.warned = set(state.get("warned", []))
        self.best, self.judged = dict(state.get("best", {})), dict(state.get("judged", {}))
        self.at_its_best = state.get("at_its_best", False)


def reached(signal: Signal, vitals: Sequence[Vitals]) -> float | None:
    """The largest number that a signal made at as many looks in a row as it asks for; None for too few looks."""
    numbers = [signal.measure(vitals[max(0, i - REMEMBERED) : i + 1]) for i in range(len(vitals))]
    known = [number for number in numbers if number is not None]
    rows = [known[i : i + signal.in_a_row] for i in range(len(known) - signal.in_a_row + 1)]
    return max((min(row) for row in rows), default=None)
