"""Photographs into paintings, or any pictures into those of another set: with pairs, or without.

Without pairs D sees paintings, and translated photographs beside them; what keeps the scene is a further loss. With
pairs D sees a painting and its photograph, and the further loss is the distance from the right answer.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate, one_hot

from sparring.adversarial.augment import Transformation, mirror
from sparring.config import Settings, given
from sparring.data import Batch, Data, Patches, Pictures, TwoSets, to_bytes, to_floats
from sparring.data.two_sets import sides
from sparring.errors import SettingError
from sparring.evaluation.galleries import spread
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.pairs import measure_pairs
from sparring.evaluation.transfer import Transfer
from sparring.mosaic import grid
from sparring.networks import judges, patches, projected
from sparring.networks.features import FeatureNetwork, open_features
from sparring.networks.translator import BothWays, Translator
from sparring.randomness import Random
from sparring.ranks import ALONE, Ranks
from sparring.tasks.generate import LOOKED_AT, discriminator_features
from sparring.tasks.likeness import contrast, distance
from sparring.tasks.plain_game import PlainGame
from sparring.tasks.sample import Sample, View

LEVELS = 3
"""Grids of the translator."""

PLACES = 64
"""Places of each map that are told from each other."""

JUDGED_PLACES = 24
"""Places a side that a judge of features looks at, each by itself; with 4, as for pictures from noise, it sees whole
scenes, wins at once, and the translator ends in one colour."""

PERCEPTION = "lite0-bf16"
"""What the content loss looks through."""

PREVIEWED, ILLUSTRATED, SHOWN_STYLES = 8, 6, 6
SHOWN_SIDE = 384
"""Pixels a side of held-out photographs that are shown, at most."""

FORWARD = 16
JUDGED_SEED = 2**63 - 1
ONE_STYLE = "painting"
"""What the style is called where it has no name."""


@dataclass(frozen=True)
class Blueprint:
    """All that is needed to build the translator again and to use it; stored as JSON beside the weights."""

    channels: int
    width: int
    depth: int
    styles: tuple[str, ...] = ()
    content: str | None = None

    def generator(self) -> Translator | BothWays:
        """A new translator, not trained."""
        there = self.translator(len(self.styles))
        return BothWays(there, self.translator(0)) if self.content == "cycle" else there

    def translator(self, styles: int) -> Translator:
        """One direction."""
        return Translator(
            self.channels,
            width=self.width,
            depth=self.depth,
            levels=LEVELS,
            styles=styles,
            contrasts=self.content == "contrastive",
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The blueprint that JSON made of `describe()`."""
        fields = {name: value for name, value in values.items() if name != "task"}
        return cls(**{**fields, "styles": tuple(fields["styles"])})

    def describe(self) -> dict[str, Any]:
        """The values that `from_json` takes."""
        return {"task": "translate", **asdict(self)}

    def mixture(self, style: str | None) -> tuple[float, ...]:
        """The share of each style in what a person asks for: `monet`, `monet+munch`, `monet:0.7+munch:0.3`.

        Empty where a single style is known, which needs no name. Raises: SettingError that lists the styles.
        """
        listed = ", ".join(self.styles)
        if not self.styles:
            if style is not None:
                raise SettingError(f"style {style!r}: this generator knows a single style; leave --style away")
            return ()
        if style is None:
            raise SettingError(f"this generator knows several styles: give --style with one of {listed}, or A+B")
        shares = dict.fromkeys(self.styles, 0.0)
        names = {name.lower(): name for name in self.styles}
        for part in style.split("+"):
            name, colon, share = part.strip().rpartition(":") if part.strip().lower() not in names else (part, "", "1")
            name = (name if colon else part).strip().lower()
            try:
                weight = float(share) if colon else 1.0
            except ValueError:
                weight = -1.0
            if name not in names or not 0 <= weight < float("inf"):
                raise SettingError(
                    f"style {style!r}: it should be one of {listed}, or a mixture as in A+B or A:0.7+B:0.3"
                )
            shares[names[name]] += weight
        total = sum(shares.values())
        if not total:
            raise SettingError(f"style {style!r}: all shares are zero")
        return tuple(share / total for share in shares.values())


