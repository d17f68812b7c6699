"""Pictures from noise: the plain GAN, with or without classes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from sparring.adversarial.augment import mirror
from sparring.config import Settings, form_of, given
from sparring.data import Batch, Data, Pictures, to_bytes, to_floats
from sparring.errors import MetricError, SettingError
from sparring.evaluation.evidence import Evidence
from sparring.evaluation.extraction import features_of, remembered_features
from sparring.evaluation.galleries import Decoded, Drawn, spread
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.measuring import Comparison, measure
from sparring.mosaic import nearest_grid
from sparring.networks import family, projected
from sparring.networks.features import SPACES, Card, FeatureNetwork, open_features, opener
from sparring.randomness import Random, key
from sparring.ranks import ALONE, Ranks
from sparring.tasks.plain_game import PlainGame
from sparring.tasks.sample import Sample

FORWARD = 32
"""Pictures that always go through the generator at once when sampling: kernels sum in another order at another size."""
PREVIEWED = 64
NEIGHBOURS = 3
LOOKED_AT = 256
"""Real pictures at most over which features are standardised for the discriminator."""

MOST_REAL = 5_000
"""Training pictures that samples are compared with in training, at most."""

JUDGED = ("fid", "precision", "recall", "density", "coverage", "copies")
JUDGED_SEED = 2**63 - 1
"""Evaluation has latents of its own, so that what is chosen by them is not what a user then samples."""


class FromNoise:
    """What the blueprints of generators that make something of noise have in common."""

    shape: tuple[int, int, int]
    z_dim: int
    classes: tuple[str, ...]
    class_shares: tuple[float, ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The blueprint that JSON made of `describe()`."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name != "task"
        }
        return cls(**fields)

    def class_number(self, label: int | str) -> int:
        """The number of a class given by number or name.

        Raises: SettingError that lists the classes.
        """
        if not self.classes:
            raise SettingError("this generator knows no classes: train with --set labels=true to ask for one")
        if str(label) in self.classes:
            return self.classes.index(str(label))
        try:
            number = int(label)
        except ValueError:
            number = -1
        if not 0 <= number < len(self.classes):
            listed = ", ".join(self.classes[:20])
            raise SettingError(f"label {label!r}: the classes are 0 to {len(self.classes) - 1}: {listed}")
        return number

    def latents(self, block: int, seed: int) -> tuple[Tensor, Tensor]:
        """What samples FORWARD * block and the next are made from: z (FORWARD, z_dim) and class numbers (FORWARD,).

        Without classes all numbers are 0; with them, classes come as often as in the training data. A generator a block
        rather than a sample, since torch keeps 32 bits of a seed: among a million samples some would be the same.
        """
        generator = torch.Generator().manual_seed(key(seed, "latents", block))
        z = torch.randn(FORWARD, self.z_dim, generator=generator)
        shares = torch.tensor(self.class_shares or (1.0,), dtype=torch.float64).cumsum(0)
        drawn = torch.rand(FORWARD, generator=generator, dtype=torch.float64) * shares[-1]
        return z, torch.searchsorted(shares, drawn, right=True).clamp(max=len(shares) - 1)

    def drawn(self, n: int, seed: int, start: int = 0) -> tuple[Tensor, Tensor]:
        """z (n, z_dim) and class numbers (n,) of samples `start` to `start + n - 1` of a seed.

        Raises: SettingError for a number out of range.
        """
        if n < 1 or start < 0:
            raise SettingError(f"n={n}, start={start}: they should be at least 1, and at least 0")
        first, last = start // FORWARD, -(-(start + n) // FORWARD)
        blocks = [self.latents(block, seed) for block in range(first, last)]
        z, labels = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        offset = start - first * FORWARD
        return z[offset : offset + n], labels[offset : offset + n]

    def condition(self, labels: Tensor) -> Tensor | None:
        """Class numbers (n,) as the generator takes them, float (n, classes); None if it knows no classes."""
        return one_hot(labels, len(self.classes)).float() if self.classes else None

    def inputs(self, z: Tensor, label: int | str | Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What the generator takes: z float32 (n, z_dim), and y (n, classes) if it knows classes.

        label: as `Model.decode` has it.

        Raises: SettingError for z or labels of another shape, with NaN or infinity, or if labels are missing, or given
        to a generator without classes.
        """
        if z.ndim != 2 or not len(z) or z.shape[1] != self.z_dim or not z.isfinite().all():
            raise SettingError(
                f"z {tuple(z.shape)}: this generator takes (n, {self.z_dim}), n at least 1, of finite numbers"
            )
        z = z.detach().float()
        if label is None:
            if self.classes:
                raise SettingError(
                    "this generator knows classes: give decode a label, or one a picture, as labels(n, seed) gives them"
                )
            return z, None
        if isinstance(label, Tensor):
            return z, self.shares_of(len(z), label.detach().cpu())
        return z, self.condition(torch.full((len(z),), self.class_number(label)))

    def shares_of(self, n: int, label: Tensor) -> Tensor:
        """Class numbers (n,) or shares (n, classes) as shares float32 (n, classes).

        Raises: SettingError for another shape, or for numbers that are no classes.
        """
        count = len(self.classes)
        if not count:
            self.class_number(0)
        if label.is_floating_point() and label.shape == (n, count) and label.isfinite().all():
            return label.float()
        if label.shape != (n,) or label.is_floating_point() or not ((label >= 0) & (label < count)).all():
            raise SettingError(
                f"labels {label.dtype} {tuple(label.shape)}: for {n} pictures there should be {n} class numbers from 0 "
                f"to {count - 1}, or shares ({n}, {count})"
            )
        return one_hot(label.long(), count).float()


