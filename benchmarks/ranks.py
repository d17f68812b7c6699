"""Does it pay to train with several processes: how many images a second do one and several learn from?

Each arm is a run as anybody starts it, by the real torchrun where it has several processes, on pictures of noise and
with the same batch in all; the arms take turns, and the table gives medians. What counts are the images and seconds of
the run's summary, with neither the start nor evaluations in them, but with what is saved every thirty seconds. On a CPU
one process is also tried with as many threads as there are processes in the last arm.

    python benchmarks/ranks.py --ranks 2
    python benchmarks/ranks.py --ranks 8 --device cuda --network r3 --width 128 --depth 2 --batch 2048 --images 200000
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PICTURES = 1024
SHARED = (
    "augment=none",
    "penalty_stride=1",
    "guard=off",
    "quality_samples=64",
    "save_seconds=30",
    "preview_seconds=1e9",
)


def command(ranks: int) -> list[str]:
    """What starts `sparring` in so many processes."""
    if ranks == 1:
        return [sys.executable, "-m", "sparring"]
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        f"--nproc-per-node={ranks}",
        "-m",
        "sparring",
    ]


def speed(ranks: int, threads: int, pictures: Path, run: Path, arguments: argparse.Namespace) -> float:
    """Images a second of a run."""
    sizes = {name: getattr(arguments, name) for name in ("network", "width", "depth", "batch")}
    settings = [f"{name}={value}" for name, value in sizes.items() if value is not None]
    never = 2 * arguments.images
    settings += [*SHARED, f"threads={threads}", f"evaluate_every={never}", f"checkpoint_every={never}"]
    words = [word for setting in settings for word in ("--set", setting)]
    fixed = ["--images", str(arguments.images), "--device", arguments.device]
    done = subprocess.run(
        [*command(ranks), "train", str(pictures), "--out", str(run), *fixed, *words], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    summary = json.loads((run / "summary.json").read_text())
    return float(summary["images"] / summary["seconds"])


def main() -> None:
    """Reads the arguments, lets the arms take turns, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2, help="processes of the last arm")
    parser.add_argument("--network", default="r3")
    parser.add_argument("--width", type=int)
    parser.add_argument("--depth", type=int)
    parser.add_argument("--batch", type=int, default=64, help="of all processes together")
    parser.add_argument("--side", type=int, default=32, help="pixels of a picture's side")
    parser.add_argument("--images", type=int, default=3200, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.ranks < 2:
        parser.error("--ranks: 2 at least")

    arms = {"one process, one thread": (1, 1)}
    if arguments.device == "cpu":
        arms[f"one process, {arguments.ranks} threads"] = 1, arguments.ranks
    arms[f"{arguments.ranks} processes, one thread each"] = arguments.ranks, 1
    found: dict[str, list[float]] = {name: [] for name in arms}
    with tempfile.TemporaryDirectory() as folder:
        shape = (PICTURES, arguments.side, arguments.side, 3)
        pictures = Path(folder) / "noise.npy"
        np.save(pictures, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        for turn in range(arguments.rounds):
            for number, (name, (ranks, threads)) in enumerate(arms.items()):
                run = Path(folder) / f"{turn}-{number}"
                found[name].append(speed(ranks, threads, pictures, run, arguments))
    first = statistics.median(next(iter(found.values())))
    print(f"{arguments.network:28} {'images/s':>9} {'ratio':>6}")
    for name, speeds in found.items():
        print(f"{name:28} {statistics.median(speeds):9.1f} {statistics.median(speeds) / first:6.2f}")


if __name__ == "__main__":
    main()
