"""Reads what a run left on disk, and says what its curves mean and what to change."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sparring.adversarial.objectives import OBJECTIVES
from sparring.evaluation.catalogue import METRICS, improves
from sparring.evaluation.judgement import shown
from sparring.training import remedies
from sparring.training.account import Account
from sparring.training.balance import reading
from sparring.training.guard import SIGNALS, USUAL_FROM, Signal, reached
from sparring.training.next_steps import STOPPED, doubled
from sparring.wording import compact, share, things

MANY_COPIES, MANY_RECITED = 0.01, 0.1
"""Shares of samples: of pictures, and of texts, of which short ones are the same by chance now and then."""

LITTLE_VARIETY, LITTLE_FIDELITY = 0.3, 0.5
BY_HEART = 0.99
"""Accuracy of D, lately."""

AS_SURE = 0.8
"""Share of the logit gap at training data above which what was held out is told from generated as well."""

MUCH_AUGMENTATION = 0.8
"""Probability above which augmentation shows in the samples (Karras et al. 2020, section 3)."""

SKIPPED = 0.05
LATE, EARLY = 0.9, 0.5
"""Shares of the course after which the best generator came late, or before which early."""

GONE = "its process is gone and has left no word"
"""Said of a run that was killed, ran out of the system's memory, or lost its power."""

MORE_TIME = {"finished": "train for longer", "running": "let it go on", "interrupted": "go on with it"}
"""By state, how a run gets more time; one that broke has no use for more as it is."""

STRONG = 100
"""Strength of the penalty above which nobody is told to raise it: 512 was seen to keep digits from being learned."""

FEWEST = 4
"""Evaluations of which a course can be told."""

NONE_REAL, HARDLY_NEARER = 0.01, 0.8
"""Share of samples that look real below which, and part of the first Frechet distance above which, nothing was
learned."""


@dataclass(frozen=True)
class Advice:
    """What was seen, and what to do about it; urgent if something is wrong."""

    seen: str
    do: str = ""
    urgent: bool = True

    @property
    def words(self) -> str:
        """Both, as sentences."""
        return f"{self.seen} {self.do}".strip()


def examine(account: Account) -> list[Advice]:
    """All that is worth saying of a run, what is urgent first."""
    checks = (ended, guarded, broke, copied, varied, faithful, by_heart, augmented, skipped, played, improved, near)
    found = [advice for check in checks for advice in check(account)]
    return sorted(found, key=lambda advice: not advice.urgent)


def ended(account: Account) -> Iterator[Advice]:
    """A run that did not end as it should."""
    if account.state not in ("running", "finished", "just begun"):
        in_vain = account.state == STOPPED and account.setting("guard") in ("", "on")
        chosen = "Train anew with the learning_rate and the penalty that are chosen, or if these were"
        do = f"{chosen}, with {changed(account)}, and look at the data: sparring data check DATA" if in_vain else ""
        if account.state == "interrupted" and not learned_nothing(account):
            do = f"Go on with it: sparring resume {place(account)}"
        message = account.summary.get("message") or GONE
        asked_for = account.state == "interrupted" and message != GONE
        yield Advice(f"{account.state.capitalize()}: {message.rstrip('.')}.", do, urgent=not asked_for)


def changed(account: Account) -> str:
    """Settings with which a run that was given up may fare better: those that the guard had come to, from the beginning
    on, and a step further against the last thing that it went back for."""
    acted = [happened.get("event") for happened in account.events]
    gone_back = [signal for name in acted for signal in SIGNALS if signal.name == name and signal.goes_back]
    if account.complete is None or not gone_back:
        return "other settings"
    changes = [remedy(account.complete, 0) for remedy in gone_back[-1].remedies]
    ways = [{**account.changes, **change.settings} for change in changes if change and change.settings]
    return (
        ", or with ".join(as_options(way) for way in ways if way.get("penalty_strength", 0) <= STRONG)
        or "other settings"
    )


def as_options(settings: Mapping[str, Any]) -> str:
    """Settings as the command line takes them."""
    shown = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in settings.items()}
    return " ".join(f"--set {name}={value}" for name, value in shown.items())


def guarded(account: Account) -> Iterator[Advice]:
    """What the guard did."""
    names = {signal.name for signal in SIGNALS}
    for event in account.events:
        if event.get("event") in names:
            yield Advice(f"The guard stepped in: {event.get('message')}.")
        if event.get("event") == "warning":
            otherwise = "With --guard on it would have acted." if account.setting("guard") == "warn" else ""
            yield Advice(f"The guard warned: {event.get('message')}.", otherwise)


