"""Molecules as graphs that are drawn at once, like those of a set: MolGAN (De Cao & Kipf 2018), kept from collapsing.

MolGAN's generator finds a few molecules that pass, and draws these again and again (10 % of its samples on QM9 are
different). What is otherwise here:

- Before the game the generator learns to draw each molecule of the set out of a code of its own, as a variational
  autoencoder (Kingma & Welling 2014; for graphs GraphVAE, Simonovsky & Komodakis 2018, here in the order of canonical
  SMILES, so that no graphs need to be matched). It goes on with that in the game (as in VAE/GAN, Larsen et al. 2016):
  what can draw all of them cannot draw a few only.
- Pairs of a real and a generated molecule are judged, with R1 and R2, in place of WGAN-GP and minibatch discrimination.
- The discriminator sees graphs as discrete as real ones, with the gradient straight through.

A property that is asked for has no derivative; a network learns to foresee it, and the generator climbs that (MolGAN,
section 3.2).
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from sparring.adversarial.augment import Transformation
from sparring.adversarial.objectives import Objective
from sparring.config import Settings, given
from sparring.data.molecule_graphs import GraphBatch, GraphSet
from sparring.evaluation.judgement import Result
from sparring.metrics.estimate import share
from sparring.networks import graphs
from sparring.networks.graphs import ends_of
from sparring.randomness import Random
from sparring.ranks import ALONE, Ranks
from sparring.tasks.building import raw, straight_through
from sparring.tasks.chemical import JUDGED_SEED, Chemical
from sparring.tasks.graphs import BONDS, Blueprint, logits_of, sample
from sparring.tasks.sample import Sample, View

PRIOR = 0.5
"""Weight of the prior against the likelihood (beta of Higgins et al. 2017)."""


class MoleculeGraphs(Chemical):
    """The task of drawing molecules like those of a set.

    Raises: SettingError as `Chemical.ask`.
    """

    data: GraphSet
    shown: GraphSet
    held_out: GraphSet | None

    def __init__(self, settings: Settings, data: GraphSet, ranks: Ranks = ALONE) -> None:
        self.settings = settings
        self.data = data
        self.shown, self.held_out = data.hold_out(settings.held_out)
        self.ask()
        self.blueprint = Blueprint(
            list(data.atoms),
            room_of(data),
            data.shape[0],
            given(settings.z_dim),
            settings.width,
            settings.depth,
            given(settings.judge_width),
            given(settings.judge_depth),
            self.asked is not None,
        )

    def players(self) -> tuple[nn.Module, nn.Module]:
        """New generator and discriminator."""
        return self.blueprint.generator(), self.blueprint.judge()

    def lesson(self, generator: nn.Module, batch: GraphBatch, random: Random) -> View:
        """How well the generator draws real molecules out of their codes, and foresees their worth."""
        assert isinstance(generator, graphs.Generator)
        real = self.real(batch, random)
        code, prior = self.coded(generator, batch, random)
        beside = {"evidence": self.evidence(generator(code), batch, prior)}
        if self.asked is not None:
            beside["surprise"] = self.surprise(generator, real, self.worth_of(batch))
        taught = Sample(real.parts, smooth=(), beside=beside)
        return View.before_the_game(taught, taught)

    def real(self, batch: GraphBatch, random: Random) -> Sample:
        """The molecules one-hot: nodes float (N, M, T) and bonds (N, M, M, B)."""
        nodes = F.one_hot(batch.nodes, len(self.blueprint.room)).float()
        return Sample((nodes, F.one_hot(batch.bonds, BONDS).float()), smooth=(0, 1))

    def fake(self, generator: nn.Module, batch: GraphBatch, random: Random) -> Sample:
        """As many new molecules, one-hot; beside them how well real ones are drawn, and what is known of worth."""
        assert isinstance(generator, graphs.Generator)
        code, prior = self.coded(generator, batch, random)
        nodes, pairs = generator(torch.cat([random.normal("z", generator.z_dim), code]))
        count = len(batch)
        beside = {"evidence": self.evidence((nodes[count:], pairs[count:]), batch, prior)}
        made = Sample(straight_through(nodes[:count], pairs[:count]), smooth=(0, 1))
        if self.asked is not None:
            beside |= self.foresight(generator, self.real(batch, random), made, batch)
        return replace(made, beside=beside)

    def coded(self, generator: graphs.Generator, batch: GraphBatch, random: Random) -> tuple[Tensor, Tensor]:
        """A code (N, z_dim) of each molecule, and how far what it is drawn from is from the prior (N,), in nats."""
        nodes, _ = self.real(batch, random).parts
        mean, spread = generator.encode(nodes, F.one_hot(pairs_of(batch.bonds), BONDS).float())
        prior = ((mean.square() + (2 * spread).exp() - 1) / 2 - spread).sum(1)
        return mean + spread.exp() * random.normal("code", generator.z_dim), prior

    def evidence(self, logits: tuple[Tensor, Tensor], batch: GraphBatch, prior: Tensor) -> Tensor:
        """Nats an atom (N,) that a molecule is from being drawn out of its code, and the code from the prior."""
        wanted = batch.nodes, pairs_of(batch.bonds)
        each = (
            F.cross_entropy(of.flatten(0, 1), kinds.flatten(), reduction="none").view(kinds.shape).sum(1)
            for of, kinds in zip(logits, wanted, strict=True)
        )
        return (sum(each) + PRIOR * prior) / self.blueprint.atoms

    def foresight(
        self, generator: graphs.Generator, real: Sample, made: Sample, batch: GraphBatch
    ) -> dict[str, Tensor]:
        """`foreseen`: the worth of new molecules as the generator's own network sees it, which is not to learn from
        that; `surprise`: how far off it is of these and of real ones; `worth`: what they are worth; each (N,)."""
        assert generator.worth is not None, "it is there where something is asked for"
        frozen = {name: weight.detach() for name, weight in generator.worth.named_parameters()}
        foreseen: Tensor = functional_call(generator.worth, frozen, made.parts).sigmoid()
        nodes, bonds = (part.detach().argmax(-1) for part in made.parts)
        worth = self.worth(self.blueprint.smiles(nodes, bonds), nodes.device)
        surprise = self.surprise(generator, real, self.worth_of(batch)) + self.surprise(
            generator, made.detached(), worth
        )
        return {"foreseen": foreseen, "surprise": surprise, "worth": worth}

    def surprise(self, generator: graphs.Generator, sample: Sample, worth: Tensor) -> Tensor:
        """Squared error (N,) of the worth that is foreseen, in units of its usual deviation."""
        assert generator.worth is not None, "it is there where something is asked for"
        foreseen: Tensor = generator.worth(*sample.parts).sigmoid()
        return ((foreseen - worth) / self.spread).square()

    def worth_of(self, batch: GraphBatch) -> Tensor:
        """What real molecules are worth (N,)."""
        return self.worth([self.data.texts[number] for number in batch.numbers.tolist()], batch.nodes.device)

    def augmented(self, sample: Sample, transformation: Transformation) -> Sample:
        """As it is: there is no change of a molecule that leaves it as real as before, but another order, which means
        nothing to the discriminator."""
        return sample

    def generator_loss(self, objective: Objective, view: View) -> Tensor:
        """The objective: its gradient comes through the graph."""
        return objective.generator(view.real_logits, view.fake_logits)

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        """Of the generator: the evidence of real molecules, the property that is asked for, how well it is foreseen."""
        if player != "generator":
            return {}
        beside = view.fake.beside
        weight = given(self.settings.likelihood_weight) if view.judged else 1.0
        losses = {"evidence": (weight, beside["evidence"].mean())}
        if "surprise" in beside:
            losses["surprise"] = 1.0, beside["surprise"].mean()
        if "foreseen" in beside:
            above = (beside["foreseen"].mean() - self.usual) / self.spread
            losses["foreseen"] = given(self.settings.reward_weight), -above
            losses["reward"] = 0.0, beside["worth"].mean()
        return losses

    def written(self, generator: nn.Module, n: int, seed: int) -> list[str]:
        """The first molecules of a seed, as `sparring sample` gives them: canonical SMILES."""
        return self.blueprint.smiles(*sample(generator, self.blueprint, n, seed))

    def of_the_generator(self, generator: nn.Module) -> Mapping[str, Result]:
        """`raw_validity`: how many of its graphs are molecules as they are, before they are built within the room of
        their atoms."""
        count = self.settings.quality_samples
        drawn = logits_of(generator, self.blueprint, count, JUDGED_SEED)
        valid = sum(bool(text) for logits in drawn for text in self.blueprint.smiles(*raw(*logits)))
        return {"raw_validity": Result(share(valid / count, count))}

    def describe(self) -> dict[str, object]:
        """The blueprint, as JSON values."""
        return self.blueprint.describe()


def pairs_of(bonds: Tensor) -> Tensor:
    """Kinds int64 (N, P) of the pairs of bonds (N, M, M)."""
    first, second = ends_of(bonds.shape[1])
    return bonds[:, first, second]


def room_of(data: GraphSet) -> list[float]:
    """Electron pairs that an atom of each kind shares at most in a set; first that of no atom, 0."""
    shared = data.bonds.cpu().sum(2, dtype=torch.int64)
    nodes = data.nodes.cpu()
    return [0.0, *(float(shared[nodes == kind].max()) for kind in range(1, len(data.atoms) + 1))]
