import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sparring.errors import MetricError
from sparring.networks.foreign import need_onnxruntime, onnx, torchscript

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def draw(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def script(network: nn.Module, path: Path, side: int = 32) -> Path:
    torch.jit.trace(network.eval(), torch.zeros(2, 3, side, side), check_trace=False).save(str(path))
    return path


def means() -> nn.Module:
    """Four features of pictures of any size."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_a_script_of_any_size_leaves_pictures_as_they_are(tmp_path):
    path = script(means(), tmp_path / "means.pt")
    network = torchscript(path)
    assert (network.card.dimension, network.card.size) == (4, None)
    assert network.card.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    pictures = draw(2, 3, 20, 50)
    torch.testing.assert_close(network.pooled(pictures), means()(pictures))


def test_a_script_of_one_size_says_it(tmp_path):
    network = torchscript(script(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 5)), tmp_path / "a.ts", 64))
    assert (network.card.dimension, network.card.size) == (5, (64, 64))


def test_maps_are_averaged_over_places(tmp_path):
    network = torchscript(script(nn.Identity(), tmp_path / "identity.pth"))
    pictures = draw(2, 3, 9, 7)
    torch.testing.assert_close(network.pooled(pictures), pictures.mean((2, 3)))
    assert network.maps(pictures) == {}
    with pytest.raises(MetricError, match="tells no classes apart"):
        network.logits(network.pooled(pictures))


def test_gradients_flow_through_a_script_but_not_to_its_weights(tmp_path):
    network = torchscript(script(means(), tmp_path / "means.pt"))
    pictures = draw(1, 3, 32, 32).requires_grad_()
    network.pooled(pictures).sum().backward()
    expected = draw(1, 3, 32, 32).requires_grad_()
    means()(expected).sum().backward()
    torch.testing.assert_close(pictures.grad, expected.grad)
    assert not any(weight.requires_grad for weight in network.parameters())


def test_what_fails_on_pictures_is_said_with_their_shape(tmp_path):
    network = torchscript(script(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)), tmp_path / "a.pt"))
    with pytest.raises(MetricError, match=r"a\.pt: fails on pictures of shape \(1, 3, 8, 8\): .*mat1 and mat2"):
        network.pooled(draw(1, 3, 8, 8))


class Two(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


def test_scripts_that_give_no_features_are_refused(tmp_path):
    with pytest.raises(MetricError, match="gives tuple for 2 pictures; expected one tensor"):
        torchscript(script(Two(), tmp_path / "two.pt"))
    with pytest.raises(MetricError, match=r"gives shape \(2, 3, 150528\)|gives shape \(2, 3, 50176\)"):
        torchscript(script(nn.Flatten(2), tmp_path / "rows.pt"))


def test_files_that_are_no_scripts_are_refused(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(MetricError, match="No such file"):
        torchscript(path)
    torch.save(means().state_dict(), path)
    with pytest.raises(MetricError, match=r"not a TorchScript file.*NAME=PATH"):
        torchscript(path)
    for content in (b"", b"text", script(means(), tmp_path / "whole.pt").read_bytes()[:1000]):
        path.write_bytes(content)
        with pytest.raises(MetricError, match="not a TorchScript file, or damaged"):
            torchscript(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(MetricError, match="not a TorchScript file, or damaged"):
        torchscript(path)


def graph(path: Path, nodes, inputs, outputs, constants=()) -> Path:
    """An ONNX file; inputs and outputs are (name, type, shape)."""
    helper = pytest.importorskip("onnx").helper
    pytest.importorskip("onnxruntime")
    types = {"float": 1, "uint8": 2, "double": 11}
    described = [
        [helper.make_tensor_value_info(name, types[kind], shape) for name, kind, shape in group]
        for group in (inputs, outputs)
    ]
    values = [
        helper.make_tensor(name, types["float"], value.shape, value.flatten().tolist()) for name, value in constants
    ]
    model = helper.make_model(
        helper.make_graph([helper.make_node(*node[:3], **node[3]) for node in nodes], "g", *described, values),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    path.write_bytes(model.SerializeToString())
    return path


def mean_graph(path: Path, shape, kind: str = "float", axes=(2, 3)) -> Path:
    """Means of channels, of pictures of a stated shape."""
    nodes = [
        ("Cast", ["x"], ["f"], {"to": 1}),
        ("ReduceMean", ["f"], ["y"], {"axes": list(axes), "keepdims": 0}),
    ]
    return graph(path, nodes, [("x", kind, shape)], [("y", "float", [shape[0], 3])])


@pytest.mark.parametrize(
    ("shape", "axes", "size"),
    [
        (["n", 3, 16, 24], (2, 3), (16, 24)),
        (["n", 16, 24, 3], (1, 2), (16, 24)),
        (["n", 3, "h", "w"], (2, 3), None),
        ([1, 3, 16, 24], (2, 3), (16, 24)),
        ([4, 3, 16, 24], (2, 3), (16, 24)),
    ],
    ids=str,
)
def test_layout_size_and_batch_come_from_the_graph(tmp_path, shape, axes, size):
    path = mean_graph(tmp_path / "a.onnx", shape, axes=axes)
    network = onnx(path)
    assert (network.card.dimension, network.card.size) == (3, size)
    assert network.card.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    pictures = draw(3, 3, 16, 24)
    torch.testing.assert_close(network.pooled(pictures), pictures.mean((2, 3)))


def test_graphs_of_bytes_get_values_up_to_255(tmp_path):
    network = onnx(mean_graph(tmp_path / "a.onnx", ["n", 3, 4, 4], "uint8"))
    values = torch.randint(0, 256, (2, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network.pooled(values / 127.5 - 1), values.float().mean((2, 3)))


@pytest.mark.parametrize(("shape", "axes"), [(["n", 3, 5, 7], (2, 3)), (["n", 5, 7, 3], (1, 2))], ids=str)
def test_maps_of_a_graph_are_averaged_over_places(tmp_path, shape, axes):
    doubled = ("Add", ["x", "x"], ["y"], {})
    network = onnx(graph(tmp_path / "a.onnx", [doubled], [("x", "float", shape)], [("y", "float", shape)]))
    pictures = draw(2, 3, 5, 7)
    torch.testing.assert_close(network.pooled(pictures), 2 * pictures.mean((2, 3)))


def test_a_graph_agrees_with_the_network_it_was_written_from(tmp_path):
    reference = means()
    nodes = [
        ("Conv", ["x", "w", "b"], ["c"], {}),
        ("ReduceMean", ["c"], ["y"], {"axes": [2, 3], "keepdims": 0}),
    ]
    constants = [("w", reference[0].weight.detach().numpy()), ("b", reference[0].bias.detach().numpy())]
    shape = ["n", 3, "h", "w_"]
    network = onnx(graph(tmp_path / "a.onnx", nodes, [("x", "float", shape)], [("y", "float", ["n", 4])], constants))
    pictures = draw(5, 3, 33, 40)
    torch.testing.assert_close(network.pooled(pictures), reference(pictures).detach(), atol=1e-6, rtol=1e-5)


def test_graphs_of_another_form_are_refused(tmp_path):
    image, features = ("x", "float", ["n", 3, 4, 4]), ("y", "float", ["n", 3, 4, 4])
    add = ("Add", ["x", "x"], ["y"], {})
    cases = [
        (
            [("Add", ["x", "z"], ["y"], {})],
            [image, ("z", "float", ["n", 3, 4, 4])],
            [features],
            "2 inputs and 1 outputs",
        ),
        ([add, ("Abs", ["x"], ["z"], {})], [image], [features, ("z", "float", None)], "1 inputs and 2 outputs"),
        ([add], [("x", "double", ["n", 3, 4, 4])], [("y", "double", None)], r"input is a tensor\(double\)"),
        ([add], [("x", "float", ["n", 1, 4, 4])], [("y", "float", None)], r"expected \(N, 3, H, W\)"),
        ([add], [("x", "float", ["n", 3])], [("y", "float", None)], r"expected \(N, 3, H, W\)"),
    ]
    for nodes, inputs, outputs, words in cases:
        with pytest.raises(MetricError, match=words):
            onnx(graph(tmp_path / "a.onnx", nodes, inputs, outputs))


def test_files_that_are_no_graphs_are_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "a.onnx"
    with pytest.raises(MetricError, match="No such file"):
        onnx(path)
    whole = mean_graph(path, ["n", 3, 16, 24]).read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], np.zeros(1000).tobytes()):
        path.write_bytes(content)
        with pytest.raises(MetricError, match="not an ONNX file that onnxruntime can run, or damaged"):
            onnx(path)


def test_without_onnxruntime_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MetricError, match="to run it, onnxruntime is needed; run: pip install onnxruntime"):
        need_onnxruntime("a.onnx: to run it")
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(MetricError, match="pip install onnxruntime"):
        onnx(tmp_path / "a.onnx")
