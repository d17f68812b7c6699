"""Curves and grids for TensorBoard, for those who ask for it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Protocol

from torch import Tensor

from sparring.errors import SettingError


class Board(AbstractContextManager["Board"], Protocol):
    """Where measurements are shown besides the run folder's own files."""

    def scalars(self, values: Mapping[str, float], images: int) -> None:
        """Numbers by name, after so many images."""

    def grid(self, pictures: Tensor, images: int) -> None:
        """Samples uint8 (N, C, H, W), after so many images."""

    def texts(self, texts: Sequence[str], images: int) -> None:
        """Samples of text, after so many of them."""


class NoBoard:
    """Shows nothing."""

    def __enter__(self) -> "NoBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def scalars(self, values: Mapping[str, float], images: int) -> None:
        """Nothing."""

    def grid(self, pictures: Tensor, images: int) -> None:
        """Nothing."""

    def texts(self, texts: Sequence[str], images: int) -> None:
        """Nothing."""


class TensorBoard:
    """Event files that `tensorboard --logdir` reads; the step of every value is the number of images shown."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))

    def __enter__(self) -> "TensorBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    def scalars(self, values: Mapping[str, float], images: int) -> None:
        """One curve for each name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, images)

    def grid(self, pictures: Tensor, images: int) -> None:
        """The samples side by side."""
        self.writer.add_images("samples", pictures, images)

    def texts(self, texts: Sequence[str], images: int) -> None:
        """The samples one below the other, as code, so that markup in them stays as it is."""
        self.writer.add_text(
            "samples", "\n\n".join(f"    {text.replace(chr(10), chr(10) + '    ')}" for text in texts), images
        )


def open_board(folder: Path | None) -> Board:
    """A TensorBoard writer into a folder, or none."""
    return TensorBoard(folder) if folder else NoBoard()


def need_tensorboard() -> None:
    """Raises: SettingError if the package is not installed."""
    if find_spec("tensorboard") is None:
        raise SettingError("tensorboard=true needs the package: pip install tensorboard")
