"""Words: how fast are lessons and writing, does the game make texts better than its own start, and how to sample them?

    python benchmarks/words.py speed captions.txt --threads 1
    python benchmarks/words.py game captions.txt runs/ --seeds 0 1 2 --minutes 20 --best-of 8 --svg captions.svg
    python benchmarks/words.py sampling runs/python --temperatures 1 .8 .6 --top-p 1 .95 .9 --n 500

speed: symbols per second of a step of maximum likelihood (one update as the run makes it before the game, the averaged
generator included) beside the loop in `plain_text.py`, which is of the same size; and texts per second of
`Model.sample` beside a loop that keeps no keys and values. All take turns, medians. Texts that are written are all as
long as the longest in a usual batch, so that nobody is faster because its texts happen to end.

game: a run for each seed with the settings that are chosen, on all texts but the last tenth (1,000 at most), which no
run sees and all are judged by. Of a run `before-the-game.safetensors` (what maximum likelihood gave) and
`generator.safetensors` (what the run gave in the end) are sampled over a sweep of temperatures. Quality is BLEU-3 and
forward perplexity, variety self-BLEU-3 and reverse perplexity, as in Caccia et al. 2020 (arXiv 1811.02549). What is to
be shown was written down before any run:

(i)  At each temperature of the sweep: BLEU-3 after the game, read off its curve at the self-BLEU-3 that the start has
     at that temperature, less BLEU-3 of the start there. The game is not worse if no interval lies below zero.
(ii) Reverse perplexity at temperature 1, after less before. The game is better if the interval lies below zero.

Intervals are Student's over seeds, of 95 %. Where a curve does not reach as far as the other, it is followed to further
temperatures. Runs that are there and finished are not trained again. `--best-of N` adds texts of the same number, each
of which the discriminator chose among N.

sampling: of a run, or of the `.safetensors` file in one, n samples for each pair of a temperature and a nucleus
(`top_p`): the share that Python's parser takes, or that has the form of verses, different and copied ones, BLEU-3 and
self-BLEU-3, with intervals of 95 % over samples. They are judged by the texts that the run held out, or by those of
`--real`.
"""

import argparse
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

import sparring
from plain_text import PlainLesson, PlainTransformer, memory_given_back, write
from sparring import data
from sparring.chooser import choose
from sparring.config import given, parse_assignment
from sparring.data.sequences import Sequences
from sparring.data.vocabularies import END, START
from sparring.evaluation.curves import curve_of
from sparring.evaluation.text_sides import RealTexts, real_texts, written
from sparring.evaluation.texts import DEFAULT_SPACE, TextJudge
from sparring.model import Model
from sparring.networks import parameters
from sparring.networks.text_features import open_text_features
from sparring.tasks.sequences import Blueprint, alive, last_of
from sparring.tasks.text import Text
from sparring.training.allocation import keep_freed_memory
from sparring.training.match import Match
from sparring.training.run import BEFORE, Run
from words_curves import Curves, differences, followed, pooled, show, standalone
from words_sampling import heading, home_of, names_for, points, real_row, row

PLAIN = "plain loop"
TEMPERATURES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
UNSEEN, MOST_UNSEEN = 0.1, 1000
"""Share of the texts that no run sees, and how many at most."""

SAMPLED_SEED = 1


