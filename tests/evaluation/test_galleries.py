"""Pictures by number, above all those of ONNX generators written by other people."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring import data
from sparring.data.decode import Form
from sparring.errors import MetricError
from sparring.evaluation.galleries import BLOCK, Decoded, Drawn, Onnx, chunks, reformed, take
from sparring.randomness import key

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def test_a_decoded_set_is_thinned_out_evenly(photos: Path) -> None:
    pictures = data.load(photos, resolution=(8, 8))
    gallery = Decoded(pictures, 10)
    assert gallery.numbers.tolist() == list(range(0, 40, 4))
    assert torch.equal(torch.cat(list(chunks(gallery, 3))), pictures.images[::4])
    assert torch.equal(take(gallery, torch.tensor([9, 0])), pictures.images[[36, 0]])


def test_pictures_of_another_form_are_brought_to_it_as_files_are() -> None:
    grey = torch.arange(4 * 64, dtype=torch.uint8).reshape(4, 1, 8, 8)
    gallery = Drawn(lambda start, stop: grey[start:stop], 4, (1, 8, 8))
    assert reformed(gallery, Form(8, 8, 1)) is gallery
    wanted = reformed(gallery, Form(4, 4, 3))
    assert wanted.shape == (3, 4, 4)
    made = wanted.part(1, 3)
    assert made.shape == (2, 3, 4, 4)
    assert torch.equal(made[:, 0], made[:, 2])
    assert made[0].float().mean() == pytest.approx(float(grey[1].float().mean()), abs=2)


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
        torch.randn(BLOCK, 6, generator=torch.Generator().manual_seed(key(seed, "latents", block)))
        for block in range(blocks)
    ]
    return torch.cat(drawn)


@pytest.mark.parametrize("output", ["centred", "unit", "channels last", "uint8"])
def test_an_onnx_generator_gives_what_its_formula_gives(tmp_path: Path, output: str) -> None:
    matrix = write(tmp_path / "g.onnx", output)
    gallery = Onnx(tmp_path / "g.onnx", 50, seed=3)
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
    made = gallery.part(0, 50)
    assert gallery.shape == (3, 2, 2)
    assert made.dtype == torch.uint8
    assert np.abs(made.numpy() - wanted).max() <= 1
    assert torch.equal(gallery.part(30, 45), made[30:45])


def test_latents_of_four_dimensions_and_a_fixed_batch(tmp_path: Path) -> None:
    write(tmp_path / "four.onnx", "centred", latent=("n", 6, 1, 1))
    write(tmp_path / "fixed.onnx", "centred", latent=(8, 6))
    four, fixed = (Onnx(tmp_path / f"{name}.onnx", 40, seed=0).part(0, 40) for name in ("four", "fixed"))
    assert torch.equal(four, fixed)


@pytest.mark.parametrize("fixed", [10, 64])
def test_a_fixed_batch_that_does_not_divide_is_filled_up(tmp_path: Path, fixed: int) -> None:
    write(tmp_path / "any.onnx", "centred")
    write(tmp_path / "fixed.onnx", "centred", latent=(fixed, 6))
    free, filled = (Onnx(tmp_path / f"{name}.onnx", 40, seed=0).part(0, 40) for name in ("any", "fixed"))
    assert (free.int() - filled.int()).abs().max() <= 1


def test_a_generator_that_gives_nan_later_on_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "g.onnx", "centred")
    gallery = Onnx(tmp_path / "g.onnx", 100, seed=0)
    monkeypatch.setattr(torch, "randn", lambda *shape, generator: torch.full(shape, torch.nan))
    with pytest.raises(MetricError, match=r"g\.onnx: it gives NaN"):
        gallery.part(40, 50)


def test_labels_are_drawn_among_the_classes_that_the_file_tells_of(tmp_path: Path) -> None:
    write(tmp_path / "g.onnx", "centred", classes=2)
    plain = write(tmp_path / "plain.onnx", "centred")
    with_labels, without = (Onnx(tmp_path / f"{name}.onnx", 32, seed=0).part(0, 32) for name in ("g", "plain"))
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
    with pytest.raises(MetricError, match=words):
        Onnx(tmp_path / "g.onnx", 4, seed=0)
