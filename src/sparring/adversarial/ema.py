"""The generator that is kept: an exponential moving average of the weights on the way."""

import torch
from torch import nn


def half_life(longest: float, ramp: float, images: int) -> float:
    """Images in which the average forgets half of its past, when `images` have been shown.

    At most `ramp` times the images so far, so that the first, bad weights are soon forgotten.
    Source: Karras et al. 2020 (ADA), section 3 and their code's `ema_rampup`; half-life: Karras et al. 2018.
    """
    return max(min(longest, ramp * images), 1e-3)


@torch.no_grad()
def update(average: nn.Module, current: nn.Module, keep: float) -> None:
    """average <- keep * average + (1 - keep) * current, for parameters; buffers are copied."""
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in current.parameters()], 1 - keep)
    for ours, theirs in zip(average.buffers(), current.buffers(), strict=True):
        ours.copy_(theirs)
