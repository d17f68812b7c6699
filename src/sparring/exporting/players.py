"""Generators with all that stands between them and their users: what comes in and goes out is pictures in bytes.

Each is an `nn.Module` that takes its inputs by position, with axes of any length where a name stands for one.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.data import to_bytes, to_floats
from sparring.data.vocabularies import SPECIAL, START
from sparring.errors import SettingError
from sparring.networks import video as video_networks
from sparring.networks.sequences import Generator
from sparring.tasks import generate, graphs, restore, sequences, translate, video

Axes = tuple[str | int, ...]
Draw = Callable[[tuple[int, ...], torch.Generator], Tensor]
Blueprint = (
    generate.Blueprint
    | restore.Blueprint
    | translate.Blueprint
    | sequences.Blueprint
    | graphs.Blueprint
    | video.Blueprint
)

HOLE = 127
"""Above which a pixel of a mask says that there is a hole, as for `sparring apply`."""


@dataclass(frozen=True)
class Input:
    """What is given under a name: axes that have a name may have any length."""

    name: str
    kind: str
    axes: Axes
    meaning: str
    draw: Draw
    """Something of a shape that is like what a user gives."""


@dataclass(frozen=True)
class Player:
    """A generator with its pre- and post-processing, and what it takes and gives."""

    module: nn.Module
    inputs: tuple[Input, ...]
    output: str
    kind: str
    axes: Axes
    meaning: str
    longest: int | None = None
    """What the axis `length` may be at most."""

    def given(self, sizes: Mapping[str, int], seed: int = 0) -> dict[str, Tensor]:
        """Inputs to try it with, always the same; `sizes` gives the length of each axis that has a name."""
        random = torch.Generator().manual_seed(seed)
        if self.longest is not None:
            sizes = {axis: min(size, self.longest) if axis == "length" else size for axis, size in sizes.items()}
        return {
            entry.name: entry.draw(tuple(sizes[axis] if isinstance(axis, str) else axis for axis in entry.axes), random)
            for entry in self.inputs
        }

    def trials(self) -> list[dict[str, Tensor]]:
        """Inputs of several sizes, those first that an export is made with."""
        return [self.given(sizes, seed) for seed, sizes in enumerate(SIZES[self.inputs[0].name])]

    @torch.no_grad()
    def __call__(self, given: Mapping[str, Tensor]) -> Tensor:
        """What PyTorch gives for inputs by name."""
        made: Tensor = self.module(*given.values())
        return made


SIZES: dict[str, list[dict[str, int]]] = {
    "z": [{"n": 3}, {"n": 1}, {"n": 16}],
    "content": [
        {"n": 3, "anchors": 13, "frames": 5},
        {"n": 1, "anchors": 12, "frames": 1},
        {"n": 2, "anchors": 20, "frames": 16},
    ],
    "picture": [
        {"n": 2, "height": 82, "width": 116},
        {"n": 1, "height": 33, "width": 70},
        {"n": 3, "height": 64, "width": 48},
    ],
    "tokens": [{"n": 3, "length": 7}, {"n": 1, "length": 1}, {"n": 2, "length": 12}],
}
"""What players are tried with, by the name of their first input; the first are those that an export is made with."""


class FromNoise(nn.Module):
    """z (n, z_dim) and perhaps class numbers (n,) to pictures uint8 (n, H, W, C)."""

    def __init__(self, generator: nn.Module, classes: int) -> None:
        super().__init__()
        self.generator = generator
        self.classes = classes

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """See the class."""
        y = None if label is None else (label[:, None] == torch.arange(self.classes)).float()
        return to_bytes(self.generator(z, y)).permute(0, 2, 3, 1)


class Filming(nn.Module):
    """Contents (n, z_dim), motions (n, anchors, motion_dim), times (n, frames) and perhaps class numbers (n,) to clips
    uint8 (n, frames, H, W, C).

    A frame is added behind, and taken away again: a program of `torch.export` would refuse a single one.
    """

    def __init__(self, generator: nn.Module, classes: int) -> None:
        super().__init__()
        self.generator = generator
        self.classes = classes

    def forward(self, content: Tensor, motion: Tensor, times: Tensor, label: Tensor | None = None) -> Tensor:
        """See the class."""
        y = None if label is None else (label[:, None] == torch.arange(self.classes)).float()
        one_more = torch.cat([times, times[:, :1]], dim=1)
        return to_bytes(self.generator(content, motion, one_more, y))[:, :-1].permute(0, 1, 3, 4, 2)


class Restoring(nn.Module):
    """Pictures uint8 (n, height, width, C), and perhaps where to fill them, to pictures uint8."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, picture: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class. Outside of holes the bytes stay as they are."""
        x = to_floats(picture.permute(0, 3, 1, 2))
        if mask is None:
            return to_bytes(self.generator(x)).permute(0, 2, 3, 1)
        hole = mask > HOLE
        made = to_bytes(self.generator(x, hole[:, None].float())).permute(0, 2, 3, 1)
        return torch.where(hole[..., None], made, picture)


