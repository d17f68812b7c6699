"""What is known of the clips of one side, computed in one pass over them, and kept for the next time."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from sparring.data import cache, to_floats
from sparring.data.sources import Progress
from sparring.errors import MetricError
from sparring.evaluation.extraction import as_rgb, without_tf32
from sparring.evaluation.galleries import spread
from sparring.evaluation.reels import Reel
from sparring.metrics.consistency import colours, drift
from sparring.metrics.motion import speeds
from sparring.networks.clip_features import ClipFeatures
from sparring.networks.features import Card
from sparring.ranks import ALONE, Ranks

VERSION = 1
"""Of the way that clips are looked at: what is kept of another one is not used."""

CHUNK = 16
"""Clips asked for at a time: what a generator makes with the same latents at once."""

ROOM = 32 * 2**20
"""Bytes that the float frames of one pass through a network may take."""

LOOKED_AT = 4
"""Frames of a clip that stand for all of them where single frames are compared."""


@dataclass(frozen=True)
class Profile:
    """Rows for each of N clips, on the CPU, float32.

    clips: (N, D). frames: (N, 4, F), of frames evenly in time. drift, colours: (N, T - 1), how far each later frame is
    from the first in features of frames and in colours. speeds: (N, SPEEDS), see `metrics.motion.speeds`.
    """

    clips: Tensor
    frames: Tensor
    drift: Tensor
    colours: Tensor
    speeds: Tensor

    def __len__(self) -> int:
        return len(self.clips)

    def tensors(self) -> dict[str, Tensor]:
        """All of them by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def first(self, count: int) -> "Profile":
        """Of the first so many clips."""
        return Profile(**{name: rows[:count] for name, rows in self.tensors().items()})


@torch.inference_mode()
@without_tf32()
def profile_of(
    reel: Reel,
    space: ClipFeatures,
    device: str = "cpu",
    progress: Progress | None = None,
    stage: str = "",
    ranks: Ranks = ALONE,
) -> Profile:
    """Looks at all clips. Ranks take chunks in turn, and all get everything.

    Raises: MetricError if there are none, or they have fewer frames than the space needs.
    """
    if not len(reel):
        raise MetricError("no clips; at least 2 are needed")
    if reel.shape[0] < space.least:
        raise MetricError(
            f"clips of {reel.shape[0]} frames: {space.card.name} needs {space.least} at least to see how they move"
        )

    def look(start: int, stop: int) -> dict[str, Tensor]:
        parts = [seen(piece.to(device), space).tensors() for piece in pieces(reel.clips(start, stop), space.card)]
        if progress:
            progress(stage, stop, len(reel))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    chunks = ranks.in_turn(len(reel), CHUNK, look)
    return Profile(**{name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]})


def seen(clips: Tensor, space: ClipFeatures) -> Profile:
    """Of clips uint8 (n, T, C, H, W) on a device."""
    count, frames = clips.shape[:2]
    pictures = as_rgb(to_floats(clips.flatten(0, 1)))
    watched = space.watched(pictures.view(count, frames, *pictures.shape[1:]))
    found = Profile(
        watched.clips,
        watched.frames[:, spread(frames, LOOKED_AT)],
        drift(watched.frames),
        drift(colours(clips[:, :, :3])),
        speeds(clips),
    )
    return Profile(**{name: rows.float().cpu() for name, rows in found.tensors().items()})


def remembered_profile(
    reel: Reel,
    fingerprint: str,
    space: ClipFeatures,
    device: str = "cpu",
    progress: Progress | None = None,
    stage: str = "",
) -> Profile:
    """`profile_of`, kept in the cache folder for clips that have a fingerprint of their content and of which they are.

    As `extraction.remembered_features` does: what is damaged is made again, and a folder that cannot be written is no
    error.
    """
    card = {name: value for name, value in asdict(space.card).items() if name in ("name", "size", "digest")}
    about = {"clips": fingerprint, "count": len(reel), "shape": reel.shape, "card": card, "way": VERSION}
    about["on"] = torch.device(device).type
    key = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16).hexdigest()
    path = cache.folder() / "features" / f"{key}.safetensors"
    if (kept := _read(path, len(reel))) is not None:
        return kept
    found = profile_of(reel, space, device, progress, stage)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with cache.aside(path) as stream:
            stream.write(save({name: rows.contiguous() for name, rows in found.tensors().items()}))
    return found


def pieces(clips: Tensor, card: Card) -> Iterator[Tensor]:
    """The clips, so many at a time that their frames fit into `ROOM`."""
    height, width = (max(sides) for sides in zip(card.size or (0, 0), clips.shape[3:], strict=True))
    return iter(torch.split(clips, max(1, ROOM // (12 * clips.shape[1] * height * width))))


def _read(path: Path, count: int) -> Profile | None:
    try:
        kept: Mapping[str, Tensor] = load_file(path)
        found = Profile(**kept)
    except (OSError, SafetensorError, TypeError):
        return None
    sound = all(len(rows) == count and rows.isfinite().all() for rows in kept.values())
    return found if sound else None
