"""Sequences of symbols: what the tasks of text and of molecules have in common.

A choice among symbols has no derivative. Two ways around it are here, and `settings.gradient` picks one:

- policy: each symbol is rewarded by the discriminator's judgement of it and of what follows, and becomes more or less
  likely by how much that is above what was expected there (Williams 1992; with a judgement of every symbol, as in
  ScratchGAN, de Masson d'Autume et al. 2019, section 3.1; what is expected is read off the network, where theirs is a
  moving average);
- straight-through: forward the symbols are what was chosen, backward they are the softmax that Gumbel noise chose them
  from (Jang et al. 2017; for text RelGAN, Nie et al. 2019). Noise is drawn given the choice (Paulus et al. 2021,
  eq. 6), so that sequences are written without gradients, and one pass over the finished ones gives these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Self
from unicodedata import is_normalized, normalize

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.adversarial.augment import Transformation
from sparring.adversarial.objectives import OBJECTIVES, Objective
from sparring.config import Settings, given
from sparring.data.sequences import Sequences, Tokens
from sparring.data.vocabularies import END, UNKNOWN, Vocabulary, vocabulary_of
from sparring.errors import SettingError
from sparring.evaluation.judgement import Result
from sparring.metrics.estimate import Z95, Estimate
from sparring.networks import sequences
from sparring.randomness import Random, key
from sparring.ranks import ALONE, Ranks
from sparring.tasks.sample import Sample, View
from sparring.wording import printable

MOST_READ = 1000
"""Held-out sequences whose likelihood is measured, at most."""

COUNTED = 2**16
"""Sequences whose lengths are counted at once."""

PARTS = (1, 2, 4)
"""A batch is cut into so many, by length, where that makes less work."""

PART, LAUNCHED = 128, 4096
"""What a part costs beside its symbols, in symbols: on a CPU, and where launching kernels takes longer than they do."""

STEP = 8
"""Lengths are filled up to multiples of it."""

FORWARD = 64
"""Sequences that are written at once; fixed, since the bytes of the results depend on it."""


@dataclass(frozen=True)
class Blueprint:
    """All that is needed to build the players again and to use them; stored as JSON beside the weights."""

    task: Literal["text", "molecules"]
    vocabulary: Mapping[str, Any]
    """What `vocabulary_of` takes."""
    longest: int
    """Symbols of a sequence at most, the end included."""
    width: int
    depth: int
    judge_width: int
    judge_depth: int
    spectral_norm: bool
    composed: bool = False
    """Whether all texts are in Unicode's normal form C, which prompts are brought to then."""

    @cached_property
    def symbols(self) -> Vocabulary:
        """What its numbers mean."""
        return vocabulary_of(self.vocabulary)

    def generator(self) -> sequences.Generator:
        """A new one, not trained."""
        return sequences.Generator(self.symbols.size, self.longest, width=self.width, depth=self.depth)

    def judge(self) -> sequences.Discriminator:
        """A new discriminator, not trained."""
        return sequences.Discriminator(
            self.symbols.size,
            self.longest,
            width=self.judge_width,
            depth=self.judge_depth,
            spectral_norm=self.spectral_norm,
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The blueprint that JSON made of `describe()`."""
        return cls(**values)

    def describe(self) -> dict[str, Any]:
        """The values that `from_json` takes."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Sequential:
    """The game over sequences; tasks add what their sequences are, and how good."""

    def __init__(self, settings: Settings, data: Sequences, ranks: Ranks = ALONE) -> None:
        assert settings.task in ("text", "molecules"), "other tasks have no sequences"
        self.settings = settings
        self.data = data
        self.ranks = ranks
        self.shown, self.held_out = data.hold_out(settings.held_out)
        self.blueprint = Blueprint(
            "text" if settings.task == "text" else "molecules",
            data.vocabulary.describe(),
            data.longest,
            settings.width,
            settings.depth,
            given(settings.judge_width),
            given(settings.judge_depth),
            settings.spectral_norm,
            all(is_normalized("NFC", text) for text in data.texts),
        )
        # Losses are sums over a sequence in units of it: means over the symbols of these very sequences would depend
        # on which of the batch go through the networks at once.
        # Part by part, since numbers of 8 bytes for every place at once would be many times what the tokens take.
        ends = [(part != END).sum(1) for part in torch.split(data.tokens, COUNTED)]
        self.usual_length = float((torch.cat(ends) + 1).float().mean())

    def players(self) -> tuple[nn.Module, nn.Module]:
        """New generator and discriminator."""
        return self.blueprint.generator(), self.blueprint.judge()

    def open_game(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """A discriminator of the generator's own size begins as its reader."""
        assert isinstance(generator, sequences.Generator) and isinstance(discriminator, sequences.Discriminator)
        blueprint = self.blueprint
        same = (blueprint.width, blueprint.depth) == (blueprint.judge_width, blueprint.judge_depth)
        if same and not blueprint.spectral_norm:
            discriminator.take_over(generator)

    def lesson(self, generator: nn.Module, batch: Tokens, random: Random) -> View:
        """How likely the generator takes real sequences to be, some of whose symbols it does not see."""
        likelihood = self.likelihood_by(generator, batch.tokens, self.hidden(random))
        taught = Sample((batch.tokens,), smooth=(), beside={"likelihood": likelihood})
        return View.before_the_game(taught, taught)

    def real(self, batch: Tokens, random: Random) -> Sample:
        """The sequences one-hot, float (N, longest, symbols)."""
        return Sample((self.one_hot(batch.tokens),))

    def fake(self, generator: nn.Module, batch: Tokens, random: Random) -> Sample:
        """As many new sequences, one-hot; beside them how likely the generator takes these and the real ones to be."""
        assert isinstance(generator, sequences.Generator)
        tokens = generator.write(random.uniform("symbols", self.data.longest))
        torch.clear_autocast_cache()  # what is cached without gradients would be taken for weights that need none
        both = torch.cat([tokens, batch.tokens])
        count, last = len(tokens), last_of(both)
        hidden = torch.cat([torch.zeros_like(tokens, dtype=torch.bool), self.hidden(random)])
        log_probabilities, expected = generator(both[:, :last], hidden[:, :last])
        beside = {"likelihood": self.likelihood(log_probabilities[count:], batch.tokens[:, :last])}
        of_made, written, rest = log_probabilities[:count], tokens[:, :last], (0, self.data.longest - last)
        chosen = of_made.gather(2, written[..., None]).squeeze(2)
        beside |= {"tokens": tokens, "chosen": F.pad(chosen, rest), "expected": F.pad(expected[:count], rest)}
        made = self.one_hot(tokens)
        if self.settings.gradient == "straight-through" and torch.is_grad_enabled():
            soft = relaxed(of_made, written, given(self.settings.gumbel_temperature), random, self.data.longest)
            made = made + F.pad(alive(written)[..., None] * (soft - soft.detach()), (0, 0, *rest))
        return Sample((made,), beside=beside)

    def hidden(self, random: Random) -> Tensor:
        """Which symbols of the real sequences the generator does not see, bool (N, longest)."""
        return random.uniform("hidden", self.data.longest) < given(self.settings.symbol_dropout)

    def likelihood_by(self, generator: nn.Module, tokens: Tensor, hidden: Tensor) -> Tensor:
        """The `likelihood` of tokens (N, T), of which the generator does not see those that are hidden, bool (N, T).

        Sequences of like lengths go through the network together, since what is filled up costs as much as symbols.
        """
        # Few different lengths: matrix products of sizes that are new to the library are prepared first, at length.
        lengths = (alive(tokens).sum(1) + STEP - 1) // STEP * STEP
        lengths = lengths.clamp(max=tokens.shape[1])
        parts, found = of_like_lengths(lengths), []
        for rows in parts:
            last = int(lengths[rows[-1]])
            part = tokens[rows, :last]
            log_probabilities, _ = generator(part, hidden[rows, :last])
            found.append(self.likelihood(log_probabilities, part))
        return torch.cat(found)[torch.cat(parts).argsort()]

    def likelihood(self, log_probabilities: Tensor, tokens: Tensor) -> Tensor:
        """Negative log-likelihood (N,) of each sequence, its end included, unknown symbols left out."""
        each = F.nll_loss(log_probabilities.flatten(0, 1), tokens.flatten(), ignore_index=UNKNOWN, reduction="none")
        return (each.view(tokens.shape) * alive(tokens)).sum(1) / self.usual_length

    def one_hot(self, tokens: Tensor) -> Tensor:
        """Symbols int64 (N, T) as float (N, T, size)."""
        zeros = torch.zeros(*tokens.shape, self.data.vocabulary.size, device=tokens.device)
        return zeros.scatter_(2, tokens[..., None], 1.0)

    def augmented(self, sample: Sample, transformation: Transformation) -> Sample:
        """As it is: there is no change of a text that leaves it as real as before."""
        return sample

    def generator_loss(self, objective: Objective, view: View) -> Tensor:
        """Of the game: the objective where its gradient comes through the symbols, or else what the policy descends."""
        if self.settings.gradient == "straight-through":
            return objective.generator(view.real_logits, view.fake_logits)
        beside = view.fake.beside
        advantage = self.reward(objective, view) - beside["expected"].detach()
        gain = (advantage * beside["chosen"] * alive(beside["tokens"])).sum(1) / self.usual_length
        return -gain.mean()

    def reward(self, objective: Objective, view: View) -> Tensor:
        """What each symbol earned (N, longest), from -2 to 2: the judgements of it and of what follows, ever less, and
        that of the whole."""
        logits = view.fake_logits.detach()
        # To a relativistic discriminator a logit means something against its pair alone.
        logits = logits - (view.real_logits if objective.midpoint is None else objective.midpoint)
        of_places, of_whole = (2 * logits.sigmoid() - 1).chunk(2, dim=1)
        discount = given(self.settings.discount)
        rewards = of_places * alive(view.fake.beside["tokens"])
        later = torch.zeros_like(rewards[:, 0])
        returns = []
        for reward in rewards.flip(1).unbind(1):
            later = (1 - discount) * reward + discount * later
            returns.append(later)
        return torch.stack(returns[::-1], dim=1) + of_whole

    @torch.no_grad()
    def perplexity(self, generator: nn.Module) -> Result:
        """exp of the generator's mean negative log-likelihood of a symbol of held-out sequences, each the end included;
        of those that were trained on, where none are held out."""
        data = self.held_out or self.shown
        count = min(len(data) if data.drawn is None else len(data.drawn), MOST_READ)
        numbers = torch.arange(count) if data.drawn is None else data.drawn[:count]
        lengths, each = [], []
        for part in torch.split(numbers, FORWARD):
            tokens = data.batch(part).tokens
            hidden = torch.zeros_like(tokens, dtype=torch.bool)
            each.append(self.likelihood_by(generator, tokens, hidden) * self.usual_length)
            lengths.append((alive(tokens) & (tokens != UNKNOWN)).sum(1))
        total, symbols = torch.cat(each).double().cpu(), torch.cat(lengths).double().cpu()
        mean = total.sum() / symbols.sum()
        # The error of a ratio of two means over sequences (Cochran 1977, eq. 2.46).
        spread = (total - mean * symbols).std() / (symbols.mean() * count**0.5) if count > 1 else torch.zeros(())
        low, high = (float((mean + sign * Z95 * spread).exp()) for sign in (-1, 1))
        return Result(Estimate(float(mean.exp()), low, high))

    def losses(self, player: str, view: View) -> Mapping[str, tuple[float, Tensor]]:
        """Of the generator: the likelihood of real sequences, and how far off the expected reward was."""
        if player != "generator":
            return {}
        weight = given(self.settings.likelihood_weight) if view.judged else 1.0
        losses = {"likelihood": (weight, view.fake.beside["likelihood"].mean())}
        if view.judged and self.settings.gradient == "policy":
            beside, objective = view.fake.beside, OBJECTIVES[self.settings.objective]
            error = (self.reward(objective, view) - beside["expected"]).square() * alive(beside["tokens"])
            losses["expectation"] = 1.0, error.sum(1).mean() / self.usual_length
        return losses


def alive(tokens: Tensor) -> Tensor:
    """Which places of tokens (N, T) belong to the sequence: all up to its first END, and that."""
    return sequences.alive(tokens == END)


def of_like_lengths(lengths: Tensor) -> tuple[Tensor, ...]:
    """The rows of sequences of lengths int64 (N,), from short to long, in as many parts as make the least work."""
    rows = lengths.argsort(stable=True)
    ordered = lengths[rows].tolist()
    fixed = PART if lengths.device.type == "cpu" else LAUNCHED

    def work(parts: int) -> int:
        size = -(-len(ordered) // parts)
        ends = [*range(size, len(ordered), size), len(ordered)]
        return sum(fixed + ordered[end - 1] * (end - start) for start, end in pairwise([0, *ends]))

    return torch.split(rows, -(-len(ordered) // min(PARTS, key=work)))


def last_of(tokens: Tensor) -> int:
    """How many places the longest of some sequences (N, T) takes, its end included."""
    return int(alive(tokens).sum(1).max())


def relaxed(log_probabilities: Tensor, tokens: Tensor, temperature: float, random: Random, longest: int) -> Tensor:
    """The softmax (N, T, size) at a temperature of the noisy log-probabilities that `tokens` (N, T) is the argmax of.

    longest: places that noise is drawn for, at least T.

    With E ~ Exp(1) the noisy value of the chosen symbol k is -log E_k, and that of any other -log(E_i / p_i + E_k)
    (Paulus et al. 2021, eq. 6, with probabilities that sum to one). The noise itself carries no gradient.
    """
    _, places, size = log_probabilities.shape
    # Drawn for all places: the numbers of a sequence must not depend on how long those beside it are.
    exponential = -torch.log1p(-random.uniform("gumbel", longest, size)[:, :places])
    of_chosen = exponential.gather(2, tokens[..., None]).clamp(min=1e-20)
    with torch.no_grad():
        noisy = -torch.log(exponential / log_probabilities.exp() + of_chosen)
        noisy = noisy.scatter(2, tokens[..., None], -of_chosen.log())
        noise = torch.where(log_probabilities.isfinite(), noisy - log_probabilities, 0.0)
    return ((log_probabilities + noise) / temperature).softmax(-1)


def sample(
    generator: nn.Module,
    blueprint: Blueprint,
    n: int,
    seed: int,
    temperature: float = 1.0,
    prompt: str = "",
    start: int = 0,
    top_p: float = 1.0,
) -> Tensor:
    """Sequences number `start` to `start + n - 1` of a seed, int64 (n, longest) on the CPU.

    Sequence i is always written in row i % FORWARD of a batch of FORWARD, so it depends on (seed, i), the temperature,
    `top_p` and the prompt alone, not on how many are asked for.

    A prompt is brought to the normal form that all texts of the corpus are in, if they are.

    Raises: SettingError for a prompt that has unknown symbols, or is so long that nothing could follow.
    """
    vocabulary = blueprint.symbols
    if blueprint.composed:
        prompt = normalize("NFC", prompt)
    if prompt and (strangers := vocabulary.unknown(prompt)):
        raise SettingError(
            f"the prompt has symbols that do not occur in the training data: "
            f"{printable(' '.join(strangers[:20]))}; leave them out"
        )
    begun = torch.tensor(vocabulary.encode(prompt) if prompt else [], dtype=torch.int64)
    if len(begun) >= blueprint.longest:
        raise SettingError(
            f"the prompt has {len(begun)} symbols, and a whole text at most {blueprint.longest - 1}: shorten it"
        )
    return continued(generator, blueprint, n, seed, temperature, begun, start, top_p)


@torch.no_grad()
def continued(
    generator: nn.Module,
    blueprint: Blueprint,
    n: int,
    seed: int,
    temperature: float,
    begun: Tensor,
    start: int = 0,
    top_p: float = 1.0,
) -> Tensor:
    """The same of sequences that begin with the tokens `begun`, int64 (P,), P < longest."""
    assert isinstance(generator, sequences.Generator)
    device = next(generator.parameters()).device
    first, last = start // FORWARD, -(-(start + n) // FORWARD)
    written = []
    for block in range(first, last):
        random = torch.Generator().manual_seed(key(seed, "symbols", block))
        numbers = torch.rand(FORWARD, blueprint.longest, generator=random)
        written.append(generator.write(numbers.to(device), temperature, begun, top_p).cpu())
    offset = start - first * FORWARD
    return torch.cat(written)[offset : offset + n]


@torch.no_grad()
def scores(judge: nn.Module, blueprint: Blueprint, tokens: Tensor) -> Tensor:
    """How real the discriminator takes sequences int64 (n, longest) to be, (n,) on the CPU: the mean of its logits."""
    device = next(judge.parameters()).device
    found = []
    for part in torch.split(tokens, FORWARD):
        seen = F.one_hot(part.to(device), blueprint.symbols.size).float()
        found.append(judge(seen).float().mean(1).cpu())
    return torch.cat(found)
