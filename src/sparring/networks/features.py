"""Frozen pretrained features: what a judge, a perceptual loss and a discriminator look through.

A `FeatureNetwork` gives one vector a picture (`pooled`), maps by stride (`maps`), and says on its `Card` what it is,
how it wants pictures, and under which licence its weights come. `SPACES` lists those that have a name; `open_features`
gives one by name, or by the path of a TorchScript or ONNX file.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from sparring.errors import MetricError

Resize = Literal["none", "bicubic antialiased", "bilinear antialiased", "bilinear TensorFlow 1", "area"]
"""How pictures come to the size that a network expects.

bicubic antialiased: as Pillow and clean-fid do (Parmar et al. 2022). bilinear TensorFlow 1: without antialiasing,
corners as TF1 took them: that of the original FID, and of most published numbers.
"""


@dataclass(frozen=True)
class Card:
    """What a feature network is; everything that a number measured with it depends on.

    name: short, as in `--features`. title: for people, says what it was trained on. dimension: length of the pooled
    vector, 0 if it depends on the pictures' shape. size: (height, width) that pictures are brought to, None for their
    own size. strides: channels of the maps by stride. classes: how many it tells apart, 0 if it is no classifier.
    trained_on: the set of pictures with classes that it learned from, or empty; networks that share one flatter each
    other's generators. precision: fp32 or bf16. digest: SHA-256 of the weights, hexadecimal; of what defines it where
    there are none. source: paper or address. channels: RGB, to which grey pictures and those with an alpha channel are
    brought first; or as they are, 1, 3 or 4, the fourth being alpha.
    """

    name: str
    title: str
    dimension: int
    size: tuple[int, int] | None
    resize: Resize
    licence: str
    digest: str
    source: str
    precision: Literal["fp32", "bf16"] = "fp32"
    strides: Mapping[int, int] | None = None
    classes: int = 0
    trained_on: str = ""
    channels: Literal["RGB", "as they are"] = "RGB"


class FeatureNetwork(Protocol):
    """A frozen network that turns pictures into features.

    Pictures are float in [-1, 1], (N, 3, H, W) and RGB unless its card says that channels are taken as they are.

    It does its own normalisation and never resizes: who calls brings pictures to `card.size` (the judge, by
    `resizing.fit`), or leaves them as they are (a discriminator). Gradients flow to the pictures, never to the weights.
    """

    @property
    def card(self) -> Card:
        """What it is."""

    def pooled(self, pictures: Tensor) -> Tensor:
        """One vector a picture, float32 (N, card.dimension)."""

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        """Feature maps (N, C, ceil(H / stride), ceil(W / stride)) by stride, finest first; empty if it has none.

        A network that does not pad has a few rows and columns fewer.
        """

    def logits(self, pooled: Tensor) -> Tensor:
        """Class scores (N, card.classes) of pooled vectors. Raises MetricError if `card.classes` is 0."""


@dataclass(frozen=True)
class Space:
    """A feature network with a name: what it is good for in a sentence, and how it is opened.

    `read` opens it with the weights of a given file; None where it has no weights.
    """

    about: str
    open: Callable[[], FeatureNetwork]
    read: Callable[[Path], FeatureNetwork] | None = None


def open_features(name: str, device: torch.device | str = "cpu") -> FeatureNetwork:
    """The feature network that a person means, frozen, on `device`.

    name: one of `SPACES`; NAME=PATH for one whose weights lie at PATH; or the path of a TorchScript (.pt, .pth, .ts)
    or ONNX file (.onnx). TorchScript files run what is in them: open none that you would not run.
    Raises: MetricError if there is no such network, or its weights are missing or damaged.
    """
    network = opener(name)()
    return network.to(device) if isinstance(network, nn.Module) else network


def opener(name: str) -> Callable[[], FeatureNetwork]:
    """What opens the network that `open_features` gives for a name; nothing is opened yet.

    Raises: MetricError if there is no such network, or no such file.
    """
    space, _, path = name.partition("=")
    if name in SPACES:
        return SPACES[name].open
    if path and space in SPACES:
        if (read := SPACES[space].read) is None:
            raise MetricError(f"{name}: {space} has no weights to read; write {space}")
        return partial(read, present(path))
    if (end := Path(name).suffix.lower()) in FILES and (not path or Path(name).expanduser().exists()):
        return partial(FILES[end], present(name))
    close = difflib.get_close_matches(space, SPACES, n=1)
    raise MetricError(
        f"{name}: no such feature network; there is {', '.join(SPACES)}, NAME=PATH for weights at a path, "
        f"and files that end in {', '.join(FILES)}{f'; did you mean {close[0]}?' if close else ''}"
    )


def present(path: str) -> Path:
    """A file that is there. Raises: MetricError otherwise."""
    file = Path(path).expanduser()
    try:
        file.stat()
    except OSError as error:
        raise MetricError(f"{file}: cannot be read: {error.strerror or error}") from None
    return file


def anchored(name: str) -> str:
    """The same network by a name that means the same in every folder: a path in it becomes absolute."""
    space, equals, path = name.rpartition("=")
    if name in SPACES or not (equals or Path(name).suffix.lower() in FILES):
        return name
    return f"{space}{equals}{Path(path).expanduser().absolute()}"


def no_classes(card: Card) -> MetricError:
    """The error of a network without class scores."""
    return MetricError(f"{card.name} tells no classes apart; inception and lite0 do")


Network = TypeVar("Network", bound=nn.Module)


def frozen(network: Network) -> Network:
    """The network evaluating, with weights that take no gradients and lie as convolutions like them best."""
    network.eval().requires_grad_(False)
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return network


# The networks are imported when they are opened: most commands need none, and none needs all.


def _pixels() -> FeatureNetwork:
    from sparring.networks import pixels

    return pixels.Pixels()


def _wavelets() -> FeatureNetwork:
    from sparring.networks import wavelets

    return wavelets.Wavelets()


def _lite0(path: Path | None = None) -> FeatureNetwork:
    from sparring.networks import efficientnet_lite

    return efficientnet_lite.lite0(path)


def _lite0_bf16(path: Path | None = None) -> FeatureNetwork:
    from sparring.networks import efficientnet_lite

    return efficientnet_lite.lite0(path, precision="bf16")


def _inception(path: Path | None = None) -> FeatureNetwork:
    from sparring.networks import inception

    return inception.inception(path)


def _inception_clean(path: Path | None = None) -> FeatureNetwork:
    from sparring.networks import inception

    return inception.inception(path, clean=True)


def _dinov2(path: Path | None = None) -> FeatureNetwork:
    from sparring.networks import dinov2

    return dinov2.dinov2(path)


def _torchscript(path: Path) -> FeatureNetwork:
    from sparring.networks import foreign

    return foreign.torchscript(path)


def _onnx(path: Path) -> FeatureNetwork:
    from sparring.networks import foreign

    return foreign.onnx(path)


SPACES: dict[str, Space] = {
    "pixels": Space("the pictures themselves, reduced to 16 pixels a side; needs nothing, knows nothing", _pixels),
    "wavelets": Space(
        "energies of fixed, oriented wavelets on a coarse grid; needs nothing, knows shapes, textures and colours",
        _wavelets,
    ),
    "lite0": Space(
        "EfficientNet-Lite0, trained on ImageNet, in a package: quick on a CPU, no download", _lite0, _lite0
    ),
    "lite0-bf16": Space(
        "the same in half precision: about twice as fast; distances differ from those of lite0 by some tenths of a per "
        "cent",
        _lite0_bf16,
        _lite0_bf16,
    ),
    "inception": Space(
        "the network of FID, pictures resized as in 2017: comparable with most published numbers",
        _inception,
        _inception,
    ),
    "inception-clean": Space(
        "the network of FID, pictures resized without aliasing: comparable with clean-fid",
        _inception_clean,
        _inception_clean,
    ),
    "dinov2": Space(
        "DINOv2 ViT-L/14, trained without labels: agrees best with people (Stein et al. 2023); slow on a CPU",
        _dinov2,
        _dinov2,
    ),
}
"""The feature networks that have a name."""

FILES: dict[str, Callable[[Path], FeatureNetwork]] = {
    ".pt": _torchscript,
    ".pth": _torchscript,
    ".ts": _torchscript,
    ".onnx": _onnx,
}
"""What opens a user's own network, by the end of the file's name."""
