"""Several processes that train together, started by the real torchrun, against one that trains alone."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.test_config import VALUES
from tests.training.test_trainer import SMALL, Interrupting

import sparring
from sparring import config, data
from sparring.data import memory
from sparring.errors import RunError, SettingError
from sparring.ranks import ALONE, Ranks, joined, lost_ranks
from sparring.tasks.generate import Generate
from sparring.training.match import Match
from sparring.training.monitor import QuietMonitor

ROOT = Path(__file__).parents[2]
STEPS = 6
GAMES: dict[str, dict[str, Any]] = {
    "exact": {"augment": "ada", "augment_images": 400, "labels": True, "mirror": True},
    "differences": {"penalty_method": "finite-difference", "micro_batch": 8, "batch": 40},
    "spectral": {
        "network": "dcgan",
        "spectral_norm": True,
        "objective": "hinge",
        "augment": "diffaugment",
        "quality_samples": 600,
    },
    "partners": {"objective": "hinge", "partner_stride": 2, "penalty_stride": 4, "augment": "diffaugment"},
    "seen-through": {
        **{"network": "skip", "discriminator_features": "lite0", "discriminator_size": 32, "resolution": (16, 16)},
        **{"channels": 3, "width": 8, "batch": 8, "penalty": "none", "augment": "diffaugment"},
    },
}
COMMAND = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def outcome(settings: dict[str, Any], ranks: Ranks = ALONE) -> dict[str, torch.Tensor]:
    """A judgement at the start, gradients of the first step, and after some more the average and augmentation."""
    complete = config.complete(VALUES | settings)
    pictures = data.load("digits", resolution=complete.resolution, channels=complete.channels, labels=complete.labels)
    task = Generate(complete, pictures, ranks)
    match = Match(complete, pictures, task, ranks)
    match.controller.p = 0.5
    untouched = {f"quality {name}": torch.tensor(it.value) for name, it in task.judge(match.average).metrics.items()}
    found = untouched | {f"term {name}": value.detach().clone() for name, value in match.play().items()}
    for player in ("generator", "discriminator"):
        for name, parameter in getattr(match, player).module.named_parameters():
            if parameter.grad is not None:
                found[f"gradient {player} {name}"] = parameter.grad.contiguous().clone()
    for _ in range(STEPS - 1):
        match.play()
    found |= {f"average {name}": value.contiguous().clone() for name, value in match.average.state_dict().items()}
    found["augment p"] = torch.tensor(match.schedule()["augment_p"], dtype=torch.float64)
    return found


def flat(found: dict[str, torch.Tensor], kind: str) -> torch.Tensor:
    """All of a kind in one vector, for a gradient that should vanish is a rounding error, small beside the others."""
    return torch.cat([value.double().flatten() for name, value in sorted(found.items()) if name.startswith(kind)])


def torchrun(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    torchrun("-m", "tests.training.ranks_play", folder)
    return folder


@pytest.mark.parametrize("game", GAMES)
def test_two_ranks_give_the_gradients_average_and_augmentation_of_one(played: Path, game: str) -> None:
    alone = outcome(GAMES[game])
    first, second = (load_file(played / f"{game}-{rank}.safetensors") for rank in range(2))
    assert first.keys() == second.keys() == alone.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    for kind in ("term", "gradient generator", "gradient discriminator", "average", "augment p"):
        one, two = (flat(found, kind) for found in (alone, first))
        assert (one - two).norm() <= 1e-3 * one.norm(), kind
    if game == "exact":
        assert alone["augment p"] not in (0, 0.5, 1)


def test_an_evaluation_that_is_shared_out_gives_the_same_number(played: Path) -> None:
    """Of the generator before its first step, the same everywhere; 600 samples are three chunks."""
    alone, together = outcome(GAMES["spectral"]), load_file(played / "spectral-1.safetensors")
    names = [name for name in alone if name.startswith("quality")]
    assert len(names) >= 5
    assert [name for name in names if not torch.equal(alone[name], together[name])] == []


@pytest.mark.skipif(sys.platform != "linux", reason="threads are told by Linux")
def test_ranks_that_parted_leave_no_thread_behind(played: Path) -> None:
    """One that lives when the interpreter ends can end the process by an abort, and with it the launch."""
    for rank in range(2):
        threads = (played / f"threads-{rank}.txt").read_text()
        assert threads and "gloo" not in threads


def assignments(*more: str) -> list[str]:
    small = [f"{name}={value}" for name, value in SMALL.items()]
    return [word for assignment in (*small, *more) for word in ("--set", assignment)]


def test_only_one_process_writes_and_speaks_and_another_number_of_them_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = torchrun(
        *("-m", "sparring", "train", "digits", "--out", run, "--images", 1280, "--json", "-"), *assignments()
    )
    assert json.loads(done.stdout)["state"] == "finished"
    assert done.stderr.count("network = ") == 1
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len(set(lines))
    resumed = subprocess.run(
        [sys.executable, "-m", "sparring", "resume", run, "--images", "1920"], capture_output=True, text=True
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "trained by 2 processes before" in resumed.stderr
    assert json.loads((run / "summary.json").read_text())["images"] == 1920


def test_what_one_process_began_two_go_on_with_as_it_would_have(tmp_path: Path) -> None:
    given = SMALL | {"images": 1280}
    whole = sparring.train("digits", out=tmp_path / "whole", **given)
    part = sparring.train("digits", out=tmp_path / "part", monitor=Interrupting(640), **given)
    assert part.summary()["state"] == "interrupted"
    done = torchrun("-m", "sparring", "resume", part)
    assert "trained by 1 process before" in done.stderr and "2 processes" in done.stderr
    one, two = (torch.cat([value.flatten() for value in load_file(run.generator).values()]) for run in (whole, part))
    assert (one - two).norm() <= 1e-3 * one.norm()
    assert not torch.equal(one, two)


def test_ranks_go_back_together(tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = assignments("learning_rate=0.5", "guard_every=640")
    done = torchrun("-m", "sparring", "train", "digits", "--out", run, "--images", 3200, *options)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert events[1]["event"] == "confusion"
    assert events[1]["images"] == 640
    assert "went back to 0 images" in events[1]["message"]
    assert done.stderr.count(events[1]["message"]) == 1
    assert json.loads((run / "summary.json").read_text())["state"] == "finished"


def test_a_batch_that_cannot_be_shared_out_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = torchrun("-m", "sparring", "train", "digits", "--out", tmp_path / "run", "--set", "batch=33", status=1)
    said = "sparring: batch=33 cannot be shared out evenly among 2 processes: give --set batch=34 or 32"
    assert done.stderr.count(said) == 1 and done.stderr.count("batch=33") == 1
    assert "decoding" not in done.stderr


def test_a_killed_rank_is_restarted_and_nothing_is_lost(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train = ["-m", "sparring", "train", "digits", "--out", run, "--images", 12_800, *assignments("save_seconds=0.1")]
    process = subprocess.Popen(
        [*COMMAND, "--max-restarts", "1", *map(str, train)], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "quality after 1,280" in line:
            os.kill(json.loads((run / "summary.json").read_text())["pid"], signal.SIGKILL)
            break
    rest = process.stderr.read()
    assert process.wait() == 0, rest
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["started", "resumed", "finished"]
    assert events[1]["images"] >= 640
    assert events[2]["images"] == 12_800
    measured = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    judged = [line["images"] for line in measured if "quality" in line]
    assert judged == list(range(640, 12_801, 640))


def test_a_launch_does_not_take_over_the_run_of_another(tmp_path: Path) -> None:
    train = ("-m", "sparring", "train", "digits", "--out", tmp_path / "run", "--images", 64, *assignments())
    torchrun(*train)
    refused = torchrun(*train, status=1).stderr
    assert refused.count("holds a run already") == 1
    assert "another process of this run is gone" not in refused


class Dying(QuietMonitor):
    """Breaks off at the first measurement."""

    def update(self, measurements: Any, fraction: float, seconds_left: float | None) -> None:
        raise RuntimeError("died")


def test_a_restarted_launch_goes_on_and_leaves_a_finished_run_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a launch")
    train = partial(sparring.train, "digits", out=tmp_path / "run", images=640, **SMALL)
    with pytest.raises(RuntimeError, match="died"):
        train(monitor=Dying())
    run = train(monitor=QuietMonitor())
    again = train(monitor=QuietMonitor())
    assert again.summary() == run.summary()
    events = [json.loads(line)["event"] for line in (run.folder / "events.jsonl").read_text().splitlines()]
    assert events == ["started", "resumed", "finished"]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "another launch")
    with pytest.raises(RunError, match="holds a run already"):
        train(monitor=QuietMonitor())


@pytest.mark.parametrize(
    ("ranks", "saved", "expected"),
    [(4, 8, 32), (4, 4, 4), (1, 16, 16), (1, 32, 32)],
    ids=["small because shared", "small because memory ran out", "the same alone", "whole"],
)
def test_fewer_ranks_take_more_at_once_unless_memory_ran_out(ranks: int, saved: int, expected: int) -> None:
    settings = config.complete(VALUES | {"batch": 32, "micro_batch": 32})
    pictures = data.load("digits", resolution=settings.resolution)
    match = Match(settings, pictures, Generate(settings, pictures))
    match.play()
    match.restore(match.tensors(), match.snapshot() | {"ranks": ranks, "micro_batch": saved})
    assert match.micro_batch.size == expected


def test_what_must_be_the_same_everywhere_is_compared() -> None:
    ALONE.agree("here", "the pictures")

    class Apart(Ranks):
        def gathered(self, mine: Any) -> list[Any]:
            return [mine, "elsewhere"]

    with pytest.raises(RunError, match="different things in the pictures"):
        Apart(0, 2).agree("here", "the pictures")


def test_processes_of_a_host_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 4000)
    assert memory.fits(1000)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.fits(250)
    assert not memory.fits(251)


def test_batches_are_shared_out_evenly_or_not_at_all() -> None:
    assert Ranks(1, 4).part(64) == 16
    with pytest.raises(SettingError, match="batch=33"):
        Ranks(0, 2).part(33)


def test_a_lost_rank_is_told_in_a_sentence() -> None:
    with pytest.raises(RunError, match=r"another process of this run is gone.*Connection closed by peer"), lost_ranks():
        raise RuntimeError("[gloo/pair.cc:547] Connection closed by peer\nmore of it")


def test_half_of_torchruns_variables_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_PORT", "29500")
    for name in ("RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingError, match="no RANK and no MASTER_ADDR: start them by torchrun"), joined():
        pass
