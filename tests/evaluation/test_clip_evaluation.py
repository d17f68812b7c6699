import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from sparring.cli import app
from sparring.data.clips import Clips
from sparring.data.decode import Form
from sparring.errors import MetricError
from sparring.evaluation.catalogue import METRICS, OF_CLIPS
from sparring.evaluation.clip_profiles import profile_of
from sparring.evaluation.clips import METHODS, OF_CLOUDS, ClipJudge, Kept, Shot, Taken, apt, length_of, measure_clips
from sparring.evaluation.evaluator import evaluate
from sparring.evaluation.nearest_clips import nearest_clips, nearest_parts
from sparring.evaluation.reels import Reframed
from sparring.metrics.frechet import frechet_distance, moments
from sparring.networks.clip_features import FramesAndChanges, Watched, open_clip_features
from sparring.networks.efficientnet_lite import lite0


class Means:
    """A space for tests: means of colours, and of their change; counts the clips that it saw."""

    least = 2

    def __init__(self, name: str = "means") -> None:
        self.seen = 0
        self.card = replace(FramesAndChanges(lite0(size=64), name).card, dimension=6)

    def watched(self, clips: Tensor) -> Watched:
        self.seen += len(clips)
        frames = clips.mean((3, 4)).float()
        change = clips.diff(dim=1).square().mean((1, 3, 4)).sqrt().float()
        return Watched(torch.cat([frames.mean(1), change], 1), frames)


@pytest.fixture(scope="module")
def means() -> Means:
    return Means()


def squares(count: int, seed: int = 0, frames: int = 16, step: float = 1.0, side: int = 24) -> Tensor:
    """Clips of a square that goes its way, turns back at the edges and fades a little, uint8 (n, T, 3, s, s)."""
    random = torch.Generator().manual_seed(seed)
    clips = torch.zeros(count, frames, 3, side, side, dtype=torch.uint8)
    places = torch.rand(count, 2, generator=random) * (side - 6)
    ways = (torch.rand(count, 2, generator=random) * 2 - 1) * step
    colours = torch.randint(90, 256, (count, 3), generator=random)
    fading = torch.rand(count, generator=random) * 0.01
    for number in range(count):
        for frame in range(frames):
            at = (places[number] + ways[number] * frame) % (2 * (side - 6))
            row, column = torch.minimum(at, 2 * (side - 6) - at).round().int().tolist()
            colour = colours[number, :, None, None] * (1 - fading[number] * frame)
            clips[number, frame, :, row : row + 6, column : column + 6] = colour
    return clips


def as_set(clips: Tensor, rate: float = 10.0) -> Clips:
    count, frames = clips.shape[:2]
    return Clips(
        clips.flatten(0, 1),
        torch.arange(count) * frames,
        torch.full((count,), frames),
        torch.full((count,), rate),
        None,
        (),
        "squares",
        "a1b2",
    )


def test_every_metric_of_clips_is_explained_and_computed() -> None:
    explained = {name for name, metric in METRICS.items() if metric.needs in OF_CLIPS}
    assert explained | set(OF_CLOUDS) == set(METHODS)


def test_distances_are_those_of_the_features_and_the_same_clips_are_alike(means: Means) -> None:
    real, fake = squares(60), squares(50, seed=1)
    found = measure_clips(Kept(real, 10), Kept(fake, 10), features=means)
    ours, theirs = (profile_of(Kept(clips, 10), means) for clips in (real, fake))
    expected = frechet_distance(moments(ours.clips), moments(theirs.clips))
    assert found.value("clip_distance") == pytest.approx(expected)
    frames = frechet_distance(moments(ours.frames.flatten(0, 1)), moments(theirs.frames.flatten(0, 1)))
    assert found.value("frame_fid") == pytest.approx(frames)
    assert set(found.metrics) == {name for name in METHODS if name not in ("fvd", "decline", "prc")}
    assert all(result.estimate.low is not None for result in found.metrics.values())
    same = measure_clips(Kept(real, 10), Kept(real, 10), features=means)
    assert same.value("clip_distance") == same.value("frame_fid") == same.value("motion") == 0
    assert same.value("drift") == same.value("colour_drift") == same.value("coverage") == 1


