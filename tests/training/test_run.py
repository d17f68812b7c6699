import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.test_config import VALUES

from sparring import config
from sparring.errors import RunError
from sparring.training import run as run_module
from sparring.training.files import read_lines
from sparring.training.run import Run, now

TENSORS = {"generator": {"w": torch.arange(6.0)}, "average": {"w": torch.ones(2, 2)}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path / "run")
    made.create(config.complete(VALUES), {})
    made.lock.release()
    return made


def test_a_checkpoint_comes_back_whole(run: Run) -> None:
    run.save_checkpoint(12, TENSORS, {"step": 12, "images": 384, "best_score": 0.1 + 0.2})
    groups, state = run.load_checkpoint("cpu")
    assert torch.equal(groups["generator"]["w"], TENSORS["generator"]["w"])
    assert state == {"step": 12, "images": 384, "best_score": 0.1 + 0.2}
    assert (run.checkpoints / "step-000000012").is_dir()


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(run: Run) -> None:
    run.save_checkpoint(1, TENSORS, {"step": 1})
    newer = run.save_checkpoint(2, TENSORS, {"step": 2})
    file = newer / "generator.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert run.load_checkpoint("cpu")[1] == {"step": 1}
    run.save_checkpoint(2, TENSORS, {"step": 2, "again": True})
    assert run.load_checkpoint("cpu")[1] == {"step": 2, "again": True}


def test_a_run_without_a_whole_checkpoint_says_why(run: Run) -> None:
    only = run.save_checkpoint(1, TENSORS, {"step": 1})
    (only / "average.safetensors").unlink()
    with pytest.raises(RunError, match=r"no checkpoint to go on from.*average"):
        run.load_checkpoint("cpu")


def test_a_full_disk_leaves_the_last_checkpoint_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.save_checkpoint(1, TENSORS, {"step": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_module, "write_tensors", full)
    with pytest.raises(RunError, match=r"No space left on device; what was saved before is whole"):
        run.save_checkpoint(2, TENSORS, {"step": 2})
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-000000001"]
    assert run.load_checkpoint("cpu")[1] == {"step": 1}


def test_only_the_checkpoints_to_keep_stay(run: Run) -> None:
    (run.checkpoints / ".new-step-000000007").mkdir()
    for step in (1, 2, 3, 10):
        run.save_checkpoint(step, TENSORS, {"step": step})
    run.keep_checkpoints({2, 10})
    assert run.steps() == [2, 10]
    assert len(list(run.checkpoints.iterdir())) == 2


def test_an_occupied_folder_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds a run already: `sparring resume"):
        Run(run.folder).create(config.complete(VALUES), {})
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(RunError, match="is not empty"):
        Run(tmp_path / "other").create(config.complete(VALUES), {})


def test_a_run_whose_process_is_gone_is_interrupted(run: Run) -> None:
    run.write_summary(state="running")
    assert run.summary()["state"] == "interrupted"
    other = Run(run.folder)
    other.lock_or_refuse()
    assert run.summary()["state"] == "running"
    with pytest.raises(RunError, match="is being trained by process"):
        run.lock_or_refuse()
    other.lock.release()
    assert run.summary()["state"] == "interrupted"


def test_a_run_on_another_host_is_dead_when_it_has_been_silent(run: Run) -> None:
    path = run.folder / "summary.json"
    recent = {"state": "running", "host": "elsewhere", "updated": now()}
    for summary, state in (
        (recent, "running"),
        (recent | {"updated": "2020-01-01T00:00:00+00:00"}, "interrupted"),
        (recent | {"updated": None}, "interrupted"),
    ):
        path.write_text(json.dumps(summary))
        assert run.summary()["state"] == state
    path.write_text("[]")
    with pytest.raises(RunError, match="damaged"):
        run.summary()


def test_measurements_after_a_checkpoint_are_forgotten(run: Run) -> None:
    for images in (32, 64, 96):
        run.append("metrics.jsonl", {"images": images})
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"images": 12')
    (run.folder / "events.jsonl").write_text('{"images": 900, "event": "started"}\n{"images": 9')
    run.forget_after(64)
    run.event("resumed", 64, "")
    assert [line["event"] for line in read_lines(run.folder / "events.jsonl")] == ["started", "resumed"]
    assert [line["images"] for line in read_lines(run.folder / "metrics.jsonl")] == [32, 64]


def test_nothing_is_pickled(run: Run) -> None:
    run.save_checkpoint(1, TENSORS, {"step": 1})
    names = [path.name for path in run.folder.rglob("*") if path.is_file()]
    assert all(name.endswith((".toml", ".json", ".jsonl", ".safetensors", ".lock")) for name in names)
    assert load_file(run.checkpoints / "step-000000001/generator.safetensors")["w"].tolist() == list(range(6))
