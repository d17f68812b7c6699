"""Which settings learn most in a given time on this machine?

Plays each arm, some settings with all others chosen as ever, for equal seconds of processor time, which are comparable
even where others use the machine too; prints images per second and quality. It is the engine itself that plays, without
the run folder.

    python benchmarks/families.py digits --arm network=fast --arm network=r3,width=32,depth=1 --seconds 60
    python benchmarks/families.py PICTURES.zip --resolution 32 --arm width=32 --arm width=64,penalty_strength=3

The Frechet distance is that of features of EfficientNet-Lite0; it is biased by the number of samples and serves to
compare arms of one call. Precision, recall and coverage are those of pixels.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from sparring import config, data, mosaic
from sparring.chooser import choose
from sparring.evaluation.extraction import features_of
from sparring.evaluation.galleries import Held
from sparring.metrics.frechet import frechet_distance, moments
from sparring.metrics.manifold import precision_recall_density_coverage
from sparring.networks import parameters
from sparring.networks.features import open_features
from sparring.tasks.generate import Blueprint, Generate, sample
from sparring.training.match import Match

SAMPLES = 2000


def parse_arm(text: str) -> dict[str, Any]:
    """Checked settings from `width=32,depth=1`."""
    return dict(config.parse_assignment(assignment) for assignment in text.split(","))


def play(
    place: str, survey: data.Survey, given: dict[str, Any], seconds: float, threads: int
) -> tuple[Match, Blueprint]:
    """A match of so many seconds of `threads` threads, whose schedules follow the time; and what to sample by."""
    settings, _ = choose(place, given | {"minutes": seconds / 60}, survey, 1.0)
    pictures = data.load(place, resolution=settings.resolution, channels=settings.channels)
    task = Generate(settings, pictures)
    match = Match(settings, pictures, task)
    start = time.process_time()
    while match.progress < 1:
        match.play()
        match.state.seconds = (time.process_time() - start) / threads
    return match, task.blueprint


def main() -> None:
    """Reads the arguments, plays the arms in turn, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder or archive of pictures, or the name of an embedded set")
    parser.add_argument("--resolution", help="side in pixels, or HxW; by default as `sparring train` chooses")
    parser.add_argument("--arm", dest="arms", action="append", required=True, help="KEY=VALUE,KEY=VALUE")
    parser.add_argument("--seconds", type=float, default=120, help="of training for each arm")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="one where others use the machine")
    parser.add_argument("--repeat", type=int, default=1, help="rounds over all arms, with another seed each")
    parser.add_argument("--grids", type=Path, help="folder for pictures of samples")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    survey = data.survey(arguments.data)
    common = {} if arguments.resolution is None else {"resolution": config.check("resolution", arguments.resolution)}
    lite0, pixels = open_features("lite0"), open_features("pixels")
    print("arm                              seed  parameters   images  images/s  Frechet  precision  recall  coverage")
    for seed in range(arguments.repeat):
        for arm in arguments.arms:
            given = {"device": "cpu", "seed": seed, **common, **parse_arm(arm)}
            match, blueprint = play(arguments.data, survey, given, arguments.seconds, arguments.threads)
            images = match.data.images
            real = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: 5 * SAMPLES]]
            fake = sample(match.average, blueprint, SAMPLES, seed=1)
            sides = Held(real), Held(fake)
            distance = frechet_distance(*(moments(features_of(side, lite0)) for side in sides))
            rows = [features_of(side, pixels)[:SAMPLES] for side in sides]
            quality = precision_recall_density_coverage(rows[0], rows[1])
            seen = match.state.images
            print(
                f"{arm:32} {seed:4} {parameters(match.average):11} {seen:8} {seen / arguments.seconds:9.0f}"
                f" {distance:8.1f} {quality.precision:10.3f} {quality.recall:7.3f} {quality.coverage:9.3f}",
                flush=True,
            )
            if arguments.grids:
                arguments.grids.mkdir(parents=True, exist_ok=True)
                name = arm.replace(",", "-").replace("=", "")
                mosaic.grid(fake[:64]).save(arguments.grids / f"{name}-{seed}.png")


if __name__ == "__main__":
    main()
