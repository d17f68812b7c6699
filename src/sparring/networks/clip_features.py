"""Feature spaces of clips: a clip becomes one row of numbers, of what is seen and of how it moves.

`CLIP_SPACES` lists those that have a name; `open_clip_features` gives one by name, or I3D with the weights that people
have. The default needs no download. Of every space comes a row for each frame as well, for what is asked of frames.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from sparring.data import to_bytes
from sparring.errors import MetricError
from sparring.networks.efficientnet_lite import LAST, EfficientNetLite0, Precision, lite0
from sparring.networks.features import Card
from sparring.networks.foreign import opened_script
from sparring.networks.resizing import fit

SEEN, MOVING = 16, 8
"""Strides of the maps by which it is told what is seen, and how it changes: coarse ones hardly notice small steps."""

CHANNELS = {8: 40, 16: 112}
LAGS = (1, 4)
"""Frames apart that change is measured over: from frame to frame, and over a movement."""

SIDE = 64
"""Pixels a side that frames are brought to. Frames shuffled, slowed down or blended stand out from real ones about as
much as at 96, at less than half the time."""

I3D_FRAMES = 10
"""Frames that a clip needs at least to pass through I3D."""


@dataclass(frozen=True)
class Watched:
    """What a space sees. clips: float32 (n, D), a row for each. frames: float32 (n, T, F), a row for each frame."""

    clips: Tensor
    frames: Tensor


class ClipFeatures(Protocol):
    """A frozen network that turns clips into features."""

    @property
    def card(self) -> Card:
        """What it is."""

    @property
    def least(self) -> int:
        """Frames that a clip needs to be seen."""

    def watched(self, clips: Tensor) -> Watched:
        """Features of clips float (n, T, 3, H, W) in [-1, 1], T at least `least`, and of their frames.

        Raises: MetricError if it fails on them.
        """


class FramesAndChanges(nn.Module):
    """What a network of pictures sees of the frames of a clip, and how that changes.

    A clip's features are: the mean over time and places of the maps of stride 16 (112); then, for frames 1 and 4 apart,
    the root mean square over time and places of the change of the maps of stride 8 (40 each). The first tell what is
    seen and how well it is drawn; frames out of order, a clip that stands still, or one that is too slow or flickers,
    are told by the others: the same object at another place is another map, though its mean over places is not. Frames
    alone have the mean over places of the maps of stride 16.
    """

    least = max(LAGS) + 1

    def __init__(self, network: EfficientNetLite0, name: str) -> None:
        super().__init__()
        self.network = network
        self.card = replace(
            network.card,
            name=name,
            title=f"frames, and their change over {LAGS[0]} and {LAGS[1]}, as {network.card.title}, sees them",
            dimension=CHANNELS[SEEN] + len(LAGS) * CHANNELS[MOVING],
            strides=None,
            classes=0,
        )

    def watched(self, clips: Tensor) -> Watched:
        """See `ClipFeatures`."""
        count, frames = clips.shape[:2]
        maps = self.maps(fit(clips.flatten(0, 1), self.card))
        seen = maps[SEEN].mean((2, 3)).view(count, frames, -1)
        moving = maps[MOVING].reshape(count, frames, *maps[MOVING].shape[1:])
        changes = [(moving[:, lag:] - moving[:, :-lag]).square().mean((1, 3, 4)).sqrt() for lag in LAGS]
        return Watched(torch.cat([seen.mean(1), *changes], 1), seen)

    def maps(self, frames: Tensor) -> Mapping[int, Tensor]:
        """The two maps, float32 (N, C, h, w) by stride; the rest of the network is not gone through."""
        x, maps = self.network.start(frames), {}
        for index, block in enumerate(self.network.blocks):
            x = block(x)
            if LAST.get(index) in CHANNELS:
                maps[LAST[index]] = x.float()
            if LAST.get(index) == SEEN:
                break
        return maps


class I3D(nn.Module):
    """The network of the Frechet video distance, from the TorchScript file that StyleGAN-V and others use.

    The file's program resizes and rescales by itself, as it did for published numbers: it takes uint8 (N, 3, T, H, W)
    and gives (N, 400) features before the softmax. Frames are seen by `frames`, a space of the other kind.

    Source: Unterthiner et al. 2018, arXiv 1812.01717; called as in StyleGAN-V (src/metrics/frechet_video_distance.py).
    """

    least = I3D_FRAMES

    def __init__(self, path: Path, frames: FramesAndChanges) -> None:
        super().__init__()
        self.path = path
        self.module, digest = opened_script(path)
        self.frames = frames
        self.card = Card(
            name="i3d",
            title="I3D, trained on Kinetics-400",
            dimension=0,
            size=None,
            resize="none",
            licence="that of the file",
            digest=digest,
            source="Unterthiner et al. 2018, arXiv 1812.01717",
        )
        with torch.inference_mode():
            features = self.features(torch.zeros(1, 3, 16, 32, 32, dtype=torch.uint8))
        self.card = replace(self.card, dimension=features.shape[1])

    def watched(self, clips: Tensor) -> Watched:
        """See `ClipFeatures`."""
        return Watched(self.features(to_bytes(clips).movedim(1, 2).contiguous()), self.frames.watched(clips).frames)

    def features(self, clips: Tensor) -> Tensor:
        """(N, D) of uint8 (N, 3, T, H, W).

        Raises: MetricError if the file's program fails, saying what it says, or gives something else.
        """
        try:
            found = self.module(clips, rescale=True, resize=True, return_features=True)
        except Exception as error:  # whatever a user's program raises is its own to know
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            why = lines[-1] if lines else type(error).__name__
            raise MetricError(
                f"{self.path}: fails on clips of shape {tuple(clips.shape)}: {why}; i3d= takes i3d_torchscript.pt, as "
                "StyleGAN-V and others compute FVD with it"
            ) from error
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(clips):
            got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise MetricError(f"{self.path}: gives {got} for {len(clips)} clips; expected (clips, features)")
        return found.float()


@dataclass(frozen=True)
class ClipSpace:
    """A feature space with a name: what it is good for, and how it is opened, with the weights at a path if given."""

    about: str
    open: Callable[[Path | None], FramesAndChanges | I3D]


def _lite0(path: Path | None, *, name: str, side: int = SIDE, precision: Precision = "fp32") -> FramesAndChanges:
    return FramesAndChanges(lite0(path, size=side, precision=precision), name)


def _i3d(path: Path | None) -> I3D:
    if path is None:
        raise MetricError("i3d: its weights are not part of this program; write i3d=FILE for an i3d_torchscript.pt")
    return I3D(path, _lite0(None, name=DEFAULT))


DEFAULT = "lite0-clips"

CLIP_SPACES: dict[str, ClipSpace] = {
    DEFAULT: ClipSpace(
        "what EfficientNet-Lite0, trained on ImageNet, sees of the frames at 64 pixels a side, and how it changes; "
        "needs no download",
        partial(_lite0, name=DEFAULT),
    ),
    f"{DEFAULT}-bf16": ClipSpace(
        "the same in half precision: about twice as fast where the processor has it",
        partial(_lite0, name=f"{DEFAULT}-bf16", precision="bf16"),
    ),
    f"{DEFAULT}-128": ClipSpace(
        "the same at 128 pixels a side: sees finer faults, and takes four times as long",
        partial(_lite0, name=f"{DEFAULT}-128", side=128),
    ),
    "i3d": ClipSpace(
        "the network of FVD, as i3d=FILE with the TorchScript file that StyleGAN-V uses: comparable with published "
        "numbers",
        _i3d,
    ),
}
"""The feature spaces of clips that have a name."""


def open_clip_features(name: str, device: torch.device | str = "cpu") -> ClipFeatures:
    """The feature space of clips that a person means, frozen, on `device`.

    name: one of `CLIP_SPACES`, or NAME=FILE for one whose weights lie there. A TorchScript file runs what is in it:
    open none that you would not run.
    Raises: MetricError if there is no such space, or its weights are missing or damaged.
    """
    space, _, path = name.partition("=")
    if space not in CLIP_SPACES:
        close = difflib.get_close_matches(space, CLIP_SPACES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise MetricError(f"{name}: no such feature space of clips; there is {', '.join(CLIP_SPACES)}=FILE{hint}")
    network = CLIP_SPACES[space].open(Path(path).expanduser() if path else None)
    return network.eval().requires_grad_(False).to(device)
