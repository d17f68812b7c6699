"""What tasks have in common whose samples carry the gradient of the game, and that want nothing else of the players."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sparring.adversarial.augment import Transformation
from sparring.adversarial.objectives import Objective
from sparring.randomness import Random
from sparring.tasks.sample import Sample, View


class PlainGame(ABC):
    """The game alone; a task that wants more says so in place of what is here."""

    @abstractmethod
    def real(self, batch: Any, random: Random) -> Sample:
        """The batch as D sees it."""

    @abstractmethod
    def fake(self, generator: nn.Module, batch: Any, random: Random) -> Sample:
        """What G makes for this batch."""

    def lesson(self, generator: nn.Module, batch: Any, random: Random) -> View:
        """The same pair as in the game."""
        return View.before_the_game(self.real(batch, random), self.fake(generator, batch, random))

    def augmented(self, sample: Sample, transformation: Transformation) -> Sample:
        """All pictures of a sample transformed alike: the frames of a clip move as before."""
        return sample.with_differentiable([transformation(part) for part in sample.differentiable])

    def generator_loss(self, objective: Objective, view: View) -> Tensor:
        """The objective: samples carry its gradient."""
        return objective.generator(view.real_logits, view.fake_logits)

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        """None besides the game itself."""
        return {}
