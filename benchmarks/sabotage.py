"""What is lost when training goes wrong, with the guard and without it? Runs that are sabotaged in ten ways.

    python benchmarks/sabotage.py runs/ --seeds 3 --json sabotage.json

Each is played with guard=off and with guard=on on the embedded digits. The table has how the runs ended, the Frechet
distance on pixels of the generator that is left to use (best) and of the last one, recall and near-copies of the best,
all means over the seeds, and which signals acted; what the guard said goes to standard error. Two runs of a kind take
half a minute of one core.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

import sparring
from sparring.adversarial.game import Game
from sparring.adversarial.player import Player
from sparring.data import Batch, embedded
from sparring.randomness import Random
from sparring.tasks.generate import Generate
from sparring.tasks.sample import Sample
from sparring.training import match
from sparring.training.files import read_lines
from sparring.training.guard import SIGNALS
from sparring.training.monitor import QuietMonitor
from sparring.wording import compact, share

IMAGES = 60_000
FEW = 100
LATE = 15_000

Play = AbstractContextManager[Any]


@contextmanager
def a_batch_of_nan() -> Iterator[None]:
    """Once, half way, all real pictures are NaN."""
    real = Generate.real

    def poisoned(self: Generate, batch: Batch, random: Random) -> Sample:
        sample = real(self, batch, random)
        if random.attempt or random.step != IMAGES // 2 // self.settings.batch:
            return sample
        return sample.with_differentiable([part * torch.nan for part in sample.differentiable])

    with patch.object(Generate, "real", poisoned):
        yield


@contextmanager
def rates(generator: Callable[[int], float], discriminator: Callable[[int], float]) -> Iterator[None]:
    """The learning rate of each player is that of the run, times what is given after so many images."""
    step = match.step

    def uneven(game: Game, g: Player, d: Player, batch: Batch, random: Random) -> dict[str, Tensor]:
        for player, factor in ((g, generator), (d, discriminator)):
            for group in player.optimizer.param_groups:
                group["lr"] *= factor(random.step * len(batch))
        return step(game, g, d, batch, random)

    with patch.object(match, "step", uneven):
        yield


def a_fast_discriminator() -> Play:
    """Its learning rate is twenty times that of the generator."""
    return rates(lambda images: 1.0, lambda images: 20.0)


def a_late_generator() -> Play:
    """It learns nothing before the discriminator has had so many images to itself."""
    return rates(lambda images: float(images >= LATE), lambda images: 1.0)


@contextmanager
def frozen_noise() -> Iterator[None]:
    """From half way on every sample of the game is made of z = 0, so that all are the same."""
    fake = Generate.fake

    def same(self: Generate, generator: nn.Module, batch: Batch, random: Random) -> Sample:
        if random.step < IMAGES // 2 // self.settings.batch:
            return fake(self, generator, batch, random)
        return fake(self, lambda z, y: generator(torch.zeros_like(z), y), batch, random)

    with patch.object(Generate, "fake", same):
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
    "D learns 20 times faster": (a_fast_discriminator, {}),
    "minimax, no penalty, G learns late": (a_late_generator, {"penalty": "none", "objective": "minimax"}),
    "frozen noise from half way": (frozen_noise, {}),
    "100 pictures": (nullcontext, {}),
    "float16, a learning rate 10 times": (half_precision, {"learning_rate": 0.01, "learning_rate_final": 0.001}),
}

SIDE = ("ended", "best", "last", "recall", "copies")
HEAD = ("sabotage", *(f"{guard} {name}" for guard in ("without:", "with the guard:") for name in SIDE), "what acted")


def play(run: sparring.Run, name: str, guard: str, seed: int) -> None:
    """Trains under sabotage, unless the run is there already."""
    context, settings = SABOTAGE[name]
    source = "digits"
    if name == "100 pictures":
        source = str(run.folder.parent / "few.npy")
        np.save(source, embedded.digits()[0][:FEW])
    if not run.folder.exists():
        told = {"images": IMAGES, "guard": guard, "seed": seed, "monitor": QuietMonitor()}
        with context():
            sparring.train(source, out=run.folder, **told, **settings)


def outcome(run: sparring.Run) -> dict[str, Any]:
    """How it ended, the quality that is left, and what happened: pairs of an event and a sentence."""
    summary = run.summary()
    judged = [line["quality"] for line in read_lines(run.folder / "metrics.jsonl") if "quality" in line]
    best = (summary["quality"] or {}).get("metrics", {})
    return {
        "state": summary["state"],
        "images": summary["images"],
        "seconds": summary["seconds"],
        "quality_at": (summary["quality"] or {}).get("images"),
        "best": {name: result["value"] for name, result in best.items()},
        "last": {name: result["value"] for name, result in judged[-1].items()} if judged else {},
        "events": [(event["event"], event["message"]) for event in read_lines(run.folder / "events.jsonl")[1:]],
    }


def counted(names: Sequence[str]) -> str:
    """Each name once, as often as it came: `finished 2, failed`."""
    return ", ".join(name if count == 1 else f"{name} {count}" for name, count in Counter(names).items())


def side(found: Sequence[dict[str, Any]]) -> list[str]:
    """The cells of the runs of all seeds: how many ended how, and means over those that were judged at all."""
    states = Counter(run["state"] for run in found)
    ended = [state if len(found) == 1 else f"{state} {count} of {len(found)}" for state, count in states.items()]
    cells = [", ".join(ended)]
    for which, name, shown in (
        ("best", "fid", compact),
        ("last", "fid", compact),
        ("best", "recall", share),
        ("best", "copies", share),
    ):
        values = [run[which][name] for run in found if run[which]]
        cells.append(shown(fmean(values)) if values else "-")
    return cells


def row(name: str, without: Sequence[dict[str, Any]], guarded: Sequence[dict[str, Any]]) -> str:
    """One line of the table, from the outcomes of all seeds; what acted is counted over all of them."""
    signals = {signal.name for signal in SIGNALS}
    acted = [event for run in guarded for event, _ in run["events"] if event in signals]
    return "| " + " | ".join([name, *side(without), *side(guarded), counted(acted) or "nothing"]) + " |"


def main() -> None:
    """Plays all and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    parser.add_argument("--only", action="append", choices=SABOTAGE, help="one kind of sabotage; may be repeated")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each kind, with seeds from 0 on")
    parser.add_argument("--json", type=Path, help="file for all that is found")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(f"| {' | '.join(HEAD)} |\n{'| --- ' * len(HEAD)}|")
    everything = {}
    for name in arguments.only or SABOTAGE:
        found: dict[str, list[dict[str, Any]]] = {"off": [], "on": []}
        for guard, seed in product(found, range(arguments.seeds)):
            run = sparring.Run(arguments.folder / f"{name.replace(', ', '-').replace(' ', '-')}-{guard}-{seed}")
            play(run, name, guard, seed)
            found[guard].append(outcome(run))
        for seed, guarded in enumerate(found["on"]):
            print(
                f"{name}, seed {seed}:", *(message for _, message in guarded["events"]), sep="\n    ", file=sys.stderr
            )
        print(row(name, found["off"], found["on"]), flush=True)
        everything[name] = found
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
