"""How good are the pictures after equal numbers of images, and after equal seconds: ours and the plain loop's?

Both play the same game from the same weights: network, losses, R1 and R2, batch, Adam, the rate constant or, with
--fall, falling by half a cosine, no augmentation. What differs is what ours does for speed: bf16 where the processor
has it, layers of our own, one pass for real and generated pictures, pictures of one bout for both updates, fused Adam;
and what --set says. The plain loop is `plain.py`. The arms take turns, some steps each, so that both suffer alike from
what else the machine does; seconds leave out judging, and with one thread are those of the processor.

    python benchmarks/quality.py digits --seeds 8 --threads 1 --json quality.json
    python benchmarks/quality.py PICTURES.zip --resolution 32 --images 200000 --learning-rate 2e-4 --seeds 3

Quality is that of samples from the same latents against the same pictures, in the features in which a run of these
pictures would be judged. The plain loop has no averaged generator, whose pictures are usually better than those of the
last weights. By default one is kept for it outside its clock, so that arithmetic is compared and not averaging;
`--judged own` judges what each has, ours by its average, the plain loop by its last weights.

A seed is a line on standard error as soon as it is done. Ours plays on after the last count, until it is as good as the
plain loop is at its end or has taken as many seconds.
"""

import argparse
import copy
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from scipy.special import stdtrit
from torch import nn

from plain import Plain
from sparring import config, data
from sparring.adversarial import ema
from sparring.chooser import choose
from sparring.errors import SparringError
from sparring.evaluation.extraction import features_of
from sparring.evaluation.galleries import Held, spread
from sparring.metrics.frechet import frechet_distance, moments
from sparring.metrics.manifold import precision_recall_density_coverage
from sparring.networks import parameters
from sparring.networks.features import open_features
from sparring.tasks.generate import Blueprint, Generate, sample
from sparring.training.allocation import keep_freed_memory
from sparring.training.match import Match
from sparring.training.schedule import cosine

REAL = 5000
"""Pictures at most that samples are compared with."""

SLICE = 5
"""Steps that an arm plays before it is the other's turn."""

WORSE = 1.05
"""Frechet distance, relative to the plain loop's, that is still called as good."""

SHARES = ("precision", "recall", "coverage")
CONSTANT: dict[str, Any] = {
    "network": "r3",
    "discriminator_features": "none",
    "objective": "relativistic",
    "penalty": "r1+r2",
    "penalty_interval": 1,
    "penalty_stride": 1,
    "partner_stride": 1,
    "augment": "none",
    "beta1": 0.0,
    "beta2": 0.99,
    "beta2_final": 0.99,
    "z_dim": 64,
}


@dataclass(frozen=True)
class Look:
    """What was seen of one arm after so many images and seconds."""

    images: int
    seconds: float
    frechet: float
    precision: float
    recall: float
    coverage: float


@dataclass
class Arm:
    """A game in progress, the generator in it that is judged, and how long it has taken."""

    play: Callable[[], Any]
    after: Callable[[], None]
    judged: nn.Module
    seconds: float = 0.0
    looks: list[Look] = field(default_factory=list)

    def turn(self, steps: int, clock: Callable[[], float]) -> None:
        """Plays; what is done after each step does not count."""
        for _ in range(steps):
            before = clock()
            self.play()
            self.seconds += clock() - before
            self.after()


