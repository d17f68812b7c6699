"""How many images a second does one training step take, and how much memory: ours, and as a tutorial would write it?

The plain loop has the very same networks and losses, in float32: DataLoader, Adam as PyTorch makes it, one pass of the
discriminator for the real and one for the generated pictures, a new batch of these for the generator's update, exact
penalties by double backward; it does without an averaged generator, which ours has. Each further arm is ours with one
thing otherwise. Pictures are noise: the content does not change the time.

Each arm has a process of its own, for in a shared one they leave each other a memory full of gaps, in which none runs
as it does alone (but up to a fifth slower). It takes turns with the plain loop, some steps each; the table gives
medians, and the ratio to the plain loop's of the same turns. Before the first turn come steps that do not count: until
the memory has taken its shape, each asks the system for more. Peak memory is what the first three of these take beyond
what there was before.

    python benchmarks/step.py --threads 2
    python benchmarks/step.py --device cuda --networks r3 --width 128 --depth 2 --batch 256 --json step.json
    python benchmarks/step.py --networks dcgan --keras .venv-keras/bin/python

The last adds the same step in Keras 3, by the Python of an environment that `keras_dcgan.py` says how to make.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from plain import Plain, layers_of_the_library
from sparring import data
from sparring.adversarial import ema, game
from sparring.adversarial.game import Bout, Bouts
from sparring.chooser import choose
from sparring.networks import convolution, parameters
from sparring.tasks.generate import Generate
from sparring.tasks.sample import Sample
from sparring.training.allocation import keep_freed_memory
from sparring.training.match import Match

PICTURES = 1024
WARM_UP = 12
"""Steps of each arm that do not count."""
TURN = 2
"""Steps of an arm before it is the other's turn, or what makes as many penalised ones of those with lazy penalties."""
GAMES: dict[str, dict[str, Any]] = {
    "dcgan": {"objective": "non-saturating", "penalty": "none", "width": 64, "depth": 1, "beta1": 0.5},
    "r3": {"objective": "relativistic", "penalty": "r1+r2", "width": 24, "depth": 1},
    "fast": {"objective": "relativistic", "penalty": "r1+r2", "width": 32, "depth": 1},
}
PLAIN, GIVEN_BACK, DENSE = "plain", "freed memory given back", "dense convolutions"


