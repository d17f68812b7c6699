"""A game in progress: the two players, the averaged generator, and where they are in the budget."""

import copy
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from sparring import config
from sparring.adversarial import ema
from sparring.adversarial.augment import AUGMENTATIONS, AdaController
from sparring.adversarial.game import Game
from sparring.adversarial.muon import Muon
from sparring.adversarial.objectives import OBJECTIVES
from sparring.adversarial.penalties import penalty
from sparring.adversarial.player import MicroBatch, Player, with_batch_statistics
from sparring.adversarial.probe import probe
from sparring.adversarial.step import step, supervised_step
from sparring.config import Settings
from sparring.data import Samples
from sparring.data.pictures import Some
from sparring.errors import RunError, SettingError
from sparring.randomness import Random, key
from sparring.ranks import ALONE, Ranks
from sparring.tasks import Opening, Task
from sparring.training.schedule import cosine

REHEARSED_STEPS = 4

ALL_THE_SAME = 1e-6
"""Mean distance of pictures below which they have no variety that others could be compared with."""

Groups = dict[str, dict[str, Tensor]]
"""Tensors by group and name: what a checkpoint holds, a file for each group."""


@dataclass
class State:
    """Where a run is; with the tensors, all that a resumed run needs."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    attempt: int = 0
    micro_batch: int = 0
    ranks: int = 1
    augment: dict[str, float] = field(default_factory=dict)
    quality: dict[str, Any] | None = None
    best: float | None = None
    improved_images: int = 0
    evaluated_images: int = -1
    kept: list[int] = field(default_factory=list)
    guard: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings that the guard changed."""
    begun_images: int = -1
    """Images shown when the game began, and below the seconds; negative before: once begun it goes on, also where a
    larger budget puts its beginning later."""
    begun_seconds: float = 0.0
    learned: bool = False
    """Whether the guard took the run back from the game to before it: it begins again at once, from what the generator
    had learned when it began first."""
    taken_back_to: int = -1
    """The step that the guard last took the run back to."""
    best_step: int | None = None
    """The step of the checkpoint with the smallest Frechet distance so far, which is kept too."""

    @property
    def keeps(self) -> set[int]:
        """Steps whose checkpoints must not go."""
        return {*self.kept, *([] if self.best_step is None else [self.best_step])}


