"""The runs that are served: where they are, what they can do, and their models, loaded when first asked for."""

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from safetensors import safe_open

from sparring.errors import RunError, SparringError
from sparring.evaluation.catalogue import METRICS
from sparring.evaluation.judgement import comparable, interval, shown, titled
from sparring.evaluation.judgement import summary as protocol_in_words
from sparring.latents.directions import NAME, Directions, read
from sparring.listing import find_runs
from sparring.model import FILE, FORMAT, JUDGE, Blueprint, Kind, Model, blueprint_of, made_by, understanding
from sparring.serving.batching import Line, Loaded
from sparring.serving.drawing import Painter, Precision
from sparring.serving.errors import RequestError
from sparring.serving.requests import most_frames, most_judged
from sparring.tasks import generate, graphs, restore, sequences, translate, video
from sparring.training.account import Account
from sparring.training.files import checksum, reading
from sparring.training.run import Run

LISTED = 20
"""Directions of a run that are named: of some methods there are hundreds, of which the first are of interest."""

Stamp = tuple[tuple[int, ...], ...]


class Measured(BaseModel):
    """One number of a run's quality."""

    name: str
    title: str
    value: float
    low: float | None
    high: float | None
    shown: str
    interval: str
    better: str


class Quality(BaseModel):
    """How good the generator is. Numbers of two runs compare only if their `comparable` are the same."""

    metrics: list[Measured]
    protocol: str
    comparable: str
    images: int | None


class Card(BaseModel):
    """A run that is served, and what can be asked of it."""

    name: str
    task: str
    makes: Kind | None = None
    """What samples are; nothing is known of it before there is a generator."""
    state: str
    ready: bool
    """Whether it has a generator yet."""
    data: str
    images: int
    seconds: float
    channels: int | None = None
    resolution: tuple[int, int] | None = None
    """Height and width of its pictures; of one that changes pictures none, since it takes any."""
    classes: list[str] = []
    directions: list[str] = []
    """The first twenty of those along which its pictures can be edited, the strongest first."""
    styles: list[str] = []
    damage: str | None = None
    scale: int = 1
    takes_mask: bool = False
    chooses: bool = False
    """Whether there is a discriminator to choose samples by."""
    most_judged: int | None = None
    """Pictures among which it chooses for one request, all together."""
    longest: int | None = None
    """Symbols of a text at most."""
    frames: int | None = None
    """Of a clip for which nobody says how many."""
    fps: float | None = None
    """Frames a second of such a clip."""
    most_frames: int | None = None
    """Of all clips of one request together."""
    quality: Quality | None = None


