"""Does the game find all modes, and does it come to rest? The standard tests of mode collapse, on the engine itself.

    python benchmarks/stability.py points relativistic/r1+r2 --seeds 100 --json points.json
    python benchmarks/stability.py points --seeds 10 --steps 3000
    python benchmarks/stability.py dirac
    python benchmarks/stability.py digits
    python benchmarks/stability.py digits --side 16 --seeds 3
    python benchmarks/stability.py digits --set objective=minimax --set penalty=none

`points`: 8 Gaussians on a ring and 25 on a grid, for every objective with none, one or both of R1 and R2, and
Wasserstein with WGAN-GP, unless games are named. Judged are 2,500 samples of the averaged generator of each seed: modes
found; `high`, the share of samples within three deviations of a mode, its median and 5 % quantile over the seeds;
`core`, the share within one deviation. All seeds of a row are one batched computation (`toys.py`).

`dirac`: the game of two numbers in which convergence can be computed: eigenvalues of gradient descent's Jacobian at the
equilibrium, and how far the players are from it after so many steps (`dirac.py`).

`digits`: three digits as the colours of a picture, a thousand modes, played by `sparring.train` with the settings that
it chooses; a classifier counts the modes in 26,000 samples (`stacked.py`). All seeds learn from the same pictures.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

import sparring
from dirac import Dirac
from sparring import config
from sparring.adversarial.objectives import OBJECTIVES
from sparring.training.allocation import keep_freed_memory
from stacked import PICTURES, SAMPLES, Coverage, Digits, Reader, pictures_of
from toys import MIXTURES, Mixture, Recipe, Seeds, Verdict

PENALTIES = ("none", "r1", "r2", "r1+r2")
GAMES = (*(f"{objective}/{penalty}" for objective in OBJECTIVES for penalty in PENALTIES), "wasserstein/wgan-gp")
POINTS = 2500
"""Samples that are judged, of each seed."""

SIDE, ZOOM, EDGE = 400, 4, 1.25
"""Of a panel: pixels, how much larger it is drawn, and where it ends, relative to the outermost mode."""


@dataclass(frozen=True)
class Row:
    """What the seeds of one game on one mixture found."""

    mixture: str
    recipe: Recipe
    seconds: float
    verdicts: list[Verdict]

    def line(self, most: int) -> str:
        """As people read it."""
        game = f"{self.recipe.objective:16} | {self.recipe.penalty:7}"
        modes = [verdict.modes for verdict in self.verdicts]
        low, middle = np.quantile([verdict.quality for verdict in self.verdicts], [0.05, 0.5])
        core = np.median([verdict.core for verdict in self.verdicts])
        return (
            f"{self.mixture:7} | {game} | {modes.count(most):3} of {len(modes):3} | "
            f"{np.median(modes):4.1f} ({min(modes):2} to {max(modes):2}) | "
            f"{middle:6.1%} | {low:6.1%} | {core:6.1%} | {self.seconds:7.0f}"
        )


HEADER = (
    f"{'mixture':7} | {'objective':16} | {'penalty':7} | all modes  | {'modes':15} | "
    f"{'high':>6} | {'5 %':>6} | {'core':>6} | seconds"
)


def recipe_of(game: str, steps: int | None) -> Recipe:
    """The recipe with the objective and penalty of `game`; WGAN-GP has the strength of its paper throughout."""
    objective, penalty = game.split("/")
    recipe = replace(Recipe(), objective=objective, penalty=penalty)
    if penalty == "wgan-gp":
        recipe = replace(recipe, gamma=20.0, gamma_final=20.0)
    return recipe if steps is None else replace(recipe, steps=steps)


def play(game: str, mixture: Mixture, seeds: int, steps: int | None) -> tuple[Row, Tensor]:
    """The row of a game, and the samples of its first seed (POINTS, 2)."""
    recipe = recipe_of(game, steps)
    begun = time.process_time()
    games = Seeds(recipe, mixture, range(seeds))
    for _ in range(recipe.steps):
        games.play()
    made = games.samples(POINTS)
    verdicts = [mixture.judge(samples) for samples in made]
    return Row(mixture.name, recipe, time.process_time() - begun, verdicts), made[0]


def panel(samples: Tensor, mixture: Mixture) -> Image.Image:
    """Samples (N, 2) as dots, and around each mode a circle of three deviations."""
    size, far = SIDE * ZOOM, EDGE * float(mixture.centres.abs().max())
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)

    def place(points: Tensor) -> list[list[float]]:
        flipped = points * torch.tensor([1.0, -1.0])
        placed: list[list[float]] = ((flipped / far + 1) / 2 * size).tolist()
        return placed

    for x, y in place(mixture.centres):
        draw.circle((x, y), 3 * mixture.deviation / far / 2 * size, outline="silver", width=ZOOM)
    for x, y in place(samples):
        draw.circle((x, y), 1.2 * ZOOM, fill="midnightblue")
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def side_by_side(panels: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Rows of panels on one picture."""
    sheet = Image.new("RGB", (SIDE * max(map(len, panels)), SIDE * len(panels)), "white")
    for top, row in enumerate(panels):
        for left, image in enumerate(row):
            sheet.paste(image, (left * SIDE, top * SIDE))
    return sheet


