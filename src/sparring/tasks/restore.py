"""Pictures made good: inpainting, denoising, super-resolution, or all of it at once.

Clean pictures are all that is needed: they are damaged on the fly, and the generator learns to take it back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import torch
from PIL.Image import Image
from torch import Tensor, nn

from sparring.adversarial.augment import Transformation, mirror, turned
from sparring.config import Settings, given
from sparring.data import Batch, Data, Pictures, to_bytes, to_floats
from sparring.data.damage import Damage, Damaged, damage_of
from sparring.data.patches import Patches
from sparring.evaluation.galleries import spread
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.pairs import measure_pairs
from sparring.metrics.similarity import perceptual_distance
from sparring.mosaic import grid
from sparring.networks import patches, projected
from sparring.networks.features import FeatureNetwork, open_features
from sparring.networks.restorer import Restorer
from sparring.randomness import Random
from sparring.ranks import ALONE, Ranks
from sparring.tasks.generate import LOOKED_AT, discriminator_features
from sparring.tasks.plain_game import PlainGame
from sparring.tasks.sample import Sample, View

GRIDS = {"inpaint": (3, 4)}
"""Levels and fold of the restorer where not `USUAL_GRIDS`: what is in a hole is said by what is far from it."""

USUAL_GRIDS = (3, 2)
USUAL_HOLES = 0.27
"""Share of a picture that is missing, a mean over `masks.ALL`."""

PREVIEWED = 12
SHOWN_SIDE = 256
"""Pixels a side of held-out pictures that are judged and shown, at most."""

JUDGED_SEED = 2**63 - 1


@dataclass(frozen=True)
class Blueprint:
    """All that is needed to build the restorer again and to use it; stored as JSON beside the weights."""

    damage: str
    channels: int
    width: int
    depth: int
    scale: int = 1
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the damage that it was trained on."""

    def generator(self) -> Restorer:
        """A new restorer, not trained."""
        levels, fold = GRIDS.get(self.damage, USUAL_GRIDS)
        return Restorer(
            self.channels,
            width=self.width,
            depth=self.depth,
            levels=levels,
            fold=fold,
            scale=self.scale,
            holes=self.takes_mask,
        )

    @property
    def takes_mask(self) -> bool:
        """Whether it fills holes."""
        return self.damage == "inpaint"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The blueprint that JSON made of `describe()`."""
        return cls(**{name: value for name, value in values.items() if name != "task"})

    def describe(self) -> dict[str, Any]:
        """The values that `from_json` takes."""
        return {"task": "restore", **asdict(self)}


@dataclass(frozen=True)
class Apparatus:
    """A restorer as `sparring.applying` uses it."""

    generator: nn.Module
    blueprint: Blueprint

    @property
    def channels(self) -> int:
        """Of the pictures that it takes."""
        return self.blueprint.channels

    @property
    def scale(self) -> int:
        """How many times as large the results are."""
        return self.blueprint.scale

    @property
    def takes_mask(self) -> bool:
        """Whether it fills holes."""
        return self.blueprint.takes_mask

    @property
    def multiple(self) -> int:
        """Sides that are multiples of it are not padded."""
        levels, fold = GRIDS.get(self.blueprint.damage, USUAL_GRIDS)
        return int(fold * 2 ** (levels - 1))

    @property
    def reach(self) -> int:
        """Pixels from which little is heard any more."""
        return 8 * self.multiple

    @torch.no_grad()
    def __call__(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        """See `sparring.applying.Apparatus`."""
        device = next(self.generator.parameters()).device
        found = Damaged(pictures.to(device), None if mask is None else mask.to(device))
        return restored(self.generator, found).float()


class Restore(PlainGame):
    """The task of making damaged pictures good."""

    def __init__(self, settings: Settings, data: Data, ranks: Ranks = ALONE) -> None:
        self.settings = settings
        self.data = data
        self.ranks = ranks
        self.seen_through = discriminator_features(settings)
        self.damage: Damage = damage_of(settings)
        self.judge_features: FeatureNetwork = open_features(settings.quality_features, settings.device)
        channels, _, _ = data.shape
        assert settings.damage is not None, "the recipe fills it in"
        self.blueprint = Blueprint(
            settings.damage,
            channels,
            settings.width,
            settings.depth,
            settings.scale or 1,
            {name: value for name in PROTOCOL if (value := getattr(settings, name)) is not None},
        )

    def players(self) -> tuple[nn.Module, nn.Module]:
        """New restorer, and a discriminator of patches."""
        settings, blueprint = self.settings, self.blueprint
        if self.seen_through is not None:
            known = self.data.sample()
            assert isinstance(known, Pictures), "two sets are for other tasks"
            shown = known.batch(spread(len(known), LOOKED_AT))
            return blueprint.generator(), projected.Discriminator(
                self.data.shape,
                features=self.seen_through,
                pictures=to_floats(shown.images),
                side=given(settings.discriminator_size),
                spectral_norm=settings.spectral_norm,
            )
        judge = patches.Discriminator(blueprint.channels, width=settings.width, spectral_norm=settings.spectral_norm)
        return blueprint.generator(), judge

    def real(self, batch: Batch, random: Random) -> Sample:
        """The clean pictures of the batch, in [-1, 1], with the mask of holes if there are any."""
        clean = self.clean(batch, random)
        return sample_of(clean, self.damaged(clean, random).mask if self.blueprint.takes_mask else None)

    def fake(self, generator: nn.Module, batch: Batch, random: Random) -> Sample:
        """The same pictures, damaged and restored."""
        found = self.damaged(self.clean(batch, random), random)
        return sample_of(restored(generator, found), found.mask)

    def clean(self, batch: Batch, random: Random) -> Tensor:
        """The pictures of the batch as floats, each in one of the ways that the settings allow."""
        images = to_floats(batch.images)
        images = mirror(images, random) if self.settings.mirror else images
        return turned(images, random) if self.settings.turn else images

    def damaged(self, clean: Tensor, random: Random) -> Damaged:
        """Clean pictures with the damage of this step."""
        return self.damage(clean, random.at("damage"))

    def augmented(self, sample: Sample, transformation: Transformation) -> Sample:
        """The picture transformed, and its mask moved with it, as transparency would be."""
        moved = transformation(torch.cat(sample.parts, dim=1))
        channels = self.blueprint.channels
        return replace(
            sample, parts=(moved[:, :channels], moved[:, channels:]) if self.blueprint.takes_mask else (moved,)
        )

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        """Of the restorer: how far it is from the clean picture, in pixels and in pretrained features."""
        if player != "generator":
            return {}
        settings = self.settings
        clean, made = view.real.parts[0], view.fake.parts[0]
        error = (made - clean).abs()
        # A mean over the holes of these very samples would depend on which of the batch go through at once.
        distortion = (error * view.real.parts[1]).mean() / USUAL_HOLES if self.blueprint.takes_mask else error.mean()
        losses = {"distortion": (settings.distortion_weight or 0.0, distortion)}
        if view.judged and settings.matching_weight:
            losses["matching"] = settings.matching_weight, matching(*view.layers())
        if view.judged and self.eyes is not None:
            maps = self.maps(self.eyes, torch.cat([clean, made]))
            halves = [{stride: part.chunk(2)[i] for stride, part in maps.items()} for i in range(2)]
            losses["perceptual"] = settings.perceptual_weight or 0.0, perceptual_distance(*halves).mean()
        return losses

    @cached_property
    def eyes(self) -> FeatureNetwork | None:
        """The network that the perceptual loss looks through."""
        return open_features(PERCEPTION, self.settings.device) if self.settings.perceptual_weight else None

    @staticmethod
    def maps(network: FeatureNetwork, pictures: Tensor) -> dict[int, Tensor]:
        """Maps of pictures (N, C, H, W) at the size that they have; grey is seen as RGB."""
        return dict(network.maps(pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures))

    # What people see

    @cached_property
    def held_out(self) -> Data | None:
        """Pictures that are never shown to the players; None if there are none to spare."""
        return self.data.hold_out(self.settings.held_out)[1]

    @cached_property
    def unseen(self) -> list[Tensor]:
        """Clean pictures that are judged and shown, uint8 (C, h, w): held-out ones, if there are any."""
        source = self.held_out or self.data
        if isinstance(source, Patches):
            pictures = source.own
        else:
            known = source.sample()
            assert isinstance(known, Pictures), "two sets are for other tasks"
            pictures = list(known.images if known.drawn is None else known.images[known.drawn])
        scale = self.blueprint.scale
        return [middle(picture.cpu(), SHOWN_SIDE, scale) for picture in pictures[: self.settings.quality_samples]]

    @torch.no_grad()
    def restored(self, generator: nn.Module, clean: Tensor, number: int) -> tuple[Damaged, Tensor]:
        """A picture uint8 (C, h, w) with damage that is always the same, and what the restorer makes of it, uint8."""
        device = torch.device(self.settings.device)
        random = Random(JUDGED_SEED, number, 1, device=device)
        found = self.damage(to_floats(clean[None]).to(device), random.at("damage"))
        found = Damaged(to_floats(to_bytes(found.pictures)), found.mask)  # as it would lie in a file
        return found, to_bytes(restored(generator, found))[0].cpu()

    def triptych(self, generator: nn.Module, clean: Tensor, number: int) -> list[Tensor]:
        """Damaged, restored and clean, uint8 (C, h, w) each."""
        found, made = self.restored(generator, clean, number)
        before = to_bytes(found.pictures)[0].cpu()
        if before.shape != clean.shape:
            before = torch.nn.functional.interpolate(before[None], clean.shape[1:], mode="nearest")[0]
        return [before, made, clean]

    def preview(self, generator: nn.Module) -> Tensor:
        """Triptychs of damaged, restored and clean pictures, always the same ones."""
        _, height, width = self.data.shape
        shown = [middle(picture, min(height, width), self.blueprint.scale) for picture in self.unseen[:PREVIEWED]]
        return torch.stack(
            [torch.cat(self.triptych(generator, clean, number), dim=2) for number, clean in enumerate(shown)]
        )

    def illustrations(self, generator: nn.Module) -> Mapping[str, Image]:
        """`before-N`, `after-N` and `clean-N` of some pictures at full size."""
        made: dict[str, Image] = {}
        for number, clean in enumerate(self.unseen[:ILLUSTRATED]):
            for name, picture in zip(
                ("before", "after", "clean"), self.triptych(generator, clean, number), strict=True
            ):
                made[f"{name}-{number}"] = grid(picture[None], scale=1, padding=0)
        return made

    def judge(self, generator: nn.Module) -> Evaluation:
        """Restored pictures against clean ones, pair by pair."""
        pairs = [self.restored(generator, clean, number) for number, clean in enumerate(self.unseen)]
        holes = [found.mask[0, 0].bool().cpu() for found, _ in pairs if found.mask is not None]
        found = measure_pairs(
            self.unseen, [made for _, made in pairs], self.judge_features, inside=holes if holes else None
        )
        return found if self.held_out else replace(found, notices=(*found.notices, TRAINED_ON))

    def describe(self) -> dict[str, Any]:
        """The blueprint, as JSON values."""
        return self.blueprint.describe()


PROTOCOL = ("noise", "noise_low", "noise_high", "holes", "scale", "degradation", "severity")
"""Settings that say what the damage is."""

PERCEPTION = "lite0-bf16"
"""What the perceptual loss looks through."""

ILLUSTRATED = 6

TRAINED_ON = "judged on pictures that it was trained on, since none are held out"


def sample_of(pictures: Tensor, mask: Tensor | None) -> Sample:
    """What the discriminator sees."""
    return Sample((pictures,) if mask is None else (pictures, mask))


def restored(generator: nn.Module, found: Damaged) -> Tensor:
    """What the generator makes of damaged pictures, float (N, C, H, W)."""
    made: Tensor = generator(found.pictures) if found.mask is None else generator(found.pictures, found.mask)
    return made


def matching(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of two lists of maps, a mean over layers (Wang et al. 2018, pix2pixHD, eq. 4)."""
    return torch.stack([(a.float() - b.float()).abs().mean() for a, b in zip(real, made, strict=True)]).mean()


def middle(picture: Tensor, most: int, scale: int) -> Tensor:
    """The middle of a picture (C, H, W), at most `most` pixels a side, sides multiples of `scale`."""
    height, width = (min(side, most) // scale * scale for side in picture.shape[1:])
    top, left = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
    return picture[:, top : top + height, left : left + width]