class Served:
    """One run, or the file of a generator alone."""

    def __init__(
        self, name: str, place: Path, device: str, watch: Callable[[int], None], precision: Precision = "fp32"
    ) -> None:
        self.name, self.place, self.device, self.precision = name, place, device, precision
        self.file = place / FILE if place.is_dir() else place
        self.loaded: Loaded | None = None
        self.stamp: Stamp = ()
        self.described: tuple[tuple[int, ...], Blueprint | None] = (), None
        self.watch = watch
        self.starting = threading.Lock()
        self.line: Line | None = None

    @property
    def run(self) -> Run | None:
        """The run folder; None for a file alone."""
        return Run(self.place) if (self.place / "config.toml").is_file() else None

    def jobs(self) -> Line:
        """Where to wait for its model.

        Raises: RequestError if there is none yet.
        """
        self.check_ready()
        with self.starting:
            if self.line is None:
                self.line = Line(self.name, self.load, self.watch)
            return self.line

    def check_ready(self) -> None:
        """Raises: RequestError if there is no generator yet."""
        if not self.file.is_file():
            raise RequestError("not_ready", f"{self.name} has no generator yet: it comes with the first evaluation")

    def load(self) -> Loaded:
        """The model; a new one if its file has been replaced. Called in the thread of its line alone.

        Raises: RunError if it cannot be read and none was before.
        """
        stamp = self.stamp_now()
        if self.loaded is None or (stamp != self.stamp and self.file.is_file()):
            try:
                self.loaded, self.stamp = self.read()
            except RunError:
                if self.loaded is None:
                    raise
        return self.loaded

    def read(self) -> tuple[Loaded, Stamp]:
        """The model as it is on disk, and what tells when it is another.

        Raises: RunError.
        """
        while True:
            stamp = self.stamp_now()
            with reading(self.file):
                model, digest = Model.load(self.place, self.device), checksum(self.file)
            if stamp == self.stamp_now():  # else it was replaced meanwhile, and the two may not belong together
                painter = None
                if isinstance(model.blueprint, generate.Blueprint):
                    painter = Painter(model, self.directions(model.blueprint), self.precision)
                return Loaded(model, digest, painter, stamp[-1]), stamp

    def stamp_now(self) -> Stamp:
        """Of the generator, and of the discriminator and the directions beside it."""
        return tuple(stamp_of(self.file.with_name(name)) for name in (self.file.name, JUDGE, NAME))

    def directions(self, blueprint: generate.Blueprint) -> Directions | None:
        """Those that lie beside the generator and fit it; a file of others is told of and left alone."""
        path = self.file.with_name(NAME)
        if not path.is_file():
            return None
        try:
            return read(blueprint.z_dim, path)
        except SparringError as error:
            logging.getLogger(__name__).warning(str(error))
            return None

    def blueprint(self) -> Blueprint | None:
        """What its generator is, by the head of its file; None if there is none, or it is not understood."""
        stamp = stamp_of(self.file)
        if stamp != self.described[0]:
            try:
                with reading(self.file), understanding(self.file), safe_open(self.file, framework="pt") as file:
                    values = json.loads((file.metadata() or {})[FORMAT])
                    self.described = stamp, blueprint_of(values)
            except RunError:
                self.described = stamp, None
        return self.described[1]

    def card(self) -> Card:
        """What can be asked of it."""
        blueprint, run = self.blueprint(), self.run
        account = Account.read(self.place)
        try:
            summary = run.summary() if run else {}
        except SparringError:
            summary = {}
        task = account.setting("task") or (blueprint.describe()["task"] if blueprint else "unknown")
        return Card(
            name=self.name,
            task=str(task),
            state=summary.get("state", "just begun" if run else "finished"),
            makes=None if blueprint is None else made_by(blueprint),
            ready=blueprint is not None,
            data=str(account.data.get("name") or ""),
            images=account.images,
            seconds=float(summary.get("seconds") or 0),
            quality=quality_of(account),
            **abilities(blueprint, self.file),
            directions=self.named_directions(blueprint),
        )

    def named_directions(self, blueprint: Blueprint | None) -> list[str]:
        """The names of the first directions; none for what makes no pictures of noise."""
        found = self.directions(blueprint) if isinstance(blueprint, generate.Blueprint) else None
        return [] if found is None else list(found.names[:LISTED])

    def close(self) -> None:
        """Does what was taken and ends."""
        if self.line is not None:
            self.line.close()


def abilities(blueprint: Blueprint | None, file: Path) -> dict[str, Any]:
    """The fields of a card that a generator decides."""
    match blueprint:
        case generate.Blueprint() | video.Blueprint():
            channels, height, width = blueprint.shape
            known = {"channels": channels, "resolution": (height, width), "classes": list(blueprint.classes)}
            if isinstance(blueprint, video.Blueprint):
                return known | of_clips(blueprint)
            if blueprint.judges and judged(file):
                known |= {"chooses": True, "most_judged": most_judged(blueprint.shape)}
            return known
        case restore.Blueprint():
            known = {name: getattr(blueprint, name) for name in ("channels", "damage", "scale", "takes_mask")}
            return known
        case translate.Blueprint():
            return {"channels": blueprint.channels, "styles": list(blueprint.styles)}
        case sequences.Blueprint():
            return {"longest": blueprint.longest - 1, "chooses": judged(file)}
        case graphs.Blueprint():
            return {"chooses": judged(file)}
        case None:
            return {}


def judged(file: Path) -> bool:
    """Whether a discriminator lies beside a generator, which belongs to one of the usual name alone."""
    return file.name == FILE and file.with_name(JUDGE).is_file()


