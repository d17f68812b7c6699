"""How many images a second does one training step take, and how much memory: ours, and as a tutorial would write it?

The plain loop has the very same networks and losses, in float32: DataLoader, Adam as PyTorch makes it, one pass of the
discriminator for the real and one for the generated pictures, a new batch of these for the generator's update, exact
penalties by double backward; it does without an averaged generator, which ours has. All arms take turns, a step each;
the table gives medians and the ratio to the plain loop of the same networks. Each further arm is ours with one thing
otherwise. Before each step that is timed, an arm takes one that is not. Pictures are noise: the content does not change
the time.

    python benchmarks/step.py --threads 2
    python benchmarks/step.py --device cuda --networks r3 --width 128 --depth 2 --batch 256 --json step.json
    python benchmarks/step.py --networks dcgan --keras .venv-keras/bin/python

The last adds the same step in Keras 3, by the Python of an environment that `keras_dcgan.py` says how to make.

Peak memory is that of a process of its own for each arm, less what it had before its first step; the arm that gives
memory back is timed there too.
"""

import argparse
import copy
import ctypes
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
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
from sparring.adversarial import ema
from sparring.adversarial.game import Bout, Bouts
from sparring.chooser import choose
from sparring.networks import parameters
from sparring.tasks.generate import Generate
from sparring.tasks.sample import Sample
from sparring.training.allocation import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory
from sparring.training.match import Match

PICTURES = 1024
GLIBC_THRESHOLD = 2**25
"""Bytes: the largest block that glibc comes to take from memory it keeps, of which it keeps twice as much at most."""
GAMES: dict[str, dict[str, Any]] = {
    "dcgan": {"objective": "non-saturating", "penalty": "none", "width": 64, "depth": 1, "beta1": 0.5},
    "r3": {"objective": "relativistic", "penalty": "r1+r2", "width": 24, "depth": 1},
    "fast": {"objective": "relativistic", "penalty": "r1+r2", "width": 32, "depth": 1},
}


GIVEN_BACK = "freed memory given back"


@dataclass
class Arm:
    """One way to do it: settings that differ, or something that is done to the match, or around each step."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Match], None] = lambda match: None
    around: Callable[[], Any] = nullcontext
    alone: bool = False
    """Whether it is timed in a process of its own."""
    networks: tuple[str, ...] = ("dcgan", "r3", "fast")


def optimised(match: Match, **how: bool) -> None:
    for player in (match.generator, match.discriminator):
        learning = [parameter for parameter in player.module.parameters() if parameter.requires_grad]
        player.optimizer = torch.optim.Adam(learning, lr=match.settings.learning_rate, **how)


def contiguous(match: Match) -> None:
    for player in (match.generator, match.discriminator):
        player.module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


@contextmanager
def memory_given_back() -> Iterator[None]:
    """While glibc gives freed memory back to the system, as it does unless told otherwise.

    The first step in here may be slower than others: it finds no memory that was freed before.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, GLIBC_THRESHOLD)
    libc.mallopt(M_TRIM_THRESHOLD, 2 * GLIBC_THRESHOLD)
    libc.malloc_trim(0)
    yield
    keep_freed_memory()


def ungrouped(match: Match) -> None:
    for player in (match.generator, match.discriminator):
        for layer in player.module.modules():
            if isinstance(layer, nn.Conv2d) and 1 < layer.groups < layer.in_channels:
                layer.groups = 1
                shape = (layer.out_channels, layer.in_channels, *layer.kernel_size)
                layer.weight = nn.Parameter(torch.randn(shape, device=layer.weight.device) * 0.01)
    optimised(match, fused=True)
    match.average = copy.deepcopy(match.generator.module).requires_grad_(False)


def compiled(match: Match) -> None:
    for player in (match.generator, match.discriminator):
        player.module.compile()


