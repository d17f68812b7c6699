"""From logits to graphs: as they are, for the game; or built so that no atom has more bonds than it can, to be used.

A bond needs two atoms: one that leads to a node that is none is no bond. Nothing else is changed for the game, nor for
what is counted as valid of a generator (`raw`).

To be used, a graph is built in the order of the logits, as SELFIES build a molecule from any symbols: first, as in
Kruskal's algorithm, the likeliest bonds between parts that are apart, until all hang together; then the likeliest of
the others; each of the likeliest kind that both ends have electron pairs left for.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.networks.graphs import ends_of, symmetric

NEVER = -1e9
"""Logit of what cannot be."""


def straight_through(nodes: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest graph of logits (N, M, T) and (N, P, B), one-hot: nodes (N, M, T), bonds (N, M, M, B).

    Backward it is the softmax (Jang et al. 2017, section 2.2, without noise: that is in z already).
    """
    hard = [hardened(logits) for logits in (nodes, pairs)]
    return hard[0], symmetric(between_atoms(*hard), nodes.shape[1])


def hardened(logits: Tensor) -> Tensor:
    """The likeliest kind one-hot, with the gradient of the softmax."""
    soft = logits.softmax(-1)
    return F.one_hot(soft.argmax(-1), soft.shape[-1]) + (soft - soft.detach())


def between_atoms(nodes: Tensor, pairs: Tensor) -> Tensor:
    """Kinds of pairs (N, P, B), without bonds that lead to a node that is no atom."""
    first, second = (side.to(nodes.device) for side in ends_of(nodes.shape[1]))
    there = 1 - nodes[..., 0]
    bonds = pairs[..., 1:] * (there[:, first] * there[:, second])[..., None]
    return torch.cat([1 - bonds.sum(-1, keepdim=True), bonds], dim=-1)


@torch.no_grad()
def raw(nodes: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest graph of logits in numbers of kinds: nodes int64 (N, M), bonds int64 (N, M, M)."""
    one_hot, bonds = straight_through(nodes, pairs)
    return one_hot.argmax(-1), bonds.argmax(-1)


@torch.no_grad()
def built(nodes: Tensor, pairs: Tensor, room: Sequence[float]) -> tuple[Tensor, Tensor]:
    """The same, built so that no node has more electron pairs in its bonds than `room` (T,) allows its kind.

    All atoms hang together unless too few of them have room for it.
    """
    kinds = nodes.argmax(-1)
    count, atoms = kinds.shape
    device, rows = kinds.device, torch.arange(count, device=kinds.device)
    first, second = (side.to(device) for side in ends_of(atoms))
    left = torch.tensor(room, device=device).long()[kinds].masked_fill(kinds == 0, 0)
    logits = pairs.log_softmax(-1)
    orders = torch.arange(logits.shape[-1], device=device)
    chosen = torch.zeros(count, len(first), dtype=torch.int64, device=device)
    part = torch.arange(atoms, device=device).expand(count, atoms)
    parts = (kinds > 0).sum(1)
    likeliest_first = (logits[..., 1:].logsumexp(-1) - logits[..., 0]).argsort(dim=-1, descending=True, stable=True)
    for joining in (True, True, False):  # twice: what could not be joined at first may be when another part is there
        for pair in likeliest_first.unbind(1):
            one, other = first[pair], second[pair]
            most = torch.minimum(left[rows, one], left[rows, other])
            possible = logits[rows, pair].masked_fill(orders > most[:, None], NEVER)
            if joining:
                mine, theirs = (part[rows, end][:, None] for end in (one, other))
                both = (part == mine) | (part == theirs)
                others = ((kinds > 0) & ~both).any(1)
                # What is joined must be able to take another part, as long as there is one, and all parts together as
                # many pairs as it takes to join them.
                most = torch.minimum(most, ((left * both).sum(1) - others.long()) // 2)
                most = torch.minimum(most, left.sum(1) // 2 - (parts - 2))
                possible = possible.masked_fill(orders > most[:, None], NEVER)
                apart = (mine != theirs).squeeze(1)
                kind = torch.where(apart & (most > 0), possible[:, 1:].argmax(-1) + 1, 0)
                part = torch.where((part == theirs) & (kind > 0)[:, None], mine, part)
                parts = parts - (kind > 0).long()
            else:
                kind = torch.where(chosen[rows, pair] == 0, possible.argmax(-1), 0)
            chosen[rows, pair] += kind
            left[rows, one] -= kind
            left[rows, other] -= kind
    return kinds, symmetric(F.one_hot(chosen, len(orders)), atoms).argmax(-1)
