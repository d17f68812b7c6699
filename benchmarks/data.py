"""How many pictures a second come out of shards, read and decoded as they stream, and out of the decoded cache?

Packs a set once, then takes turns: batches from all pictures decoded in memory, from shards on disk, from the same
shards as the output of commands, and, to compare with, decoding the set once into memory. Each turn opens the shards
anew and draws whole shuffle buffers, so that it lives on nothing read before; medians, and the ratio to memory. The
first batch comes when a block is read, in the seconds of a column of its own. With --step a core is busy that long
after each batch, as with a training step that tells a GPU what to do, and the last column is the share of the time
after the first batch that went into waiting for data.

    python benchmarks/data.py --data photos.zip --resolution 64
    python benchmarks/data.py --pictures 20000 --step 30 --json data.json
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sparring import data
from sparring.data.decode import Form
from sparring.data.loading import decoded
from sparring.data.opening import open_source
from sparring.data.parallel import cores

SIDE = 96
"""Pixels of a side of the pictures that are made if none are given."""

PRODUCT = 512
"""Side of the matrices of a step."""


def make(folder: Path, count: int) -> Path:
    """JPEG files with about as much detail as photographs have."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        coarse, fine = (Image.fromarray(random.integers(0, 256, (n, n, 3), np.uint8)) for n in (6, SIDE))
        smooth = coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        Image.blend(smooth, fine, 0.1).save(folder / f"{number:06d}.jpg", quality=90)
    return folder


Turn = tuple[float, float, float]
"""Pictures a second over some batches, seconds until the first, and the share of the time since that drawing took."""


def busy(seconds: float) -> None:
    """Multiplies matrices so long, which leaves Python to other threads as a step of training does.

    Who slept would take milliseconds to be back, and that is no waiting for data.
    """
    matrix, until = torch.ones(PRODUCT, PRODUCT), time.perf_counter() + seconds
    while time.perf_counter() < until:
        matrix @ matrix


def drawing(pictures: data.Data, arguments: argparse.Namespace) -> Turn:
    """A turn of drawing."""
    waits, begun = [], time.perf_counter()
    for batch in range(arguments.batches):
        before = time.perf_counter()
        pictures.draw(0, batch * arguments.batch, arguments.batch)
        waits.append(time.perf_counter() - before)
        busy(arguments.step / 1000)
    took = time.perf_counter() - begun
    pictures.close()
    first, *later = waits
    return arguments.batches * arguments.batch / took, first, sum(later) / (took - first)


def main() -> None:
    """Reads the arguments, measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="pictures; made if not given")
    parser.add_argument("--pictures", type=int, default=4000, help="how many are made")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--per-shard", type=int, default=500)
    parser.add_argument("--buffer", type=int, default=500)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--batches", type=int, default=40, help="in a turn")
    parser.add_argument("--step", type=float, default=0.0, help="milliseconds of a step after each batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # of the step; the others decode
    form = Form(arguments.resolution, arguments.resolution, 3)
    with tempfile.TemporaryDirectory() as made:
        source = arguments.data or make(Path(made) / "pictures", arguments.pictures)
        packed = Path(made) / "packed"
        begun = time.perf_counter()
        about = data.pack(source, packed, per_shard=arguments.per_shard)
        packing = about["pictures"] / (time.perf_counter() - begun)
        commands = f"pipe:cat {packed}/{{00000..{about['shards'] - 1:05d}}}.tar"
        held = data.load(packed, resolution=(form.height, form.width), channels=3)

        def decoding() -> Turn:
            begun = time.perf_counter()
            count = len(decoded(replace(open_source(packed), cached=False), form))
            took = time.perf_counter() - begun
            return count / took, took, 0.0

        arms: dict[str, Callable[[], Turn]] = {
            "decoded, in memory": lambda: drawing(held, arguments),
            "decoding once": decoding,
            "shards on disk": lambda: drawing(data.stream(packed, form, buffer=arguments.buffer), arguments),
            "shards from commands": lambda: drawing(data.stream(commands, form, buffer=arguments.buffer), arguments),
        }
        turns = [{name: arm() for name, arm in arms.items()} for _ in range(arguments.rounds + 1)]
    rows = []
    for name in arms:
        measured = zip(*(turn[name] for turn in turns[1:]), strict=True)  # the first warms up
        speed, first, waiting = map(statistics.median, measured)
        rows.append({"arm": name, "pictures_per_second": speed, "seconds_to_first": first, "waiting": waiting})
    print(f"{about['pictures']:,} pictures to {form.height} pixels, {cores()} cores; packing {packing:,.0f} pictures/s")
    print("| | pictures/s | ratio | first after | waiting |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        ratio = row["pictures_per_second"] / rows[0]["pictures_per_second"]
        speed, first, waiting = row["pictures_per_second"], row["seconds_to_first"], row["waiting"]
        share = "" if row["arm"] == "decoding once" else f"{waiting:.2%}"
        print(f"| {row['arm']} | {speed:,.0f} | {ratio:.3g} | {first:.2f} s | {share} |")
    if arguments.json:
        outcome = {"settings": vars(arguments), "cores": cores(), "packing": packing, "rows": rows}
        arguments.json.write_text(json.dumps(outcome, indent=2, default=str))


if __name__ == "__main__":
    main()
