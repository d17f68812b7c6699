"""Games of points in the plane, many seeds at once.

The seeds of a row are one batched computation. Sample i of a batch belongs to seed i modulo the number of seeds, and
the players hold the weights of all seeds, so that the engine's step, objectives and penalties, which look at each
sample by itself, play all games at once without knowing of it. A loss is a mean over all samples, so each seed's
gradient is divided by the number of seeds, to which Adam is indifferent once its epsilon is divided as well.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from sparring.adversarial import ema
from sparring.adversarial.augment import NoAugmentation, Transformation
from sparring.adversarial.game import Game
from sparring.adversarial.objectives import OBJECTIVES, Objective
from sparring.adversarial.penalties import penalty
from sparring.adversarial.player import MicroBatch, Player
from sparring.adversarial.step import step
from sparring.randomness import Random, key
from sparring.tasks.sample import Sample, View
from sparring.training.schedule import cosine

NEAR = 3.0
"""Deviations from the nearest mode within which a sample is of high quality."""


@dataclass(frozen=True)
class Mixture:
    """Equally likely round Gaussians in the plane. centres: (K, 2). deviation: of each, in each coordinate."""

    name: str
    centres: Tensor
    deviation: float

    @property
    def scale(self) -> float:
        """Deviation of the whole mixture in a coordinate; its mean is 0."""
        return math.sqrt(float(self.centres.square().mean()) + self.deviation**2)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Points (count, 2)."""
        modes = torch.randint(len(self.centres), (count,), generator=generator)
        return self.centres[modes] + self.deviation * torch.randn(count, 2, generator=generator)

    def judge(self, samples: Tensor) -> "Verdict":
        """Of samples (N, 2)."""
        distance, nearest = torch.cdist(samples, self.centres).min(1)
        good = distance < NEAR * self.deviation
        found = torch.bincount(nearest[good], minlength=len(self.centres)) > 0
        core = distance < self.deviation
        return Verdict(int(found.sum()), float(good.float().mean()), float(core.float().mean()))


@dataclass(frozen=True)
class Verdict:
    """What samples found.

    Attributes:
        modes: those that are the nearest of at least one sample of high quality.
        quality: the share of samples of high quality, within NEAR deviations of the nearest mode; the data has 98.9 %.
        core: the share within one deviation; the data has 39.3 %, and more means modes that are too narrow.

    Source of the first two: Srivastava et al. 2017 (VEEGAN, arXiv 1705.07761), as the code of Lin et al. 2018 (PacGAN,
    arXiv 1712.04086) has them.
    """

    modes: int
    quality: float
    core: float


def ring() -> Mixture:
    """Eight modes on the unit circle, of deviation .01."""
    angles = torch.arange(8) * (math.pi / 4)
    return Mixture("ring", torch.stack([angles.cos(), angles.sin()], 1), 0.01)


def grid() -> Mixture:
    """Five times five modes, 2 apart, of deviation .05."""
    side = torch.arange(-4.0, 5.0, 2.0)
    return Mixture("grid", torch.cartesian_prod(side, side), 0.05)


MIXTURES = {"ring": ring, "grid": grid}


@dataclass(frozen=True)
class Recipe:
    """How a game is played. Both gamma and the learning rate fall along half a cosine.

    Attributes:
        spread: how much larger than usual the weights of the first layers are to begin with.
        half_life, ramp: of the averaged generator, see `sparring.adversarial.ema`.
    """

    objective: str = "relativistic"
    penalty: str = "r1+r2"
    gamma: float = 0.1
    gamma_final: float = 0.01
    learning_rate: float = 3e-3
    learning_rate_final: float = 1e-5
    beta1: float = 0.0
    beta2: float = 0.9
    beta2_final: float = 0.99
    steps: int = 6000
    batch: int = 256
    width: int = 64
    depth: int = 4
    spread: float = 4.0
    z_dim: int = 2
    half_life: float = 500_000.0
    ramp: float = 0.03


