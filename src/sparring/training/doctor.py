"""Reads what a run left on disk, and says what its curves mean and what to change."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from sparring.evaluation.catalogue import METRICS, improves
from sparring.evaluation.judgement import shown
from sparring.training.account import Account
from sparring.training.guard import SIGNALS, USUAL_FROM, Signal, reached
from sparring.training.next_steps import STOPPED
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
"""Shares of the run after which the best generator came late, or before which early."""

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
    checks = (ended, guarded, broke, copied, varied, faithful, by_heart, augmented, skipped, improved, near)
    found = [advice for check in checks for advice in check(account)]
    return sorted(found, key=lambda advice: not advice.urgent)


def ended(account: Account) -> Iterator[Advice]:
    """A run that did not end as it should."""
    if account.state not in ("running", "finished", "just begun"):
        anew = "Train anew with a lower learning_rate or a higher penalty_strength, and look at the data: "
        in_vain = account.state == STOPPED and account.setting("guard") in ("", "on")
        do = f"{anew}sparring data check DATA" if in_vain else ""
        yield Advice(": ".join(filter(None, (account.state.capitalize(), account.summary.get("message")))), do)


def guarded(account: Account) -> Iterator[Advice]:
    """What the guard did."""
    names = {signal.name for signal in SIGNALS}
    for event in account.events:
        if event.get("event") in names:
            yield Advice(f"The guard stepped in: {event.get('message')}.")
        if event.get("event") == "warning":
            otherwise = "With guard=on it would have acted." if account.setting("guard") == "warn" else ""
            yield Advice(f"The guard warned: {event.get('message')}.", otherwise)


def broke(account: Account) -> Iterator[Advice]:
    """A run that learned nothing: longer training would not help it."""
    if learned_nothing(account):
        many = things(account.setting("task"))[0]
        guard = (
            "" if account.setting("guard") in ("", "on") else ", and with --guard on, which goes back when it breaks"
        )
        yield Advice(
            f"Hardly a sample looks like real {many}, and they came no nearer: the game broke, or never began.",
            f"Train anew, with the learning_rate and the penalty that are chosen or a lower rate{guard}.",
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
        penalties = "" if account.through_features else "strengthen the penalties (R1, R2)"
        yield Advice(
            f"{few(recall)} of the real variety is reached: many samples may look alike.", longer(account, penalties)
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
    """To train for longer, where that may help, or what to do otherwise, if there is something."""
    advice = ", or ".join(filter(None, ("" if stands_still(account) else "train for longer", otherwise)))
    return f"{advice[0].upper()}{advice[1:]}." if advice else ""


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
                longer(account, "strengthen the penalties"),
            )
            return
        stronger = "the penalties" if many in ("texts", "molecules") else "the augmentation or the penalties"
        yield Advice(
            f"{right}: it knows the training {many} by heart and has little to teach.",
            f"Strengthen {stronger}, or add {many}.",
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


def improved(account: Account) -> Iterator[Advice]:
    """Whether more of the same would help."""
    found = best(account)
    if found is None or learned_nothing(account):
        return
    best_at, value = found
    metric = account.deciding
    many, _, seen = things(account.setting("task"))
    said = f"{METRICS[metric].title} was best, {shown(metric, value)}, after {best_at:,} of {account.images:,} {seen}"
    if best_at >= LATE * account.images:
        more = f"sparring resume {shlex.quote(str(account.folder))} --images {2 * account.images}"
        yield Advice(f"{said}: it still got better.", f"Train on: {more}", urgent=False)
    elif stands_still(account):
        yield Advice(
            f"{said}, and no better since; that generator is kept.",
            f"More of the same will not help: try a larger --size, or more {many}.",
            urgent=False,
        )
    else:
        yield Advice(f"{said}: it has levelled off.", urgent=False)


def judged(account: Account, metric: str) -> list[tuple[int, float]]:
    """After how many images a finished run was judged, and its number of a metric; none after few evaluations."""
    values = [
        (line["images"], line["quality"][metric]["value"])
        for line in account.measurements
        if line.get("quality", {}).get(metric) and "images" in line
    ]
    return values if len(values) >= FEWEST and account.state == "finished" else []


def best(account: Account) -> tuple[int, float] | None:
    """After how many images the quality of a finished run was best, and what it was; None where that is not known.

    A share that was nothing all along does not tell whether the run got better.
    """
    metric = account.deciding
    found: tuple[int, float] | None = None
    for images, value in judged(account, metric):
        if found is None or improves(metric, value, found[1]):
            found = images, value
    return None if found is None or (METRICS[metric].better == "higher" and found[1] == 0) else found


def stands_still(account: Account) -> bool:
    """Whether a finished run was best early, so that more of it will not help."""
    found = best(account)
    return found is not None and found[0] <= EARLY * account.images


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
        if (signal.healthy + signal.threshold) / 2 < largest <= signal.threshold:
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
