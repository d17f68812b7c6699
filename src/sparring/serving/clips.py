"""Clips: what one request may ask for, and the films that come of it.

Frames and films are made in the thread of the model, one request after another: what waits is counted in frames, and no
more than one film of each run is in memory. The files are written by what `sparring sample` writes them with.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from starlette.responses import Response

from sparring.errors import SettingError
from sparring.films import frame_rate, need_av
from sparring.footage import write_clips
from sparring.provenance import marks_of_clips
from sparring.serving.answers import GIF, JSON, MP4, ZIP, films_answer, form_of
from sparring.serving.batching import Loaded
from sparring.serving.errors import RequestError
from sparring.serving.requests import MOST_CLIPS, First, SampleRequest, most_frames
from sparring.tasks import video
from sparring.tasks.filming import Beginning, Take

TYPES: dict[Literal["mp4", "gif"], str] = {"mp4": MP4, "gif": GIF}


@dataclass(frozen=True)
class Order:
    """What a request wants. form: type of the answer; kind: of the films in it."""

    n: int
    seed: int
    start: int
    take: Take
    form: str
    kind: Literal["mp4", "gif"]

    @property
    def frames(self) -> int:
        """Of all clips."""
        return self.n * self.take.frames

    @property
    def together(self) -> bool:
        """Whether one film shows all of them."""
        return self.form == TYPES[self.kind]


def ordered(blueprint: video.Blueprint, asked: SampleRequest, accept: str) -> Order:
    """A request, checked before it waits.

    Raises: RequestError for what clips know nothing of, more than is made at once, or an Accept header that takes no
    films; SettingError for wishes that do not go together, or an unknown class.
    """
    refuse_wishes_of_others(asked)
    take = blueprint.take(
        frames=asked.frames,
        fps=asked.fps,
        speed=asked.speed,
        loop=asked.loop,
        interpolate=asked.interpolate,
        same=asked.same,
        motion_seed=asked.motion_seed,
        label=asked.label,
        truncation=asked.truncation,
        first=None if asked.first is None else beginning(blueprint, asked.first, asked.label),
    )
    refuse_too_many(blueprint, asked.count, take.frames)
    kinds = kinds_for(asked)
    form = form_of(accept, (*(TYPES[kind] for kind in kinds), ZIP, JSON))
    kind = next((kind for kind in kinds if TYPES[kind] == form), kinds[0])
    return Order(asked.count, asked.seed, asked.start, take, form, kind)


def beginning(blueprint: video.Blueprint, first: First, label: int | str | None) -> Beginning:
    """What a client was given for a picture, as clips take it.

    Raises: SettingError for numbers of another generator, or a class that is not known, or not that of the clips.
    """
    if len(first.z) != blueprint.z_dim or any(len(row) != blueprint.motion_dim for row in first.noise):
        raise SettingError(
            f"first: this generator takes {blueprint.z_dim} numbers as z and {blueprint.motion_dim} in each row of "
            "noise: send what /v1/invert found for this run"
        )
    number = None if first.label is None else blueprint.class_number(first.label)
    if number is None and blueprint.classes:
        raise SettingError("first comes without a label, and this generator knows classes: say which one")
    if label is not None and blueprint.class_number(label) != number:
        raise SettingError(f"label {label!r}: clips have the class of what they begin with: leave it away")
    y = blueprint.condition(torch.tensor([number or 0]))
    near = math.nan  # the picture stayed with who sent it
    return Beginning(torch.tensor(first.z), torch.tensor(first.noise), None if y is None else y[0], near, first.since)


def refuse_wishes_of_others(asked: SampleRequest) -> None:
    """Raises: RequestError for what is for pictures, texts or molecules."""
    for fields, whose in (
        (("mix", "edit"), "mix and edit are for pictures"),
        (
            ("temperature", "top_p", "prompt", "scaffold"),
            "temperature, top_p, prompt and scaffold are for texts and molecules",
        ),
        (("best_of",), "best_of is for pictures, texts and molecules"),
    ):
        if asked.wishes(*fields):
            raise RequestError("invalid", f"{whose}, and this generator makes clips")
    if asked.format not in (None, *TYPES):
        raise RequestError("invalid", f"format={asked.format}: clips are written as {' or '.join(TYPES)}")


def refuse_too_many(blueprint: video.Blueprint, n: int, frames: int) -> None:
    """Raises: RequestError for more than one request may ask for."""
    if n > MOST_CLIPS:
        raise RequestError("invalid", f"n={n}: at most {MOST_CLIPS} clips are made for one request")
    most = most_frames(blueprint.shape)
    if n * frames > most:
        _, height, width = blueprint.shape
        raise RequestError(
            "invalid",
            f"n={n}, frames={frames}: {n * frames:,} frames of {height}x{width} pixels, and {most:,} is the most at "
            "once: ask for fewer clips, or shorter ones",
        )


def kinds_for(asked: SampleRequest) -> tuple[Literal["mp4", "gif"], ...]:
    """What films can be written as, the first where a client has no wish.

    Raises: SettingError if what is asked for needs PyAV, and it is missing.
    """
    if asked.format == "gif":
        return ("gif",)
    try:
        need_av()
    except SettingError:
        if asked.format == "mp4":
            raise
        return ("gif",)
    return ("mp4",) if asked.format == "mp4" else ("mp4", "gif")


def filmed(loaded: Loaded, order: Order) -> list[bytes]:
    """The films of a request: one of all clips, or one each. Called in the thread of the model."""
    model, take = loaded.model, order.take
    clips = model.films(order.n, order.seed, take, order.start)
    shape = (order.n, take.frames, *model.of_clips.shape)
    start = order.start if order.together and order.start else None
    told = marks_of_clips(model, order.seed, take, loaded.digest, start)
    with TemporaryDirectory(prefix="sparring-") as folder:  # FFmpeg moves the head of an .mp4 to its beginning there
        if order.together:
            path = Path(folder) / f"clips.{order.kind}"
            write_clips(clips, shape, path, take.fps, told)
            return [path.read_bytes()]
        place = Path(folder) / "clips"
        write_clips(clips, shape, place, take.fps, told, order.kind, order.start)
        return [path.read_bytes() for path in sorted(place.iterdir())]


def answer(order: Order, films: list[bytes], headers: dict[str, str]) -> Response:
    """The films, with how they play."""
    fps = round(float(frame_rate(Path(f"clip.{order.kind}"), order.take.fps)), 3)
    return films_answer(films, order.form, TYPES[order.kind], {"frames": order.take.frames, "fps": fps}, headers)