class Translating(nn.Module):
    """Pictures uint8 (n, height, width, C), strengths (n,) and perhaps shares of styles (n, styles) to pictures."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, picture: Tensor, strength: Tensor, style: Tensor | None = None) -> Tensor:
        """See the class."""
        made = self.generator(to_floats(picture.permute(0, 3, 1, 2)), style, strength[:, None, None, None])
        return to_bytes(made).permute(0, 2, 3, 1)


class Writing(nn.Module):
    """Tokens (n, length), of which the first is START, to log-probabilities (n, length, symbols) of what follows.

    A place is added behind, and taken away again: a program of `torch.export` would refuse a length of one.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        steps = generator.trunk.angles[1]
        generator.trunk.angles = torch.arange(generator.longest + 1)[:, None] * steps

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        generator, one_more = self.generator, torch.cat([tokens, tokens[:, :1]], dim=1)
        log_probabilities, _ = generator.read(generator.trunk(generator.embedded(one_more)))
        return log_probabilities[:, :-1]


def player_of(generator: nn.Module, blueprint: Blueprint) -> Player:
    """The generator ready to leave: a copy of it in float32 on the CPU, with what it takes and gives.

    Raises: SettingError for one that draws graphs.
    """
    generator = deepcopy(generator).cpu().float().eval().requires_grad_(False)
    match blueprint:
        case generate.Blueprint():
            return from_noise(generator, blueprint)
        case video.Blueprint():
            return filming(generator, blueprint)
        case restore.Blueprint():
            return restoring(generator, blueprint)
        case translate.Blueprint():
            return translating(generator, blueprint)
        case sequences.Blueprint():
            return writing(generator, blueprint)
        case graphs.Blueprint():
            raise SettingError(
                "a generator that draws graphs is not exported: what it draws is built into molecules by this program, "
                "and its generator.safetensors is what sparring.load takes; those of representation=selfies can be"
            )


def from_noise(generator: nn.Module, blueprint: generate.Blueprint) -> Player:
    """Pictures out of noise."""
    channels, height, width = blueprint.shape
    z = Input("z", "float32", ("n", blueprint.z_dim), "standard normal numbers; times 0.7 duller", normal)
    module = FromNoise(generator, len(blueprint.classes))
    return Player(module, (z, *label_of(blueprint)), "image", "uint8", ("n", height, width, channels), IMAGE)


def filming(generator: nn.Module, blueprint: video.Blueprint) -> Player:
    """Clips out of noise."""
    assert isinstance(generator, video_networks.Generator), "the blueprint makes no other"
    channels, height, width = blueprint.shape
    spacing, dim = blueprint.spacing, blueprint.motion_dim
    needed = f"{generator.motion.vectors(0)}, and one more for each {spacing:g} s up to the last of the times"
    needed += "; the first acts all the time" if blueprint.course else ""
    inputs = (
        Input("content", "float32", ("n", blueprint.z_dim), "standard normal numbers: what is seen", normal),
        Input("motion", "float32", ("n", "anchors", dim), f"standard normal numbers: how it moves; {needed}", normal),
        Input("times", "float32", ("n", "frames"), "seconds from 0 on, a moment for each frame", moments(spacing)),
        *label_of(blueprint),
    )
    axes: Axes = ("n", "frames", height, width, channels)
    return Player(Filming(generator, len(blueprint.classes)), inputs, "clip", "uint8", axes, CLIP)


def label_of(blueprint: generate.Blueprint | video.Blueprint) -> list[Input]:
    """The class number that a generator takes, if it knows classes."""
    if not (classes := len(blueprint.classes)):
        return []
    about = f"number of a class, 0 to {classes - 1}, in the order of `class_names`"
    return [Input("label", "int64", ("n",), about, whole_numbers(0, classes))]


