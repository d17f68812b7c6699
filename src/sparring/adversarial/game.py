"""The rules of the game, and one bout of it: a real and a generated sample, and how the discriminator sees them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from sparring.adversarial.augment import Augmentation, Transformation
from sparring.adversarial.objectives import Objective
from sparring.adversarial.penalties import Penalty
from sparring.joining import joined
from sparring.randomness import Random
from sparring.tasks import Task
from sparring.tasks.sample import Sample


@dataclass(frozen=True)
class Game:
    """The rules. `low_precision` makes the context in which the players run, bf16 autocast or none.

    `penalty_strength` (gamma of the papers) and `augment_p` are those of this step. `penalty_stride`: the penalty looks
    at one of so many pairs. `partner_stride`: D learns from all real samples and one of so many generated ones, G the
    other way round.
    """

    task: Task
    objective: Objective
    penalty: Penalty | None
    augmentation: Augmentation
    low_precision: Callable[[], AbstractContextManager[Any]] = nullcontext
    penalty_strength: float = 1.0
    penalty_stride: int = 1
    augment_p: float = 0.0
    partner_stride: int = 1


@runtime_checkable
class Perceiving(Protocol):
    """A discriminator that looks through a frozen network: D(*parts, y) = judge(*perceive(*parts), y).

    What it perceives of a sample is the same before and after D learned, so the step asks for it once.
    """

    def perceive(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Features of the sample; nothing in here learns."""

    def judge(self, *features: Tensor, y: Tensor | None = None) -> Tensor:
        """Judgements (N,) or (N, K) of features."""


@runtime_checkable
class Layered(Protocol):
    """A discriminator that tells what its layers make of a sample, so that the generator can match it."""

    def maps(self, *parts: Tensor) -> list[Tensor]:
        """Maps (N, C, h, w), one of each layer."""


@dataclass
class Bout:
    """A pair of samples, both augmented alike whenever D sees them. `fake` carries G's graph, if one was asked for."""

    game: Game
    discriminator: nn.Module
    real: Sample
    fake: Sample
    augment: Transformation

    @cached_property
    def real_seen(self) -> Sample:
        """The real sample as D sees it."""
        return self.see(self.real)

    @cached_property
    def fake_seen(self) -> Sample:
        """The generated sample as D sees it."""
        return self.see(self.fake)

    def see(self, sample: Sample) -> Sample:
        """The sample augmented, and the features of it where D looks through a frozen network."""
        view = self.game.task.augmented(sample, self.augment)
        if not isinstance(self.discriminator, Perceiving):
            return view
        with self.game.low_precision():
            return Sample(self.discriminator.perceive(*view.parts), view.condition)

    def judge_seen(self, *views: Sample) -> tuple[Tensor, ...]:
        """D's float32 judgements of what `see` gave, all views in one pass."""
        parts = [joined(column) for column in zip(*(view.parts for view in views), strict=True)]
        conditions = [view.condition for view in views if view.condition is not None]
        judge = self.discriminator.judge if isinstance(self.discriminator, Perceiving) else self.discriminator
        with self.game.low_precision():
            logits: Tensor = judge(*parts, y=torch.cat(conditions) if conditions else None)
        return torch.split(logits.float(), [len(view) for view in views])

    def judge(self, *samples: Sample) -> tuple[Tensor, ...]:
        """D's judgements of samples."""
        return self.judge_seen(*(self.see(sample) for sample in samples))

    def judge_apart(self, views: tuple[Sample, Sample], first: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """D's judgements of both views, and those of every `penalty_stride`th pair from number `first` on apart.

        These go through D in a pass of their own, so that a second derivative of them is one through that pass alone.
        Of the generated samples only those that are partners are judged, in the order in which they come.
        """
        device, pairs = views[0].parts[0].device, range(len(views[0]))
        chosen = pairs[first :: self.game.penalty_stride]
        orders = [
            torch.tensor([*chosen, *(i for i in judged if i not in chosen)], device=device, dtype=torch.int64)
            for judged in (pairs, partners(len(pairs), self.game.partner_stride, first))
        ]
        apart = zip(*(order.tensor_split([len(chosen)]) for order in orders), strict=True)
        passes = [self.judge_seen(*(view.rows(rows) for view, rows in zip(views, both, strict=True))) for both in apart]
        sides = zip(zip(*passes, strict=True), orders, strict=True)
        return tuple(torch.cat(side)[order.argsort()] for side, order in sides), passes[0]

    def layers(self) -> tuple[list[Tensor], list[Tensor]]:
        """What each layer of D makes of the real and of the generated sample; none of one that does not tell.

        Of one that looks through a frozen network it is what that perceives, which is known already.
        """
        if isinstance(self.discriminator, Perceiving):
            return list(self.real_seen.parts), list(self.fake_seen.parts)
        if not isinstance(self.discriminator, Layered):
            return [], []
        with self.game.low_precision():
            with torch.no_grad():
                real = self.discriminator.maps(*self.real_seen.parts)
            return real, self.discriminator.maps(*self.fake_seen.parts)

    def in_full_precision(self) -> "Bout":
        """The same pair before a D that computes in float32."""
        return replace(self, game=replace(self.game, low_precision=nullcontext))


def partners(count: int, stride: int, first: int = 0) -> range:
    """The numbers of every `stride`th of so many samples, in step with number `first`; one at least."""
    return range(count)[first % stride :: stride] or range(count)[:1]


class Bouts:
    """The bouts of a step, one for each part of the batch that goes through the networks at once.

    If that is the whole batch, as it is while memory suffices, both players meet in one and the same bout: a pass
    through the generator and a look through D's frozen network serve both updates. For that the generator's graph stays
    in memory while D learns. Parts are made anew for each player, with the same random numbers and so with the same
    samples.
    """

    def __init__(self, game: Game, generator: nn.Module, discriminator: nn.Module, batch: int) -> None:
        self.game = game
        self.generator = generator
        self.discriminator = discriminator
        self.batch = batch
        self.whole: Bout | None = None

    def __call__(self, batch: Any, random: Random, *, for_generator: bool) -> Bout:
        """The bout of a part of the batch."""
        if len(batch) < self.batch:
            self.whole = None  # there may be no memory for it
            with torch.set_grad_enabled(for_generator):
                return self.make(batch, random)
        if self.whole is None:
            self.whole = self.make(batch, random)
        return self.whole

    def make(self, batch: Any, random: Random) -> Bout:
        """Real and generated samples, and what they are augmented by."""
        game = self.game
        real, fake = made_pair(game, self.generator, batch, random)
        shape = real.differentiable[0].shape[1:]
        augment = game.augmentation.draw(random.at("augment"), shape, game.augment_p)
        return Bout(game, self.discriminator, real, fake, augment)


def made_pair(game: Game, generator: nn.Module, batch: Any, random: Random) -> tuple[Sample, Sample]:
    """Real and generated samples, the latter in float32 whatever the generator computed in."""
    real = game.task.real(batch, random)
    with game.low_precision():
        fake = game.task.fake(generator, batch, random)
    return real, fake.with_differentiable([part.float() for part in fake.differentiable])
