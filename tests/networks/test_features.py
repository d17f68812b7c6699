import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from sparring.errors import MetricError
from sparring.networks import weights
from sparring.networks.efficientnet_lite import packaged
from sparring.networks.features import SPACES, anchored, open_features

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def draw(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def no_weights(tmp_path, monkeypatch) -> None:
    """Neither files of weights nor a network."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(weights.urllib.request, "urlopen", refuse)


def test_names_are_those_of_the_cards():
    assert {"pixels", "lite0", "inception", "inception-clean", "dinov2"} <= set(SPACES)
    for name in ("pixels", "lite0"):
        assert open_features(name).card.name == name


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("inception", "pt_inception-2015-12-05-6726825d.pth"),
        ("inception-clean", "pt_inception-2015-12-05-6726825d.pth"),
        ("dinov2", "dinov2_vitl14_pretrain.pth"),
    ],
)
def test_without_weights_the_error_says_what_to_put_where(no_weights, name, file):
    with pytest.raises(MetricError, match=file) as error:
        open_features(name)
    assert "no network here" in str(error.value)
    assert str(weights.folder() / file) in str(error.value)
    assert "https://" in str(error.value)


def test_weights_at_a_path_are_read():
    assert open_features(f"lite0={packaged()}").card == open_features("lite0").card
    for name in ("inception", "inception-clean"):
        with pytest.raises(MetricError, match="not the file expected"):
            open_features(f"{name}={packaged()}")
    with pytest.raises(MetricError, match="not weights of DINOv2"):
        open_features(f"dinov2={packaged()}")
    with pytest.raises(MetricError, match=r"nowhere\.pth: cannot be read: No such file"):
        open_features("dinov2=nowhere.pth")
    with pytest.raises(MetricError, match="pixels has no weights"):
        open_features("pixels=a.pth")


@pytest.mark.parametrize(
    ("name", "close"), [("inceptoin", "inception"), ("lite", "lite0"), ("dino", "dinov2"), ("pixel=a.pth", "pixels")]
)
def test_the_nearest_name_is_offered(name, close):
    with pytest.raises(MetricError, match=f"did you mean {close}\\?"):
        open_features(name)


def test_a_path_in_a_name_means_the_same_in_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert anchored("wavelets") == "wavelets"
    assert anchored("net.pt") == str(tmp_path / "net.pt")
    assert anchored("inception=weights/a.pth") == f"inception={tmp_path / 'weights/a.pth'}"


@pytest.mark.parametrize("name", ["", "zzz", "zzz=a.pth", "zzz.bin"])
def test_other_names_are_refused(name):
    with pytest.raises(MetricError, match="no such feature network; there is pixels, wavelets, lite0") as error:
        open_features(name)
    assert "did you mean" not in str(error.value)


@pytest.mark.parametrize("name", ["identity.pt", "rate=0.1.pth", "IDENTITY.TS"])
def test_files_are_opened_by_how_they_end(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    torch.jit.trace(nn.Identity(), draw(1, 3, 4, 4)).save(str(path))
    pictures = draw(2, 3, 4, 4)
    torch.testing.assert_close(open_features(str(path)).pooled(pictures), pictures.mean((2, 3)))


def test_graphs_are_opened_by_how_they_end(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no graph")
    with pytest.raises(MetricError, match=r"ONNX|onnxruntime"):
        open_features(str(tmp_path / "a.onnx"))


@pytest.mark.parametrize("name", ["pixels", "lite0"])
def test_networks_are_frozen_and_give_what_their_cards_say(name):
    network = open_features(name)
    pictures = draw(2, 3, 64, 48).requires_grad_()
    pooled = network.pooled(pictures)
    assert pooled.dtype == torch.float32
    assert pooled.shape == (2, network.card.dimension or 16 * 12 * 3)
    assert {stride: x.shape[1] for stride, x in network.maps(pictures).items()} == (network.card.strides or {})
    pooled.sum().backward()
    assert pictures.grad.abs().sum() > 0
    assert len(network.card.digest) == 64
    if isinstance(network, nn.Module):
        assert not network.training
        assert not any(weight.requires_grad for weight in network.parameters())


def test_opening_one_draws_no_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    open_features("lite0")
    assert torch.rand(1) == expected


def test_importing_the_table_imports_no_network():
    code = (
        "import sys, sparring.networks.features; print([n for n in sys.modules if n.startswith('sparring.networks.')])"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("pixels", "efficientnet_lite", "inception", "dinov2", "foreign"):
        assert f"networks.{name}'" not in listed
        assert (Path(weights.__file__).parent / f"{name}.py").is_file()
