"""`sparring.evaluate`: two places in; numbers with intervals, and the protocol that they hold under, out.

Most metrics compare one set with another; those of restoration compare pictures with their originals, pair by pair;
texts, molecules and clips have judges of their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from PIL import Image

from sparring import config
from sparring.choices import pick_device
from sparring.data.decode import Form
from sparring.data.sources import Progress
from sparring.errors import MetricError
from sparring.evaluation.catalogue import COUNT, METRICS, NEIGHBOURS, chosen
from sparring.evaluation.clip_sides import evaluate_clips, is_clips
from sparring.evaluation.evidence import Evidence
from sparring.evaluation.extraction import default_space, features_of, remembered_features
from sparring.evaluation.galleries import held, take
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.measuring import Comparison, measure
from sparring.evaluation.molecule_sides import could_be_molecules, is_molecules
from sparring.evaluation.molecules import evaluate_molecules
from sparring.evaluation.pairing import evaluate_pairs
from sparring.evaluation.pairs import joined
from sparring.evaluation.restoring import evaluate_restorer, restorer
from sparring.evaluation.sides import Place, agreed, look
from sparring.evaluation.text_sides import is_texts
from sparring.evaluation.texts import evaluate_texts
from sparring.mosaic import above_others
from sparring.networks.features import FeatureNetwork, open_features

SUSPECTS, NEAREST = 8, 3
"""Generated pictures shown, and how many of the training pictures that each is nearest to."""

PERCEPTUAL = "lite0"
"""The features behind `perceptual` unless others are named."""


def evaluate(
    real: Place,
    generated: Place,
    metrics: str | Iterable[str] | None = None,
    features: str | None = None,
    *,
    n: int = COUNT,
    k: int = NEIGHBOURS,
    seed: int = 0,
    resolution: int | tuple[int, int] | None = None,
    device: str | None = None,
    nearest: str | PathLike[str] | None = None,
    shave: int = 0,
    masks: Place | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Compares generated pictures, texts, molecules or clips with real ones, or restored pictures with clean ones.

    real, generated: each a run, a generator (`.safetensors`, `.onnx`), a folder, archive or array of pictures, the name
    of an embedded set, or an .npz file of features (`features`, (N, D), perhaps `labels`) or of moments (`mu`,
    `sigma`). A run is its training data as `real`, and n samples of its generator as `generated`.
    metrics: names of `sparring.evaluation.catalogue.METRICS`; all of sets that apply and are quick if None. Those of
    pairs (psnr, ssim, perceptual, ...) take the same pictures on both sides, which they find by their names, at their
    own size; see `sparring.evaluation.pairing.evaluate_pairs`.
    features: the space that pictures are compared in: a name of `networks.features.SPACES`, NAME=FILE for weights that
    lie elsewhere, or a TorchScript or ONNX file. None takes the one that needs no download; `perceptual` then looks
    through lite0.
    k: neighbours. seed: of the samples. resolution: side, or (height, width), that pictures of both sides are brought
    to; by default that of the generated ones, but no larger than the real ones. nearest: where to write a PNG of the
    most suspicious samples above the training pictures they resemble. shave: pixels of border that metrics of pairs
    leave out. masks: pictures of the same names, white where pixels were missing, for `psnr_inside`.

    Of a run that restores pictures as `generated`, the first n pictures of `real` are damaged as in its training,
    restored, and compared with themselves, by metrics of pairs.

    Texts are compared with texts, molecules with molecules, and clips with clips, by metrics and features of their own:
    see `sparring.evaluation.texts`, `sparring.evaluation.molecules` and `sparring.evaluation.clip_sides`.

    Raises: MetricError, DataError, RunError or SettingError with what is wrong and what to do.
    """
    wanted = None if metrics is None else chosen(metrics)
    for name, value, least in (("k", k, 1), ("n", n, 2)):
        if not isinstance(value, int) or value < least:
            raise MetricError(f"{name}={value}: it should be a whole number, at least {least}")
    on = pick_device(None if device is None else config.check("device", device))
    seed = config.check("seed", seed)
    options: dict[str, object] = {"nearest": nearest, "masks": masks, "resolution": resolution}
    kind = kind_of_both(real, generated)
    if kind == "clips":
        _refuse(kind, {"masks": masks, "shave": shave or None})
        if nearest is not None:
            _check_png(Path(nearest))
        return evaluate_clips(
            real,
            generated,
            wanted,
            features,
            n=n,
            k=k,
            seed=seed,
            resolution=None if resolution is None else config.check("resolution", resolution),
            device=on,
            nearest=None if nearest is None else Path(nearest),
            progress=progress,
        )
    if kind != "pictures":
        of_molecules = {"features": features} if kind == "molecules" else {}
        _refuse(kind, {**options, "shave": shave or None, **of_molecules})
    if kind == "molecules":
        return evaluate_molecules(real, generated, wanted, n=n, seed=seed, device=on, progress=progress)
    if kind == "texts":
        return evaluate_texts(real, generated, wanted, features, n=n, k=k, seed=seed, device=on, progress=progress)
    if model := restorer(generated, on):
        for option, asked in options.items():
            if asked is not None:
                raise MetricError(
                    f"{option} has no meaning for {generated}, a restorer: it is judged by pairs, at their own size, "
                    "with the damage of its training"
                )
        return evaluate_restorer(
            real, model, generated, wanted, features, n=n, seed=seed, shave=shave, device=on, progress=progress
        )
    paired = [name for name in wanted or () if METRICS[name].paired]
    of_sets = None if wanted is None else [name for name in wanted if name not in paired]
    _check_pairs(paired, of_sets, shave=shave, masks=masks, resolution=resolution, nearest=nearest)
    of_pairs = None
    if paired:
        network = open_features(features or PERCEPTUAL, on) if "perceptual" in paired else None
        of_pairs = evaluate_pairs(real, generated, paired, network, masks, shave=shave, device=on, progress=progress)
        if not of_sets:
            return of_pairs
    made = look(generated, "generated", n, seed, on)  # first: what it lacks no other `real` would mend
    found = look(real, "real", n, seed, on), made
    natural = found[0].form, found[1].form
    if nearest is not None:
        _check_place(Path(nearest), natural)
    form = agreed(*natural, None if resolution is None else config.check("resolution", resolution))
    network = _network(natural, form, features, on)
    sides = [side.open(form, progress) for side in found]
    comparison = Comparison(sides[0], sides[1], network, k=k, seed=seed, device=on)
    for name in of_sets or ():  # before the work
        if lack := comparison.lacks(name):
            raise MetricError(f"{name}: {lack}")
    if network is not None:
        for role, side in zip(("real", "generated"), sides, strict=True):
            _take_features(side, role, network, on, progress)
    if of_sets is None:
        suitable = [name for name in METRICS if comparison.suits(name)]
        evaluation = measure(comparison, suitable, form, only_what_can_be=True)
    else:
        evaluation = measure(comparison, of_sets, form)
    if nearest is not None:
        _save(_suspects(comparison), Path(nearest))
    return evaluation if of_pairs is None else joined(evaluation, of_pairs)


