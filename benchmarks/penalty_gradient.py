"""How right are the ways to compute R1 and R2, on a discriminator that has learned for a while?

Plays the r3 pair with exact penalties, and after some steps compares value and gradient (by the discriminator's
weights) of each way with those of exact slopes in float32, on the same pairs. For finite differences both are means
over several directions a picture.

    python benchmarks/penalty_gradient.py PICTURES.zip --resolution 32 --after 0 50 150 400
"""

import argparse
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sparring import config, data
from sparring.adversarial.game import Bouts
from sparring.adversarial.penalties import ExactSlope, Penalty, SlopeByDifference
from sparring.chooser import choose
from sparring.randomness import Random
from sparring.tasks.generate import Generate
from sparring.tasks.sample import View
from sparring.training.match import Match

WAYS: dict[str, tuple[Penalty, str, int]] = {
    "exact, float32": (ExactSlope(), "fp32", 1),
    "exact, bf16": (ExactSlope(), "bf16", 1),
    **{f"difference, step {step}": (SlopeByDifference(step=step), "fp32", 16) for step in (0.1, 0.01, 0.001)},
}
"""Penalty, precision and how many draws of directions."""

GAME: dict[str, Any] = {
    "network": "r3",
    "discriminator_features": "none",
    "width": 16,
    "depth": 1,
    "batch": 64,
    "augment": "none",
    "objective": "relativistic",
    "penalty": "r1+r2",
    "precision": "bf16",
    "device": "cpu",
    "images": 10**6,
}


def measured(match: Match, way: Penalty, precision: str, draws: int) -> tuple[float, Tensor]:
    """Value of R1 + R2, and its gradient by the discriminator's weights in one vector."""
    settings, batch = match.settings, match.settings.batch
    game = match.game if precision == "bf16" else replace(match.game, low_precision=nullcontext)
    pictures = match.data.draw(settings.seed, 0, batch)
    with torch.no_grad():
        bouts = Bouts(game, match.generator.module, match.discriminator.module, batch)
        bout = bouts.make(pictures, Random(settings.seed, 0, batch))
    real, fake = bout.real, bout.fake
    if way.needs_gradient:
        real, fake = real.requires_gradient(), fake.requires_gradient()
    weights = list(match.discriminator.module.parameters())
    value, gradient = 0.0, torch.zeros(sum(weight.numel() for weight in weights))
    for draw in range(draws):
        terms = way(bout.judge, View(real, fake, *bout.judge(real, fake)), Random(settings.seed, 1 + draw, batch))
        total = torch.stack(list(terms.values())).sum()
        slopes = torch.autograd.grad(total, weights, materialize_grads=True)
        value += total.item() / draws
        gradient += torch.cat([slope.flatten() for slope in slopes]) / draws
    return value, gradient


def main() -> None:
    """Reads the arguments, plays, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder or archive of pictures, or the name of an embedded set")
    parser.add_argument("--resolution", default="32", help="side in pixels, or HxW")
    parser.add_argument("--after", type=int, nargs="+", default=[0, 50, 150, 400], help="steps of training")
    arguments = parser.parse_args()
    given = GAME | {"resolution": config.check("resolution", arguments.resolution)}
    settings, _ = choose(arguments.data, given, data.survey(arguments.data), 1.0)
    pictures = data.load(arguments.data, resolution=settings.resolution, channels=settings.channels)
    match = Match(settings, pictures, Generate(settings, pictures))
    print(f"{'steps':>5} {'way':24} {'value':>9} {'of exact':>9} {'cosine':>7} {'norm of exact':>13}")
    for steps in sorted(arguments.after):
        while match.state.step < steps:
            match.play()
        found = {name: measured(match, *way) for name, way in WAYS.items()}
        exact, slope = next(iter(found.values()))
        for name, (value, gradient) in found.items():
            cosine = torch.nn.functional.cosine_similarity(gradient, slope, dim=0).item()
            norm = (gradient.norm() / slope.norm()).item()
            print(f"{steps:5} {name:24} {value:9.4g} {value / exact:9.2f} {cosine:7.3f} {norm:13.2f}", flush=True)


if __name__ == "__main__":
    main()
