"""Directions of something that has a name: across a boundary in z, from samples without it to samples with it.

Source: Shen et al. 2020 (InterFaceGAN, arXiv 1907.10786), section 3. Who has it is measured on the pictures, said by a
person, or told by a classifier that learned the classes of the training pictures.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from sparring import data
from sparring.config import form_of
from sparring.data import to_floats
from sparring.errors import DataError, RunError, SettingError
from sparring.evaluation.extraction import as_rgb, features_of
from sparring.evaluation.galleries import Decoded, Held
from sparring.latents.decoders import Decoder
from sparring.latents.directions import SEED, Directions
from sparring.metrics.estimate import Estimate, share
from sparring.networks.features import open_features
from sparring.training.run import Run

SAMPLES = 4096
"""That are measured or classified."""

EXTREMES = 0.25
"""Share of the samples at either end of what is measured that a boundary is drawn between."""

LEAST = 20
"""Samples on each side at least."""

UNSEEN = 0.3
"""Share of the samples that a boundary, or a classifier, is not fitted to, and judged by."""

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601-7, 2.5.1)."""


def light(pictures: Tensor) -> Tensor:
    """Luminance (n, H, W), 0 to 1, of pictures (n, C, H, W) in [-1, 1]; what is transparent is black."""
    weights = pictures.new_tensor(LUMINANCE)[:, None, None]
    return ((as_rgb(pictures) + 1) / 2 * weights).sum(1)


def brightness(pictures: Tensor) -> Tensor:
    """Mean luminance (n,)."""
    return light(pictures).mean((1, 2))


def contrast(pictures: Tensor) -> Tensor:
    """Standard deviation of the luminance over the picture (n,)."""
    return light(pictures).flatten(1).std(1)


def saturation(pictures: Tensor) -> Tensor:
    """Mean difference of the strongest and the weakest colour of a pixel (n,)."""
    rgb = (as_rgb(pictures) + 1) / 2
    return (rgb.amax(1) - rgb.amin(1)).mean((1, 2))


def left_right(pictures: Tensor) -> Tensor:
    """How far to the right the light lies (n,), -1 to 1."""
    return centre(light(pictures).sum(1))


def top_bottom(pictures: Tensor) -> Tensor:
    """How far down the light lies (n,), -1 to 1."""
    return centre(light(pictures).sum(2))


def centre(weights: Tensor) -> Tensor:
    """Centre of mass (n,) of lines (n, length), -1 to 1."""
    places = torch.linspace(-1, 1, weights.shape[1]).to(weights)
    return (weights * places).sum(1) / weights.sum(1).clamp(min=1e-6)


ATTRIBUTES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "left-right": left_right,
    "top-bottom": top_bottom,
}
"""What is measured on pictures (n, C, H, W) in [-1, 1], by name."""


def of_attribute(model: Decoder, name: str) -> Directions:
    """The direction in which something that is measured on pictures grows, from 4,096 samples.

    Raises: SettingError if there is no such measure, or all samples are alike in it.
    """
    if name not in ATTRIBUTES:
        raise SettingError(f"{name}: is not measured; there is {', '.join(ATTRIBUTES)}")
    z, labels = model.latents(SAMPLES, SEED), model.labels(SAMPLES, SEED)
    pictures = model.decode(z, labels if model.classes else None)
    return gathered([of_values(z, ATTRIBUTES[name](to_floats(pictures)), name)], [name], "measured on pictures")


def of_table(model: Decoder, path: Path, seed: int) -> Directions:
    """Directions from a CSV file in which a person says what samples of a seed have.

    Its first line names two columns: the first has numbers of samples or names of their files, as `sample --out FOLDER`
    gives them; the second has numbers, in which case there is one direction in which they grow, or words, in which case
    there is one for each word, to it from the others; from one to the other of two.

    Raises: DataError for a table that is not understood; SettingError for too few samples of a kind.
    """
    name, rows = read_table(path)
    numbers = torch.tensor([number for number, _ in rows])
    # Only what is asked for is made, block by block: a table may be about samples far apart.
    z = torch.cat([model.latents(1, seed, number) for number in numbers.tolist()])
    said = [word for _, word in rows]
    try:
        values = torch.tensor([float(word) for word in said], dtype=torch.float64)
    except ValueError:
        return of_words(z, np.array(said), f"labels of {path.name}")
    if not values.isfinite().all():
        raise DataError(f"{path}: holds NaN or infinity")
    two = len(set(values.tolist())) == 2
    found = boundary(z, values == values.max(), name) if two else of_values(z, values, name)
    return gathered([found], [name], f"labels of {path.name}")


