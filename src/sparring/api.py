"""What the command line, notebooks and programs call: train, resume, load."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sparring import config, data
from sparring.chooser import SIZES, Choice, choose, every
from sparring.config import Settings
from sparring.errors import RunError, SettingError
from sparring.model import Model
from sparring.tasks.generate import Generate
from sparring.training.match import Match
from sparring.training.monitor import Monitor, open_monitor
from sparring.training.run import Run
from sparring.training.trainer import Trainer
from sparring.training.wording import duration

ARCHITECTURE = ("network", "width", "depth", "z_dim", "spectral_norm", "resolution", "channels", "labels")
TASKS = {"generate": Generate}


def train(
    source: str | Path,
    *,
    out: str | Path,
    preset: str = "default",
    size: str | None = None,
    start_from: str | Path | None = None,
    monitor: Monitor | None = None,
    **settings: Any,
) -> Run:
    """Trains a generator on pictures, and returns the run folder when the budget is used.

    source: a folder, archive or array of pictures, or the name of an embedded set such as `digits`.
    out: a folder that does not exist yet. preset: a name of `sparring presets`, or a TOML file.
    size: XS, S, M, L or XL, the one dial of capacity; None is M. start_from: a run
    whose weights to start with; its architecture is taken over. monitor: what is told on the way; None tells nothing.
    settings: any of `sparring.config.Settings`; all others are chosen. `images` or `minutes` set the budget.

    Raises: DataError if there is no usable picture, SettingError for unknown or wrong settings, RunError if `out` is
    taken or cannot be written.
    """
    mine = {name: config.check(name, value) for name, value in settings.items()}
    given = config.preset(preset) | mine
    if mine.get("images") is not None or mine.get("minutes") is not None:
        given |= {"images": mine.get("images"), "minutes": mine.get("minutes")}
    if size is not None and size.upper() not in SIZES:
        raise SettingError(f"size={size}: the sizes are {', '.join(SIZES)}")
    run = Run(out)
    run.refuse_if_taken()
    origin = Run(start_from).existing() if start_from is not None else None
    if origin:
        theirs = origin.settings()
        given = {name: getattr(theirs, name) for name in ARCHITECTURE} | given
    given.pop("data", None)
    place = str(source) if str(source) in data.EMBEDDED else str(Path(source).absolute())

    monitor = monitor or open_monitor(quiet=True)
    with monitor:
        survey = data.survey(source)
        chosen, choices = choose(place, given, survey, size.upper() if size else None)
        pictures = load_pictures(chosen, monitor)
        task = TASKS[chosen.task](chosen, pictures)
        match = Match(chosen, pictures, task)
        if origin:
            match.start_from(origin.load_checkpoint(chosen.device)[0])
        speed = match.rehearse()
        if chosen.minutes is not None:
            chosen = paced(chosen, given, speed)
            match.settings = chosen
        estimate = 60 * chosen.minutes if chosen.minutes is not None else (chosen.images or 0) / speed
        run.create(chosen)
        describe(run, place, pictures, choices, estimate)
        monitor.plan([asdict(choice) for choice in choices], estimate)
        run.event("started", 0, f"{len(pictures):,} pictures, about {estimate:.0f} s")
        Trainer(match, task, chosen, run, monitor).train()
    return run


def resume(
    folder: str | Path, *, images: int | None = None, minutes: float | None = None, monitor: Monitor | None = None
) -> Run:
    """Goes on with a run where it stopped; `images` or `minutes` give it a new budget, counted from its beginning.

    With a new budget the schedules stretch over it: the learning rate rises again to what it is at that point.

    Raises: RunError if there is no run, if it is being trained or finished without a new budget; DataError if its
    pictures are gone or are others than before.
    """
    run = Run(folder).existing()
    settings = run.settings()
    summary = run.summary()
    if summary.get("state") == "running":
        raise RunError(f"{run} is being trained by process {summary['pid']} on {summary['host']}")
    if images is not None or minutes is not None:
        settings = config.complete(settings.model_dump() | {"images": images, "minutes": minutes, "patience": None})
    monitor = monitor or open_monitor(quiet=True)
    with monitor:
        pictures = load_pictures(settings, monitor)
        known = run.data()
        if known["fingerprint"] != pictures.fingerprint:
            raise RunError(f"{settings.data} is not what {run} was trained on: its pictures have changed")
        task = TASKS[settings.task](settings, pictures)
        match = Match(settings, pictures, task)
        match.restore(*run.load_checkpoint(settings.device))
        if match.progress >= 1:
            used = f"{match.state.images:,} images in {duration(match.state.seconds)}"
            raise RunError(
                f"{run} has used its budget ({used}); a larger one is counted from the beginning: "
                f"`sparring resume {run} --images {2 * match.state.images}`"
            )
        if summary.get("state") == "finished" and images is None and minutes is None:
            raise RunError(f"{run} is finished ({summary['message']}): --images or --minutes give it a new budget")
        run.forget_after(match.state.images)
        config.save(settings, run.config)
        run.event("resumed", match.state.images, f"from step {match.state.step:,}")
        monitor.note(f"{run}: going on from {match.state.images:,} images")
        Trainer(match, task, settings, run, monitor).train()
    return run


def load(place: str | Path, device: str = "cpu") -> Model:
    """The generator of a run folder or of a `.safetensors` file, ready to sample from.

    Raises: RunError if there is none.
    """
    return Model.load(place, device)


def load_pictures(settings: Settings, monitor: Monitor) -> data.Pictures:
    """The pictures of a run in the form that its settings ask for, on its device."""
    pictures = data.load(
        settings.data,
        resolution=settings.resolution,
        fit=settings.fit,
        channels=settings.channels,
        labels=settings.labels,
        progress=monitor.progress,
    )
    for notice in pictures.notices:
        monitor.note(notice)
    return pictures.to(settings.device)


def paced(settings: Settings, given: Mapping[str, Any], speed: float) -> Settings:
    """Settings of a run by the clock, whose evaluations and checkpoints are spread over the images it will reach."""
    assert settings.minutes is not None
    reached = speed * 60 * settings.minutes
    values = settings.model_dump()
    for name, number in {"evaluate_every": 10, "checkpoint_every": 5, "augment_images": 4}.items():
        if name not in given:
            values[name] = every(reached / number, settings.batch)
    return config.complete(values)


def describe(run: Run, source: str, pictures: data.Pictures, choices: list[Choice], estimate: float) -> None:
    """Writes what the report and later runs want to know of the data and of the choices."""
    run.write("plan.json", {"choices": [asdict(choice) for choice in choices], "estimate_seconds": round(estimate, 1)})
    run.write(
        "data.json",
        {
            "name": pictures.name,
            "source": source,
            "pictures": len(pictures),
            "shape": list(pictures.shape),
            "classes": list(pictures.classes),
            "fingerprint": pictures.fingerprint,
            "skipped": [asdict(entry) for entry in pictures.skipped],
        },
    )