@dataclass(frozen=True)
class Blueprint(FromNoise):
    """All that is needed to build the generator again and to sample from it; stored as JSON beside the weights."""

    network: str
    shape: tuple[int, int, int]
    z_dim: int
    width: int
    depth: int
    classes: tuple[str, ...] = ()
    class_shares: tuple[float, ...] = ()
    discriminator_features: Mapping[str, str] = field(default_factory=dict)
    """`name`, `digest` and `trained_on` of the frozen network that trained it, whose features flatter it; or empty."""
    discriminator_size: int | None = None
    spectral_norm: bool = False

    def generator(self) -> nn.Module:
        """A new generator, not trained."""
        return family(self.network).generator(
            self.shape, z_dim=self.z_dim, classes=len(self.classes), width=self.width, depth=self.depth
        )

    @property
    def judges(self) -> bool:
        """Whether its discriminator can be built again from what is known of it."""
        return not self.discriminator_features or self.discriminator_features["name"] in SPACES

    def judge(self) -> nn.Module:
        """A new discriminator, not trained, to choose samples by.

        Raises: SettingError if it looks through a network that comes from somebody's own file: a name that stands in
        a file of weights must not open another file.
        """
        if not self.discriminator_features:
            return self.discriminator()
        name = self.discriminator_features["name"]
        if not self.judges:
            raise SettingError(
                f"the discriminator looks through {name}, a file that is not kept: there is no --best-of"
            )
        # What is measured on pictures is part of the weights, which come next.
        return self.looking_through(open_features(name), torch.zeros(1, *self.shape))

    def discriminator(self) -> nn.Module:
        """A new one that learns to see by itself."""
        return family(self.network).discriminator(
            self.shape,
            classes=len(self.classes),
            width=self.width,
            depth=self.depth,
            spectral_norm=self.spectral_norm,
        )

    def looking_through(self, features: FeatureNetwork, pictures: Tensor) -> nn.Module:
        """A new one that looks through a frozen network; pictures float (n, C, H, W): what its maps are measured on."""
        return projected.Discriminator(
            self.shape,
            features=features,
            pictures=pictures,
            side=given(self.discriminator_size),
            classes=len(self.classes),
            spectral_norm=self.spectral_norm,
        )

    def describe(self) -> dict[str, Any]:
        """The values that `from_json` takes."""
        return {"task": "generate", **asdict(self)}


@torch.no_grad()
def sample(
    generator: nn.Module,
    blueprint: Blueprint,
    n: int,
    seed: int,
    label: int | None = None,
    truncation: float = 1.0,
    start: int = 0,
) -> Tensor:
    """The pictures number `start` to `start + n - 1` of a seed, uint8 (n, C, H, W) on the CPU.

    label: number of the class that all are to be of; None draws one for each. truncation: z is multiplied by it; below
    1 samples gather around the mean picture. Without a mapping network that is where no latent of training lay: there
    is less variety, but not always less failure. What has less of both is `best`.

    Picture i always goes through the generator in row i % FORWARD of a batch of FORWARD, so its bytes depend on
    (seed, i) alone and not on how many are asked for.
    """
    first, last = start // FORWARD, -(-(start + n) // FORWARD)
    pictures = [torch.empty(0, *blueprint.shape, dtype=torch.uint8)]
    for block in range(first, last):
        z, labels = blueprint.latents(block, seed)
        if label is not None:
            labels.fill_(label)
        pictures.append(decode(generator, z * truncation, blueprint.condition(labels)))
    offset = start - first * FORWARD
    return torch.cat(pictures)[offset : offset + n]


