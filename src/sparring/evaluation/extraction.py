"""From pictures to features: brought to what the network expects, through it in chunks, and kept for the next time."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from sparring.data import cache, to_floats
from sparring.data.sources import Progress
from sparring.evaluation.galleries import CHUNK, Gallery
from sparring.networks.features import Card, FeatureNetwork
from sparring.networks.pixels import SIDE
from sparring.networks.resizing import fit
from sparring.ranks import ALONE, Ranks

VERSION = 1
"""Of the way that pictures are brought to a network: kept features of another one are not used."""

ROOM = 32 * 2**20
"""Bytes that the float pictures of one pass through a network may take: what fits the caches is fastest on a CPU."""


def default_space(height: int, width: int) -> str:
    """The name of the feature space that pictures are judged in unless somebody names another.

    It needs no download and no preset trains through it. Tiny pictures are their own best features.
    """
    return "pixels" if max(height, width) <= SIDE else "wavelets"


def prepare(images: Tensor, card: Card) -> Tensor:
    """Pictures uint8 (N, C, H, W) as the network of `card` wants them: float in [-1, 1].

    They are resized as the card says, once, as floats.
    """
    pictures = to_floats(images)
    return fit(as_rgb(pictures) if card.channels == "RGB" else pictures, card)


def as_rgb(pictures: Tensor) -> Tensor:
    """Pictures (N, 1 | 3 | 4, H, W) in [-1, 1] with three channels: grey ones repeated, transparent ones on black."""
    if pictures.shape[1] == 4:
        return (pictures[:, :3] + 1) * (pictures[:, 3:] + 1) / 2 - 1
    return pictures.expand(-1, 3, -1, -1)


@contextmanager
def without_tf32() -> Iterator[None]:
    """No TF32 on GPUs, which is off by 1e-3 and would make features of another machine another protocol."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


@torch.inference_mode()
@without_tf32()
def features_of(
    gallery: Gallery,
    network: FeatureNetwork,
    device: str = "cpu",
    progress: Progress | None = None,
    stage: str = "",
    ranks: Ranks = ALONE,
) -> Tensor:
    """The pooled features of all pictures, float32 (N, D) on the CPU.

    Ranks take chunks in turn, and all get everything: the same numbers as one alone, which goes by the same chunks.
    """

    def look(start: int, stop: int) -> Tensor:
        pieces = _pieces(gallery.part(start, stop), network.card)
        found = [network.pooled(prepare(piece.to(device), network.card)).float().cpu() for piece in pieces]
        if progress:
            progress(stage, stop, len(gallery))
        return torch.cat(found)

    return torch.cat(ranks.in_turn(len(gallery), CHUNK, look))


def remembered_features(
    gallery: Gallery,
    fingerprint: str,
    network: FeatureNetwork,
    device: str = "cpu",
    progress: Progress | None = None,
    stage: str = "",
) -> Tensor:
    """`features_of`, kept in the cache folder for pictures that have a fingerprint of their content.

    The key is made of that fingerprint, which pictures are taken, and everything on the network's card: no path plays a
    part, so a changed picture is another key. What is damaged is made again; a folder that cannot be written is no
    error.
    """
    # The kind of device: GPUs sum in another order.
    kind = torch.device(device).type
    about = {"pictures": fingerprint, "count": len(gallery), "card": _on_card(network.card), "on": kind, "way": VERSION}
    key = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16).hexdigest()
    path = cache.folder() / "features" / f"{key}.safetensors"
    kept = _read(path, len(gallery), network.card.dimension)
    if kept is not None:
        return kept
    features = features_of(gallery, network, device, progress, stage)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with cache.aside(path) as stream:
            stream.write(save({"features": features}))
    return features


def _pieces(images: Tensor, card: Card) -> Iterator[Tensor]:
    height, width = card.size or images.shape[2:]
    return iter(torch.split(images, max(1, ROOM // (12 * height * width))))


def _on_card(card: Card) -> dict[str, Any]:
    """What features depend on: not the words for people."""
    wanted = ("dimension", "size", "resize", "digest", "precision", "channels")
    return {name: value for name, value in asdict(card).items() if name in wanted}


def _read(path: Path, count: int, dimension: int) -> Tensor | None:
    """Kept features (count, dimension), any number of features where the dimension is 0; None if there are none."""
    try:
        features = load_file(path)["features"]
    except (OSError, SafetensorError, KeyError):
        return None
    sound = features.ndim == 2 and len(features) == count and dimension in (0, features.shape[1])
    return features if sound and features.isfinite().all() else None