def read_table(path: Path) -> tuple[str, list[tuple[int, str]]]:
    """The name of the second column, and the rows: number of a sample, and what is said of it.

    Raises: DataError.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except ValueError:
        raise DataError(f"{path}: is empty; it should have a line of names and a line for each sample") from None
    found = []
    for line, row in enumerate(rows, 2):
        stem = Path(row[0].strip()).stem
        if len(row) != len(header) or len(row) < 2 or not (stem.isascii() and stem.isdecimal()) or len(stem) > 9:
            raise DataError(f"{path}: line {line}: expected the number of a sample or 00012.png, then a label; {row}")
        if row[1].strip():
            found.append((int(stem), row[1].strip()))
    if not found:
        raise DataError(f"{path}: says nothing of any sample")
    return header[1].strip() or "label", found


def of_classes(model: Decoder, place: Path, device: str = "cpu") -> tuple[Directions, Estimate]:
    """A direction for each class of the training pictures, to it from all others; and how often the classes are told.

    A classifier learns them from features of the training pictures (logistic regression, in the space that the run is
    judged in), then tells those of 4,096 samples. Its accuracy is on training pictures that it did not learn from.

    Raises: SettingError for a generator that was given the classes, which z does not tell then; RunError or DataError
    if there is no run with its pictures, or they have no classes.
    """
    if model.classes:
        raise SettingError(
            "this generator is told the class, so z does not tell it: sparring latents walk RUN SEED --label A,B"
        )
    if not (place / "config.toml").is_file():
        raise RunError(f"{place}: is no run with its training pictures, whose classes could be learned")
    run = Run(place)
    settings = run.settings()
    form = form_of(settings)
    where = run.place_of_pictures(settings)
    pictures = data.load(where, resolution=(form.height, form.width), fit=form.fit, channels=form.channels, labels=True)
    assert pictures.labels is not None, "they were asked for"
    network = open_features(settings.quality_features, device)
    features = features_of(Decoded(pictures, len(pictures)), network, device).numpy()
    real = pictures.labels.numpy()
    fitted, unseen = parts(len(real))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(features[fitted], real[fitted])
    told = share(float((classifier.predict(features[unseen]) == real[unseen]).mean()), int(unseen.sum()))
    z = model.latents(SAMPLES, SEED)
    made = features_of(Held(model.decode(z)), network, device).numpy()
    classes = np.array(pictures.classes)[classifier.predict(made)]
    return of_words(z, classes, "classes of the training pictures"), told


def of_words(z: Tensor, words: NDArray[np.str_], method: str) -> Directions:
    """A direction to each word from the others, of which there are enough samples; one alone, of two words.

    Raises: SettingError if there is none.
    """
    names, counts = np.unique(words, return_counts=True)
    if len(names) == 2:
        names, counts = names[1:], counts[1:]
    usable = [str(name) for name, count in zip(names, counts, strict=True) if LEAST <= count <= len(words) - LEAST]
    if not usable:
        listed = ", ".join(f"{count} of {name}" for name, count in zip(names, counts, strict=True))
        raise SettingError(f"{listed}, of {len(words)} samples: a boundary needs {LEAST} on each side")
    return gathered([boundary(z, torch.from_numpy(words == name), name) for name in usable], usable, method)


def of_values(z: Tensor, values: Tensor, name: str) -> tuple[Tensor, Estimate]:
    """The boundary between the lowest and the highest quarter of values (n,).

    Raises: SettingError if they are all alike, or too few.
    """
    low, high = values.double().quantile(torch.tensor([EXTREMES, 1 - EXTREMES], dtype=torch.float64))
    if low == high:
        raise SettingError(f"{name}: half of the samples or more are alike in it, so nothing is to be learned")
    at_ends = (values <= low) | (values >= high)
    return boundary(z[at_ends], values[at_ends] >= high, name)


def boundary(z: Tensor, has: Tensor, name: str) -> tuple[Tensor, Estimate]:
    """The unit vector (z_dim,) from samples without it to samples with it, by logistic regression on z.

    has: bool (n,). Also how often it tells them rightly, on three tenths of the samples that it was not fitted to; both
    kinds weigh the same.

    Raises: SettingError for fewer than 20 of either kind.
    """
    count = min(int(has.sum()), int((~has).sum()))
    if count < LEAST:
        raise SettingError(f"{name}: {count} samples on one side; a boundary needs {LEAST} on each")
    fitted, unseen = parts(len(z))
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(z.numpy()[fitted], has.numpy()[fitted])
    right = model.predict(z.numpy()[unseen]) == has.numpy()[unseen]
    kinds = [right[has.numpy()[unseen] == kind] for kind in (False, True)]
    accuracy = float(np.mean([kind.mean() if len(kind) else 0.5 for kind in kinds]))
    vector = torch.from_numpy(model.coef_[0])
    return (vector / vector.norm()).float(), share(accuracy, len(right))


def parts(count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of `count` samples are fitted to and which are not, always the same."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).numpy()
    unseen = order < UNSEEN * count
    return ~unseen, unseen


def gathered(found: Sequence[tuple[Tensor, Estimate]], names: Sequence[str], method: str) -> Directions:
    """Boundaries as directions, with their accuracies as scores."""
    return Directions(
        torch.stack([vector for vector, _ in found]),
        tuple(names),
        tuple(accuracy.value for _, accuracy in found),
        method,
        "share of other samples on the right side of the boundary; 0.5 is chance",
    )
