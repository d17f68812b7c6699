"""Which settings learn most in a given time on this machine?

Plays each arm, some settings with all others chosen as ever, for equal seconds of processor time, which are comparable
even where others use the machine too; prints images per second and quality, at the end or every so many seconds. It is
the engine itself that plays, without the run folder.

    python benchmarks/families.py digits --arm network=fast --arm network=r3,width=32,depth=1 --seconds 60
    python benchmarks/families.py PICTURES.zip --resolution 64 --arm seed=0 --arm network=r3 --seconds 600 --every 120

Quality is that of 2,000 samples against at most 5,000 pictures, in a space that no discriminator looks through unless
--features names one. The Frechet distance is biased by the number of samples and serves to compare arms of one call.
Arms share resolution and channels.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring import config, data, mosaic
from sparring.chooser import choose
from sparring.evaluation.extraction import features_of
from sparring.evaluation.galleries import Held
from sparring.metrics.frechet import frechet_distance, moments
from sparring.metrics.manifold import precision_recall_density_coverage
from sparring.networks import parameters
from sparring.networks.features import open_features
from sparring.tasks.generate import Generate, sample
from sparring.training.allocation import keep_freed_memory
from sparring.training.match import Match

SAMPLES, REAL = 2000, 5000


def parse_arm(text: str) -> dict[str, Any]:
    """Checked settings from `width=32,depth=1`."""
    return dict(config.parse_assignment(assignment) for assignment in text.split(","))


class Clock:
    """Seconds of processor time per thread, without those that were spent on judging."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.begun = time.process_time()

    def __call__(self) -> float:
        """Seconds of play."""
        return (time.process_time() - self.begun) / self.threads

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While something else is done."""
        before = time.process_time()
        yield
        self.begun += time.process_time() - before


class Bench:
    """The pictures of a set, and how samples of a generator compare with them."""

    def __init__(self, place: str, features: str, resolution: tuple[int, int] | None, most: int | None) -> None:
        self.place = place
        self.survey = data.survey(place)
        self.common = {} if resolution is None else {"resolution": resolution}
        self.most = most
        self.network = open_features(features)
        self.real: Tensor | None = None

    def match(self, given: dict[str, Any], seconds: float) -> tuple[Match, Generate]:
        """A match whose schedules follow the time."""
        settings, _ = choose(self.place, self.common | given | {"minutes": seconds / 60}, self.survey, 1.0)
        pictures = data.load(
            self.place, resolution=settings.resolution, channels=settings.channels, labels=settings.labels
        )
        if self.real is None:
            drawn = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(1))[:REAL]
            self.real = features_of(Held(pictures.images[drawn]), self.network)
        if self.most is not None:
            kept = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))[: self.most]
            labels = None if pictures.labels is None else pictures.labels[kept]
            pictures = replace(pictures, images=pictures.images[kept], labels=labels)
        task = Generate(settings, pictures)
        return Match(settings, pictures, task), task

    def judge(self, match: Match, task: Generate, grid: Path | None) -> str:
        """Frechet distance, precision, recall and coverage, as columns."""
        assert self.real is not None, "taken with the first match"
        made = sample(match.average, task.blueprint, SAMPLES, seed=1)
        if grid is not None:
            grid.parent.mkdir(parents=True, exist_ok=True)
            mosaic.grid(made[:64]).save(grid)
        fake = features_of(Held(made), self.network)
        distance = frechet_distance(moments(self.real), moments(fake))
        shares = precision_recall_density_coverage(self.real[:SAMPLES], fake)
        return f"{distance:8.4g} {shares.precision:10.3f} {shares.recall:7.3f} {shares.coverage:9.3f}"


def main() -> None:
    """Reads the arguments, plays the arms in turn, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder or archive of pictures, or the name of an embedded set")
    parser.add_argument("--resolution", help="side in pixels, or HxW; by default as `sparring train` chooses")
    parser.add_argument("--arm", dest="arms", action="append", required=True, help="KEY=VALUE,KEY=VALUE")
    parser.add_argument("--seconds", type=float, default=120, help="of training for each arm")
    parser.add_argument("--every", type=float, help="seconds between two looks at the quality; by default at the end")
    parser.add_argument("--most", type=int, help="train on so many of the pictures only; all are compared with")
    parser.add_argument("--features", default="wavelets", help="space that quality is measured in")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="one where others use the machine")
    parser.add_argument("--repeat", type=int, default=1, help="rounds over all arms, with another seed each")
    parser.add_argument("--grids", type=Path, help="folder for pictures of samples")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    resolution = None if arguments.resolution is None else config.check("resolution", arguments.resolution)
    bench = Bench(arguments.data, arguments.features, resolution, arguments.most)
    looks = arguments.every or arguments.seconds
    print(f"{'arm':32} seed  seconds  parameters   images  images/s  Frechet  precision  recall  coverage")
    for seed in range(arguments.repeat):
        for arm in arguments.arms:
            match, task = bench.match({"device": "cpu", "seed": seed, **parse_arm(arm)}, arguments.seconds)
            clock, due = Clock(arguments.threads), looks
            while match.progress < 1:
                match.play()
                match.state.seconds = seconds = clock()
                if seconds < min(due, arguments.seconds):
                    continue
                due += looks
                with clock.stopped():
                    name = f"{arm.replace(',', '-').replace('=', '')}-{seed}-{seconds:.0f}.png"
                    quality = bench.judge(match, task, arguments.grids and arguments.grids / name)
                    seen = match.state.images
                    print(
                        f"{arm:32} {seed:4} {seconds:8.0f} {parameters(match.average):11} {seen:8} "
                        f"{seen / seconds:9.0f} {quality}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
