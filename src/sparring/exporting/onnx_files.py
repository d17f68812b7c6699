"""ONNX files: written by PyTorch's exporter, told what they are, and run by onnxruntime.

The exporter is the one that traces (`dynamo=False`). It takes every network here, in a fifth of a second to three
seconds; the one built on `torch.export` takes 3 to 70, and one more package.
"""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.errors import RunError
from sparring.exporting.packages import needed
from sparring.exporting.players import Player

OPSET = 18
"""Version of ONNX's operators, of December 2022: what runs files has had time to learn them."""

LARGEST = 2**31 - 2**20
"""Bytes of weights: a file of protocol buffers ends at 2 GiB."""

SMALL = 256
"""Numbers of a tensor below which half precision would save nothing worth having."""


def onnx_model(player: Player, facts: Mapping[str, str]) -> Any:
    """The player as an `onnx.ModelProto` with its facts in the metadata.

    Raises: RunError if onnx is not installed, or the network is too large for such a file.
    """
    onnx = needed("onnx")
    size = sum(weights.numel() * weights.element_size() for weights in player.module.state_dict().values())
    if size > LARGEST:
        raise RunError(f"the network has {size / 2**30:.1f} GiB, and an ONNX file holds 2: export to torch instead")
    example = player.trials()[0]
    axes = {entry.name: entry.axes for entry in player.inputs} | {player.output: player.axes}
    named = {name: {at: axis for at, axis in enumerate(all_) if isinstance(axis, str)} for name, all_ in axes.items()}
    # Tables that networks make once and keep are then constants of the graph, and not made in it.
    player(example)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "traced.onnx"
        warnings.simplefilter("ignore")  # that it traces, and that lengths which are asked for are fixed
        torch.onnx.export(
            player.module,
            tuple(example.values()),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(example),
            output_names=[player.output],
            dynamic_axes=named,
        )
        model = onnx.load(path)
    for value, entry in zip(model.graph.input, player.inputs, strict=True):
        value.doc_string = entry.meaning
    model.graph.output[0].doc_string = player.meaning
    for node in model.graph.node:
        node.doc_string = ""
    model.producer_name, model.producer_version = "sparring", facts["sparring"]
    model.doc_string = facts["note"]
    onnx.helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model)
    return model


def stored_in_half(model: Any) -> Any:
    """The same with weights stored as float16, and turned into float32 when the file is loaded."""
    onnx = needed("onnx")
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    casts = []
    for tensor in halved.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != "float32" or values.size < SMALL:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype("float16"), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    onnx.checker.check_model(halved)
    return halved


class Session:
    """An ONNX file in onnxruntime, on the CPU, as a function of inputs by name."""

    def __init__(self, content: bytes) -> None:
        runtime = needed("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what goes wrong comes as an exception, and is said once
        self.session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, given: Mapping[str, Tensor]) -> Tensor:
        """What it gives."""
        (made,) = self.session.run(None, {name: x.numpy() for name, x in given.items()})
        return torch.from_numpy(made)
