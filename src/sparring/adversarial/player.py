"""A player: a module, its optimiser, and how it descends a loss on a batch that may not fit the memory at once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparring.errors import SettingError
from sparring.randomness import Random

Loss = Callable[[Any, Random], tuple[Tensor, dict[str, Tensor]]]
"""The loss on a part of the batch and its random numbers: a mean over the part, and named scalars."""


T = TypeVar("T")

Mean = Callable[[Sequence[Tensor]], None]
"""Brings tensors to their mean over all processes that train together, in place."""


class Sliceable(Protocol):
    """A batch: has a length and gives parts of itself."""

    def __len__(self) -> int: ...

    def __getitem__(self, samples: slice, /) -> Any: ...


@dataclass
class MicroBatch:
    """How many samples go through the networks at once; shared by both players, and halved when memory runs out.

    whole: the layer whose statistics are those of the whole batch, if there is one: then nothing is halved.
    """

    size: int
    on_shrink: Callable[[int], None] = field(default=lambda size: None)
    whole: str = ""

    def fitting(self, total: int, work: Callable[[int], T], undo: Callable[[], None] = lambda: None) -> T:
        """What `work` gives when it may take so many of `total` samples at once as fit the memory.

        After memory ran out it is undone and tried again with fewer. Raises: as `shrink`.
        """
        while True:
            size = min(self.size, total)
            try:
                return work(size)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
            # Outside the handler, where the traceback no longer holds the tensors that filled the memory.
            undo()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.shrink(size)

    def shrink(self, used: int) -> None:
        """Halves the size after `used` samples at once were too many.

        Raises: SettingError when a single sample does not fit, or where the batch cannot be taken apart.
        """
        if self.whole:
            raise SettingError(
                f"{used} samples at a time do not fit the memory, and the statistics of {self.whole} are those of a "
                "whole batch, which cannot be taken apart: choose a smaller batch, or another normalisation"
            )
        if used <= 1:
            raise SettingError("one sample at a time does not fit the memory: choose a smaller --resolution or --size")
        self.size = used // 2
        self.on_shrink(self.size)


@dataclass
class Player:
    """A network and the optimiser that improves it."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    micro_batch: MicroBatch
    mean: Mean = lambda tensors: None

    def descend(self, loss: Loss, batch: Sliceable, random: Random) -> dict[str, Tensor]:
        """One update on the mean of `loss` over the batch, in as many micro-batches as the memory asks for.

        Nothing has changed when memory runs out, for gradients are made before the update and random numbers belong to
        their samples: the same update is simply tried again in smaller parts.
        """
        terms = self.micro_batch.fitting(
            len(batch), lambda size: self._accumulate(loss, batch, random, size), self.optimizer.zero_grad
        )
        gradients = [parameter.grad for parameter in self.module.parameters() if parameter.grad is not None]
        self.mean([*gradients, *terms.values()])
        self.optimizer.step()
        return terms

    def _accumulate(self, loss: Loss, batch: Sliceable, random: Random, size: int) -> dict[str, Tensor]:
        self.optimizer.zero_grad()
        means: dict[str, Tensor] = {}
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            share = len(part) / len(batch)
            value, terms = loss(part, random.part(start, len(part)))
            (value * share).backward()  # type: ignore[no-untyped-call]
            for name, term in terms.items():
                means[name] = means.get(name, 0) + term.detach() * share
        return means

    def gradient_norm(self) -> Tensor:
        """The norm of the gradient that the last update descended, over all weights: a scalar on the device."""
        gradients = [parameter.grad for parameter in self.module.parameters() if parameter.grad is not None]
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        return norm

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While the other player moves: no gradients are collected for this one's weights."""
        learning = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        for parameter in learning:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in learning:
                parameter.requires_grad_(True)


def with_batch_statistics(*players: nn.Module) -> str:
    """The class of the first layer that normalises by statistics of the batch it gets; empty if there is none."""
    norms = (layer for player in players for layer in player.modules() if isinstance(layer, _BatchNorm))
    return next((type(norm).__name__ for norm in norms if norm.training or norm.running_mean is None), "")


@contextmanager
def unmoved(*modules: nn.Module) -> Iterator[None]:
    """While somebody looks who must not be noticed: buffers, such as running statistics, end as they began."""
    buffers = [buffer for module in modules for buffer in module.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; of the CPU's, of MPS and of some CUDA libraries torch says so in plain RuntimeErrors."""
    signs = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED", "bad_alloc")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in signs)
