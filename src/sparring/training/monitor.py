"""How a run goes, told while it trains: live on a terminal, line by line in a log, or to `logging` alone.

Everything goes to standard error, so that standard output stays free for `--json -`.
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sparring.evaluation.judgement import shown, space_of
from sparring.wording import compact, duration, printable, roughly, share

Choice = Mapping[str, Any]
"""What the chooser decided: `setting`, `value` and `reason`, as in plan.json."""

Measurements = Mapping[str, Any]
"""A line of metrics.jsonl: some of the measurements by name, or `quality`; and `seen`, what `images` counts: images,
texts, molecules or clips. `space` is what the features of `quality` are of."""


WIDEST = 100
"""Columns of the live panel at most: figures far from their names are hard to read."""


class Monitor(Protocol):
    """What the trainer tells; a context manager around the whole of `train` or `resume`."""

    def __enter__(self) -> Self:
        """Starts the display."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the last state on the screen and the terminal as it was."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a preparation has come, such as decoding pictures; may be called for every item."""

    def plan(self, choices: Sequence[Choice], estimate: float | None) -> None:
        """What was chosen and why, and how many seconds it will take (None: nobody knows)."""

    def update(self, measurements: Measurements, fraction: float, seconds_left: float | None) -> None:
        """New measurements (names as in metrics.jsonl, any of them missing) at a fraction of 1 of the run."""

    def preview(self, path: Path) -> None:
        """Where the latest grid of samples lies."""

    def note(self, message: str, *, urgent: bool = False) -> None:
        """Something a person should know; `urgent` if the run does other than was asked for."""


def open_monitor(title: str = "sparring", *, quiet: bool = False) -> Monitor:
    """The monitor that suits standard error: live on a terminal, plain lines elsewhere, `quiet` for neither."""
    if quiet:
        return QuietMonitor()
    console = Console(stderr=True)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        return LiveMonitor(console, title)
    return PlainMonitor(sys.stderr)


class QuietMonitor:
    """Shows nothing; notes go to the logger `sparring`, urgent ones as warnings, which Python prints by default."""

    def __enter__(self) -> Self:
        """Nothing to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to stop."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Not shown."""

    def plan(self, choices: Sequence[Choice], estimate: float | None) -> None:
        """Not shown; it is in plan.json."""

    def update(self, measurements: Measurements, fraction: float, seconds_left: float | None) -> None:
        """Not shown; they are in metrics.jsonl."""

    def preview(self, path: Path) -> None:
        """Not shown."""

    def note(self, message: str, *, urgent: bool = False) -> None:
        """To the logger `sparring`: a warning if urgent, otherwise information."""
        logging.getLogger("sparring").log(logging.WARNING if urgent else logging.INFO, "%s", message)


