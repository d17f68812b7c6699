from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.data import Patches, TwoSets, load_two_sets
from sparring.data.decode import Form
from sparring.data.two_sets import sides
from sparring.errors import DataError


def painted(folder: Path, names: list[str], size: tuple[int, int] = (24, 20), shade: int = 0) -> Path:
    """Pictures of one grey each: `shade` plus their number."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), shade + number, np.uint8)).save(folder / name)
    return folder


def load(photographs: Path, paintings: Path, *, labels: bool = False, paired: bool = False) -> TwoSets | Patches:
    return load_two_sets(photographs, paintings, Form(16, 16, 3), longest=64, zoom=1.0, labels=labels, paired=paired)


def test_photographs_and_paintings_are_drawn_independently_and_batches_are_shared_out(tmp_path: Path) -> None:
    photographs = painted(tmp_path / "a", [f"{i}.png" for i in range(8)])
    paintings = painted(tmp_path / "b", [f"{i}.png" for i in range(8)], shade=100)
    data = load(photographs, paintings)
    batch = data.draw(0, 0, 64)
    assert batch.images.shape == (64, 6, 16, 16)
    before, after = (side.float().mean((1, 2, 3)) for side in sides(batch.images))
    assert sorted(set(before.tolist())) == list(range(8))
    assert sorted(set(after.tolist())) == list(range(100, 108))
    assert len({*zip(before.tolist(), after.tolist(), strict=True)}) > 8
    parts = [data.draw(0, 0, 64, rank, 4).images for rank in range(4)]
    assert torch.equal(torch.cat(parts), batch.images)
    assert not torch.equal(data.draw(0, 64, 64).images, batch.images)


def test_all_styles_come_equally_often(tmp_path: Path) -> None:
    paintings = painted(tmp_path / "b", ["monet/1.png", *(f"munch/{i}.png" for i in range(3))], shade=100)
    data = load(painted(tmp_path / "a", ["1.png"]), paintings, labels=True)
    assert data.classes == ("monet", "munch")
    batch = data.draw(0, 0, 60)
    assert batch.labels is not None
    assert torch.bincount(batch.labels).tolist() == [30, 30]
    _, after = sides(batch.images)
    assert torch.equal(batch.labels == 0, after[:, 0, 0, 0] == 100)


def test_what_is_held_out_is_never_drawn(tmp_path: Path) -> None:
    data = load(painted(tmp_path / "a", [f"{i}.png" for i in range(8)]), painted(tmp_path / "b", ["1.png"]))
    shown, held_out = data.hold_out(2)
    assert held_out is not None
    drawn, unseen = (set(sides(part.draw(0, 0, 32).images)[0][:, 0, 0, 0].tolist()) for part in (shown, held_out))
    assert len(drawn) == 6
    assert len(unseen) == 2
    assert not drawn & unseen


def test_of_a_rare_style_there_is_something_to_be_judged_by(tmp_path: Path) -> None:
    names = [*(f"monet/{i}.png" for i in range(97)), *(f"munch/{i}.png" for i in range(3))]
    data = load(painted(tmp_path / "a", ["1.png", "2.png", "3.png"]), painted(tmp_path / "b", names), labels=True)
    _, held_out = data.hold_out(1)
    assert isinstance(held_out, TwoSets)
    labels = held_out.draw(0, 0, 60).labels
    assert labels is not None
    assert torch.bincount(labels).tolist() == [30, 30]
    _, without = data.paintings.hold_out(5)
    assert without is not None
    assert without.draw(0, 0, 60).labels.unique().tolist() == [0]  # none of these five is of the rare style


def test_pairs_are_found_by_name_and_cut_alike(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 200, (3, 40, 30, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        for side, plus in (("a", 0), ("b", 55)):
            (tmp_path / side).mkdir(exist_ok=True)
            # In another order on the other side: by name alone they belong together.
            name = f"{number}.png" if side == "a" else f"{number}.bmp"
            Image.fromarray(pixels + np.uint8(plus)).save(tmp_path / side / name)
    data = load(tmp_path / "a", tmp_path / "b", paired=True)
    before, after = sides(data.draw(0, 0, 16).images)
    assert torch.equal(after, before + 55)


@pytest.mark.parametrize(
    ("before", "after", "size", "said"),
    [
        (["1.png", "2.png"], ["1.png"], (24, 20), "2.png"),
        (["1.png"], ["1.png", "2.png"], (24, 20), "2.png"),
        (["1.png"], ["1.png"], (20, 24), "24x20 and 20x24 pixels"),
        (["1.png", "x/1.png"], ["1.png"], (24, 20), "have the same name"),
        (["1.png"], ["1.png", "x/1.png"], (24, 20), "second picture of this name"),
    ],
)
def test_what_makes_no_pairs_is_refused(
    tmp_path: Path, before: list[str], after: list[str], size: tuple[int, int], said: str
) -> None:
    photographs, paintings = painted(tmp_path / "a", before), painted(tmp_path / "b", after, size)
    with pytest.raises(DataError, match=said):
        load(photographs, paintings, paired=True)


def test_an_empty_side_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="no picture that can be used"):
        load(painted(tmp_path / "a", ["1.png"]), tmp_path / "b")


def test_the_fingerprint_is_of_both_sets(tmp_path: Path) -> None:
    photographs, paintings = painted(tmp_path / "a", ["1.png"]), painted(tmp_path / "b", ["1.png"])
    other = painted(tmp_path / "c", ["1.png"], shade=9)
    prints = {
        load(*places, paired=paired).fingerprint
        for places in ((photographs, paintings), (photographs, other), (other, paintings))
        for paired in (False, True)
    }
    assert len(prints) == 6