@dataclass(frozen=True)
class Apparatus:
    """A translator with a style and a strength, as `sparring.applying` uses it."""

    generator: nn.Module
    blueprint: Blueprint
    mixture: tuple[float, ...] = ()
    strength: float = 1.0

    scale = 1
    takes_mask = False

    @property
    def channels(self) -> int:
        """Of the pictures that it takes."""
        return self.blueprint.channels

    @property
    def multiple(self) -> int:
        """Sides that are multiples of it are not padded."""
        return int(2**LEVELS)

    @property
    def reach(self) -> int:
        """Pixels from which little is heard any more."""
        return 8 * self.multiple

    @torch.no_grad()
    def __call__(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        """See `sparring.applying.Apparatus`."""
        pictures = pictures.to(next(self.generator.parameters()).device)
        y = pictures.new_tensor([self.mixture]).expand(len(pictures), -1) if self.mixture else None
        made: Tensor = self.generator(pictures, y, self.strength)
        return made.float()


class Translate(PlainGame):
    """The task of making photographs into paintings."""

    def __init__(self, settings: Settings, data: Data, ranks: Ranks = ALONE) -> None:
        self.settings = settings
        self.data = data
        self.ranks = ranks
        self.judge_features: FeatureNetwork = open_features(settings.quality_features, settings.device)
        self.seen_through = discriminator_features(settings) if settings.adversarial else None
        self.channels, self.resolution = given(settings.channels), given(settings.resolution)
        self.blueprint = Blueprint(self.channels, settings.width, settings.depth, data.classes, settings.content)

    def players(self) -> tuple[nn.Module, nn.Module]:
        """New translator, and a discriminator: of paintings, of pairs, or one of each side."""
        settings, generator = self.settings, self.blueprint.generator()
        styles = len(self.blueprint.styles)
        if self.seen_through is None and settings.paired:
            return generator, judges.Beside(self.judge_of_patches(2 * self.channels, styles))
        if self.seen_through is None:
            judge: nn.Module = self.judge_of_patches(self.channels, styles)
            if settings.content == "cycle":
                judge = judges.Each(judge, self.judge_of_patches(self.channels, 0))
            return generator, judge
        photographs, paintings = sides(self.data.draw(0, 0, LOOKED_AT).images)
        size = seen_of(self.resolution)
        photographs, paintings = (middle(side, *size) for side in (photographs, paintings))
        seen = self.judge_of_features(self.seen_through, paintings, styles)
        if settings.content == "cycle":
            return generator, judges.EachSeen(seen, self.judge_of_features(self.seen_through, photographs, 0))
        return generator, seen

    def judge_of_patches(self, channels: int, styles: int) -> patches.Discriminator:
        """A discriminator that learns to see."""
        settings = self.settings
        return patches.Discriminator(
            channels, width=settings.width, spectral_norm=settings.spectral_norm, classes=styles
        )

    def judge_of_features(self, network: FeatureNetwork, shown: Tensor, styles: int) -> projected.Discriminator:
        """A discriminator that looks through a frozen network, which pictures like `shown` are seen by."""
        settings = self.settings
        return projected.Discriminator(
            (self.channels, *seen_of(self.resolution)),
            features=network,
            pictures=to_floats(shown),
            side=given(settings.discriminator_size),
            classes=styles,
            spectral_norm=settings.spectral_norm,
            places=JUDGED_PLACES,
            beside=2 if settings.paired else 1,
        )

    # The game

    def both(self, batch: Batch, random: Random) -> tuple[Tensor, Tensor, Tensor | None]:
        """Photographs, paintings, and the styles of the latter, float (N, styles), if there are several."""
        images = to_floats(batch.images)
        photographs, paintings = sides(mirror(images, random) if self.settings.mirror else images)
        styles = None if batch.labels is None else one_hot(batch.labels, len(self.blueprint.styles)).float()
        return photographs, paintings, styles

    def real(self, batch: Batch, random: Random) -> Sample:
        """Paintings; with pairs each beside its photograph; with the way back photographs too, for the other judge."""
        photographs, paintings, y = self.both(batch, random)
        if self.settings.paired:
            return self.seen(Sample((paintings, photographs), y), random)
        if self.settings.content == "cycle":
            return self.seen(Sample((paintings, photographs), y, smooth=(0, 1)), random)
        return self.seen(Sample((paintings,), y), random)

    def fake(self, generator: nn.Module, batch: Batch, random: Random) -> Sample:
        """The photographs translated, and what the further losses need to know."""
        photographs, paintings, y = self.both(batch, random)
        if isinstance(generator, BothWays):
            return self.seen(both_ways(generator, photographs, paintings, y), random)
        assert isinstance(generator, Translator), "the task made it"
        maps = generator.encoded(photographs)
        made = generator.painted(photographs, maps, y)
        if self.settings.paired:
            error = (made - paintings).abs().mean((1, 2, 3))
            return self.seen(Sample((made, photographs), y, beside={"distortion": error}), random)
        beside = {"photographs": photographs, "made": made}
        if self.settings.content == "contrastive":
            places = random.uniform("places", LEVELS, PLACES)
            keys = generator.described(maps, places)
            queries = generator.described(generator.encoded(made), places)
            beside["contrast"] = torch.stack([contrast(a, b.detach()) for a, b in zip(queries, keys, strict=True)], 1)
        if self.settings.identity_weight:
            beside |= {"paintings": paintings, "kept": generator(paintings, y)}
        return self.seen(Sample((made,), y, beside=beside), random)

    def seen(self, sample: Sample, random: Random) -> Sample:
        """What D sees of a sample: the same random part of all its pictures.

        If it saw all of them, the translator would learn where they end, and paint there what D makes of its padding.
        """
        size, places = seen_of(self.resolution), random.uniform("seen", 2).tolist()
        return replace(sample, parts=tuple(parts_of(part, size, places) for part in sample.parts))

    def augmented(self, sample: Sample, transformation: Transformation) -> Sample:
        """All pictures transformed, those of a pair alike."""
        return Sample(tuple(transformation(part) for part in sample.parts), sample.condition, sample.smooth)

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        """Of the translator: how far it is from the right painting, or how much of the scene it lost."""
        if player != "generator":
            return {}
        settings, beside = self.settings, view.fake.beside
        weight, identity = settings.content_weight or 0.0, settings.identity_weight or 0.0
        if settings.paired:
            return {"distortion": (weight, beside["distortion"].mean())}
        losses = {}
        if settings.content == "contrastive":
            losses["contrast"] = weight, beside["contrast"].mean()
        if settings.content == "features":
            photographs = self.maps(beside["photographs"])
            losses["content"] = weight, distance(photographs, self.maps(beside["made"])).mean()
        if settings.content == "cycle":
            losses["cycle"] = weight, (beside["again"] - beside["paintings"]).abs().mean()
        if identity:
            losses["identity"] = identity, (beside["kept"] - beside["paintings"]).abs().mean()
        return losses

    @cached_property
    def eyes(self) -> FeatureNetwork:
        """The network that the content loss looks through."""
        return open_features(PERCEPTION, self.settings.device)

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        """Maps of pictures (N, C, H, W) at the size that they have; grey is seen as RGB."""
        return self.eyes.maps(pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures)

    # What people see

    @cached_property
    def unseen(self) -> Data:
        """What is judged and shown: held-out pictures, if there are any."""
        _, held_out = self.data.hold_out(self.settings.held_out)
        return held_out or self.data

    @cached_property
    def shown(self) -> list[tuple[Tensor, int]]:
        """Pictures that are shown, uint8 (C, h, w), at most SHOWN_SIDE a side, and the number of their style, 0 if
        there are no pairs; with pairs their channels are those of both."""
        source = self.unseen.photographs if isinstance(self.unseen, TwoSets) else self.unseen
        assert isinstance(source, Patches), "load_pictures gives these"
        own = torch.arange(len(source)) if source.drawn is None else source.drawn
        numbers = own[spread(len(own), self.settings.quality_samples)].tolist()  # they lie in the order of their names
        labels = torch.zeros(len(source), dtype=torch.int64) if source.labels is None else source.labels.cpu()
        return [(reduced(source.pixels[number]), int(labels[number])) for number in numbers]

    def styles(self) -> dict[str, Tensor | None]:
        """What is given to the generator for each style by name, (1, styles)."""
        names = self.blueprint.styles
        if not names:
            return {ONE_STYLE: None}
        rows = torch.eye(len(names), device=self.settings.device)
        return {name: rows[number, None] for number, name in enumerate(names)}

    @torch.no_grad()
    def translated(self, generator: nn.Module, pictures: Tensor, y: Tensor | None) -> Tensor:
        """Photographs uint8 (N, C, H, W) in a style (1, styles), uint8 on the CPU."""
        parts = []
        for part in torch.split(pictures, FORWARD):
            given = to_floats(part).to(self.settings.device)
            parts.append(to_bytes(generator(given, None if y is None else y.expand(len(given), -1))).cpu())
        return torch.cat(parts)

    def preview(self, generator: nn.Module) -> Tensor:
        """Rows of a photograph and what it becomes in each style, always the same ones; of pairs the answer, too."""
        height, width = self.resolution
        numbers = spread(len(self.shown), PREVIEWED).tolist()
        shown = torch.stack([middle(self.shown[number][0], height, width) for number in numbers])
        photographs, answers = (shown, None) if not self.settings.paired else sides(shown)
        rows = [self.translated(generator, photographs, y) for y in list(self.styles().values())[:SHOWN_STYLES]]
        return torch.cat([photographs, *rows, *([] if answers is None else [answers])], dim=3)

    def illustrations(self, generator: nn.Module) -> Mapping[str, Image]:
        """`before-N` and `after-N` of some pictures at full size: in all styles, in a grid, and as often the
        photograph, so that one lies on the other."""
        made: dict[str, Image] = {}
        for number, place in enumerate(spread(len(self.shown), ILLUSTRATED).tolist()):
            photograph = self.shown[place][0][None, : self.channels]
            after = [self.translated(generator, photograph, y) for y in self.styles().values()]
            made[f"before-{number}"] = grid(photograph.repeat(len(after), 1, 1, 1), scale=1, padding=0)
            made[f"after-{number}"] = grid(torch.cat(after), scale=1, padding=0)
        return made

    def judge(self, generator: nn.Module) -> Evaluation:
        """With pairs against the right answers; without by how much of the style is there, and of the scene is left."""
        if self.settings.paired:
            styles = list(self.styles().values())
            pairs = [(sides(picture[None]), styles[style]) for picture, style in self.shown]
            after = [painting[0] for (_, painting), _ in pairs]
            made = [self.translated(generator, photograph, y)[0] for (photograph, _), y in pairs]
            return measure_pairs(after, made, self.judge_features)
        photographs = self.transfer.photographs
        return self.transfer({name: self.translated(generator, photographs, y) for name, y in self.styles().items()})

    @cached_property
    def transfer(self) -> Transfer:
        """The judge of style and scene, with patches that are always the same."""
        assert isinstance(self.unseen, TwoSets), "without pairs there are two sets"
        count = max(64, self.settings.quality_samples // len(self.styles()))
        photographs = self.unseen.photographs.draw(JUDGED_SEED, 0, count).images.cpu()
        paintings = self.unseen.paintings
        names = self.styles()
        shown = {
            name: of_style(paintings, number).draw(JUDGED_SEED, 0, count).images.cpu()
            for number, name in enumerate(names)
        }
        return Transfer(photographs, shown, self.judge_features, self.settings.device)

    def describe(self) -> dict[str, Any]:
        """The blueprint, as JSON values."""
        return self.blueprint.describe()


def both_ways(generator: BothWays, photographs: Tensor, paintings: Tensor, y: Tensor | None) -> Sample:
    """Both directions, and what comes back (Zhu et al. 2017, eq. 2), and what should stay as it is (section 5.2)."""
    made, unmade = generator.there(photographs, y), generator.back(paintings)
    return Sample(
        (made, unmade),
        y,
        smooth=(0, 1),
        beside={
            "paintings": torch.stack([paintings, photographs], dim=1),
            "again": torch.stack([generator.there(unmade, y), generator.back(made)], dim=1),
            "kept": torch.stack([generator.there(paintings, y), generator.back(photographs)], dim=1),
        },
    )


def seen_of(resolution: tuple[int, int]) -> tuple[int, int]:
    """Height and width of what D sees of patches.

    >>> seen_of((96, 64))
    (80, 56)
    """
    height, width = (side - max(1, side // 48) * 8 if side > 16 else side for side in resolution)
    return height, width


def parts_of(pictures: Tensor, size: tuple[int, int], places: list[list[float]]) -> Tensor:
    """The part of `size` of each picture (N, C, H, W) that begins at its place, two numbers in [0, 1)."""
    height, width = size
    tops, lefts = (
        [int(place[axis] * (inside - side + 1)) for place in places]
        for axis, (inside, side) in enumerate(zip(pictures.shape[2:], size, strict=True))
    )
    return torch.stack(
        [
            picture[:, top : top + height, left : left + width]
            for picture, top, left in zip(pictures, tops, lefts, strict=True)
        ]
    )


def of_style(paintings: Patches | Pictures, style: int) -> Patches | Pictures:
    """The paintings of one style."""
    if paintings.labels is None:
        return paintings
    numbers = torch.arange(len(paintings)) if paintings.drawn is None else paintings.drawn
    return replace(paintings, drawn=numbers[paintings.labels.cpu()[numbers] == style])


def middle(picture: Tensor, height: int, width: int) -> Tensor:
    """The middle of pictures (..., H, W), so high and wide."""
    top, left = ((inside - side) // 2 for inside, side in zip(picture.shape[-2:], (height, width), strict=True))
    return picture[..., top : top + height, left : left + width]


def reduced(picture: Tensor) -> Tensor:
    """A picture uint8 (C, H, W), at most SHOWN_SIDE a side."""
    longest = max(picture.shape[1:])
    if longest <= SHOWN_SIDE:
        return picture
    size = [max(1, side * SHOWN_SIDE // longest) for side in picture.shape[1:]]
    smaller = interpolate(picture[None].float(), size, mode="bilinear", antialias=True)
    return smaller[0].round().clamp(0, 255).to(torch.uint8)
