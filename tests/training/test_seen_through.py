"""What a discriminator looks through is part of what a run is: it may not change, and goes along into exports."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sparring
from sparring import api
from sparring.errors import RunError, SettingError
from sparring.evaluation.sides import look
from sparring.training.monitor import QuietMonitor

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def eyes(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU())
    torch.jit.trace(network.eval(), torch.zeros(2, 3, 16, 16), check_trace=False).save(str(path))
    return path


@pytest.fixture
def run(tmp_path: Path) -> sparring.Run:
    pictures = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "pictures.npy", pictures)
    return sparring.train(
        tmp_path / "pictures.npy",
        out=tmp_path / "run",
        images=32,
        monitor=QuietMonitor(),
        discriminator_features=str(eyes(tmp_path / "eyes.pt", 0)),
        network="fast",
        width=16,
        batch=8,
        quality_samples=64,
        guard="off",
    )


def test_a_run_goes_on_through_the_same_network_only(run: sparring.Run) -> None:
    path = run.folder.parent / "eyes.pt"
    same = path.read_bytes()
    eyes(path, 1)
    with pytest.raises(RunError, match=r"eyes\.pt is not the file that .* was trained through: its SHA-256 was"):
        sparring.resume(run.folder, images=64, monitor=QuietMonitor())
    path.write_bytes(same)
    assert sparring.resume(run.folder, images=64, monitor=QuietMonitor()).summary()["images"] == 64


def test_a_file_that_moved_is_named_anew_if_it_is_the_same(run: sparring.Run, tmp_path: Path) -> None:
    moved = (tmp_path / "eyes.pt").rename(tmp_path / "a=b.ts")
    with pytest.raises(SettingError, match=r"eyes\.pt: cannot be read: .*lies elsewhere now: .* --features-from FILE"):
        sparring.resume(run, images=64, monitor=QuietMonitor())
    with pytest.raises(RunError, match=r"other\.pt is not the file that .* its SHA-256 was"):
        sparring.resume(run, images=64, features_from=eyes(tmp_path / "other.pt", 1), monitor=QuietMonitor())
    assert run.settings().discriminator_features == str(tmp_path / "eyes.pt")
    assert sparring.resume(run, images=64, features_from=moved, monitor=QuietMonitor()).summary()["images"] == 64
    assert run.settings().discriminator_features == str(moved)
    assert sparring.resume(run, images=96, monitor=QuietMonitor()).summary()["images"] == 96


def test_what_learned_to_see_takes_no_features_later(run: sparring.Run, tmp_path: Path) -> None:
    settings = run.settings().model_copy(update={"discriminator_features": "none"})
    with pytest.raises(SettingError, match="looks through no features"):
        api.same_features(run, settings, tmp_path / "eyes.pt")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lite1", "did you mean lite0?"),
        ("nowhere.pt", "nowhere.pt: cannot be read: No such file"),
        ("lite0=nowhere.pth", "nowhere.pth: cannot be read: No such file"),
        ("pixels=eyes.pt", "pixels has no weights"),
        ("eyes.onnx", "no gradient comes through an ONNX file"),
    ],
)
def test_what_cannot_be_looked_through_is_told_before_pictures_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr(api, "looked_at", lambda *_: pytest.fail("pictures were looked at"))
    with pytest.raises(SettingError, match=re.escape(said)):
        sparring.train("digits", out=tmp_path / "run", discriminator_features=name, monitor=QuietMonitor())


def test_an_export_says_through_what_it_was_trained(run: sparring.Run) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    sparring.load(run.folder).export(run.folder.parent / "g.onnx", "onnx")
    told = [look(place, "generated", 4, 0, "cpu") for place in (run.folder, run.folder.parent / "g.onnx")]
    own, exported = (side.open(side.form, None).about["discriminator_features"] for side in told)
    assert exported == own
    assert own["name"] == "eyes.pt"
