"""What `sparring evaluate A B` can compare: runs, generators of others, pictures, features and moments, as `Evidence`.

Opening goes in two steps, since both sides must agree on the form of the pictures: `look` finds out what a place is and
which form its pictures have by nature; `Found.open` then brings them to the form agreed on.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sparring import data
from sparring.config import form_of
from sparring.data.decode import Form, channels_of
from sparring.data.shards import is_command
from sparring.data.sources import Progress
from sparring.errors import MetricError, RunError
from sparring.evaluation.evidence import Evidence
from sparring.evaluation.galleries import Decoded, Drawn, reformed
from sparring.foreign_generators import ForeignGenerator, is_foreign
from sparring.metrics.frechet import Moments
from sparring.model import FILE, Model
from sparring.tasks import generate, translate
from sparring.training.files import checksum
from sparring.training.run import Run

Role = Literal["real", "generated"]
Place = str | PathLike[str]

MOST_LABEL = 2**62
"""Above which a label is taken for a mistake."""

MOST_REAL = 50_000
"""Real pictures looked at; more are thinned out evenly."""


@dataclass(frozen=True)
class Found:
    """A place that can be compared. `form` is what its pictures are by nature, None where there are no pictures."""

    form: Form | None
    open: Callable[[Form | None, Progress | None], Evidence]


def look(place: Place, role: Role, count: int, seed: int, device: str = "cpu") -> Found:
    """What a place is: a run, a generator of others, features, moments, or pictures.

    role: a run folder is its training data as "real", `count` samples of its generator as "generated"; a generator in a
    file is samples as either.
    Raises: MetricError, DataError or RunError that says what was found there instead.
    """
    if is_command(str(place)):
        return _pictures(place, count if role == "generated" else MOST_REAL)
    path = Path(place)
    if path.is_dir() and ((path / "config.toml").is_file() or (path / FILE).is_file()):
        return _training_data(path) if role == "real" else _run(path, count, seed, device)
    if path.suffix == ".safetensors":
        return _run(path, count, seed, device)
    if is_foreign(path):
        return _foreign(path, count, seed, device)
    if path.is_dir() and (runs := [child.name for child in path.iterdir() if (child / "config.toml").is_file()]):
        raise MetricError(f"{path} holds runs, not pictures; name one of them, such as {path / min(runs)}")
    if path.suffix.lower() == ".npy" and path.is_file() and _is_flat(path):
        raise MetricError(f"{path}: rows of features go into an .npz file under the name `features`, by numpy.savez")
    if path.suffix.lower() == ".npz" and path.is_file():
        side = _numbers(path)
        if side is not None:
            return Found(None, lambda form, progress: side)
    return _pictures(place, count if role == "generated" else MOST_REAL)


def _run(path: Path, count: int, seed: int, device: str) -> Found:
    model = Model.load(path, device)
    if isinstance(model.blueprint, translate.Blueprint):
        raise MetricError(
            f"{path} translates pictures and makes none of noise: sparring apply {path} PHOTOS CHANGED, and evaluate "
            "paintings against CHANGED"
        )
    blueprint = model.from_noise
    channels, height, width = blueprint.shape

    def draw(start: int, stop: int) -> Tensor:
        return generate.sample(model.generator, blueprint, stop - start, seed, start=start)

    gallery = Drawn(draw, count, blueprint.shape)
    weights = path / FILE if path.is_dir() else path
    about = {"kind": "generator", "name": str(path), "count": count, "seed": seed, "digest": checksum(weights)}
    if blueprint.discriminator_features:
        about["discriminator_features"] = blueprint.discriminator_features
    if model.classes:
        about["classes"] = dict(zip(model.classes, blueprint.class_shares, strict=True))
    form = Form(height, width, channels_of(channels))
    return Found(
        form,
        lambda wanted, progress: Evidence(str(path), about, reformed(gallery, wanted or form), made=True, model=model),
    )


def _training_data(path: Path) -> Found:
    run = Run(path).existing()
    settings = run.settings()
    place = run.place_of_pictures(settings)
    if settings.fit == "patches":
        raise MetricError(f"{path} was trained on patches of pictures, not on whole ones: give their folder, {place}")
    form = form_of(settings)

    def open_side(wanted: Form | None, progress: Progress | None) -> Evidence:
        survey = data.survey(place)
        side = _open_pictures(place, survey, str(path), wanted or form, MOST_REAL, progress)
        known = run.data().get("fingerprint")
        # At another size, or as a sample, the pictures have another fingerprint: then it is taken for that of the run.
        if known != side.fingerprint and known != data.fingerprint(place, form):
            raise RunError(f"{place} is not what {run} was trained on: its pictures have changed")
        side.about |= {"kind": "training data of a run", "split": "training"}
        return side

    return Found(form, open_side)


def _foreign(path: Path, count: int, seed: int, device: str) -> Found:
    generator = ForeignGenerator(path, device)
    channels, height, width = generator.from_noise.shape
    gallery = Drawn(lambda start, stop: generator.sample(stop - start, seed, start), count, generator.from_noise.shape)
    about = {
        "kind": f"{generator.kind} generator",
        "name": str(path),
        "count": count,
        "seed": seed,
        "digest": generator.digest,
        "range": generator.range,
    }
    if generator.discriminator_features:
        about["discriminator_features"] = generator.discriminator_features
    form = Form(height, width, channels_of(channels))
    return Found(
        form, lambda wanted, progress: Evidence(str(path), about, reformed(gallery, wanted or form), made=True)
    )


def _pictures(place: Place, most: int) -> Found:
    source = place if isinstance(place, str) else Path(place)
    survey = data.survey(source)
    height, width = survey.common_size()
    form = Form(height, width, survey.channels())
    return Found(
        form, lambda wanted, progress: _open_pictures(source, survey, str(place), wanted or form, most, progress)
    )


def _open_pictures(
    source: str | Path, survey: data.Survey, name: str, form: Form, most: int, progress: Progress | None
) -> Evidence:
    size, fit = (form.height, form.width), form.fit
    labelled = bool(survey.classes) and all(entry.label is not None for entry in survey.items)
    buffer = None if survey.in_shards is None else data.buffer_for(survey.in_shards, form)
    whole: data.Data
    if buffer is None:
        whole = data.load(source, resolution=size, fit=fit, channels=form.channels, labels=labelled, progress=progress)
    else:
        whole = data.stream(source, form, buffer=buffer, labels=labelled, progress=progress)
    pictures = whole.sample()
    gallery = Decoded(pictures, min(len(pictures), most))
    about: dict[str, Any] = {
        "kind": "pictures",
        "name": name,
        "count": len(gallery),
        "split": "all that is there",
        "fingerprint": pictures.fingerprint,
    }
    if len(gallery) < len(whole):
        about["of"] = len(whole)
    if pictures.skipped:
        about["skipped"] = len(pictures.skipped)
    labels = None
    if pictures.labels is not None:
        labels = pictures.labels[gallery.numbers]
        about["classes"] = shares(labels, pictures.classes)
    return Evidence(name, about, gallery, pictures.fingerprint, labels=labels)


def agreed(real: Form | None, generated: Form | None, resolution: tuple[int, int] | None = None) -> Form | None:
    """The form that both sides' pictures are brought to: the generated one, but no side longer than a real one's.

    So a generator is judged at its own resolution, and never on detail that one of the sides cannot have. resolution:
    (height, width) that somebody asked for instead.
    """
    forms = [form for form in (real, generated) if form]
    if not forms:
        return None
    height, width = forms[-1].height, forms[-1].width
    shrink = min(1.0, forms[0].height / height, forms[0].width / width)
    height, width = resolution or (max(1, round(height * shrink)), max(1, round(width * shrink)))
    return Form(height, width, channels_of(max(form.channels for form in forms)), forms[0].fit)


def shares(labels: Tensor, names: Sequence[str] | None = None) -> Mapping[str, float]:
    """The share of each class that is among the labels, by name; labels are their own names if there are none."""
    counts = sorted(Counter(labels.tolist()).items())
    return {names[label] if names else str(label): round(count / len(labels), 6) for label, count in counts}


def _numbers(path: Path) -> Evidence | None:
    """Features (`features`) or moments (`mu`, `sigma`) of an .npz file; None if it holds neither."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = set(file.files)
            flat = [name for name in file.files if file[name].ndim == 2 and file[name].dtype.kind == "f"]
            if len(names) == 1 and flat and "features" not in names:
                raise MetricError(f"{path}: rows of features go under the name `features`; they are under `{flat[0]}`")
            wanted = {"features", "labels"} if "features" in names else {"mu", "sigma"}
            if not wanted & names or "images" in names:
                return None
            arrays = {name: file[name] for name in wanted & names}
    except MetricError:
        raise
    except Exception as error:  # a damaged file makes zipfile, zlib, NumPy and Python's tokenizer raise what they like
        raise MetricError(f"{path}: cannot be read as .npz: {error}") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise MetricError(f"{path}: `{name}` is {array.dtype}; numbers are needed")
    return _features(path, arrays) if "features" in arrays else _moments(path, arrays)


