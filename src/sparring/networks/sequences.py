"""Players for sequences of symbols: a generator that writes them one by one, a discriminator that judges each."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.data.vocabularies import END, START, UNKNOWN
from sparring.networks.layers import at_least_float32, full_precision
from sparring.networks.spectral import normalise
from sparring.networks.transformer import Trunk

ROUNDING = 1e-6
"""How far sums of probabilities in float32 may be off: a set that is short of `top_p` by less reaches it."""


class Generator(nn.Module):
    """A causal transformer over `size` symbols, for sequences of at most `longest`, the end included.

    It says how likely each symbol is after those before it, and what reward is to be expected from there on; START and
    UNKNOWN never come. A sequence that has ended goes on with END, which is certain and learns nothing.
    """

    forbidden: Tensor

    def __init__(self, size: int, longest: int, *, width: int, depth: int) -> None:
        super().__init__()
        self.size, self.longest = size, longest
        self.embedding = nn.Embedding(size, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.trunk = Trunk(width, depth, longest)
        self.bias = nn.Parameter(torch.zeros(size))
        # Made once: a mask made where it is used would be copied to the device for every symbol that is written.
        never = torch.zeros(size).index_fill(0, torch.tensor([START, UNKNOWN]), -torch.inf)
        self.register_buffer("forbidden", never, persistent=False)
        self.expectation = nn.Linear(width, 1)
        nn.init.zeros_(self.expectation.weight)
        nn.init.zeros_(self.expectation.bias)

    def forward(self, tokens: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities float32 (N, T, size) of the symbol at each place of tokens int64 (N, T), given those before
        it, and the reward expected there (N, T), whose gradient reaches no other part of the network.

        hidden: bool (N, T), symbols that later places see as UNKNOWN.
        """
        before = tokens if hidden is None else tokens.masked_fill(hidden, UNKNOWN)
        before = torch.cat([torch.full_like(before[:, :1], START), before[:, :-1]], dim=1)
        found: tuple[Tensor, Tensor] = self.read(self.trunk(self.embedded(before)))
        return found

    def embedded(self, tokens: Tensor) -> Tensor:
        """Unit variance a channel, from embeddings of unit length."""
        vectors: Tensor = self.embedding(tokens) * self.embedding.embedding_dim**0.5
        return vectors

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities and expectation of what the trunk made, (N, T, width)."""
        logits = at_least_float32(F.linear(x, self.embedding.weight)) + self.bias
        with full_precision(x):
            expectation = self.expectation(at_least_float32(x.detach())).squeeze(-1)
        return (logits + self.forbidden).log_softmax(-1), expectation

    @torch.no_grad()
    def write(
        self, numbers: Tensor, temperature: float = 1.0, prompt: Tensor | None = None, top_p: float = 1.0
    ) -> Tensor:
        """Sequences int64 (N, longest), one for each row of uniform numbers (N, longest) in [0, 1).

        Each symbol is where the number falls among the cumulated probabilities, sharpened by `temperature` below 1;
        at 0 the most likely. prompt: int64 (P,), P < longest, what all begin with. top_p: above 0, to 1; below 1 each
        symbol is one of the `nucleus` of those probabilities. All after the first END is END.
        """
        count, longest = numbers.shape
        tokens = torch.full((count, longest), END, device=numbers.device)
        given = prompt.tolist() if prompt is not None else []
        tokens[:, : len(given)] = tokens.new_tensor(given)
        start = torch.full_like(tokens[:, :1], START)
        x = self.embedded(torch.cat([start, tokens[:, : len(given)]], dim=1))
        memory = self.trunk.new_memory(count, longest)
        ended = torch.zeros_like(tokens[:, 0], dtype=torch.bool)
        x = self.trunk(x, memory)
        for place in range(len(given), longest):
            log_probabilities, _ = self.read(x[:, -1:])
            chosen = pick(log_probabilities[:, 0], numbers[:, place], temperature, top_p).masked_fill(ended, END)
            tokens[:, place] = chosen
            ended |= chosen == END
            if place + 1 == longest or bool(ended.all()):
                break
            x = self.trunk(self.embedded(chosen[:, None]), memory, place + 1)
        return tokens


class Discriminator(nn.Module):
    """Judges sequences (N, longest, size), one-hot or relaxed, in float32: (N, 2 longest).

    The first half are judgements of each place by what has come up to there, so that a writer can learn at which symbol
    it went wrong; the second are one judgement of the whole, repeated so that both halves weigh the same. It stands at
    the places after the end as well.
    """

    def __init__(self, size: int, longest: int, *, width: int, depth: int, spectral_norm: bool) -> None:
        super().__init__()
        self.longest = longest
        self.embedding = nn.Linear(size, width, bias=False)
        nn.init.normal_(self.embedding.weight)
        self.trunk = Trunk(width, depth, longest, twice=True, setting="judge_width")
        self.of_places, self.of_whole = nn.Linear(width, 1), nn.Linear(width, 1)
        for head in (self.of_places, self.of_whole):
            nn.init.normal_(head.weight, std=width**-0.5)
            nn.init.zeros_(head.bias)
        if spectral_norm:
            normalise(self)

    @torch.no_grad()
    def take_over(self, generator: Generator) -> None:
        """Reads from now on as a generator of the same width and depth does, which has learned what follows what.

        Raises: RuntimeError for another width or depth.
        """
        self.trunk.load_state_dict(generator.trunk.state_dict())
        self.embedding.weight.copy_(generator.embedded(torch.arange(generator.size, device=generator.bias.device)).T)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class; there are no classes, and y is None."""
        living = alive(x.detach()[..., END] > 0.5)
        last = int(living.sum(1).max())
        read = self.trunk(self.embedding(x[:, :last]))
        with full_precision(read):
            read, within = at_least_float32(read), living[:, :last, None]
            of_whole = self.of_whole((read * within).sum(1) / within.sum(1)).expand(-1, self.longest)
            of_places = F.pad(self.of_places(read).squeeze(-1), (0, self.longest - last))
            return torch.cat([torch.where(living, of_places, of_whole), of_whole], dim=1)


