"""Sequences of symbols, texts above all, as one tensor of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.data.order import drawn_at
from sparring.data.pictures import CPU, sent, settled, split
from sparring.data.sources import Skipped
from sparring.data.vocabularies import Vocabulary


@dataclass(frozen=True)
class Tokens:
    """Some sequences on the training device: `tokens` int64 (N, L), each up to its end, then END up to L."""

    tokens: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, samples: slice) -> "Tokens":
        return Tokens(self.tokens[samples])


@dataclass(frozen=True)
class Sequences:
    """A set of sequences, all at hand."""

    tokens: Tensor
    """int16 or int32 (N, L): each row a sequence, then END up to L, which is one more than the longest has."""
    vocabulary: Vocabulary
    """What the numbers stand for."""
    name: str
    fingerprint: str
    """Hexadecimal, of the content of the data and of the way it was put into numbers; the path plays no part."""
    texts: Sequence[str]
    """The sequences as they were read."""
    skipped: Sequence[Skipped] = ()
    notices: Sequence[str] = ()
    """Sentences for the person: what went otherwise than usual while loading."""
    device: torch.device = CPU
    """Where batches go."""
    drawn: Tensor | None = None
    """int64, the numbers of the sequences that `draw` takes; None: all."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def longest(self) -> int:
        """L: symbols of the longest sequence, and its END."""
        return self.tokens.shape[1]

    @property
    def shape(self) -> tuple[int]:
        """(L,): symbols of the longest sequence, and its END."""
        return (self.longest,)

    @property
    def classes(self) -> tuple[str, ...]:
        """Sequences have none."""
        return ()

    @property
    def class_shares(self) -> tuple[float, ...]:
        """Sequences have no classes."""
        return ()

    def to(self, device: torch.device | str) -> "Sequences":
        """The same set with batches on `device`; the tokens move there too when they fit into a third of its memory."""
        device, (tokens,) = settled(device, self.device, self.tokens)
        return replace(self, tokens=tokens, device=device)

    def batch(self, numbers: Tensor) -> Tokens:
        """The sequences `numbers`, int64 (n,) with values in [0, len(self)), on the device."""
        return Tokens(sent(self.tokens.index_select(0, numbers.to(self.tokens.device)), self.device).long())

    def draw(self, seed: int, position: int, batch: int, rank: int = 0, ranks: int = 1) -> Tokens:
        """Part `rank` of `ranks` of the batch that begins at sample `position` of the stream of `order.indices`."""
        part = batch // ranks
        return self.batch(drawn_at(self.drawn, len(self), seed, position + rank * part, part))

    def shown_texts(self) -> list[str]:
        """The texts that `draw` takes."""
        if self.drawn is None:
            return list(self.texts)
        return [self.texts[number] for number in self.drawn.tolist()]

    def sample(self) -> "Sequences":
        """All of it."""
        return self

    def hold_out(self, count: int) -> "tuple[Sequences, Sequences | None]":
        """The same sequences twice, of which each draws a part; at most half of them are held out."""
        shown, held_out = split(len(self), None, count, self.fingerprint)
        return replace(self, drawn=shown), None if held_out is None else replace(self, drawn=held_out)

    def close(self) -> None:
        """Nothing reads ahead."""