class Layers(nn.Module):
    """A network of fully connected tanh layers for each of S seeds: (N * S, sizes[0]) -> (N * S, sizes[-1]).

    Row i of input and output belongs to seed i modulo S. A seed's first weights depend on that seed and `name` alone:
    normal, of variance 2 / fan-in, biases of variance 1. Those of the first layer are `spread` times as large, so that
    its units bend at all places of the plane and finely enough.
    """

    def __init__(self, sizes: Sequence[int], seeds: Sequence[int], name: str, spread: float) -> None:
        super().__init__()
        generators = [torch.Generator().manual_seed(key(seed, name)) for seed in seeds]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in pairwise(sizes):
            drawn = torch.stack([torch.randn(inputs + 1, outputs, generator=generator) for generator in generators])
            drawn *= 1.0 if self.weights else spread
            self.weights.append(drawn[:, :-1] * math.sqrt(2 / inputs))
            self.biases.append(drawn[:, -1:].clone())  # contiguous, as fused Adam takes it to be

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class; there are no conditions."""
        x = x.reshape(-1, len(self.weights[0]), x.shape[-1]).transpose(0, 1)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x.tanh() if number else x, weight)
        return x.transpose(0, 1).flatten(0, 1)


@dataclass(frozen=True)
class Batch:
    """Real points (N, 2) and the latents (N, z_dim) of their partners."""

    real: Tensor
    latents: Tensor

    def __len__(self) -> int:
        return len(self.real)

    def __getitem__(self, samples: slice) -> "Batch":
        return Batch(self.real[samples], self.latents[samples])


class Points:
    """The task of the engine: points in the plane."""

    def real(self, batch: Batch, random: Random) -> Sample:
        return Sample((batch.real,))

    def fake(self, generator: nn.Module, batch: Batch, random: Random) -> Sample:
        return Sample((generator(batch.latents),))

    def augmented(self, sample: Sample, transformation: Transformation) -> Sample:
        return sample

    def lesson(self, generator: nn.Module, batch: Batch, random: Random) -> View:
        return View.before_the_game(self.real(batch, random), self.fake(generator, batch, random))

    def generator_loss(self, objective: Objective, view: View) -> Tensor:
        return objective.generator(view.real_logits, view.fake_logits)

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        return {}


class Seeds:
    """Games of one recipe on one mixture, one for each seed."""

    def __init__(self, recipe: Recipe, mixture: Mixture, seeds: Sequence[int]) -> None:
        self.recipe = recipe
        self.mixture = mixture
        self.streams = [torch.Generator().manual_seed(key(seed, "samples")) for seed in seeds]
        hidden = [recipe.width] * recipe.depth
        micro_batch = MicroBatch(recipe.batch * len(seeds))

        def player(sizes: Sequence[int], name: str) -> Player:
            module = Layers(sizes, seeds, name, recipe.spread)
            adam = torch.optim.Adam(module.parameters(), recipe.learning_rate, eps=1e-8 / len(seeds), fused=True)
            return Player(module, adam, micro_batch)

        self.generator = player([recipe.z_dim, *hidden, 2], "generator")
        self.discriminator = player([2, *hidden, 1], "discriminator")
        self.average = copy.deepcopy(self.generator.module).requires_grad_(False)
        rules = penalty(recipe.penalty, "exact", 0.01)
        self.game = Game(Points(), OBJECTIVES[recipe.objective], rules, NoAugmentation())  # type: ignore[arg-type]
        self.steps = 0

    def draw(self) -> Batch:
        """The next batch of all seeds; each has random numbers of its own."""
        count, scale = self.recipe.batch, self.mixture.scale
        real = [self.mixture.draw(count, stream) / scale for stream in self.streams]
        latents = [torch.randn(count, self.recipe.z_dim, generator=stream) for stream in self.streams]
        return Batch(torch.stack(real, 1).flatten(0, 1), torch.stack(latents, 1).flatten(0, 1))

    def play(self) -> None:
        """One step of all games."""
        recipe, progress = self.recipe, self.steps / self.recipe.steps
        for player in (self.generator, self.discriminator):
            for group in player.optimizer.param_groups:
                group["lr"] = cosine(recipe.learning_rate, recipe.learning_rate_final, progress)
                group["betas"] = recipe.beta1, cosine(recipe.beta2, recipe.beta2_final, progress)
        game = replace(self.game, penalty_strength=cosine(recipe.gamma, recipe.gamma_final, progress))
        batch = self.draw()
        step(game, self.generator, self.discriminator, batch, Random(0, self.steps, len(batch)))
        self.steps += 1
        half_life = ema.half_life(recipe.half_life, recipe.ramp, self.steps * recipe.batch)
        ema.update(self.average, self.generator.module, 0.5 ** (recipe.batch / half_life))

    def samples(self, count: int) -> Tensor:
        """Points of the averaged generators, (seeds, count, 2)."""
        seeds, generator = len(self.streams), torch.Generator().manual_seed(1)
        made: Tensor = self.average(torch.randn(count * seeds, self.recipe.z_dim, generator=generator))
        return self.mixture.scale * made.reshape(count, seeds, 2).transpose(0, 1)
