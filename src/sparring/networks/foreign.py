"""Feature networks that a user brings: a TorchScript file or an ONNX file."""

import importlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.errors import MetricError
from sparring.networks.features import Card, frozen, no_classes
from sparring.networks.weights import Check, verified

load_script: Callable[..., nn.Module] = torch.jit.load

SIDES = (224, 299, 256, 128, 64, 32)
"""Pixels a side that a network without a stated input size is tried with, in this order."""


class Foreign(nn.Module):
    """A `FeatureNetwork` around somebody else's function of pictures; it has neither maps nor classes.

    The function takes (N, 3, H, W) in [-1, 1] and gives (N, D), or (N, D, h, w), which is averaged over places.
    Where `size` is None it is tried with pictures of several sizes: if it takes more than one of them and gives as many
    features each time, pictures keep their size; if it takes one only, that is its size.

    Raises: MetricError if it takes none of them, or gives something else than features.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        function: Callable[[Tensor], Tensor],
        size: tuple[int, int] | None,
        digest: str,
    ) -> None:
        super().__init__()
        self.path = path
        self.function = function
        taken = list(self.try_sizes([size] if size else [(side, side) for side in SIDES]))
        dimension, first = taken[0]
        varies = size is None and len(taken) > 1 and taken[1][0] == dimension
        self.card = Card(
            name=path.name,
            title=f"the {kind} file {path.name}",
            dimension=dimension,
            size=None if varies else first,
            resize="bicubic antialiased",
            licence="that of the file",
            digest=digest,
            source=str(path),
        )

    def pooled(self, pictures: Tensor) -> Tensor:
        """See `FeatureNetwork`. Raises MetricError if the network fails on the pictures, saying what it says."""
        try:
            features = self.function(pictures)
        except Exception as error:  # whatever a user's network raises is theirs to know
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            why = lines[-1] if lines else type(error).__name__
            raise MetricError(f"{self.path}: fails on pictures of shape {tuple(pictures.shape)}: {why}") from error
        if not isinstance(features, Tensor) or features.ndim not in (2, 4) or len(features) != len(pictures):
            got = f"shape {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
            raise MetricError(
                f"{self.path}: gives {got} for {len(pictures)} pictures; "
                "expected one tensor, (pictures, features) or (pictures, features, height, width)"
            )
        return features.float() if features.ndim == 2 else features.float().mean((2, 3))

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        """None: what strides they would have is not known."""
        return {}

    def logits(self, pooled: Tensor) -> Tensor:
        """Raises MetricError: whether its output means classes is not known."""
        raise no_classes(self.card)

    def try_sizes(self, sizes: list[tuple[int, int]]) -> list[tuple[int, tuple[int, int]]]:
        """(features, size) for the first two sizes that the network takes."""
        taken = []
        first_error = None
        for size in sizes:
            try:
                with torch.no_grad():
                    taken.append((self.pooled(torch.zeros(2, 3, *size)).shape[1], size))
            except MetricError as error:
                first_error = first_error or error
            if len(taken) == 2:
                break
        if not taken:
            raise first_error or MetricError(f"{self.path}: no size of pictures to try")
        return taken


class Script(nn.Module):
    """A network of a TorchScript file, and what moves with it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pictures: Tensor) -> Tensor:
        """What the file computes; gradients flow."""
        features: Tensor = self.module(pictures)
        return features


def torchscript(path: Path) -> Foreign:
    """The network in a TorchScript file, made by `torch.jit.save`; gradients flow through it.

    Such a file holds a program, which runs with the rights of the person who opens it: open none that you would not
    run. It takes (N, 3, H, W) in [-1, 1] and gives (N, D) or (N, D, h, w).

    Raises: MetricError if the file is missing, damaged, no TorchScript, or gives something else.
    """
    module, digest = opened_script(path)
    return frozen(Foreign(path, "TorchScript", Script(module), None, digest))


