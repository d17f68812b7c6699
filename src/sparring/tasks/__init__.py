"""The applications. A task says what the players are given and what it wants of them; the engine does the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from PIL.Image import Image
from torch import Tensor, nn

from sparring.adversarial.augment import Transformation
from sparring.adversarial.objectives import Objective
from sparring.evaluation.judgement import Evaluation
from sparring.randomness import Random
from sparring.tasks.sample import Sample, View

__all__ = ["Footage", "Opening", "Preview", "Sample", "Task", "Tempered", "View"]


@dataclass(frozen=True)
class Footage:
    """Clips uint8 (N, T, C, H, W), and how many of their frames a second are shown."""

    clips: Tensor
    rate: float


Preview = Tensor | Footage | Sequence[str]
"""What shows how far a generator is: pictures uint8 (N, C, H, W), clips, or texts."""


class Task(Protocol):
    """What an application tells the engine."""

    def players(self) -> tuple[nn.Module, nn.Module]:
        """New generator and discriminator for the shape of the data, weights drawn from torch's global generator."""

    def real(self, batch: Any, random: Random) -> Sample:
        """The batch as D sees it."""

    def fake(self, generator: nn.Module, batch: Any, random: Random) -> Sample:
        """What G makes for this batch, with the same parts and condition as the real sample."""

    def lesson(self, generator: nn.Module, batch: Any, random: Random) -> View:
        """What the generator learns from before the game, when nobody judges."""

    def augmented(self, sample: Sample, transformation: Transformation) -> Sample:
        """The sample with the parts that are pictures transformed, all of a sample alike."""

    def generator_loss(self, objective: Objective, view: View) -> Tensor:
        """What G descends in the game: the objective, or where no gradient comes through samples, in its place."""

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        """Further losses of `player` (`generator` or `discriminator`) by name, each with its weight."""

    def preview(self, generator: nn.Module) -> Preview:
        """What shows how far the generator is, always from the same random numbers."""

    def illustrations(self, generator: nn.Module) -> Mapping[str, Image]:
        """Further pictures for the report by name, made when the run ends."""

    def judge(self, generator: nn.Module) -> Evaluation:
        """How good the generator is, by a protocol that is the same throughout the run.

        Raises: MetricError if there is too little to compare.
        """

    def describe(self) -> dict[str, Any]:
        """What `Model` must know to use the generator alone: JSON values, stored beside the weights."""


@runtime_checkable
class Opening(Protocol):
    """A task whose discriminator does not begin the game as it was made."""

    def open_game(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Prepares D for the game by what G has learned before it."""


@runtime_checkable
class Tempered(Protocol):
    """A task whose generator trades quality for variety by its temperature, so that one number does not judge it."""

    @property
    def weighed(self) -> int:
        """How many samples `trade_off` makes and judges, at all temperatures together."""

    def writing_time(self, generator: nn.Module, n: int) -> float:
        """About how many seconds n samples take, by the time that a few take; judging them takes little beside it."""

    def trade_off(self, generator: nn.Module) -> Sequence[Mapping[str, Any]]:
        """Quality and variety at several temperatures: points as `sparring.evaluation.curves` draws them."""
