"""The real command in a process of its own, as a person runs it."""

import contextlib
import html
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from sparring.training.files import read_lines

SMALL = [
    *("--device", "cpu"),
    *(f"--set={setting}" for setting in ("width=32", "depth=1", "z_dim=8", "batch=32", "quality_samples=64")),
]


def sparring(*arguments: object, status: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sparring", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=120
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    done = sparring("train", "digits", "--out", folder, "--images", 1280, "--set", "labels=true", *SMALL, "--json", "-")
    assert json.loads(done.stdout)["state"] == "finished"
    return folder


def test_train_says_what_it_chose_and_why_and_where_everything_is(tmp_path: Path) -> None:
    done = sparring("train", "digits", "--out", tmp_path / "run", "--images", 640, *SMALL)
    assert done.stdout == ""
    for words in ("8x8", "network", "precision", "report.html", "sparring sample"):
        assert words in done.stderr


def test_samples_in_every_form(run: Path, tmp_path: Path) -> None:
    answer = sparring("sample", run, "--n", 20, "--seed", 3, "--out", tmp_path / "a.npy", "--json", "-")
    assert json.loads(answer.stdout)["n"] == 20
    array = np.load(tmp_path / "a.npy")
    assert array.shape == (20, 8, 8, 1)
    assert array.dtype == np.uint8
    sparring("sample", run, "--n", 5, "--seed", 3, "--out", tmp_path / "a.npz")
    assert np.array_equal(np.load(tmp_path / "a.npz")["images"], array[:5])
    sparring("sample", run, "--n", 3, "--seed", 3, "--out", tmp_path / "folder")
    pictures = [np.array(Image.open(path)) for path in sorted((tmp_path / "folder").iterdir())]
    assert np.array_equal(pictures, array[:3, :, :, 0])
    sparring("sample", run, "--n", 9, "--out", tmp_path / "new/grid.png")
    assert Image.open(tmp_path / "new/grid.png").width > 100


def test_samples_of_a_class_and_from_a_single_file(run: Path, tmp_path: Path) -> None:
    sparring("sample", run / "generator.safetensors", "--n", 2, "--label", 7, "--out", tmp_path / "a.npy")
    done = sparring("sample", run, "--n", 2, "--label", "seven", "--out", tmp_path / "b.npy", status=2)
    assert "0, 1, 2, 3" in done.stderr
    assert not (tmp_path / "b.npy").exists()


def test_runs_are_listed_with_state_and_quality(run: Path) -> None:
    answer = json.loads(sparring("runs", run.parent, "--json", "-").stdout)["runs"]
    assert [(entry["state"], entry["images"]) for entry in answer] == [("finished", 1280)]
    recall = answer[0]["quality"]["metrics"]["recall"]
    assert 0 <= recall["low"] <= recall["value"] <= recall["high"] <= 1
    assert "finished" in sparring("runs", run.parent).stderr


def test_the_doctor_reads_a_run_for_people_and_for_programs(run: Path, tmp_path: Path) -> None:
    answer = json.loads(sparring("doctor", run, "--json", "-").stdout)
    assert (answer["run"], answer["state"]) == (str(run), "finished")
    assert all(set(advice) == {"seen", "do", "urgent"} for advice in answer["advice"])
    urgent = [advice["urgent"] for advice in answer["advice"]]
    assert urgent == sorted(urgent, reverse=True)
    losses = next(advice for advice in answer["advice"] if "where both would be 0.693" in advice["seen"])
    assert losses["do"].startswith("Losses do not tell quality; prc does") and not losses["urgent"]
    assert answer["signals"]["not a number"] == {"highest": 0, "threshold": 0}
    done = sparring("doctor", run)
    words = " ".join(done.stderr.split())
    assert done.stdout == "" and "what the guard looks at" in words
    for advice in answer["advice"]:
        assert f"{'!' if advice['urgent'] else '-'} {advice['seen']} {advice['do']}".strip() in words
    assert "holds no run" in sparring("doctor", tmp_path, status=2).stderr


def test_evaluate_prints_a_table_and_json(run: Path, tmp_path: Path) -> None:
    done = sparring("evaluate", run, run, "--n", 100, "--json", "-", "--nearest", tmp_path / "nearest.png")
    answer = json.loads(done.stdout)
    assert {"fid", "kid", "precision", "recall", "density", "coverage", "memorisation", "modes"} <= set(
        answer["metrics"]
    )
    for result in answer["metrics"].values():
        assert result["low"] <= result["value"] <= result["high"]
    assert answer["protocol"]["features"]["name"] == "pixels"
    for words in ("95 % interval", "split: training", "Frechet distance", "8x8 grey"):
        assert words in done.stderr
    assert Image.open(tmp_path / "nearest.png").width > 100


def test_evaluate_explains_its_metrics() -> None:
    whole = sparring("evaluate", "--explain").stderr
    assert all(words in whole for words in ("fid", "Frechet distance", "memorisation", "--explain NAME"))
    assert "Heusel et al. 2017" not in whole and max(map(len, whole.splitlines())) <= 80
    named = sparring("evaluate", "--explain", "fid").stderr
    assert "Heusel et al. 2017" in named and "lies" in named and "memorisation" not in named
    answer = json.loads(sparring("evaluate", "--explain", "--metrics", "kid", "--json", "-").stdout)
    assert list(answer["metrics"]) == ["kid"]


def test_evaluate_compares_restored_pictures_with_clean_ones(tmp_path: Path) -> None:
    for side, value in (("clean", 100), ("restored", 110)):
        (tmp_path / side).mkdir()
        for name in "abc":
            Image.new("RGB", (24, 20), (value, value, value)).save(tmp_path / side / f"{name}.png")
    (tmp_path / "restored/c.png").rename(tmp_path / "restored/d.png")
    pair = ("evaluate", "clean", "restored", "--metrics", "psnr,ssim,perceptual,psnr_y")
    done = sparring(*pair, "--shave", 2, "--json", "-", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert list(answer["metrics"]) == ["psnr", "ssim", "perceptual", "psnr_y"]
    assert answer["metrics"]["psnr"]["value"] == pytest.approx(20 * math.log10(25.5))
    assert answer["protocol"]["pairs"]["shave"] == 2
    words = " ".join(done.stderr.split())
    assert all(
        said in words
        for said in ("28.13 dB", "2 pairs of pictures at their own size", "clean/c.png: nothing in restored")
    )
    (tmp_path / "restored/a.png").unlink()
    (tmp_path / "restored/b.png").unlink()
    assert "no pictures of the same name" in sparring(*pair, status=2, cwd=tmp_path).stderr
    assert "Blau & Michaeli" in sparring("evaluate", "--explain", "psnr").stderr


def test_evaluate_says_what_is_wrong(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "weights.pt").write_bytes(b"nothing")
    for arguments, words in {
        (run,): "two sides are compared",
        (run, tmp_path / "empty"): "no picture that can be used",
        (run, run, "--metrics", "precison"): "did you mean precision",
        (run, run, "--features", "pixel"): "did you mean pixels",
        (run, run, "--features", tmp_path / "weights.pt"): "weights.pt",
        (run, run, "--n", 1): "n=1: it should be a whole number, at least 2",
        (run, run, "--resolution", "x"): "resolution",
        (tmp_path / "absent.npz", run): "absent.npz",
    }.items():
        done = sparring("evaluate", *arguments, status=2)
        assert words in done.stderr
        assert done.stdout == ""


def test_data_pack_makes_shards_that_train_from_disk_and_from_a_pipe(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    pack = ("data", "pack", "digits")
    answer = json.loads(sparring(*pack, tmp_path / "a", "--size-per-shard", 900, "--json", "-").stdout)
    assert (answer["pictures"], answer["shards"], answer["skipped"]) == (1797, 2, [])
    words = sparring(*pack, tmp_path / "a", status=2).stderr
    assert f"{tmp_path / 'a'}: is there already and not an empty folder" in words
    assert "1,797 pictures in 2 shards" in sparring(*pack, tmp_path / "b").stderr
    command = f"pipe:cat {tmp_path}/a/{{00000..00001}}.tar"
    train = ("--images", 320, *SMALL, "--set", "shuffle_buffer=100", "--json", "-")
    for number, place in enumerate((tmp_path / "a", tmp_path / "a/{00000..00001}.tar", command)):
        done = sparring("train", place, "--out", tmp_path / f"run{number}", *train)
        assert json.loads(done.stdout)["state"] == "finished"
    more = ("resume", tmp_path / "run2", "--images", 640)
    assert "--shards-from 'pipe:...'" in sparring(*more, status=2).stderr
    assert "finished" in sparring(*more, "--shards-from", command).stderr


def test_what_is_wrong_with_shards_is_said_before_a_run_is_made(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    (tmp_path / "1.tar").write_bytes(b"<html>404</html>")
    for place, words in {
        tmp_path / "{0..0}.tar": "0.tar: there is no such shard",
        tmp_path / "{1..1}.tar": "1.tar: not a whole tar archive",
        "pipe:exit 7": "the command ended with status 7",
    }.items():
        assert words in sparring("train", place, "--out", tmp_path / "run", status=2).stderr
    done = sparring("train", "digits", "--out", tmp_path / "run", "--set", "shuffle_buffer=9", status=2)
    assert "shuffle_buffer=9: digits is no set of shards" in done.stderr
    assert not (tmp_path / "run").exists()


def test_data_check_lists_what_would_be_skipped(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    answer = json.loads(sparring("data", "check", tmp_path, "--json", "-").stdout)
    assert answer["used"] == 1
    assert [entry["path"] for entry in answer["skipped"]] == ["bad.png"]
    assert "bad.png" in sparring("data", "check", tmp_path).stderr


def test_data_check_tells_of_clips(tmp_path: Path) -> None:
    for number in range(3):
        frames = [Image.new("RGB", (9, 6), (40 * number, 80 * at, 0)) for at in range(3)]
        frames[0].save(tmp_path / f"{number}.gif", save_all=True, append_images=frames[1:], duration=50)
    frames[0].save(tmp_path / "still.gif")
    answer = json.loads(sparring("data", "check", tmp_path, "--json", "-").stdout)
    assert (answer["used"], answer["frames"], answer["rates"], answer["sizes"]) == (3, 9, {"20": 3}, {"6x9": 3})
    assert [entry["path"] for entry in answer["skipped"]] == ["still.gif"]
    told = sparring("data", "check", tmp_path).stderr
    assert "3 clips can be used, 1 would be skipped" in told
    assert "frames a second: 20 (3)" in told
    assert "4 pictures can be used" in sparring("data", "check", tmp_path, "--task", "generate").stderr
    assert "task=film" in sparring("data", "check", tmp_path, "--task", "film", status=2).stderr


def test_presets_are_listed() -> None:
    assert "wgan-gp" in json.loads(sparring("presets", "--json", "-").stdout)["presets"]


def test_only_a_launch_of_several_processes_silences_any_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    assert "presets" in json.loads(sparring("presets", "--json", "-").stdout)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert sparring("presets", "--json", "-").stdout == ""


def test_the_version_is_told() -> None:
    assert sparring("--version").stdout == f"sparring {version('sparring')}\n"


@pytest.mark.parametrize(
    "command", [[], ["train"], ["resume"], ["sample"], ["runs"], ["presets"], ["data"], ["data", "check"]]
)
def test_help_comes_without_torch_and_with_examples(command: list[str]) -> None:
    code = "import sys\nfrom sparring.cli import app\ntry: app()\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Examples" in done.stdout or command in ([], ["data"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "digits", "--out", "x", "--set", "learnign_rate=1"], "did you mean learning_rate"),
        (["train", "digits", "--out", "x", "--resolution", "large"], "64x96"),
        (["train", "digits", "--out", "x", "--images", "-5"], "images"),
        (["train", "digits", "--out", "x", "--size", "huge"], "XS, S, M, L, XL"),
        (["train", "digist", "--out", "x"], "digits"),
        (["train", "digits", "--out", "x", "--task", "paint"], "generate"),
        (["train", "digits", "--out", "x", "--preset", "dcgan"], "classic-dcgan"),
        (["train", "digits", "--out", "x", "--from", "nowhere"], "nowhere"),
        (["resume", "nowhere"], "no such folder"),
        (["resume", "nowhere", "--guard", "of"], "did you mean off"),
        (["tune", "digits", "--out", "x", "--guard", "of"], "did you mean off"),
        (["sample", "nowhere", "--out", "x.png"], "nowhere"),
        (["runs", "nowhere"], "nowhere"),
        (["data", "check", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_answered_by_one_sentence_and_status_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = sparring(*arguments, status=2, cwd=tmp_path)
    assert words in done.stderr
    assert len(done.stderr) < 1500
    assert list(tmp_path.iterdir()) == []


def start(folder: Path, images: int) -> subprocess.Popen[str]:
    """A run that saves all the time, once a checkpoint after the start is there."""
    command = [
        sys.executable,
        "-m",
        "sparring",
        "train",
        "digits",
        "--out",
        str(folder),
        "--images",
        str(images),
        *SMALL,
    ]
    command += ["--set=save_seconds=0.5", "--set=evaluate_every=6400", "--set=checkpoint_every=6400"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(folder.glob("checkpoints/step-*[1-9]*")):
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    return process


def test_ctrl_c_saves_and_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder, 10_000_000)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130, words
    assert "sparring resume" in words
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["state"] == "interrupted"
    answer = json.loads(sparring("resume", folder, "--images", summary["images"] + 320, "--json", "-").stdout)
    assert answer["state"] == "finished"
    assert answer["images"] == summary["images"] + 320


def test_ctrl_c_before_there_is_anything_says_so(tmp_path: Path) -> None:
    """The data come through a pipe that never ends, so that it is still being looked at."""
    command = [sys.executable, "-m", "sparring", "train", f"pipe:echo > {tmp_path / 'begun'}; sleep 60"]

    def interruptible() -> None:
        # What a shell runs in the background has Ctrl-C ignored, and gives that on.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")], stderr=subprocess.PIPE, text=True, preexec_fn=interruptible
    )
    while process.poll() is None and not (tmp_path / "begun").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130, words
    assert words.endswith("sparring: stopped; nothing is saved yet: the same command begins anew\n")
    assert not (tmp_path / "run").exists()


def test_killed_and_resumed_ends_bit_for_bit_as_never_killed(tmp_path: Path) -> None:
    images = 12_800
    process = start(tmp_path / "broken", images)
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert json.loads(sparring("runs", tmp_path, "--json", "-").stdout)["runs"][0]["state"] == "interrupted"
    sparring("resume", tmp_path / "broken")
    start(tmp_path / "whole", images).communicate()
    files = {}
    for name in ("broken", "whole"):
        last = tmp_path / name / f"checkpoints/step-{images // 32:09d}"
        files[name] = [*sorted(last.glob("*.safetensors")), tmp_path / name / "generator.safetensors"]
    assert len(files["whole"]) == 6
    for ours, theirs in zip(files["broken"], files["whole"], strict=True):
        a, b = load_file(ours), load_file(theirs)
        assert all(np.array_equal(a[key].numpy(), b[key].numpy()) for key in b), ours.name


def test_what_the_guard_does_is_told_on_the_terminal_and_in_the_report(tmp_path: Path) -> None:
    run, (screen, terminal) = tmp_path / "run", os.openpty()
    far_too_fast = ("--images", "1600", "--set=learning_rate=0.5", "--set=guard_every=160")
    command = [sys.executable, "-m", "sparring", "train", "digits", "--out", str(run), *SMALL, *far_too_fast]
    process = subprocess.Popen(command, stderr=terminal, env=os.environ | {"COLUMNS": "80", "TERM": "xterm"})
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # which is how a terminal ends on Linux
        while some := os.read(screen, 65536):
            shown += some
    os.close(screen)
    assert process.wait(timeout=60) == 0, shown
    told = " ".join(re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode()).split())
    messages = [event["message"] for event in read_lines(run / "events.jsonl")[1:-1]]
    assert any("went back to 0 images and lowered the learning rate to 0.25 (try 1 of 5)" in said for said in messages)
    report = html.unescape((run / "report.html").read_text(encoding="utf-8"))
    for message in messages:
        assert f"guard: {message}" in told
        assert f"The guard stepped in: {message}." in report


def test_a_run_in_use_is_not_trained_twice(tmp_path: Path) -> None:
    process = start(tmp_path / "run", 10_000_000)
    try:
        assert f"process {process.pid}" in sparring("resume", tmp_path / "run", status=2).stderr
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
