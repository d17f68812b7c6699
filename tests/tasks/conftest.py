from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_sample_image


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small photographs, cut out of one that scikit-learn carries, of three sizes."""
    folder = tmp_path_factory.mktemp("photographs")
    china = Image.fromarray(load_sample_image("china.jpg"))
    for number in range(12):
        left, top = number % 4 * 150, number // 4 * 130
        width, height = ((96, 96), (120, 80), (64, 110))[number % 3]
        china.crop((left, top, left + width, top + height)).save(folder / f"{number:02}.png")
    return folder
