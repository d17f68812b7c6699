"""What does the game make of a generator of molecules, over its own start?

    python benchmarks/molecules.py train.smi test.smi runs/ --seeds 0 1 2 --minutes 10
    python benchmarks/molecules.py train.smi test.smi likely/ --minutes 10 --set optimise=qed --set reward_weight=4

A run for each seed, with the settings that are chosen but those of --set. Of each `before-the-game.safetensors` (what
maximum likelihood gave) and `generator.safetensors` (what the run gave in the end) are sampled, and judged by molecules
that no run sees. What is to be shown was written down before any run: the Frechet ChemNet distance after the game, less
before it. The game is not worse unless the interval (Student's over seeds, of 95 %) lies above zero, and better if it
lies below. Where a property is asked for, its mean is read beside diversity and what is unique of the first 1,000.
Runs that are there and finished are not trained again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import sparring
from sparring.config import parse_assignment
from sparring.data.molecules import read_molecules
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.molecule_sides import thinned
from sparring.evaluation.molecules import measure_molecules
from sparring.model import Model
from sparring.training.allocation import keep_freed_memory
from sparring.training.run import BEFORE, Run
from words_curves import over_seeds

SHOWN = ("validity", "unique_1k", "novelty", "filters", "intdiv", "snn", "fcd", "qed")
SAMPLED_SEED = 1


def trained(arguments: argparse.Namespace, seed: int) -> Run:
    """The run of a seed, which is trained unless it is there."""
    run = Run(arguments.runs / f"seed-{seed}")
    if run.config.is_file() and run.summary().get("state") != "finished":
        raise SystemExit(f"{run} is not finished: sparring resume {run}, or remove it")
    if not run.config.is_file():
        others = dict(parse_assignment(text) for text in arguments.set)
        if arguments.minutes is not None:
            others["minutes"] = arguments.minutes
        run = sparring.train(arguments.data, out=run.folder, task="molecules", seed=seed, **others)
    if not (run.folder / BEFORE).is_file():
        raise SystemExit(f"{run}: there is no {BEFORE}, so its game never began; give it a larger budget")
    return run


def row(evaluation: Evaluation) -> dict[str, float]:
    """What is shown of a generator; of drug-likeness its mean."""
    found = {name: evaluation.result(name).estimate.value for name in SHOWN}
    return found | {"qed": float(evaluation.result("qed").extra["mean"])}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="molecules to learn from")
    parser.add_argument("unseen", help="molecules that all are judged by")
    parser.add_argument("runs", type=Path, help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--n", type=int, default=10_000, help="samples of each generator")
    parser.add_argument("--most", type=int, default=10_000, help="unseen molecules that these are compared with")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    known, unseen = read_molecules(arguments.data).smiles, read_molecules(arguments.unseen).smiles
    compared = thinned(unseen, arguments.most)
    print(f"{'generator':20} " + " ".join(f"{name:>9}" for name in SHOWN))
    table: dict[str, dict[str, float]] = {}
    for seed in arguments.seeds:
        run = trained(arguments, seed)
        for moment, place in (("before", run.folder / BEFORE), ("after", run.folder)):
            made: Any = Model.load(place).sample(arguments.n, seed=SAMPLED_SEED)
            name = f"seed {seed} {moment}"
            table[name] = row(measure_molecules(known, compared, made, SHOWN))
            print(f"{name:20} " + " ".join(f"{value:9.4g}" for value in table[name].values()), flush=True)
    gains = [table[f"seed {seed} after"]["fcd"] - table[f"seed {seed} before"]["fcd"] for seed in arguments.seeds]
    difference = over_seeds(gains)
    print(f"fcd after the game less before it: {difference}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"generators": table, "fcd_difference": difference}, indent=2) + "\n")


if __name__ == "__main__":
    main()
