"""Pictures of many requests in common batches, each with the same bytes as if it had been alone.

Kernels may sum in another order for another size of the batch, or for another row of it. Whether they do depends on the
shapes alone, not on the numbers, so that a few latents at another place and size tell: where float by float the same
comes out, pictures of any requests go side by side. Where it does not, each goes through the generator in the row and
beside the neighbours that `generate.sample` gives it.
"""

import copy
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sparring.data import to_bytes
from sparring.errors import SettingError
from sparring.latents.directions import NAME, Directions
from sparring.model import Model
from sparring.serving.requests import Part, SampleRequest
from sparring.tasks.generate import FORWARD

SMALLER = (1, 2, 4, 8, 16)
"""Sizes of a batch that are tried beside the full one, for requests that come alone."""

SHIFT = 5

ROUNDS, LONG = 5, 2.0
"""In which the sizes are timed, and seconds after which no other round begins: requests wait meanwhile."""

LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
"""Whose weights autocast brings to bf16."""

Precision = Literal["fp32", "bf16"]
"""What the layers of a generator multiply in."""


@dataclass(frozen=True)
class Given:
    """A latent that a client sent, and the number of its class."""

    z: tuple[float, ...]
    label: int


@dataclass(frozen=True)
class Recipe:
    """All that one picture depends on. parts: (seed, index, weight) of the latents that are mixed, often a single one,
    the latent itself in the place of the seed where one was sent. label: number of its class; None for those of its
    latents. edits: number of a direction, and how far along it."""

    parts: tuple[tuple[int | Given, int, float], ...]
    label: int | None
    truncation: float
    edits: tuple[tuple[int, float], ...] = ()