def of_clips(blueprint: video.Blueprint) -> dict[str, Any]:
    """The fields of a card that are for clips."""
    usual = blueprint.take()
    return {"frames": usual.frames, "fps": usual.fps, "most_frames": most_frames(blueprint.shape)}


def quality_of(account: Account) -> Quality | None:
    """The quality of the generator that a run keeps, the metric that decided first."""
    quality = account.quality
    if not quality.get("metrics"):
        return None
    names = sorted((name for name in quality["metrics"] if name in METRICS), key=lambda name: name != account.deciding)
    protocol = quality.get("protocol") or {}
    try:
        words, compares = protocol_in_words(protocol), comparable(protocol)
    except (KeyError, TypeError):  # of another version, or not written yet
        words, compares = "", ""
    return Quality(
        metrics=[measured(name, quality["metrics"][name], protocol) for name in names],
        protocol=words,
        comparable=compares,
        images=quality.get("images"),
    )


def measured(name: str, result: dict[str, Any], protocol: Mapping[str, Any]) -> Measured:
    """One number as programs and as people read it."""
    value, low, high = (result.get(key) for key in ("value", "low", "high"))
    metric = METRICS[name]
    return Measured(
        name=name,
        title=titled(name, protocol),
        value=float(value or 0),
        low=low,
        high=high,
        shown=shown(name, float(value or 0)),
        interval=interval(name, low, high),
        better=metric.better,
    )


def stamp_of(path: Path) -> tuple[int, ...]:
    """What changes when a file does; empty if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


class Shelf:
    """All that is served, by name. Runs that appear in a folder of runs are found when the list is asked for."""

    def __init__(
        self,
        places: Sequence[Path],
        device: str = "cpu",
        watch: Callable[[int], None] = lambda _: None,
        precision: Precision = "fp32",
    ) -> None:
        self.places, self.device, self.watch, self.precision = places, device, watch, precision
        self.served: dict[str, Served] = {}
        self.changing = threading.Lock()
        for place in places:
            self.add(inside(place))

    def look(self) -> None:
        """Finds what is new in the folders."""
        for place in self.places:
            with suppress(RunError):  # gone; what was found there before says so when it is asked for
                self.add(inside(place))

    def add(self, places: Sequence[Path]) -> None:
        """Takes up those that are not known."""
        with self.changing:
            known = {served.place for served in self.served.values()}
            for place in dict.fromkeys(places):
                if place not in known:
                    name = self.free_name(place)
                    self.served[name] = Served(name, place, self.device, self.watch, self.precision)

    def free_name(self, place: Path) -> str:
        """The name of the folder or file, with a number behind it if it is taken."""
        name = place.resolve().name if place.is_dir() else place.stem
        number = 1
        while (found := name if number == 1 else f"{name}-{number}") in self.served:
            number += 1
        return found

    def __getitem__(self, name: str | None) -> Served:
        """The run of a name; without one the only run.

        Raises: RequestError.
        """
        if name is None and len(self.served) == 1:
            return next(iter(self.served.values()))
        if name in self.served:
            return self.served[name]
        listed = ", ".join(list(self.served)[:20])
        if name is None:
            raise RequestError("invalid", f"run: several are served, say which: {listed}")
        raise RequestError("not_found", f"run {name!r} is not served; there are: {listed}")

    def lines(self) -> list[Line]:
        """Those that have begun."""
        return [served.line for served in list(self.served.values()) if served.line is not None]

    def close(self) -> None:
        """Does what was taken and ends."""
        for served in list(self.served.values()):
            served.close()


def inside(place: Path) -> list[Path]:
    """The run or file itself, or the runs in a folder.

    Raises: RunError if there is nothing to serve.
    """
    if place.is_file() or (place / "config.toml").is_file() or (place / FILE).is_file():
        return [place]
    found = [Path(run["path"]) for run in find_runs(place)]
    if not found:
        raise RunError(f"{place}: it is no run and holds none; `sparring train DATA --out RUN` makes one")
    return found
