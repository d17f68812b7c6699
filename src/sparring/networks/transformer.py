"""Causal transformers: what a sequence is read by, symbol after symbol."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.errors import SettingError

HEAD = 64
"""Width of an attention head."""

BASE = 10_000.0
"""Of the angles of rotary positions (Su et al. 2021, section 3.2)."""

Memory = tuple[Tensor, Tensor]
"""Keys and values of one layer, (N, heads, length, HEAD) each, filled up to where the sequences are."""


class Attention(nn.Module):
    """Each place looks at itself and at those before it; positions are rotations of queries and keys.

    twice: whether gradients of gradients are taken through it, which fused kernels do not give.
    """

    def __init__(self, width: int, *, twice: bool) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.twice = twice
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.join = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, angles: Tensor, memory: Memory | None = None, start: int = 0) -> Tensor:
        """x (N, T, width) at the places `start` to `start + T - 1`, angles (T, HEAD / 2).

        With a memory, keys and values of the earlier places come from there, and these places' own are added to it.
        """
        count, length, width = x.shape
        queries, keys, values = self.project(x).view(count, length, 3, self.heads, HEAD).permute(2, 0, 3, 1, 4)
        queries, keys = turned(queries, angles), turned(keys, angles)
        if memory is not None:
            known_keys, known_values = memory
            known_keys[:, :, start : start + length], known_values[:, :, start : start + length] = keys, values
            keys, values = known_keys[:, :, : start + length], known_values[:, :, : start + length]
        causal = memory is None or length > 1  # without asking for the length, which an export would fix
        if causal and start:
            raise ValueError("several places at once start at the beginning")
        # On CPUs the fused kernel goes backward several times more slowly, in bf16 above all (`benchmarks/step.py`).
        fused = not self.twice and x.device.type != "cpu"
        look = F.scaled_dot_product_attention if fused else look_around
        seen = look(queries, keys, values, is_causal=causal)
        joined: Tensor = self.join(seen.transpose(1, 2).reshape(count, length, width))
        return joined


def look_around(queries: Tensor, keys: Tensor, values: Tensor, *, is_causal: bool) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), (N, heads, T, HEAD) each; differentiable twice."""
    count, heads, length, width = queries.shape
    queries, keys, values = queries.flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1)
    mask = queries.new_zeros(length, keys.shape[1])
    if is_causal:
        mask = mask.fill_(-torch.inf).triu(1)
    scores = torch.baddbmm(mask.expand(queries.shape[0], -1, -1), queries, keys.transpose(1, 2), alpha=width**-0.5)
    return (scores.softmax(-1).to(values.dtype) @ values).view(count, heads, length, width)


class Layer(nn.Module):
    """Attention, then two dense layers at each place, each added to what comes in (pre-normalised)."""

    def __init__(self, width: int, *, twice: bool) -> None:
        super().__init__()
        self.before_looking = nn.LayerNorm(width, bias=False)
        self.look = Attention(width, twice=twice)
        self.before_thinking = nn.LayerNorm(width, bias=False)
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, angles: Tensor, memory: Memory | None = None, start: int = 0) -> Tensor:
        """(N, T, width) to the same."""
        x = x + self.look(self.before_looking(x), angles, memory, start)
        x = x + self.narrow(F.gelu(self.widen(self.before_thinking(x))))
        return x


class Trunk(nn.Module):
    """`depth` layers of `width` channels over at most `longest` places.

    setting: what a person sets the width by.

    Raises: SettingError if the width is no multiple of the heads' 64.
    """

    angles: Tensor

    def __init__(self, width: int, depth: int, longest: int, *, twice: bool = False, setting: str = "width") -> None:
        super().__init__()
        if width % HEAD:
            raise SettingError(f"{setting}={width}: the width of a transformer is a multiple of {HEAD}")
        self.layers = nn.ModuleList(Layer(width, twice=twice) for _ in range(depth))
        self.norm = nn.LayerNorm(width, bias=False)
        frequencies = BASE ** -(torch.arange(0, HEAD, 2) / HEAD)
        self.register_buffer("angles", torch.arange(longest)[:, None] * frequencies, persistent=False)
        for name, weights in self.named_parameters():
            if weights.ndim == 2:
                # What adds to the residual stream begins small, so that its variance does not grow with depth.
                ends = name.endswith(("join.weight", "narrow.weight"))
                nn.init.normal_(weights, std=(weights.shape[1] * (2 * depth if ends else 1)) ** -0.5)

    def forward(self, x: Tensor, memory: Sequence[Memory] | None = None, start: int = 0) -> Tensor:
        """x (N, T, width) at the places from `start` on, normalised at the end."""
        angles = self.angles[start : start + x.shape[1]]
        for number, layer in enumerate(self.layers):
            x = layer(x, angles, None if memory is None else memory[number], start)
        normalised: Tensor = self.norm(x)
        return normalised

    def new_memory(self, count: int, length: int) -> list[Memory]:
        """Room for the keys and values of `count` sequences of `length`, in the precision of the moment."""
        weight = self.norm.weight
        kind = weight.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        shape = count, self.norm.normalized_shape[0] // HEAD, length, HEAD
        return [(weight.new_empty(shape, dtype=dtype), weight.new_empty(shape, dtype=dtype)) for _ in self.layers]


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Pairs of channels (x_i, x_{i + HEAD / 2}) of x (N, heads, T, HEAD), rotated by angles (T, HEAD / 2)."""
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
