from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sparring import config, data
from sparring.choices import Choice, Choices, shown, threads_for
from sparring.chooser import SIZES, choose, pick_device
from sparring.errors import SettingError


def pictures(folder: Path, count: int, *, height: int = 20, width: int = 20, mode: str = "RGB") -> data.Survey:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(np.full((height, width, 3), number, np.uint8)).convert(mode).save(folder / f"{number}.png")
    return data.survey(folder)


def test_the_same_data_gives_the_same_settings(tmp_path: Path) -> None:
    survey = pictures(tmp_path / "a", 3)
    assert choose("a", {"device": "cpu"}, survey, 1.0) == choose("a", {"device": "cpu"}, survey, 1.0)


def test_proportions_are_kept_and_large_pictures_reduced(tmp_path: Path) -> None:
    settings, choices = choose("a", {"device": "cpu"}, pictures(tmp_path / "a", 3, height=112, width=92), 1.0)
    assert settings.resolution == (64, 53)
    assert "112x92" in next(choice.reason for choice in choices if choice.setting == "resolution")


def test_pictures_of_many_shapes_become_squares(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    pictures(folder, 1, height=30, width=50)
    for number, size in enumerate([(40, 60), (55, 30), (33, 44)]):
        Image.new("RGB", size).save(folder / f"other{number}.png")
    height, width = choose("a", {"device": "cpu"}, data.survey(folder), 1.0)[0].resolution
    assert height == width


def test_grey_pictures_get_one_channel(tmp_path: Path) -> None:
    assert choose("a", {"device": "cpu"}, pictures(tmp_path / "a", 3, mode="L"), 1.0)[0].channels == 1


def test_what_is_given_stays_and_is_not_explained(tmp_path: Path) -> None:
    given = {"device": "cpu", "width": 48, "batch": 24, "augment": "diffaugment", "learning_rate": 0.5, "images": 99}
    settings, choices = choose("a", given, pictures(tmp_path / "a", 3), 2.0)
    assert settings.model_dump().items() >= given.items()
    assert settings.micro_batch == 24
    assert settings.learning_rate_final == pytest.approx(0.05)
    assert not {"width", "batch", "augment", "images"} & {choice.setting for choice in choices}


def test_an_explicit_budget_is_used_whole_and_a_chosen_one_may_stop_early(tmp_path: Path) -> None:
    survey = pictures(tmp_path / "a", 3)
    assert choose("a", {"device": "cpu", "images": 1000}, survey, 1.0)[0].patience is None
    chosen = choose("a", {"device": "cpu"}, survey, 1.0)[0]
    assert chosen.patience is not None
    assert chosen.images is not None
    assert 0 < chosen.patience < chosen.images


def test_capacity_grows_with_the_size(tmp_path: Path) -> None:
    survey = pictures(tmp_path / "a", 3)
    widths = [choose("a", {"device": "cpu"}, survey, factor)[0].width for factor in SIZES.values()]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_few_pictures_get_augmentation_and_many_a_larger_budget(tmp_path: Path) -> None:
    settings, choices = choose("a", {"device": "cpu"}, pictures(tmp_path / "a", 3, height=40, width=40), 1.0)
    assert settings.augment == "ada"
    assert settings.images == 400_000
    many = replace(data.survey("digits"), items=data.survey("digits").items * 100)
    assert choose("a", {"device": "cpu"}, many, 1.0)[0].images == pytest.approx(4 * 179_700, abs=128)
    assert "by heart" in next(choice.reason for choice in choices if choice.setting == "augment")


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="device=cuda:99"):
        choose("a", {"device": "cuda:99"}, pictures(tmp_path / "a", 3), 1.0)


