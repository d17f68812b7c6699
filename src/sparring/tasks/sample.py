"""What a discriminator sees."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """A batch as the discriminator sees it, real or generated.

    parts: tensors with the samples in the first dimension: a picture; a picture and its mask; tokens; frames and times.
    condition: float (N, classes), rows that sum to one, or None.
    smooth: the positions in `parts` that carry gradients, at which D's slope is penalised.
    beside: what the task keeps for its own losses, by name, such as what the picture was made of; D never sees it.
    """

    parts: tuple[Tensor, ...]
    condition: Tensor | None = None
    smooth: tuple[int, ...] = (0,)
    beside: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.parts[0])

    @property
    def differentiable(self) -> list[Tensor]:
        """The parts that carry gradients."""
        return [self.parts[i] for i in self.smooth]

    def with_differentiable(self, tensors: Sequence[Tensor]) -> "Sample":
        """The same sample with these tensors in place of its differentiable parts."""
        parts = list(self.parts)
        for i, tensor in zip(self.smooth, tensors, strict=True):
            parts[i] = tensor
        return replace(self, parts=tuple(parts))

    def rows(self, chosen: Tensor) -> "Sample":
        """The samples of these numbers, int64 (n,)."""
        beside = {name: tensor[chosen] for name, tensor in self.beside.items()}
        condition = None if self.condition is None else self.condition[chosen]
        return replace(self, parts=tuple(part[chosen] for part in self.parts), condition=condition, beside=beside)

    def detached(self) -> "Sample":
        """The same values, through which no gradient goes."""
        beside = {name: tensor.detach() for name, tensor in self.beside.items()}
        return replace(self, parts=tuple(part.detach() for part in self.parts), beside=beside)

    def requires_gradient(self) -> "Sample":
        """The same values as leaves that gradients are taken with respect to."""
        return self.with_differentiable([part.detach().requires_grad_() for part in self.differentiable])


def no_layers() -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Of a discriminator that does not tell."""
    return (), ()


@dataclass(frozen=True)
class View:
    """What one update looks at: the pair and D's judgement of it, logits (N,) or (N, K).

    In the generator's update `real_logits` carry no gradient, and are zeros where the objective does not read them.
    Before the game nobody judges, and there are no logits. layers: what each layer of D makes of the real and of the
    generated sample, computed when it is asked for; gradients flow to the generated one.
    """

    real: Sample
    fake: Sample
    real_logits: Tensor
    fake_logits: Tensor
    layers: Callable[[], tuple[Sequence[Tensor], Sequence[Tensor]]] = field(default=no_layers, kw_only=True)

    @classmethod
    def before_the_game(cls, real: Sample, fake: Sample) -> "View":
        """The view of a pair that nobody judged, the generated sample in float32 whatever it was made in."""
        nothing = torch.zeros(0, device=real.parts[0].device)
        return cls(real, fake.with_differentiable([part.float() for part in fake.differentiable]), nothing, nothing)

    @property
    def judged(self) -> bool:
        """Whether the discriminator was asked."""
        return self.fake_logits.numel() > 0
