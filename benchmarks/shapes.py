"""Does a coloured shape in generated clips keep its colour, and does it go where those of real clips go?

    python benchmarks/shapes.py shapes.zip clips.npy others.npy

Clips of one shape on an even ground, as MoCoGAN's synthetic set, and arrays that `sparring sample --frames 32 --out
clips.npy` wrote. The shape is what differs from the ground by more than a third of what differs most. Printed are, for
real clips and for each array:

steady: share of clips whose mean colour of the shape varies, over 16 frames, at most one and a half times as much as in
95 % of real ones. step: pixels from frame to frame along both axes, the median of all clips. spread: mean distance
between clips of which each is reduced to 8x8 pixels and four moments. way: pixels from the first to the last frame, the
mean. goes: how many clips have gone mostly to the left, to the right, up and down by then.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sparring import data
from sparring.data.decode import Form

SEEN, COARSE, MOMENTS = 16, 8, 4
SHARE, FAINT = 0.35, 60
"""Of the largest difference from the ground, and the least one that is taken for a shape."""

MOST = 128
Frames = NDArray[np.uint8]
"""(T, H, W, C)."""


@dataclass(frozen=True)
class Course:
    """What a threshold finds of a shape. colours: (T, C). centres: (T, 2), column and row."""

    colours: NDArray[np.float64]
    centres: NDArray[np.float64]

    @property
    def change(self) -> float:
        """Largest deviation of a colour over the first frames."""
        return float(self.colours[:SEEN].std(0).max())

    @property
    def step(self) -> float:
        return float(np.abs(np.diff(self.centres[:SEEN], axis=0)).sum(1).mean())


def found(clip: Frames) -> Course | None:
    """The shape of a clip; None if it is missing in any frame."""
    rows, columns = np.mgrid[: clip.shape[1], : clip.shape[2]]
    ground = np.median(clip.reshape(-1, clip.shape[3]), 0)
    colours, centres = [], []
    for frame in clip.astype(np.float64):
        weight = np.abs(frame - ground).sum(-1)
        if weight.max() <= FAINT:
            return None
        weight = np.where(weight > SHARE * weight.max(), weight, 0)
        weight /= weight.sum()
        colours.append((frame * weight[..., None]).sum((0, 1)))
        centres.append(((columns * weight).sum(), (rows * weight).sum()))
    return Course(np.stack(colours), np.array(centres))


def spread(clips: NDArray[np.uint8]) -> float:
    """Mean distance between clips (N, T, H, W, C), as the head of this file says."""
    taken = clips[:, :SEEN][:, :: SEEN // MOMENTS].astype(np.float64)
    n, moments, height, width, channels = taken.shape
    small = taken.reshape(n, moments, COARSE, height // COARSE, COARSE, width // COARSE, channels).mean((3, 5))
    flat = torch.from_numpy(small.reshape(n, -1))
    return float(torch.cdist(flat, flat).sum() / (n * (n - 1)))


def line(name: str, clips: NDArray[np.uint8], limit: float) -> str:
    """As people read it. limit: the most that the colour of a steady shape varies."""
    paths = [path for path in map(found, clips) if path is not None]
    steady = sum(path.change <= limit for path in paths) / len(clips)
    ways = np.array([path.centres[-1] - path.centres[0] for path in paths])
    across, down = ways.T
    sideways = np.abs(across) > np.abs(down)
    goes = [sideways & (across < 0), sideways & (across > 0), ~sideways & (down < 0), ~sideways & (down > 0)]
    step = np.median([path.step for path in paths])
    shares = ", ".join(f"{side.sum() / len(clips):.0%}" for side in goes)
    way = np.linalg.norm(ways, axis=1).mean()
    return f"{name} | {steady:.1%} | {step:.2f} | {spread(clips):.0f} | {way:.1f} | {shares}"


def main() -> None:
    """Reads the arguments, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, help="a folder or archive of clips, all of one length")
    parser.add_argument("made", type=Path, nargs="+", help="arrays uint8 (N, T, H, W, C)")
    arguments = parser.parse_args()
    arrays = {path.name: np.load(path) for path in arguments.made}
    _, frames, height, width, channels = next(iter(arrays.values())).shape
    whole = data.load_clips(arguments.real, Form(height, width, channels))
    numbers = np.linspace(0, len(whole) - 1, min(MOST, len(whole))).round().astype(int)
    real = torch.stack([whole.clip(int(number))[:frames] for number in numbers]).permute(0, 1, 3, 4, 2).numpy()
    limit = 1.5 * float(np.quantile([path.change for path in map(found, real) if path is not None], 0.95))
    print("clips | steady | step | spread | way | goes left, right, up, down")
    for name, clips in {"real": real, **arrays}.items():
        print(line(name, clips, limit))


if __name__ == "__main__":
    main()
