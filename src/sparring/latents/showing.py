"""What the commands for latents show and write: grids, the folder of an inversion, and what a file says of itself."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL.Image import Image
from torch import Tensor

from sparring.latents import points as point_files
from sparring.latents.decoders import Decoder
from sparring.latents.directions import Directions, edited
from sparring.latents.inversion import Inversion
from sparring.latents.points import Points, joined
from sparring.metrics.estimate import Estimate
from sparring.mosaic import above_others, grid
from sparring.output import write_samples
from sparring.provenance import png_texts
from sparring.training.files import write_json, writing

BLACK_BOX = "black box: the generator gives no gradient, so that its pictures alone are compared"

SHOWN = 12
"""Pictures beside their reconstructions, at most."""


def strengths_grid(model: Decoder, points: Points, found: Directions, shown: int, strength: float) -> Image:
    """A row for each direction, the points side by side; of one direction a row each."""
    steps = [strength * share for share in (-1, -0.5, 0, 0.5, 1)]
    pictures = [
        edited(points[[number]], vector, step)
        for vector in found.vectors[:shown]
        for number in range(len(points))
        for step in steps
    ]
    return grid(joined(pictures).pictures(model), len(steps) * (len(points) if shown > 1 else 1))


def inverted(found: Inversion, which: str) -> dict[str, Any]:
    """What an inversion found, as JSON values."""
    each = [
        {"picture": name, "psnr": round(psnr, 3), "start": start}
        for name, psnr, start in zip(found.points.names, found.errors.psnr, found.start, strict=True)
    ]
    for entry, value in zip(each, found.errors.perceptual or (), strict=False):
        entry["perceptual"] = round(value, 5)
    return {
        "pictures": which,
        "search": "along the gradient" if found.made is None else BLACK_BOX,
        **({} if found.made is None else {"generator_pictures": found.made}),
        "errors": {name: estimate(mean) for name, mean in found.errors.means().items()},
        "before_the_search": {name: estimate(mean) for name, mean in found.begun.means().items()},
        "each": each,
    }


def estimate(found: Estimate) -> dict[str, Any]:
    """An `Estimate` as JSON values, to six digits."""
    values = {"value": found.value, "low": found.low, "high": found.high}
    return {name: None if value is None else float(f"{value:.6g}") for name, value in values.items()}


def said(mean: dict[str, Any]) -> str:
    """A number with its interval, for people."""
    interval = "" if mean["low"] is None else f" ({mean['low']:.3g} to {mean['high']:.3g})"
    return f"{mean['value']:.3g}{interval}"


def write_inversion(
    found: Inversion, given: Tensor, outcome: dict[str, Any], out: Path, marks: Mapping[str, str]
) -> None:
    """Writes the folder whole or not at all."""
    aside = out.with_name(f".{out.name}.new")
    with writing(out.parent):
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir(parents=True)
            pair = above_others(given[:SHOWN].cpu(), found.pictures[:SHOWN])
            save(pair, aside / "compare.png", marks)
            point_files.write(found.points, aside / "latents.npz")
            write_samples(found.pictures, aside / "pictures", marks)
            write_json(aside / "inversion.json", outcome)
            if out.exists():
                out.rmdir()  # empty, as was checked before
            aside.rename(out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def save(picture: Image, path: Path, marks: Mapping[str, str]) -> None:
    """Writes one .png, with what made it, whole or not at all.

    Raises: RunError.
    """
    aside = path.with_name(f".{path.stem}.new.png")
    with writing(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(aside, "PNG", pnginfo=png_texts(marks))
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