def photographs(folder: Path, *, side: int = 64, mode: str = "RGB") -> data.Survey:
    """Pictures in which no two neighbours are the same."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)).convert(mode).save(folder / f"{number}.png")
    return data.survey(folder)


def test_photographs_are_looked_at_through_pretrained_features(tmp_path: Path) -> None:
    settings, choices = choose("a", {"device": "cpu"}, photographs(tmp_path / "a"), 1.0)
    assert (settings.network, settings.discriminator_features) == ("skip", "lite0")
    assert settings.penalty == "none"
    assert settings.quality_features == "wavelets"
    assert "photographs" in next(choice.reason for choice in choices if choice.setting == "discriminator_features")
    asked, _ = choose("a", {"device": "cpu", "penalty": "r1+r2"}, photographs(tmp_path / "b"), 1.0)
    assert asked.discriminator_features == "lite0"
    assert asked.penalty_strength > 0


def test_features_that_are_given_are_told_among_the_choices(tmp_path: Path) -> None:
    survey = photographs(tmp_path / "a")
    for features in ("wavelets", "/there/eyes.pt", "none"):
        _, choices = choose("a", {"device": "cpu", "discriminator_features": features}, survey, 1.0)
        told = [choice for choice in choices if choice.setting == "discriminator_features"]
        assert told == [Choice("discriminator_features", features, "as given")]


def test_drawings_grey_and_small_pictures_are_learned_from_scratch(tmp_path: Path) -> None:
    for name, survey in (
        ("drawings", pictures(tmp_path / "drawings", 3, height=64, width=64)),
        ("grey", photographs(tmp_path / "grey", mode="L")),
        ("small", photographs(tmp_path / "small", side=24)),
    ):
        settings, _ = choose(name, {"device": "cpu"}, survey, 1.0)
        assert (settings.discriminator_features, settings.objective) == ("none", "relativistic"), name
        assert settings.penalty == "r1+r2"


def test_presets_and_networks_override_what_the_pictures_suggest(tmp_path: Path) -> None:
    photos, drawings = photographs(tmp_path / "a"), pictures(tmp_path / "b", 3, height=64, width=64)
    for given in (config.preset("from-scratch"), {"network": "r3"}, config.preset("classic-dcgan")):
        settings, _ = choose("a", {"device": "cpu"} | given, photos, 1.0)
        assert settings.discriminator_features == "none"
    for survey in (photos, drawings):
        given = {"device": "cpu", "network": "skip", "discriminator_features": "none"}
        assert choose("a", given, survey, 1.0)[0].penalty == "r1+r2"
    settings, _ = choose("b", {"device": "cpu"} | config.preset("photographs"), drawings, 1.0)
    assert (settings.network, settings.discriminator_features, settings.penalty) == ("skip", "lite0", "none")


def test_a_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    found = {"cuda": False, "mps": False}
    monkeypatch.setattr("torch.cuda.is_available", lambda: found["cuda"])
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: found["mps"])
    assert pick_device(None) == "cpu"
    found["mps"] = True
    assert pick_device(None) == "mps" and pick_device("cpu") == "cpu"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert pick_device(None) == "cpu", "processes cannot share an MPS"
    found["cuda"] = True
    assert pick_device(None) == "cuda"


def test_as_many_threads_as_cores_that_others_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = list(range(8))

    def threads(*loads: float, **given: Any) -> tuple[int, str]:
        monkeypatch.setattr("torch.get_num_threads", lambda: 4)
        monkeypatch.setattr("psutil.cpu_percent", lambda interval, percpu: list(loads))
        monkeypatch.setattr("psutil.Process.cpu_affinity", lambda process: allowed, raising=False)
        return threads_for(Choices({"device": "cpu"} | given))

    assert threads(3.0, 0.0, 10.0, 1.0) == (4, "")
    assert threads(100.0, 3.0, 98.0, 1.0) == (2, "others keep 2.0 of 4 cores busy")
    assert threads(100.0, 100.0, 100.0, 100.0)[0] == 1
    assert threads(*[50.0] * 4, *[0.0] * 4) == (4, "")  # cores that nobody uses suffice
    allowed[:] = [1, 3, 4, 5]  # what is done on the others takes nothing away
    assert threads(100.0, 0.0, 100.0, 0.0, 0.0, 0.0, 100.0, 100.0) == (4, "")
    assert threads(0.0, 100.0, 0.0, 100.0, 0.0, 0.0, 0.0, 0.0) == (2, "others keep 2.0 of 4 cores busy")
    allowed[:] = range(8)
    assert threads(100.0, 100.0, 100.0, 100.0, threads=4) == (4, "")
    assert threads(100.0, 100.0, 100.0, 100.0, device="cuda") == (4, "")


def test_choices_are_shown_as_they_can_be_set() -> None:
    assert [shown(value) for value in (False, True, 1, 20_000, 0.5, (64, 48))] == [
        *("false", "true", "1", "20,000", "0.5", "64x48")
    ]