class Bench:
    """The pictures, the game, and how samples compare with the pictures."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        given = CONSTANT | {"width": arguments.width, "depth": arguments.depth, "batch": arguments.batch}
        given |= {"learning_rate": arguments.learning_rate, "images": arguments.images, "device": arguments.device}
        given |= {"learning_rate_final": arguments.fall * arguments.learning_rate}
        given |= {"penalty_strength": arguments.gamma, "penalty_strength_final": arguments.gamma}
        if arguments.resolution is not None:
            given["resolution"] = config.check("resolution", arguments.resolution)
        self.given = given
        self.device = torch.device(arguments.device)
        alone = self.device.type == "cpu" and arguments.threads == 1
        self.clock = time.process_time if alone else self.device_time
        self.survey = data.survey(arguments.data)
        settings = self.settings(0)
        pictures = data.load(arguments.data, resolution=settings.resolution, channels=settings.channels)
        self.pictures = pictures.to(self.device)
        self.space = settings.quality_features
        self.network = open_features(self.space, self.device)
        real = pictures.images[spread(len(pictures), REAL)]
        self.real = features_of(Held(real), self.network, arguments.device)

    def device_time(self) -> float:
        """Seconds, when the device has done what it was asked for."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return time.perf_counter()

    def protocol(self) -> dict[str, Any]:
        """What the numbers hold for."""
        arguments = self.arguments
        judged = {
            "averaged": "both by averaged generators, the plain loop's kept outside its clock",
            "own": "ours by its averaged generator, the plain loop's by its last weights",
        }
        arms, _ = self.arms(0)
        return {
            "data": arguments.data,
            "shape": "x".join(map(str, self.pictures.shape)),
            "network": f"r3 of width {arguments.width} and depth {arguments.depth}",
            "parameters of G": parameters(arms["ours"].judged),
            "batch": arguments.batch,
            "learning rate": arguments.learning_rate,
            "falls to": arguments.fall * arguments.learning_rate,
            "gamma": arguments.gamma,
            "seeds": arguments.seeds,
            "features": self.space,
            "samples": arguments.samples,
            "judged": judged[arguments.judged],
            "ours": ", ".join([self.settings(0).precision, *arguments.different]),
            "device": arguments.device,
            "threads": arguments.threads,
        }

    def settings(self, seed: int) -> config.Settings:
        different = dict(config.parse_assignment(text) for text in self.arguments.different)
        return choose(self.arguments.data, self.given | {"seed": seed} | different, self.survey, 1.0)[0]

    def arms(self, seed: int) -> tuple[dict[str, Arm], Blueprint]:
        """Both, with the same weights to start with."""
        settings = self.settings(seed)
        task = Generate(settings, self.pictures)
        match = Match(settings, self.pictures, task)
        torch.manual_seed(seed)
        plain = Plain("r3", self.given, self.pictures.images.cpu(), self.device)
        plain.generator.load_state_dict(match.generator.module.state_dict())
        plain.discriminator.load_state_dict(match.discriminator.module.state_dict())
        follower = Follower(plain, settings, (self.given["learning_rate"], self.given["learning_rate_final"]))
        own = self.arguments.judged == "own"
        arms = {
            "plain": Arm(plain.play, follower.follow, plain.generator if own else follower.average),
            "ours": Arm(match.play, lambda: None, match.average),
        }
        return arms, task.blueprint

    def look(self, arm: Arm, blueprint: Blueprint, images: int) -> None:
        made = sample(arm.judged, blueprint, self.arguments.samples, seed=1)
        fake = features_of(Held(made), self.network, self.arguments.device)
        distance = frechet_distance(moments(self.real), moments(fake))
        shares = precision_recall_density_coverage(self.real, fake)
        values = (getattr(shares, name) for name in SHARES)
        arm.looks.append(Look(images, arm.seconds, distance, *values))

    def play(self, seed: int) -> dict[str, list[Look]]:
        """The looks at both arms."""
        arguments = self.arguments
        arms, blueprint = self.arms(seed)
        steps = max(1, round(arguments.images / arguments.looks / arguments.batch))
        for number in range(1, arguments.looks + 1):
            for start in range(0, steps, SLICE):
                for arm in arms.values():
                    arm.turn(min(SLICE, steps - start), self.clock)
            for arm in arms.values():
                self.look(arm, blueprint, number * steps * arguments.batch)
        plain, ours = arms["plain"], arms["ours"]
        goal = plain.looks[-1].frechet
        while ours.looks[-1].frechet > goal and ours.seconds < plain.seconds:
            ours.turn(steps, self.clock)
            self.look(ours, blueprint, ours.looks[-1].images + steps * arguments.batch)
        return {name: arm.looks for name, arm in arms.items()}


