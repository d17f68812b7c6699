"""Generators of others, in an ONNX or a TorchScript file: latents in, pictures out, whatever is between.

Such a file takes standard normal latents z, floats (n, z_dim) or (n, z_dim, 1, 1), and perhaps class numbers, int64
(n,), of which its metadata then says how many there are. It gives pictures, channels first or last: uint8, or floats in
[-1, 1], [0, 1] or [0, 255]. Exports of this program are of this kind.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sparring.errors import MetricError, RunError
from sparring.networks.foreign import need_onnxruntime, opened_script
from sparring.tasks.generate import FORWARD, FromNoise, filled
from sparring.training.files import checksum

SUFFIXES = {".onnx": "ONNX", ".pt": "TorchScript", ".pth": "TorchScript", ".ts": "TorchScript"}
"""Ends of the names of such files, and what they are."""

FACTS = "sparring.json"
"""Of the extra files in a TorchScript file the one that holds what an ONNX file has as metadata."""

MOST_NUMBERS = 1024
"""That a latent may have which is found by trying."""


def is_foreign(place: str | PathLike[str]) -> bool:
    """Whether the name is that of such a file."""
    return Path(place).suffix.lower() in SUFFIXES


class Program(Protocol):
    """What a file computes, and what it says of itself.

    latent: axes of z behind the first. labelled: whether it takes class numbers. channels_last: told by the file, None
    if it is not. batch: how many latents it takes at once, None for any number. learns: whether gradients come through.
    """

    latent: tuple[int, ...]
    labelled: bool
    channels_last: bool | None
    batch: int | None
    learns: bool
    facts: Mapping[str, str]
    device: torch.device

    def __call__(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Pictures as it gives them, of z float32 (n, *latent) and class numbers int64 (n,)."""


@dataclass(frozen=True)
class Form(FromNoise):
    """What goes into such a generator and comes out of it."""

    shape: tuple[int, int, int]
    z_dim: int
    classes: tuple[str, ...] = ()
    class_shares: tuple[float, ...] = ()