def points(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Plays the games on the mixtures; prints a line for each as it ends."""
    print(HEADER, flush=True)
    rows: list[dict[str, Any]] = []
    panels: list[list[Image.Image]] = []
    for name in arguments.mixtures:
        mixture = MIXTURES[name]()
        panels.append([])
        for game in arguments.games or GAMES:
            row, samples = play(game, mixture, arguments.seeds, arguments.steps)
            print(row.line(len(mixture.centres)), flush=True)
            rows.append(asdict(row))
            panels[-1].append(panel(samples, mixture))
    if arguments.picture:
        side_by_side(panels).save(arguments.picture)
    return rows


def pair(eigenvalues: Sequence[complex]) -> str:
    """Two eigenvalues of a real matrix as people read them."""
    one, other = eigenvalues
    if one.imag:
        return f"{one.real + 0.0:.2f} +- {abs(one.imag):.2f}i"
    return f"{one.real:.2g}, {other.real:.2g}"


def dirac(arguments: argparse.Namespace) -> dict[str, Any]:
    """Prints eigenvalues and distances of all games."""
    print(f"{'objective':16} | {'penalty':7} | {'eigenvalues':16} | simultaneous | alternating")
    rows = []
    for game in GAMES:
        objective, penalty = game.split("/")
        toy = Dirac(objective, penalty, arguments.gamma)
        eigenvalues = toy.eigenvalues()
        ends = [float(end(arguments.rate, arguments.steps).norm()) for end in (toy.simultaneous, toy.alternating)]
        print(f"{objective:16} | {penalty:7} | {pair(eigenvalues):16} | {ends[0]:12.2g} | {ends[1]:11.2g}", flush=True)
        rows.append({"game": game, "eigenvalues": [[v.real, v.imag] for v in eigenvalues], "distances": ends})
    return {"gamma": arguments.gamma, "rate": arguments.rate, "steps": arguments.steps, "rows": rows}


def digits(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains on stacked digits; prints the modes that the classifier finds in the data and in each seed's samples."""
    given = dict(config.parse_assignment(assignment) for assignment in arguments.different)
    single = Digits.load(arguments.digits)
    if arguments.side:
        single = single.enlarged(arguments.side)
    reader = Reader(single)
    real = reader.coverage(single.stacked(SAMPLES, seed=1))
    print(f"accuracy of the classifier {reader.accuracy:.2%}")
    print(f"data     {in_words(real)}", flush=True)
    first = given.pop("seed", 0)
    made: list[Coverage] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "stacked.npz"
        np.savez(place, images=single.stacked(PICTURES, seed=0))
        for seed in range(first, first + arguments.seeds):
            out = (arguments.out or Path(folder)) / f"seed-{seed}"
            run = sparring.train(place, out=out, seed=seed, **given)
            made.append(reader.coverage(pictures_of(sparring.load(run.folder), SAMPLES)))
            print(f"seed {seed:3} {in_words(made[-1])}", flush=True)
    if len(made) > 1:
        print(f"means    {means(made)}")
    return {
        "side": single.images.shape[1],
        "accuracy": reader.accuracy,
        "settings": given,
        "data": asdict(real),
        "samples": [{"seed": seed, **asdict(found)} for seed, found in enumerate(made, first)],
    }


def in_words(found: Coverage) -> str:
    """Modes and divergence as people read them."""
    return f"{found.modes:4} modes, KL {found.divergence:.3f}"


def means(made: Sequence[Coverage]) -> str:
    """Means over the seeds, and ranges."""
    modes, divergences = [found.modes for found in made], [found.divergence for found in made]
    return (
        f"{np.mean(modes):.1f} modes ({min(modes)} to {max(modes)}), "
        f"KL {np.mean(divergences):.3f} ({min(divergences):.3f} to {max(divergences):.3f})"
    )


def arguments_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--threads", type=int, default=1)
    shared.add_argument("--json", metavar="PATH", type=Path, help="also write what was found")
    tests = parser.add_subparsers(required=True)

    test = tests.add_parser("points", parents=[shared], help="rings and grids of Gaussians")
    test.set_defaults(test=points)
    test.add_argument(
        "games",
        nargs="*",
        metavar="OBJECTIVE/PENALTY",
        help="by default every objective with none, one or both of R1 and R2, and Wasserstein with WGAN-GP",
    )
    test.add_argument("--mixtures", nargs="+", choices=MIXTURES, default=list(MIXTURES))
    test.add_argument("--seeds", type=int, default=10)
    test.add_argument("--steps", type=int, help=f"by default {Recipe().steps}")
    test.add_argument("--picture", type=Path, help="of the first seed's samples, a row for each mixture")

    test = tests.add_parser("dirac", parents=[shared], help="the Dirac-GAN")
    test.set_defaults(test=dirac)
    test.add_argument("--gamma", type=float, default=0.4, help="strength of the penalty")
    test.add_argument("--rate", type=float, default=0.1, help="learning rate of gradient descent")
    test.add_argument("--steps", type=int, default=500)

    test = tests.add_parser("digits", parents=[shared], help="stacked digits")
    test.set_defaults(test=digits)
    test.add_argument(
        "--digits",
        metavar="PATH.npz",
        type=Path,
        help="others than scikit-learn's: uint8 images (N, H, W), labels (N,)",
    )
    test.add_argument("--side", type=int, help="pixels that each digit is enlarged to; as they are by default")
    test.add_argument("--seeds", type=int, default=1, help="runs, of seeds from 0 on, or from --set seed=N on")
    test.add_argument("--out", type=Path, help="keep the runs here, a folder for each seed")
    test.add_argument("--set", dest="different", action="append", default=[], metavar="KEY=VALUE", help="of the run")

    arguments = parser.parse_args(words)
    if unknown := set(getattr(arguments, "games", ())) - set(GAMES):
        parser.error(f"no such game: {', '.join(sorted(unknown))}; they are {', '.join(GAMES)}")
    return arguments


def main() -> None:
    """Reads the arguments, does the test, and writes what it found."""
    arguments = arguments_of()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    found = arguments.test(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
