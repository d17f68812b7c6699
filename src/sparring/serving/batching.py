"""The line of requests before one model: bounded, and worked off by one thread, which joins pictures into batches.

Nothing but that thread ever touches the model, so that there are no locks around it, and the event loop stays free.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sparring.errors import RunError, SparringError
from sparring.model import Model
from sparring.serving.drawing import Painter, Recipe
from sparring.serving.errors import RequestError, busy
from sparring.serving.requests import SampleRequest
from sparring.tasks.generate import FORWARD

QUEUE = 1024
"""Samples that may wait before one model; who comes later is told to try again."""

LATENCY = 0.005
"""Seconds that a picture waits at most for others to share its batch, where nothing else is being made and the batch
before had several: who asks alone does not wait for nobody."""

REMEMBERED = 64 * 2**20
"""Bytes of pictures that are kept, since people go back and forth between settings."""

AROUND = 2048
"""Bytes that a remembered picture takes beside its pixels, roughly: tiny ones are mostly that."""

LONG = QUEUE // 8
"""What a job of unknown length counts for: so many samples."""


@dataclass(frozen=True)
class Loaded:
    """A model in memory and the SHA-256 of its file. painter: for a generator of pictures from noise.

    beside: what else its pictures may depend on; another one stands for other directions.
    """

    model: Model
    digest: str
    painter: Painter | None
    beside: Hashable = None


@dataclass(frozen=True)
class Answer:
    """What came of a job, and the digest of the model that it is by."""

    value: Any
    digest: str


@dataclass
class Job:
    """What a request waits for. draw: pictures that may share batches; else `call` says what is to be done."""

    cost: int
    draw: SampleRequest | None = None
    call: Callable[[Loaded], Any] | None = None
    answer: Future[Answer] = field(default_factory=Future)
    came: float = field(default_factory=time.monotonic)


class Line:
    """The jobs before one model, and the thread that does them.

    load: gives the model, a newer one when its file has changed. watch: told the size of every batch. full: pictures
    that are worth a batch; more are not taken together, so that those of one batch are answered while the next is made.
    """

    def __init__(self, name: str, load: Callable[[], Loaded], watch: Callable[[int], None] = lambda _: None) -> None:
        self.load, self.watch = load, watch
        self.jobs: deque[Job] = deque()
        self.waiting = 0
        self.closed = False
        self.crowded = False
        self.full = FORWARD
        self.changed = threading.Condition()
        self.remembered = Remembered(REMEMBERED)
        self.thread = threading.Thread(target=self.work, name=f"model {name}", daemon=True)
        self.thread.start()

    def draw(self, asked: SampleRequest) -> Future[Answer]:
        """Pictures uint8 (C, H, W), a list. Raises: RequestError if too many wait."""
        return self.submit(Job(asked.count, draw=asked))

    def call(self, work: Callable[[Loaded], Any], cost: int = LONG) -> Future[Answer]:
        """Whatever `work` makes of the model. Raises: RequestError if too many wait."""
        return self.submit(Job(cost, call=work))

    def submit(self, job: Job) -> Future[Answer]:
        """Puts a job at the end. An empty line takes any."""
        with self.changed:
            if self.closed:
                raise RequestError("stopping", "the server is stopping")
            if self.waiting and self.waiting + job.cost > QUEUE:
                raise busy("too many requests wait for this model: try again in a second")
            self.jobs.append(job)
            self.waiting += job.cost
            # The thread waits for a first job, or for a full batch: what comes between should not wake it.
            if len(self.jobs) == 1 or job.draw is None or self.waiting >= self.full:
                self.changed.notify()
        return job.answer

    def close(self) -> None:
        """Does what was taken, takes no more, and ends."""
        with self.changed:
            self.closed = True
            self.changed.notify()
        self.thread.join()

    def work(self) -> None:
        """The thread."""
        while (taken := self.take()) is not None:
            # Nobody waits any more for those that were cancelled; the others can no longer be.
            jobs = [job for job in taken if job.answer.set_running_or_notify_cancel()]
            try:
                self.do(jobs)
            except Exception as error:  # whatever it is, clients should hear of it, and the thread go on
                for job in jobs:
                    if not job.answer.done():
                        job.answer.set_exception(error)

    def take(self) -> list[Job] | None:
        """The next jobs that are done together, at least one; None when the line is closed and empty."""
        with self.changed:
            while not self.jobs:
                if self.closed:
                    return None
                self.changed.wait()
            if self.jobs[0].draw is not None and self.crowded:
                # Who has waited for an earlier batch does not wait again.
                until = self.jobs[0].came + LATENCY
                while (left := until - time.monotonic()) > 0 and self.waiting < self.full and not self.closed:
                    self.changed.wait(left)
            taken = [self.pop()]
            rows = taken[0].cost
            while taken[0].draw is not None and self.jobs and self.jobs[0].draw is not None and rows < self.full:
                taken.append(self.pop())
                rows += taken[-1].cost
            self.crowded = len(taken) > 1
            return taken

    def pop(self) -> Job:
        """The first job."""
        job = self.jobs.popleft()
        self.waiting -= job.cost
        return job

    def do(self, jobs: list[Job]) -> None:
        """Sets the answers of jobs that were taken together."""
        loaded = self.load()
        self.full = loaded.painter.most if loaded.painter else FORWARD
        for job in jobs:
            if job.call is not None:
                job.answer.set_result(Answer(job.call(loaded), loaded.digest))
        if draws := [job for job in jobs if job.draw is not None]:
            self.paint(loaded, draws)

    def paint(self, loaded: Loaded, jobs: list[Job]) -> None:
        """Makes the pictures of several requests, each that is asked for twice or was made before once."""
        if loaded.painter is None:
            raise RunError("this generator makes no pictures of noise, but changes pictures: POST /v1/apply")
        wanted: list[tuple[Job, list[Recipe]]] = []
        for job in jobs:
            assert job.draw is not None
            try:
                wanted.append((job, loaded.painter.recipes(job.draw)))
            except SparringError as error:
                job.answer.set_exception(error)
        known = self.remembered.of((loaded.digest, loaded.beside))
        recipes = dict.fromkeys(recipe for _, recipes in wanted for recipe in recipes)
        pictures = {recipe: known[recipe] for recipe in recipes if recipe in known}
        missing = [recipe for recipe in recipes if recipe not in pictures]
        for start in range(0, len(missing), loaded.painter.most):
            part = missing[start : start + loaded.painter.most]
            self.watch(len(part))
            pictures |= zip(part, loaded.painter(part), strict=True)
        for job, recipes_of_job in wanted:
            made = [pictures[recipe] for recipe in recipes_of_job]
            job.answer.set_result(Answer(made, loaded.digest))
        self.remembered.keep(pictures)


class Remembered:
    """The pictures of one model that were asked for last, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.source: Hashable = None
        self.pictures: OrderedDict[Recipe, Tensor] = OrderedDict()

    def of(self, source: Hashable) -> Mapping[Recipe, Tensor]:
        """The pictures by a model; those by another are forgotten."""
        if source != self.source:
            self.source, self.size = source, 0
            self.pictures.clear()
        return self.pictures

    def keep(self, pictures: Mapping[Recipe, Tensor]) -> None:
        """Keeps these, and as many of the others as there is room for."""
        for recipe, picture in pictures.items():
            if recipe not in self.pictures:
                # A copy: a row of a batch would keep the whole of it.
                self.pictures[recipe] = picture.clone()
                self.size += picture.nbytes + AROUND
            self.pictures.move_to_end(recipe)
        while self.size > self.limit:
            _, oldest = self.pictures.popitem(last=False)
            self.size -= oldest.nbytes + AROUND


def total(lines: Sequence[Line]) -> int:
    """Samples that wait before some models."""
    return sum(line.waiting for line in lines)
