"""DINOv2 (Oquab et al. 2023): vision transformers trained without labels on 142 million pictures.

Stein et al. 2023 compared nine feature networks with the judgement of a thousand people, and recommend the Frechet
distance in the space of this one, ViT-L/14, in place of Inception's. Its weights, in Meta's own files, are downloaded
when they are first used; a file of the small or the base model can be named instead.
"""

from collections.abc import Mapping
from math import isqrt
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.errors import MetricError
from sparring.networks.features import Card, frozen, no_classes
from sparring.networks.weights import Check, Weights, fill, find, load

FILE = "dinov2_vitl14_pretrain.pth"
URL = f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/{FILE}"
CHECK = Check(sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428")

KNOWN = {384: "ViT-S/14", 768: "ViT-B/14", 1024: "ViT-L/14"}
"""The published models, by the length of their vectors."""

SIZE = 224
HEAD = 64
"""Numbers of each attention head."""

EPS = 1e-6
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's colours in [0, 1]."""


class Scale(nn.Module):
    """x times a learned number a channel (LayerScale, Touvron et al. 2021)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(size))

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) to (..., size)."""
        return x * self.gamma


class Attention(nn.Module):
    """Self-attention with heads of 64 numbers (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(size, 3 * size)
        self.proj = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, size) to (N, tokens, size)."""
        query, key, value = self.qkv(x).unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected


class Perceptron(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, size: int, wide: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(size, wide)
        self.fc2 = nn.Linear(wide, size)

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) to (..., size)."""
        y: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return y


class Block(nn.Module):
    """Attention between tokens, then a perceptron on each, both added to what comes in."""

    def __init__(self, size: int, wide: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size, eps=EPS)
        self.attn = Attention(size)
        self.ls1 = Scale(size)
        self.norm2 = nn.LayerNorm(size, eps=EPS)
        self.mlp = Perceptron(size, wide)
        self.ls2 = Scale(size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, size) to (N, tokens, size)."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        x = x + self.ls2(self.mlp(self.norm2(x)))
        return x


class PatchEmbed(nn.Module):
    """A vector for each patch of the picture."""

    def __init__(self, size: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, size, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, H / patch * W / patch, size)."""
        y: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return y


class DINOv2(nn.Module):
    """A `FeatureNetwork` of 384, 768 or 1024 features, and as many channels in its map, at stride 14.

    `pooled` is the class token, the map the patch tokens, both after the last normalisation. The sizes are those of the
    file. Sides of pictures are multiples of 14.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        tensors = weights.tensors
        size, depth, wide, patch, places = sizes(tensors)
        self.patch = patch
        with torch.device("meta"):  # shapes only: nothing is drawn, and no time goes into values that are replaced
            self.cls_token = nn.Parameter(torch.empty(1, 1, size))
            self.pos_embed = nn.Parameter(torch.empty(1, 1 + places, size))
            self.patch_embed = PatchEmbed(size, patch)
            self.blocks = nn.ModuleList(Block(size, wide) for _ in range(depth))
            self.norm = nn.LayerNorm(size, eps=EPS)
        # The mask token serves training only.
        fill(self, {name: value for name, value in tensors.items() if name != "mask_token"}, "DINOv2")
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)
        frozen(self)
        self.card = Card(
            name="dinov2",
            title=f"DINOv2 {KNOWN.get(size, f'with {depth} blocks')}, trained without labels on LVD-142M",
            dimension=size,
            size=(SIZE, SIZE),
            resize="bicubic antialiased",
            licence="Apache-2.0",
            digest=weights.digest,
            source="Oquab et al. 2023, arXiv 2304.07193; Stein et al. 2023, arXiv 2306.04675; " + URL,
            strides={patch: size},
        )

    def pooled(self, pictures: Tensor) -> Tensor:
        """See `FeatureNetwork`. Raises MetricError for pictures whose sides are no multiples of the patch."""
        return self.tokens(pictures)[:, 0].float()

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        """See `FeatureNetwork`. Raises MetricError for pictures whose sides are no multiples of the patch."""
        count, _, height, width = pictures.shape
        tokens = self.tokens(pictures)[:, 1:].transpose(1, 2)
        return {self.patch: tokens.reshape(count, -1, height // self.patch, width // self.patch)}

    def logits(self, pooled: Tensor) -> Tensor:
        """Raises MetricError: it tells no classes apart."""
        raise no_classes(self.card)

    def tokens(self, pictures: Tensor) -> Tensor:
        """The class token and one token a patch, (N, 1 + patches, size)."""
        height, width = pictures.shape[2:]
        if height % self.patch or width % self.patch:
            raise MetricError(f"pictures of {height}x{width} pixels; DINOv2 takes sides that are multiples of 14")
        x = ((pictures + 1) / 2 - self.mean) / self.std
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        x = x + self.places(height // self.patch, width // self.patch)
        for block in self.blocks:
            x = block(x)
        normalised: Tensor = self.norm(x)
        return normalised

    def places(self, height: int, width: int) -> Tensor:
        """The learned vectors of the places of a grid, (1, 1 + height * width, size), interpolated from those trained.

        The grid is stretched to 0.1 patches more than there are, and cut off: so the published features were made.
        """
        trained = isqrt(self.pos_embed.shape[1] - 1)
        if height == width == trained:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].transpose(1, 2).reshape(1, -1, trained, trained)
        stretch = ((height + 0.1) / trained, (width + 0.1) / trained)
        grid = F.interpolate(grid, scale_factor=stretch, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)


def dinov2(path: Path | None = None) -> DINOv2:
    """The large model, found or downloaded; or the model in a file of Meta's layout at `path`.

    Raises: MetricError if the weights are missing or damaged.
    """
    return DINOv2(load(path, Check()) if path is not None else load(find(FILE, CHECK, URL), CHECK))


def sizes(tensors: Mapping[str, Tensor]) -> tuple[int, int, int, int, int]:
    """Length of the vectors, blocks, width of the perceptrons, patch, and places trained, of a file of weights.

    Raises: MetricError for other files, and for the models with registers or gated perceptrons.
    """
    if "register_tokens" in tensors:
        raise MetricError("weights of DINOv2 with registers; the models without them are read here")
    if "blocks.0.mlp.w12.weight" in tensors:
        raise MetricError("weights of DINOv2 ViT-g/14; the models S, B and L are read here")
    try:
        size, _, patch, _ = tensors["patch_embed.proj.weight"].shape
        wide = len(tensors["blocks.0.mlp.fc1.weight"])
        places = tensors["pos_embed"].shape[1] - 1
    except (KeyError, ValueError, IndexError) as error:
        raise MetricError("not weights of DINOv2 in Meta's layout") from error
    if size % HEAD or isqrt(places) ** 2 != places:
        raise MetricError(f"weights of {size} features and {places} places: not a DINOv2 model")
    depth = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
    return size, depth, wide, patch, places
