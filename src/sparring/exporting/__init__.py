"""A generator as a file that needs nothing of this program: ONNX, a program of PyTorch, or its weights alone."""

from sparring.exporting.export import FORMATS, PRECISIONS, Exported, export

__all__ = ["FORMATS", "PRECISIONS", "Exported", "export"]
