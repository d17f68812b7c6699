"""The loop: what happens after each step, at fixed counts of images, and by the clock. It knows no application.

Nothing done by the clock (log, preview, save) changes the result. What does change it (evaluation, the choice of the
best, stopping) happens at fixed counts of images, so that a run killed and resumed ends like one that never was.
"""

import contextlib
import copy
import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from types import FrameType
from typing import Any, Literal

from safetensors.torch import load_file
from torch import Tensor

from sparring.config import Settings
from sparring.errors import MetricError, SparringError
from sparring.evaluation.catalogue import METRICS, improves
from sparring.evaluation.judgement import summary
from sparring.films import FASTEST_OF_GIF, SLOWEST, write_film
from sparring.footage import sheet, side_by_side
from sparring.mosaic import grid
from sparring.output import as_lines, ending_of
from sparring.tasks import Footage, Task, Tempered
from sparring.training import report
from sparring.training.files import write_text
from sparring.training.guard import Vitals
from sparring.training.match import Match
from sparring.training.monitor import Monitor
from sparring.training.next_steps import left_behind
from sparring.training.run import BEFORE, Run
from sparring.training.tracking import open_board
from sparring.training.treatment import Outcome, Treatment
from sparring.wording import things

LOG_SECONDS = 2.0
REPORT_SECONDS = 30.0
LARGEST_SHARE = 0.02
KEPT = 2
PREVIEW_SIDE = 96
"""Pixels of each clip of a preview, about: a film of all of them is kept for every evaluation."""

JUDGE_KEPT = ("generate", "text", "molecules")
"""Tasks whose discriminator is of use later: it tells the better of several samples."""

LESSONS_KEPT = ("text", "molecules")
"""Tasks of which what their generators had learned before the game is of use later."""

Written = Callable[..., None]

Ending = Literal["finished", "interrupted", "stopped by the guard", "failed"]

