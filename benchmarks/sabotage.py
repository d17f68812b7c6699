"""What is lost when training goes wrong, with the guard and without it? Runs that are sabotaged in seven ways.

    python benchmarks/sabotage.py runs/ --json sabotage.json

Each is played with guard=on and with guard=off on the embedded digits. Printed are how the run ended, after how many
images, how often it was taken back, and the quality of the generator that is left to use (best) and of the last one:
Frechet distance on pixels, recall, and near-copies. A quarter of an hour of one core.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

import sparring
from sparring.data import embedded
from sparring.randomness import Random
from sparring.tasks.generate import Generate
from sparring.tasks.sample import Sample
from sparring.training import match
from sparring.training.files import read_lines
from sparring.training.match import Match
from sparring.training.monitor import QuietMonitor
from sparring.wording import compact, share

IMAGES = 60_000
FEW = 100

Play = AbstractContextManager[Any]


@contextmanager
def a_batch_of_nan() -> Iterator[None]:
    """Once, half way, all real pictures are NaN."""
    real = Generate.real

    def poisoned(self: Generate, batch: Any, random: Random) -> Sample:
        sample = real(self, batch, random)
        if random.attempt or random.step != IMAGES // 2 // self.settings.batch:
            return sample
        return sample.with_differentiable([part * torch.nan for part in sample.differentiable])

    with patch.object(Generate, "real", poisoned):
        yield


@contextmanager
def a_strong_discriminator() -> Iterator[None]:
    """Its learning rate is twenty times that of the generator."""
    player = Match._player

    def strong(self: Match, module: torch.nn.Module) -> Any:
        made = player(self, module)
        if hasattr(self, "generator"):  # which is made first

            def ahead(optimizer: torch.optim.Optimizer, *_: Any) -> None:
                for group in optimizer.param_groups:
                    group["lr"] *= 20

            made.optimizer.register_step_pre_hook(ahead)
        return made

    with patch.object(Match, "_player", strong):
        yield


@contextmanager
def half_precision() -> Iterator[None]:
    """The players run in float16, whose largest number is 65,504, and losses are not scaled for it."""

    def fp16(precision: str, device: str) -> Play:
        return torch.autocast(device, torch.float16)

    with patch.object(match, "low_precision", fp16):
        yield


SABOTAGE: dict[str, tuple[Callable[[], Play], dict[str, Any]]] = {
    "none": (nullcontext, {}),
    "learning rate 50 times": (nullcontext, {"learning_rate": 0.05, "learning_rate_final": 0.005}),
    "penalty 0": (nullcontext, {"penalty": "none"}),
    "Wasserstein, no penalty": (nullcontext, {"penalty": "none", "objective": "wasserstein"}),
    "minimax, no penalty": (nullcontext, {"penalty": "none", "objective": "minimax"}),
    "a batch of NaN": (a_batch_of_nan, {}),
    "D learns 20 times faster": (a_strong_discriminator, {}),
    "100 pictures": (nullcontext, {}),
    "float16, a learning rate 10 times": (half_precision, {"learning_rate": 0.01, "learning_rate_final": 0.001}),
}


def play(run: sparring.Run, name: str, guard: str) -> None:
    """Trains under sabotage, unless the run is there already."""
    context, settings = SABOTAGE[name]
    source = "digits"
    if name == "100 pictures":
        source = str(run.folder.parent / "few.npy")
        np.save(source, embedded.digits()[0][:FEW])
    if not run.folder.exists():
        with context():
            sparring.train(source, out=run.folder, images=IMAGES, guard=guard, monitor=QuietMonitor(), **settings)


def outcome(run: sparring.Run) -> dict[str, Any]:
    """How it ended, and the quality that is left."""
    summary = run.summary()
    judged = [line["quality"] for line in read_lines(run.folder / "metrics.jsonl") if "quality" in line]
    best = (summary["quality"] or {}).get("metrics", {})
    return {
        "state": summary["state"],
        "images": summary["images"],
        "quality_at": (summary["quality"] or {}).get("images"),
        "best": {name: result["value"] for name, result in best.items()},
        "last": {name: result["value"] for name, result in judged[-1].items()} if judged else {},
        "events": [f"{e['event']}: {e['message']}" for e in read_lines(run.folder / "events.jsonl")[1:]],
    }


def row(name: str, guard: str, found: dict[str, Any]) -> str:
    """One line for people."""
    best, last = found["best"], found["last"]
    cells = [name, guard, found["state"], f"{found['images']:,}"]
    cells += [compact(side["fid"]) if side else "-" for side in (best, last)]
    cells += [share(side["recall"]) if side else "-" for side in (best, last)]
    cells += [share(best["copies"]) if best else "-", str(len(found["events"]) - 1)]
    return " | ".join(cells)


def main() -> None:
    """Plays all and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    parser.add_argument("--only", action="append", choices=SABOTAGE, help="one kind of sabotage; may be repeated")
    parser.add_argument("--json", type=Path, help="file for all that is found")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(
        "sabotage | guard | ended | images | best fid | last fid | best recall | last recall | copies | interventions"
    )
    everything = {}
    for name in arguments.only or SABOTAGE:
        for guard in ("on", "off"):
            run = sparring.Run(arguments.folder / f"{name.replace(', ', '-').replace(' ', '-')}-{guard}")
            play(run, name, guard)
            found = everything[f"{name}, guard {guard}"] = outcome(run)
            print(row(name, guard, found), flush=True)
            if guard == "on":
                print("".join(f"    {event}\n" for event in found["events"]), end="", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