def averaged_by_tensors(average: nn.Module, current: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for ours, theirs in zip(average.parameters(), current.parameters(), strict=True):
            ours.lerp_(theirs, 1 - keep)


def one_at_a_time(bout: Bout, *views: Sample) -> tuple[Tensor, ...]:
    return tuple(logits for view in views for logits in JUDGE_SEEN(bout, view))


def anew(bouts: Bouts, batch: Any, random: Any, *, for_generator: bool) -> Bout:
    with torch.set_grad_enabled(for_generator):
        return bouts.make(batch, random)


JUDGE_SEEN = Bout.judge_seen
R3 = ("r3",)
PENALISED = ("r3", "fast")
ARMS = [
    Arm("ours"),
    Arm("in float32", {"precision": "fp32"}),
    Arm("layers of the library", around=layers_of_the_library, networks=PENALISED),
    Arm(GIVEN_BACK, alone=True),
    Arm("contiguous", change=contiguous),
    Arm("Adam by tensors", change=partial(optimised, foreach=False)),
    Arm("Adam by foreach", change=partial(optimised, foreach=True)),
    Arm("averaged generator by tensors", around=lambda: mock.patch.object(ema, "update", averaged_by_tensors)),
    Arm("D on real and generated apart", around=lambda: mock.patch.object(Bout, "judge_seen", one_at_a_time)),
    Arm("pictures anew for G", around=lambda: mock.patch.object(Bouts, "__call__", anew)),
    Arm("finite differences", {"penalty_method": "finite-difference"}, networks=PENALISED),
    Arm("penalty every 4th step", {"penalty_interval": 4}, networks=PENALISED),
    Arm("penalty at half of the pairs", {"penalty_stride": 2}, networks=PENALISED),
    Arm("penalty at a quarter of the pairs", {"penalty_stride": 4}, networks=PENALISED),
    Arm("penalty at an eighth of the pairs", {"penalty_stride": 8}, networks=PENALISED),
    Arm("a quarter of the pairs every 2nd step", {"penalty_stride": 4, "penalty_interval": 2}, networks=PENALISED),
    Arm("penalty every 16th step", {"penalty_interval": 16}, networks=PENALISED),
    Arm("no penalty", {"penalty": "none"}, networks=PENALISED),
    Arm("dense convolutions", change=ungrouped, networks=R3),
    Arm("half the batch", {"batch": 0.5}),
    Arm("twice the batch", {"batch": 2}),
]
COMPILED = Arm("torch.compile, finite differences", {"penalty_method": "finite-difference"}, change=compiled)


KERAS = {
    "Keras 3, TensorFlow": (),
    "Keras 3, TensorFlow, XLA": ("--xla",),
    "Keras 3, TensorFlow, bf16": ("--bf16",),
}
"""Arms in another environment, and how `keras_dcgan.py` is started for them."""


class Keras:
    """A step of `dcgan` in a child process, which takes one for each line that it gets."""

    def __init__(self, python: str, options: Iterable[str]) -> None:
        command = [python, str(Path(__file__).with_name("keras_dcgan.py")), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.parameters: dict[str, int] = json.loads(self.answer())

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

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

    def keras(self, plain: Plain) -> dict[str, Keras]:
        """The arms in Keras, with as many parameters as the plain loop has."""
        python, sizes = self.arguments.keras, self.given("dcgan")
        if python is None:
            return {}
        shape = {"threads": self.arguments.threads, "side": self.arguments.side}
        shape |= {name: sizes[name] for name in ("width", "batch")}
        given = [f"--{name}={value}" for name, value in shape.items()]
        arms = {name: Keras(python, [*given, *options]) for name, options in KERAS.items()}
        ours = {name: parameters(getattr(plain, name)) for name in ("generator", "discriminator")}
        for name, arm in arms.items():
            assert arm.parameters == ours, f"{name} has {arm.parameters} parameters, the plain loop {ours}"
        return arms

    def seconds(self, play: Callable[[], Any], steps: int) -> float:
        """Of one step, on average of some."""
        before = time.perf_counter()
        for _ in range(steps):
            play()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - before) / steps

    def memory(self, play: Callable[[], Any]) -> float:
        """MiB that some steps take at most, beyond what there was before."""
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

    def rows(self, network: str) -> list[dict[str, Any]]:
        """A row for each arm: name, parameters, images per second, ratio to the plain loop, MiB (None for Keras)."""
        arms = [arm for arm in ARMS if network in arm.networks] + [COMPILED] * self.arguments.compile
        matches = {arm.name: (self.ours(network, arm), arm) for arm in arms}
        plain = self.plain(network)
        keras = self.keras(plain) if network == "dcgan" else {}
        times: dict[str, list[float]] = {name: [] for name in ("plain", *keras, *matches)}
        for _ in range(self.arguments.rounds + 1):
            with memory_given_back():
                plain.play()
                times["plain"].append(self.seconds(plain.play, 1))
            for name, child in keras.items():
                times[name].append(child.seconds())
            for name, (match, arm) in matches.items():
                with arm.around():
                    match.play()  # after a step of another arm, memory lies otherwise than in a run
                    times[name].append(self.seconds(match.play, match.settings.penalty_interval))
        for child in keras.values():
            child.close()
        batches = dict.fromkeys(("plain", *keras), plain.batch) | {
            name: match.settings.batch for name, (match, _) in matches.items()
        }
        children = {name: self.child(network, name) for name in times if name not in keras}
        times |= {name: [children[name]["seconds"]] * 2 for name, (_, arm) in matches.items() if arm.alone}
        speeds = {name: batches[name] / statistics.median(taken[1:]) for name, taken in times.items()}
        sizes = dict.fromkeys(("plain", *keras), plain.generator) | {
            name: match.average for name, (match, _) in matches.items()
        }
        return [
            {
                "network": network,
                "arm": name,
                "parameters": parameters(sizes[name]),
                "images_per_second": round(speed, 1),
                "ratio": round(speed / speeds["plain"], 2),
                "mib": None if name in keras else round(children[name]["mib"]),
            }
            for name, speed in speeds.items()
        ]

    def share_of_data(self, network: str) -> float:
        """Which share of one of our steps goes by until its batch is there."""
        match = self.ours(network, ARMS[0])
        batch = match.settings.batch
        drawn = [self.seconds(partial(self.pictures.draw, 0, i * batch, batch), 1) for i in range(50)]
        steps = [self.seconds(match.play, 1) for _ in range(4)]
        return statistics.median(drawn) / statistics.median(steps)

    def child(self, network: str, arm: str) -> dict[str, float]:
        """What a process of its own measures of an arm."""
        command = [sys.executable, __file__, *sys.argv[1:], "--alone", f"{network}/{arm}"]
        measured: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return measured

    def alone(self, network: str, name: str) -> dict[str, float]:
        """MiB and seconds of an arm, by its name, in this process."""
        arm = next((arm for arm in [*ARMS, COMPILED] if arm.name == name), None)
        player = self.plain(network) if arm is None else self.ours(network, arm)
        with arm.around() if arm else memory_given_back():
            mib = self.memory(player.play)
            rounds = self.arguments.rounds if arm and arm.alone else 0
            times = [self.seconds(player.play, 1) for _ in range(rounds)]
        return {"mib": mib, "seconds": statistics.median(times) if times else 0.0}


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
    parser.add_argument(
        "--compile", action="store_true", help="an arm with torch.compile, which takes minutes at first"
    )
    parser.add_argument("--keras", metavar="PYTHON", help="arms in Keras 3 for dcgan, by the Python that has it")
    parser.add_argument("--json", metavar="PATH|-", help="also write the rows as JSON")
    parser.add_argument("--alone", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.keras and (arguments.device != "cpu" or arguments.depth not in (None, 1)):
        parser.error("--keras is for a CPU and networks of depth 1")
    torch.set_num_threads(arguments.threads)
    if not arguments.alone.endswith(GIVEN_BACK):
        keep_freed_memory()
    bench = Bench(arguments)
    if arguments.alone:
        network, _, name = arguments.alone.partition("/")
        sys.stdout.write(json.dumps(bench.alone(network, name)))
        return
    rows = [row for network in arguments.networks for row in bench.rows(network)]
    if arguments.json:
        text = json.dumps({"device": arguments.device, "threads": arguments.threads, "rows": rows}, indent=2) + "\n"
        sys.stdout.write(text) if arguments.json == "-" else Path(arguments.json).write_text(text)
    if arguments.json != "-":
        print(f"{'network':8} {'arm':36} {'parameters':>10} {'images/s':>9} {'ratio':>6} {'MiB':>6}")
        for row in rows:
            memory = "-" if row["mib"] is None else f"{row['mib']:.0f}"
            print(
                f"{row['network']:8} {row['arm']:36} {row['parameters']:10} {row['images_per_second']:9} "
                f"{row['ratio']:6} {memory:>6}"
            )
        for network in arguments.networks:
            print(f"{network}: {bench.share_of_data(network):.2%} of a step of ours is waiting for data")


if __name__ == "__main__":
    main()
