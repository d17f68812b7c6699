"""Molecules as sequences of SELFIES symbols, like those of a set, and if asked for with a property to their credit.

The reward of a whole molecule goes to each of its symbols, beside what the discriminator thinks of them (as in ORGAN,
Guimaraes et al. 2017, eq. 7, where the two are mixed, and MolGAN, De Cao & Kipf 2018, section 3.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from PIL.Image import Image
from torch import Tensor, nn

from sparring.adversarial.objectives import Objective
from sparring.config import Settings, given
from sparring.data.sequences import Sequences, Tokens
from sparring.errors import SettingError
from sparring.evaluation.judgement import Evaluation, Result
from sparring.evaluation.molecule_sides import thinned
from sparring.evaluation.molecules import Space, measure_molecules
from sparring.metrics.estimate import mean_of
from sparring.mosaic import above_others
from sparring.randomness import Random
from sparring.ranks import ALONE, Ranks
from sparring.tasks.sample import Sample, View
from sparring.tasks.sequences import Sequential, sample

if TYPE_CHECKING:
    from sparring.chemistry.rewards import Reward

PREVIEWED, SHOWN = 16, 8
"""Molecules on a preview, and above their nearest training molecules."""

MEASURED = 1000
"""Training molecules whose rewards say what is usual."""

LEAST_SPREAD = 0.1
"""Deviation that rewards are taken to have at least, so that a property that next to none has does not outweigh all."""

JUDGED_SEED = 2**63 - 1
"""Evaluation has seeds of its own, so that what is chosen by it is not what a user then samples."""


class Molecules(Sequential):
    """The task of writing molecules like those of a set.

    Raises: SettingError if a reward is asked for that is not there, or that the training molecules cannot be given, or
    if quality is to be measured through ChemNet and its package is not installed.
    """

    def __init__(self, settings: Settings, data: Sequences, ranks: Ranks = ALONE) -> None:
        super().__init__(settings, data, ranks)
        from sparring.chemistry import chemnet

        if settings.quality_features == "chemnet" and not chemnet.available():
            raise SettingError(
                "quality_features=chemnet needs fcd_torch, which is not installed: pip install 'sparring[molecules]'"
            )
        self.asked: Reward | None = None
        self.usual, self.spread = 0.0, 1.0
        if settings.optimise is not None:
            from sparring.chemistry.rewards import reward_of

            self.asked = reward_of(settings.optimise)
            known = self.asked(thinned(self.shown.shown_texts(), MEASURED))
            self.usual, self.spread = float(known.mean()), max(float(known.std()), LEAST_SPREAD)

    def written(self, generator: nn.Module, n: int, seed: int) -> list[str]:
        """The first molecules of a seed, as `sparring sample` gives them: canonical SMILES."""
        return self.read(sample(generator, self.blueprint, n, seed))

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
        worth = torch.from_numpy(self.asked(self.read(tokens))).to(tokens.device, torch.float32)
        return replace(made, beside={**made.beside, "worth": worth})

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

    def preview(self, generator: nn.Module) -> Tensor:
        """Drawings of the first molecules of seed 0."""
        from sparring.chemistry.drawing import pictures

        return pictures(self.written(generator, PREVIEWED, seed=0))

    def illustrations(self, generator: nn.Module) -> Mapping[str, Image]:
        """`nearest`: some molecules, and below each the training molecule that is most like it, and how much so."""
        from sparring.chemistry.drawing import pictures
        from sparring.chemistry.neighbours import nearest_training

        made = self.written(generator, SHOWN, seed=0)
        near = nearest_training(made, self.shown.shown_texts())
        legends = [f"Tanimoto {similarity:.2f}" if text else "" for text, similarity in near]
        others = pictures([text for text, _ in near], SHOWN, legends)
        return {"nearest": above_others(pictures(made, SHOWN, [""] * SHOWN), others)}

    def judge(self, generator: nn.Module) -> Evaluation:
        """Molecules of a seed of their own against held-out ones, and new if they are not in the data at all."""
        made = self.written(generator, self.settings.quality_samples, JUDGED_SEED)
        space: Space = "chemnet" if self.settings.quality_features == "chemnet" else "descriptors"
        found = measure_molecules(self.data.texts, self.compared_with, made, through=space, device=self.settings.device)
        metrics = {"perplexity": self.perplexity(generator), **found.metrics}
        if self.asked is not None:
            metrics["reward"] = self.rewarded(made)
        real = {
            "kind": "training data of a run",
            "name": self.data.name,
            "split": "as trained on" if self.held_out is None else "held out in training",
            "count": len(self.compared_with),
            "fingerprint": self.data.fingerprint,
        }
        generated = {"kind": "generator", "name": "in training", "count": len(made), "seed": JUDGED_SEED}
        return replace(found, metrics=metrics, protocol={**found.protocol, "real": real, "generated": generated})

    def rewarded(self, made: Sequence[str]) -> Result:
        """The mean reward of samples, of which one that came before is worth nothing; beside it what is usual."""
        assert self.asked is not None, "there is a reward where there is something to judge by it"
        rewards = self.asked(list(dict.fromkeys(made))).tolist()
        rewards += [0.0] * (len(made) - len(rewards))
        return Result(mean_of(rewards, least=0, most=1), {"real": self.usual})

    @cached_property
    def compared_with(self) -> Sequence[str]:
        """Molecules that were held out; those that are trained on, where none were."""
        return (self.held_out or self.shown).shown_texts()

    def describe(self) -> dict[str, object]:
        """The blueprint, as JSON values."""
        return self.blueprint.describe()
