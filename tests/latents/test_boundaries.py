from pathlib import Path

import numpy as np
import pytest
import torch

from sparring import DataError, Model, RunError, SettingError
from sparring.latents.boundaries import ATTRIBUTES, boundary, of_attribute, of_classes, of_table, of_words
from sparring.latents.directions import edited
from sparring.latents.points import samples

PLANTED = torch.tensor([0.0, 0.6, 0.0, -0.8, 0.0, 0.0, 0.0, 0.0])


def test_a_boundary_finds_the_direction_that_was_planted() -> None:
    z = torch.randn(2000, 8, generator=torch.Generator().manual_seed(0))
    vector, accuracy = boundary(z, z @ PLANTED > 0.5, "planted")
    assert vector @ PLANTED > 0.99
    assert accuracy.value > 0.95
    chance, accuracy = boundary(z, torch.arange(2000) % 2 == 0, "nothing")
    assert accuracy.low is not None and accuracy.low < 0.5 < (accuracy.high or 0)
    assert chance.norm() == pytest.approx(1)


def test_moving_along_brightness_makes_pictures_brighter(model: Model) -> None:
    found = of_attribute(model, "brightness")
    points = samples(model, 16, 0)
    means = [edited(points, found.vectors[0], strength).pictures(model).float().mean() for strength in (-2, 0, 2)]
    assert means[0] + 10 < means[1] < means[2] - 10
    with pytest.raises(SettingError, match="brightness, contrast"):
        of_attribute(model, "age")
    with pytest.raises(SettingError, match="alike"):
        of_attribute(model, "saturation")


def test_what_is_measured_has_known_values() -> None:
    picture = -torch.ones(1, 3, 4, 5)
    picture[0, 0, 1, 4] = 1  # a single red pixel
    assert ATTRIBUTES["brightness"](picture).item() == pytest.approx(0.299 / 20)
    assert ATTRIBUTES["saturation"](picture).item() == pytest.approx(1 / 20)
    assert ATTRIBUTES["left-right"](picture).item() == pytest.approx(1)
    assert ATTRIBUTES["top-bottom"](picture).item() == pytest.approx(-1 / 3)
    assert ATTRIBUTES["contrast"](-torch.ones(2, 1, 4, 4)).tolist() == [0, 0]


def test_a_table_says_what_samples_have(model: Model, tmp_path: Path) -> None:
    values = model.latents(300, seed=7) @ PLANTED
    table = tmp_path / "labels.csv"
    table.write_text("sample,smile\n" + "".join(f"{i:05d}.png,{int(v > 0)}\n" for i, v in enumerate(values)))
    found = of_table(model, table, seed=7)
    assert found.names == ("smile",)
    assert found.vectors[0] @ PLANTED > 0.95
    table.write_text("sample,smile\n" + "".join(f"{i},{float(v)}\n" for i, v in enumerate(values)))
    assert of_table(model, table, seed=7).vectors[0] @ PLANTED > 0.95
    table.write_text("sample,is\n" + "".join(f"{i},{'no' if v < 0 else 'yes'}\n" for i, v in enumerate(values)))
    found = of_table(model, table, seed=7)
    assert found.names == ("yes",)
    assert found.vectors[0] @ PLANTED > 0.95


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("sample,smile\n", "nothing"),
        ("sample,smile\nx.png,1\n", "line 2"),
        ("sample,smile\n1\n", "line 2"),
        ("sample,smile\n1,nan\n2,1\n", "NaN"),
    ],
)
def test_tables_that_are_not_understood(model: Model, tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=words):
        of_table(model, table, 0)


def test_of_several_words_each_is_told_from_the_others() -> None:
    z = torch.randn(900, 8, generator=torch.Generator().manual_seed(0))
    words = np.array(["left", "middle", "right"])[np.digitize(z[:, 2].numpy(), (-0.5, 0.5))]
    found = of_words(z, words, "test")
    assert found.names == ("left", "middle", "right")
    assert found.vectors[2, 2] > 0.97 > -0.97 > found.vectors[0, 2]
    with pytest.raises(SettingError, match="20 on each side"):
        of_words(z[:10], words[:10], "test")


def test_classes_are_for_runs_that_were_not_told_them(model: Model, conditional: Model, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="walk"):
        of_classes(conditional, tmp_path)
    with pytest.raises(RunError, match="no run"):
        of_classes(model, tmp_path)
