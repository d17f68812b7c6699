"""Runs whose pictures stream from shards, against themselves interrupted, moved, and shared out among ranks."""

import io
import json
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.test_config import VALUES
from tests.training.test_ranks import assignments, torchrun
from tests.training.test_trainer import SMALL, Interrupting, assert_same

import sparring
from sparring import config, data
from sparring.data.decode import Form
from sparring.errors import DataError, RunError, SettingError
from sparring.tasks.generate import Generate
from sparring.training.files import read_lines
from sparring.training.match import Match

pytest.importorskip("webdataset")

STREAMED = SMALL | {"shuffle_buffer": 100, "labels": True, "images": 1600}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "packed"
    data.pack("digits", folder, per_shard=250)
    return folder


def events(run: sparring.Run) -> list[str]:
    return [line["event"] for line in read_lines(run.folder / "events.jsonl")]


def test_interrupted_and_resumed_is_the_same_as_never_stopped(packed: Path, tmp_path: Path) -> None:
    whole = sparring.train(packed, out=tmp_path / "whole", **STREAMED)
    broken = sparring.train(packed, out=tmp_path / "broken", monitor=Interrupting(640), **STREAMED)
    assert broken.summary()["state"] == "interrupted"
    assert broken.summary()["images"] % 100 != 0  # in the middle of a buffer
    sparring.resume(broken)
    assert_same(whole, broken)
    assert whole.summary()["quality"] == broken.summary()["quality"]
    assert whole.settings().shuffle_buffer == 100
    assert (whole.samples / "nearest.png").is_file()
    assert sparring.load(whole).classes == tuple("0123456789")


def test_what_fits_into_memory_is_held_unless_a_buffer_is_asked_for(packed: Path, tmp_path: Path) -> None:
    run = sparring.train(packed, out=tmp_path / "run", **SMALL | {"images": 64})
    assert run.settings().shuffle_buffer is None
    assert run.data()["pictures"] == 1797


def test_what_does_not_fit_streams_by_itself(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.memory.available", lambda: 4 * 64 * 1000)
    run = sparring.train(packed, out=tmp_path / "run", **SMALL | {"images": 64})
    assert run.settings().shuffle_buffer == 10_000
    told = {choice["setting"]: choice["reason"] for choice in run.plan()["choices"]}
    assert told["shuffle_buffer"] == "1,797 pictures do not fit into memory: they stream"
    found = sparring.evaluate(run, run, n=64, metrics="fid")
    assert found.protocol["real"]["count"] == 1797


def test_a_run_on_the_output_of_commands_runs_them_only_when_they_are_given(packed: Path, tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    command = f"pipe:echo x >> {shlex.quote(str(traces))}; cat {packed}/{{00000..00007}}.tar"
    run = sparring.train(command, out=tmp_path / "run", monitor=Interrupting(640), **STREAMED | {"labels": False})
    before = traces.read_text()
    with pytest.raises(RunError, match=r"not run again unless you give it: sparring resume .* --shards-from 'pipe"):
        sparring.resume(run)
    with pytest.raises(RunError, match="not run again"):
        sparring.evaluate(run, run, n=64)
    assert traces.read_text() == before
    with pytest.raises(RunError, match="pictures have changed"):
        sparring.resume(run, shards_from=f"pipe:cat {packed}/{{00000..00006}}.tar")
    # The packed folder has names for its classes in the index, the shards alone have numbers: here they are the same.
    sparring.resume(run, shards_from=packed)
    assert run.summary()["state"] == "finished"
    assert run.settings().data == str(packed)


def test_shards_that_moved_are_named_anew(packed: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    data.pack("digits", here, per_shard=250)
    run = sparring.train(here, out=tmp_path / "run", monitor=Interrupting(640), **STREAMED)
    here.rename(tmp_path / "there")
    with pytest.raises((DataError, SettingError), match="here"):
        sparring.resume(run)
    sparring.resume(run, shards_from=tmp_path / "there")
    whole = sparring.train(packed, out=tmp_path / "whole", **STREAMED)
    assert_same(whole, run)


def test_damaged_pictures_are_an_event_and_not_the_end(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for number in range(200):
            buffer = io.BytesIO()
            sparring_picture(number).save(buffer, "PNG")
            content = buffer.getvalue()[: -30 if number % 50 == 0 else None]
            member = tarfile.TarInfo(f"{number:03d}.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    settings: dict[str, Any] = SMALL | {"shuffle_buffer": 20, "images": 640, "resolution": 8}
    run = sparring.train(str(tmp_path / "{0..0}.tar"), out=tmp_path / "run", **settings)
    assert run.summary()["state"] == "finished"
    skipped = [line for line in read_lines(run.folder / "events.jsonl") if line["event"] == "skipped"]
    known = run.data()["skipped"]
    assert 0 < len(skipped) + len(known) <= 4
    assert all("others are shown in their place" in line["message"] for line in skipped)


def sparring_picture(number: int) -> Any:
    from PIL import Image

    pixels = torch.randint(0, 256, (8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(number))
    return Image.fromarray(pixels.numpy())


def test_both_kinds_of_data_play_the_same_game(packed: Path) -> None:
    settings = config.complete(VALUES | {"labels": True, "shuffle_buffer": 50})
    stream = data.stream(packed, Form(8, 8, 1), buffer=50, labels=True)
    match = Match(settings, stream, Generate(settings, stream))
    terms = match.play()
    stream.close()
    assert all(bool(term.isfinite().all()) for term in terms.values())
    assert sum(stream.class_shares) == pytest.approx(1)


def test_another_number_of_ranks_says_what_becomes_of_the_epoch(packed: Path, tmp_path: Path) -> None:
    run = sparring.Run(tmp_path / "run")
    more = assignments("shuffle_buffer=100")
    torchrun("-m", "sparring", "train", packed, "--out", run, "--images", 1280, *more)
    assert json.loads((run.folder / "data.json").read_text())["pictures"] == 1797
    resumed = subprocess.run(
        [sys.executable, "-m", "sparring", "resume", str(run), "--images", "1920"], capture_output=True, text=True
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "in this epoch pictures may be missed or come twice" in resumed.stderr
    assert events(run) == ["started", "finished", "resumed", "shared out anew", "finished"]
