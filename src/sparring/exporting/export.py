"""One generator into one file, compared with PyTorch before it is left, and a page that says what it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sparring.errors import RunError, SettingError
from sparring.exporting import onnx_files, programs
from sparring.exporting.cards import card
from sparring.exporting.facts import facts
from sparring.exporting.packages import needed
from sparring.exporting.players import Player, player_of
from sparring.training.files import write_text, writing

if TYPE_CHECKING:
    from sparring.model import Model

FORMATS = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
"""What a generator can leave as, and how the name of such a file ends."""

PRECISIONS = ("fp32", "fp16")

MOST_BYTES = {"fp32": 1, "fp16": 4}
"""By how much of 255 a file may differ from PyTorch: by rounding the other way, or by weights of 11 bits."""

MOST_PROBABILITY = {"fp32": 1e-4, "fp16": 1e-2}
"""By how much probabilities of symbols may."""


@dataclass(frozen=True)
class Exported:
    """A file that was made. `difference`: the largest from PyTorch on fixed inputs; `mean_difference`: on average.

    Of pictures in steps of 255, of texts in probabilities.
    """

    path: str
    card: str
    format: str
    precision: str
    bytes: int
    compared_with: str
    difference: float
    mean_difference: float
    inputs: dict[str, str]
    output: str

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def export(model: "Model", path: str | PathLike[str], to: str, precision: str = "fp32") -> Exported:
    """Writes the generator of a model with its post-processing, and a model card beside it, `path` + `.md`.

    to: onnx; torch, a program of `torch.export`; safetensors, weights and description, which `sparring.load` reads.
    precision: of the weights in the file, fp16 in ONNX files alone.

    Raises: SettingError for another format or precision. RunError if a package is missing, `path` cannot be written,
    or the file does not give what PyTorch gives; nothing is left then.
    """
    path = Path(path)
    check(path, to, precision)
    player, known = player_of(model.generator, model.blueprint), facts(model)
    aside = path.with_name(f".{path.stem}.new{path.suffix}")
    with writing(path.parent):
        try:
            run = WRITERS[to](model, player, known, aside, precision)
            trials = player.trials()
            difference, mean = compare(run(trials), [player(given) for given in trials], precision)
            made = Exported(
                str(path),
                f"{path}.md",
                to,
                precision,
                aside.stat().st_size,
                "PyTorch",
                difference,
                mean,
                {entry.name: shape_in_words(entry.kind, entry.axes) for entry in player.inputs},
                f"{player.output} {shape_in_words(player.kind, player.axes)}",
            )
            write_text(Path(made.card), card(model, player, known, made))
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    return made


def check(path: Path, to: str, precision: str) -> None:
    """Raises: SettingError or RunError for what cannot be done, before any work is."""
    if to not in FORMATS:
        raise SettingError(f"to={to}: a generator is exported to {', '.join(FORMATS)}")
    if precision not in PRECISIONS:
        raise SettingError(f"precision={precision}: it should be {' or '.join(PRECISIONS)}")
    if precision != "fp32" and to != "onnx":
        raise SettingError(f"precision={precision}: that is for ONNX files; {to} keeps the weights as they are")
    if path.is_dir():
        raise RunError(f"{path}: is a folder; give the name of a file that ends in {FORMATS[to]}")
    if path.suffix.lower() != FORMATS[to]:
        raise RunError(f"{path}: what is exported to {to} ends in {FORMATS[to]}: {path.with_suffix(FORMATS[to])}")
    if not path.parent.is_dir():
        raise RunError(f"{path}: there is no folder {path.parent} to write to")
    if to == "onnx":
        needed("onnx")
        needed("onnxruntime")


Trials = Sequence[Mapping[str, Tensor]]
Run = Callable[[Trials], list[Tensor]]


def write_onnx(model: "Model", player: Player, known: Mapping[str, str], path: Path, precision: str) -> Run:
    """Writes an ONNX file; gives what runs it."""
    graph = onnx_files.onnx_model(player, known)
    content = (onnx_files.stored_in_half(graph) if precision == "fp16" else graph).SerializeToString()
    path.write_bytes(content)
    session = onnx_files.Session(content)
    return lambda trials: [session(given) for given in trials]


def write_program(model: "Model", player: Player, known: Mapping[str, str], path: Path, precision: str) -> Run:
    """Writes a program of PyTorch; gives what runs it in a process of its own."""
    programs.write_program(player, known, path)
    return lambda trials: programs.run_elsewhere(path, trials)


def write_weights(model: "Model", player: Player, known: Mapping[str, str], path: Path, precision: str) -> Run:
    """Writes the weights and the description; gives what loads and runs them."""
    model.save(path)
    again = type(model).load(path)
    loaded = player_of(again.generator, again.blueprint)
    return lambda trials: [loaded(given) for given in trials]


WRITERS: dict[str, Callable[["Model", Player, Mapping[str, str], Path, str], Run]] = {
    "onnx": write_onnx,
    "torch": write_program,
    "safetensors": write_weights,
}


def compare(made: Sequence[Tensor], wanted: Sequence[Tensor], precision: str) -> tuple[float, float]:
    """The largest difference and the mean one: of bytes, or of probabilities of which both give the logarithms.

    Raises: RunError if shapes differ, or values do by more than rounding explains.
    """
    differences = []
    for a, b in zip(made, wanted, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise RunError(
                f"the exported file gives {tuple(a.shape)} {a.dtype} where PyTorch gives {tuple(b.shape)} {b.dtype}"
            )
        of_bytes = a.dtype == torch.uint8
        differences.append(((a.double() - b.double()) if of_bytes else (a.double().exp() - b.double().exp())).abs())
    everything = torch.cat([difference.flatten() for difference in differences])
    largest, limit = float(everything.max()), (MOST_BYTES if of_bytes else MOST_PROBABILITY)[precision]
    if not largest <= limit:  # NaN too
        unit = "of 255" if of_bytes else "in probability"
        way = "; leave --precision away" if precision != "fp32" else ""
        raise RunError(f"the exported file differs from PyTorch by {largest:.3g} {unit}, and may by {limit:g}{way}")
    return largest, float(everything.mean())


def shape_in_words(kind: str, axes: Sequence[str | int]) -> str:
    """As in `uint8 (n, 64, 64, 3)`."""
    return f"{kind} ({', '.join(map(str, axes))}{',' if len(axes) == 1 else ''})"
