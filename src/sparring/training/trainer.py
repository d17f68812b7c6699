"""The loop: what happens after each step, at fixed counts of images, and by the clock. It knows no application.

Nothing done by the clock (log, preview, save) changes the result. What does change it (evaluation, the choice of the
best, stopping) happens at fixed counts of images, so that a run killed and resumed ends like one that never was.
"""

import contextlib
import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from torch import Tensor

from sparring.config import Settings
from sparring.errors import MetricError, SparringError
from sparring.evaluation.catalogue import improves
from sparring.mosaic import grid
from sparring.tasks import Task
from sparring.training import report
from sparring.training.guard import NOT_A_NUMBER, TRIES, Finding, Guard
from sparring.training.match import Match
from sparring.training.monitor import Monitor
from sparring.training.run import Run
from sparring.training.tracking import open_board

LOG_SECONDS = 2.0
REPORT_SECONDS = 30.0
LARGEST_SHARE = 0.02
KEPT = 2

Written = Callable[..., None]

Ending = Literal["finished", "interrupted", "stopped by the guard", "failed"]

UNGUARDED: tuple[Ending, str] = (
    "failed",
    "a loss or a weight is no longer a number; the last checkpoint is from before. With guard=on the run would go back "
    "to it by itself; a lower learning_rate or a higher penalty_strength may help",
)


class Clock:
    """Something to be done every so many seconds, less often if it would take more than 2 % of the time."""

    def __init__(self, every: float, now: float) -> None:
        self.every = every
        self.last = now
        self.took = 0.0

    def due(self, now: float) -> bool:
        """Whether it is time again."""
        return now - self.last >= max(self.every, self.took / LARGEST_SHARE)

    def run(self, do: Callable[[], None], clock: Callable[[], float]) -> None:
        """Does it, and notes when and how long."""
        before = clock()
        do()
        self.last = clock()
        self.took = self.last - before


def by_the_first(write: Written) -> Written:
    """Leaves it to the first of the ranks: the others are in the same state and would write the same."""

    @wraps(write)
    def done(trainer: "Trainer", *arguments: Any) -> None:
        if trainer.ranks.first:
            write(trainer, *arguments)

    return done