def opened_script(path: Path, extra: dict[str, Any] | None = None) -> tuple[nn.Module, str]:
    """The program in a TorchScript file, on the CPU, and the file's SHA-256; see `torchscript` on what that means.

    extra: names of further files in it, whose contents are put there.

    Raises: MetricError if the file is missing, damaged, or no TorchScript.
    """
    digest = _digest(path)
    try:
        if not zipfile.is_zipfile(path):
            raise RuntimeError("no archive")
        module = load_script(str(path), map_location="cpu", _extra_files=extra)
    except (RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise MetricError(
            f"{path}: not a TorchScript file, or damaged; make one by torch.jit.trace(network, example).save(FILE), "
            "or, for weights of a named network, write NAME=PATH"
        ) from error
    return module, digest


def onnx(path: Path) -> Foreign:
    """The network in an ONNX file, run by onnxruntime on the CPU; no gradients flow.

    It has one input of pictures, (N, 3, H, W) or (N, H, W, 3), float32 in [-1, 1] or uint8 in [0, 255], and one output,
    (N, D), or maps in the same order of axes as the input. An input with fixed sides says what pictures are brought to.

    Raises: MetricError if onnxruntime is not installed, or the file is missing, damaged, or of another kind.
    """
    digest = _digest(path)
    runtime = need_onnxruntime(f"{path}: to look through it")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what goes wrong comes as an exception, and is said once
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base but this
        raise MetricError(f"{path}: not an ONNX file that onnxruntime can run, or damaged: {_first(error)}") from error
    function = Onnx(path, session)
    return frozen(Foreign(path, "ONNX", function, function.size, digest))


class Onnx:
    """A session of onnxruntime as a function of pictures (N, 3, H, W) in [-1, 1]. `size` is what it takes, or None."""

    def __init__(self, path: Path, session: Any) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise MetricError(f"{path}: {len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
        shape, kind = inputs[0].shape, inputs[0].type
        if kind not in ("tensor(float)", "tensor(uint8)"):
            raise MetricError(f"{path}: its input is a {kind}; expected tensor(float) or tensor(uint8)")
        if len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise MetricError(f"{path}: its input has shape {shape}; expected (N, 3, H, W) or (N, H, W, 3)")
        self.session = session
        self.input = inputs[0].name
        self.bytes = kind == "tensor(uint8)"
        self.channels_last = shape[1] != 3
        # Free axes have a name, or nothing, in place of a number.
        self.batch = shape[0] if isinstance(shape[0], int) else None
        height, width = shape[1:3] if self.channels_last else shape[2:]
        self.size = (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def __call__(self, pictures: Tensor) -> Tensor:
        """Features (N, D) or (N, D, h, w), on the device of the pictures."""
        x = pictures.detach().float().cpu()
        if self.bytes:
            x = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        if self.channels_last:
            x = x.permute(0, 2, 3, 1)
        batch = self.batch or max(len(x), 1)
        parts = [self.run(part, batch) for part in torch.split(x, batch)]
        features = torch.cat(parts)
        if features.ndim == 4 and self.channels_last:
            features = features.permute(0, 3, 1, 2)
        return features.to(pictures.device)

    def run(self, x: Tensor, batch: int) -> Tensor:
        """What the session gives for up to `batch` pictures, repeating the last where it wants just so many."""
        full = torch.cat([x, x[-1:].expand(batch - len(x), -1, -1, -1)])
        (output,) = self.session.run(None, {self.input: full.contiguous().numpy()})
        return torch.from_numpy(output)[: len(x)]


def need_onnxruntime(purpose: str) -> Any:
    """The module onnxruntime. Raises MetricError, which begins with `purpose`, if it is not installed."""
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MetricError(f"{purpose}, onnxruntime is needed; run: pip install onnxruntime") from error


def _digest(path: Path) -> str:
    try:
        return verified(path, Check())
    except OSError as error:
        raise MetricError(f"{path}: cannot be read: {error.strerror or error}") from error


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
