"""The run folder: everything a run leaves on disk, in safetensors, JSON and TOML; nothing is ever pickled.

Whatever is read later is written aside and renamed, so that a crash at any moment leaves the last good version.
"""

import json
import math
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sparring import config
from sparring.config import Settings
from sparring.data.shards import COMMAND, is_command
from sparring.errors import RunError
from sparring.model import FILE, JUDGE, save_generator, write_tensors
from sparring.training.files import checksum, flush, read_json, read_lines, reading, write_json, write_text, writing

SILENCE = 120.0
"""Seconds without a word after which a run on another host counts as dead."""


BEFORE = "before-the-game.safetensors"
"""What the generator had learned when the game began, where it learned otherwise before."""


class Run:
    """The files of one run, by meaning. Making one reads and writes nothing."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        self.config = self.folder / "config.toml"
        self.generator = self.folder / FILE
        self.report = self.folder / "report.html"
        self.samples = self.folder / "samples"
        self.checkpoints = self.folder / "checkpoints"
        self.tensorboard = self.folder / "tensorboard"
        self.lock = FileLock(self.folder / ".lock", timeout=0)

    def __str__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def __fspath__(self) -> str:
        return str(self.folder)

    def refuse_if_taken(self) -> None:
        """Raises: RunError if the folder holds something already, or cannot be looked at."""
        with reading(self.folder):
            taken = self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir()))
            is_run = self.config.is_file()
        if taken:
            other = "is a file" if self.folder.is_file() else "is not empty"
            what = f"holds a run already: `sparring resume {self}` goes on with it" if is_run else other
            raise RunError(f"{self} {what}; give another --out for a new one")

    def create(self, settings: Settings, about: Mapping[str, Any]) -> None:
        """Makes the folder with the environment, what is told `about` the run (JSON by file name), and its settings.

        The settings come last, for they make a folder a run. From here on the run is locked.
        Raises: RunError if the folder holds something already, or cannot be written.
        """
        self.refuse_if_taken()
        with writing(self.folder):
            self.samples.mkdir(parents=True)
            self.checkpoints.mkdir()
            self.lock_or_refuse()
            write_json(self.folder / "environment.json", environment(settings.device))
            for name, values in about.items():
                write_json(self.folder / name, values)
            self.write_settings(settings)

    def lock_or_refuse(self) -> None:
        """Takes the run for this process, until it ends or `lock.release()`.

        Raises: RunError if another process has it, or the folder cannot be written.
        """
        with writing(self.folder):
            try:
                self.lock.acquire()
            except Timeout:
                owner = self.read_summary().get("pid", "unknown")
                raise RunError(f"{self} is being trained by process {owner}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While this process trains the run. Raises as `lock_or_refuse`."""
        self.lock_or_refuse()
        try:
            yield
        finally:
            self.lock.release()

    def write_settings(self, settings: Settings) -> None:
        """Replaces the settings.

        Raises: RunError if the folder cannot be written.
        """
        write_text(self.config, config.dumps(settings))

    def existing(self) -> "Run":
        """Itself, if the folder holds a run.

        Raises: RunError otherwise.
        """
        if not self.config.is_file():
            what = "holds no run (no config.toml)" if self.folder.is_dir() else "there is no such folder"
            raise RunError(f"{self}: {what}; `sparring runs` lists the runs of a folder")
        return self

    def settings(self) -> Settings:
        """The complete settings.

        Raises: SettingError.
        """
        return config.load(self.config)

    def place_of_pictures(self, settings: Settings) -> str:
        """Where its pictures lie.

        Raises: RunError if they come out of a command: none is run because a file says so.
        """
        if is_command(settings.data):
            raise RunError(
                f"{self} was trained on the output of a command, which is not run again unless you give it: "
                f"sparring resume {self} --shards-from '{COMMAND}...'"
            )
        return settings.data

    def plan(self) -> dict[str, Any]:
        """What `plan.json` holds: choices, estimate_seconds, launch.

        Raises: RunError if it cannot be read.
        """
        found: dict[str, Any] = read_json(self.folder / "plan.json")
        return found

    def data(self) -> dict[str, Any]:
        """What `data.json` holds: name, source, pictures, shape, classes, fingerprint, skipped.

        Raises: RunError if it cannot be read.
        """
        found: dict[str, Any] = read_json(self.folder / "data.json")
        return found

    def summary(self) -> dict[str, Any]:
        """What `summary.json` holds; a run whose process is gone is `interrupted`. Empty if there is none yet.

        Raises: RunError if it cannot be read.
        """
        summary = self.read_summary()
        if summary.get("state") == "running" and not self.is_alive(summary):
            summary["state"] = "interrupted"
        return summary

    def read_summary(self) -> dict[str, Any]:
        """What `summary.json` says, true or no longer so.

        Raises: RunError if it cannot be read.
        """
        path = self.folder / "summary.json"
        summary = read_json(path) if path.is_file() else {}
        if not isinstance(summary, dict):
            raise RunError(f"{path}: damaged: it should hold one JSON object")
        return summary

    def is_alive(self, summary: Mapping[str, Any]) -> bool:
        """Whether a process trains the run: on this host it holds the lock, on another it wrote within two minutes."""
        if summary.get("host") == socket.gethostname():
            try:
                with self.lock:
                    return self.lock.lock_counter > 1
            except Timeout:
                return True
            except OSError:
                pass  # a folder of somebody else, whose lock cannot be tried
        try:
            age = datetime.now(UTC) - datetime.fromisoformat(str(summary.get("updated")))
        except ValueError:
            return False
        return age.total_seconds() < SILENCE

    def write_summary(self, **values: Any) -> None:
        """Replaces `summary.json`; says which process on which host wrote it."""
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "updated": now()}
        write_json(self.folder / "summary.json", values | owner)

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Adds one line to `metrics.jsonl` or `events.jsonl`."""
        with writing(self.folder), (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def event(self, name: str, images: int, message: str) -> None:
        """Notes what happened, when, and after how many images."""
        self.append("events.jsonl", {"time": now(), "images": images, "event": name, "message": message})

    def forget_after(self, images: int) -> None:
        """Drops measurements later than a checkpoint, which will be made again, and lines that a crash cut short."""
        for name, latest in (("metrics.jsonl", images), ("events.jsonl", math.inf)):
            path = self.folder / name
            if path.is_file():
                lines = [line for line in read_lines(path) if line["images"] <= latest]
                write_text(path, "".join(json.dumps(line) + "\n" for line in lines))

    def save_checkpoint(self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Path:
        """Writes `checkpoints/step-N` whole: one safetensors file for each group of tensors, then `state.json`.

        The state lists the SHA-256 of every file. What is on disk is never touched before the new one is complete.

        Raises: RunError if the disk is full or cannot be written; earlier checkpoints are whole then.
        """
        target = self.checkpoints / f"step-{step:09d}"
        aside = self.checkpoints / f".new-{target.name}"
        with writing(self.folder):
            shutil.rmtree(aside, ignore_errors=True)
            try:
                aside.mkdir(parents=True)
                checksums = {}
                for name, group in tensors.items():
                    file = aside / f"{name}.safetensors"
                    write_tensors(group, file)
                    flush(file)
                    checksums[file.name] = checksum(file)
                write_json(aside / "state.json", {**state, "checksums": checksums})
                if target.exists():  # only a damaged one can be in the way: whole ones are gone on from, not made again
                    self._delete(target)
                aside.rename(target)
                flush(self.checkpoints)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        return target

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints, ascending."""
        found = self.checkpoints.glob("step-*") if self.checkpoints.is_dir() else []
        return sorted(int(path.name[5:]) for path in found if path.name[5:].isdigit())

    def keep_checkpoints(self, steps: set[int]) -> None:
        """Deletes all other checkpoints, and what crashes left half written or half deleted."""
        for left in self.checkpoints.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)
        for step in set(self.steps()) - steps:
            self._delete(self.checkpoints / f"step-{step:09d}")

    def _delete(self, checkpoint: Path) -> None:
        """A name that no reader takes comes first, so that no checkpoint is ever seen half deleted."""
        doomed = checkpoint.rename(checkpoint.with_name(f".old-{checkpoint.name}"))
        shutil.rmtree(doomed, ignore_errors=True)

    def load_checkpoint(
        self, device: str, latest: int | None = None
    ) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """The newest checkpoint whose checksums are right: tensors by group, and its state; none later than `latest`.

        Raises: RunError if there is none.
        """
        problems = []
        for step in reversed([step for step in self.steps() if latest is None or step <= latest]):
            folder = self.checkpoints / f"step-{step:09d}"
            try:
                state = read_json(folder / "state.json")
                for name, expected in state.pop("checksums").items():
                    if checksum(folder / name) != expected:
                        raise RunError(f"{folder / name} is damaged (its checksum is wrong)")
                return {file.stem: load_file(file, device) for file in folder.glob("*.safetensors")}, state
            except (RunError, OSError, KeyError, SafetensorError) as error:
                problems.append(str(error))
        detail = f" ({'; '.join(problems)})" if problems else ""
        raise RunError(f"{self} holds no checkpoint to go on from{detail}; train it again")

    def restate(self, step: int, state: Mapping[str, Any]) -> None:
        """Replaces what a checkpoint says beside its tensors.

        Raises: RunError if it cannot be read or written.
        """
        path = self.checkpoints / f"step-{step:09d}" / "state.json"
        write_json(path, {**state, "checksums": read_json(path)["checksums"]})

    def save_picture(self, picture: Image.Image, path: Path) -> None:
        """Writes one PNG of the run."""
        aside = path.with_name(f".{path.name}.new")
        with writing(self.folder):
            try:
                picture.save(aside, "PNG")
                aside.replace(path)
            finally:
                aside.unlink(missing_ok=True)

    def save_judge(self, judge: torch.nn.Module, description: dict[str, object]) -> None:
        """Replaces the discriminator to choose samples by.

        Raises: RunError if the disk is full or cannot be written.
        """
        with writing(self.folder):
            save_generator(judge, description, self.folder / JUDGE)

    def save_generator(self, tensors: torch.nn.Module, description: dict[str, object], name: str = FILE) -> None:
        """Replaces the generator to use, or one of another name.

        Raises: RunError if the disk is full or cannot be written.
        """
        with writing(self.folder):
            save_generator(tensors, description, self.folder / name)


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment(device: str) -> dict[str, Any]:
    """What the numbers of a run were made with."""
    names = ("sparring", "torch", "numpy", "safetensors", "Pillow", "scikit-learn")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "command": sys.argv,
        "packages": {name: metadata.version(name) for name in names},
    }