def test_faults_are_seen_by_the_number_that_is_for_them() -> None:
    space = open_clip_features("lite0-clips")
    judge = ClipJudge(Kept(squares(32, frames=12), 10), space)
    names = ["clip_distance", "drift", "colour_drift", "motion"]
    fresh = squares(32, seed=1, frames=12)
    good = judge(Kept(fresh, 10), names)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    faded = (fresh.float() * torch.linspace(1, 0.4, 12)[:, None, None, None]).to(torch.uint8)
    faults = {
        "frozen": fresh[:, :1].expand(-1, 12, -1, -1, -1),
        "shuffled": fresh[:, order],
        "slow": squares(32, seed=1, frames=12, step=0.3),
        "faded": faded,
    }
    found = {name: judge(Kept(clips, 10), names) for name, clips in faults.items()}
    for name in ("frozen", "shuffled", "slow"):
        assert found[name].value("clip_distance") > 1.3 * good.value("clip_distance"), name
    assert found["frozen"].value("drift") == found["frozen"].value("colour_drift") == 0
    assert found["faded"].value("colour_drift") > 3 * good.value("colour_drift")
    motion = {name: evaluation.metrics["motion"].extra["mean"] for name, evaluation in found.items()}
    usual = good.metrics["motion"].extra["real"]
    assert motion["frozen"] < 0.05 * usual < motion["slow"] < 0.7 * usual < 1.3 * usual < motion["shuffled"]


def test_fvd_is_the_name_with_i3d_alone(means: Means) -> None:
    real, fake = Kept(squares(20), 10), Kept(squares(20, seed=1), 10)
    with pytest.raises(MetricError, match=r"fvd: it needs .*i3d=FILE"):
        measure_clips(real, fake, ["fvd"], means)
    i3d = Means("i3d")
    assert measure_clips(real, fake, ["fvd"], i3d).value("fvd") == measure_clips(
        real, fake, ["clip_distance"], means
    ).value("clip_distance")
    with pytest.raises(MetricError, match="it is called fvd"):
        measure_clips(real, fake, ["clip_distance"], i3d)
    assert apt(["clip_distance", "fvd", "kid"], i3d) == ["fvd", "kid"]
    assert apt(["clip_distance", "fvd", "kid"], means) == ["clip_distance", "kid"]


def test_what_decides_nothing_may_be_impossible(means: Means) -> None:
    still = Kept(squares(20, step=0.0)[:, :1].expand(-1, 16, -1, -1, -1), 10)
    judge = ClipJudge(still, means)
    with pytest.raises(MetricError, match="drift: "):
        judge(still, ["clip_distance", "drift"])
    found = judge(still, ["clip_distance", "drift"], needed=["clip_distance"])
    assert list(found.metrics) == ["clip_distance"]
    assert any(notice.startswith("drift left out") for notice in found.notices)


def test_late_frames_are_judged_against_early_ones(means: Means) -> None:
    real, early = squares(60), squares(60, seed=1)
    dull = (early.float() * 0.5).to(torch.uint8)
    found = measure_clips(Kept(real, 10), Kept(early, 10), ["decline"], means, late=Kept(dull, 10))
    result = found.metrics["decline"]
    assert result.value == pytest.approx(result.extra["late"] - result.extra["early"])
    assert result.estimate.low is not None and result.estimate.low > 0
    assert any("long clips get worse" in notice for notice in found.notices)
    with pytest.raises(MetricError, match="decline: it needs"):
        measure_clips(Kept(real, 10), Kept(early, 10), ["decline"], means)


def test_what_does_not_fit_is_said(means: Means) -> None:
    real = Kept(squares(20), 10)
    with pytest.raises(MetricError, match="16 frames of 24x24 in 3 channels and generated ones 8 frames"):
        measure_clips(real, Kept(squares(20, frames=8), 10), features=means)
    with pytest.raises(MetricError, match="psnr: it is not for clips"):
        measure_clips(real, real, ["psnr"], means)
    short = Kept(squares(4, frames=3), 10)
    with pytest.raises(MetricError, match="needs 5 at least"):
        measure_clips(short, short, features="lite0-clips")
    found = measure_clips(real, Kept(squares(20, seed=1), 20), ["motion"], means)
    assert any("10 frames a second and generated ones 20" in notice for notice in found.notices)