@dataclass
class Arm:
    """One way to do it: settings that differ, or something that is done to the match, or around each step."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Match], None] = lambda match: None
    around: Callable[[], Any] = nullcontext
    networks: tuple[str, ...] = ("dcgan", "r3", "fast")
    on_cuda: bool = False
    """Whether it is for CUDA alone."""
    compiles: bool = False
    """Whether it takes minutes at first."""


def optimised(match: Match, **how: bool) -> None:
    for player in (match.generator, match.discriminator):
        learning = [parameter for parameter in player.module.parameters() if parameter.requires_grad]
        player.optimizer = torch.optim.Adam(learning, lr=match.settings.learning_rate, **how)


def contiguous(match: Match) -> None:
    for player in (match.generator, match.discriminator):
        player.module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def ungrouped(match: Match) -> None:
    for player in (match.generator, match.discriminator):
        for layer in player.module.modules():
            if isinstance(layer, nn.Conv2d) and 1 < layer.groups < layer.in_channels:
                layer.groups = 1
                shape = (layer.out_channels, layer.in_channels, *layer.kernel_size)
                weight = torch.randn(shape, device=layer.weight.device) * 0.01
                layer.weight = nn.Parameter(weight.to(memory_format=torch.channels_last))
    optimised(match, fused=True)
    match.average = copy.deepcopy(match.generator.module).requires_grad_(False)


def compiled(match: Match, **how: str) -> None:
    for player in (match.generator, match.discriminator):
        player.module.compile(**how)


@contextmanager
def tf32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


def averaged_by_tensors(average: nn.Module, current: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for ours, theirs in zip(average.parameters(), current.parameters(), strict=True):
            ours.lerp_(theirs, 1 - keep)


def one_at_a_time(bout: Bout, *views: Sample) -> tuple[Tensor, ...]:
    return tuple(logits for view in views for logits in JUDGE_SEEN(bout, view))


def anew(bouts: Bouts, batch: Any, random: Any, *, for_generator: bool) -> Bout:
    with torch.set_grad_enabled(for_generator):
        return bouts.make(batch, random)


def refused(x: Tensor) -> bool:
    return False


JUDGE_SEEN = Bout.judge_seen
R3 = ("r3",)
EIGHTH: dict[str, Any] = {"penalty_stride": 8, "penalty_interval": 2}
FEWER = {**EIGHTH, "objective": "relativistic-all"}
PENALISED = ("r3", "fast")
BY_DIFFERENCES = {"penalty_method": "finite-difference"}
"""Exact penalties differentiate twice, which compiled functions cannot."""
ARMS = [
    Arm("ours"),
    Arm("in float32", {"precision": "fp32"}),
    Arm("in float32, all products in TF32", {"precision": "fp32"}, around=tf32, on_cuda=True),
    Arm("layers of the library", around=layers_of_the_library),
    Arm(GIVEN_BACK),
    Arm("contiguous", change=contiguous),
    Arm("Adam by tensors", change=partial(optimised, foreach=False)),
    Arm("Adam by foreach", change=partial(optimised, foreach=True)),
    Arm("averaged generator by tensors", around=lambda: mock.patch.object(ema, "update", averaged_by_tensors)),
    Arm("D on real and generated apart", around=lambda: mock.patch.object(Bout, "judge_seen", one_at_a_time)),
    Arm("activations apart", around=lambda: mock.patch.object(convolution, "fuses", refused), networks=PENALISED),
    Arm("joined by the library", around=lambda: mock.patch.object(game, "joined", torch.cat), networks=PENALISED),
    Arm("pictures anew for G", around=lambda: mock.patch.object(Bouts, "__call__", anew)),
    Arm("finite differences", BY_DIFFERENCES, networks=PENALISED),
    Arm("penalty every 4th step", {"penalty_interval": 4}, networks=PENALISED),
    Arm("penalty at half of the pairs", {"penalty_stride": 2}, networks=PENALISED),
    Arm("penalty at a quarter of the pairs", {"penalty_stride": 4}, networks=PENALISED),
    Arm("penalty at an eighth of the pairs", {"penalty_stride": 8}, networks=PENALISED),
    Arm("a quarter of the pairs every 2nd step", {"penalty_stride": 4, "penalty_interval": 2}, networks=PENALISED),
    Arm("an eighth of the pairs every 2nd step", EIGHTH, networks=PENALISED),
    Arm("penalty every 16th step", {"penalty_interval": 16}, networks=PENALISED),
    Arm("no penalty", {"penalty": "none"}, networks=PENALISED),
    Arm("every real with every generated", {"objective": "relativistic-all"}, networks=PENALISED),
    Arm("an eighth, and half of the partners", {**FEWER, "partner_stride": 2}, networks=PENALISED),
    Arm("an eighth, and a quarter of partners", {**FEWER, "partner_stride": 4}, networks=PENALISED),
    Arm(DENSE, change=ungrouped, networks=R3),
    Arm("half the batch", {"batch": 0.5}),
    Arm("twice the batch", {"batch": 2}),
    Arm("compiled, finite differences", BY_DIFFERENCES, change=compiled, compiles=True),
    Arm(
        "compiled, differences, CUDA graphs",
        BY_DIFFERENCES,
        change=partial(compiled, mode="reduce-overhead"),
        on_cuda=True,
        compiles=True,
    ),
]

KERAS = {
    "Keras 3, TensorFlow": (),
    "Keras 3, TensorFlow, XLA": ("--xla",),
    "Keras 3, TensorFlow, bf16": ("--bf16",),
}
"""Arms in another environment, and how `keras_dcgan.py` is started for them."""


class Child:
    """A step in a process of its own, which says what it is when it is ready, and takes one for each line that it gets.

    facts: parameters of `generator` and `discriminator`; those of this file have `batch` and `mib`, too.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.facts: dict[str, Any] = json.loads(self.answer())

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(f"ended with status {self.process.wait()}")
        return line

    def seconds(self) -> float:
        """Of one step."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        return float(self.answer())

    def close(self) -> None:
        self.process.communicate()


def resident(name: str) -> int:
    """Bytes of this process in memory, by a name of Linux."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


