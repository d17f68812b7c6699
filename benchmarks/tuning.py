"""Is the penalty better searched for, chosen by the rule of `chooser.py`, or the same for all pictures?

    python benchmarks/tuning.py runs/ digits:1 faces-orl.zip:4 images-cifar10-train.zip:4:preset=from-scratch --seeds 3

Each set, with minutes and settings behind colons, is trained three times side by side, a thread each, so that all
suffer alike from what else the machine does: by `sparring train`, by `sparring tune`, and with a constant gamma of 10,
the usual default of R1 since Karras et al. 2019 (StyleGAN). Printed is the quality that each run reports of its best
generator, against the same pictures, first the number that decides in such runs: means over the seeds, for that with
the lowest and the highest; and what the searches found.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
        *("--set=threads=1", "--json=-", *options),
    ]


def side_by_side(folder: Path, source: str, minutes: str, settings: list[str], seed: int) -> dict[str, dict[str, Any]]:
    """The summaries of the runs by their arm, each with its `choices`."""
    name = "-".join([Path(source).stem, minutes, *settings, str(seed)]).replace("=", "-")
    runs = {arm: folder / f"{name}-{arm}" for arm in ARMS}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = {
        arm: subprocess.Popen(
            command(ARMS[arm][0], source, minutes, [*settings, *ARMS[arm][1], f"seed={seed}"], run),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for arm, run in runs.items()
    }
    found = {}
    for arm, process in started.items():
        found[arm] = json.loads(process.communicate()[0])
        found[arm]["choices"] = json.loads((runs[arm] / "plan.json").read_text(encoding="utf-8"))["choices"]
    return found


def cells(arm: str, found: Sequence[dict[str, Any]]) -> list[str]:
    """The rest of a row: of one arm with all its seeds."""
    decides = found[0]["quality"]["metric"]
    values = {
        name: [run["quality"]["metrics"][name]["value"] for run in found] for name in dict.fromkeys((decides, *METRICS))
    }
    means = {name: shown(name, statistics.fmean(numbers)) for name, numbers in values.items()}
    ends = " to ".join(shown(decides, end(values[decides])) for end in (min, max))
    images = round(statistics.fmean(run["images"] for run in found))
    chosen = [f"{run['choices'][0]['setting']} = {run['choices'][0]['value']}" for run in found]
    searched = ", ".join(chosen) if arm == "searched" else ""
    return [f"{images:,}", f"{decides} {means[decides]} ({ends})", *(means[name] for name in METRICS), searched]


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
