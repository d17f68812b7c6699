"""Is a run whose first part searches for the penalty better than one that takes what the chooser says?

    python benchmarks/tuning.py runs/ digits:1 faces-orl.zip:4 images-cifar10-train.zip:4:preset=from-scratch

Each set, with minutes and settings behind colons, is trained twice at the same time, a core each, by `sparring train`
and by `sparring tune`, so that both suffer alike from what else the machine does. Printed is the quality that each run
reports of its best generator, against the same pictures, and what the search found.
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


def command(how: str, source: str, minutes: str, settings: list[str], run: Path) -> list[str]:
    """What a person would type."""
    presets = [text.removeprefix("preset=") for text in settings if text.startswith("preset=")]
    options = [f"--set={text}" for text in settings if not text.startswith("preset=")]
    options += [f"--preset={name}" for name in presets]
    return [
        *(sys.executable, "-m", "sparring", how, source, f"--out={run}", f"--minutes={minutes}"),
        *("--set=threads=1", "--json=-", *options),
    ]


def both(folder: Path, source: str, minutes: str, settings: list[str]) -> dict[str, dict[str, Any]]:
    """The summaries of the two runs, which are played side by side."""
    name = "-".join([Path(source).stem, minutes, *settings]).replace("=", "-")
    runs = {how: folder / f"{name}-{how}" for how in ("train", "tune")}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = {
        how: subprocess.Popen(
            command(how, source, minutes, settings, run),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for how, run in runs.items()
    }
    found = {}
    for how, process in started.items():
        found[how] = json.loads(process.communicate()[0])
        found[how]["choices"] = json.loads((runs[how] / "plan.json").read_text(encoding="utf-8"))["choices"]
    return found


def main() -> None:
    """Trains all pairs and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    parser.add_argument("sets", nargs="+", metavar="DATA:MINUTES[:KEY=VALUE]...", help="what to train on")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(" | ".join(["set", "minutes", "run", "images", *METRICS, "found"]))
    for text in arguments.sets:
        source, minutes, *settings = text.split(":")
        for how, found in both(arguments.folder, source, minutes, settings).items():
            metrics = found["quality"]["metrics"]
            cells = [Path(source).name, minutes, how, f"{found['images']:,}"]
            cells += [shown(name, metrics[name]["value"]) for name in METRICS]
            chosen = found["choices"][0]
            cells.append(f"{chosen['setting']} = {chosen['value']}" if how == "tune" else "")
            print(" | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