def test_real_clips_are_seen_once_and_remembered(means: Means, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    real = Taken(as_set(squares(20, frames=20)), 16, 100)
    fake = Shot(lambda start, stop: squares(20, seed=1)[start:stop], 20, (16, 3, 24, 24), 10.0)
    means.seen = 0
    first = ClipJudge(real, means, fingerprint=real.fingerprint)(fake, ["clip_distance"])
    assert means.seen == 40
    second = ClipJudge(real, means, fingerprint=real.fingerprint)(fake, ["clip_distance"])
    assert means.seen == 60
    assert first.to_json() == second.to_json()
    assert Taken(real.whole, 12, 100).fingerprint != real.fingerprint != Taken(real.whole, 16, 100, 1).fingerprint


def test_clips_of_a_set_are_parts_at_the_natural_rate() -> None:
    frames = torch.arange(60, dtype=torch.uint8).view(60, 1, 1, 1).expand(-1, 3, 4, 4)
    lengths = torch.tensor([30, 8, 22])
    rates = torch.tensor([10.0, 10.0, 20.0])
    whole = Clips(frames, torch.tensor([0, 30, 38]), lengths, rates, None, (), "counted", "f")
    reel = Taken(whole, 10, 5, seed=3)
    assert (len(reel), reel.shape, reel.rate) == (2, (10, 3, 4, 4), 10.0)
    clips = reel.clips(0, 2)[:, :, 0, 0, 0].long()
    assert (clips.diff(dim=1) == 1).all()
    assert 0 <= clips[0, 0] <= 20 and 38 <= clips[1, 0] <= 50
    assert torch.equal(reel.clips(1, 2), Taken(whole, 10, 5, seed=3).clips(0, 2)[1:])
    assert len({int(Taken(whole, 10, 5, seed=seed).clips(0, 1)[0, 0, 0, 0, 0]) for seed in range(8)}) > 3
    assert length_of(whole) == 8
    with pytest.raises(MetricError, match="none of its clips has the 31 frames"):
        Taken(whole, 31, 5).clips(0, 1)
    small = Reframed(reel, Form(2, 2, 1))
    assert small.shape == (10, 1, 2, 2)
    assert torch.equal(small.clips(0, 2)[:, :, 0, 0, 0].long(), clips)


def test_a_clip_that_was_learnt_by_heart_is_found() -> None:
    training = as_set(squares(12, frames=24))
    copied = torch.stack([training.clip(7)[3:13], training.clip(2)[14:24]])
    assert torch.equal(nearest_parts(copied, training), copied)
    picture = nearest_clips(copied, training)
    assert picture.width > picture.height > 0
    with pytest.raises(MetricError, match="none of its clips has 30 frames"):
        nearest_parts(squares(1, frames=30), training)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two arrays of clips, uint8 (N, T, H, W, C)."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    for name, clips in {"real": squares(24, frames=18), "made": squares(20, seed=1)}.items():
        np.save(tmp_path / f"{name}.npy", clips.permute(0, 1, 3, 4, 2).numpy())
    return tmp_path


def test_evaluate_compares_two_sets_of_clips(folder: Path) -> None:
    runner = CliRunner()
    asked = ["evaluate", str(folder / "real.npy"), str(folder / "made.npy"), "--json", "-"]
    done = runner.invoke(app, [*asked, "--nearest", str(folder / "near.png")])
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert {"clip_distance", "frame_fid", "kid", "drift", "colour_drift", "motion", "copies"} <= set(found["metrics"])
    clips = found["protocol"]["clips"]
    assert (clips["frames"], clips["height"], clips["channels"]) == (16, 24, 3)
    assert found["protocol"]["real"]["count"] == 24 and found["protocol"]["generated"]["count"] == 20
    assert len(found["protocol"]["over_time"]["drift"]["real"]) == 15
    assert "16 frames of 24x24" in done.stderr
    with Image.open(folder / "near.png") as near:
        assert near.format == "PNG"


def test_evaluate_says_what_clips_are_not_judged_by(folder: Path) -> None:
    real, made = folder / "real.npy", folder / "made.npy"
    with pytest.raises(MetricError, match="masks has no meaning for clips"):
        evaluate(real, made, masks=folder)
    with pytest.raises(MetricError, match="no such feature space of clips"):
        evaluate(real, made, features="inception")
    with pytest.raises(MetricError, match="decline: it needs"):
        evaluate(real, made, "decline")
    same = evaluate(real, real, "motion")
    assert same.value("motion") == 0
    assert any("same clips" in notice for notice in same.notices)
