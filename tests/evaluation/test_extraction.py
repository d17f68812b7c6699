from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.evaluation.helpers import Means

from sparring import data
from sparring.data import cache
from sparring.evaluation import extraction
from sparring.evaluation.extraction import as_rgb, features_of, prepare, remembered_features
from sparring.evaluation.galleries import Decoded, Drawn


def decoded(folder: Path) -> tuple[Decoded, str]:
    pictures = data.load(folder, resolution=(8, 8))
    return Decoded(pictures, len(pictures)), pictures.fingerprint


def test_grey_becomes_three_equal_channels_and_transparent_pictures_lie_on_black(means: Means) -> None:
    grey = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 1, 3).expand(1, 1, 3, 3)
    assert torch.allclose(prepare(grey, means.card)[0, 2, 0, [0, 3]], torch.tensor([-1.0, 1.0]))
    half = torch.tensor([255, 0, 102, 51], dtype=torch.uint8).reshape(1, 4, 1, 1).float() / 127.5 - 1
    assert torch.allclose(as_rgb(half).flatten(), torch.tensor([51.0, 0.0, 20.4]) / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_in_pieces_or_at_once_is_the_same(
    photos: Path, means: Means, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, _ = decoded(photos)
    whole = means.pooled(prepare(gallery.part(0, 40), means.card))
    monkeypatch.setattr(extraction, "ROOM", 12 * 16 * chunk)
    assert torch.allclose(features_of(gallery, means), whole, atol=1e-7)


def test_features_of_known_pictures_are_kept_wherever_the_pictures_lie(
    photos: Path, means: Means, tmp_path: Path
) -> None:
    first = remembered_features(*decoded(photos), means)
    assert means.seen == 40
    photos.rename(tmp_path / "moved")
    assert torch.equal(remembered_features(*decoded(tmp_path / "moved"), means), first)
    assert means.seen == 40


def test_a_changed_picture_or_another_network_is_another_key(photos: Path, means: Means) -> None:
    remembered_features(*decoded(photos), means)
    remembered_features(*decoded(photos), Means(size=(2, 2)))
    assert len(list((cache.folder() / "features").iterdir())) == 2
    picture = next(photos.rglob("*.png"))
    pixels = np.array(Image.open(picture))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(picture)
    remembered_features(*decoded(photos), means)
    assert means.seen == 80


@pytest.mark.parametrize("damage", [b"", b"nothing", None])
def test_damaged_features_are_made_again(photos: Path, means: Means, damage: bytes | None) -> None:
    first = remembered_features(*decoded(photos), means)
    (path,) = (cache.folder() / "features").iterdir()
    path.write_bytes(path.read_bytes()[:-4] if damage is None else damage)
    assert torch.equal(remembered_features(*decoded(photos), means), first)
    assert means.seen == 80


def test_a_cache_that_cannot_be_written_is_no_error(
    means: Means, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "file"))
    gallery = Drawn(lambda start, stop: torch.zeros(stop - start, 3, 4, 4, dtype=torch.uint8), 5, (3, 4, 4))
    assert remembered_features(gallery, "fingerprint", means).eq(-1).all()
