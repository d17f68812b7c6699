import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import sparring
from sparring import config, data
from sparring.adversarial.augment import AUGMENTATIONS
from sparring.chooser import choose
from sparring.data import masks
from sparring.data.damage import Damaged
from sparring.errors import MetricError, RunError, SettingError
from sparring.networks.restorer import Restorer
from sparring.randomness import Random
from sparring.tasks import restore_recipe
from sparring.tasks.restore import USUAL_HOLES, Restore, middle, restored
from sparring.tasks.sample import Sample, View
from sparring.training.files import read_lines
from sparring.training.monitor import QuietMonitor

SMALL: dict[str, Any] = {
    "task": "restore",
    "damage": "denoise",
    "resolution": (32, 32),
    "width": 16,
    "depth": 1,
    "batch": 8,
    "images": 96,
    "evaluate_every": 48,
    "checkpoint_every": 48,
    "guard_every": 16,
    "adversarial": True,
    "discriminator_features": "none",
    "device": "cpu",
    "precision": "fp32",
}


def settings_for(photographs: Path, **given: Any) -> config.Settings:
    return choose(str(photographs), {**SMALL, **given}, data.survey(photographs), 1.0)[0]


def task_of(photographs: Path, **given: Any) -> Restore:
    settings = settings_for(photographs, **given)
    form = data.decode.Form(*settings.resolution, settings.channels)
    pictures = data.load_patches(photographs, form, longest=settings.longest or 1, zoom=settings.zoom or 1)
    return Restore(settings, pictures)


class Interrupting(QuietMonitor):
    def update(self, measurements: Any, fraction: float, seconds_left: float | None) -> None:
        if measurements["images"] >= 48 and "quality" in measurements:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("given", [{"damage": "inpaint"}, {"damage": "denoise"}])
