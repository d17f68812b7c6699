"""The benchmark of the guard: each sabotage does what it says, while it lasts, and the table counts right."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.test_config import VALUES
from tests.training.test_match import match, weights

import sparring
from sparring import config
from sparring.randomness import Random
from sparring.tasks.generate import Generate

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import sabotage
from sabotage import SABOTAGE

BATCH = VALUES["batch"]
HALF = sabotage.IMAGES // 2 // BATCH


@pytest.fixture(autouse=True)
def undone() -> Any:
    before = (Generate.real, Generate.fake, sabotage.match.step, sabotage.match.low_precision)
    yield
    assert (Generate.real, Generate.fake, sabotage.match.step, sabotage.match.low_precision) == before


def begun(name: str) -> Any:
    """The context of a sabotage, entered by `with`."""
    return SABOTAGE[name][0]()


@pytest.mark.parametrize("name", SABOTAGE)
def test_settings_go_together(name: str) -> None:
    config.complete(VALUES | SABOTAGE[name][1])


def test_one_batch_is_nan_and_it_does_not_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sabotage, "IMAGES", 20 * BATCH)
    game = match()
    pictures = game._batch(game.data)
    with begun("a batch of NaN"):
        broken = [
            (step, attempt)
            for step in range(20)
            for attempt in (0, 1)
            if game.task.real(pictures, Random(0, step, BATCH, attempt=attempt)).differentiable[0].isnan().all()
        ]
    assert broken == [(10, 0)]


def test_noise_is_frozen_from_half_way_on() -> None:
    game = match()
    pictures = game._batch(game.data)
    with begun("frozen noise from half way"):
        for number, same in ((0, False), (HALF - 1, False), (HALF, True), (2 * HALF, True)):
            (made,) = game.task.fake(game.generator.module, pictures, Random(0, number, BATCH)).differentiable
            assert torch.equal(made[:1].expand_as(made), made) == same


def test_the_discriminator_learns_twenty_times_faster() -> None:
    game = match()
    with begun("D learns 20 times faster"):
        for _ in range(2):
            rate = game.schedule()["learning_rate"]
            game.play()
            assert game.generator.optimizer.param_groups[0]["lr"] == rate
            assert game.discriminator.optimizer.param_groups[0]["lr"] == pytest.approx(20 * rate)


def test_the_generator_learns_late() -> None:
    game = match()
    with begun("minimax, no penalty, G learns late"):
        for number, late in ((0, True), (sabotage.LATE // BATCH, True), (-(-sabotage.LATE // BATCH), False)):
            game.state.step = number
            before = weights(game.generator), weights(game.discriminator)
            game.play()
            assert torch.equal(weights(game.generator), before[0]) == late
            assert not torch.equal(weights(game.discriminator), before[1])


def test_the_players_run_in_half_precision() -> None:
    with begun("float16, a learning rate 10 times"), sabotage.match.low_precision("fp32", "cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float16


def test_a_hundred_pictures_are_a_hundred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(sparring, "train", lambda source, **settings: given.append((np.load(source), settings)))
    sabotage.play(sparring.Run(tmp_path / "run"), "100 pictures", "on", 7)
    ((pictures, settings),) = given
    assert len(pictures) == 100
    assert (settings["guard"], settings["seed"], settings["images"]) == ("on", 7, sabotage.IMAGES)


def test_a_row_has_counts_and_means() -> None:
    def found(state: str, fid: float | None, *events: str) -> dict[str, Any]:
        quality = {} if fid is None else {"fid": fid, "recall": fid / 10, "copies": 0.0}
        return {"state": state, "best": quality, "last": quality, "events": [(event, "said") for event in events]}

    without = [found("failed", None, "failed"), found("finished", 2.0), found("finished", 4.0)]
    guarded = [found("finished", 1.0, "victory", "collapse", "victory", "finished"), found("finished", 2.0)]
    assert sabotage.row("all", without, guarded) == (
        "| all | failed 1 of 3, finished 2 of 3 | 3 | 3 | 30 % | 0 % "
        "| finished 2 of 2 | 1.5 | 1.5 | 15 % | 0 % | victory 2, collapse |"
    )
    assert sabotage.row("one", without[:1], guarded[1:]) == (
        "| one | failed | - | - | - | - | finished | 2 | 2 | 20 % | 0 % | nothing |"
    )
