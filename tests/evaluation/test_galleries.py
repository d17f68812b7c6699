"""Pictures by number."""

from pathlib import Path

import pytest
import torch

from sparring import data
from sparring.data.decode import Form
from sparring.evaluation.galleries import Decoded, Drawn, chunks, reformed, take


def test_a_decoded_set_is_thinned_out_evenly(photos: Path) -> None:
    pictures = data.load(photos, resolution=(8, 8))
    gallery = Decoded(pictures, 10)
    assert gallery.numbers.tolist() == list(range(0, 40, 4))
    assert torch.equal(torch.cat(list(chunks(gallery, 3))), pictures.images[::4])
    assert torch.equal(take(gallery, torch.tensor([9, 0])), pictures.images[[36, 0]])


def test_pictures_of_another_form_are_brought_to_it_as_files_are() -> None:
    grey = torch.arange(4 * 64, dtype=torch.uint8).reshape(4, 1, 8, 8)
    gallery = Drawn(lambda start, stop: grey[start:stop], 4, (1, 8, 8))
    assert reformed(gallery, Form(8, 8, 1)) is gallery
    wanted = reformed(gallery, Form(4, 4, 3))
    assert wanted.shape == (3, 4, 4)
    made = wanted.part(1, 3)
    assert made.shape == (2, 3, 4, 4)
    assert torch.equal(made[:, 0], made[:, 2])
    assert made[0].float().mean() == pytest.approx(float(grey[1].float().mean()), abs=2)