class ForeignGenerator:
    """A generator in a file of somebody else's, with what `sparring.latents` and `evaluate` need of it.

    Sample i of a seed is made of the latents that `Model` makes it of. `generator` is None: its layers are not known.

    Raises: RunError for a file that is missing, damaged, or no such generator; MetricError if onnxruntime is missing.
    """

    generator: nn.Module | None = None

    def __init__(self, place: str | PathLike[str], device: str = "cpu") -> None:
        path = Path(place)
        if not path.is_file():
            raise RunError(f"{path}: there is no such file")
        self.origin: Path | None = path
        self.path, self.kind = path, SUFFIXES[path.suffix.lower()]
        self.program: Program = OnnxFile(path) if self.kind == "ONNX" else ScriptFile(path, device)
        self.device = self.program.device
        z_dim = self.program.latent[0]
        names, shares = classes_of(path, self.program)
        unseen = Form((1, 1, 1), z_dim, names, shares)
        z, labels = unseen.latents(0, seed=0)
        with torch.no_grad():
            made = self.run(z, labels)
        self.channels_last = self.are_channels_last(made)
        self.scale, self.range = range_of(made)
        channels, height, width = self.first(made).shape[1:]
        self.from_noise = Form((channels, height, width), z_dim, names, shares)

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return checksum(self.path)

    @property
    def discriminator_features(self) -> Mapping[str, str]:
        """`name`, `digest` and `trained_on` of the frozen network that trained it, where the file says so; or empty."""
        try:
            told = json.loads(self.program.facts.get("discriminator_features", "{}"))
        except ValueError:
            return {}
        names = ("name", "digest", "trained_on")
        return {name: str(told[name]) for name in names} if isinstance(told, dict) and {*names} <= {*told} else {}

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes, numbers where the file gives none; empty if there are none."""
        return self.from_noise.classes

    def latents(self, n: int, seed: int = 0, start: int = 0) -> Tensor:
        """As `Model.latents`."""
        return self.from_noise.drawn(n, seed, start)[0]

    def labels(self, n: int, seed: int = 0, start: int = 0) -> Tensor:
        """As `Model.labels`."""
        return self.from_noise.drawn(n, seed, start)[1]

    def inputs(self, z: Tensor, label: int | str | Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """As `Model.inputs`."""
        return self.from_noise.inputs(z, label)

    def sample(self, n: int, seed: int = 0, start: int = 0) -> Tensor:
        """Samples `start` to `start + n - 1` of a seed, uint8 (n, C, H, W); sample i depends on (seed, i) alone."""
        first = start // FORWARD * FORWARD
        z, labels = self.from_noise.drawn(start - first + n, seed, first)
        return self.decode(z, labels if self.classes else None)[start - first :]

    @torch.no_grad()
    def decode(self, z: Tensor, label: int | str | Tensor | None = None) -> Tensor:
        """The pictures of z float (n, z_dim), uint8 (n, C, H, W), as `Model.decode`.

        Of shares of classes the largest counts: such a file takes class numbers alone.
        Raises: SettingError as `Model.inputs`; RunError if the file fails.
        """
        z, y = self.inputs(z, label)
        numbers = torch.zeros(len(z), dtype=torch.int64) if y is None else y.argmax(1)
        factor, offset = self.scale
        pictures = []
        for start in range(0, len(z), FORWARD):
            rows = filled(z[start : start + FORWARD], torch.device("cpu"))
            made = self.first(self.run(rows, filled(numbers[start : start + FORWARD, None], z.device)[:, 0]))
            if made.dtype != torch.uint8:
                made = made.float().mul(factor).add(offset).round().clamp(0, 255).to(torch.uint8)
            pictures.append(made.cpu())
        return torch.cat(pictures)[: len(z)].contiguous()

    @property
    def floats(self) -> Callable[[Tensor, Tensor | None], Tensor] | None:
        """As `Model.floats`; None where no gradient comes through: ONNX files, and whatever gives uint8."""
        return self.differentiable if self.program.learns and self.range != "uint8" else None

    def differentiable(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Pictures float32 (n, C, H, W) about in [-1, 1]."""
        factor, offset = self.scale
        made = self.first(self.run(z, torch.zeros(len(z), dtype=torch.int64) if y is None else y.argmax(1)))
        return (made.float() * factor + offset) / 127.5 - 1

    def run(self, z: Tensor, labels: Tensor) -> Tensor:
        """What the file gives for z (n, z_dim) and class numbers (n,)."""
        program, count = self.program, len(z)
        z = z.reshape(count, *program.latent)
        # A file for a fixed number of samples gets so many at a time, the last ones repeated to fill up.
        fixed = program.batch or count
        order = torch.arange(-(-count // fixed) * fixed).clamp(max=count - 1)
        try:
            parts = [program(z[rows], labels[rows] if program.labelled else None) for rows in torch.split(order, fixed)]
        except Exception as error:  # whatever somebody's network raises
            raise RunError(f"{self.path}: it cannot be run: {brief(error)}") from None
        made = torch.cat(parts)[:count]
        if made.is_floating_point() and not made.isfinite().all():
            raise RunError(f"{self.path}: it gives NaN or infinity")
        return made

    def first(self, made: Tensor) -> Tensor:
        """With channels first."""
        return made.permute(0, 3, 1, 2) if self.channels_last else made

    def are_channels_last(self, made: Tensor) -> bool:
        """Whether it gives (n, H, W, C). Raises: RunError if these are no pictures."""
        if made.ndim == 4 and len(made) == FORWARD:
            told = self.program.channels_last
            if made.shape[1] in (1, 3, 4) and not (told and made.shape[3] in (1, 3, 4)):
                return False
            if made.shape[3] in (1, 3, 4):
                return True
        raise RunError(
            f"{self.path}: its first output has shape {tuple(made.shape)} for {FORWARD} latents; pictures are "
            "(n, C, H, W) or (n, H, W, C) with 1, 3 or 4 channels"
        )


class OnnxFile:
    """A `Program` in an ONNX file, run by onnxruntime."""

    learns: bool = False
    device = torch.device("cpu")

    def __init__(self, path: Path) -> None:
        runtime = need_onnxruntime(f"{path}: to run it")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what goes wrong comes as an exception, and is said once
        try:
            self.session = runtime.InferenceSession(str(path), options, providers=runtime.get_available_providers())
        except Exception as error:  # onnxruntime has no common class of its own
            raise RunError(f"{path}: not an ONNX model that can be run: {brief(error)}") from None
        given = self.session.get_inputs()
        latents = [entry for entry in given if "float" in entry.type]
        labels = [entry for entry in given if entry.type == "tensor(int64)"]
        listed = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in given)
        if len(latents) != 1 or len(labels) > 1 or len(latents) + len(labels) != len(given):
            raise RunError(f"{path}: a generator takes latents (floats) and perhaps a label; this takes {listed}")
        shape, kind = latents[0].shape, latents[0].type
        if len(shape) not in (2, 4) or not isinstance(shape[1], int) or shape[2:] not in ([], [1, 1]):
            raise RunError(f"{path}: latents are (n, z_dim) or (n, z_dim, 1, 1); this takes {listed}")
        self.latent: tuple[int, ...] = tuple(shape[1:])
        self.batch: int | None = shape[0] if isinstance(shape[0], int) else None
        self.names = latents[0].name, labels[0].name if labels else None
        self.kind: Any = np.float16 if "float16" in kind else np.float64 if "double" in kind else np.float32
        self.labelled = bool(labels)
        self.facts: Mapping[str, str] = self.session.get_modelmeta().custom_metadata_map
        # As exports of ours are; else pictures four pixels high would seem to have four channels.
        output = self.session.get_outputs()[0]
        ours = output.name == "image" and output.type == "tensor(uint8)"
        self.channels_last: bool | None = True if ours else None

    def __call__(self, z: Tensor, label: Tensor | None) -> Tensor:
        """See `Program`."""
        latent, number = self.names
        given = {latent: z.detach().cpu().numpy().astype(self.kind)}
        if label is not None:
            assert number is not None, "a label goes to those that take one"
            given[number] = label.cpu().numpy()
        return torch.from_numpy(self.session.run(None, given)[0])


class ScriptFile:
    """A `Program` in a TorchScript file, which runs with the rights of the person who opens it.

    How many numbers its latents have is what `z_dim` says, of its facts or as an attribute, or found by trying: sides
    of its weights first, then 1 to 1,024. Facts are JSON in the extra file `sparring.json`.
    """

    batch: int | None = None
    learns: bool = True

    def __init__(self, path: Path, device: str) -> None:
        extra = {FACTS: ""}
        try:
            module, _ = opened_script(path, extra)
        except MetricError as error:
            raise RunError(str(error)) from None
        self.module = module.eval().to(device)
        for weight in self.module.parameters():
            weight.requires_grad_(False)
        self.device = torch.device(device)
        self.facts: Mapping[str, str] = facts_in(path, extra[FACTS])
        forward: Any = self.module.forward
        needed = [given for given in forward.schema.arguments[1:] if not given.has_default_value()]
        if len(needed) not in (1, 2):
            listed = ", ".join(given.name for given in needed)
            raise RunError(f"{path}: a generator takes latents and perhaps a label; this takes {listed or 'nothing'}")
        self.labelled = len(needed) == 2
        self.channels_last: bool | None = True if "task" in self.facts else None
        self.latent = self.found(path)

    def __call__(self, z: Tensor, label: Tensor | None) -> Tensor:
        """See `Program`."""
        given = [z] if label is None else [z, label]
        made: Tensor = self.module(*(each.to(self.device) for each in given))
        return made

    @torch.no_grad()
    def found(self, path: Path) -> tuple[int, ...]:
        """The axes of z behind the first. Raises: RunError if none do."""
        told = self.facts.get("z_dim") or getattr(self.module, "z_dim", None)
        sides = [side for weight in self.module.state_dict().values() for side in weight.shape[:2][::-1]]
        tried: Iterable[int] = [int(told)] if told else dict.fromkeys([*sides, *range(1, MOST_NUMBERS + 1)])
        label = torch.zeros(2, dtype=torch.int64) if self.labelled else None
        why = ""
        for size in tried:
            for axes in ((size,), (size, 1, 1)):
                try:
                    made = self(torch.zeros(2, *axes), label)
                except Exception as error:  # whatever somebody's network raises
                    why = why or brief(error)
                    continue
                if isinstance(made, Tensor) and made.ndim == 4:
                    return axes
        raise RunError(
            f"{path}: makes no pictures of latents (n, z_dim) or (n, z_dim, 1, 1) of "
            f"{told or f'1 to {MOST_NUMBERS:,}'} numbers, unless `z_dim` in the extra file {FACTS} names others: {why}"
        )


def facts_in(path: Path, text: str | bytes) -> dict[str, str]:
    """What the extra file of a TorchScript file says; nothing if there is none. Raises: RunError."""
    try:
        found = json.loads(text or "{}")
        return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}
    except (ValueError, AttributeError):
        raise RunError(f"{path}: {FACTS} among its extra files is no object of JSON") from None


