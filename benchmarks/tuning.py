"""Is the penalty better searched for, chosen by the rule of `chooser.py`, or the same for all pictures?

    python benchmarks/tuning.py runs/ digits:1 faces-orl.zip:4 images-cifar10-train.zip:4:preset=from-scratch

Each set, with minutes and settings behind colons, is trained three times side by side, a thread each, so that all
suffer alike from what else the machine does: by `sparring train`, by `sparring tune`, and with a constant gamma of 10,
the usual default of R1 since Karras et al. 2019 (StyleGAN). Printed is the quality that each run reports of its best
generator, against the same pictures, and what the search found.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sparring.evaluation.judgement import shown

METRICS = ("fid", "precision", "recall", "coverage")
FIXED = ["penalty_strength=10", "penalty_strength_final=10"]
ARMS = {"chosen": ("train", []), "searched": ("tune", []), "fixed": ("train", FIXED)}


def command(how: str, source: str, minutes: str, settings: list[str], run: Path) -> list[str]:
    """What a person would type."""
    presets = [text.removeprefix("preset=") for text in settings if text.startswith("preset=")]
    options = [f"--set={text}" for text in settings if not text.startswith("preset=")]
    options += [f"--preset={name}" for name in presets]
    return [
        *(sys.executable, "-m", "sparring", how, source, f"--out={run}", f"--minutes={minutes}"),
        *("--set=threads=1", "--json=-", *options),
    ]


def side_by_side(folder: Path, source: str, minutes: str, settings: list[str]) -> dict[str, dict[str, Any]]:
    """The summaries of the runs by their arm."""
    name = "-".join([Path(source).stem, minutes, *settings]).replace("=", "-")
    runs = {arm: folder / f"{name}-{arm}" for arm in ARMS}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = {
        arm: subprocess.Popen(
            command(ARMS[arm][0], source, minutes, settings + ARMS[arm][1], run),
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


def main() -> None:
    """Trains all and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    parser.add_argument("sets", nargs="+", metavar="DATA:MINUTES[:KEY=VALUE]...", help="what to train on")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(" | ".join(["set", "minutes", "run", "images", *METRICS, "found"]))
    for text in arguments.sets:
        source, minutes, *settings = text.split(":")
        for arm, found in side_by_side(arguments.folder, source, minutes, settings).items():
            metrics = found["quality"]["metrics"]
            cells = [Path(source).name, minutes, arm, f"{found['images']:,}"]
            cells += [shown(name, metrics[name]["value"]) for name in METRICS]
            chosen = found["choices"][0]
            cells.append(f"{chosen['setting']} = {chosen['value']}" if arm == "searched" else "")
            print(" | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
