"""What takes longer than a request should: done one after another beside the lines of samples, and asked for by its id.

There is one thread for all runs, which has models of its own, so that nobody's samples wait for it.
"""

import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel

from sparring.errors import SparringError
from sparring.serving.errors import RequestError, busy
from sparring.wording import printable

WAITING = 8
"""Jobs that wait; who comes later is told to try again."""

LONGEST = 120.0
"""Seconds that a job may take."""

KEPT, KEPT_FOR = 64, 600.0
"""Jobs that are done and can still be asked for, and the seconds that they can."""

NICE = 10
"""How far the thread stands back for those that make samples, where the system knows threads: 19 would be the most."""

AGAIN = {"Retry-After": "10"}

Tell = Callable[[str, int, int], None]


class JobState(BaseModel):
    """How far a job is. `result` comes with `done`, `message` with `failed`; `ahead` are the jobs before it."""

    id: str
    run: str
    state: Literal["waiting", "running", "done", "failed"]
    ahead: int = 0
    step: int = 0
    steps: int = 0
    message: str | None = None


class StoppedError(Exception):
    """Why a job goes no further."""


class Job:
    """A piece of work, and what has come of it. work: is given what to tell its steps."""

    def __init__(self, run: str, work: Callable[[Tell], Any]) -> None:
        self.id, self.run, self.work = secrets.token_urlsafe(16), run, work
        self.state: Literal["waiting", "running", "done", "failed"] = "waiting"
        self.step, self.steps = 0, 0
        self.result: Any = None
        self.message: str | None = None
        self.ends = 0.0
        """When it has to be done; once it is, when it is forgotten."""
        self.unwanted = ""
        """Why it should end."""

    def tell(self, _: str, step: int, steps: int) -> None:
        """Takes note of a step. Raises: StoppedError if it was the last one for now."""
        self.step, self.steps = step, steps
        if self.unwanted:
            raise StoppedError(self.unwanted)
        if time.monotonic() > self.ends:
            raise StoppedError(f"it took longer than {LONGEST:g} seconds: ask for fewer steps")


class Workshop:
    """The jobs, and the thread that does them."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.line: deque[Job] = deque()
        self.changed = threading.Condition()
        self.running: Job | None = None
        self.closed = False
        self.thread: threading.Thread | None = None

    def submit(self, run: str, work: Callable[[Tell], Any]) -> Job:
        """Puts a job at the end.

        Raises: RequestError if too many wait.
        """
        with self.changed:
            self.forget()
            if self.closed:
                raise RequestError("stopping", "the server is stopping")
            if len(self.line) >= WAITING:
                raise busy("too many pictures wait for their latents: try again in a while", AGAIN)
            if self.thread is None:
                self.thread = threading.Thread(target=self.do_all, name="jobs", daemon=True)
                self.thread.start()
            job = Job(run, work)
            self.jobs[job.id] = job
            self.line.append(job)
            self.changed.notify()
            return job

    def __getitem__(self, number: str) -> Job:
        """The job of an id.

        Raises: RequestError if there is none, any more.
        """
        with self.changed:
            self.forget()
            if number not in self.jobs:
                raise RequestError("not_found", f"no such job: a result is kept for {KEPT_FOR / 60:g} minutes")
            return self.jobs[number]

    def ahead(self, job: Job) -> int:
        """How many are done before it."""
        with self.changed:
            return self.line.index(job) + (self.running is not None) if job in self.line else 0

    def drop(self, job: Job) -> None:
        """Ends a job, or takes it out of the line, and forgets it."""
        with self.changed:
            job.unwanted = "it was called off"
            with suppress(ValueError):
                self.line.remove(job)
            self.jobs.pop(job.id, None)

    def close(self) -> None:
        """Ends all: they would take too long to be waited for."""
        with self.changed:
            self.closed = True
            self.line.clear()
            if self.running is not None:
                self.running.unwanted = "the server is stopping"
            self.changed.notify()
        if self.thread is not None:
            self.thread.join()

    def forget(self) -> None:
        """Drops what was done long ago, and the oldest where there are too many."""
        ended = [job for job in self.jobs.values() if job.state in ("done", "failed")]
        for number, job in enumerate(ended):
            if job.ends < time.monotonic() or number < len(ended) - KEPT:
                del self.jobs[job.id]

    def do_all(self) -> None:
        """The thread."""
        with suppress(AttributeError, OSError):  # elsewhere than on Linux it would be the whole process, or nothing
            if os.uname().sysname == "Linux":
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.line or self.closed)
                if self.closed:
                    return
                job = self.running = self.line.popleft()
            self.do(job)
            self.running = None

    def do(self, job: Job) -> None:
        """One job, whatever comes of it."""
        job.state, job.ends = "running", time.monotonic() + LONGEST
        try:
            job.result = job.work(job.tell)
            state: Literal["done", "failed"] = "done"
        except (StoppedError, SparringError) as error:
            state, job.message = "failed", printable(str(error))
        except Exception:
            logging.getLogger(__name__).exception("a job failed")
            state, job.message = "failed", "something went wrong in the server; its log says what"
        job.work = nothing  # it holds the picture
        job.ends = time.monotonic() + KEPT_FOR
        job.state = state


def nothing(_: Tell) -> None:
    """What is left to do of a job that was done."""
