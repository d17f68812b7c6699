from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparring.errors import MetricError
from sparring.networks import inception as module
from sparring.networks.folding import Unit
from sparring.networks.inception import BLOCKS, CHECK, STEM, Inception, Mixed, inception
from sparring.networks.weights import Check, Weights


def layout() -> dict[str, torch.Size]:
    """Names and shapes of what the layers hold before normalisation is folded in."""
    with torch.device("meta"):
        parts, channels = nn.Module(), 3
        for conv, padding in STEM:
            parts.add_module(conv.name, module.unit(channels, conv, padding))
            channels = conv.channels
        for name, branches in BLOCKS.items():
            block = Mixed(channels, branches)
            parts.add_module(name, block)
            channels = block.after
        parts.add_module("fc", nn.Linear(channels, 1008))
    return {name: value.shape for name, value in parts.state_dict().items()}


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    values = {}
    for name, shape in layout().items():
        if name.endswith("num_batches_tracked"):
            continue  # files made from other frameworks need not have it
        value = torch.randn(shape, generator=random)
        if name.endswith("conv.weight"):
            value *= (2 / value[0].numel()) ** 0.5
        elif name.endswith("running_var"):
            value = value.abs() + 0.5
        elif "bn" in name:
            value = 0.1 * value + (1 if name.endswith("weight") else 0)
        values[name] = value
    return values


