"""What a generator of texts writes at temperatures and with nuclei (`top_p`): a row of numbers for each pair."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparring.evaluation.text_sides import MadeTexts, written
from sparring.evaluation.texts import TextJudge
from sparring.model import Model

NAMES = ("parses", "form", "distinct", "copied", "bleu3", "self_bleu3")
"""What is measured of each pair, where it applies to such texts."""

PLACES = {"parses": 3, "form": 3, "distinct": 3, "copied": 3, "bleu3": 4, "self_bleu3": 4}
WIDTH = 24


def home_of(place: Path) -> Path:
    """The run that a generator's file lies in, whose texts it is judged by."""
    return place.parent if place.suffix == ".safetensors" else place


def names_for(judge: TextJudge) -> list[str]:
    return [name for name in NAMES if not judge.compared([]).lacks(name)]


def points(
    judge: TextJudge, model: Model, pairs: Iterable[tuple[float, float]], *, n: int, seed: int
) -> Iterator[dict[str, Any]]:
    """`temperature`, `top_p` and each metric with its interval and what real texts get, of n samples a pair."""
    for temperature, top_p in pairs:
        texts = written(model, n, seed, temperature=temperature, top_p=top_p)
        found = judge(MadeTexts(texts, {}, made=True), names_for(judge))
        numbers = {name: result.to_json() for name, result in found.metrics.items()}
        yield {"temperature": temperature, "top_p": top_p, "n": n, **numbers}


def heading(names: Sequence[str]) -> str:
    return f"{'T':>5} {'top-p':>6} " + " ".join(f"{name:>{WIDTH}}" for name in names)


def real_row(point: Mapping[str, Any], names: Sequence[str]) -> str:
    return f"{'real':>5} {'':6} " + " ".join(f"{point[name]['real']:{WIDTH}.{PLACES[name]}f}" for name in names)


def row(point: Mapping[str, Any], names: Sequence[str]) -> str:
    cells = []
    for name in names:
        value, low, high = (point[name][end] for end in ("value", "low", "high"))
        places = PLACES[name]
        ends = "" if low is None or high is None else f" ({low:.{places}f}-{high:.{places}f})"
        cells.append(f"{value:.{places}f}{ends}".rjust(WIDTH))
    return f"{point['temperature']:5g} {point['top_p']:6g} " + " ".join(cells)
