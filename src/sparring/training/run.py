"""The run folder: everything a run leaves on disk, in safetensors, JSON and TOML; nothing is ever pickled.

Whatever is read later is written aside and renamed, so that a crash at any moment leaves the last good version.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sparring import config
from sparring.config import Settings
from sparring.errors import RunError
from sparring.model import FILE, save_generator, write_tensors


class Run:
    """The files of one run, by meaning. Making one reads and writes nothing."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config = self.folder / "config.toml"
        self.generator = self.folder / FILE
        self.report = self.folder / "report.html"
        self.samples = self.folder / "samples"
        self.checkpoints = self.folder / "checkpoints"
        self.tensorboard = self.folder / "tensorboard"

    def __str__(self) -> str:
        return str(self.folder)

    def __fspath__(self) -> str:
        return str(self.folder)

    def refuse_if_taken(self) -> None:
        """Raises: RunError if the folder holds something already."""
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            what = "holds a run already" if self.config.is_file() else "is not empty"
            hint = f": `sparring resume {self}` goes on with it" if self.config.is_file() else ""
            raise RunError(f"{self} {what}{hint}; give another --out for a new one")

    def create(self, settings: Settings) -> None:
        """Makes the folder and writes its settings and the environment.

        Raises: RunError if the folder holds something already, or cannot be written.
        """
        self.refuse_if_taken()
        with writing(self.folder):
            self.samples.mkdir(parents=True)
            self.checkpoints.mkdir()
            config.save(settings, self.config)
            write_json(self.folder / "environment.json", environment(settings.device))

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
        path = self.folder / "summary.json"
        if not path.is_file():
            return {}
        summary: dict[str, Any] = read_json(path)
        if summary.get("state") == "running" and not alive(summary):
            summary["state"] = "interrupted"
        return summary

    def write_summary(self, **values: Any) -> None:
        """Replaces `summary.json`; says which process on which host wrote it."""
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "updated": now()}
        write_json(self.folder / "summary.json", values | owner)

    def write(self, name: str, values: Any) -> None:
        """Writes one JSON file of the run."""
        write_json(self.folder / name, values)

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Adds one line to `metrics.jsonl` or `events.jsonl`."""
        with writing(self.folder), (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def event(self, name: str, images: int, message: str) -> None:
        """Notes what happened, when, and after how many images."""
        self.append("events.jsonl", {"time": now(), "images": images, "event": name, "message": message})

    def forget_after(self, images: int) -> None:
        """Drops the measurements later than a checkpoint: they will be made again."""
        path = self.folder / "metrics.jsonl"
        if path.is_file():
            lines = [line for line in read_lines(path) if line["images"] <= images]
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
        """Deletes all other checkpoints."""
        for step in set(self.steps()) - steps:
            self._delete(self.checkpoints / f"step-{step:09d}")

    def _delete(self, checkpoint: Path) -> None:
        """A name that no reader takes comes first, so that no checkpoint is ever seen half deleted."""
        doomed = checkpoint.rename(checkpoint.with_name(f".old-{checkpoint.name}"))
        shutil.rmtree(doomed, ignore_errors=True)

    def load_checkpoint(self, device: str) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """The newest checkpoint whose checksums are right: tensors by group, and its state.

        Raises: RunError if there is none.
        """
        problems = []
        for step in reversed(self.steps()):
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

    def save_picture(self, picture: Image.Image, path: Path) -> None:
        """Writes one PNG of the run."""
        aside = path.with_name(f".{path.name}.new")
        with writing(self.folder):
            try:
                picture.save(aside, "PNG")
                aside.replace(path)
            finally:
                aside.unlink(missing_ok=True)

    def save_generator(self, tensors: torch.nn.Module, description: dict[str, object]) -> None:
        """Replaces the generator to use.

        Raises: RunError if the disk is full or cannot be written.
        """
        with writing(self.folder):
            save_generator(tensors, description, self.generator)


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def alive(summary: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a summary still runs; on another host: whether it wrote within two minutes."""
    if summary.get("host") != socket.gethostname():
        age = datetime.now(UTC) - datetime.fromisoformat(summary["updated"])
        return age.total_seconds() < 120
    # A container that starts again often gets the number it had: a process does not mistake its own for another's.
    if summary["pid"] == os.getpid():
        return False
    try:
        os.kill(summary["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


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


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what a disk can refuse into a sentence.

    Raises: RunError.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{folder}: cannot be written: {reason}; what was saved before is whole") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises: RunError if it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file; a last line that a crash cut short is left out."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line))
    return lines


def write_json(path: Path, values: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all.

    Raises: RunError.
    """
    aside = path.with_name(f".{path.name}.new")
    with writing(path.parent):
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
