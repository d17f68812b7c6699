"""Libraries that only exports and sharing need."""

import importlib
from typing import Any

from sparring.errors import RunError

FOR = {
    "onnx": ("exporting to ONNX", "export"),
    "onnxruntime": ("exporting to ONNX", "export"),
    "huggingface_hub": ("sharing", "hub"),
}
"""What needs a library, and the extra that installs it."""


def needed(name: str) -> Any:
    """The module of a library of `FOR`. Raises: RunError that says what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        purpose, extra = FOR[name]
        raise RunError(f"{purpose} needs {name}: pip install 'sparring[{extra}]'") from error
