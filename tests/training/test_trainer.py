import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import sparring
from sparring.adversarial.player import MicroBatch, Player
from sparring.errors import RunError, SettingError
from sparring.training.files import read_lines
from sparring.training.match import Match
from sparring.training.monitor import PlainMonitor, QuietMonitor

SMALL: dict[str, Any] = {
    "width": 32,
    "depth": 1,
    "z_dim": 8,
    "batch": 32,
    "quality_samples": 64,
    "evaluate_every": 640,
    "checkpoint_every": 640,
    "device": "cpu",
}


def weights(run: sparring.Run) -> dict[str, torch.Tensor]:
    last = run.checkpoints / f"step-{run.steps()[-1]:09d}"
    found = {
        f"{file.relative_to(run.folder)}: {name}": tensor
        for file in [*last.glob("*.safetensors"), run.generator]
        for name, tensor in load_file(file).items()
    }
    assert len(found) > 20
    return found


def assert_same(one: sparring.Run, other: sparring.Run) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


class Interrupting(QuietMonitor):
    """Presses Ctrl-C when so many images have been seen."""

    def __init__(self, images: int) -> None:
        self.images = images

    def update(self, measurements: Any, fraction: float, seconds_left: float | None) -> None:
        if measurements["images"] >= self.images and "quality" in measurements:
            self.images = 2**63
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"augment": "ada", "augment_images": 500, "augment_target": 0.0, "labels": True, "mirror": True},
        {"penalty_method": "finite-difference", "penalty_interval": 3, "micro_batch": 16, "precision": "bf16"},
        {"network": "r3", "width": 16, "augment": "diffaugment"},
        {
            **{"network": "skip", "discriminator_features": "lite0", "discriminator_size": 32, "resolution": 16},
            **{"channels": 3, "width": 8, "augment": "ada", "augment_images": 50, "labels": True},
            **{"images": 96, "batch": 16, "evaluate_every": 48, "checkpoint_every": 48},
        },
    ],
    ids=["default", "ada, classes", "lazy finite differences", "r3", "through features, classes"],
)
def test_interrupted_and_resumed_is_the_same_as_never_stopped(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings = SMALL | {"images": 1600} | settings
    whole = sparring.train("digits", out=tmp_path / "whole", **settings)
    broken = sparring.train(
        "digits", out=tmp_path / "broken", monitor=Interrupting(settings["evaluate_every"]), **settings
    )
    assert broken.summary()["state"] == "interrupted"
    assert broken.summary()["images"] < settings["images"]
    sparring.resume(tmp_path / "broken")
    assert broken.summary()["state"] == "finished"
    assert_same(whole, broken)
    assert whole.summary()["quality"] == broken.summary()["quality"]


def test_the_clock_changes_nothing(tmp_path: Path) -> None:
    settings = SMALL | {"images": 640}
    calm = sparring.train("digits", out=tmp_path / "calm", **settings)
    busy = sparring.train("digits", out=tmp_path / "busy", save_seconds=1e-6, preview_seconds=1e-6, **settings)
    assert_same(calm, busy)


def test_the_seed_decides(tmp_path: Path) -> None:
    settings = SMALL | {"images": 320}
    one, same, other = (
        sparring.train("digits", out=tmp_path / name, seed=seed, **settings)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert_same(one, same)
    a, b = weights(one), weights(other)
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_a_finished_run_can_be_extended(tmp_path: Path) -> None:
    run = sparring.train("digits", out=tmp_path / "run", **SMALL | {"images": 640})
    assert sparring.load(run).sample(2).shape == (2, 1, 8, 8)
    with pytest.raises(RunError, match=r"is finished .* --images 1280"):
        sparring.resume(tmp_path / "run")
    sparring.resume(tmp_path / "run", images=960)
    assert run.summary()["images"] == 960
    assert run.settings().images == 960


def test_another_runs_weights_are_where_it_starts(tmp_path: Path) -> None:
    origin = sparring.train("digits", out=tmp_path / "origin", **SMALL | {"images": 640})
    heir = sparring.train(
        "digits",
        out=tmp_path / "heir",
        start_from=origin.folder,
        images=32,
        batch=32,
        learning_rate=1e-12,
        device="cpu",
    )
    assert heir.settings().width == 32
    theirs, ours = (run.load_checkpoint("cpu")[0]["discriminator"] for run in (origin, heir))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor)
    with pytest.raises(SettingError, match=r"width is 32 in .* and would be 48 here"):
        sparring.train("digits", out=tmp_path / "x", start_from=origin.folder, width=48, images=32, device="cpu")


def test_by_the_clock_the_schedules_follow_the_time(tmp_path: Path) -> None:
    run = sparring.train(
        "digits", out=tmp_path / "run", minutes=0.05, **{k: v for k, v in SMALL.items() if "every" not in k}
    )
    summary = run.summary()
    assert summary["state"] == "finished"
    assert 3 <= summary["seconds"] < 8
    rates = [line["learning_rate"] for line in read_lines(run.folder / "metrics.jsonl") if "learning_rate" in line]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(run.settings().learning_rate_final, rel=0.02)


def test_it_stops_when_quality_no_longer_improves(tmp_path: Path) -> None:
    frozen = {"learning_rate": 1e-12, "learning_rate_final": 1e-12, "patience": 1000, "images": 64_000}
    run = sparring.train("digits", out=tmp_path / "run", **SMALL | frozen)
    assert run.summary()["state"] == "finished"
    assert "not improved for 1,000 images" in run.summary()["message"]
    assert run.summary()["images"] < 4000


def test_numbers_that_break_stop_the_run_with_a_sound_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Match.play

    def poisoned(self: Match) -> dict[str, torch.Tensor]:
        if self.state.step == 50:
            with torch.no_grad():
                next(self.discriminator.module.parameters()).fill_(torch.nan)
        return play(self)

    monkeypatch.setattr(Match, "play", poisoned)
    run = sparring.train("digits", out=tmp_path / "run", **SMALL | {"images": 64_000})
    assert run.summary()["state"] == "stopped by the guard"
    assert "no longer a number" in run.summary()["message"]
    assert run.steps()[-1] == 40
    for step in run.steps():
        for file in (run.checkpoints / f"step-{step:09d}").glob("*.safetensors"):
            assert all(torch.isfinite(tensor).all() for tensor in load_file(file).values())


def test_the_generator_to_use_is_the_best_evaluated_one(tmp_path: Path) -> None:
    run = sparring.train("digits", out=tmp_path / "run", **SMALL | {"images": 3200, "quality_metric": "fid"})
    distances = {
        line["images"]: line["quality"]["fid"]["value"]
        for line in read_lines(run.folder / "metrics.jsonl")
        if "quality" in line
    }
    assert list(distances) == [640, 1280, 1920, 2560, 3200]
    best = run.summary()["quality"]
    assert best["metric"] == "fid"
    assert best["metrics"]["fid"]["value"] == min(distances.values()) == distances[best["images"]]


def test_the_best_is_by_the_metric_that_is_chosen(tmp_path: Path) -> None:
    run = sparring.train("digits", out=tmp_path / "run", **SMALL | {"images": 1920, "quality_metric": "kid"})
    distances = [
        line["quality"]["kid"]["value"] for line in read_lines(run.folder / "metrics.jsonl") if "quality" in line
    ]
    assert run.summary()["quality"]["metrics"]["kid"]["value"] == min(distances)


def test_the_run_folder_holds_what_is_promised(tmp_path: Path) -> None:
    run = sparring.train("digits", out=tmp_path / "run", tensorboard=True, **SMALL | {"images": 1280})
    for name in (
        "config.toml",
        "summary.json",
        "generator.safetensors",
        "metrics.jsonl",
        "events.jsonl",
        "report.html",
    ):
        assert (run.folder / name).is_file(), name
    assert [event["event"] for event in read_lines(run.folder / "events.jsonl")] == ["started", "finished"]
    assert list((run.folder / "tensorboard").iterdir())
    assert {path.name for path in run.samples.iterdir()} >= {"latest.png", "grid-000000640.png", "nearest.png"}
    assert json.loads((run.folder / "data.json").read_text())["pictures"] == 1797


def test_three_pictures_are_enough_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    for number in range(3):
        Image.fromarray(np.full((9, 7, 3), 60 * number, np.uint8)).save(tmp_path / f"few/{number}.png")
    brief, log = SMALL | {"images": 64, "batch": 16, "evaluate_every": 16}, io.StringIO()
    run = sparring.train(tmp_path / "few", out=tmp_path / "run", monitor=PlainMonitor(log), **brief)
    assert run.summary()["state"] == "finished"
    assert run.summary()["quality"] is None
    assert log.getvalue().count("warning: quality cannot be measured (prc: 3 real samples") == 1
    assert sparring.load(run.folder).sample(2).shape == (2, 3, 9, 7)


def test_other_pictures_than_before_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "pictures.npy"
    images = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    np.save(path, images)
    sparring.train(path, out=tmp_path / "run", monitor=Interrupting(640), **SMALL | {"images": 64_000})
    images[3, 2, 1] += 1
    np.save(path, images)
    with pytest.raises(RunError, match="its pictures have changed"):
        sparring.resume(tmp_path / "run")


def test_a_run_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        sparring.train("digits", out=tmp_path / "run", objective="hinges")
    assert not (tmp_path / "run").exists()


def test_a_rehearsal_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SMALL | {"images": 320}
    rehearsed = sparring.train("digits", out=tmp_path / "a", **settings)
    monkeypatch.setattr(Match, "rehearse", lambda self: 1.0)
    assert_same(rehearsed, sparring.train("digits", out=tmp_path / "b", **settings))


def test_memory_that_runs_out_at_the_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulate = Player._accumulate
    notes: list[str] = []

    def tight(self: Player, loss: Any, batch: Any, random: Any, size: int) -> Any:
        if size > 16:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return accumulate(self, loss, batch, random, size)

    class Listening(QuietMonitor):
        def note(self, message: str, *, urgent: bool = False) -> None:
            notes.append(message)

    monkeypatch.setattr(Player, "_accumulate", tight)
    sparring.train("digits", out=tmp_path / "run", monitor=Listening(), **SMALL | {"images": 64})
    assert notes[0].startswith("out of memory: 16 samples at a time")


def test_what_quality_is_measured_in_is_told_once_above_the_first_numbers(tmp_path: Path) -> None:
    log = io.StringIO()
    sparring.train("digits", out=tmp_path / "run", monitor=PlainMonitor(log), **SMALL | {"images": 1280})
    lines = log.getvalue().splitlines()
    first, second = (i for i, line in enumerate(lines) if line.startswith("quality after"))
    said = "how quality is measured: pixels, reduced to at most 16 a side; pictures of 8x8; 64 generated against "
    assert lines[first - 2].startswith(said)
    assert lines[first - 1] == "the generator of the best prc is kept: Mean of precision, recall and coverage"
    assert sum(said in line for line in lines) == 1
    assert " in pixels, " in lines[first] and "16 a side" not in lines[first] + lines[second]


def test_networks_that_do_not_fit_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def players(self: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr("sparring.tasks.generate.Generate.players", players)
    with pytest.raises(SettingError, match="networks do not fit the memory"):
        sparring.train("digits", out=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()


def test_a_run_that_died_before_its_summary_is_brought_to_its_end(tmp_path: Path) -> None:
    run = sparring.train("digits", out=tmp_path / "run", **SMALL | {"images": 640})
    summary = json.loads((run.folder / "summary.json").read_text())
    (run.folder / "summary.json").write_text(json.dumps(summary | {"state": "running"}))
    quality = run.summary()["quality"]
    assert run.summary()["state"] == "interrupted"
    sparring.resume(run)
    assert run.summary()["state"] == "finished"
    assert run.summary()["quality"] == quality


def test_a_run_killed_at_once_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: Match) -> None:
        raise KeyboardInterrupt

    settings = SMALL | {"images": 320}
    whole = sparring.train("digits", out=tmp_path / "whole", **settings)
    monkeypatch.setattr(Match, "rehearse", lambda self: 1.0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as stopped:
        patch.setattr(Match, "play", killed)
        sparring.train("digits", out=tmp_path / "broken", **settings)
    assert stopped.value.__notes__ == [f"sparring resume {tmp_path / 'broken'} goes on from what was saved last"]
    assert_same(whole, sparring.resume(tmp_path / "broken"))


def test_memory_that_runs_out_on_the_way_is_survived_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulate = Player._accumulate

    def tight(self: Player, loss: Any, batch: Any, random: Any, size: int) -> Any:
        if size > 16:
            raise torch.OutOfMemoryError("out of memory")
        return accumulate(self, loss, batch, random, size)

    monkeypatch.setattr(Player, "_accumulate", tight)
    monkeypatch.setattr(Match, "rehearse", lambda self: 1.0)
    run = sparring.train("digits", out=tmp_path / "run", **SMALL | {"images": 64})
    assert run.summary()["state"] == "finished"
    events = read_lines(run.folder / "events.jsonl")
    assert next(event["message"] for event in events if event["event"] == "out of memory").startswith(
        "out of memory: 16"
    )
    assert MicroBatch(32).size == 32