class Follower:
    """What ours has and the plain loop has not: an averaged generator, and a learning rate that falls."""

    def __init__(self, plain: Plain, settings: config.Settings, rates: tuple[float, float]) -> None:
        self.plain = plain
        self.settings = settings
        self.rates = rates
        self.average = copy.deepcopy(plain.generator).requires_grad_(False)
        self.images = 0

    def follow(self) -> None:
        """After a step."""
        settings = self.settings
        assert settings.images is not None, "given"
        self.images += settings.batch
        half_life = ema.half_life(settings.ema_half_life, settings.ema_ramp, self.images)
        ema.update(self.average, self.plain.generator, 0.5 ** (settings.batch / half_life))
        rate = cosine(*self.rates, self.images / settings.images)
        for optimizer in (self.plain.of_generator, self.plain.of_discriminator):
            optimizer.param_groups[0]["lr"] = rate


def seconds_to(goal: float, looks: Sequence[Look]) -> float:
    """Until the Frechet distance is down to the goal, between looks by the line of its logarithm; infinite if never."""
    before: Look | None = None
    for look in looks:
        if look.frechet <= goal:
            if before is None:
                return look.seconds
            share = math.log(before.frechet / goal) / math.log(before.frechet / look.frechet)
            return before.seconds + share * (look.seconds - before.seconds)
        before = look
    return math.inf


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean, and the 95 % interval of what endless seeds would give on average (Student's t)."""
    mean = statistics.fmean(values)
    half = float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def ratio_interval(logarithms: Sequence[float]) -> tuple[float, float, float]:
    """`mean_interval` of ratios, taken among their logarithms."""
    mean, low, high = map(math.exp, mean_interval(logarithms))
    return mean, low, high


Games = list[dict[str, list[Look]]]
"""The looks at both arms, a dictionary for each seed."""


def summary(games: Games, looks: int) -> dict[str, Any]:
    """A row for each count of images, the plain loop first in pairs, and how much sooner ours is as good as it ends."""
    rows, ratios = [], []
    for number in range(looks):
        plain, ours = ([game[name][number] for game in games] for name in ("plain", "ours"))
        ratios.append([math.log(b.frechet / a.frechet) for a, b in zip(plain, ours, strict=True)])
        row: dict[str, Any] = {"images": plain[0].images}
        for name in ("seconds", "frechet", *SHARES):
            row[name] = [statistics.median(getattr(look, name) for look in arm) for arm in (plain, ours)]
        row["speed"] = statistics.median(a.seconds / b.seconds for a, b in zip(plain, ours, strict=True))
        row["ratio"] = ratio_interval(ratios[-1])
        for name in SHARES:
            apart = [getattr(b, name) - getattr(a, name) for a, b in zip(plain, ours, strict=True)]
            row[f"{name}_apart"] = mean_interval(apart)
        rows.append(row)
    goals = [game["plain"][-1].frechet for game in games]
    sooner = [
        seconds_to(goal, game["plain"]) / seconds_to(goal, game["ours"])
        for goal, game in zip(goals, games, strict=True)
    ]
    return {
        "rows": rows,
        "ratio_over_counts": ratio_interval([statistics.fmean(seed) for seed in zip(*ratios, strict=True)]),
        "sooner": {"median": statistics.median(sooner), "lowest": min(sooner), "highest": max(sooner)},
    }


def verdict(low: float, high: float) -> str:
    """Whether a ratio of Frechet distances is at most WORSE, as far as its interval tells."""
    return "yes" if high <= WORSE else "no" if low > WORSE else "not decided by so few seeds"


def between(mean: float, low: float, high: float) -> str:
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"


def table(found: dict[str, Any]) -> str:
    """What people read: in each pair the plain loop comes first."""
    pair = f"{'plain':>5} {'ours':>4}"
    lines = [
        f"{'':8} | {'seconds':17} | {'Frechet distance':45} | {SHARES[0]:10} | {SHARES[1]:10} | {SHARES[2]}",
        f"{'images':>8} | {'plain':>5} {'ours':>5} ratio | {'plain':>8} {'ours':>8}  {'ours / plain (95 %)':26} "
        f"| {pair} | {pair} | {pair}",
    ]
    for row in found["rows"]:
        shares = (f"{row[name][0]:5.2f} {row[name][1]:4.2f}" for name in SHARES)
        lines.append(
            f"{row['images']:8} | {row['seconds'][0]:5.0f} {row['seconds'][1]:5.0f} {row['speed']:5.2f} "
            f"| {row['frechet'][0]:8.4g} {row['frechet'][1]:8.4g}  {between(*row['ratio']):26} | " + " | ".join(shares)
        )
    last, over, sooner = found["rows"][-1], found["ratio_over_counts"], found["sooner"]
    lines += ["", "Frechet distance at most 5 % worse after the same number of images?"]
    for where, ratio in ((f"after {last['images']}", last["ratio"]), ("mean of all counts", over)):
        lines.append(f"  {where}: {between(*ratio)}: {verdict(*ratio[1:])}")
    lines.append(f"Ours less the plain loop's after {last['images']}:")
    lines += [f"  {name}: {between(*last[f'{name}_apart'])}" for name in SHARES]
    lines.append(
        "Times sooner as good as the plain loop at its end, median and range of the seeds: "
        + between(sooner["median"], sooner["lowest"], sooner["highest"])
    )
    return "\n".join(lines)


def main() -> None:
    """Reads the arguments, plays the seeds, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="digits", help="pictures, or the name of an embedded set")
    parser.add_argument("--resolution", help="side in pixels, or HxW; by default as `sparring train` chooses")
    parser.add_argument("--width", type=int, default=32, help="of the r3 networks")
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--fall", type=float, default=1.0, help="what the rate falls to by the end, of what it was")
    parser.add_argument("--gamma", type=float, default=1.0, help="strength of R1 and R2")
    parser.add_argument("--seeds", type=int, default=8, help="games, 2 at least")
    parser.add_argument("--first-seed", type=int, default=0, help="for parts of them, by several processes")
    parser.add_argument("--images", type=int, default=64_000, help="that each arm sees in a game")
    parser.add_argument("--looks", type=int, default=5, help="counts of images after which quality is looked at")
    parser.add_argument("--samples", type=int, default=2000, help="that are judged")
    parser.add_argument("--judged", choices=["averaged", "own"], default="averaged", help="see above")
    parser.add_argument(
        "--set", dest="different", action="append", default=[], metavar="KEY=VALUE", help="of ours alone"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="one where others use the machine")
    parser.add_argument("--json", metavar="PATH|-", help="also write all looks as JSON, after each seed if to a file")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("--seeds: an interval needs 2 at least")
    both = {"batch", "images", "device"} & {text.partition("=")[0] for text in arguments.different}
    if both:
        parser.error(f"--set {min(both)}=...: it is the same for both, give --{min(both)}")

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    try:
        bench = Bench(arguments)
        protocol = bench.protocol()
    except SparringError as error:
        parser.error(str(error))
    print("; ".join(f"{name} {value}" for name, value in protocol.items()), file=sys.stderr, flush=True)
    games: Games = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        games.append(bench.play(seed))
        for name, looks in games[-1].items():
            seen = " ".join(f"{look.frechet:.4g} in {look.seconds:.1f}" for look in looks)
            print(f"seed {seed} {name}: {seen}", file=sys.stderr, flush=True)
        if arguments.json not in (None, "-"):
            Path(arguments.json).write_text(as_json(protocol, games, {}))
    found = summary(games, arguments.looks)
    if arguments.json == "-":
        sys.stdout.write(as_json(protocol, games, found))
        return
    if arguments.json:
        Path(arguments.json).write_text(as_json(protocol, games, found))
    print(table(found))


def as_json(protocol: dict[str, Any], games: Games, found: dict[str, Any]) -> str:
    looks = [{name: [asdict(look) for look in arm] for name, arm in game.items()} for game in games]
    return json.dumps({"protocol": protocol, "summary": found, "games": looks}, indent=2) + "\n"


if __name__ == "__main__":
    main()