def restoring(generator: nn.Module, blueprint: restore.Blueprint) -> Player:
    """Pictures made good."""
    inputs, axes = [picture_input(blueprint.channels)], ("n", "height", "width", blueprint.channels)
    if blueprint.takes_mask:
        about = f"where to fill: above {HOLE} a hole, else known; what is known comes back as it was"
        inputs.append(Input("mask", "uint8", ("n", "height", "width"), about, black_or_white))
    if (scale := blueprint.scale) > 1:
        axes = ("n", f"{scale} height", f"{scale} width", blueprint.channels)
    return Player(Restoring(generator), tuple(inputs), "image", "uint8", axes, IMAGE)


def translating(generator: nn.Module, blueprint: translate.Blueprint) -> Player:
    """Pictures into those of another kind."""
    strength = Input("strength", "float32", ("n",), "from 0, the picture as it was, to 1, as learned", uniform)
    inputs = [picture_input(blueprint.channels), strength]
    if blueprint.styles:
        about = "share of each style in the order of `styles`; a row sums to 1"
        inputs.append(Input("style", "float32", ("n", len(blueprint.styles)), about, shares))
    axes = ("n", "height", "width", blueprint.channels)
    return Player(Translating(generator), tuple(inputs), "image", "uint8", axes, IMAGE)


def writing(generator: nn.Module, blueprint: sequences.Blueprint) -> Player:
    """Texts, a symbol at a time."""
    assert isinstance(generator, Generator), "the blueprint makes no other"
    about = f"{START}, then the tokens so far; at most {blueprint.longest} in all"
    size = blueprint.symbols.size
    tokens = Input("tokens", "int64", ("n", "length"), about, sentences(size))
    given = "of the token after each place; exp(log_probabilities[:, -1]) are the chances of the next"
    axes, module = ("n", "length", size), Writing(generator)
    return Player(module, (tokens,), "log_probabilities", "float32", axes, f"logarithms, {given}", blueprint.longest)


CLIP = "frame by frame; rows from the top, in each pixels from the left, in each grey or red, green, blue, 0 to 255"
IMAGE = "rows from the top, in each pixels from the left, in each grey or red, green, blue (and alpha), 0 to 255"


def picture_input(channels: int) -> Input:
    """Pictures of any size."""
    return Input("picture", "uint8", ("n", "height", "width", channels), IMAGE, whole_numbers(0, 256, torch.uint8))


def normal(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Latents."""
    return torch.randn(shape, generator=random)


def uniform(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Strengths."""
    return torch.rand(shape, generator=random)


def moments(spacing: float) -> Draw:
    """Times that the anchors of trials suffice for."""
    return lambda shape, random: 3 * spacing * torch.rand(shape, generator=random)


def shares(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Mixtures of styles."""
    drawn = uniform(shape, random) + 1e-3
    return drawn / drawn.sum(-1, keepdim=True)


def black_or_white(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Masks with holes in a third of the places."""
    return (uniform(shape, random) > 2 / 3).to(torch.uint8) * 255


def whole_numbers(low: int, high: int, dtype: torch.dtype = torch.int64) -> Draw:
    """Numbers from `low` to `high` - 1."""
    return lambda shape, random: torch.randint(low, high, shape, generator=random, dtype=dtype)


def sentences(size: int) -> Draw:
    """Tokens of a vocabulary of so many, after START."""

    def drawn(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
        tokens = torch.randint(SPECIAL, size, shape, generator=random)
        tokens[:, 0] = START
        return tokens

    return drawn


def symbols_of(blueprint: sequences.Blueprint) -> Sequence[bytes]:
    """What each token from SPECIAL on is written as; those of a text joined and read as UTF-8 are the text."""
    description = blueprint.vocabulary
    if description["kind"] == "bpe":
        letters = bytes_by_letter()
        alphabet = sorted(letters)
        joined = [merge.replace(" ", "") for merge in description["merges"]]
        return [bytes(letters[letter] for letter in piece) for piece in dict.fromkeys([*alphabet, *joined])]
    return [symbol.encode("utf-8", "surrogatepass") for symbol in description["symbols"]]


def bytes_by_letter() -> dict[str, int]:
    """The byte that each of the 256 letters stands for in which GPT-2 writes bytes (Radford et al. 2019).

    Those that can be printed stand for themselves, the others are counted up from U+0100.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}
