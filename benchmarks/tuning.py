"""Is the penalty better searched for, chosen by the rule of `chooser.py`, or the same for all pictures?

    python benchmarks/tuning.py runs/ digits:1 faces-orl.zip:4 images-cifar10-train.zip:4:preset=from-scratch --seeds 3

Each set, with minutes and settings behind colons, is trained three times side by side, a thread each, so that all
suffer alike from what else the machine does: by `sparring train`, by `sparring tune`, and with a constant gamma of 10,
the usual default of R1 since Karras et al. 2019 (StyleGAN). Printed is the quality that each run reports of its best
generator, against the same pictures: means over the seeds, of the number that decides in such runs those of the seeds
as well, and what the searches found. A run that is in the folder already is not played again.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparring import Run
from sparring.evaluation.judgement import shown

METRICS = ("fid", "precision", "recall", "coverage")
FIXED = ["penalty_strength=10", "penalty_strength_final=10"]
ARMS = {"chosen": ("train", []), "searched": ("tune", []), "fixed": ("train", FIXED)}


def command(how: str, source: str, minutes: str, settings: Sequence[str], run: Path) -> list[str]:
    """What a person would type."""
    presets = [text.removeprefix("preset=") for text in settings if text.startswith("preset=")]
    options = [f"--set={text}" for text in settings if not text.startswith("preset=")]
    options += [f"--preset={name}" for name in presets]
    return [
        *(sys.executable, "-m", "sparring", how, source, f"--out={run}", f"--minutes={minutes}"),
        *("--set=threads=1", *options),
    ]


def side_by_side(folder: Path, source: str, minutes: str, settings: list[str], seed: int) -> dict[str, Run]:
    """The runs by their arm, those that were missing played at the same time."""
    name = "-".join([Path(source).stem, minutes, *settings, str(seed)]).replace("=", "-")
    runs = {arm: Run(folder / f"{name}-{arm}") for arm in ARMS}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = []
    for arm, run in runs.items():
        if run.config.is_file():
            continue
        how, given = ARMS[arm]
        with log_of(run).open("w") as log:
            typed = command(how, source, minutes, [*settings, *given, f"seed={seed}"], run.folder)
            started.append(subprocess.Popen(typed, env=environment, stdout=log, stderr=log))
    for process in started:
        process.wait()
    for run in runs.values():
        if run.summary().get("state") != "finished":
            raise SystemExit(f"{run} did not finish: see {log_of(run)}")
    return runs


def log_of(run: Run) -> Path:
    """What a run said."""
    return run.folder.with_name(f"{run.folder.name}.log")


def cells(arm: str, runs: Sequence[Run]) -> list[str]:
    """The rest of a row: of one arm with all its seeds."""
    found: list[dict[str, Any]] = [run.summary() for run in runs]
    decides = found[0]["quality"]["metric"]
    values = {
        name: [summary["quality"]["metrics"][name]["value"] for summary in found]
        for name in dict.fromkeys((decides, *METRICS))
    }
    means = {name: shown(name, statistics.fmean(numbers)) for name, numbers in values.items()}
    each = ", ".join(shown(decides, value) for value in values[decides])
    images = round(statistics.fmean(summary["images"] for summary in found))
    chosen = [run.plan()["choices"][0] for run in runs]
    searched = ", ".join(f"{choice['setting']} = {choice['value']}" for choice in chosen) if arm == "searched" else ""
    return [f"{images:,}", f"{decides} {means[decides]} ({each})", *(means[name] for name in METRICS), searched]


def main() -> None:
    """Trains all and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    parser.add_argument("sets", nargs="+", metavar="DATA:MINUTES[:KEY=VALUE]...", help="what to train on")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(" | ".join(["set", "minutes", "run", "images", "what decides", *METRICS, "found"]))
    for text in arguments.sets:
        source, minutes, *settings = text.split(":")
        runs = [side_by_side(arguments.folder, source, minutes, settings, seed) for seed in range(arguments.seeds)]
        for arm in ARMS:
            row = [Path(source).name, minutes, arm, *cells(arm, [run[arm] for run in runs])]
            print(" | ".join(row), flush=True)


if __name__ == "__main__":
    main()
