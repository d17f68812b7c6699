"""A run while it is trained and afterwards: what its folder tells, for the page."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from sparring.errors import RunError, SparringError
from sparring.serving.errors import RequestError
from sparring.serving.models import Card, Served
from sparring.training import report
from sparring.training.account import Account, Record
from sparring.training.doctor import examine
from sparring.training.run import Run

SAMPLES = re.compile(r"(?:grid-\d{1,12}|latest|nearest|(?:before|after|clean)-\d{1,4})\.(?:png|txt|jsonl)")
"""The files of `samples/` that are shown: no other name is ever looked for."""

TYPES = {".png": "image/png", ".txt": "text/plain; charset=utf-8", ".jsonl": "text/plain; charset=utf-8"}
EVENTS = 50


class DrawnCurve(BaseModel):
    """The key of one curve, with its latest value."""

    name: str
    last: str


class DrawnChart(BaseModel):
    """Curves as SVG, and what healthy ones look like."""

    title: str
    curves: list[DrawnCurve]
    svg: str
    healthy: str


class Event(BaseModel):
    """What happened, when (ISO 8601), and after how many images."""

    time: str
    images: int
    event: str
    message: str


class Row(BaseModel):
    """A line of a table."""

    name: str
    value: str


class Choice(BaseModel):
    """A setting that was chosen, and why."""

    setting: str
    value: str
    reason: str


class Watch(BaseModel):
    """How a run goes. changed: differs whenever something else does."""

    card: Card
    changed: str
    headline: str
    verdict: str
    progress: list[Row]
    share: float | None
    """How much of the training is done, 0 to 1; None where nobody knows."""
    warnings: list[str]
    charts: list[DrawnChart]
    events: list[Event]
    choices: list[Choice]
    samples: list[str]
    """Names of files, the grids of samples from the first to the last."""


def watch(served: Served) -> Watch:
    """How a run goes.

    Raises: RequestError for the file of a generator alone.
    """
    run = served.run
    if run is None:
        raise RequestError("not_found", f"{served.name} is a generator alone: there is no run to look at")
    account = Account.read(run.folder)
    with suppress(SparringError):  # damaged: what else there is is shown
        account = replace(account, summary=run.summary())
    return Watch(
        card=served.card(),
        changed=changed(run),
        headline=report.headline(account),
        verdict=report.verdict(account),
        progress=[Row(name=name, value=value) for name, value in report.progress(account)],
        share=share_done(account),
        warnings=[advice.words for advice in examine(account) if advice.urgent],
        charts=[
            DrawnChart(
                title=chart.title,
                curves=[DrawnCurve(name=curve.name, last=curve.last) for curve in chart.curves],
                svg=str(chart.svg),
                healthy=chart.healthy,
            )
            for chart in report.charts(account)
        ],
        events=[event_of(event) for event in account.events[-EVENTS:][::-1]],
        choices=[choice_of(choice) for choice in account.plan.get("choices") or []],
        samples=samples(run.samples),
    )


def changed(run: Run) -> str:
    """What differs when something in the folder does."""
    names = ("summary.json", "metrics.jsonl", "events.jsonl", "samples")
    stamps = []
    for name in names:
        try:
            stamps.append(str((run.folder / name).stat().st_mtime_ns))
        except OSError:
            stamps.append("-")
    return " ".join([*stamps, str(state_of(run))])


def state_of(run: Run) -> str:
    """As `sparring runs` shows it."""
    try:
        return str(run.summary().get("state", "just begun"))
    except RunError:
        return "unreadable"


def share_done(account: Account) -> float | None:
    """Of the budget, in images or in minutes."""
    if account.state == "finished":
        return 1.0
    for setting, done in (("images", account.images), ("minutes", (account.summary.get("seconds") or 0) / 60)):
        try:
            whole = float(account.setting(setting))
        except ValueError:
            continue
        if whole > 0:
            return min(1.0, done / whole)
    return None


def event_of(event: Record) -> Event:
    """A line of events.jsonl."""
    return Event(
        time=str(event.get("time", "")),
        images=int(event.get("images") or 0),
        event=str(event.get("event", "")),
        message=str(event.get("message", "")),
    )


def choice_of(choice: Record) -> Choice:
    """An entry of plan.json."""
    return Choice(**{name: str(choice.get(name, "")) for name in ("setting", "value", "reason")})


def samples(folder: Path) -> list[str]:
    """The files that are shown, the latest last."""
    try:
        names = sorted(path.name for path in folder.iterdir() if SAMPLES.fullmatch(path.name))
    except OSError:
        return []
    return [*(name for name in names if name.startswith("grid-")), *(n for n in names if not n.startswith("grid-"))]


def sample_file(served: Served, name: str) -> tuple[bytes, str]:
    """The content and the type of one of the files that `samples` names.

    Raises: RequestError.
    """
    path = served.place / "samples" / name
    try:
        if SAMPLES.fullmatch(name) and not path.is_symlink():
            return path.read_bytes(), TYPES[path.suffix]
    except OSError:
        pass
    raise RequestError("not_found", f"{served.name} has no sample {name!r}")
