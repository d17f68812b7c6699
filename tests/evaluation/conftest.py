from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.evaluation.helpers import Means


@pytest.fixture
def means() -> Means:
    return Means()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with 40 pictures of 8x8 in two classes: dark and bright ones."""
    draw = np.random.default_rng(0)
    for number in range(40):
        bright = number % 2
        folder = tmp_path / "photos" / ("bright" if bright else "dark")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(150 * bright, 100 + 150 * bright, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return tmp_path / "photos"
