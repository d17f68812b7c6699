"""Every test of the data keeps its decoded pictures in a folder of its own."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SPARRING_CACHE", str(folder))
    return folder


@pytest.fixture
def noise() -> Callable[..., Image.Image]:
    """A function of (height, width) and a seed that gives an RGB picture of noise."""

    def make(height: int = 12, width: int = 16, seed: int = 0) -> Image.Image:
        return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))

    return make


@pytest.fixture
def pictures(tmp_path: Path, noise: Callable[..., Image.Image]) -> Path:
    """A folder of two classes: cat/0.png ... cat/3.png and dog/0.png ... dog/5.png, 12 x 16 pixels."""
    folder = tmp_path / "pictures"
    for name, count in (("cat", 4), ("dog", 6)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noise(seed=len(name) * 100 + i + ord(name[0])).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def shades() -> Callable[..., NDArray[np.uint8]]:
    """A function of count, height and width that gives frames (T, H, W, 3), each grey, 10 lighter than the one before.

    Coding keeps such levels, so that a frame is known by its mean.
    """

    def make(count: int = 8, height: int = 32, width: int = 48) -> NDArray[np.uint8]:
        levels = 20 + 10 * np.arange(count, dtype=np.uint8)
        return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()

    return make


@pytest.fixture
def film() -> Callable[..., Path]:
    """A function that writes frames (T, H, W, 3) as a film: (path, frames, rate), `times` in ms, `turn` in degrees."""
    av = pytest.importorskip("av")
    codecs = {".webm": "libvpx", ".avi": "mpeg4", ".mpg": "mpeg2video", ".wmv": "wmv2", ".flv": "flv"}

    def write(
        path: Path,
        frames: NDArray[np.uint8],
        rate: int = 25,
        times: Sequence[int] | None = None,
        turn: int | None = None,
        **options: str,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codecs.get(path.suffix, "libx264"), rate=rate, options=options)
            stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
            stream.codec_context.thread_count = 1
            if turn is not None:
                stream.set_display_rotation(turn)
            if times is not None:
                stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            for number, each in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(each, format="rgb24")
                if times is not None:
                    frame.pts, frame.time_base = times[number], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write