def test_a_run_is_the_same_resumed_in_the_game_or_before_it(
    photographs: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    chosen = SMALL | given | {"supervised": 0.75}
    whole = sparring.train(photographs, out=tmp_path / "whole", **chosen)
    halves = sparring.train(photographs, out=tmp_path / "halves", monitor=Interrupting(), **chosen)
    assert halves.summary()["state"] == "interrupted"
    assert halves.summary()["images"] == 48
    sparring.resume(halves)
    assert halves.summary()["state"] == "finished"
    one, other = load_file(whole.generator), load_file(halves.generator)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_game_begins_after_the_share_that_is_supervised(photographs: Path, tmp_path: Path) -> None:
    run = sparring.train(photographs, out=tmp_path / "run", **SMALL | {"supervised": 0.5})
    lines = [line for line in read_lines(run.folder / "metrics.jsonl") if "generator_loss" in line]
    assert [("discriminator_loss" in line, "distortion" in line) for line in lines] == [(False, True), (True, True)]
    assert set(run.summary()["quality"]["metrics"]) == {"psnr", "ssim", "perceptual"}
    before, after = ((run.samples / f"{name}-0.png").read_bytes() for name in ("before", "after"))
    assert before != after


def test_a_larger_budget_does_not_take_a_game_back_that_has_begun(photographs: Path, tmp_path: Path) -> None:
    run = sparring.train(photographs, out=tmp_path / "run", **SMALL | {"supervised": 0.5, "evaluate_every": 16})
    sparring.resume(run.folder, images=384)
    lines = [line for line in read_lines(run.folder / "metrics.jsonl") if "generator_loss" in line]
    played = [line["images"] for line in lines if "discriminator_loss" in line]
    assert [line["images"] for line in lines if line["images"] > 48] == played
    assert played[-1] == 384


def test_without_a_game_the_discriminator_stays_as_it_was(photographs: Path, tmp_path: Path) -> None:
    one = sparring.train(photographs, out=tmp_path / "one", **SMALL | {"adversarial": False, "images": 8})
    two = sparring.train(photographs, out=tmp_path / "two", **SMALL | {"adversarial": False, "images": 96})
    judges = [run.load_checkpoint("cpu")[0]["discriminator"] for run in (one, two)]
    assert all(torch.equal(judges[0][name], judges[1][name]) for name in judges[0])
    assert one.settings().quality_metric == "psnr"


def test_a_run_whose_pictures_are_too_small_for_its_metric_ends_with_its_newest_generator(tmp_path: Path) -> None:
    small = {"adversarial": False, "images": 16, "quality_metric": "ssim", "quality_features": "pixels"}
    run = sparring.train("digits", out=tmp_path / "run", **SMALL | small | {"resolution": (8, 8)})
    assert (run.summary()["state"], run.summary()["quality"]) == ("finished", None)
    assert run.generator.is_file()


def test_weights_of_another_task_are_refused_for_that_reason(photographs: Path, tmp_path: Path) -> None:
    origin = sparring.train("digits", out=tmp_path / "origin", images=64, batch=32, width=16, z_dim=4, device="cpu")
    with pytest.raises(SettingError, match=r"task is generate in .* and would be restore here"):
        sparring.train(photographs, out=tmp_path / "run", start_from=origin.folder, **SMALL)


def test_a_game_judged_in_pixels_goes_by_psnr_for_pixels_have_no_maps(photographs: Path) -> None:
    assert settings_for(photographs, quality_features="pixels").quality_metric == "psnr"
    assert settings_for(photographs).quality_metric == "perceptual"


def test_it_learns_to_take_noise_away(photographs: Path, tmp_path: Path) -> None:
    chosen = SMALL | {"adversarial": False, "images": 2400, "evaluate_every": 2400, "noise_low": 40.0}
    run = sparring.train(photographs, out=tmp_path / "run", **chosen)
    noisy = 20 * torch.log10(torch.tensor(255 / 47.0))  # of Gaussian noise of 40 to 55, about
    assert run.summary()["quality"]["metrics"]["psnr"]["value"] > noisy + 5


def test_damage_is_the_same_for_both_players_and_another_in_each_step(photographs: Path) -> None:
    task = task_of(photographs, damage="inpaint")
    batch = task.data.draw(0, 0, 8)
    generator, _ = task.players()
    samples = [task.real(batch, Random(0, step, 8)) for step in (0, 0, 1)]
    assert torch.equal(samples[0].parts[1], samples[1].parts[1])
    assert not torch.equal(samples[0].parts[1], samples[2].parts[1])
    fake = task.fake(generator, batch, Random(0, 0, 8))
    assert torch.equal(fake.parts[1], samples[0].parts[1])
    known = fake.parts[1] == 0
    assert torch.equal(fake.parts[0] * known, samples[0].parts[0] * known)


def test_pictures_are_turned_where_that_is_asked_for(photographs: Path) -> None:
    found = {
        turn: Restore.clean(task, task.data.draw(0, 0, 8), Random(0, 0, 8))
        for turn in (False, True)
        for task in [task_of(photographs, mirror=False, turn=turn)]
    }
    ways = [found[False], found[False].flip(-2), found[False].mT, found[False].flip(-2).mT]
    which = [[bool(torch.equal(way[i], found[True][i])) for way in ways] for i in range(8)]
    assert all(any(each) for each in which)
    assert len({tuple(each) for each in which}) > 2


def test_of_inpainting_the_distortion_is_the_mean_error_inside_holes_of_the_usual_size(photographs: Path) -> None:
    task = task_of(photographs, damage="inpaint", distortion_weight=7.0)
    mask = torch.zeros(2, 1, 4, 4)
    mask[0, :, :2] = 1
    clean = task.real(task.data.draw(0, 0, 2), Random(0, 0, 2))
    clean = type(clean)((torch.zeros(2, 3, 4, 4), mask))
    made = type(clean)((torch.full((2, 3, 4, 4), 0.25) * (1 + mask), mask))
    ((weight, value),) = task.losses("generator", View.before_the_game(clean, made)).values()
    missing = 8 / 32
    assert (weight, float(value)) == (7.0, pytest.approx(0.5 * missing / USUAL_HOLES))
    assert task.losses("discriminator", View.before_the_game(clean, made)) == {}


def test_a_batch_has_the_mean_distortion_of_its_parts_whatever_holes_they_have(photographs: Path) -> None:
    task = task_of(photographs, damage="inpaint")
    batch, random = task.data.draw(0, 0, 8), Random(0, 0, 8)
    generator, _ = task.players()

    def distortion(start: int, count: int) -> float:
        part, numbers = batch[start : start + count], random.part(start, count)
        view = View.before_the_game(task.real(part, numbers), task.fake(generator, part, numbers))
        return float(task.losses("generator", view)["distortion"][1].detach())

    assert distortion(0, 8) == pytest.approx((distortion(0, 4) + distortion(4, 4)) / 2, rel=1e-5)


def test_usual_holes_are_as_large_as_the_mean_of_what_is_drawn() -> None:
    assert float(masks.holes(Random(0, 0, 400), 48, 48, masks.ALL).mean()) == pytest.approx(USUAL_HOLES, abs=0.02)


def test_a_run_on_patches_is_no_side_of_a_comparison_of_sets(photographs: Path, tmp_path: Path) -> None:
    run = sparring.train(photographs, out=tmp_path / "run", **SMALL | {"images": 8})
    with pytest.raises(MetricError, match="patches of pictures, not on whole ones"):
        sparring.evaluate(run, photographs, "fid")


@pytest.mark.parametrize("name", ["ada", "diffaugment"])
def test_a_mask_moves_with_its_picture(photographs: Path, name: str) -> None:
    task = task_of(photographs, damage="inpaint")
    mask = torch.zeros(16, 1, 32, 32)
    mask[:, :, 4:12, 18:30] = 1
    sample = Sample((mask.expand(-1, 3, -1, -1) * 0.5, mask))
    transformation = AUGMENTATIONS[name].draw(Random(0, 0, 16), (3, 32, 32), 1.0)
    picture, moved = task.augmented(sample, transformation).parts
    assert not torch.equal(moved, mask)
    assert (float(moved.min()), float(moved.max())) == (0.0, pytest.approx(1.0))
    inside, outside = (
        torch.stack([p[:, where[0]].mean() for p, where in zip(picture, places, strict=True)])
        for places in (moved > 0.99, moved < 0.01)
    )
    assert bool(((inside - outside).abs() > 1e-3).all())


def test_the_model_restores_and_cannot_be_sampled(photographs: Path, tmp_path: Path) -> None:
    run = sparring.train(photographs, out=tmp_path / "run", **SMALL | {"damage": "inpaint", "images": 8})
    model = sparring.load(run)
    with pytest.raises(RunError, match="sparring apply"):
        model.sample(4)
    with pytest.raises(SettingError, match="no --style"):
        model.apparatus(style="monet")
    apparatus = model.apparatus()
    picture, mask = torch.rand(1, 3, 21, 34) * 2 - 1, torch.zeros(1, 1, 21, 34)
    mask[:, :, 5:9, 5:9] = 1
    made = apparatus(picture, mask)
    assert apparatus.takes_mask
    assert torch.equal(made * (1 - mask), picture * (1 - mask))


def test_a_generator_of_pictures_from_noise_changes_none(tmp_path: Path) -> None:
    run = sparring.train("digits", out=tmp_path / "run", images=64, batch=32, width=16, z_dim=4, device="cpu")
    with pytest.raises(RunError, match="sparring sample"):
        sparring.load(run).apparatus()


def test_the_embedded_photographs_are_restored_too(tmp_path: Path) -> None:
    run = sparring.train("photographs", out=tmp_path / "run", **SMALL | {"damage": "mixed", "images": 8})
    assert run.data()["pictures"] == 16
    assert run.summary()["quality"]["notices"] == ["one pair has no interval"]


def test_where_nothing_can_be_held_out_it_says_what_it_is_judged_on(tmp_path: Path, photographs: Path) -> None:
    run = sparring.train(photographs, out=tmp_path / "run", **SMALL | {"images": 8, "held_out": 0})
    assert "that it was trained on" in " ".join(run.summary()["quality"]["notices"])


def test_settings_follow_the_damage(photographs: Path) -> None:
    settings = settings_for(photographs)
    assert (settings.noise, settings.noise_low, settings.noise_high) == ("gaussian", 0.0, 55.0)
    assert settings.holes is None
    assert (settings.z_dim, settings.fit, settings.network) == (None, "patches", "unet")
    assert settings.quality_features == "lite0"
    assert settings_for(photographs, perceptual_weight=1.0).quality_features == "wavelets"
    assert settings_for(photographs, damage="inpaint").holes == "all"
    assert (settings.turn, settings.supervised_optimiser) == (False, "muon")
    assert settings.supervised_learning_rate == restore_recipe.MUON_RATE
    filling = settings_for(photographs, damage="inpaint")
    assert (filling.turn, filling.supervised_optimiser) == (True, "muon")
    alone = settings_for(photographs, damage="inpaint", adversarial=False)
    assert (filling.supervised_learning_rate, alone.supervised_learning_rate) == (alone.learning_rate, None)
    by_adam = settings_for(photographs, supervised_optimiser="adam", adversarial=False)
    assert (by_adam.supervised_learning_rate, by_adam.learning_rate) == (None, restore_recipe.LEARNING_RATE)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"noise": "poisson", "damage": "inpaint"}, "noise=poisson is for damage=denoise"),
        ({"network": "r3"}, "network=unet"),
        ({"labels": True}, "labels=false"),
        ({"noise_low": 30.0, "noise_high": 20.0}, "above"),
        ({"noise": "jpeg", "noise_high": 20.0}, "noise_high is of Gaussian noise"),
    ],
)
def test_settings_that_do_not_go_with_it_are_refused(photographs: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        task_of(photographs, **given)


def test_the_middle_of_a_picture() -> None:
    picture = torch.arange(10 * 7).reshape(1, 10, 7)
    assert torch.equal(middle(picture, 4, 1), picture[:, 3:7, 1:5])
    assert middle(picture, 9, 2).shape == (1, 8, 6)


def test_a_restorer_of_nothing_gives_its_input_back() -> None:
    x = torch.rand(1, 3, 9, 9)
    assert torch.equal(restored(Restorer(3, width=16, depth=1, levels=2), Damaged(x)), x)
