import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from sparring.errors import MetricError
from sparring.networks.dinov2 import DINOv2, dinov2, sizes
from sparring.networks.weights import Weights

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def generated(size: int, depth: int, grid: int = 37) -> dict[str, torch.Tensor]:
    """Tensors of the layout of Meta's files."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, size),
        "pos_embed": (1, 1 + grid**2, size),
        "mask_token": (1, size),
        "patch_embed.proj.weight": (size, 3, 14, 14),
        "patch_embed.proj.bias": (size,),
    }
    for block in range(depth):
        shapes |= {f"blocks.{block}.{name}.{end}": (size,) for name in ("norm1", "norm2") for end in ("weight", "bias")}
        shapes |= {f"blocks.{block}.{name}.gamma": (size,) for name in ("ls1", "ls2")}
        for name, after, before in (
            ("attn.qkv", 3 * size, size),
            ("attn.proj", size, size),
            ("mlp.fc1", 4 * size, size),
            ("mlp.fc2", size, 4 * size),
        ):
            shapes |= {f"blocks.{block}.{name}.weight": (after, before), f"blocks.{block}.{name}.bias": (after,)}
    shapes |= {"norm.weight": (size,), "norm.bias": (size,)}
    return {name: 0.1 * draw(*shape, seed=seed) for seed, (name, shape) in enumerate(shapes.items())}


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return generated(128, 2)


@pytest.fixture(scope="module")
def path(tensors, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def network(path) -> DINOv2:
    return dinov2(path)


def written_out(tensors: dict[str, torch.Tensor], pictures: torch.Tensor) -> torch.Tensor:
    """Tokens of pictures of 518x518 by the formulas, patch by patch and head by head, in float64."""
    t = {name: value.double() for name, value in tensors.items()}
    size = t["norm.bias"].numel()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        deviation = (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return centred / deviation * t[f"{name}.weight"] + t[f"{name}.bias"]

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    x = (((pictures.double() + 1) / 2).permute(0, 2, 3, 1) - MEAN.double()) / STD.double()
    side = x.shape[1] // 14
    patches = x.reshape(len(x), side, 14, side, 14, 3).permute(0, 1, 3, 5, 2, 4).reshape(len(x), side * side, -1)
    x = patches @ t["patch_embed.proj.weight"].flatten(1).T + t["patch_embed.proj.bias"]
    x = torch.cat([t["cls_token"].expand(len(x), 1, size), x], 1) + t["pos_embed"]
    for block in range(2):
        name = f"blocks.{block}"
        query, key, value = linear(norm(x, f"{name}.norm1"), f"{name}.attn.qkv").chunk(3, -1)
        heads = []
        for head in range(size // 64):
            part = slice(64 * head, 64 * head + 64)
            shares = (query[..., part] @ key[..., part].mT / math.sqrt(64)).softmax(-1)
            heads.append(shares @ value[..., part])
        x = x + t[f"{name}.ls1.gamma"] * linear(torch.cat(heads, -1), f"{name}.attn.proj")
        inner = linear(norm(x, f"{name}.norm2"), f"{name}.mlp.fc1")
        inner = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
        x = x + t[f"{name}.ls2.gamma"] * linear(inner, f"{name}.mlp.fc2")
    return norm(x, "norm")


@torch.no_grad()
def test_tokens_follow_the_formulas(network, tensors):
    pictures = draw(1, 3, 518, 518).clamp(-1, 1)
    expected = written_out(tensors, pictures).float()
    torch.testing.assert_close(network.pooled(pictures), expected[:, 0], atol=1e-5, rtol=1e-4)
    places = network.maps(pictures)[14]
    assert places.shape == (1, 128, 37, 37)
    torch.testing.assert_close(places[0, :, 3, 5], expected[0, 1 + 3 * 37 + 5], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_places_are_interpolated_as_the_published_features_were(network, tensors):
    grid = tensors["pos_embed"][:, 1:].reshape(1, 37, 37, 128).permute(0, 3, 1, 2)
    # PyTorch places values by the scale it is given, not by the sizes: 16.1 / 37, not 16 / 37.
    expected = F.interpolate(grid, scale_factor=16.1 / 37, mode="bicubic")
    assert expected.shape[2:] == (16, 16)
    places = network.places(16, 16)
    torch.testing.assert_close(places[0, 1:].T.reshape(128, 16, 16), expected[0])
    assert torch.equal(places[:, 0], tensors["pos_embed"][:, 0])
    assert (places[0, 1:].T.reshape(128, 16, 16) - F.interpolate(grid, (16, 16), mode="bicubic")[0]).abs().max() > 1e-3


def test_sizes_are_those_of_the_published_models():
    # Parameters of Oquab et al. 2023: 21, 86 and 300 million.
    for size, depth, millions, count in ((384, 12, 22, 175), (768, 12, 87, 175), (1024, 24, 304, 343)):
        layout = {name: value.shape for name, value in generated_shapes(size, depth).items()}
        assert round(sum(shape.numel() for shape in layout.values()) / 1e6) == millions
        assert len(layout) == count
        assert sizes(generated_shapes(size, depth)) == (size, depth, 4 * size, 14, 1369)


def generated_shapes(size: int, depth: int) -> dict[str, torch.Tensor]:
    """As `generated`, without values."""
    tiny = generated(64, depth, grid=1)
    widths = {64: size, 192: 3 * size, 256: 4 * size, 2: 1370}
    return {
        name: torch.empty([widths.get(side, side) for side in value.shape], device="meta")
        for name, value in tiny.items()
    }


def test_the_card_comes_from_the_file(network, path, tensors):
    card = network.card
    assert (card.name, card.dimension, card.size, card.resize) == ("dinov2", 128, (224, 224), "bicubic antialiased")
    assert card.strides == {14: 128}
    assert card.classes == 0
    small = DINOv2(Weights(generated(384, 1, grid=2), "digest"))
    assert "ViT-S/14" in small.card.title
    assert small.card.digest == "digest"


def test_gradients_flow_to_pictures_only(network):
    pictures = draw(1, 3, 28, 42).requires_grad_()
    network.pooled(pictures).square().sum().backward()
    assert pictures.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in network.parameters())


def test_errors_say_what_does_not_fit(network, tensors):
    with pytest.raises(MetricError, match="28x30 pixels; DINOv2 takes sides that are multiples of 14"):
        network.pooled(draw(1, 3, 28, 30))
    with pytest.raises(MetricError, match="tells no classes apart"):
        network.logits(draw(1, 128))
    for other, words in (
        ({"weight": draw(3)}, "not weights of DINOv2 in Meta's layout"),
        ({**tensors, "register_tokens": draw(1, 4, 128)}, "with registers"),
        ({**tensors, "blocks.0.mlp.w12.weight": draw(1)}, "ViT-g/14"),
        ({name: value for name, value in tensors.items() if name != "norm.bias"}, "norm.bias"),
    ):
        with pytest.raises(MetricError, match=words):
            DINOv2(Weights(other, ""))