class SpeedBench:
    """A corpus, and the ways to learn it and to write."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.device = torch.device(arguments.device)
        asked = {"task": "text", "device": arguments.device, "images": 10**9, "batch": arguments.batch}
        sizes = {name: value for name in ("width", "depth") if (value := getattr(arguments, name)) is not None}
        self.settings, _ = choose(arguments.data, asked | sizes, data.survey_texts(arguments.data), 1.0)
        self.texts: Sequences = data.load_texts(
            arguments.data,
            tokens=given(self.settings.tokens),
            vocabulary_size=given(self.settings.vocabulary_size),
            longest=given(self.settings.length),
        ).to(self.device)
        self.task = Text(self.settings, self.texts)
        batch = self.settings.batch
        drawn = [self.task.shown.draw(0, number * batch, batch).tokens for number in range(20)]
        self.length = int(statistics.median(last_of(tokens) for tokens in drawn))
        """Symbols of the longest text of a usual batch."""

    def ours(self, **changes: Any) -> Match:
        settings = self.settings.model_copy(update=changes)
        task = Text(settings, self.texts)
        return Match(settings, task.shown, task)

    def plain(self) -> PlainLesson:
        torch.manual_seed(0)
        whole = [self.texts.tokens[number].long().cpu() for number in given(self.task.shown.drawn).tolist()]
        begun = [torch.cat([torch.tensor([START]), tokens[alive(tokens[None])[0]]]) for tokens in whole]
        model = PlainTransformer(
            self.texts.vocabulary.size, self.texts.longest, width=self.settings.width, depth=self.settings.depth
        )
        rate = given(self.settings.supervised_learning_rate)
        return PlainLesson(model, begun, self.settings.batch, rate, self.device)

    def seconds(self, do: Callable[[], Any]) -> float:
        """Of doing it once."""
        before = time.perf_counter()
        do()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - before

    def taken_in_turns(self, ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
        """The median seconds of each, after a first time that does not count."""
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, do in ways.items():
                with memory_given_back() if name == PLAIN else nullcontext():
                    if name == PLAIN:
                        do()  # it finds no memory that was freed before, and may be slower
                    times[name].append(self.seconds(do))
        return {name: statistics.median(taken[1:]) for name, taken in times.items()}

    def lessons(self) -> list[dict[str, Any]]:
        """A row for each way to learn."""
        plain = self.plain()
        matches = {"ours": self.ours(precision="bf16"), "ours in float32": self.ours(precision="fp32")}
        ways = {PLAIN: plain.play} | {name: match.play for name, match in matches.items()}
        sizes = {PLAIN: plain.model} | {name: match.average for name, match in matches.items()}
        seconds = self.taken_in_turns(ways, self.arguments.rounds)
        symbols = self.settings.batch * self.task.usual_length
        return [
            {
                "arm": name,
                "parameters": parameters(sizes[name]),
                "symbols_per_second": round(symbols / taken, 1),
                "ratio": round(seconds[PLAIN] / taken, 2),
            }
            for name, taken in seconds.items()
        ]

    def writing(self) -> list[dict[str, Any]]:
        """A row for each way to write."""
        n, length = self.arguments.texts, self.length
        blueprint: Blueprint = replace(self.task.blueprint, longest=length)
        generator = blueprint.generator().to(self.device)
        generator.bias.data[END] = -1e9
        model, plain = Model(generator, blueprint), self.plain().model
        decode = self.texts.vocabulary.decode

        def write_plain() -> list[str]:
            return [decode(tokens) for tokens in write(plain, n, length, self.device).tolist()]

        ways = {PLAIN: write_plain, "ours": partial(model.sample, n)}
        seconds = self.taken_in_turns(ways, self.arguments.writings)
        return [
            {"arm": name, "texts_per_second": round(n / taken, 1), "ratio": round(seconds[PLAIN] / taken, 2)}
            for name, taken in seconds.items()
        ]

    def report(self) -> dict[str, Any]:
        settings = self.settings
        about = {"data": self.arguments.data, "tokens": settings.tokens, "symbols": self.texts.vocabulary.size}
        about |= {"width": settings.width, "depth": settings.depth, "batch": settings.batch}
        about |= {"usual_length": round(self.task.usual_length, 1), "written_length": self.length}
        about |= {"device": self.arguments.device, "threads": torch.get_num_threads(), "torch": torch.__version__}
        return {"about": about, "lessons": self.lessons(), "writing": self.writing()}


def speed(arguments: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    found = SpeedBench(arguments).report()
    if arguments.json != "-":
        print("; ".join(f"{name} {value}" for name, value in found["about"].items()))
        print(f"{'a step':16} {'parameters':>10} {'symbols/s':>10} {'ratio':>6}")
        for row in found["lessons"]:
            print(f"{row['arm']:16} {row['parameters']:10} {row['symbols_per_second']:10} {row['ratio']:6}")
        print(f"{'writing':16} {'':10} {'texts/s':>10} {'ratio':>6}")
        for row in found["writing"]:
            print(f"{row['arm']:16} {'':10} {row['texts_per_second']:10} {row['ratio']:6}")
    return found


def game(arguments: argparse.Namespace) -> dict[str, Any]:
    texts = data.read_texts(arguments.data).texts
    count = min(MOST_UNSEEN, round(UNSEEN * len(texts)))
    known, unseen = texts[:-count], texts[-count:]
    arguments.runs.mkdir(parents=True, exist_ok=True)
    place = arguments.runs / "texts-to-learn.jsonl"
    place.write_text("".join(f"{json.dumps(text, ensure_ascii=False)}\n" for text in known), encoding="utf-8")
    judge = TextJudge(RealTexts(known, unseen, open_text_features("ngrams")))
    curves: dict[str, Curves] = {}
    unchanged = []
    for seed in arguments.seeds:
        run = trained(arguments, place, seed)
        if run.generator.read_bytes() == (run.folder / BEFORE).read_bytes():
            unchanged.append(seed)
        curves[str(seed)] = of_run(arguments, run, judge)
    arms = [arm for arm in next(iter(curves.values())) if arm != "before"]
    found = {
        "data": str(arguments.data),
        "learned_from": len(known),
        "judged_by": len(unseen),
        "n": arguments.n,
        "seeds_whose_game_gave_no_better_generator": unchanged,
        "curves": curves,
        "differences": {arm: differences(curves, arm, arguments.temperatures) for arm in arms},
    }
    if arguments.svg:
        arguments.svg.write_text(standalone(pooled(curves)), encoding="utf-8")
    if arguments.json != "-":
        show(found, arguments.temperatures)
    return found


def trained(arguments: argparse.Namespace, place: Path, seed: int) -> Run:
    """The run of a seed, which is trained unless it is there."""
    run = Run(arguments.runs / f"seed-{seed}")
    if not (run.config.is_file() and run.summary().get("state") == "finished"):
        budget = {name: value for name in ("images", "minutes") if (value := getattr(arguments, name)) is not None}
        others = dict(parse_assignment(text) for text in arguments.set)
        if arguments.device:
            others["device"] = arguments.device
        run = sparring.train(place, out=run.folder, task="text", seed=seed, **budget, **others)
    if not (run.folder / BEFORE).is_file():
        raise SystemExit(f"{run}: there is no {BEFORE}, so its game never began; give it a larger budget")
    return run


def of_run(arguments: argparse.Namespace, run: Run, judge: TextJudge) -> Curves:
    """The curves of a run by their arms, each as long as it takes to be compared."""
    device = arguments.device or "cpu"
    before, after = Model.load(run.folder / BEFORE, device), Model.load(run.folder, device)
    ways: dict[str, Callable[[int, float], list[str]]] = {"before": sampler(before), "after": sampler(after)}
    if arguments.best_of > 1:
        ways[f"best of {arguments.best_of}"] = sampler(after, best_of=arguments.best_of)
    curves = {arm: curve_of(judge, way, arguments.temperatures, n=arguments.n) for arm, way in ways.items()}
    ends = [point["self_bleu3"]["value"] for point in curves["before"]]
    for arm, way in ways.items():
        if arm != "before":
            curves[arm] = followed(curves[arm], min(ends), max(ends), partial(one_point, judge, way, arguments.n))
    return curves


def sampler(model: Model, **options: Any) -> Callable[[int, float], list[str]]:
    def sample(n: int, temperature: float) -> list[str]:
        return written(model, n, SAMPLED_SEED, temperature=temperature, **options)

    return sample


def one_point(judge: TextJudge, sample: Callable[[int, float], list[str]], n: int, temperature: float) -> Any:
    return curve_of(judge, sample, [temperature], n=n)[0]


def sampling(arguments: argparse.Namespace) -> dict[str, Any]:
    model = Model.load(arguments.generator, arguments.device)
    judge = TextJudge(real_texts(arguments.real or home_of(arguments.generator), open_text_features(DEFAULT_SPACE)))
    names, told = names_for(judge), arguments.json != "-"
    found: list[dict[str, Any]] = []
    pairs = itertools.product(arguments.temperatures, arguments.top_p)
    for point in points(judge, model, pairs, n=arguments.n, seed=arguments.seed):
        if told and not found:
            print(f"{arguments.n:,} samples each, judged by {len(judge.real.held_out):,} texts")
            print(heading(names), real_row(point, names), sep="\n")
        if told:
            print(row(point, names), flush=True)
        found.append(point)
    about = {"generator": str(arguments.generator), "seed": arguments.seed, "judged_by": len(judge.real.held_out)}
    return {**about, "points": found}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_speed = commands.add_parser("speed", help="symbols and texts per second")
    of_speed.add_argument("data", nargs="?", default="python")
    of_speed.add_argument("--device", default="cpu")
    of_speed.add_argument("--threads", type=int, default=torch.get_num_threads())
    of_speed.add_argument("--batch", type=int, default=64)
    of_speed.add_argument("--width", type=int)
    of_speed.add_argument("--depth", type=int)
    of_speed.add_argument("--rounds", type=int, default=20, help="steps of each")
    of_speed.add_argument("--texts", type=int, default=64, help="that are written at once")
    of_speed.add_argument("--writings", type=int, default=5, help="times that they are written")
    of_game = commands.add_parser("game", help="quality against variety, before and after the game")
    of_game.add_argument("data")
    of_game.add_argument("runs", type=Path, help="folder for the runs")
    of_game.add_argument("--seeds", type=int, nargs="+", default=[0])
    of_game.add_argument("--images", type=int)
    of_game.add_argument("--minutes", type=float)
    of_game.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    of_game.add_argument("--device", help="to train and sample on; training chooses, and a CPU samples, if not given")
    of_game.add_argument("--temperatures", type=float, nargs="+", default=TEMPERATURES)
    of_game.add_argument("--n", type=int, default=1000, help="texts at each temperature")
    of_game.add_argument("--best-of", type=int, default=1, metavar="N")
    of_game.add_argument("--svg", type=Path, help="where to draw the curves")
    of_sampling = commands.add_parser("sampling", help="what temperatures and nuclei make of a generator's texts")
    of_sampling.add_argument("generator", type=Path, metavar="RUN", help="a run, or a .safetensors file in one")
    of_sampling.add_argument("--real", metavar="DATA", help="texts or a run to judge by; the run's own if not given")
    of_sampling.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 0.8, 0.6])
    of_sampling.add_argument("--top-p", type=float, nargs="+", default=[1.0, 0.95, 0.9])
    of_sampling.add_argument("--n", type=int, default=500, help="samples for each pair")
    of_sampling.add_argument("--seed", type=int, default=SAMPLED_SEED)
    of_sampling.add_argument("--device", default="cpu")
    for each in (of_speed, of_game, of_sampling):
        each.add_argument("--json", metavar="PATH|-", help="also write the numbers as JSON")
    arguments = parser.parse_args()
    if arguments.command == "game" and not any(math.isclose(each, 1.0) for each in arguments.temperatures):
        parser.error("--temperatures must have 1 among them")
    found = {"speed": speed, "game": game, "sampling": sampling}[arguments.command](arguments)
    if arguments.json:
        text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
        sys.stdout.write(text) if arguments.json == "-" else Path(arguments.json).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
