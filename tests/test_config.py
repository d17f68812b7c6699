from pathlib import Path
from typing import get_args

import pytest

from sparring import config
from sparring.adversarial.augment import AUGMENTATIONS
from sparring.adversarial.objectives import OBJECTIVES
from sparring.api import TASKS
from sparring.config import Settings
from sparring.errors import SettingError
from sparring.networks import FAMILIES, graphs
from sparring.networks.restorer import Restorer
from sparring.networks.sequences import Generator

VALUES = {
    "data": "digits",
    "resolution": (8, 8),
    "fit": "crop",
    "longest": None,
    "zoom": None,
    "channels": 1,
    "labels": False,
    "shuffle_buffer": None,
    "mirror": False,
    "task": "generate",
    "network": "fast",
    "z_dim": 8,
    "width": 16,
    "depth": 1,
    "discriminator_features": "none",
    "discriminator_size": 64,
    "spectral_norm": False,
    "adversarial": True,
    "supervised": 0.0,
    "objective": "relativistic",
    "penalty": "r1+r2",
    "penalty_method": "exact",
    "penalty_step": 0.01,
    "penalty_interval": 1,
    "penalty_stride": 1,
    "partner_stride": 1,
    "penalty_strength": 1.0,
    "penalty_strength_final": 0.1,
    "augment": "none",
    "augment_target": 0.6,
    "augment_images": 1000,
    "batch": 32,
    "micro_batch": 32,
    "learning_rate": 1e-3,
    "learning_rate_final": 1e-4,
    "beta1": 0.0,
    "beta2": 0.9,
    "beta2_final": 0.99,
    "ema_half_life": 500.0,
    "ema_ramp": 0.05,
    "images": 960,
    "minutes": None,
    "patience": None,
    "evaluate_every": 320,
    "checkpoint_every": 320,
    "held_out": 0,
    "guard": "on",
    "guard_every": 320,
    "quality_samples": 64,
    "quality_features": "pixels",
    "quality_metric": "fid",
    "seed": 0,
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
    "save_seconds": 30.0,
    "preview_seconds": 30.0,
    "tensorboard": False,
}

OF_OTHER_TASKS = [name for name, field in Settings.model_fields.items() if not field.is_required()]
"""Left out of the file of a run whose task has no such settings."""


