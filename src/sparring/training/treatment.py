"""What is done about the findings of the guard: say it, change a setting, take the run back, or give it up.

All ranks do the same, for what they decide by is the same everywhere.
"""

from collections.abc import Callable
from typing import Literal

from sparring.training.guard import NOT_A_NUMBER, TRIES, Finding, Guard, Vitals
from sparring.training.match import Match
from sparring.training.monitor import Monitor
from sparring.training.run import Run
from sparring.wording import things

Outcome = Literal["went on", "went back", "given up"]
"""What was due after this step is for a match that went on as it was, and not for one that went back."""


class Treatment:
    """Keeps a match healthy.

    verdict: why the run was given up, once it is.
    """

    def __init__(self, match: Match, run: Run, monitor: Monitor) -> None:
        self.match = match
        self.run = run
        self.monitor = monitor
        self.ranks = match.ranks
        self.how = match.settings.guard
        self.seen = things(match.settings.task)[2]
        self.guard = Guard()
        self.guard.restore(match.state.guard)
        self.verdict = ""

    def of_broken_numbers(self) -> Outcome:
        """After a loss or a weight turned out to be no number."""
        if self.how == "on":
            return self._treat(NOT_A_NUMBER)
        self.verdict = f"{self._when(NOT_A_NUMBER)}; `sparring resume RUN --guard on` goes back to before and on"
        return "given up"

    def at_a_watch(self, note: Callable[[Vitals], None]) -> Outcome:
        """Looks how the game stands, tells `note` of it, and does what there is to be done."""
        vitals, finding = self.guard.watch(self.match.probe())
        note(vitals)
        if finding is None:
            return "went on"
        return self._treat(finding) if self.how == "on" else self._warn(finding)

    def _when(self, finding: Finding) -> str:
        return f"after {self.match.state.images:,} {self.seen} {finding.words}"

    def _warn(self, finding: Finding) -> Outcome:
        if self.guard.is_news(finding.signal):
            left = "; nothing is left to change" if self.how == "on" else ""
            self._tell("warning", f"{self._when(finding)}{left}")
        return "went on"

    def _treat(self, finding: Finding) -> Outcome:
        match, signal, when = self.match, finding.signal, self._when(finding)
        if signal.goes_back and match.state.attempt == TRIES:
            quality = match.state.quality
            kept = f"the best generator, of {quality['images']:,} {self.seen}," if quality else "the last checkpoint"
            self.verdict = f"{when}; {TRIES} tries did not help: {kept} is kept"
            return "given up"
        change = self.guard.remedy(signal, match.settings, match.state.attempt)
        if not signal.goes_back:
            if change is None:
                return self._warn(finding)
            match.change(change.settings)
            self.guard.begin_anew()
            self._tell(signal.name, f"{when}: {change.words}")
            return "went on"
        seen = match.state.images
        if change and change.discriminator_alone:
            done = f"{change.words} to {self._take_discriminator_back():,} {self.seen}"
        else:
            self._go_back(to_its_best=signal.of_quality)
            match.change(change.settings if change else {})  # what was changed before counts from here on too
            done = f"went back to {match.state.images:,} {self.seen}{f' and {change.words}' if change else ''}"
        self._settle()
        self._tell(signal.name, f"{when}: {done} (try {match.state.attempt} of {TRIES})", seen)
        return "went back"

    def _take_discriminator_back(self) -> int:
        """Lets the generator play on against the discriminator of the newest healthy checkpoint.

        Returns the images that it had seen.
        """
        state = self.match.state
        self.ranks.wait()
        tensors, then = self.run.load_checkpoint(self.match.settings.device, latest=state.kept[-1])
        self.match.restore_discriminator(tensors)
        state.attempt, state.improved_images = state.attempt + 1, state.images
        self.guard.begin_anew()
        images: int = then["images"]
        return images

    def _go_back(self, *, to_its_best: bool) -> None:
        """Takes the match back to the newest healthy checkpoint, or the one before if that did not help.

        What declines slowly has declined at the newest already: then it goes back to when it was at its best. The
        clock, the best generator and what was changed before stay.
        """
        match, before = self.match, self.match.state
        kept = before.kept
        if to_its_best and before.best_step is not None:
            kept = [before.best_step]
        elif len(kept) > 1 and kept[-1] == before.taken_back_to:
            kept = kept[:-1]
        self.ranks.wait()
        match.restore(*self.run.load_checkpoint(match.settings.device, latest=kept[-1]))
        now = match.state
        now.attempt, now.kept, now.taken_back_to = before.attempt + 1, kept, kept[-1]
        if before.best_step is not None and before.best_step <= now.step:
            now.best_step = before.best_step
        else:
            now.best_step = None  # its checkpoint is of a course that is no more, or gone
        now.seconds, now.changes = before.seconds, before.changes
        now.quality, now.best, now.improved_images = before.quality, before.best, now.images
        # The best generator so far may be of the game, and cannot say how well more lessons go.
        lessons_end_early = match.settings.supervised_metric is not None
        now.learned = lessons_end_early and now.begun_images < 0 and (before.learned or before.begun_images >= 0)
        self.guard.restore({**now.guard, "alarms": self.guard.alarms})
        self.guard.begin_anew()

    def _settle(self) -> None:
        """Makes it last: who resumes goes on from here, and nothing later is left."""
        state = self.match.state
        state.guard = self.guard.state()
        if self.ranks.first:
            self.run.keep_checkpoints(state.keeps | {state.step})
            if state.step in self.run.steps():
                self.run.restate(state.step, self.match.snapshot())
            else:  # with a discriminator of another time this match was never saved
                self.run.save_checkpoint(state.step, self.match.tensors(), self.match.snapshot())
            self.run.forget_after(state.images)
        self.ranks.wait()

    def _tell(self, event: str, message: str, images: int | None = None) -> None:
        if self.ranks.first:
            self.monitor.note(f"guard: {message}", urgent=True)
            self.run.event(event, self.match.state.images if images is None else images, message)