def _is_flat(path: Path) -> bool:
    """Whether a .npy file holds rows of floats, which are no pictures."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False  # whoever reads pictures says what is wrong
    return bool(array.ndim == 2 and array.dtype.kind == "f")


def _features(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Evidence:
    features = torch.from_numpy(np.ascontiguousarray(arrays["features"], np.float64))
    if features.ndim != 2 or not features.numel():
        raise MetricError(f"{path}: `features` has shape {tuple(features.shape)}; expected (samples, features)")
    if not features.isfinite().all():
        row = int((~features.isfinite()).any(1).nonzero()[0])
        raise MetricError(f"{path}: `features` holds NaN or infinity, in row {row} first; take them out or mend them")
    about = {"kind": "features", "name": str(path), "count": len(features)}
    side = Evidence(str(path), about, features=features)
    if "labels" in arrays:
        labels = arrays["labels"]
        if labels.shape != (len(features),) or labels.dtype.kind not in "iu" or labels.max(initial=0) > MOST_LABEL:
            raise MetricError(f"{path}: `labels` are whole numbers, one for each of the {len(features)} rows")
        side.labels = torch.from_numpy(labels.astype(np.int64))
        side.about["classes"] = shares(side.labels)
    return side


def _moments(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Evidence:
    if len(arrays) < 2:
        raise MetricError(f"{path}: moments are `mu` and `sigma`; it holds only `{next(iter(arrays))}`")
    mean, cov = (torch.from_numpy(np.ascontiguousarray(arrays[name], np.float64)) for name in ("mu", "sigma"))
    if mean.ndim != 1 or cov.shape != (len(mean), len(mean)):
        raise MetricError(f"{path}: `mu` {tuple(mean.shape)} and `sigma` {tuple(cov.shape)}; expected (D,) and (D, D)")
    if not (mean.isfinite().all() and cov.isfinite().all()):
        raise MetricError(f"{path}: `mu` or `sigma` holds NaN or infinity")
    if not torch.allclose(cov, cov.T, rtol=1e-4, atol=1e-6 * float(cov.abs().max())):
        raise MetricError(f"{path}: `sigma` is not symmetric; a covariance is")
    values = torch.linalg.eigvalsh(cov)
    if values[0] < -1e-5 * values[-1].abs():
        raise MetricError(
            f"{path}: `sigma` has negative eigenvalues (down to {float(values[0]):.2g}); a covariance has none"
        )
    about = {"kind": "moments", "name": str(path)}
    return Evidence(str(path), about, given_moments=Moments(mean, (cov + cov.T) / 2, None))
