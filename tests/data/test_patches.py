from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import load_patches, memory
from sparring.data.decode import Form
from sparring.data.patches import Patches, covering, cut
from sparring.errors import DataError

FORM = Form(16, 16, 3)


def coordinates(height: int, width: int) -> torch.Tensor:
    """A picture whose pixels say where they are: row, column, and 7."""
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width)[None].expand(height, width)
    return torch.stack([rows, columns, torch.full((height, width), 7)]).to(torch.uint8)


def some(sizes: list[tuple[int, int]], zoom: float = 1.0) -> Patches:
    return Patches([coordinates(*size) for size in sizes], (16, 16), zoom, None, (), "some", "f00")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (("a.png", (40, 30)), ("b.png", (20, 100)), ("c.png", (8, 12))):
        Image.fromarray(coordinates(*size).permute(1, 2, 0).numpy()).save(tmp_path / name)
    (tmp_path / "d.png").write_bytes(b"no picture")
    return tmp_path


def test_a_patch_is_a_part_of_its_picture_as_it_is() -> None:
    for patch in some([(40, 60)]).draw(3, 0, 32).images:
        top, left = int(patch[0, 0, 0]), int(patch[1, 0, 0])
        assert torch.equal(patch, coordinates(40, 60)[:, top : top + 16, left : left + 16])


def test_patches_come_from_everywhere_and_reach_every_edge() -> None:
    drawn = torch.cat([some([(20, 20)]).draw(0, position, 64).images for position in range(0, 512, 64)])
    assert set(drawn[:, 0, 0, 0].tolist()) == set(drawn[:, 1, 0, 0].tolist()) == {0, 1, 2, 3, 4}


def test_every_picture_is_shown_once_an_epoch_whatever_its_size() -> None:
    pictures = Patches(
        [torch.full((3, 16 + 9 * i, 20), i, dtype=torch.uint8) for i in range(6)], (16, 16), 1, None, (), "", ""
    )
    assert sorted(pictures.draw(1, 6, 6).images[:, 0, 0, 0].tolist()) == [0, 1, 2, 3, 4, 5]


def test_ranks_share_a_batch() -> None:
    whole = some([(40, 60), (30, 30)]).draw(5, 32, 32).images
    parts = [some([(40, 60), (30, 30)]).draw(5, 32, 32, rank, 2).images for rank in range(2)]
    assert torch.equal(whole, torch.cat(parts))


def test_a_patch_may_cover_more_and_is_reduced() -> None:
    flat = torch.full((3, 64, 80), 200, dtype=torch.uint8)
    assert torch.equal(cut(flat, (16, 16), 0.3, 0.9, 1.0, zoom=8), flat[:, :16, :16])
    rows = cut(coordinates(64, 64), (16, 16), 0, 0, 1.0, zoom=8)[0, :, 0]
    assert torch.equal(rows[1:-1], torch.arange(16)[1:-1] * 4 + 2)  # the mean of rows 4 i to 4 i + 3, rounded to even
    assert torch.equal(cut(coordinates(64, 64), (16, 16), 0, 0, 0.0, zoom=8)[0, :, 0], torch.arange(16))


def test_pictures_keep_their_size_within_bounds(folder: Path) -> None:
    found = load_patches(folder, FORM, longest=60, zoom=1)
    assert [tuple(picture.shape) for picture in found.pixels] == [(3, 40, 30), (3, 16, 80), (3, 16, 24)]
    assert [skipped.path for skipped in found.skipped] == ["d.png"]
    assert torch.equal(found.pixels[0], coordinates(40, 30))


def test_a_picture_covers_a_patch_in_any_case() -> None:
    assert covering(100, 200, FORM, longest=50) == (25, 50)
    assert covering(8, 8, FORM, longest=50) == (16, 16)
    assert covering(1000, 10, FORM, longest=500) == (1600, 16)


def test_a_strip_that_would_become_huge_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 20_000), np.uint8)).save(tmp_path / "strip.png")
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "whole.png")
    found = load_patches(tmp_path, FORM, longest=100, zoom=1)
    assert [(each.path, each.reason) for each in found.skipped] == [
        ("strip.png", "1x20000 pixels: too narrow for patches of 16x16")
    ]
    assert len(found) == 1


def test_pictures_for_which_there_is_no_memory_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 4 * 4 * 3 * 16 * 16 - 1)
    with pytest.raises(DataError, match="4 pictures do not fit into memory"):
        load_patches(folder, FORM, longest=100, zoom=1)


def test_held_out_pictures_are_never_drawn() -> None:
    pictures = Patches(
        [torch.full((3, 16, 16), i, dtype=torch.uint8) for i in range(20)], (16, 16), 1, None, (), "", "f"
    )
    shown, held_out = pictures.hold_out(4)
    assert held_out is not None
    seen = {int(value) for value in shown.draw(0, 0, 64).images[:, 0, 0, 0]}
    unseen = {int(picture[0, 0, 0]) for picture in held_out.own}
    assert len(unseen) == 4
    assert seen | unseen == set(range(20))
    assert not seen & unseen


def test_grey_pictures_and_classes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / name / "x.png")
    found = load_patches(tmp_path, Form(16, 16, 1), longest=100, zoom=1, labels=True)
    assert found.shape == (1, 16, 16)
    assert found.classes == ("one", "two")
    assert set(found.draw(0, 0, 2).labels.tolist()) == {0, 1}


def test_a_folder_without_a_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(DataError, match="no picture that can be used"):
        load_patches(tmp_path, FORM, longest=100, zoom=1)