class Painter:
    """A picture generator that makes pictures by their recipes.

    precision: fp32 makes the pictures of `generate.sample`; bf16 almost these, in about half the time where the
    processor multiplies in it. sizes: of batches in which every picture has the bytes that it has in the full one;
    empty if the row matters. most: the one of them that takes the least time a picture; a processor's caches may hold
    fewer pictures than the full one.
    """

    def __init__(self, model: Model, directions: Directions | None = None, precision: Precision = "fp32") -> None:
        self.generator, self.blueprint = model.generator, model.from_noise
        self.directions, self.precision = directions, precision
        self.device = next(self.generator.parameters()).device
        self.block = lru_cache(maxsize=64)(self.blueprint.latents)
        if precision == "bf16":
            self.keep_lowered()
        self.sizes = self.exact_sizes()
        self.most = self.quickest()

    def recipes(self, asked: SampleRequest) -> list[Recipe]:
        """One for each picture that a request asks for.

        Raises: SettingError for a class or direction that is not known, or a latent of another size.
        """
        label = None if asked.label is None else self.blueprint.class_number(asked.label)
        if asked.mix is not None:
            mixtures = [
                tuple((self.source(part, label), part.index, part.weight) for part in mixture) for mixture in asked.mix
            ]
        else:
            mixtures = [((asked.seed, index, 1.0),) for index in range(asked.start, asked.start + asked.count)]
        edits = self.edits(asked)
        return [Recipe(parts, label, asked.truncation, edits) for parts in mixtures]

    def edits(self, asked: SampleRequest) -> tuple[tuple[int, float], ...]:
        """The directions of a request, as recipes have them.

        Raises: SettingError for one that is not known.
        """
        return tuple((self.direction(name), strength) for name, strength in asked.edit.items() if strength)

    def direction(self, name: str) -> int:
        """The number of a direction.

        Raises: SettingError.
        """
        if self.directions is None:
            raise SettingError(f"edit: this run has no directions; sparring latents edit --save RUN/{NAME} finds some")
        return self.directions.number(name)

    def source(self, part: Part, label: int | None) -> int | Given:
        """The seed of a part, or its own latent; the latent of a sample that is to be of another class.

        Raises: SettingError.
        """
        if part.z is None:
            assert part.seed is not None, "a part is one or the other"
            if part.label is None:
                return part.seed
            z, _ = self.latent(part.seed, part.index)
            return Given(tuple(z.tolist()), self.blueprint.class_number(part.label))
        if len(part.z) != self.blueprint.z_dim:
            raise SettingError(f"z has {len(part.z)} numbers; this generator takes {self.blueprint.z_dim}")
        if part.label is not None:
            label = self.blueprint.class_number(part.label)
        if label is None and self.blueprint.classes:
            raise SettingError("z comes without a label, and this generator knows classes: say which one")
        return Given(tuple(part.z), label or 0)

    @torch.inference_mode()
    def __call__(self, recipes: Sequence[Recipe]) -> list[Tensor]:
        """A picture uint8 (C, H, W) for each."""
        if not self.sizes:
            return [self.at_its_place(recipe) for recipe in recipes]
        made: list[Tensor] = []
        for start in range(0, len(recipes), self.most):
            part = recipes[start : start + self.most]
            size = next(size for size in self.sizes if size >= len(part))
            made += self.forward([self.ingredients(recipe) for recipe in part], size).unbind()[: len(part)]
        return made

    def at_its_place(self, recipe: Recipe) -> Tensor:
        """The picture from the row of its number, its neighbours in theirs; without one it fills the batch."""
        seed, index, weight = recipe.parts[0]
        if len(recipe.parts) > 1 or isinstance(seed, Given):
            return self.forward([self.ingredients(recipe)], FORWARD)[0]
        first = index // FORWARD * FORWARD
        around = [replace(recipe, parts=((seed, i, weight),)) for i in range(first, first + FORWARD)]
        return self.forward([self.ingredients(one) for one in around], FORWARD)[index - first]

    def ingredients(self, recipe: Recipe) -> tuple[Tensor, Tensor]:
        """z (z_dim,) and y (classes,) of a picture.

        A mixture of z is brought to the mean of their lengths: a shorter one would be of what the generator makes of
        latents near 0, a picture of the mean. Of one latent nothing changes, not by a bit.
        """
        latents, classes = zip(*(self.part(*part, recipe.label) for part in recipe.parts), strict=True)
        z, y = latents[0], classes[0]
        if len(latents) > 1:
            total = sum(weight for _, _, weight in recipe.parts)
            weights = torch.tensor([weight / total for _, _, weight in recipe.parts])
            zs = torch.stack(latents)
            z = weights @ zs
            z = z * (weights @ zs.norm(dim=1) / z.norm().clamp(min=1e-12))
            y = weights @ torch.stack(classes)
        if recipe.truncation != 1:
            z = z * recipe.truncation
        for number, strength in recipe.edits:
            assert self.directions is not None, "no recipe has edits without"
            z = z + strength * self.directions.vectors[number]
        return z, y

    def part(self, source: int | Given, index: int, _: float, label: int | None) -> tuple[Tensor, Tensor]:
        """z (z_dim,) and y (classes,) of one of the latents of a recipe; `label` goes before its own."""
        z, own = self.latent(source, index)
        number = own if label is None else torch.tensor(label)
        return z, one_hot(number, max(len(self.blueprint.classes), 1)).float()

    def latent(self, source: int | Given, index: int) -> tuple[Tensor, Tensor]:
        """z (z_dim,) and the number of the class, of sample `index` of a seed, or as they were given."""
        if isinstance(source, Given):
            return torch.tensor(source.z), torch.tensor(source.label)
        latents, labels = self.block(index // FORWARD, source)
        return latents[index % FORWARD], labels[index % FORWARD]

    def forward(self, ingredients: Iterable[tuple[Tensor, Tensor]], size: int) -> Tensor:
        """uint8 (size, C, H, W) on the CPU; the last of the ingredients fills the rows that are left."""
        return to_bytes(self.floats(*self.stacked(ingredients, size))).cpu()

    def some(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """The ingredients of the first samples of a seed, to try the generator with."""
        return [self.ingredients(Recipe(((0, index, 1.0),), None, 1.0)) for index in range(count)]

    def stacked(self, ingredients: Iterable[tuple[Tensor, Tensor]], size: int) -> tuple[Tensor, Tensor]:
        """z (size, z_dim) and y (size, classes)."""
        zs, ys = (torch.stack(tensors) for tensors in zip(*ingredients, strict=True))
        fill = [min(row, len(zs) - 1) for row in range(size)]
        return zs[fill], ys[fill]

    def floats(self, z: Tensor, y: Tensor) -> Tensor:
        """What the generator gives, before it becomes bytes."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            made: Tensor = self.generator(z.to(self.device), y.to(self.device) if self.blueprint.classes else None)
        return made

    @torch.inference_mode()
    def keep_lowered(self) -> None:
        """Takes a copy of the generator whose layers have the weights that autocast makes of theirs for every batch, if
        the same comes out. A part of the network may use the weights of a layer by itself, in float32."""
        some = self.stacked(self.some(1), 1)
        plain, expected = self.generator, self.floats(*some)
        self.generator = copy.deepcopy(plain)
        layers = [layer for layer in self.generator.modules() if isinstance(layer, LAYERS)]
        lowered: dict[nn.Module, bool] = {}

        def look(layer: nn.Module, _: object) -> None:
            lowered[layer] = lowered.get(layer, True) and torch.is_autocast_enabled(self.device.type)

        hooks = [layer.register_forward_pre_hook(look) for layer in layers]
        self.floats(*some)
        for hook in hooks:
            hook.remove()
        for layer, wanted in lowered.items():
            if wanted:
                layer.to(torch.bfloat16)
        try:
            same = torch.equal(self.floats(*some), expected)
        except RuntimeError:  # of mixed types
            same = False
        if not same:
            self.generator = plain

    @torch.inference_mode()
    def quickest(self) -> int:
        """The size of a batch in which a picture takes the least time, by the best of some rounds over all sizes: where
        other programs run, what is measured in one go may be slow as a whole."""
        some = {size: self.stacked(self.some(1), size) for size in self.sizes}
        each = dict.fromkeys(self.sizes, math.inf)
        until = time.perf_counter() + LONG
        for number in range(ROUNDS):
            if number and time.perf_counter() > until:
                break
            for size, batch in some.items():
                began = time.perf_counter()
                self.floats(*batch).cpu()
                each[size] = min(each[size], (time.perf_counter() - began) / size)
        return min(each, key=each.__getitem__, default=FORWARD)

    @torch.inference_mode()
    def exact_sizes(self) -> tuple[int, ...]:
        """See the class."""
        some = self.some(FORWARD)
        z, y = self.stacked(some, FORWARD)
        expected = self.floats(z, y)
        moved = self.floats(z.roll(SHIFT, 0), y.roll(SHIFT, 0))
        repeated = self.floats(*self.stacked(some[:1], FORWARD))
        if not torch.equal(moved, expected.roll(SHIFT, 0)) or not torch.equal(repeated, expected[:1].expand_as(moved)):
            return ()
        smaller = [size for size in SMALLER if torch.equal(self.floats(z[:size], y[:size]), expected[:size])]
        return (*smaller, FORWARD)
