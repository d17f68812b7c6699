"""A generator that makes pictures good, judged on clean pictures: they are damaged as in its training, and restored."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.applying.changing import as_tensor, changed
from sparring.config import Settings
from sparring.data import to_bytes, to_floats
from sparring.data.damage import Damage, damage_of
from sparring.data.decode import UnusableError, eight_bit, in_channels, reason
from sparring.data.sources import Progress, Skipped, Source
from sparring.errors import MetricError, RunError
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.pairing import opened, said
from sparring.evaluation.pairs import Pair, compare, evaluation_of, lacks, too_small
from sparring.evaluation.sides import Place
from sparring.model import FILE, Model
from sparring.networks.features import open_features
from sparring.randomness import Random
from sparring.tasks import restore
from sparring.training.files import checksum
from sparring.training.run import Run

USUAL = ("psnr", "ssim", "perceptual")
FEATURES = "lite0"


def restorer(place: Place, device: str) -> Model | None:
    """The generator of a run or file, if it restores pictures; None for everything else."""
    path = Path(place)
    if not (path / FILE).is_file() and path.suffix != ".safetensors":
        return None
    model = Model.load(path, device)
    return model if isinstance(model.blueprint, restore.Blueprint) else None


def evaluate_restorer(
    clean: Place,
    model: Model,
    place: Place,
    names: Sequence[str] | None = None,
    features: str | None = None,
    *,
    n: int,
    seed: int = 0,
    shave: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """What a restorer makes of the first `n` pictures of a place, each damaged in its own way, beside the originals.

    clean: a folder, archive or array of pictures of any size, or a run, whose training data they are. place: where the
    restorer came from. names: metrics of pairs; None takes psnr, ssim and perceptual, and psnr_inside where holes are
    filled.

    Raises: MetricError if nothing can be compared, or a metric compares no pairs; DataError for a place that cannot be
    read.
    """
    blueprint = model.blueprint
    assert isinstance(blueprint, restore.Blueprint), "asked before"
    wanted = list(names or (*USUAL, *(["psnr_inside"] if blueprint.takes_mask else [])))
    network = open_features(features or FEATURES, device) if "perceptual" in wanted else None
    for name in wanted:
        if lack := lacks(name, network, blueprint.takes_mask):
            raise MetricError(f"{name}: {lack}")
    where = training_data(clean)
    source = opened(where)
    left_out = list(source.skipped)
    pairs = restored_pairs(model, blueprint, source, wanted, left_out, most=n, seed=seed, shave=shave)
    tally = compare(
        pairs, wanted, network, shave=shave, device=device, total=min(n, len(source.items)), progress=progress
    )
    if not tally.count:
        raise MetricError(f"no picture of {source.name} can be compared: {left_out[0].path}: {left_out[0].reason}")
    if left_out:
        tally.notices.insert(0, said(left_out, tally.count))
    if where is not clean:
        tally.notices.append(
            "most of these pictures were shown in training: give others to see what it does with those"
        )
    kept = Path(place) / FILE if Path(place).is_dir() else Path(place)
    real = {"kind": "pictures", "name": source.name, "count": tally.count, "fingerprint": source.digest(None)}
    made: dict[str, Any] = {"kind": "restorer", "name": str(place), "count": tally.count, "digest": checksum(kept)}
    made |= {"damage": blueprint.damage, **blueprint.protocol, "seed": seed}
    return evaluation_of(tally, network, real, made, shave=shave, device=device)


def training_data(place: Place) -> Place:
    """The pictures of a run, for a run; any other place as it is."""
    if not (Path(place) / "config.toml").is_file():
        return place
    run = Run(place).existing()
    settings = run.settings()
    if settings.task != "restore":
        raise RunError(f"{place}: its pictures were not restored; give the folder of some that were not damaged")
    return run.place_of_pictures(settings)


def restored_pairs(
    model: Model,
    blueprint: restore.Blueprint,
    source: Source,
    names: Sequence[str],
    left_out: list[Skipped],
    *,
    most: int,
    seed: int,
    shave: int,
) -> Iterator[Pair]:
    """The pairs one by one; what cannot be used goes to `left_out` with the reason."""
    damage: Damage = damage_of(Settings.model_construct(damage=blueprint.damage, **blueprint.protocol))
    apparatus = model.apparatus()
    with source.openings() as openings:
        for number, (name, opening) in enumerate(zip(source.items, openings, strict=True)):
            if number == most:
                return
            try:
                with opening() as picture:
                    clean = fitting(
                        as_tensor(in_channels(eight_bit(picture), 1 if blueprint.channels == 1 else 3)), blueprint.scale
                    )
                if small := next((why for each in names if (why := too_small(each, clean, shave))), ""):
                    raise UnusableError(small)
            except Exception as error:  # hostile bytes can raise anything, and must not end the comparison
                left_out.append(Skipped(name, reason(error)))
                continue
            found = damage(to_floats(clean[None]), Random(seed, number, 1).at("damage"))
            hole = None if found.mask is None else found.mask[0, 0].bool()
            yield Pair(clean, changed(apparatus, to_bytes(found.pictures)[0], hole), name, hole)


def fitting(picture: Tensor, scale: int) -> Tensor:
    """As much of a picture (C, H, W) as can be reduced `scale` times.

    Raises: UnusableError if that is nothing.
    """
    height, width = (side // scale * scale for side in picture.shape[1:])
    if not height or not width:
        raise UnusableError(f"smaller than {scale}x{scale} pixels")
    return torch.narrow(torch.narrow(picture, 1, 0, height), 2, 0, width)
