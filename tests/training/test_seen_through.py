"""What a discriminator looks through is part of what a run is: it may not change, and goes along into exports."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sparring
from sparring.errors import RunError
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


def test_an_export_says_through_what_it_was_trained(run: sparring.Run) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    sparring.load(run.folder).export(run.folder.parent / "g.onnx", "onnx")
    told = [look(place, "generated", 4, 0, "cpu") for place in (run.folder, run.folder.parent / "g.onnx")]
    own, exported = (side.open(side.form, None).about["discriminator_features"] for side in told)
    assert exported == own
    assert own["name"] == "eyes.pt"