def kind_of_both(real: Place, generated: Place) -> Literal["pictures", "texts", "molecules", "clips"]:
    """What is compared. A list or table may hold molecules, and a folder of frames clips, where the other side surely
    does.

    Raises: MetricError if the sides are of different kinds.
    """
    sides = (real, generated)
    if is_clips(real) or is_clips(generated):
        return "clips"
    surely = [is_molecules(side) for side in sides]
    if any(surely):
        for side, sure in zip(sides, surely, strict=True):
            if not sure and not could_be_molecules(side):
                raise MetricError(
                    f"{sides[surely.index(True)]} is molecules and {side} is not: both sides must be of one kind to be "
                    "compared"
                )
        return "molecules"
    real_is, generated_is = is_texts(real), is_texts(generated)
    if real_is != generated_is:
        texts, other = (real, generated) if real_is else (generated, real)
        raise MetricError(f"{texts} is texts and {other} is not: both sides must be of one kind to be compared")
    return "texts" if real_is else "pictures"


def _refuse(kind: str, options: Mapping[str, object]) -> None:
    """Raises: MetricError for the first of the options that was given."""
    for option, asked in options.items():
        if asked is not None:
            raise MetricError(f"{option} has no meaning for {kind}")


def _check_pairs(
    paired: Sequence[str],
    of_sets: Sequence[str] | None,
    *,
    shave: int,
    masks: Place | None,
    resolution: object,
    nearest: object,
) -> None:
    """Raises: MetricError for options that say nothing to the metrics that were named."""
    if not isinstance(shave, int) or shave < 0:
        raise MetricError(f"shave={shave}: it should be a whole number of pixels, at least 0")
    if not paired and (shave or masks is not None):
        option = "shave" if shave else "masks"
        raise MetricError(f"{option} is for metrics of pairs: name some, as in --metrics psnr,ssim,perceptual")
    if masks is not None and "psnr_inside" not in paired:
        raise MetricError("masks say where psnr_inside looks: name it under --metrics")
    if paired and not of_sets and (resolution is not None or nearest is not None):
        option = "nearest" if resolution is None else "resolution"
        raise MetricError(f"{option} is for metrics of sets, such as fid; pairs are compared at their own size")


def _check_place(path: Path, natural: Sequence[Form | None]) -> None:
    """Raises: MetricError if the pictures side by side cannot be made, or not be written there."""
    if None in natural:
        raise MetricError("--nearest shows pictures, and one of the sides has none")
    _check_png(path)


def _check_png(path: Path) -> None:
    """Raises: MetricError if no picture can be written there."""
    if path.suffix.lower() != ".png" or path.is_dir() or not path.absolute().parent.is_dir():
        raise MetricError(f"{path}: --nearest is the path of a .png in a folder that is there")


def _save(picture: Image.Image, path: Path) -> None:
    try:
        picture.save(path)
    except OSError as error:
        raise MetricError(f"{path}: cannot be written: {error.strerror or error}") from None


def _network(
    natural: Sequence[Form | None], form: Form | None, features: str | None, device: str
) -> FeatureNetwork | None:
    """The network that pictures go through; None if there are no pictures, so that features are as given."""
    if form is None:
        if features is not None:
            raise MetricError(f"features={features}: both sides are features already; it is for pictures")
        return None
    if features is None and None in natural:
        raise MetricError(
            "one side is features and the other pictures: name the space that the features were taken in, as in "
            "--features inception"
        )
    return open_features(features or default_space(form.height, form.width), device)


def _take_features(side: Evidence, role: str, network: FeatureNetwork, device: str, progress: Progress | None) -> None:
    if side.gallery is None:
        return
    side.gallery = held(side.gallery, progress, f"{role}: samples of {side.name}")
    stage = f"{role}: features of {side.name}"
    if side.fingerprint:
        side.features = remembered_features(side.gallery, side.fingerprint, network, device, progress, stage)
    else:
        side.features = features_of(side.gallery, network, device, progress, stage)


def _suspects(comparison: Comparison) -> Image.Image:
    """The samples most likely to be copies, each above the real pictures it is nearest to."""
    real, fake = comparison.real, comparison.fake
    assert real.gallery is not None and fake.gallery is not None, "checked before"
    samples, nearest = comparison.suspects(SUSPECTS, NEAREST)
    return above_others(take(fake.gallery, samples), take(real.gallery, nearest.flatten()))