class Trainer:
    """Plays a match to its end and keeps the run folder.

    With several ranks each has a trainer, and all decide alike: what they decide by is the same everywhere, or agreed.
    """

    def __init__(self, match: Match, task: Task, settings: Settings, run: Run, monitor: Monitor) -> None:
        self.match = match
        self.task = task
        self.settings = settings
        self.run = run
        self.monitor = monitor
        self.ranks = match.ranks
        self.board = open_board(run.tensorboard if settings.tensorboard and self.ranks.first else None)
        self.sums: dict[str, Tensor] = {}
        self.counts: Counter[str] = Counter()
        self.measured: dict[str, float] = {}
        self.logged = (match.state.images, match.state.seconds)
        self.speed = 0.0
        self.guard = Guard()
        self.guard.restore(match.state.guard)
        match.micro_batch.on_shrink = self._tell_shrunk

    def train(self) -> Ending:
        """Plays until the budget is used, quality stops improving, the numbers break, or somebody interrupts.

        Returns the state that the run ends in.
        Raises: RunError if the run folder cannot be written; what was saved before is whole.
        """
        self._summarise("running", "")
        try:
            with self.board, interruptible() as interrupted:
                ending, message = self._play(interrupted)
        except BaseException as error:
            # The disk may be what failed: then the summary cannot be written either, and the error says why.
            with contextlib.suppress(SparringError):
                stopped = isinstance(error, KeyboardInterrupt)
                self._summarise("interrupted" if stopped else "failed", str(error) or type(error).__name__)
            raise
        self._conclude(ending, message)
        return ending

    def _play(self, interrupted: Callable[[], bool]) -> tuple[Ending, str]:
        match, settings, state = self.match, self.settings, self.match.state
        begun = time.perf_counter() - state.seconds

        def clock() -> float:
            return self.ranks.largest(time.perf_counter() - begun)[0]

        logs, previews, saves, reports = (
            Clock(every, state.seconds)
            for every in (LOG_SECONDS, settings.preview_seconds, settings.save_seconds, REPORT_SECONDS)
        )
        if self.ranks.told(not self.run.steps()):
            state.kept = [state.step]
            saves.run(self._save, clock)  # a run that is killed at once can be resumed as well
        while True:
            ending = self._ending(any(self.ranks.largest(interrupted())))
            if ending is None:
                self._add(match.play())
                state.seconds = clock()
            passed = ending is None
            evaluate = passed and self._passed(settings.evaluate_every)
            checkpoint = passed and self._passed(settings.checkpoint_every)
            watch = passed and settings.guard != "off" and self._passed(settings.guard_every)
            if not (ending or evaluate or checkpoint or watch or logs.due(state.seconds)):
                continue
            if self.counts and (ending or evaluate or checkpoint or logs.due(state.seconds)):
                logs.run(self._log, clock)
            answer = self._answered(watch)
            state.seconds = clock()
            if isinstance(answer, tuple):
                return answer
            if answer == "went back":
                continue
            if ending:
                break
            if evaluate:
                self._evaluate()
            if checkpoint and not self.guard.suspects:
                state.kept = [*state.kept, state.step][-KEPT:]
            if checkpoint or saves.due(state.seconds):
                saves.run(self._save, clock)
            if previews.due(state.seconds):
                previews.run(self._preview, clock)
            if reports.due(state.seconds):
                reports.run(self._report, clock)
            state.seconds = clock()
        if ending[0] == "finished":
            self._evaluate()
        self._save()
        self._preview()
        return ending

    def _ending(self, interrupted: bool) -> tuple[Ending, str] | None:
        state, patience = self.match.state, self.settings.patience
        if self.match.progress >= 1:
            return "finished", "the budget is used"
        if patience and state.quality and state.images - state.improved_images >= patience:
            return "finished", f"quality has not improved for {patience:,} images"
        if interrupted:
            return "interrupted", "saved where it was"
        return None

    def _passed(self, every: int) -> bool:
        """Whether the last step reached or passed a multiple of `every` images."""
        images = self.match.state.images
        return images // every > (images - self.settings.batch) // every

    # What goes wrong

    def _answered(self, watch: bool) -> "tuple[Ending, str] | Literal['went on', 'went back']":
        """Looks whether something is wrong, thoroughly if it is time to, and does what there is to be done.

        Gives the end of the run, or how it goes on.
        """
        sound = self._is_sound()
        if sound and not watch:
            return "went on"
        if self.settings.guard == "off":
            return "went on" if sound else UNGUARDED
        if sound:
            vitals, finding = self.guard.watch(self.match.probe())
            state = self.match.state
            self._note({"images": state.images, "seconds": round(state.seconds, 3), "vitals": vitals}, {})
        else:
            finding = NOT_A_NUMBER
        if finding is None:
            return "went on"
        what = f"after {self.match.state.images:,} images {finding.words}"
        if self.settings.guard == "warn" and sound:
            return self._warn(finding, what)
        if self.settings.guard == "warn":
            return "stopped by the guard", f"{what}; guard=on would have gone back"
        return self._treat(finding, what)

    def _warn(self, finding: Finding, what: str) -> Literal["went on"]:
        if self.guard.warns(finding.signal):
            self._tell("warning", what)
        return "went on"

    def _treat(self, finding: Finding, what: str) -> "tuple[Ending, str] | Literal['went on', 'went back']":
        """Changes what can be changed, and takes the run back if the signal asks for it."""
        match, signal = self.match, finding.signal
        remedy = self.guard.remedy(signal, match.settings)
        if not signal.goes_back:
            if remedy is None:
                return self._warn(finding, what)
            match.change(remedy[1])
            self._tell(signal.name, f"{what}: {remedy[0]}")
            return "went on"
        if match.state.attempt == TRIES:
            kept = (
                f"the best generator, after {match.state.quality['images']:,} images,"
                if match.state.quality
                else "the last checkpoint"
            )
            return "stopped by the guard", f"{what}, for all that was tried {TRIES} times; {kept} is kept"
        there = self._go_back()
        if remedy:
            match.change(remedy[1])
        self._settle()
        done = f" and {remedy[0]}" if remedy else ""
        self._tell(signal.name, f"{what}: went back to {there:,} images{done} (try {match.state.attempt} of {TRIES})")
        return "went back"

    def _go_back(self) -> int:
        """Takes the match back to the newest checkpoint that is kept, or the one before if that did not help.

        Returns the images that had been seen there.
        """
        match, before = self.match, self.match.state
        kept = before.kept[:-1] if len(before.kept) > 1 and before.kept[-1] == before.taken_back_to else before.kept
        self.ranks.wait()
        groups, state = self.run.load_checkpoint(self.settings.device, kept[-1])
        alarms = self.guard.alarms
        match.restore(groups, state)
        now = match.state
        now.kept, now.taken_back_to, now.attempt, now.changes = kept, kept[-1], before.attempt + 1, before.changes
        now.seconds, now.quality, now.best, now.improved_images = (
            before.seconds,
            before.quality,
            before.best,
            now.images,
        )
        self.guard.restore(now.guard | {"alarms": alarms})
        self.sums, self.counts, self.measured = {}, Counter(), {}
        self.logged = (now.images, now.seconds)
        return now.images

    def _settle(self) -> None:
        """Makes what was changed last: who resumes goes on with it, and nothing later than it is left."""
        if self.ranks.first:
            step = self.match.state.step
            self.match.state.guard = self.guard.state()
            self.run.keep_checkpoints(set(self.match.state.kept))
            self.run.restate(step, self.match.snapshot())
            self.run.forget_after(self.match.state.images)
        self.ranks.wait()

    def _tell(self, event: str, message: str) -> None:
        self.monitor.note(f"guard: {message}", urgent=True)
        if self.ranks.first:
            self.run.event(event, self.match.state.images, message)

    # What is measured

    def _add(self, terms: dict[str, Tensor]) -> None:
        self.guard.add(terms)
        for name, term in terms.items():
            self.sums[name] = self.sums[name] + term if name in self.sums else term
            self.counts[name] += 1  # a penalty need not be part of every step

    def _log(self) -> None:
        state = self.match.state
        images, seconds = state.images - self.logged[0], state.seconds - self.logged[1]
        self.speed = images / max(seconds, 1e-9)
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.measured = {
            "images": state.images,
            "seconds": round(state.seconds, 3),
            "images_per_second": round(self.speed, 2),
            "accuracy": (1 + means.pop("sign")) / 2,
            **means,
            **self.match.schedule(),
        }
        self.sums, self.counts, self.logged = {}, Counter(), (state.images, state.seconds)
        self._note({k: v if math.isfinite(v) else None for k, v in self.measured.items()}, self.measured)
        self._summarise("running", "")

    def _is_sound(self) -> bool:
        # The losses were computed before the last update, so the weights are looked at as well.
        return all(math.isfinite(value) for value in self.measured.values()) and self.match.is_sound()

    def _seconds_left(self) -> float:
        if self.settings.minutes is not None:
            return max(60 * self.settings.minutes - self.match.state.seconds, 0.0)
        return max((self.settings.images or 0) - self.match.state.images, 0) / max(self.speed, 1e-9)

    def _evaluate(self) -> None:
        """Judges the averaged generator; the best so far becomes the generator to use."""
        state = self.match.state
        if state.evaluated_images == state.images:
            return
        state.evaluated_images = state.images
        self._write_grid(self.run.samples / f"grid-{state.images:09d}.png")
        try:
            judged = self.task.judge(self.match.average)
        except MetricError as error:
            # Too few pictures to compare: then the newest generator is the one to use.
            self.monitor.note(str(error), urgent=True)
            self._keep_generator()
            return
        quality = judged.to_json()
        self._note(
            {"images": state.images, "seconds": round(state.seconds, 3), "quality": quality["metrics"]},
            {f"quality/{name}": result.value for name, result in judged.metrics.items()},
        )
        self.guard.judge(judged.metrics["fid"].estimate, judged.metrics["recall"].estimate)
        metric = self.settings.quality_metric
        value = self.ranks.told(judged.value(metric))  # other machines may round otherwise
        if improves(metric, value, state.best):
            state.improved_images = state.images
        # Of equals, above all of zeros at the start, the newest is the best.
        if state.best is None or not improves(metric, state.best, value):
            state.best = value
            state.quality = {**quality, "metric": metric, "images": state.images}
            self._keep_generator()

    # What is written

    @by_the_first
    def _note(self, line: dict[str, Any], scalars: dict[str, float]) -> None:
        self.run.append("metrics.jsonl", line)
        self.board.scalars(scalars, self.match.state.images)
        self.monitor.update(line, min(self.match.progress, 1.0), self._seconds_left())

    @by_the_first
    def _conclude(self, ending: Ending, message: str) -> None:
        if ending == "finished":
            for name, picture in self.task.illustrations(self.match.average).items():
                self.run.save_picture(picture, self.run.samples / f"{name}.png")
        self._summarise(ending, message)
        self.run.event(ending, self.match.state.images, message)
        self._report()

    @by_the_first
    def _keep_generator(self) -> None:
        self.run.save_generator(self.match.average, self.task.describe())

    @by_the_first
    def _save(self) -> None:
        self.match.state.guard = self.guard.state()
        if self.match.state.quality is None:
            self._keep_generator()
        self.run.save_checkpoint(self.match.state.step, self.match.tensors(), self.match.snapshot())
        self.run.keep_checkpoints({*self.match.state.kept, self.match.state.step})

    @by_the_first
    def _report(self) -> None:
        report.write(self.run.folder)

    def _preview(self) -> None:
        self._write_grid(self.run.samples / "latest.png")

    @by_the_first
    def _write_grid(self, path: Path) -> None:
        pictures = self.task.preview(self.match.average)
        self.run.save_picture(grid(pictures), path)
        self.board.grid(pictures, self.match.state.images)
        self.monitor.preview(path)

    @by_the_first
    def _summarise(self, state: str, message: str) -> None:
        now = self.match.state
        self.run.write_summary(
            state=state,
            message=message,
            task=self.settings.task,
            images=now.images,
            seconds=round(now.seconds, 3),
            images_per_second=round(now.images / now.seconds, 2) if now.seconds else 0.0,
            quality=now.quality,
            device=self.settings.device,
        )

    def _tell_shrunk(self, size: int) -> None:
        self.monitor.note(shrunk(size), urgent=True)
        if self.ranks.first:
            self.run.event("out of memory", self.match.state.images, shrunk(size))


def shrunk(size: int) -> str:
    """What people are told when memory ran out."""
    return f"out of memory: {size} images at a time from now on; the result is the same, it takes longer"


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C or SIGTERM into a wish that the loop reads; the second one acts at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        restore()

    def restore() -> None:
        for kind, handler in before.items():
            signal.signal(kind, handler)

    before = {kind: signal.signal(kind, ask) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        restore()
