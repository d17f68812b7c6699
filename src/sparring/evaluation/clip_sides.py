"""What `sparring evaluate A B` can compare of clips: runs, generators, and whatever holds films."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparring.config import form_of
from sparring.data import load_clips, surely_clips, survey_clips
from sparring.data.clips import Clips
from sparring.data.decode import Form, channels_of
from sparring.data.sources import Progress
from sparring.errors import MetricError, RunError
from sparring.evaluation.catalogue import NEIGHBOURS, chosen
from sparring.evaluation.clips import LATE, ClipJudge
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.nearest_clips import above
from sparring.evaluation.reels import FRAMES, Reel, Reframed, Shot, Taken, length_of
from sparring.evaluation.sides import agreed
from sparring.model import FILE, FORMAT, Model
from sparring.networks.clip_features import DEFAULT, open_clip_features
from sparring.tasks import filming
from sparring.training.files import checksum
from sparring.training.run import Run

Place = str | PathLike[str]

MOST = 2048
"""Clips of a side that are compared, at most: as many as published FVD is measured of."""

MOST_LONG = 256
"""Generated clips whose late part is looked at, at most."""

SUSPECTS = 4
"""Generated clips shown above the real ones that they are nearest to."""

TASK = "video"


def is_clips(place: Place) -> bool:
    """Whether a place holds clips and nothing else, or is a run or generator that makes some."""
    try:
        path = Path(place)
        if (path / "config.toml").is_file():
            return str(tomllib.loads((path / "config.toml").read_text(encoding="utf-8")).get("task")) == TASK
        weights = path / FILE if path.is_dir() else path
        if weights.suffix == ".safetensors" and weights.is_file():
            with safe_open(weights, framework="pt") as file:
                return bool(json.loads((file.metadata() or {})[FORMAT])["task"] == TASK)
        return surely_clips(place if isinstance(place, str) else path)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return False  # whoever opens it says what is wrong


@dataclass(frozen=True)
class Footage:
    """A place that holds clips. model: its generator, if that is what counts. training: whether it is a run's data."""

    name: str
    form: Form
    place: Place
    model: Model | None = None
    training: bool = False

    @classmethod
    def real(cls, place: Place, progress: Progress | None) -> "Footage":
        """What a run was trained on, or the clips of a place.

        Raises: DataError or RunError that says what is wrong.
        """
        if not (Path(place) / "config.toml").is_file():
            return cls.found(place, progress)
        run = Run(place).existing()
        settings = run.settings()
        return cls(str(place), form_of(settings), run.place_of_pictures(settings), training=True)

    @classmethod
    def generated(cls, place: Place, device: str, progress: Progress | None) -> "Footage":
        """A run or generator, or the clips of a place.

        Raises: DataError, MetricError or RunError that says what is wrong.
        """
        path = Path(place)
        weights = path / FILE if path.is_dir() else path
        if weights.suffix == ".safetensors" and weights.is_file():
            model = Model.load(path, device)
            channels, height, width = model.of_clips.shape
            return cls(str(place), Form(height, width, channels_of(channels)), weights, model)
        if (path / "config.toml").is_file():
            raise RunError(f"{place}: it holds no generator yet (looked for {FILE})")
        return cls.found(place, progress)

    @classmethod
    def found(cls, place: Place, progress: Progress | None) -> "Footage":
        """The clips of a place.

        Raises: DataError that says what is wrong.
        """
        survey = survey_clips(place if isinstance(place, str) else Path(place), progress)
        return cls(str(place), Form(survey.height, survey.width, survey.channels), place)

    def loaded(self, form: Form, progress: Progress | None) -> Clips:
        """The clips of a place, in that form."""
        place = self.place
        return load_clips(place if isinstance(place, str) else Path(place), form, seen=2, progress=progress)

    def shot(self, frames: int, count: int, seed: int, form: Form, begin: int = 0) -> Reel:
        """So many clips of the generator, from frame `begin` of others that begin where real ones are cut, too."""
        assert self.model is not None, "asked only of generators"
        generator, blueprint = self.model.generator, self.model.of_clips
        take = filming.Take(begin + frames, blueprint.rate, room=blueprint.room(frames))

        def draw(start: int, stop: int) -> Tensor:
            return filming.sample(generator, blueprint, stop - start, seed, take, start, begin)

        reel = Shot(draw, count, (frames, *blueprint.shape), blueprint.rate)
        same = blueprint.shape == (form.channels, form.height, form.width)
        return reel if same else Reframed(reel, form)