class PlainMonitor:
    """One line of text at most every `interval` seconds, and at every evaluation and note; no control characters."""

    def __init__(self, stream: TextIO, interval: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._interval, self._clock = stream, interval, clock
        self._due = clock() + interval
        self._latest: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Nothing to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to stop."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """A line every `interval` seconds, and at the end."""
        if done == total or self._is_due():
            self._say(f"{stage}: {done:,} of {total:,}")

    def plan(self, choices: Sequence[Choice], estimate: float | None) -> None:
        """A line for each choice, and one for the time."""
        for choice in choices:
            self._say(f"{choice['setting']} = {choice['value']}  ({choice['reason']})")
        self._say(expected(estimate))

    def update(self, measurements: Measurements, fraction: float, seconds_left: float | None) -> None:
        """A line every `interval` seconds, and one for every evaluation."""
        self._latest.update(measurements)
        if "quality" in measurements:
            self._say(quality_line(measurements))
        if self._is_due():
            parts = [f"{name} {value}" for name, value in readings(self._latest)]
            left = [] if seconds_left is None else [f"{duration(seconds_left)} left"]
            self._say(", ".join([share(fraction), *left, *parts]))

    def preview(self, path: Path) -> None:
        """Not said: the path is the same all the time and is named at the end."""

    def note(self, message: str, *, urgent: bool = False) -> None:
        """A line of its own."""
        self._say(f"warning: {message}" if urgent else message)

    def _is_due(self) -> bool:
        if self._clock() < self._due:
            return False
        self._due = self._clock() + self._interval
        return True

    def _say(self, line: str) -> None:
        print(printable(line), file=self._stream, flush=True)


class LiveMonitor:
    """A panel that is drawn anew in place, at most every `interval` seconds; notes scroll by above it.

    It draws inside `update`, in no thread of its own: a small network on few cores is slowed down by one.
    """

    def __init__(
        self, console: Console, title: str, interval: float = 0.25, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title, self._interval, self._clock = printable(title), interval, clock
        # Standard output stays where it is: it may be the JSON somebody reads.
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False)
        self._due = 0.0
        self._latest: dict[str, Any] = {}
        self._fraction = 0.0
        self._seconds_left: float | None = None
        self._quality = ""
        self._preview = ""

    def __enter__(self) -> Self:
        """Starts the display."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the last state on the screen and the terminal as it was."""
        if self._latest:
            self._live.update(self._panel())
        self._live.stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        """A bar; it goes when the stage is done."""
        if done >= total:
            self._live.update(Text(""), refresh=True)
        elif self._is_due():
            bar = bar_line(done / max(total, 1), f"{done:,} of {total:,}")
            self._live.update(Group(Text(printable(stage)), bar), refresh=True)

    def plan(self, choices: Sequence[Choice], estimate: float | None) -> None:
        """A table, and a sentence on the time."""
        title = Text(f"{self._title}: what was chosen and why", style="bold")
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("Setting", style="cyan", overflow="fold")
        table.add_column("Value", overflow="fold")
        table.add_column("Why", style="dim", ratio=1)
        for choice in choices:
            table.add_row(*(Text(printable(str(choice[key]))) for key in ("setting", "value", "reason")))
        self._live.console.print(table)
        self._live.console.print(Text(expected(estimate)))

    def update(self, measurements: Measurements, fraction: float, seconds_left: float | None) -> None:
        """Draws the panel anew if it is time, or if there is an evaluation."""
        self._latest.update(measurements)
        self._fraction, self._seconds_left = fraction, seconds_left
        if "quality" in measurements:
            self._quality = quality_line(measurements)
        if self._is_due() or "quality" in measurements:
            self._live.update(self._panel(), refresh=True)

    def preview(self, path: Path) -> None:
        """Names the path at the foot of the panel."""
        self._preview = printable(str(path))

    def note(self, message: str, *, urgent: bool = False) -> None:
        """A line above the panel."""
        self._live.console.print(Text(printable(message), style="yellow" if urgent else ""))

    def _is_due(self) -> bool:
        if self._clock() < self._due:
            return False
        self._due = self._clock() + self._interval
        return True

    def _panel(self) -> RenderableType:
        left = "" if self._seconds_left is None else f", {duration(self._seconds_left)} left"
        table = Table.grid(padding=(0, 2), expand=True)
        for number in range(4):
            table.add_column(ratio=2 - number % 2, style="" if number % 2 else "dim", no_wrap=True)
        cells = [cell for reading in readings(self._latest) for cell in reading]
        for start in range(0, len(cells), 4):
            table.add_row(*cells[start : start + 4])
        foot = [Text(self._quality)] if self._quality else []
        if self._preview:
            foot.append(Text(f"samples: {self._preview}", style="dim", overflow="ellipsis", no_wrap=True))
        width = min(self._live.console.width, WIDEST)
        return Panel(
            Group(bar_line(self._fraction, share(self._fraction) + left), table, *foot),
            title=Text(self._title),
            width=width,
        )


def bar_line(fraction: float, text: str) -> RenderableType:
    """A progress bar with a text to its right."""
    line = Table.grid(padding=(0, 2), expand=True)
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(ProgressBar(total=1.0, completed=min(max(fraction, 0.0), 1.0)), Text(text))
    return line


def expected(estimate: float | None) -> str:
    """How long it will take, in a sentence."""
    return "Time: not known yet." if estimate is None else f"It will take {roughly(estimate)}."


def readings(measurements: Measurements) -> list[tuple[str, str]]:
    """The measurements a person follows, in words, those that are there."""
    seen = measurements.get("seen", "images")
    table: list[tuple[str, str, Callable[[float], str]]] = [
        ("images", f"{seen} seen", lambda value: f"{value:,.0f}"),
        ("images_per_second", f"{seen}/s", lambda value: f"{value:,.0f}"),
        ("discriminator_loss", "D loss", compact),
        ("generator_loss", "G loss", compact),
        ("likelihood", "nats a symbol", compact),
        ("evidence", "nats an atom", compact),
        ("reward", "reward", compact),
        ("r1", "R1", compact),
        ("r2", "R2", compact),
        ("accuracy", "D accuracy", share),
        ("augment_p", "augmentation p", compact),
    ]
    return [(name, show(measurements[key])) for key, name, show in table if measurements.get(key) is not None]


def quality_line(measurements: Measurements) -> str:
    """The quality in one line: distances, and shares in per cent."""
    quality = measurements["quality"]
    names = (
        "psnr",
        "ssim",
        "perceptual",
        "psnr_inside",
        "transfer",
        "style",
        "structure",
        "perplexity",
        "bleu3",
        "self_bleu3",
        "forward",
        "reverse",
        "reward",
        "raw_validity",
        "validity",
        "unique_1k",
        "novelty",
        "intdiv",
        "fcd",
        "fdd",
        "clip_distance",
        "fvd",
        "frame_fid",
        "motion",
        "drift",
        "fid",
        "kid",
        "prc",
        "precision",
        "recall",
        "coverage",
    )
    spaces = {name: space_of(name, measurements.get("space", "")) for name in names}
    parts = [
        f"{name} {shown(name, quality[name]['value'])}{f' in {spaces[name]}' if spaces[name] else ''}"
        for name in names
        if name in quality
    ]
    seen = measurements.get("seen", "images")
    return f"quality after {measurements.get('images', 0):,} {seen}: {', '.join(parts)}"
