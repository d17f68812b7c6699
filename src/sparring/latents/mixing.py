"""The style of one sample on the layout of another, where a generator takes them in at different places.

`skip` does: its coarse map goes up through all stages, and on another way says how strongly each channel of the finest
is to speak. FastGAN (Liu et al. 2021, section 3.1) mixes styles by giving this excitation the map of another sample.
"""

import torch
from torch import Tensor, nn

from sparring.errors import SettingError
from sparring.latents.decoders import Decoder
from sparring.latents.points import Points, joined
from sparring.networks import skip
from sparring.tasks.generate import FORWARD

PAIRS = FORWARD // 2
"""That go through the generator at once: the layouts, then the styles."""


def styled(model: Decoder, layouts: Points, styles: Points) -> Tensor:
    """Each layout with the style of the same number, uint8 (n, C, H, W). Their classes go with them.

    Raises: SettingError for a generator of another family, or other numbers of points.
    """
    generator = model.generator
    if not isinstance(generator, skip.Generator):
        raise SettingError(
            f"styles are mixed by generators of the family skip, where z takes two ways; {one_way(generator)}: mix "
            "without --style, which weighs the latents"
        )
    if len(layouts) != len(styles):
        raise SettingError(f"{len(layouts)} layouts and {len(styles)} styles: there should be as many")

    def exchange(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        coarse, fine = inputs
        return torch.cat([coarse[PAIRS:], coarse[PAIRS:]]), fine

    hook = generator.excite.register_forward_pre_hook(exchange)
    try:
        made = []
        for start in range(0, len(layouts), PAIRS):
            both = [filled(points[start : start + PAIRS]) for points in (layouts, styles)]
            made.append(joined(both).pictures(model)[:PAIRS])
    finally:
        hook.remove()
    return torch.cat(made)[: len(layouts)]


def one_way(generator: nn.Module | None) -> str:
    """Why a generator mixes no styles."""
    if generator is None:
        return "this is a file whose layers are not known"
    family = type(generator).__module__.rpartition(".")[-1]
    return f"{family} takes it in at its first layer alone, and no later one has an input for a second sample"


def filled(points: Points) -> Points:
    """As many points as go through at once, the last one again and again where there are fewer."""
    return points[[min(number, len(points) - 1) for number in range(PAIRS)]]


def crossed(model: Decoder, layouts: Points, styles: Points) -> Tensor:
    """Every layout with every style, uint8 (layouts * styles, C, H, W), the layout changing last."""
    many = range(len(layouts) * len(styles))
    return styled(
        model,
        layouts[[number // len(styles) for number in many]],
        styles[[number % len(styles) for number in many]],
    )
