"""What do healthy runs look like to the guard? Twenty runs of all kinds, which it only watches.

    python benchmarks/healthy.py runs/ --pictures landscapes.zip --faces faces-orl.zip --things images-cifar10-train.zip

Prints for each run the largest number that each signal of `training/guard.py` made, which the thresholds must lie
above, and writes all vitals into one file, --traces, which the tests play back. A run whose set is not given is left
out. Pictures: landscapes, faces of few persons in grey, and things with classes. A quarter of an hour of one core.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sparring
from sparring.training.files import read_lines
from sparring.training.guard import SIGNALS, reached
from sparring.training.monitor import QuietMonitor
from sparring.wording import compact

DIGITS = 40_000
EVALUATIONS = 10
LOOKS = 45
"""Of the guard at each run, which makes more of them than its own schedule would of such short ones."""

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"digits, seed {seed}": ("digits", {"images": DIGITS, "seed": seed}) for seed in (0, 1, 2)},
    "digits, longer": ("digits", {"images": 120_000}),
    "digits, classes": ("digits", {"images": DIGITS, "labels": True}),
    "digits, size XS": ("digits", {"images": DIGITS, "size": "XS"}),
    "digits, size L": ("digits", {"images": DIGITS, "size": "L"}),
    "digits, fp32": ("digits", {"images": DIGITS, "precision": "fp32"}),
    "digits, batch 32": ("digits", {"images": DIGITS // 2, "batch": 32}),
    "digits, minimax": ("digits", {"images": DIGITS, "objective": "minimax"}),
    "digits, non-saturating-r1": ("digits", {"images": DIGITS, "preset": "non-saturating-r1"}),
    "digits, spectral-hinge": ("digits", {"images": DIGITS, "preset": "spectral-hinge"}),
    "digits, wgan-gp": ("digits", {"images": DIGITS, "preset": "wgan-gp"}),
    "digits, r3": ("digits", {"images": 10_000, "network": "r3", "batch": 64, "learning_rate": 5e-4}),
    "digits, 16x16": ("digits", {"images": 20_000, "resolution": 16}),
    "landscapes, 32x32": ("pictures", {"images": 16_000, "resolution": 32}),
    "landscapes, 64x64": ("pictures", {"images": 10_000, "resolution": 64}),
    "landscapes, from scratch": ("pictures", {"images": 12_000, "resolution": 32, "preset": "from-scratch"}),
    "faces": ("faces", {"images": 12_000, "resolution": 48}),
    "things, classes": ("things", {"images": 16_000, "labels": True}),
}


def played(folder: Path, sets: dict[str, str | None]) -> Iterator[tuple[str, list[dict[str, float]]]]:
    """Each run's name and vitals; one that lies in the folder already is read and not played again."""
    for name, (which, settings) in RUNS.items():
        source = sets[which]
        if source is None:
            continue
        run = sparring.Run(folder / name.replace(", ", "-").replace(" ", "-"))
        if not run.folder.exists():
            often = {"guard_every": settings["images"] // LOOKS, "evaluate_every": settings["images"] // EVALUATIONS}
            sparring.train(source, out=run.folder, guard="warn", monitor=QuietMonitor(), **often, **settings)
        yield name, [line["vitals"] for line in read_lines(run.folder / "metrics.jsonl") if "vitals" in line]


def largest(vitals: list[dict[str, float]]) -> dict[str, float]:
    """The largest number that each signal made, at as many looks in a row as it asks for; NaN for too few looks."""
    found = {signal.name: reached(signal, vitals) for signal in SIGNALS}
    return {name: math.nan if number is None else number for name, number in found.items()}


def compressed(vitals: list[dict[str, float]]) -> dict[str, Any]:
    """Columns and rows, in five digits."""
    columns = sorted({name for line in vitals for name in line})
    rows = [[float(f"{line[name]:.5g}") if name in line else None for name in columns] for line in vitals]
    return {"columns": columns, "rows": rows}


def main() -> None:
    """Plays, prints the table and writes the traces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    parser.add_argument("--pictures", help="photographs, such as landscapes")
    parser.add_argument("--faces", help="some hundred grey faces")
    parser.add_argument("--things", help="pictures in colour with classes")
    parser.add_argument("--traces", type=Path, help="JSON file for the vitals")
    arguments = parser.parse_args()
    sets = {
        "digits": "digits",
        "pictures": arguments.pictures,
        "faces": arguments.faces,
        "things": arguments.things,
    }
    print(" | ".join(["run", *(f"{signal.name} ({signal.in_a_row})" for signal in SIGNALS)]))
    print(" | ".join(["threshold", *(compact(signal.threshold) for signal in SIGNALS)]), flush=True)
    traces = {}
    for name, vitals in played(arguments.folder, sets):
        traces[name] = compressed(vitals)
        print(" | ".join([name, *(compact(number) for number in largest(vitals).values())]), flush=True)
    if arguments.traces:
        lines = [f"{json.dumps(name)}: {json.dumps(trace)}" for name, trace in traces.items()]
        arguments.traces.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
