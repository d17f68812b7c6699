"""Generators of other people, in ONNX and TorchScript files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sparring
from sparring import Model
from sparring.errors import RunError
from sparring.exporting.players import FromNoise
from sparring.foreign_generators import ForeignGenerator
from sparring.randomness import key
from sparring.tasks.generate import FORWARD, Blueprint

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write(
    path: Path,
    output: str,
    *,
    classes: int | str | None = None,
    latent: tuple[Any, ...] = ("n", 6),
    style: bool = False,
) -> np.ndarray:
    """An ONNX generator: a linear map of 6 latents to a picture of 3 x 2 x 2; gives its matrix (6, 12)."""
    matrix = np.random.default_rng(1).normal(size=(6, 12)).astype(np.float32)
    helper, tensor = onnx.helper, onnx.TensorProto
    shape = [0, 3, 2, 2] if output != "channels last" else [0, 2, 2, 3]
    constants = {"matrix": matrix, "shape": np.array(shape), "flat": np.array([0, 6])}
    nodes = [
        helper.make_node("Reshape", ["z", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "matrix"], ["values"]),
        helper.make_node("Reshape", ["values", "shape"], ["square"]),
    ]
    inputs = [helper.make_tensor_value_info("z", tensor.FLOAT, latent)]
    if style:
        inputs.append(helper.make_tensor_value_info("style", tensor.FLOAT, ["n", 2]))
    if classes:
        inputs.append(helper.make_tensor_value_info("label", tensor.INT64, ["n"]))
        constants |= {"column": np.array([-1, 1, 1, 1])}
        nodes += [
            helper.make_node("Cast", ["label"], ["number"], to=tensor.FLOAT),
            helper.make_node("Reshape", ["number", "column"], ["class"]),
            helper.make_node("Add", ["square", "class"], ["shifted"]),
        ]
    last = "shifted" if classes else "square"
    if output == "uint8":
        constants |= {"hundred": np.float32(100)}
        nodes += [
            helper.make_node("Tanh", [last], ["tanh"]),
            helper.make_node("Mul", ["tanh", "hundred"], ["scaled"]),
            helper.make_node("Abs", ["scaled"], ["positive"]),
            helper.make_node("Cast", ["positive"], ["image"], to=tensor.UINT8),
        ]
    else:
        nodes.append(helper.make_node("Sigmoid" if output == "unit" else "Tanh", [last], ["image"]))
    made = tensor.UINT8 if output == "uint8" else tensor.FLOAT
    graph = helper.make_graph(
        nodes,
        "generator",
        inputs,
        [helper.make_tensor_value_info("image", made, None)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if classes:
        onnx.helper.set_model_props(model, {"classes": str(classes)})
    onnx.save(model, path)
    return matrix


def latents(blocks: int, seed: int) -> Tensor:
    drawn = [
        torch.randn(FORWARD, 6, generator=torch.Generator().manual_seed(key(seed, "latents", block)))
        for block in range(blocks)
    ]
    return torch.cat(drawn)


@pytest.mark.parametrize("output", ["centred", "unit", "channels last", "uint8"])
def test_an_onnx_generator_gives_what_its_formula_gives(tmp_path: Path, output: str) -> None:
    matrix = write(tmp_path / "g.onnx", output)
    generator = ForeignGenerator(tmp_path / "g.onnx")
    values = (latents(2, 3).numpy() @ matrix)[:50]
    match output:
        case "unit":
            wanted = 255 / (1 + np.exp(-values))
        case "uint8":
            wanted = np.floor(np.abs(100 * np.tanh(values)))
        case _:
            wanted = 127.5 * np.tanh(values) + 127.5
    wanted = (
        wanted.reshape(50, 2, 2, 3).transpose(0, 3, 1, 2) if output == "channels last" else wanted.reshape(50, 3, 2, 2)
    )
    made = generator.sample(50, seed=3)
    assert generator.from_noise.shape == (3, 2, 2)
    assert made.dtype == torch.uint8
    assert np.abs(made.numpy() - wanted).max() <= 1
    assert torch.equal(generator.sample(15, seed=3, start=30), made[30:45])


def test_latents_of_four_dimensions_and_a_fixed_batch(tmp_path: Path) -> None:
    write(tmp_path / "four.onnx", "centred", latent=("n", 6, 1, 1))
    write(tmp_path / "fixed.onnx", "centred", latent=(8, 6))
    four, fixed = (ForeignGenerator(tmp_path / f"{name}.onnx").sample(40) for name in ("four", "fixed"))
    assert torch.equal(four, fixed)


@pytest.mark.parametrize("fixed", [10, 64])
def test_a_fixed_batch_that_does_not_divide_is_filled_up(tmp_path: Path, fixed: int) -> None:
    write(tmp_path / "any.onnx", "centred")
    write(tmp_path / "fixed.onnx", "centred", latent=(fixed, 6))
    free, filled = (ForeignGenerator(tmp_path / f"{name}.onnx").sample(40) for name in ("any", "fixed"))
    assert (free.int() - filled.int()).abs().max() <= 1


class Root(nn.Module):
    """Three pixels of z (n, 5), of which there is no root below -4."""

    def forward(self, z: Tensor) -> Tensor:
        return (z[:, :4] + 4).sqrt()[:, None, :, None]


def test_a_generator_that_gives_nan_later_on_is_noticed(tmp_path: Path) -> None:
    script(Root(), tmp_path / "g.pt", {"z_dim": 5})
    generator = ForeignGenerator(tmp_path / "g.pt")
    with pytest.raises(RunError, match=r"g\.pt: it gives NaN"):
        generator.decode(torch.full((1, 5), -5.0))


def saved(folder: Path) -> Path:
    """The file of a generator with drawn weights."""
    torch.manual_seed(0)
    blueprint = Blueprint("fast", (1, 8, 8), z_dim=8, width=16, depth=1)
    path = folder / "generator.safetensors"
    Model(blueprint.generator(), blueprint).save(path)
    return path


@torch.no_grad()
def script_of(model: Model, path: Path) -> None:
    """The same as TorchScript, as it is exported."""
    traced = torch.jit.trace(FromNoise(model.generator, 0), (torch.zeros(3, 8),))  # type: ignore[no-untyped-call]
    torch.jit.save(traced, path)  # type: ignore[no-untyped-call]


def script(module: nn.Module, path: Path, facts: dict[str, object] | None = None) -> None:
    extra = {} if facts is None else {"sparring.json": json.dumps(facts)}
    torch.jit.save(torch.jit.script(module), path, _extra_files=extra)  # type: ignore[no-untyped-call]


class Conditional(nn.Module):
    """Latents of six numbers and three classes to pictures of 2x2x3, channels last, in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.matrix = nn.Linear(6, 12)
        self.of_class = nn.Embedding(3, 12)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return (self.matrix(z) + self.of_class(label)).tanh().view(-1, 2, 2, 3)


