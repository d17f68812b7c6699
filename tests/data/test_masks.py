import pytest
import torch

from sparring.data import masks
from sparring.errors import SettingError
from sparring.randomness import Random


@pytest.mark.parametrize("kind", masks.KINDS)
@pytest.mark.parametrize(("height", "width"), [(96, 96), (40, 64), (16, 128), (8, 8)])
def test_something_is_missing_and_most_is_known(kind: str, height: int, width: int) -> None:
    drawn = masks.holes(Random(0, 0, 1000), height, width, {kind: 1.0})
    assert drawn.shape == (1000, 1, height, width)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    shares = drawn.mean((1, 2, 3))
    assert shares.min() >= masks.LEAST - 1e-6
    assert shares.max() <= masks.MOST + 1e-6
    assert shares.quantile(0.9) > 2 * shares.quantile(0.1)


def test_the_smallest_pictures_keep_known_and_missing_pixels() -> None:
    missing = masks.holes(Random(0, 0, 1000), 4, 4, masks.ALL).sum((1, 2, 3))
    assert missing.min() >= 1
    assert missing.max() <= masks.MOST * 16


def test_boxes_are_made_of_straight_lines_and_strokes_are_not() -> None:
    """A lone box fills the rectangle around it."""

    def fills(kind: str) -> float:
        drawn = masks.holes(Random(0, 0, 200), 64, 64, {kind: 1.0})[:, 0].bool()
        around = drawn.any(1).sum(1) * drawn.any(2).sum(1)
        return (drawn.sum((1, 2)) == around).float().mean().item()

    assert fills("boxes") > 0.3
    assert fills("thick") == fills("irregular") == 0


def test_thick_holes_are_deeper_than_irregular_ones_of_the_same_area() -> None:
    """The share of a hole that is left when one pixel is peeled off, then another and another."""

    def core(kind: str) -> float:
        drawn = masks.holes(Random(0, 0, 200), 96, 96, {kind: 1.0})
        peeled = -torch.nn.functional.max_pool2d(-drawn, 7, stride=1, padding=3)
        return (peeled.sum() / drawn.sum()).item()

    assert core("thick") > 2 * core("irregular")


def test_outpainting_keeps_one_rectangle_and_comes_on_every_side() -> None:
    known = ~masks.holes(Random(0, 0, 500), 48, 64, {"outpainting": 1.0})[:, 0].bool()
    rows, columns = known.any(2), known.any(1)
    assert (known == rows[:, :, None] & columns[:, None]).all()
    assert (rows.diff(dim=1).sum(1) <= 2).all()
    assert (columns.diff(dim=1).sum(1) <= 2).all()
    missing = ~torch.stack([rows[:, 0], rows[:, -1], columns[:, 0], columns[:, -1]], dim=1)
    assert {1, 2, 4} == set(missing.sum(1).tolist())
    assert (missing.float().mean(0) > 0.3).all()


def test_kinds_come_as_often_as_their_weights_say() -> None:
    drawn = masks.holes(Random(0, 0, 2000), 32, 32, {"outpainting": 3.0, "thick": 1.0, "boxes": 0.0})[:, 0]
    known = ~drawn.bool()
    rectangles = (known == known.any(2)[:, :, None] & known.any(1)[:, None]).all(2).all(1)
    assert rectangles.float().mean() == pytest.approx(0.75, abs=0.04)


def test_a_hole_belongs_to_its_sample() -> None:
    random = Random(7, 3, 40)
    whole = masks.holes(random, 32, 48, masks.ALL)
    assert torch.equal(masks.holes(random.part(13, 9), 32, 48, masks.ALL), whole[13:22])
    assert len({tuple(mask.flatten().tolist()) for mask in whole}) == 40


@pytest.mark.parametrize(
    ("kinds", "words"),
    [({"ovals": 1.0}, "'ovals': the kinds are thick"), ({"thick": -1.0}, "0 or more"), ({"thick": 0.0}, "above 0")],
)
def test_wrong_kinds_are_told(kinds: dict[str, float], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        masks.holes(Random(0, 0, 1), 32, 32, kinds)