def alive(ended: Tensor) -> Tensor:
    """Which places (N, T) belong to a sequence: all up to the first that ends it, and that. ended: bool (N, T)."""
    return (ended.cumsum(1) - ended.long()) == 0


def pick(log_probabilities: Tensor, numbers: Tensor, temperature: float, top_p: float = 1.0) -> Tensor:
    """One symbol a row, int64 (N,), by inverting the cumulated probabilities (N, size) at numbers (N,) in [0, 1).

    temperature: divides log-probabilities; at 0 the likeliest is taken. top_p: below 1 those outside of the `nucleus`
    count as 0, and the others keep their order, so that most numbers give the symbol that they give without it.
    """
    if temperature < torch.finfo(log_probabilities.dtype).tiny:  # rounded to 0, by which nothing can be divided
        return log_probabilities.argmax(-1)
    # The most likely counts as 0, which stays a number whatever it is divided by.
    above = (log_probabilities - log_probabilities.amax(-1, keepdim=True)) / temperature
    if top_p < 1:
        above = above.masked_fill(~nucleus(above, top_p), -torch.inf)
    cumulated = above.softmax(-1).cumsum(-1)
    # Rounding leaves the sum a little off 1, and a place beyond it would be no symbol, or one of probability 0.
    return (
        torch.searchsorted(cumulated, numbers[:, None] * cumulated[:, -1:], right=True)
        .squeeze(-1)
        .clamp(max=log_probabilities.shape[-1] - 1)
    )


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """The smallest set of likeliest symbols whose probabilities sum to at least `top_p`, as bool (N, size).

    logits: (N, size), whose softmax the probabilities are. Of equally likely symbols the first are taken.

    Source: Holtzman et al. 2020, arXiv 1904.09751, eq. 2.
    """
    ordered = descending(logits)
    count = (ordered.softmax(-1).cumsum(-1) < top_p - ROUNDING).sum(-1, keepdim=True) + 1
    least = ordered.gather(-1, (count - 1).clamp(max=logits.shape[-1] - 1))
    above, level = logits > least, logits == least
    return above | (level & (level.cumsum(-1) <= count - above.sum(-1, keepdim=True)))


def descending(values: Tensor) -> Tensor:
    """Each row (N, size) from the largest to the smallest."""
    if values.device.type != "cpu":
        return values.sort(dim=-1, descending=True).values
    # NumPy's sort uses the vector instructions of the processor: 64 x 4,000 take it .4 ms, and PyTorch's takes 35 ms.
    return torch.from_numpy(np.sort(values.detach().numpy())).flip(-1)