def test_a_torchscript_generator_gives_what_its_module_gives_with_gradients(tmp_path: Path) -> None:
    module = Conditional()
    script(module, tmp_path / "g.ts", {"classes": 3, "class_names": ["a", "b", "c"], "class_shares": [0, 1, 3]})
    generator = ForeignGenerator(tmp_path / "g.ts")
    form = generator.from_noise
    assert (form.z_dim, form.shape, form.classes) == (6, (3, 2, 2), ("a", "b", "c"))
    z, labels = generator.latents(40, seed=3), generator.labels(40, seed=3)
    assert torch.equal(z, latents(2, 3)[:40])
    assert set(labels.tolist()) == {1, 2}
    wanted = module(z, labels).permute(0, 3, 1, 2).detach()
    assert (generator.sample(40, seed=3).float() / 127.5 - 1 - wanted).abs().max() < 0.5 / 127
    assert torch.equal(generator.decode(z, labels), generator.sample(40, seed=3))
    assert torch.equal(generator.decode(z, "b"), generator.decode(z, torch.ones(40, dtype=torch.int64)))
    z.requires_grad_()
    assert generator.floats is not None
    made = generator.floats(z, form.condition(labels))
    assert torch.allclose(made, wanted, atol=1e-6)
    made.sum().backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None and z.grad.abs().sum() > 0


@pytest.mark.parametrize("facts", [None, {"z_dim": 100}])
def test_the_size_of_latents_is_found(tmp_path: Path, facts: dict[str, object] | None) -> None:
    layers = nn.Sequential(nn.ConvTranspose2d(100, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Sigmoid())
    script(layers, tmp_path / "g.pth", facts)
    generator = ForeignGenerator(tmp_path / "g.pth")
    assert (generator.from_noise.z_dim, generator.from_noise.shape, generator.range) == (100, (1, 8, 8), "[0, 1]")


def test_torchscript_that_is_no_generator_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    script(nn.Linear(3, 4), tmp_path / "flat.pt")
    script(Conditional(), tmp_path / "unclear.pt")
    script(Conditional(), tmp_path / "facts.pt", {"classes": 3, "class_names": ["a"]})
    for name, words in {
        **{"broken": "not a TorchScript file", "flat": "makes no pictures of latents", "absent": "no such file"},
        **{"unclear": "no number `classes`", "facts": "`class_names`"},
    }.items():
        with pytest.raises(RunError, match=words):
            ForeignGenerator(tmp_path / f"{name}.pt")


def test_evaluate_takes_both_kinds_of_files_alike(tmp_path: Path) -> None:
    model = Model.load(saved(tmp_path))
    model.export(tmp_path / "g.onnx", "onnx")
    script_of(model, tmp_path / "g.pt")
    found = [
        sparring.evaluate("digits", tmp_path / name, metrics="fid,kid", features="pixels", n=100)
        for name in ("generator.safetensors", "g.onnx", "g.pt")
    ]
    assert len({round(each.result("fid").value, 4) for each in found}) == 1
    assert found[2].to_json()["protocol"]["generated"]["kind"] == "TorchScript generator"


def test_labels_are_drawn_among_the_classes_that_the_file_tells_of(tmp_path: Path) -> None:
    write(tmp_path / "g.onnx", "centred", classes=2)
    plain = write(tmp_path / "plain.onnx", "centred")
    with_labels, without = (ForeignGenerator(tmp_path / f"{name}.onnx").sample(32) for name in ("g", "plain"))
    same = (with_labels == without).flatten(1).all(1)
    assert plain.shape == (6, 12)
    assert 5 < int(same.sum()) < 27  # label 0 changes nothing, label 1 does


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b"nothing"), "not an ONNX model"),
        (lambda path: write(path, "centred", classes="0"), "no number `classes`"),
        (lambda path: write(path, "centred", latent=("n", "m")), "latents are"),
        (lambda path: write(path, "centred", style=True), "a generator takes latents"),
    ],
)
def test_what_is_no_generator_is_said(tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "g.onnx")
    with pytest.raises(RunError, match=words):
        ForeignGenerator(tmp_path / "g.onnx")
