"""A quick guess of the latent of a picture, by a network that learns from the generator's own samples.

There are as many of them as one likes, each with the latent it was made of, so that nothing need be labelled. It lies
beside the generator, with the digest of that generator: of another one it would be worth nothing.
"""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from sparring.data import to_floats
from sparring.latents.decoders import Decoder
from sparring.latents.likeness import as_seen
from sparring.model import FILE, write_tensors
from sparring.networks.layers import SLOPE, Shape, halvings
from sparring.networks.resizing import resize
from sparring.tasks.generate import FORWARD
from sparring.training.files import checksum, writing

NAME = "encoder.safetensors"
FORMAT = "sparring encoder 1"
"""The entry of the file's metadata that says what it belongs to, as JSON."""

STEPS = 1000
BATCH = FORWARD
LEARNING_RATE = 1e-3
WIDTH, MOST_CHANNELS, HIDDEN = 32, 256, 512

SIDE = 32
"""Pixels that the longer side is reduced to: what is finer than that, z hardly tells, and time goes with the area."""

PICTURES = 1.0
"""Weight of the mean squared error of the picture that the guess gives: it counts where z can be told no better."""

SEED = 2**63 - 3
"""Of the samples it learns from: others than a person makes and judges it by."""


class Encoder(nn.Module):
    """Pictures (n, C, H, W) in [-1, 1] to z (n, z_dim) and logits of classes (n, classes); never mixes samples.

    Averaged down to 32x32, then strided convolutions down to about 4x4, each normalised over its own sample, then two
    dense layers.
    """

    def __init__(self, shape: Shape, z_dim: int, classes: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        scale = min(1.0, SIDE / max(shape[1:]))
        self.size = (max(4, round(scale * shape[1])), max(4, round(scale * shape[2])))
        grids = halvings(*self.size)
        channels = [min(WIDTH * 2**level, MOST_CHANNELS) for level in range(len(grids))]
        layers: list[nn.Module] = [*unit(shape[0], channels[0], 1)]
        for before, after in pairwise(channels):
            layers += unit(before, after, 2)
        places = self.size
        for _ in grids[1:]:
            places = ((places[0] + 1) // 2, (places[1] + 1) // 2)
        size = channels[-1] * places[0] * places[1]
        layers += [nn.Flatten(), nn.Linear(size, HIDDEN), nn.LeakyReLU(SLOPE), nn.Linear(HIDDEN, z_dim + classes)]
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        found: Tensor = self.layers(resize(pictures, self.size, "area"))
        return found[:, : self.z_dim], found[:, self.z_dim :]

    @torch.no_grad()
    def guess(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """z float32 (n, z_dim) and class numbers (n,), 0 without classes, of uint8 pictures; on the CPU."""
        device = next(self.parameters()).device
        found = [self(to_floats(part.to(device))) for part in torch.split(pictures, BATCH)]
        z, logits = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
        return z, logits.argmax(1) if logits.shape[1] else torch.zeros(len(z), dtype=torch.int64)


def unit(before: int, after: int, stride: int) -> tuple[nn.Module, ...]:
    """A 3x3 convolution, normalisation of each sample by itself, and an activation."""
    return nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(1, after), nn.LeakyReLU(SLOPE)


def encoder_for(
    model: Decoder, place: Path, *, steps: int = STEPS, progress: Callable[[str, int, int], None] | None = None
) -> tuple[Encoder, bool]:
    """The encoder that lies beside a generator, and True; or a new one, which is put there, and False.

    place: a run folder or its generator.safetensors. One of another generator, or that had fewer steps, is replaced.

    Raises: RunError if it cannot be written.
    """
    weights = place / FILE if place.is_dir() else place
    path, digest = beside(weights), checksum(weights)
    kept = read(model, path, digest, steps)
    if kept is not None:
        return kept, True
    encoder = train(model, steps, progress)
    aside = path.with_name(f".{path.name}.new")
    with writing(path.parent):
        try:
            write_tensors(encoder.state_dict(), aside, {FORMAT: json.dumps({"generator": digest, "steps": steps})})
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    return encoder, False


def beside(weights: Path) -> Path:
    """Where the encoder of a generator lies; of files with names of their own each has one."""
    return weights.with_name(NAME if weights.name == FILE else f"{weights.stem}.{NAME}")


def new(model: Decoder) -> Encoder:
    """One that has not learned anything, where the generator is."""
    blueprint = model.from_noise
    return Encoder(blueprint.shape, blueprint.z_dim, len(blueprint.classes)).to(model.device)


def read(model: Decoder, path: Path, digest: str, steps: int) -> Encoder | None:
    """A kept encoder; None if there is none, it is damaged, of another generator, or had fewer steps."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[FORMAT])
            if about["generator"] != digest or about["steps"] < steps:
                return None
            encoder = new(model)
            encoder.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        return None
    return encoder.eval().requires_grad_(False)


def train(model: Decoder, steps: int, progress: Callable[[str, int, int], None] | None = None) -> Encoder:
    """One that learned from `steps` batches of 32 fresh samples; the same each time on a CPU.

    Its loss is the squared error of z, and that of the picture which its guess gives, where a gradient comes back from
    there; cross-entropy of classes.
    """
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        encoder = new(model)
    device, floats = model.device, model.floats
    optimiser = torch.optim.Adam(encoder.parameters(), betas=(0.9, 0.99))
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / steps)
        z, labels = model.latents(BATCH, SEED, step * BATCH), model.labels(BATCH, SEED, step * BATCH)
        made = model.decode(z, labels if model.classes else None) if floats is None else None
        z, labels = z.to(device), labels.to(device)
        condition = model.from_noise.condition(labels)
        if floats is None:
            assert made is not None, "made above"
            pictures = to_floats(made).to(device)
        else:
            with torch.no_grad():
                pictures = floats(z, condition).float().clamp(-1, 1)
        guess, logits = encoder(pictures)
        loss = F.mse_loss(guess, z)
        if floats is not None:
            loss = loss + PICTURES * F.mse_loss(as_seen(floats(guess, condition)), pictures)
        if model.classes:
            loss = loss + F.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if progress is not None:
            progress("training the encoder", step + 1, steps)
    return encoder.eval().requires_grad_(False)
