"""The pictures that latents are looked for: files of a person, or those that a run never learned from."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from sparring import data
from sparring.applying.reading import opened
from sparring.config import form_of
from sparring.data.decode import Form, channels_of, identify, pixels, reason
from sparring.data.sources import SUFFIXES, printable
from sparring.errors import DataError, RunError
from sparring.tasks.generate import FromNoise
from sparring.training.run import Run


def form_for(blueprint: FromNoise, place: Path) -> Form:
    """What pictures are brought to, as in training; as `fit=crop` where there is a generator alone and no run."""
    if (place / "config.toml").is_file():
        return form_of(Run(place).settings())
    channels, height, width = blueprint.shape
    return Form(height, width, channels_of(channels))


def read_pictures(places: Sequence[str], form: Form) -> tuple[Tensor, tuple[str, ...]]:
    """Picture files, and all pictures of folders, archives and arrays: uint8 (n, C, H, W) in that form, and names.

    Raises: DataError for the first that cannot be used.
    """
    images: list[Tensor] = []
    names: list[str] = []
    for place in places:
        path = Path(place)
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            images.append(read_picture(path, form)[None])
            names.append(path.name)
            continue
        found = data.load(place, resolution=(form.height, form.width), fit=form.fit, channels=form.channels)
        if found.skipped:
            worst = found.skipped[0]
            raise DataError(f"{place}: {worst.path} cannot be used: {worst.reason}; leave it out")
        images.append(found.images)
        names += found.names
    return torch.cat(images), tuple(printable(name) for name in names)


def read_picture(path: Path, form: Form) -> Tensor:
    """One file as uint8 (C, H, W).

    Raises: DataError.
    """
    try:
        with opened(path) as stream:
            return torch.from_numpy(pixels(identify(stream), form))
    except Exception as error:  # decoding may raise anything
        raise DataError(f"{path}: cannot be used: {reason(error)}") from error


def held_out(place: Path, n: int) -> tuple[Tensor, tuple[str, ...]]:
    """The first `n` of the pictures that a run never learned from, uint8 (n, C, H, W), and names.

    Raises: RunError if it held none out, or its pictures have changed; DataError if they are gone.
    """
    if not (place / "config.toml").is_file():
        raise RunError(f"{place}: is no run, whose held-out pictures could be taken: give pictures")
    run = Run(place)
    settings = run.settings()
    form = form_of(settings)
    pictures = data.load(
        run.place_of_pictures(settings),
        resolution=(form.height, form.width),
        fit=form.fit,
        channels=form.channels,
        labels=settings.labels,
    )
    if pictures.fingerprint != run.data().get("fingerprint"):
        raise RunError(f"{settings.data} is not what {run} was trained on, or comes in a stream: give pictures")
    _, unseen = pictures.hold_out(settings.held_out)
    if unseen is None or unseen.drawn is None:
        raise RunError(f"{run} learned from all of its pictures and held none out: give other pictures")
    numbers = unseen.drawn[:n]
    names = [pictures.names[i] if pictures.names else str(i) for i in numbers.tolist()]
    return pictures.images[numbers], tuple(printable(name) for name in names)