def broke(account: Account) -> Iterator[Advice]:
    """A run that learned nothing: longer training would not help it."""
    if learned_nothing(account):
        many = things(account.setting("task"))[0]
        guard = (
            "" if account.setting("guard") in ("", "on") else ", and with --guard on, which goes back when it breaks"
        )
        came, stop = "came no nearer: the game broke, or never began", ""
        if unfinished(account):
            came = "have come no nearer so far: the game broke, or has not begun"
        if account.state == "running":
            stop = "Should it stay so, stop it. "
        anew = f"{stop}Train anew, with the learning_rate and the penalty that are chosen or a lower rate{guard}."
        yield Advice(
            f"Hardly a sample looks like real {many}, and they {came}.", anew if account.state in MORE_TIME else ""
        )


def copied(account: Account) -> Iterator[Advice]:
    """Samples that are training pictures, or training texts."""
    copies = account.measured("copies")
    if copies is not None and copies > MANY_COPIES:
        many = things(account.setting("task"))[0]
        yield Advice(
            f"{share(copies)} of the samples are near-copies of training {many}.",
            f"Add {many}, strengthen the augmentation or train for less time, and look at the nearest {many} in the "
            "report.",
        )
    recited = account.measured("copied")
    if recited is not None and recited > MANY_RECITED:
        yield Advice(
            f"{share(recited)} of the samples are training texts to the letter: it has learned them by heart.",
            "Add texts, or train for less time.",
        )


def varied(account: Account) -> Iterator[Advice]:
    """Samples that are too much alike."""
    recall = account.measured("recall")
    if recall is not None and recall < LITTLE_VARIETY and not learned_nothing(account):
        steady = "" if account.through_features else steadier(account)
        yield Advice(
            f"{few(recall)} of the real variety is reached: many samples may look alike.", longer(account, steady)
        )


def faithful(account: Account) -> Iterator[Advice]:
    """Samples that are unlike any real one."""
    precision = account.measured("precision")
    if precision is not None and precision < LITTLE_FIDELITY and not learned_nothing(account):
        many = things(account.setting("task"))[0]
        yield Advice(f"{few(precision)} of the samples look like real {many} so far.", longer(account))


def few(value: float) -> str:
    """A small share at the beginning of a sentence: `Only 12 %`, or `None`."""
    return f"Only {share(value)}" if value else "None"


def longer(account: Account, otherwise: str = "") -> str:
    """To give it more time, where that may help, or what to do otherwise, if there is something."""
    more = "" if stands_still(account) else MORE_TIME.get(account.state, "")
    return either(more, otherwise)


def either(*ways: str) -> str:
    """What can be done, as a sentence; those that are empty are none."""
    advice = ", or ".join(filter(None, ways))
    return f"{advice[0].upper()}{advice[1:]}." if advice else ""


def steadier(account: Account) -> str:
    """To hold D's slope more firmly, where the settings allow it."""
    settings = account.complete
    if settings and (remedies.smoother(settings, 0) is None or settings.penalty_strength > STRONG):
        return ""
    if settings and settings.penalty != "r1+r2":
        return "put R1 and R2 on the discriminator (--set penalty=r1+r2)"
    return "strengthen the penalties (R1, R2)"


def more_augmented(account: Account) -> str:
    """To show D less often what it knows, where the settings allow it."""
    settings = account.complete
    if things(account.setting("task"))[0] in ("texts", "molecules"):
        return ""
    if settings and remedies.augmented(settings, 0) is None:
        return ""
    if settings and settings.augment == "none":
        return "put augmentation on (--set augment=ada)"
    return "strengthen the augmentation"


