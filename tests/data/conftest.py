"""Every test of the data keeps its decoded pictures in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
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
