"""Players for small graphs, molecules above all: a generator that draws one at once, and a discriminator to which the
order of the nodes means nothing.

A graph of M nodes is `nodes` float (N, M, T), a kind for each, and `bonds` float (N, M, M, B), symmetric, a kind for
each pair; one-hot, or shares of kinds. Kind 0 is no atom, and no bond. P = M (M - 1) / 2 pairs are those of `ends_of`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks.layers import at_least_float32, full_precision

HEADS = 4

WALKS = 4
"""The discriminator is told of closed walks of 2 to this many steps and one more."""

HIDDEN = 256
"""Units of the dense layers between a graph and its latent."""

LEAST_SPREAD, MOST_SPREAD = -6.0, 2.0
"""Logarithms of the deviation between which an encoded graph lies."""


def ends_of(atoms: int) -> tuple[Tensor, Tensor]:
    """The two nodes of each pair, int64 (P,): the first below the second."""
    first, second = torch.triu_indices(atoms, atoms, 1).unbind(0)
    return first, second


def symmetric(pairs: Tensor, atoms: int) -> Tensor:
    """Bonds (N, M, M, B) of what pairs (N, P, B) have; no node has a bond with itself."""
    first, second = (side.to(pairs.device) for side in ends_of(atoms))
    alone = torch.zeros_like(pairs[:, :1])
    alone[..., 0] = 1
    place = torch.full((atoms, atoms), len(first), device=pairs.device)
    place[first, second] = place[second, first] = torch.arange(len(first), device=pairs.device)
    return torch.cat([pairs, alone], dim=1)[:, place]


class Generator(nn.Module):
    """Logits of the kinds of all nodes and pairs out of random numbers.

    Each node begins with numbers of its own, made from all of z, and looks at the others `depth` times before the kinds
    are decided, those of pairs by what their ends have in common. MolGAN (De Cao & Kipf 2018, section 3.1) has an MLP
    in this place, in which no node knows of another.

    Two helpers are of use in training alone: an encoder, which says what a graph could have been drawn from, and where
    something is asked for a network that foresees what a graph is `worth` (MolGAN, section 3.2).
    """

    def __init__(
        self,
        z_dim: int,
        atoms: int,
        kinds: int,
        bonds: int,
        *,
        width: int,
        depth: int,
        worth: "Reader | None" = None,
    ) -> None:
        super().__init__()
        self.z_dim, self.atoms = z_dim, atoms
        pairs = atoms * (atoms - 1) // 2
        self.encoder = nn.Sequential(
            nn.Linear(atoms * kinds + pairs * bonds, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, 2 * z_dim),
        )
        self.begin = nn.Sequential(nn.Linear(z_dim, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, atoms * width))
        self.rounds = nn.ModuleList(Round(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.node = nn.Linear(width, kinds)
        self.ends = nn.Linear(width, 2 * width)
        self.pair = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, bonds))
        self.worth = worth

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Logits float32 of nodes (N, M, T) and of pairs (N, P, B), of z (N, z_dim)."""
        x = self.begin(z).unflatten(1, (self.atoms, -1))
        for each in self.rounds:
            x = each(x)
        x = self.norm(x)
        sums, factors = self.ends(x).chunk(2, dim=-1)
        first, second = (side.to(z.device) for side in ends_of(self.atoms))
        shared = sums[:, first] + sums[:, second] + factors[:, first] * factors[:, second]
        return at_least_float32(self.node(x)), at_least_float32(self.pair(shared))

    def encode(self, nodes: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the deviation (N, z_dim) of the code of nodes (N, M, T) and pairs (N, P, B)."""
        code = at_least_float32(self.encoder(torch.cat([nodes.flatten(1), pairs.flatten(1)], dim=1)))
        mean, spread = code.chunk(2, dim=1)
        return mean, spread.clamp(LEAST_SPREAD, MOST_SPREAD)


class Round(nn.Module):
    """Each node looks at all nodes, then thinks: attention and two dense layers, each added to what was there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look, self.take = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, M, width) to the same."""
        heads = self.look(self.before(x)).unflatten(2, (3 * HEADS, -1)).transpose(1, 2)
        query, key, value = heads.chunk(3, dim=1)
        weights = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(-1)
        x = x + self.take((weights @ value).transpose(1, 2).flatten(2))
        seen: Tensor = x + self.think(self.between(x))
        return seen


class Reader(nn.Module):
    """A number for a graph: relational convolutions, a matrix for each kind of bond, then a gated sum over its nodes.

    Besides its kind each node has how many electron pairs its bonds leave of those that its kind can share (`room`, one
    for each kind), and the closed walks through it, which tell of rings: the convolutions alone cannot count these.
    All is smooth, so that slopes can be penalised.
    Sources: Schlichtkrull et al. 2017, eq. 2; Li et al. 2016, eq. 7; De Cao & Kipf 2018, section 3.1.
    """

    room: Tensor
    orders: Tensor

    def __init__(self, kinds: int, bonds: int, room: Sequence[float], *, width: int, depth: int) -> None:
        super().__init__()
        self.register_buffer("room", torch.tensor(room, dtype=torch.float32), persistent=False)
        self.register_buffer("orders", torch.arange(bonds).float(), persistent=False)
        self.begin = nn.Linear(kinds + 1 + WALKS, width)
        self.own = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.sent = nn.ModuleList(nn.Linear(width, (bonds - 1) * width, bias=False) for _ in range(depth))
        self.whole = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
        self.gate, self.value = (nn.Linear(width + kinds, 2 * width) for _ in range(2))
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, nodes: Tensor, bonds: Tensor) -> Tensor:
        """(N,), float32, of nodes (N, M, T) and bonds (N, M, M, B)."""
        count, atoms = nodes.shape[:2]
        there = nodes[..., 1:].sum(-1, keepdim=True)
        adjacency = bonds[..., 1:].reshape(count, atoms, -1)
        x = F.silu(self.begin(torch.cat([nodes, *self.surroundings(nodes, bonds)], dim=-1)))
        for own, sent, whole in zip(self.own, self.sent, self.whole, strict=True):
            messages = sent(x).view(count, adjacency.shape[2], -1)
            all_of_it = whole((x * there).sum(1, keepdim=True) / atoms)
            x = x + F.silu(own(x) + adjacency.to(messages.dtype) @ messages + all_of_it)
        x = torch.cat([x, nodes.to(x.dtype)], dim=-1)
        total = (self.gate(x).sigmoid() * self.value(x).tanh() * there).sum(1)
        with full_precision(total):
            number: Tensor = self.head(at_least_float32(total)).squeeze(-1)
        return number

    def surroundings(self, nodes: Tensor, bonds: Tensor) -> list[Tensor]:
        """What each node has besides its kind, (N, M, 1) each: electron pairs that are left, and closed walks."""
        with full_precision(nodes):
            left = nodes @ self.room - (bonds @ self.orders).sum(2)
            step = bonds[..., 1:].sum(-1) / 2
            walk, closed = step, []
            for _ in range(WALKS):
                walk = walk @ step
                closed.append(walk.diagonal(dim1=1, dim2=2))
        return [each[..., None] for each in (left, *closed)]


class Discriminator(Reader):
    """Judges how real a graph is."""

    def forward(self, nodes: Tensor, bonds: Tensor, y: Tensor | None = None) -> Tensor:
        """Judgements (N,); see `Reader`."""
        return super().forward(nodes, bonds)