BROKEN: tuple[Ending, str] = (
    "failed",
    "a loss or a weight is no longer a number, and there is no guard; the last checkpoint is from before, and "
    "`sparring resume RUN --guard on` goes on from it",
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
        self.seen = things(settings.task)[2]
        self.board = open_board(run.tensorboard if settings.tensorboard and self.ranks.first else None)
        self.sums: dict[str, Tensor] = {}
        self.counts: Counter[str] = Counter()
        self.measured: dict[str, float] = {}
        self.logged = (match.state.images, match.state.seconds)
        self.speed = 0.0
        self.protocol = ""
        self.unjudged = ""
        self.space = ""
        self.treatment = Treatment(match, run, monitor)
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
            stopped = isinstance(error, KeyboardInterrupt)
            # The disk may be what failed: then the summary cannot be written either, and the error says why.
            with contextlib.suppress(SparringError):
                self._summarise("interrupted" if stopped else "failed", str(error) or type(error).__name__)
            if stopped:
                error.add_note(left_behind(self.run.folder))  # in Python; the command line says so itself
            raise
        self._conclude(ending, message)
        return ending

    def _play(self, interrupted: Callable[[], bool]) -> tuple[Ending, str]:
        match, settings = self.match, self.settings
        begun = time.perf_counter() - match.state.seconds

        def clock() -> float:
            match.state.seconds = self.ranks.largest(time.perf_counter() - begun)[0]
            return match.state.seconds

        logs, previews, saves, reports = (
            Clock(every, match.state.seconds)
            for every in (LOG_SECONDS, settings.preview_seconds, settings.save_seconds, REPORT_SECONDS)
        )
        saved = self.ranks.told(self.run.steps())
        if match.state.step not in saved:
            match.state.kept = [*saved, match.state.step]
            saves.run(self._save, clock)  # a run that is killed at once can be resumed as well
        while True:
            ending = self._ending(any(self.ranks.largest(interrupted())))
            if ending is None:
                if match.playing and not match.begun:
                    self._begin()
                self._add(match.play())
            seconds = clock()
            evaluate, checkpoint, watch = (
                ending is None and self._passed(every)
                for every in (settings.evaluate_every, settings.checkpoint_every, settings.guard_every)
            )
            watch |= checkpoint  # only what is seen to be healthy is gone back to
            log = ending is not None or evaluate or checkpoint or logs.due(seconds)
            if not (log or watch):
                continue
            if log and self.counts:
                logs.run(self._log, clock)
            outcome = self._looked_after(watch)
            if outcome == "given up":
                return ("stopped by the guard", verdict) if (verdict := self.treatment.verdict) else BROKEN
            if outcome == "went back":
                self._forget()
                continue
            if ending:
                break
            lessons = not match.begun
            if evaluate:
                self._evaluate()
            if checkpoint and not self.treatment.guard.suspects:
                match.state.kept = [*match.state.kept, match.state.step][-KEPT:]
                if self.treatment.guard.at_its_best:
                    match.state.best_step = match.state.step
            # What the lessons ended with is in a file that the next evaluation of the game may replace.
            if checkpoint or saves.due(seconds) or (lessons and match.begun):
                saves.run(self._save, clock)
            if previews.due(seconds):
                previews.run(self._preview, clock)
            if reports.due(seconds):
                reports.run(self._report, clock)
            clock()
        if ending[0] == "finished":
            self._evaluate()
        self._save()
        self._preview()
        return ending

    def _looked_after(self, watch: bool) -> Outcome:
        """Nothing is saved that is not sound; the guard looks closer where it is due."""
        sound = self._is_sound()
        if self.settings.guard == "off":
            return "went on" if sound else "given up"
        if not sound:
            return self.treatment.of_broken_numbers()
        watched = watch and self.treatment.guard.counts
        return self.treatment.at_a_watch(self._note_vitals) if watched else "went on"

    def _ending(self, interrupted: bool) -> tuple[Ending, str] | None:
        state, patience = self.match.state, self.settings.patience
        if self.match.progress >= 1:
            return "finished", "the budget is used"
        if patience and state.quality and state.images - state.improved_images >= patience:
            return "finished", f"quality has not improved for {patience:,} {self.seen}"
        if interrupted:
            return "interrupted", "saved where it was"
        return None

    def _passed(self, every: int) -> bool:
        """Whether the last step reached or passed a multiple of `every` images."""
        images = self.match.state.images
        return images // every > (images - self.settings.batch) // every

    # What is measured

    def _add(self, terms: dict[str, Tensor]) -> None:
        if self.settings.guard != "off" and "sign" in terms:  # before the game there is nothing for it to watch
            self.treatment.guard.add(terms)
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
            **({"accuracy": (1 + means.pop("sign")) / 2} if "sign" in means else {}),
            **means,
            **self.match.schedule(),
        }
        self.sums, self.counts, self.logged = {}, Counter(), (state.images, state.seconds)
        self._note({k: v if math.isfinite(v) else None for k, v in self.measured.items()}, self.measured)
        self._summarise("running", "")

    def _note_vitals(self, vitals: Vitals) -> None:
        state = self.match.state
        known = {name: value if math.isfinite(value) else None for name, value in vitals.items()}
        self._note({"images": state.images, "seconds": round(state.seconds, 3), "vitals": known}, {})

    def _forget(self) -> None:
        """What was measured since the last log is of a match that is no more."""
        self.sums, self.counts, self.measured = {}, Counter(), {}
        self.logged = (self.match.state.images, self.match.state.seconds)

    def _is_sound(self) -> bool:
        # The losses were computed before the last update, so the weights are looked at as well.
        # A norm may overflow where the gradients do not; that is for the guard, which looks at fixed counts of images.
        losses = [value for name, value in self.measured.items() if not name.endswith("_gradient")]
        return all(math.isfinite(value) for value in losses) and self.match.is_sound()

    def _seconds_left(self) -> float:
        if self.settings.minutes is not None:
            return max(60 * self.settings.minutes - self.match.state.seconds, 0.0)
        return max((self.settings.images or 0) - self.match.state.images, 0) / max(self.speed, 1e-9)

    def _evaluate(self) -> None:
        """Judges the averaged generator; the best so far becomes the generator to use."""
        state = self.match.state
        if state.evaluated_images == state.images:
            return
        if self._deciding != (state.quality or {}).get("metric", self._deciding):
            # Numbers of another metric do not compare; that generator is still the one to beat.
            known = (state.quality or {})["metrics"].get(self._deciding)
            state.best, state.improved_images = self.ranks.told(known and known["value"]), state.images
            state.quality = {**(state.quality or {}), "metric": self._deciding}
        state.evaluated_images = state.images
        self._write_preview(f"grid-{state.images:09d}")
        metric = self._deciding
        try:
            judged = self.task.judge(self.match.average)
            value = judged.result(metric).value
        except MetricError as error:
            # Too few or too small pictures to compare: then the newest generator is the one to use.
            self._tell_unjudged(f"quality cannot be measured ({error}): the newest generator is the one to use")
            self._keep_generator()
            return
        quality = judged.to_json()
        self.space = (judged.protocol["features"] or {}).get("name", "")
        self._tell_protocol(summary(judged.protocol))
        self._note(
            {"images": state.images, "seconds": round(state.seconds, 3), "quality": quality["metrics"]},
            {f"quality/{name}": result.value for name, result in judged.metrics.items()},
        )
        self.treatment.guard.judge(self.ranks.told({name: r.estimate for name, r in judged.metrics.items()}))
        value = self.ranks.told(value)  # other machines may round otherwise
        if improves(metric, value, state.best):
            state.improved_images = state.images
        # Of equals, above all of zeros at the start, the newest is the best.
        if state.best is None or not improves(metric, state.best, value):
            state.best = value
            state.quality = {**quality, "metric": metric, "images": state.images}
            self._keep_generator()
        elif self.settings.supervised_metric and self.settings.adversarial and not self.match.playing:
            self._end_the_lesson()

    def _tell_unjudged(self, reason: str) -> None:
        """Why there are no numbers: once, for it stays so."""
        if reason != self.unjudged:
            self.monitor.note(reason, urgent=True)
        self.unjudged = reason

    def _tell_protocol(self, protocol: str) -> None:
        """What the numbers hold under, above the first of them rather than in each line."""
        if protocol != self.protocol:
            self.monitor.note(f"how quality is measured: {protocol}")
            metric = self.settings.quality_metric
            self.monitor.note(f"the generator of the best {metric} is kept: {METRICS[metric].title}")
        self.protocol = protocol

    def _begin(self) -> None:
        """The game begins; what the generator has learned before it is kept, to compare with."""
        if self.match.state.learned:
            self.match.take_over(load_file(self.run.folder / BEFORE, self.settings.device))
        self._note_trade_off("before the game")
        if self.settings.task in LESSONS_KEPT and self.ranks.first:
            self.run.save_generator(self.match.average, self.task.describe(), BEFORE)
        self.match.begin()

    @by_the_first
    def _note_trade_off(self, when: str) -> None:
        if isinstance(self.task, Tempered):
            state, generator = self.match.state, self.match.average
            if when != "before the game":
                generator = copy.deepcopy(generator)
                generator.load_state_dict(load_file(self.run.generator, self.settings.device))
            try:
                points = self.task.trade_off(generator)
            except MetricError as error:  # too few texts to judge by, which an evaluation has said as well
                self.monitor.note(f"quality is not weighed against variety {when}: {error}")
                return
            self.run.append("metrics.jsonl", {"images": state.images, "trade_off": {"when": when, "points": points}})

    @property
    def _deciding(self) -> str:
        """The metric that decides which generator is the best, in this part of the run."""
        before = self.settings.supervised_metric
        return self.settings.quality_metric if self.match.playing or before is None else before

    def _end_the_lesson(self) -> None:
        """More of it would make the generator know its lessons by heart: the game begins, from the best so far."""
        match, state = self.match, self.match.state
        match.take_over(load_file(self.run.generator, self.settings.device))
        self._begin()
        best = (state.quality or {})["images"]
        said = f"the generator began to learn by heart, and was taken back to what it was after {best:,} {self.seen}"
        self.monitor.note(f"the game begins: {said}")
        if self.ranks.first:
            self.run.event("game begins", state.images, said)

    # What is written

    @by_the_first
    def _note(self, line: dict[str, Any], scalars: dict[str, float]) -> None:
        self.run.append("metrics.jsonl", line)
        self.board.scalars(scalars, self.match.state.images)
        self.monitor.update(
            {**line, "seen": self.seen, "space": self.space}, min(self.match.progress, 1.0), self._seconds_left()
        )

    @by_the_first
    def _conclude(self, ending: Ending, message: str) -> None:
        if ending == "finished":
            self._note_trade_off("at the end")
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
        self.match.state.guard = self.treatment.guard.state()
        if self.match.state.quality is None:
            self._keep_generator()
        if self.settings.task in JUDGE_KEPT and self.match.playing:
            self.run.save_judge(self.match.discriminator.module, self.task.describe())
        self.run.save_checkpoint(self.match.state.step, self.match.tensors(), self.match.snapshot())
        self.run.keep_checkpoints(self.match.state.keeps | {self.match.state.step})

    @by_the_first
    def _report(self) -> None:
        report.write(self.run.folder)

    def _preview(self) -> None:
        self._write_preview("latest")

    @by_the_first
    def _write_preview(self, name: str) -> None:
        shown = self.task.preview(self.match.average)
        if isinstance(shown, Tensor):
            path = self.run.samples / f"{name}.png"
            self.run.save_picture(grid(shown), path)
            self.board.grid(shown, self.match.state.images)
        elif isinstance(shown, Footage):
            path = self.run.samples / f"{name}.png"
            self.run.save_picture(sheet(shown.clips), path)
            playing = side_by_side(shown.clips[:, None], PREVIEW_SIDE)
            write_film(playing, path.with_suffix(".gif"), min(max(shown.rate, SLOWEST), FASTEST_OF_GIF), {})
            self.board.grid(shown.clips[:, 0], self.match.state.images)
        else:
            path = self.run.samples / f"{name}{ending_of(shown)}"
            write_text(path, as_lines(shown, path.suffix))
            self.board.texts(shown, self.match.state.images)
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
    return f"out of memory: {size} samples at a time from now on, which takes longer"


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