class Match:
    """Two players and the state of their game; `play` is one step of it, in which each rank has its part of the batch.

    Raises: SettingError if the batch cannot be shared out evenly, or at all because of layers with its statistics.
    """

    def __init__(
        self, settings: Settings, data: Samples, task: Task, ranks: Ranks = ALONE, held_out: Samples | None = None
    ) -> None:
        self.settings = settings
        self.data = data
        self.held_out = held_out
        self.ranks = ranks
        self.part = ranks.part(settings.batch)
        self.device = torch.device(settings.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(settings.seed, "weights"))
            generator, discriminator = (player.to(self.device) for player in task.players())
        self.micro_batch = MicroBatch(
            min(settings.micro_batch, self.part), whole=with_batch_statistics(generator, discriminator)
        )
        apart = settings.penalty_stride > 1 or settings.partner_stride > 1
        if self.micro_batch.whole and (apart or self.micro_batch.size < settings.batch):
            raise SettingError(
                f"{self.micro_batch.whole} normalises by statistics of the batch, of which it would see a part at a "
                "time: leave out micro_batch, penalty_stride and partner_stride and train with one process, or take a "
                "normalisation of each sample by itself"
            )
        self.average = copy.deepcopy(generator).requires_grad_(False).eval()
        self.generator = self._player(generator, taught=True)
        self.discriminator = self._player(discriminator)
        self.controller = AdaController(settings.augment_target, settings.augment_images)
        self.state = State()
        self.task = task
        self.game = self._rules()

    def _rules(self) -> Game:
        settings = self.settings
        return Game(
            self.task,
            OBJECTIVES[settings.objective],
            penalty(settings.penalty, settings.penalty_method, settings.penalty_step),
            AUGMENTATIONS[settings.augment],
            partial(low_precision, settings.precision, self.device.type),
        )

    def _player(self, module: nn.Module, *, taught: bool = False) -> Player:
        """A player; taught: whether lessons are its next, which may have an optimiser of their own."""
        return Player(module, self._optimiser(module, taught=taught), self.micro_batch, self.ranks.mean)

    def _optimiser(self, module: nn.Module, *, taught: bool) -> torch.optim.Optimizer:
        settings, fused = self.settings, self.device.type != "mps"
        if taught and settings.supervised_optimiser == "muon":
            precision = torch.bfloat16 if settings.precision == "bf16" else torch.float32
            return Muon(module, settings.learning_rate, fused=fused, precision=precision)
        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        return torch.optim.Adam(learning, lr=settings.learning_rate, fused=fused)

    @property
    def progress(self) -> float:
        """How much of the budget is used: 1 is all of it."""
        return self._share(self.state.images, self.state.seconds)

    def _share(self, images: int, seconds: float) -> float:
        if self.settings.minutes is not None:
            return seconds / (60 * self.settings.minutes)
        assert self.settings.images is not None, "complete settings have one of the two"
        return images / self.settings.images

    @property
    def beginning(self) -> float:
        """How much of the budget was used when the game began, or is to be when it does."""
        state = self.state
        return self._share(state.begun_images, state.begun_seconds) if self.begun else self.settings.supervised

    @property
    def begun(self) -> bool:
        """Whether the game has begun."""
        return self.state.begun_images >= 0

    def schedule(self) -> dict[str, float]:
        """The settings that change on the way, as they are now; counted in images, or in time with `minutes`.

        Where the time before the game has a learning rate of its own, each of the two has its schedule to itself.
        """
        settings, progress = self.settings, self.progress
        first, last = settings.learning_rate, settings.learning_rate_final
        if settings.supervised_learning_rate is None:
            rate = cosine(first, last, progress)
        elif self.playing:
            rate = cosine(first, last, (progress - self.beginning) / (1 - self.beginning))
        else:
            supervised = settings.supervised_learning_rate
            rate = cosine(supervised, supervised * last / first, progress / (settings.supervised or 1.0))
        return {
            "learning_rate": rate,
            "beta2": cosine(settings.beta2, settings.beta2_final, progress),
            "penalty_strength": cosine(settings.penalty_strength, settings.penalty_strength_final, progress),
            "augment_p": {"none": 0.0, "diffaugment": 1.0, "ada": self.controller.p}[settings.augment],
            "ema_half_life": ema.half_life(settings.ema_half_life, settings.ema_ramp, self.state.images),
        }

    @property
    def playing(self) -> bool:
        """Whether the game is on; before it, or without one, the generator learns from the task's losses alone."""
        over = self.begun or self.state.learned or self.progress >= self.settings.supervised
        return self.settings.adversarial and over

    def begin(self) -> None:
        """Begins the game, with a new optimiser where the lessons had one, and a schedule, of their own."""
        self.state.begun_images, self.state.begun_seconds = self.state.images, self.state.seconds
        if isinstance(self.task, Opening):
            self.task.open_game(self.average, self.discriminator.module)
        if self.settings.supervised_learning_rate is not None:
            self.generator.optimizer = self._optimiser(self.generator.module, taught=False)

    def take_over(self, weights: Mapping[str, Tensor]) -> None:
        """Goes on with other weights of the generator, also as its average."""
        for module in (self.generator.module, self.average):
            module.load_state_dict(dict(weights))

    def play(self) -> dict[str, Tensor]:
        """One step of the game, or before it, after which the averaged generator and the augmentation follow."""
        settings, state, now = self.settings, self.state, self.schedule()
        batch, random = self._batch(self.data), self._random()
        if self.playing and not self.begun:
            self.begin()
        waiting = self.playing and self.progress < self.beginning + (settings.head_start or 0.0)
        for player in (self.generator, self.discriminator):
            for group in player.optimizer.param_groups:
                group["lr"], group["betas"] = now["learning_rate"], (settings.beta1, now["beta2"])
        if settings.judge_learning_rate is not None:
            for group in self.discriminator.optimizer.param_groups:
                group["lr"] *= settings.judge_learning_rate / settings.learning_rate
        if waiting:
            for group in self.generator.optimizer.param_groups:
                group["lr"] = 0.0
        penalised = state.step % settings.penalty_interval == 0 and now["penalty_strength"] > 0
        game = replace(
            self.game,
            penalty=self.game.penalty if penalised else None,
            penalty_strength=now["penalty_strength"] * settings.penalty_interval,
            penalty_stride=settings.penalty_stride,
            partner_stride=settings.partner_stride,
            augment_p=now["augment_p"],
        )
        if self.playing:
            terms = step(game, self.generator, self.discriminator, batch, random)
        else:
            terms = supervised_step(game, self.generator, batch, random)
        state.step += 1
        state.images += settings.batch
        average_life = ema.half_life(settings.ema_half_life, settings.ema_ramp, state.images)
        ema.update(self.average, self.generator.module, 0.5 ** (settings.batch / average_life))
        if settings.augment == "ada" and "sign" in terms:
            self.controller.update(terms["sign"], settings.batch)
        return terms

    def _batch(self, data: Samples) -> Some:
        """This rank's part of the batch whose turn it is."""
        settings = self.settings
        return data.draw(settings.seed, self.state.images, settings.batch, self.ranks.rank, self.ranks.count)

    def _random(self) -> Random:
        state, start = self.state, self.ranks.rank * self.part
        return Random(self.settings.seed, state.step, self.part, start, state.attempt, device=self.device)

    def probe(self) -> dict[str, float]:
        """How the game stands (see `adversarial/probe.py`), the same on all ranks; everything stays as it was.

        diversity: the spread of generated samples over that of real ones, where these are not all the same.
        """
        game = replace(self.game, augment_p=self.schedule()["augment_p"])
        unseen = None if self.held_out is None else self._batch(self.held_out)
        batch = self._batch(self._at_hand)
        found = probe(game, self.generator, self.discriminator, batch, unseen, self._random())
        self.ranks.mean(list(found.values()))
        standing = {name: float(value) for name, value in found.items()}
        real, fake = standing.pop("spread_real"), standing.pop("spread_fake")
        return standing | ({"diversity": fake / real} if real > ALL_THE_SAME else {})

    @cached_property
    def _at_hand(self) -> Samples:
        """What can be looked at out of turn, as a stream cannot."""
        return self.data.sample()

    def change(self, changes: Mapping[str, Any]) -> None:
        """Plays by other settings from now on: rates, penalty and augmentation may change, networks may not.

        Raises: SettingError if they do not go together.
        """
        self.state.changes |= changes
        self.settings = config.complete(self.settings.model_dump() | self.state.changes)
        self.game = self._rules()
        self.controller.target, self.controller.images = self.settings.augment_target, self.settings.augment_images

    def rehearse(self) -> float:
        """Images per second, measured on copies of the players in a few steps; everything stays as it was.

        Memory that does not suffice shows here, before anything is written, and is answered by smaller micro-batches.
        """
        before = self.settings.supervised if self.settings.adversarial else 1.0
        shares = {False: before, True: 1 - before}
        return 1 / sum(share / self._rehearse(playing=on) for on, share in shares.items() if share > 0)

    def _rehearse(self, *, playing: bool) -> float:
        double = copy.copy(self)
        double.settings = self.settings.model_copy(update={"adversarial": playing, "supervised": 0.0})
        double.state = replace(self.state)
        double.average = copy.deepcopy(self.average)
        double.controller = copy.deepcopy(self.controller)
        double.generator = self._player(copy.deepcopy(self.generator.module), taught=True)
        double.discriminator = self._player(copy.deepcopy(self.discriminator.module))
        float(double.play()["generator_loss"])
        start = time.perf_counter()
        for _ in range(REHEARSED_STEPS):
            terms = double.play()
        float(terms["generator_loss"])
        return REHEARSED_STEPS * self.settings.batch / (time.perf_counter() - start)

    def is_sound(self) -> bool:
        """Whether all weights are finite numbers."""
        players = (self.generator.module, self.discriminator.module)
        norms = torch._foreach_norm([parameter.detach() for player in players for parameter in player.parameters()])
        return bool(torch.stack(norms).isfinite().all())

    def tensors(self) -> Groups:
        """All weights and the memory of the optimisers."""
        return {
            "generator": self.generator.module.state_dict(),
            "average": self.average.state_dict(),
            "discriminator": self.discriminator.module.state_dict(),
            "generator-optimizer": optimizer_tensors(self.generator),
            "discriminator-optimizer": optimizer_tensors(self.discriminator),
        }

    def snapshot(self) -> dict[str, Any]:
        """The state beside the tensors, as JSON values."""
        return asdict(
            replace(
                self.state, micro_batch=self.micro_batch.size, ranks=self.ranks.count, augment=self.controller.state()
            )
        )

    def restore(self, groups: Groups, state: Mapping[str, Any]) -> None:
        """Goes on from a checkpoint.

        Raises: RunError if it is of other networks.
        """
        self.start_from(groups)
        self.state = State(**{name: value for name, value in state.items() if name in State.__dataclass_fields__})
        self.generator.optimizer = self._optimiser(self.generator.module, taught=not self.begun)
        load_optimizer_tensors(self.generator, groups["generator-optimizer"])
        load_optimizer_tensors(self.discriminator, groups["discriminator-optimizer"])
        # A smaller one than there was memory for stays; what is small because many ranks shared the batch does not.
        if self.state.micro_batch < min(self.settings.micro_batch, self.settings.batch // self.state.ranks):
            self.micro_batch.size = min(self.state.micro_batch, self.part)
        self.controller.restore(self.state.augment)
        self.change({})

    def restore_discriminator(self, groups: Groups) -> None:
        """Takes the discriminator and its optimiser's memory from a checkpoint of this run, and nothing else."""
        self.discriminator.module.load_state_dict(groups["discriminator"])
        load_optimizer_tensors(self.discriminator, groups["discriminator-optimizer"])

    def start_from(self, groups: Groups) -> None:
        """Takes over the weights of a checkpoint, and nothing else.

        Raises: RunError if it is of other networks.
        """
        try:
            self.generator.module.load_state_dict(groups["generator"])
            self.average.load_state_dict(groups["average"])
            self.discriminator.module.load_state_dict(groups["discriminator"])
        except (KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split()[:40])
            raise RunError(f"these weights do not fit the networks of this run: {reason}") from None


def low_precision(precision: str, device: str) -> AbstractContextManager[Any]:
    """The context in which the players run."""
    return torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()


def optimizer_tensors(player: Player) -> dict[str, Tensor]:
    """The optimiser's memory by the names of the parameters."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in player.module.named_parameters()}
    return {
        f"{names[parameter]}.{key}": value
        for parameter, memory in player.optimizer.state.items()
        for key, value in memory.items()
    }


def load_optimizer_tensors(player: Player, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    parameters = dict(player.module.named_parameters())
    player.optimizer.state.clear()
    for name, value in tensors.items():
        owner, key = name.rsplit(".", 1)
        parameter = parameters[owner]
        # Fused Adam goes through memory in order, so this must lie as the parameter does.
        own = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value.clone()
        player.optimizer.state[parameter][key] = own