def test_values_cover_every_setting() -> None:
    of_pictures = {name for name in Settings.model_fields if config.group_of(name) == "pictures"}
    assert set(VALUES) == set(Settings.model_fields) - set(OF_OTHER_TASKS) | of_pictures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate=1e-3", ("learning_rate", 1e-3)),
        ("learning-rate=1e-3", ("learning_rate", 1e-3)),
        ("labels=true", ("labels", True)),
        ("resolution=64", ("resolution", (64, 64))),
        ("resolution=64x96", ("resolution", (64, 96))),
        ("channels=3", ("channels", 3)),
        ("images=none", ("images", None)),
        ("images=1e5", ("images", 100_000)),
    ],
)
def test_assignments_of_the_command_line(text: str, expected: tuple[str, object]) -> None:
    assert config.parse_assignment(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learnign_rate=1", "did you mean learning_rate"),
        ("resolution=large", "64x96"),
        ("resolution=1x2x3", "64x96"),
        ("images=-5", "greater than or equal to 1"),
        ("batch=abc", "a whole number, such as 100000"),
        ("mirror=maybe", "true or false"),
        ("minutes=5m", "a number"),
        ("penalty=r1r2", "did you mean r1\\+r2"),
        ("beta2=1", "less than 1"),
        ("minutes=nan", "finite"),
        ("device=gpu", "cpu, cuda, cuda:1 .* or mps"),
        ("batch", "KEY=VALUE"),
    ],
)
def test_bad_assignments_name_the_key_the_range_and_the_nearest_name(text: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        config.parse_assignment(text)


def test_settings_come_back_from_their_file(tmp_path: Path) -> None:
    settings = config.complete(VALUES | {"data": 'a "quoted"\\path', "resolution": (12, 16)})
    (tmp_path / "config.toml").write_text(config.dumps(settings))
    assert config.load(tmp_path / "config.toml") == settings
    assert "noise_high" not in (tmp_path / "config.toml").read_text()
    assert "# images in one update" in (tmp_path / "config.toml").read_text()


def test_none_that_somebody_chose_stays_when_a_file_is_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(config.dumps(config.complete(VALUES | {"patience": None})))
    assert config.preset(str(path))["patience"] is None
    assert config.load(path).patience is None
    assert "course" not in path.read_text()  # clips alone have one


def test_a_file_with_a_wrong_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(config.dumps(config.complete(VALUES)).replace("batch = 32", "btach = 32", 1))
    with pytest.raises(SettingError, match=r"config.toml: there is no setting 'btach': did you mean batch"):
        config.load(path)


def test_a_file_that_is_no_toml_is_named_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("batch = 3\nlearning rate = 2\n")
    with pytest.raises(SettingError, match=r"mine.toml.*line 2"):
        config.preset(str(path))


def test_settings_of_a_task_come_back_too(tmp_path: Path) -> None:
    patches = {
        "task": "restore",
        "fit": "patches",
        "longest": 512,
        "zoom": 2.0,
        "z_dim": None,
        "quality_metric": "psnr",
    }
    settings = config.complete(VALUES | patches | {"damage": "denoise", "noise": "gaussian", "noise_high": 55.0})
    (tmp_path / "config.toml").write_text(config.dumps(settings))
    assert config.load(tmp_path / "config.toml") == settings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fit": "patches", "longest": 512, "zoom": 1.0}, "task=generate needs .* fit=crop"),
        ({"adversarial": False}, "adversarial=true"),
        ({"task": "restore", "fit": "patches", "zoom": 1.0}, "needs longest and zoom"),
        ({"task": "restore", "fit": "patches", "longest": 9, "zoom": 1.0, "shuffle_buffer": 9}, "shuffle_buffer=none"),
        ({"task": "restore", "supervised_optimiser": "muon"}, "needs supervised_learning_rate"),
        ({"turn": True}, "turn=true is for --task restore, and this is task=generate"),
        ({"damage": "denoise"}, "damage=denoise is for --task restore, and this is task=generate"),
        ({"task": "restore", "quality_metric": "psnr", "paired": True}, "paired=true is for --task translate"),
        ({"quality_metric": "psnr"}, "task=generate is judged by fid, kid"),
        ({"task": "restore"}, "quality_metric=fid: task=restore is judged by psnr, ssim, perceptual"),
        ({"task": "restore", "quality_metric": "perceptual"}, "pixels have no maps"),
        ({"resolution": None}, "task=generate needs resolution"),
        ({"tokens": "bpe"}, "tokens=bpe is for --task text, and this is task=generate"),
        ({"task": "text"}, "resolution=.* is for --task generate or restore or translate|task=text needs tokens"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        config.complete(VALUES | values)


def test_a_budget_is_images_or_minutes() -> None:
    for images, minutes in ((None, None), (10, 1.0)):
        with pytest.raises(SettingError, match="give one of the two"):
            config.complete(VALUES | {"images": images, "minutes": minutes})


def test_wgan_gp_has_no_finite_difference() -> None:
    with pytest.raises(SettingError, match="penalty_method=exact"):
        config.complete(VALUES | {"penalty": "wgan-gp", "penalty_method": "finite-difference"})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"penalty": "wgan-gp"}, "penalty_stride=4: it is for penalty=r1, r2 or r1\\+r2"),
        ({"penalty_method": "finite-difference"}, "penalty_stride=4: it is for .* penalty_method=exact"),
        ({"batch": 3, "micro_batch": 3}, "penalty_stride=4: a batch has 3 pairs"),
    ],
)
def test_a_stride_is_for_exact_slopes_and_within_the_batch(values: dict[str, object], words: str) -> None:
    assert config.complete(VALUES | {"penalty_stride": 4}).penalty_stride == 4
    with pytest.raises(SettingError, match=words):
        config.complete(VALUES | {"penalty_stride": 4} | values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"objective": "relativistic"}, "with objective=relativistic each real sample has one generated partner"),
        ({"objective": "hinge", "penalty_stride": 3}, "should divide penalty_stride=3"),
        ({"objective": "hinge", "penalty": "none", "penalty_stride": 1}, "should divide penalty_stride=1"),
        ({"objective": "hinge", "penalty": "wgan-gp"}, "it is for penalty=r1"),
    ],
)
def test_fewer_partners_are_for_those_that_have_no_partner_of_their_own(values: dict[str, object], words: str) -> None:
    hinge = {"objective": "hinge", "partner_stride": 2, "penalty_stride": 4}
    assert config.complete(VALUES | hinge).partner_stride == 2
    assert config.complete(VALUES | hinge | {"penalty": "none"}).partner_stride == 2
    with pytest.raises(SettingError, match=words):
        config.complete(VALUES | {"partner_stride": 2} | values)


@pytest.mark.parametrize("values", [{"labels": True}, {"task": "restore", "damage": "inpaint"}, {"task": "video"}])
def test_pairs_that_have_something_in_common_stay_together(values: dict[str, object]) -> None:
    name, value = next(iter(values.items()))
    words = rf"relativistic-all compares .* with {name}={str(value).lower()} a pair has something in common"
    settings = Settings.model_validate(VALUES | values | {"objective": "relativistic-all"})
    with pytest.raises(SettingError, match=words):
        config.refuse_all_pairs(settings)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("objective", OBJECTIVES),
        ("augment", AUGMENTATIONS),
        ("task", TASKS),
    ],
)
def test_what_a_setting_takes_is_what_there_is(name: str, known: dict[str, object]) -> None:
    assert set(get_args(Settings.model_fields[name].annotation)) == set(known)


def test_the_networks_that_come_along_are_those_that_there_are() -> None:
    others = {"unet": Restorer, "transformer": Generator, "graph": graphs.Generator}
    assert set(config.NETWORKS) == {*FAMILIES, *others}


def test_every_preset_is_valid_and_says_what_it_is_for() -> None:
    for name, about in config.presets().items():
        assert about
        assert set(config.preset(name)) <= set(Settings.model_fields)


def test_an_unknown_preset_gets_the_nearest_name() -> None:
    with pytest.raises(SettingError, match="did you mean wgan-gp"):
        config.preset("wgan_gp")