def by_heart(account: Account) -> Iterator[Advice]:
    """A discriminator that knows what it is shown.

    Through pretrained features real is told from generated all along, and the generator learns nevertheless.
    """
    accuracies = [line["accuracy"] for line in account.measurements if line.get("accuracy") is not None]
    recent = accuracies[-max(1, len(accuracies) // 10) :]
    if recent and sum(recent) / len(recent) > BY_HEART and not account.through_features:
        many = things(account.setting("task"))[0]
        right = f"The discriminator is right {share(sum(recent) / len(recent))} of the time"
        if sure_of_held_out(account):
            yield Advice(
                f"{right}, and as sure of {many} that were held out: the generator does not keep up with it yet.",
                longer(account, steadier(account)),
            )
            return
        yield Advice(
            f"{right}: it knows the training {many} by heart and has little to teach.",
            either(more_augmented(account), steadier(account), f"add {many}"),
        )


def sure_of_held_out(account: Account) -> bool:
    """Whether the discriminator tells what it was never shown from generated nearly as well as what it learns from."""
    recent = [vitals for vitals in account.vitals if "held_out_gap" in vitals][-USUAL_FROM:]
    gap, unseen = (sum(vitals[name] for vitals in recent) for name in ("gap", "held_out_gap"))
    return bool(recent) and unseen > AS_SURE * gap


def augmented(account: Account) -> Iterator[Advice]:
    """Augmentation that had to go far."""
    if account.setting("augment") != "ada":
        return
    latest = [line["augment_p"] for line in account.measurements if line.get("augment_p") is not None][-1:]
    if latest and latest[0] > MUCH_AUGMENTATION:
        yield Advice(
            f"Adaptive augmentation came up to {latest[0]:.2f}: these are few pictures for what is asked of them.",
            "Add pictures, or start from a run on similar ones (--from RUN).",
        )


def skipped(account: Account) -> Iterator[Advice]:
    """Files that could not be used."""
    total = len(account.skipped) + account.data.get("pictures", 0)
    if len(account.skipped) > SKIPPED * total:
        yield Advice(
            f"{len(account.skipped):,} of {total:,} files could not be used;",
            "they are listed in the report with reasons.",
        )


def played(account: Account) -> Iterator[Advice]:
    """What the losses say, and that they say no more."""
    objective = OBJECTIVES.get(account.setting("objective"))
    # A policy descends something else, which has no such measure.
    compared = account.setting("gradient") != "policy"
    if objective and (said := reading(objective, account.measurements, compared=compared)):
        metric = account.deciding
        tells = f"; {metric} does ({METRICS[metric].title})" if metric in METRICS else ""
        yield Advice(f"{said}.", f"Losses do not tell quality{tells}.", urgent=False)


def improved(account: Account) -> Iterator[Advice]:
    """Whether more of the same would help."""
    course = best(account)
    if course is None or learned_nothing(account):
        return
    metric = account.deciding
    many, _, seen = things(account.setting("task"))
    so_far = " so far" if unfinished(account) else ""
    said = (
        f"{METRICS[metric].title} was best, {shown(metric, course.value)}, after {course.images:,} of "
        f"{account.images:,} {seen}{so_far}"
    )
    if course.images >= LATE * course.judged:
        more = {
            "finished": f"Train on: sparring resume {place(account)} {doubled(account.images, account.minutes)}",
            "running": "Let it go on.",
        }
        better = "still gets better" if account.state == "running" else "still got better"
        yield Advice(f"{said}: it {better}.", more.get(account.state, ""), urgent=False)
    elif stands_still(account):
        more_of_it = "Should it stay so, more" if unfinished(account) else "More"
        do = f"{more_of_it} of the same will not help: try a larger --size, or more {many}."
        yield Advice(
            f"{said}, and no better since; that generator is kept.",
            do if account.state in MORE_TIME else "",
            urgent=False,
        )
    else:
        yield Advice(f"{said}, and no better in the last {course.judged - course.images:,}.", urgent=False)


def unfinished(account: Account) -> bool:
    """Whether what is seen may still change as the run goes on, or is gone on with."""
    return account.state in ("running", "interrupted")


def place(account: Account) -> str:
    """The folder, as a command takes it."""
    return shlex.quote(str(account.folder))


class Course(NamedTuple):
    """When the quality was best and what it was, and when it was judged last, in images."""

    images: int
    value: float
    judged: int


def judged(account: Account, metric: str) -> list[tuple[int, float]]:
    """After how many images a run was judged, and its number of a metric; none after few evaluations."""
    values = [
        (line["images"], line["quality"][metric]["value"])
        for line in account.measurements
        if line.get("quality", {}).get(metric) and "images" in line
    ]
    return values if len(values) >= FEWEST else []


def best(account: Account) -> Course | None:
    """How the quality came to its best so far; None where that is not known.

    A share that was nothing all along does not tell whether the run got better.
    """
    metric = account.deciding
    found: Course | None = None
    values = judged(account, metric)
    for images, value in values:
        if found is None or improves(metric, value, found.value):
            found = Course(images, value, values[-1][0])
    return None if found is None or (METRICS[metric].better == "higher" and found.value == 0) else found


def stands_still(account: Account) -> bool:
    """Whether a run was best early in its course, so that more of it will hardly help."""
    course = best(account)
    return course is not None and course.images <= EARLY * course.judged


def learned_nothing(account: Account) -> bool:
    """Whether hardly a sample looks real, nor came they nearer to it, as their Frechet distance tells."""
    precision, distances = account.measured("precision"), [value for _, value in judged(account, "fid")]
    return (
        precision is not None
        and precision < NONE_REAL
        and bool(distances)
        and min(distances) > HARDLY_NEARER * distances[0]
    )


def near(account: Account) -> Iterator[Advice]:
    """Signals of the guard that came nearer to their threshold than to what healthy runs reach."""
    for signal, largest in signals(account):
        if signal.healthy is not None and (signal.healthy + signal.threshold) / 2 < largest <= signal.threshold:
            yield Advice(
                f"The signal '{signal.name}' came up to {compact(largest)}; the guard acts above "
                f"{compact(signal.threshold)}.",
                urgent=False,
            )


def signals(account: Account) -> Iterator[tuple[Signal, float]]:
    """The signals of the guard that could be taken, and the largest number that each made, in a row as it asks for.

    Looks that led to going back are not among them: the events tell of those.
    """
    vitals = [vitals for vitals in account.vitals if None not in vitals.values()]
    for signal in SIGNALS:
        if (number := reached(signal, vitals)) is not None:
            yield signal, number
