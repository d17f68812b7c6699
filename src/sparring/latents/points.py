"""Which latents are meant: samples of a seed, or those of a file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparring.errors import RunError, SettingError
from sparring.latents.decoders import Decoder
from sparring.training.files import writing

RANGE = re.compile(r"(\d+)(?:-(\d+))?")
FILES = (".npz", ".npy")
MOST = 10_000
"""Points that are meant at once, at most: more are a slip of the keyboard."""

WAYS = (
    "SEED, SEED:I or SEED:I-J for samples of a seed, and FILE, FILE:I or FILE:I-J for latents in an .npz or .npy file"
)


@dataclass(frozen=True)
class Points:
    """Latents with what they are decoded with.

    z: float32 (n, z_dim). classes: shares of each class, float32 (n, classes); None for a generator without classes.
    names: for people, one a point.
    """

    z: Tensor
    classes: Tensor | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, chosen: Sequence[int] | slice) -> "Points":
        names = self.names[chosen] if isinstance(chosen, slice) else tuple(self.names[i] for i in chosen)
        index = chosen if isinstance(chosen, slice) else list(chosen)
        return Points(self.z[index], None if self.classes is None else self.classes[index], names)

    def moved(self, z: Tensor) -> "Points":
        """The same classes at other places z (n, z_dim)."""
        return Points(z, self.classes, self.names)

    def pictures(self, model: Decoder) -> Tensor:
        """Uint8 (n, C, H, W)."""
        return model.decode(self.z, self.classes)


def joined(parts: Sequence[Points]) -> Points:
    """One after another."""
    classes = [part.classes for part in parts if part.classes is not None]
    return Points(
        torch.cat([part.z for part in parts]),
        torch.cat(classes) if classes else None,
        tuple(name for part in parts for name in part.names),
    )


def samples(model: Decoder, n: int, seed: int, start: int = 0) -> Points:
    """Samples `start` to `start + n - 1` of a seed, as `sample` makes them."""
    z, labels = model.latents(n, seed, start), model.labels(n, seed, start)
    return Points(z, model.from_noise.condition(labels), tuple(f"{seed}:{start + i}" for i in range(n)))


def find(model: Decoder, wanted: Sequence[str], labels: Sequence[str] = ()) -> Points:
    """The points that a person means.

    wanted: each SEED (its first sample), SEED:I, SEED:I-J (both ends included), or a file of latents that `write` made,
    or an .npy or .npz (key `z`) of float (n, z_dim), perhaps with :I or :I-J. labels: classes in place of those that
    samples and files have, one for all or one each; of a single point and several labels come as many points.

    Raises: SettingError for what is none of these, out of range, or of another generator; RunError for a file that
    cannot be read.
    """
    points = joined([_find(model, text) for text in wanted])
    if not labels:
        return points
    numbers = torch.tensor([model.from_noise.class_number(label) for label in labels])
    if len(points) == 1:
        points = points[[0] * len(numbers)]
    if len(numbers) == 1:
        numbers = numbers.expand(len(points))
    if len(numbers) != len(points):
        raise SettingError(f"{len(numbers)} labels for {len(points)} points: give one for all, or one each")
    names = tuple(f"{name} as {model.classes[number]}" for name, number in zip(points.names, numbers, strict=True))
    return Points(points.z, model.from_noise.condition(numbers), names)


def _find(model: Decoder, text: str) -> Points:
    head, colon, tail = text.rpartition(":")
    span = RANGE.fullmatch(tail) if colon else None
    place = head if span else text
    first, last = (int(span[1]), int(span[2] or span[1])) if span else (0, None)
    if last is not None and not 0 <= last - first < MOST:
        raise SettingError(f"{text}: from {first} to {last}; points are counted upwards, and at most {MOST:,} at once")
    if place.isascii() and place.isdecimal():
        seed = int(place)
        if seed >= 2**63:
            raise SettingError(f"{text}: a seed is below 2^63")
        return samples(model, 1 if last is None else last - first + 1, seed, first)
    if Path(place).suffix.lower() not in FILES:
        raise SettingError(f"{text}: no point; there is {WAYS}")
    found = read(model, place)
    if last is None:
        return found
    if last >= len(found):
        raise SettingError(f"{text}: {place} holds points 0 to {len(found) - 1}")
    return found[first : last + 1]


def read(model: Decoder, place: str | PathLike[str]) -> Points:
    """The points of a file that `write` made, or of any .npy or .npz (key `z`) of float (n, z_dim) or (z_dim,).

    Class numbers are taken from the key `label` if there is one, else a generator with classes gives an error.

    Raises: RunError if it cannot be read; SettingError if it does not go with the generator.
    """
    path = Path(place)
    try:
        found = np.load(path, allow_pickle=False)
        values = {"z": found} if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
        z = torch.from_numpy(np.atleast_2d(values["z"]).astype(np.float32))
        label = torch.from_numpy(values["label"].astype(np.int64)) if "label" in values else None
        names: tuple[str, ...] = tuple(str(name) for name in values.get("names", ()))
    except KeyError:
        raise RunError(f"{path}: holds no latents: an .npz file has them under the name z") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, EOFError) as error:
        raise RunError(f"{path}: no latents that can be read: {error}") from None
    if label is None and model.classes:
        raise SettingError(
            f"{path}: has no class numbers (key `label`), and this generator knows classes: give --label"
        )
    try:
        z, classes = model.inputs(z, label if model.classes else None)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from None
    if len(names) != len(z):
        names = tuple(f"{path.name}:{i}" for i in range(len(z)))
    return Points(z, classes, names)


def write(points: Points, path: Path) -> None:
    """Writes .npz with `z` float32 (n, z_dim), `names`, and `label` int64 (n,) (the largest share) if there are any.

    Raises: RunError if it cannot be written.
    """
    values = {"z": points.z.numpy(), "names": np.array(points.names)}
    if points.classes is not None:
        values["label"] = points.classes.argmax(1).numpy()
    write_arrays(values, path)


def write_arrays(values: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]], path: Path) -> None:
    """Writes an .npz file whole or not at all.

    Raises: RunError if it cannot be written.
    """
    aside = path.with_name(f".{path.stem}.new.npz")
    with writing(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(aside, **values)  # type: ignore[arg-type]  # the stubs take names for its switches
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
