"""The applications. A task says what the players are given and what it wants of them; the engine does the rest."""

from collections.abc import Mapping
from typing import Any, Protocol

from PIL.Image import Image
from torch import Tensor, nn

from sparring.adversarial.augment import Transformation
from sparring.evaluation.judgement import Evaluation
from sparring.randomness import Random
from sparring.tasks.sample import Sample, View

__all__ = ["Sample", "Task", "View"]


class Task(Protocol):
    """What an application tells the engine."""

    def players(self) -> tuple[nn.Module, nn.Module]:
        """New generator and discriminator for the shape of the data, weights drawn from torch's global generator."""

    def real(self, batch: Any, random: Random) -> Sample:
        """The batch as D sees it."""

    def fake(self, generator: nn.Module, batch: Any, random: Random) -> Sample:
        """What G makes for this batch, with the same parts and condition as the real sample."""

    def augmented(self, sample: Sample, transformation: Transformation) -> Sample:
        """The sample with the parts that are pictures transformed, all of a sample alike."""

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        """Further losses of `player` (`generator` or `discriminator`) by name, each with its weight."""

    def preview(self, generator: nn.Module) -> Tensor:
        """Pictures that show how far the generator is, always from the same random numbers: uint8 (N, C, H, W)."""

    def illustrations(self, generator: nn.Module) -> Mapping[str, Image]:
        """Further pictures for the report by name, made when the run ends."""

    def judge(self, generator: nn.Module) -> Evaluation:
        """How good the generator is, by a protocol that is the same throughout the run.

        Raises: MetricError if there is too little to compare.
        """

    def describe(self) -> dict[str, Any]:
        """What `Model` must know to use the generator alone: JSON values, stored beside the weights."""
