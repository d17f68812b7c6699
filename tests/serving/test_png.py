import io

import numpy as np
import pytest
from PIL import Image

from sparring.serving.png import png


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (16, 9)])
def test_another_reader_finds_every_pixel(channels: int, mode: str, size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    for pixels in (random.integers(0, 256, (*size, channels), np.uint8), np.full((*size, channels), 255, np.uint8)):
        with Image.open(io.BytesIO(png(pixels))) as picture:
            picture.verify()
        with Image.open(io.BytesIO(png(pixels))) as picture:
            assert picture.mode == mode
            assert np.array_equal(np.asarray(picture).reshape(pixels.shape), pixels)