def classes_of(path: Path, program: Program) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names and shares of the classes: `classes` of the facts is their number, `class_names` and `class_shares` are
    lists in JSON, without which classes have numbers, and come alike.

    Raises: RunError if it takes a label and does not say how many there are.
    """
    if not program.labelled:
        return (), ()
    told = program.facts
    count = told.get("classes", "")
    if not (count.isdecimal() and int(count) > 0):
        raise RunError(
            f"{path}: it takes a label, and its metadata has no number `classes`; sample it yourself and give the "
            "folder of pictures"
        )
    try:
        shares = torch.tensor(json.loads(told.get("class_shares", "null")) or [1 / int(count)] * int(count))
        names = tuple(map(str, json.loads(told.get("class_names", "null")) or range(int(count))))
    except (ValueError, TypeError):
        shares, names = torch.zeros(0), ()
    right = shares.shape == (int(count),) and (shares >= 0).all() and 0 < shares.double().sum() < math.inf
    if not right or len(names) != int(count):
        raise RunError(f"{path}: `class_shares` or `class_names` of its metadata are not {count} as a JSON list")
    return names, tuple(shares.double().tolist())


def range_of(made: Tensor) -> tuple[tuple[float, float], str]:
    """Factor and offset that bring values to [0, 255], and the range in words."""
    if made.dtype == torch.uint8:
        return (1.0, 0.0), "uint8"
    if made.min() < -0.01:
        return (127.5, 127.5), "[-1, 1]"
    return ((255.0, 0.0), "[0, 1]") if made.max() <= 1.01 else ((1.0, 0.0), "[0, 255]")


def brief(error: Exception) -> str:
    """What an error says, on one line; TorchScript's own is at the end, behind the program's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1:] if len(lines) > 3 else lines
    return " ".join(" ".join(last).split())[:300] or type(error).__name__