@dataclass(frozen=True)
class Chosen:
    """What `chosen` gives: `pictures` uint8 (n, C, H, W); `numbers` (n,) of the samples of the seed whose latents they
    are made of, and `labels` (n,), the classes that they are made of, which are not always those of these samples."""

    pictures: Tensor
    numbers: Tensor
    labels: Tensor


@torch.no_grad()
def chosen(
    generator: nn.Module,
    judge: nn.Module,
    blueprint: Blueprint,
    n: int,
    seed: int,
    best_of: int,
    label: int | None = None,
    truncation: float = 1.0,
    start: int = 0,
) -> Chosen:
    """As `sample`, each the one of `best_of` that the discriminator takes to be the most real.

    Picture i is chosen from those whose latents are of samples best_of * i and on. They have the class that sample i
    has, so that no class is preferred. It depends on (seed, best_of, i) alone.

    Source: Azadi et al. 2019 (Discriminator Rejection Sampling, arXiv 1810.06758), with a choice among so many in the
    place of a threshold, which depends on how large the logits are.
    """
    unit = max(1, FORWARD // best_of)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for at in range(start // unit * unit, start + n, unit):
        z, _ = blueprint.drawn(unit * best_of, seed, at * best_of)
        _, labels = blueprint.drawn(unit, seed, at)
        if label is not None:
            labels.fill_(label)
        y = blueprint.condition(labels.repeat_interleave(best_of))
        made = decode(generator, z * truncation, y)
        rows = torch.arange(unit) * best_of + scores(judge, made, y).view(unit, best_of).argmax(1)
        found.append((made[rows], at * best_of + rows, labels))
    offset = start % unit
    return Chosen(*(torch.cat(parts)[offset : offset + n] for parts in zip(*found, strict=True)))


@torch.no_grad()
def scores(judge: nn.Module, pictures: Tensor, y: Tensor | None) -> Tensor:
    """Judgements (n,) of uint8 pictures (n, C, H, W), the mean of all where there are several; on the CPU."""
    device = next(judge.parameters()).device
    found = []
    for start in range(0, len(pictures), FORWARD):
        shown = to_floats(pictures[start : start + FORWARD].to(device))
        judged = judge(shown, None if y is None else y[start : start + FORWARD].to(device))
        found.append(judged.float().flatten(1).mean(1) if judged.ndim > 1 else judged.float())
    return torch.cat(found).cpu()


@torch.no_grad()
def decode(generator: nn.Module, z: Tensor, y: Tensor | None = None) -> Tensor:
    """The pictures of z (n, z_dim), uint8 (n, C, H, W) on the CPU; n is at least 1.

    y: float (n, classes), for a generator that knows classes. FORWARD always go through at once, the last ones filled
    up with zeros, so that the latents of samples give the very bytes of `sample`.
    """
    device = next(generator.parameters()).device
    pictures = []
    for start in range(0, len(z), FORWARD):
        part, condition = (None if all is None else filled(all[start : start + FORWARD], device) for all in (z, y))
        pictures.append(to_bytes(generator(part, condition)).cpu())
    return torch.cat(pictures)[: len(z)]


def filled(rows: Tensor, device: torch.device) -> Tensor:
    """FORWARD rows on the device, of which the last are zeros where there are fewer."""
    return pad(rows, (0, 0, 0, FORWARD - len(rows))).to(device)


def discriminator_features(settings: Settings) -> FeatureNetwork | None:
    """The network that the discriminator looks through, in the precision of the run where it comes in both.

    Finite differences drown in the rounding of bf16, so with them it is in float32.
    Raises: SettingError if there is no such network.
    """
    if settings.discriminator_features == "none":
        return None
    refuse_unknown_features(settings.discriminator_features)
    name, equals, path = settings.discriminator_features.partition("=")
    differences = settings.penalty != "none" and settings.penalty_method == "finite-difference"
    if settings.precision == "bf16" and f"{name}-bf16" in SPACES and not differences:
        name = f"{name}-bf16"
    try:
        return open_features(f"{name}{equals}{path}", settings.device)
    except MetricError as error:
        raise SettingError(f"discriminator_features: {error}") from None


def refuse_unknown_features(name: str) -> None:
    """Raises: SettingError if no discriminator can look through a network of this name, as far as can be told without
    opening it; `none` is fine."""
    if name.lower().endswith(".onnx"):
        raise SettingError(
            f"discriminator_features={name}: no gradient comes through an ONNX file, so that a generator learns "
            "nothing; take lite0, or a TorchScript file"
        )
    try:
        if name != "none":
            opener(name)
    except MetricError as error:
        raise SettingError(f"discriminator_features: {error}") from None


def known_as(card: Card) -> dict[str, str]:
    """What a generator says of the network that trained it; the file of somebody's own by its name alone."""
    return {"name": card.name.removesuffix("-bf16"), "digest": card.digest, "trained_on": card.trained_on}


class Generate(PlainGame):
    """The task of making pictures like those of a set."""

    def __init__(self, settings: Settings, data: Data, ranks: Ranks = ALONE) -> None:
        self.settings = settings
        self.data = data
        self.ranks = ranks
        self.features: FeatureNetwork = open_features(settings.quality_features, settings.device)
        self.seen_through = discriminator_features(settings)
        assert settings.z_dim is not None, "complete settings of this task have it"
        self.blueprint = Blueprint(
            settings.network,
            data.shape,
            settings.z_dim,
            settings.width,
            settings.depth,
            data.classes,
            data.class_shares,
            {} if self.seen_through is None else known_as(self.seen_through.card),
            settings.discriminator_size,
            settings.spectral_norm,
        )

    def players(self) -> tuple[nn.Module, nn.Module]:
        """New generator and discriminator."""
        blueprint = self.blueprint
        generator = blueprint.generator()
        if self.seen_through is None:
            return generator, blueprint.discriminator()
        shown = self.known.batch(spread(len(self.known), LOOKED_AT))
        return generator, blueprint.looking_through(self.seen_through, to_floats(shown.images))

    def real(self, batch: Batch, random: Random) -> Sample:
        """The pictures of the batch, in [-1, 1]."""
        images = to_floats(batch.images)
        if self.settings.mirror:
            images = mirror(images, random)
        return Sample((images,), self.condition(batch))

    def fake(self, generator: nn.Module, batch: Batch, random: Random) -> Sample:
        """As many pictures from fresh latents, of the same classes."""
        condition = self.condition(batch)
        return Sample((generator(random.normal("latent", self.blueprint.z_dim), condition),), condition)

    def condition(self, batch: Batch) -> Tensor | None:
        """The classes of the batch as float (N, classes)."""
        return None if batch.labels is None else self.blueprint.condition(batch.labels)

    def preview(self, generator: nn.Module) -> Tensor:
        """The first samples of seed 0, as `sparring sample --seed 0` gives them."""
        return sample(generator, self.blueprint, PREVIEWED, seed=0)

    def illustrations(self, generator: nn.Module) -> Mapping[str, Image]:
        """`nearest`: samples, each beside the training pictures it is nearest to."""
        if len(self.known) < NEIGHBOURS:
            return {}
        made = sample(generator, self.blueprint, FORWARD, seed=0)
        return {"nearest": nearest_grid(made, self.known.images, count=NEIGHBOURS)}

    def judge(self, generator: nn.Module) -> Evaluation:
        """Against the same part of the training set each time, and from the same latents."""
        count, device = self.settings.quality_samples, self.settings.device

        def draw(start: int, stop: int) -> Tensor:
            return sample(generator, self.blueprint, stop - start, JUDGED_SEED, start=start)

        gallery = Drawn(draw, count, self.data.shape)
        about: dict[str, Any] = {"kind": "generator", "name": "in training", "count": count, "seed": JUDGED_SEED}
        if self.blueprint.discriminator_features:
            about["discriminator_features"] = self.blueprint.discriminator_features
        features = features_of(gallery, self.features, device, ranks=self.ranks)
        made = Evidence("generated", about, gallery, features=features, made=True)
        comparison = Comparison(self.training_set, made, self.features, most=count, device=device)
        names = dict.fromkeys([self.settings.quality_metric, *JUDGED])
        return measure(comparison, list(names), form_of(self.settings))

    @cached_property
    def known(self) -> Pictures:
        """The training pictures that are at hand at any time: all, or of a stream a sample."""
        known = self.data.sample()
        assert isinstance(known, Pictures), "two sets are for other tasks"
        return known

    @cached_property
    def training_set(self) -> Evidence:
        """The training pictures that samples are compared with, and their features."""
        gallery = Decoded(self.known, min(len(self.known), MOST_REAL))
        about = {
            "kind": "training data of a run",
            "name": self.data.name,
            "count": len(gallery),
            "split": "training",
            "fingerprint": self.known.fingerprint,
        }
        if len(gallery) < len(self.data):
            about["of"] = len(self.data)
        with self.ranks.one_a_host_first():
            features = remembered_features(gallery, self.known.fingerprint, self.features, self.settings.device)
        return Evidence("real", about, gallery, self.known.fingerprint, features)

    def describe(self) -> dict[str, Any]:
        """The blueprint, as JSON values."""
        return self.blueprint.describe()
