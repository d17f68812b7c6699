"""Generators of molecules as graphs, and how they are used: all that needs no training data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks import graphs
from sparring.randomness import key
from sparring.tasks.building import built

FORWARD = 64
"""Graphs that are drawn at once; fixed, since the bytes of the results depend on it."""

BONDS = 4
"""None, single, double, triple."""


@dataclass(frozen=True)
class Blueprint:
    """All that is needed to build the players again and to use them; stored as JSON beside the weights."""

    kinds: Sequence[str]
    """What the kinds of nodes from 1 on mean, as in C, N+."""
    room: Sequence[float]
    """Electron pairs that an atom of each kind shares at most, 0 for the kind 0 that is none."""
    atoms: int
    """The most of a molecule."""
    z_dim: int
    width: int
    depth: int
    judge_width: int
    judge_depth: int
    rewarded: bool
    """Whether the generator has a network that foresees what a molecule is worth."""
    task: Literal["molecules"] = "molecules"
    representation: Literal["graph"] = "graph"

    def generator(self) -> graphs.Generator:
        """A new one, not trained."""
        kinds, width, depth = len(self.room), self.width, self.depth
        worth = graphs.Reader(kinds, BONDS, self.room, width=width, depth=depth) if self.rewarded else None
        return graphs.Generator(self.z_dim, self.atoms, kinds, BONDS, width=width, depth=depth, worth=worth)

    def judge(self) -> graphs.Discriminator:
        """A new discriminator, not trained."""
        return graphs.Discriminator(len(self.room), BONDS, self.room, width=self.judge_width, depth=self.judge_depth)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The blueprint that JSON made of `describe()`."""
        return cls(**values)

    def describe(self) -> dict[str, Any]:
        """The values that `from_json` takes."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def smiles(self, nodes: Tensor, bonds: Tensor) -> list[str]:
        """Canonical SMILES of nodes int64 (N, M) and bonds int64 (N, M, M); empty where one is no molecule."""
        from sparring.chemistry.graphs import to_smiles

        pairs = zip(nodes.cpu().numpy(), bonds.cpu().numpy(), strict=True)
        return [to_smiles(adjacency, kinds, self.kinds) or "" for kinds, adjacency in pairs]


@torch.no_grad()
def logits_of(
    generator: nn.Module, blueprint: Blueprint, n: int, seed: int, temperature: float = 1.0, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits of nodes and pairs of graphs number `start` to `start + n - 1` of a seed, on the CPU, some at a time.

    Graph i is always drawn in row i % FORWARD of a batch of FORWARD, so it depends on (seed, i) and the temperature
    alone, not on how many are asked for.
    """
    device = next(generator.parameters()).device
    for block in range(start // FORWARD, -(-(start + n) // FORWARD)):
        random = torch.Generator().manual_seed(key(seed, "z", block))
        z = temperature * torch.randn(FORWARD, blueprint.z_dim, generator=random)
        here = slice(max(start - block * FORWARD, 0), start + n - block * FORWARD)
        nodes, pairs = generator(z.to(device))
        yield nodes[here].cpu(), pairs[here].cpu()


def sample(
    generator: nn.Module, blueprint: Blueprint, n: int, seed: int, temperature: float = 1.0, start: int = 0
) -> tuple[Tensor, Tensor]:
    """Graphs number `start` to `start + n - 1` of a seed, built within the room of their atoms (see `building`).

    Gives nodes int64 (n, M) and bonds int64 (n, M, M). temperature: 0 to 5, a factor of the random numbers; below 1
    graphs are nearer to the usual one.
    """
    drawn = logits_of(generator, blueprint, n, seed, temperature, start)
    nodes, bonds = zip(*(built(*logits, blueprint.room) for logits in drawn), strict=True)
    return torch.cat(nodes), torch.cat(bonds)


@torch.no_grad()
def scores(judge: nn.Module, blueprint: Blueprint, nodes: Tensor, bonds: Tensor) -> Tensor:
    """How real the discriminator takes graphs to be, (n,) on the CPU; of nodes (n, M) and bonds (n, M, M)."""
    device = next(judge.parameters()).device
    found = []
    for some, between in zip(torch.split(nodes, FORWARD), torch.split(bonds, FORWARD), strict=True):
        seen = (
            F.one_hot(part.to(device), size).float() for part, size in ((some, len(blueprint.room)), (between, BONDS))
        )
        found.append(judge(*seen).float().cpu())
    return torch.cat(found)