@pytest.fixture(scope="module")
def path(tensors, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "any name.pth"
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def network(path) -> Inception:
    return inception(path, check=Check())


def draw(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_layout_is_the_published_one():
    shapes = layout()
    learned = {name: shape for name, shape in shapes.items() if "running" not in name and "num_batches" not in name}
    # torchvision's inception_v3 has 27,161,264 parameters, 3,326,696 of them in the auxiliary classifier, and tells
    # 1000 classes apart rather than 1008.
    assert sum(shape.numel() for shape in learned.values()) == 27_161_264 - 3_326_696 + 8 * 2049
    assert sum(name.endswith("conv.weight") for name in shapes) == 94
    assert len(shapes) == 94 * 6 + 2
    known = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_3b_1x1.conv.weight": (80, 64, 1, 1),
        "Conv2d_4a_3x3.bn.running_var": (192,),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
        "Mixed_5d.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
        "Mixed_6d.branch7x7_3.conv.weight": (192, 160, 7, 1),
        "Mixed_6e.branch7x7dbl_2.conv.weight": (192, 192, 7, 1),
        "Mixed_6e.branch7x7dbl_5.conv.weight": (192, 192, 1, 7),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
        "Mixed_7c.branch3x3dbl_1.conv.weight": (448, 2048, 1, 1),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "fc.weight": (1008, 2048),
        "fc.bias": (1008,),
    }
    assert {name: tuple(shapes[name]) for name in known} == known


@torch.no_grad()
def test_maps_have_the_published_sizes(network):
    maps = network.maps(draw(1, 3, 299, 299))
    sizes = {2: (64, 147), 4: (192, 71), 8: (288, 35), 16: (768, 17), 32: (2048, 8)}
    assert {stride: (x.shape[1], x.shape[2]) for stride, x in maps.items()} == sizes
    assert {stride: x.shape[1] for stride, x in maps.items()} == network.card.strides


@torch.no_grad()
def test_the_first_layers_are_convolution_normalisation_and_relu(network, tensors):
    pictures = draw(1, 3, 75, 80)
    values = (pictures + 1) * 127.5
    x = (values - 128) / 128
    for name, stride, padding in (("Conv2d_1a_3x3", 2, 0), ("Conv2d_2a_3x3", 1, 0), ("Conv2d_2b_3x3", 1, 1)):
        x = F.conv2d(x, tensors[f"{name}.conv.weight"], stride=stride, padding=padding)
        norm = [tensors[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = F.relu(F.batch_norm(x, *norm, eps=0.001))
    torch.testing.assert_close(network.maps(pictures)[2], x, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_pooled_features_are_means_and_logits_have_no_bias(network, tensors):
    pictures = draw(2, 3, 80, 80)
    pooled = network.pooled(pictures)
    assert pooled.shape == (2, 2048)
    torch.testing.assert_close(pooled, network.maps(pictures)[32].mean((2, 3)))
    torch.testing.assert_close(network.logits(pooled), pooled @ tensors["fc.weight"].T)


def only_pool(name: str, before: int) -> Mixed:
    """A block whose branch with a pooling hands on the first channels, and whose other branches give zero."""
    block = Mixed(before, BLOCKS[name])
    for child, part in block.named_children():
        assert isinstance(part, Unit)
        nn.init.zeros_(part.conv.weight)
        if child == "branch_pool":
            nn.init.dirac_(part.conv.weight)
    return block.eval()


@pytest.mark.parametrize(("name", "before"), [("Mixed_5b", 192), ("Mixed_6c", 768), ("Mixed_7b", 1280)])
@torch.no_grad()
def test_averages_at_the_edge_are_of_the_pixels_there_are(name, before):
    block = only_pool(name, before)
    x = torch.zeros(1, before, 4, 4)
    x[0, 0, 0, 0] = 36  # one of 4 pixels in the corner, of 6 at the edge, of 9 inside
    pooled = block(x)[0, -BLOCKS[name][-1].convs[0].channels] * 1.0005**0.5  # eps of the normalisation
    expected = torch.tensor([[9.0, 6, 0, 0], [6, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(pooled, expected, rtol=1e-3, atol=0)


@torch.no_grad()
def test_the_last_block_takes_maxima():
    block = only_pool("Mixed_7c", 2048)
    x = torch.zeros(1, 2048, 4, 4)
    x[0, 0, 0, 0] = 36
    expected = torch.zeros(4, 4)
    expected[:2, :2] = 36
    torch.testing.assert_close(block(x)[0, -192], expected, rtol=1e-3, atol=0)


@torch.no_grad()
def test_blocks_put_branches_in_the_published_order():
    # Each branch of Mixed_7b, alone, lands in its own channels.
    starts = {
        "branch1x1": 0,
        "branch3x3_2a": 320,
        "branch3x3_2b": 704,
        "branch3x3dbl_3a": 1088,
        "branch3x3dbl_3b": 1472,
    }
    starts["branch_pool"] = 1856
    for name, start in starts.items():
        block = Mixed(1280, BLOCKS["Mixed_7b"]).eval()
        for child, part in block.named_children():
            nn.init.zeros_(part.conv.weight)
            if child == name:
                nn.init.ones_(part.bn.bias)
        channels = block(torch.zeros(1, 1280, 3, 3))[0, :, 1, 1].nonzero().flatten()
        assert (channels[0], channels[-1] + 1 - channels[0]) == (
            start,
            dict(block.named_children())[name].conv.out_channels,
        )


def test_the_two_spaces_differ_in_resizing_only(path, network):
    clean = inception(path, clean=True, check=Check()).card
    assert (network.card.name, network.card.resize) == ("inception", "bilinear TensorFlow 1")
    assert (clean.name, clean.resize) == ("inception-clean", "bicubic antialiased")
    assert clean.digest == network.card.digest
    assert clean.size == network.card.size == (299, 299)


def test_gradients_flow_to_pictures_only(network):
    pictures = draw(1, 3, 75, 75).requires_grad_()
    network.pooled(pictures).sum().backward()
    assert pictures.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in network.parameters())


def test_pictures_too_small_for_the_last_blocks_are_refused(network):
    assert network.pooled(draw(1, 3, 75, 75)).shape == (1, 2048)
    with pytest.raises(MetricError, match="74x90 pixels; Inception needs at least 75x75"):
        network.pooled(draw(1, 3, 74, 90))


def test_only_the_published_file_is_read(path):
    with pytest.raises(MetricError, match=r"its SHA-256 is [0-9a-f]+, expected 6726825d\.\.\."):
        inception(path)
    assert len(CHECK.sha1) == 40


def test_weights_of_another_shape_are_refused(tensors, network):
    with pytest.raises(MetricError, match=r"not weights of the Inception-v3 of FID: .*fc"):
        Inception(Weights({**tensors, "fc.weight": torch.zeros(1000, 2048)}, ""), network.card)