class Bench:
    """The pictures, and the arms on them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.device = torch.device(arguments.device)
        side = arguments.side
        self.folder = tempfile.TemporaryDirectory()
        pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, side, side, 3), np.uint8)
        self.place = str(Path(self.folder.name) / "noise.npy")
        np.save(self.place, pixels)
        self.pictures = data.load(self.place, resolution=(side, side), channels=3).to(self.device)

    def given(self, network: str) -> dict[str, Any]:
        sizes = {name: value for name in ("width", "depth") if (value := getattr(self.arguments, name)) is not None}
        return GAMES[network] | {"batch": self.arguments.batch} | sizes

    def plain(self, network: str) -> Plain:
        torch.manual_seed(0)
        return Plain(network, self.given(network), self.pictures.images.cpu(), self.device)

    def ours(self, network: str, arm: Arm) -> Match:
        values = self.given(network) | arm.settings
        if "batch" in arm.settings:
            values["batch"] = int(self.arguments.batch * arm.settings["batch"])
        fixed = {"discriminator_features": "none", "augment": "none", "images": 10**9, "network": network}
        fixed |= {"resolution": self.pictures.shape[1:], "device": self.arguments.device}
        settings, _ = choose(self.place, fixed | values, data.survey(self.place), 1.0)
        match = Match(settings, self.pictures, Generate(settings, self.pictures))
        arm.change(match)
        return match

    def child(self, network: str, arm: str) -> Child:
        """An arm of this file, or the plain loop."""
        return Child([sys.executable, __file__, *sys.argv[1:], "--alone", f"{network}/{arm}"])

    def keras(self, *options: str) -> Child:
        """An arm in Keras."""
        sizes = self.given("dcgan")
        shape = {"threads": self.arguments.threads, "side": self.arguments.side}
        shape |= {name: sizes[name] for name in ("width", "batch")}
        given = [f"--{name}={value}" for name, value in shape.items()]
        script = str(Path(__file__).with_name("keras_dcgan.py"))
        return Child([self.arguments.keras, script, *given, *options])

    def seconds(self, play: Callable[[], Any], steps: int) -> float:
        """Of one step, on average of some."""
        before = time.perf_counter()
        for _ in range(steps):
            play()
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return (time.perf_counter() - before) / steps

    def memory(self, play: Callable[[], Any]) -> float | None:
        """MiB that some steps take at most, beyond what there was before; None where the system does not tell."""
        if self.device.type != "cuda" and not Path("/proc/self/clear_refs").exists():
            return None
        if self.device.type == "cuda":
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        else:
            before = resident("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        for _ in range(3):
            play()
        after = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else resident("VmHWM")
        return (after - before) / 2**20

    def has(self, arm: Arm) -> bool:
        """Whether an arm is asked for, and can be had on the device."""
        asked_for = not self.arguments.arms or arm.name in self.arguments.arms
        return (
            asked_for
            and (self.arguments.compile or not arm.compiles)
            and (self.device.type == "cuda" or not arm.on_cuda)
        )

    def rows(self, network: str) -> list[dict[str, Any]]:
        """A row for each arm: name, parameters, images per second, ratio to the plain loop, MiB (None if unknown)."""
        arms = [arm for arm in ARMS if network in arm.networks and self.has(arm)]
        starts: dict[str, Callable[[], Child]] = {arm.name: partial(self.child, network, arm.name) for arm in arms}
        if network == "dcgan" and self.arguments.keras:
            starts |= {name: partial(self.keras, *options) for name, options in KERAS.items()}
        plain = self.child(network, PLAIN)
        rows, all_plain = [], []
        for name, start in starts.items():
            try:
                child = start()
            except ChildProcessError as error:
                print(f"{network}, {name}: {error}", file=sys.stderr)
                continue
            for player in ("generator", "discriminator"):
                same = child.facts[player] == plain.facts[player] or name == DENSE
                assert same, f"{name} has {child.facts[player]} parameters, the plain loop {plain.facts[player]}"
            turns = [(plain.seconds(), child.seconds()) for _ in range(self.arguments.rounds)]
            child.close()
            of_plain, own = zip(*turns, strict=True)
            all_plain += of_plain
            rows.append(self.row(network, name, child.facts, own, of_plain))
            print(f"{network}, {name}: {rows[-1]['ratio']} times the plain loop", file=sys.stderr, flush=True)
        plain.close()
        if not rows:
            return []
        return [self.row(network, PLAIN, plain.facts, all_plain, all_plain), *rows]

    def row(
        self, network: str, name: str, facts: dict[str, Any], own: Sequence[float], of_plain: Sequence[float]
    ) -> dict[str, Any]:
        """Of an arm, from the seconds of its steps and of those of the plain loop in between."""
        speed = facts.get("batch", self.arguments.batch) / statistics.median(own)
        return {
            "network": network,
            "arm": name,
            "parameters": facts["generator"],
            "images_per_second": round(speed, 1),
            "ratio": round(speed * statistics.median(of_plain) / self.arguments.batch, 2),
            "mib": None if facts.get("mib") is None else round(facts["mib"]),
        }

    def share_of_data(self, network: str) -> float:
        """Which share of one of our steps goes by until its batch is there."""
        match = self.ours(network, ARMS[0])
        batch = match.settings.batch
        drawn = [self.seconds(partial(self.pictures.draw, 0, i * batch, batch), 1) for i in range(50)]
        self.seconds(match.play, WARM_UP)
        steps = [self.seconds(match.play, 1) for _ in range(4)]
        return statistics.median(drawn) / statistics.median(steps)

    def alone(self, network: str, name: str) -> None:
        """The other end of a `Child`."""
        arm = next((arm for arm in ARMS if arm.name == name), None)
        if arm is None:
            plain = self.plain(network)
            play, batch, steps = plain.play, plain.batch, TURN
            players: tuple[nn.Module, nn.Module] = plain.generator, plain.discriminator
        else:
            match = self.ours(network, arm)
            play, batch, steps = match.play, match.settings.batch, TURN * match.settings.penalty_interval
            players = match.average, match.discriminator.module
        with arm.around() if arm else nullcontext():
            facts = dict(zip(("generator", "discriminator"), map(parameters, players), strict=True))
            mib = self.memory(play)
            self.seconds(play, WARM_UP)
            print(json.dumps({**facts, "batch": batch, "mib": mib}), flush=True)
            for _ in sys.stdin:
                print(self.seconds(play, steps), flush=True)


def main() -> None:
    """Reads the arguments, measures, and prints tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(GAMES), default=list(GAMES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--side", type=int, default=32, help="pixels of a picture's side")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, help="of the networks; by default 64 for dcgan, 24 for r3, 32 for fast")
    parser.add_argument("--depth", type=int)
    parser.add_argument("--rounds", type=int, default=9)
    names = [arm.name for arm in ARMS]
    parser.add_argument("--arms", nargs="+", metavar="NAME", choices=names, help=f"only these rows: {', '.join(names)}")
    parser.add_argument("--compile", action="store_true", help="arms with torch.compile, which takes minutes at first")
    parser.add_argument("--keras", metavar="PYTHON", help="arms in Keras 3 for dcgan, by the Python that has it")
    parser.add_argument("--json", metavar="PATH|-", help="also write what is printed as JSON")
    parser.add_argument("--alone", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.keras and (arguments.device != "cpu" or arguments.depth not in (None, 1)):
        parser.error("--keras is for a CPU and networks of depth 1")
    torch.set_num_threads(arguments.threads)
    network, _, name = arguments.alone.partition("/")
    if name not in (GIVEN_BACK, PLAIN):
        keep_freed_memory()
    bench = Bench(arguments)
    if arguments.alone:
        bench.alone(network, name)
        return
    rows = [row for network in arguments.networks for row in bench.rows(network)]
    waiting = {network: bench.share_of_data(network) for network in arguments.networks}
    if arguments.json:
        found = {"device": arguments.device, "threads": arguments.threads, "rows": rows, "share_of_data": waiting}
        text = json.dumps(found, indent=2) + "\n"
        sys.stdout.write(text) if arguments.json == "-" else Path(arguments.json).write_text(text)
    if arguments.json != "-":
        print(f"{'network':8} {'arm':36} {'parameters':>10} {'images/s':>9} {'ratio':>6} {'MiB':>6}")
        for row in rows:
            memory = "-" if row["mib"] is None else f"{row['mib']:.0f}"
            print(
                f"{row['network']:8} {row['arm']:36} {row['parameters']:10} {row['images_per_second']:9} "
                f"{row['ratio']:6} {memory:>6}"
            )
        for network, part in waiting.items():
            print(f"{network}: {part:.2%} of a step of ours is waiting for data")


if __name__ == "__main__":
    main()
