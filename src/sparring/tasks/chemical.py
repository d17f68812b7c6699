"""What tasks of molecules have in common, however these are written: what is asked of them, drawings, and judgement."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch
from PIL.Image import Image
from torch import Tensor, nn

from sparring.config import Settings
from sparring.errors import SettingError
from sparring.evaluation.judgement import Evaluation, Result
from sparring.evaluation.molecule_sides import thinned
from sparring.evaluation.molecules import Space, measure_molecules
from sparring.metrics.estimate import mean_of
from sparring.mosaic import above_others

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


class Known(Protocol):
    """A set of molecules, in whatever form it is trained on."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def fingerprint(self) -> str:
        """Of its content."""

    @property
    def texts(self) -> Sequence[str]:
        """All as canonical SMILES."""

    def shown_texts(self) -> list[str]:
        """Canonical SMILES of those that are drawn."""


class Chemical:
    """Molecules that a generator is to write.

    asked: the reward besides likeness, if there is one; usual and spread are its mean and deviation over training
    molecules.
    """

    settings: Settings
    data: Known
    shown: Known
    held_out: Known | None
    asked: "Reward | None"

    def ask(self) -> None:
        """Finds out what is asked for, and what training molecules are worth; when the data are there.

        Raises: SettingError if a reward is asked for that is not there, or that the training molecules cannot be given,
        or if quality is to be measured through ChemNet and its package is not installed.
        """
        from sparring.chemistry import chemnet

        settings = self.settings
        if settings.quality_features == "chemnet" and not chemnet.available():
            raise SettingError(
                "quality_features=chemnet needs fcd_torch, which is not installed: pip install 'sparring[molecules]'"
            )
        self.asked = None
        self.usual, self.spread = 0.0, 1.0
        if settings.optimise is not None:
            from sparring.chemistry.rewards import reward_of

            self.asked = reward_of(settings.optimise)
            known = self.asked(thinned(self.shown.shown_texts(), MEASURED))
            self.usual, self.spread = float(known.mean()), max(float(known.std()), LEAST_SPREAD)

    def worth(self, smiles: Sequence[str], device: torch.device) -> Tensor:
        """What molecules are worth (N,), 0 to 1; there is something to ask for."""
        assert self.asked is not None, "there is a reward where there is something to judge by it"
        return torch.from_numpy(self.asked(smiles)).to(device, torch.float32)

    def written(self, generator: nn.Module, n: int, seed: int) -> list[str]:
        """The first molecules of a seed, as `sparring sample` gives them: canonical SMILES."""
        raise NotImplementedError

    def of_the_generator(self, generator: nn.Module) -> Mapping[str, Result]:
        """What is measured of a generator besides its samples."""
        raise NotImplementedError

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
        metrics = {**self.of_the_generator(generator), **found.metrics}
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
