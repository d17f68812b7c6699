"""Molecules as sequences of SELFIES symbols, like those of a set, and if asked for with a property to their credit.

The reward of a whole molecule goes to each of its symbols, beside what the discriminator thinks of them (as in ORGAN,
Guimaraes et al. 2017, eq. 7, where the two are mixed, and MolGAN, De Cao & Kipf 2018, section 3.2).
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from sparring.adversarial.objectives import Objective
from sparring.config import Settings, given
from sparring.data.sequences import Sequences, Tokens
from sparring.evaluation.judgement import Result
from sparring.randomness import Random
from sparring.ranks import ALONE, Ranks
from sparring.tasks.chemical import Chemical
from sparring.tasks.sample import Sample, View
from sparring.tasks.sequences import Sequential, sample


class Molecules(Chemical, Sequential):
    """The task of writing molecules like those of a set.

    Raises: SettingError as `Chemical.ask`.
    """

    data: Sequences
    shown: Sequences
    held_out: Sequences | None

    def __init__(self, settings: Settings, data: Sequences, ranks: Ranks = ALONE) -> None:
        super().__init__(settings, data, ranks)
        self.ask()

    def written(self, generator: nn.Module, n: int, seed: int) -> list[str]:
        """The first molecules of a seed, as `sparring sample` gives them: canonical SMILES."""
        return self.read(sample(generator, self.blueprint, n, seed))

    def of_the_generator(self, generator: nn.Module) -> Mapping[str, Result]:
        """How well it foresees symbols."""
        return {"perplexity": self.perplexity(generator)}

    def read(self, tokens: Tensor) -> list[str]:
        """Canonical SMILES of sequences (N, longest); empty where one is no molecule."""
        decode = self.data.vocabulary.decode
        return [decode(sequence) for sequence in tokens.tolist()]

    def fake(self, generator: nn.Module, batch: Tokens, random: Random) -> Sample:
        """As for all sequences; beside them what each molecule is worth (N,), 0 to 1, if something is asked for."""
        made = super().fake(generator, batch, random)
        if self.asked is None:
            return made
        tokens = made.beside["tokens"]
        return replace(made, beside={**made.beside, "worth": self.worth(self.read(tokens), tokens.device)})

    def reward(self, objective: Objective, view: View) -> Tensor:
        """What each symbol earned (N, longest): to the judgements is added how far the molecule is worth more than
        training molecules usually are, in their deviations."""
        judged = super().reward(objective, view)
        if self.asked is None:
            return judged
        above = (view.fake.beside["worth"] - self.usual) / self.spread
        return judged + given(self.settings.reward_weight) * above[:, None]

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        """As for all sequences; the mean reward is told, and is in the loss already."""
        losses = super().losses(player, view)
        if player != "generator" or "worth" not in view.fake.beside:
            return losses
        return {**losses, "reward": (0.0, view.fake.beside["worth"].mean())}

    def describe(self) -> dict[str, object]:
        """The blueprint, as JSON values."""
        return self.blueprint.describe()
