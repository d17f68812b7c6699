"""Random numbers that depend on what they are for, never on what was drawn before.

Every draw is keyed by (seed, attempt, step, purpose, chunk), a chunk being 16 consecutive samples of the global batch.
So a resumed run, a run in micro-batches and a run on several ranks all see the same numbers, and nothing has to be
saved.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

CHUNK = 16
CPU = torch.device("cpu")


def key(*parts: int | str) -> int:
    """A 63-bit seed for `torch.Generator` out of any sequence of numbers and names."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True)
class Random:
    """The random numbers of samples `start` to `start + count - 1` of the global batch in one step.

    Normal and uniform draws come in float32 on `device`; they are made there too, so that picture-sized noise does not
    cross from the CPU to a GPU. The same key therefore gives other numbers on another kind of device.
    """

    seed: int
    step: int
    count: int
    start: int = 0
    attempt: int = 0
    purpose: str = ""
    device: torch.device = CPU

    def at(self, purpose: str) -> "Random":
        """A stream of its own for a part of the step, such as `discriminator`."""
        return replace(self, purpose=f"{self.purpose}/{purpose}")

    def part(self, start: int, count: int) -> "Random":
        """The numbers of `count` samples from `start` of this slice on: what a micro-batch sees."""
        return replace(self, start=self.start + start, count=count)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Standard normal numbers (count, *shape)."""
        return self._draw(
            purpose, lambda generator: torch.randn(CHUNK, *shape, generator=generator, device=self.device)
        )

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), (count, *shape)."""
        return self._draw(purpose, lambda generator: torch.rand(CHUNK, *shape, generator=generator, device=self.device))

    def integers(self, purpose: str, high: int, *shape: int) -> Tensor:
        """Integers in [0, high), int64 (count, *shape)."""
        return self._draw(
            purpose, lambda generator: torch.randint(high, (CHUNK, *shape), generator=generator, device=self.device)
        )

    def _draw(self, purpose: str, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        first, last = self.start // CHUNK, (self.start + self.count - 1) // CHUNK
        chunks = []
        for chunk in range(first, last + 1):
            generator = torch.Generator(self.device)
            generator.manual_seed(key(self.seed, self.attempt, self.step, f"{self.purpose}/{purpose}", chunk))
            chunks.append(draw(generator))
        offset = self.start - first * CHUNK
        return torch.cat(chunks)[offset : offset + self.count]