def evaluate_clips(
    real: Place,
    generated: Place,
    metrics: str | Iterable[str] | None = None,
    features: str | None = None,
    *,
    n: int = MOST,
    k: int = NEIGHBOURS,
    seed: int = 0,
    resolution: tuple[int, int] | None = None,
    device: str = "cpu",
    nearest: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Compares generated clips with real ones, as `sparring evaluate A B` does.

    real: a folder, archive or array of clips, an embedded set, or a run, which is its training data. generated: the
    same kinds, or a run or generator, of which n clips are made, as many as 2,048 at most. Of a clip 16 consecutive
    frames are compared, fewer where clips are shorter; a generator's late frames as well, if `decline` is wanted.
    resolution: (height, width) of the frames, by default that of the generated ones, but no larger than the real ones.
    nearest: where to write a PNG of the generated clips most like copies, each above the real one it resembles.

    Raises: MetricError, DataError or RunError with what is wrong and what to do.
    """
    wanted = None if metrics is None else chosen(metrics)
    space = open_clip_features(features or DEFAULT, device)
    truth, made = Footage.real(real, progress), Footage.generated(generated, device, progress)
    form = agreed(truth.form, made.form, resolution)
    assert form is not None, "both sides have frames"
    whole = truth.loaded(form, progress)
    count = min(n, MOST)
    others = None if made.model else made.loaded(form, progress)
    frames = min(FRAMES, length_of(whole), FRAMES if others is None else length_of(others))
    known = Taken(whole, frames, MOST, seed)
    judge = ClipJudge(
        known,
        space,
        fingerprint=known.fingerprint,
        about=_about("training data of a run" if truth.training else "clips", truth.name, whole),
        k=k,
        seed=seed,
        device=device,
        progress=progress,
    )
    late = None
    reel: Reel
    if others is None:
        reel = made.shot(frames, count, seed, form)
        about: Mapping[str, Any] = {
            "kind": "generator",
            "name": made.name,
            "seed": seed,
            "digest": checksum(Path(made.place)),
        }
        late = made.shot(frames, min(count, MOST_LONG), seed, form, LATE)
    else:
        reel = Taken(others, frames, count, seed)
        about = _about("clips", made.name, others)
    sides = judge.compared(reel, wanted, late=late, about=about, generator=others is None)
    found = judge.measured(sides, wanted)
    if nearest is not None:
        samples, like = sides.clouds.suspects(SUSPECTS, 1)
        _save(above(_taken(reel, samples), _taken(known, like[0])), nearest)
    if whole.fingerprint == (others or whole).fingerprint and others is not None:
        return Evaluation(
            found.metrics, found.protocol, (*found.notices, "both sides are the same clips: nothing was generated here")
        )
    return found


def _about(kind: str, name: str, whole: Clips) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": kind, "name": name, "of": len(whole), "fingerprint": whole.fingerprint}
    if whole.skipped:
        about["skipped"] = len(whole.skipped)
    return about


def _taken(reel: Reel, numbers: Tensor) -> Tensor:
    return torch.cat([reel.clips(number, number + 1) for number in numbers.tolist()])


def _save(picture: Image.Image, path: Path) -> None:
    try:
        picture.save(path)
    except OSError as error:
        raise MetricError(f"{path}: cannot be written: {error.strerror or error}") from None
