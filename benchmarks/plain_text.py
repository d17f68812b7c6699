"""The language model that a tutorial would write, which our lessons and our sampling are measured against.

Of the layers that PyTorch comes with and of the same size: nn.Embedding for symbols and places, nn.TransformerEncoder
under a causal mask, a head that shares its weights with the embedding; DataLoader with padding to the longest of a
batch, cross entropy, Adam as PyTorch makes it, all in float32; sampling reads the whole beginning again at each symbol.
"""

import ctypes
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from sparring.data.vocabularies import END, START, UNKNOWN
from sparring.networks.transformer import HEAD
from sparring.training.allocation import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory

IGNORED = -100
"""What cross_entropy leaves out unless told otherwise."""

GLIBC_THRESHOLD = 2**25
"""Bytes: the largest block that glibc comes to take from memory it keeps, of which it keeps twice as much at most."""


@contextmanager
def memory_given_back() -> Iterator[None]:
    """While glibc gives freed memory back to the system, as it does unless told otherwise.

    The first step in here may be slower than others: it finds no memory that was freed before.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, GLIBC_THRESHOLD)
    libc.mallopt(M_TRIM_THRESHOLD, 2 * GLIBC_THRESHOLD)
    libc.malloc_trim(0)
    yield
    keep_freed_memory()


class PlainTransformer(nn.Module):
    """Logits (N, T, size) of what follows each of the symbols int64 (N, T)."""

    def __init__(self, size: int, longest: int, *, width: int, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, width)
        self.places = nn.Embedding(longest, width)
        layer = nn.TransformerEncoderLayer(
            width, width // HEAD, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, size)
        self.head.weight = self.embedding.weight
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=tokens.device)
        x = self.embedding(tokens) + self.places(torch.arange(length, device=tokens.device))
        logits: Tensor = self.head(self.layers(x, mask=mask, is_causal=True))
        return logits


class PlainLesson:
    """Steps of maximum likelihood on sequences, int64 (T,) each, that begin with START and stop with END."""

    def __init__(
        self, model: PlainTransformer, sequences: Sequence[Tensor], batch: int, rate: float, device: torch.device
    ) -> None:
        self.model, self.device = model.to(device), device
        self.adam = torch.optim.Adam(model.parameters(), lr=rate)
        loader = DataLoader(sequences, batch, shuffle=True, drop_last=True, collate_fn=padded)
        self.batches = self.endless(loader)

    def endless(self, loader: DataLoader[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for inputs, targets in loader:
                yield inputs.to(self.device), targets.to(self.device)

    def play(self) -> None:
        inputs, targets = next(self.batches)
        loss = F.cross_entropy(self.model(inputs).flatten(0, 1), targets.flatten())
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()


def padded(sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    inputs = pad_sequence([tokens[:-1] for tokens in sequences], batch_first=True, padding_value=END)
    return inputs, pad_sequence([tokens[1:] for tokens in sequences], batch_first=True, padding_value=IGNORED)


@torch.no_grad()
def write(model: PlainTransformer, n: int, length: int, device: torch.device) -> Tensor:
    """n sequences of `length` symbols each, int64 (n, length), none of which is END."""
    model.eval()
    tokens = torch.full((n, 1), START, device=device)
    for _ in range(length):
        logits = model(tokens)[:, -1]
        logits[:, [END, START, UNKNOWN]] = -torch.inf
        tokens = torch.cat([tokens, torch.multinomial(logits.softmax(-1), 1)], dim=1)
    return tokens[:, 1:]
