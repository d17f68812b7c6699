"""Latents of given pictures, by optimisation: those whose picture is most like each of them.

As Karras et al. 2020 (StyleGAN2, arXiv 1912.04958), appendix D: Adam on the latent, with noise that fades, a learning
rate that rises and falls, and a perceptual loss. Here the latent is z itself, since these generators have no mapping
network: it starts from several places, of which the best end wins, and its length is kept to what normal vectors have.
A generator that gives no gradient is searched through its pictures alone (`black_box.py`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sparring.data import to_floats
from sparring.errors import SettingError
from sparring.latents.black_box import BlackBoxSearch
from sparring.latents.decoders import Decoder
from sparring.latents.encoding import Encoder
from sparring.latents.likeness import Errors, Likeness, as_seen, beyond_usual
from sparring.latents.points import Points
from sparring.networks.pixels import Pixels
from sparring.randomness import key
from sparring.tasks.generate import FORWARD

STEPS = 300
STARTS = 3

LEARNING_RATE = 0.1
RISE, FALL = 0.05, 0.25
"""Shares of the steps in which the learning rate rises from 0, and falls to it along a cosine."""

NOISE, QUIET = 0.05, 0.75
"""Standard deviation of the noise at first, in lengths of a normal latent, and the share of the steps it lasts."""

CANDIDATES = 2048
"""Samples among which the starts are looked for."""

SEED = 2**63 - 2
"""Of the candidates: other ones than a person samples, whose own pictures would be found at once."""


@dataclass(frozen=True)
class Inversion:
    """What was found for pictures (n, C, H, W).

    points: their latents. pictures: the reconstructions, uint8. errors: of them. start: which of the starts, one each:
    mean, sample or encoder. begun: errors of the best of the starts, before the first step. made: of a search through a
    black box, how many pictures the generator made for it; None where it followed gradients.
    """

    points: Points
    pictures: Tensor
    errors: Errors
    start: tuple[str, ...]
    begun: Errors
    made: int | None


class Search(Protocol):
    """What moves z (n, z_dim) towards pictures."""

    @property
    def z(self) -> Tensor:
        """Where it has come to."""

    def losses(self) -> Tensor:
        """Distances of the pictures of z, (n,) on the CPU."""

    def run(self, steps: int, seed: int, told: Callable[[int], None]) -> None:
        """So many steps at most; `told` hears the number of steps done."""


@dataclass(frozen=True)
class Starts:
    """Where to begin: z (n, s, z_dim), shares of classes (n, s, classes) or None, and what each of the s is."""

    z: Tensor
    classes: Tensor | None
    names: tuple[str, ...]


def invert(
    model: Decoder,
    pictures: Tensor,
    names: Sequence[str],
    likeness: Likeness,
    *,
    label: int | None = None,
    encoder: Encoder | None = None,
    steps: int = STEPS,
    starts: int = STARTS,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Inversion:
    """Latents of uint8 pictures (n, C, H, W) of the generator's own shape.

    label: class of all; None looks for it too, among the classes of the samples that are most like the picture.
    encoder: its guess is one start more. steps: 0 takes the best of the starts as it is. starts: the mean latent, and
    the most similar of 2,048 samples. progress: told after each step; what it raises ends the search. Where there is no
    gradient, steps are fewer and dearer: each makes a picture for each number of z, and the search ends by itself.

    Raises: SettingError for numbers out of range or pictures of another shape.
    """
    if steps < 0 or starts < 1:
        raise SettingError(f"steps={steps}, starts={starts}: they are at least 0, and at least 1")
    if pictures.shape[1:] != model.from_noise.shape or pictures.dtype != torch.uint8 or not len(pictures):
        wanted = "x".join(map(str, model.from_noise.shape))
        raise SettingError(
            f"pictures {pictures.dtype} {tuple(pictures.shape)}; expected uint8 of {wanted}, one or more"
        )
    begin = places_to_start(model, pictures, starts, label, encoder)
    rows = [(i, s) for i in range(len(pictures)) for s in range(len(begin.names))]
    ends, first, last = [], [], []
    made_for_it: list[int] = []
    every_step = max(1, steps)
    whole = -(-len(rows) // FORWARD) * every_step

    def told(step: int) -> None:
        if progress is not None:
            progress("looking for latents", at // FORWARD * every_step + step, whole)

    for at in range(0, len(rows), FORWARD):
        picture, start = torch.tensor(rows[at : at + FORWARD]).T
        classes = None if begin.classes is None else begin.classes[picture, start]
        search = search_of(model, likeness, pictures[picture], begin.z[picture, start], classes)
        first.append(search.losses())
        search.run(steps, key(seed, "inversion", at), told)
        last.append(search.losses())
        ends.append(search.z.detach().cpu())
        if isinstance(search, BlackBoxSearch):
            made_for_it.append(search.made)
        if not steps:
            told(1)
    shape = (len(pictures), len(begin.names))
    best = torch.cat(last).view(shape).argmin(1)
    every = torch.arange(len(pictures))

    def points(z: Tensor, chosen: Tensor) -> Points:
        return Points(z[every, chosen], None if begin.classes is None else begin.classes[every, chosen], tuple(names))

    found = points(torch.cat(ends).view(*shape, -1), best)
    before = points(begin.z, torch.cat(first).view(shape).argmin(1))
    made = found.pictures(model)
    return Inversion(
        found,
        made,
        Errors.of(likeness, made, pictures),
        tuple(begin.names[number] for number in best),
        Errors.of(likeness, before.pictures(model), pictures),
        sum(made_for_it) if made_for_it else None,
    )


def search_of(model: Decoder, likeness: Likeness, pictures: Tensor, z: Tensor, classes: Tensor | None) -> Search:
    """That along the gradient, or where there is none the one that sees pictures alone."""
    if model.floats is None:
        return BlackBoxSearch(model, likeness, pictures, z, classes)
    return Descent(model.floats, model.device, likeness, pictures, z, classes)


class Descent:
    """Adam on z (n, z_dim) towards uint8 pictures (n, C, H, W), with classes (n, classes) that stay."""

    def __init__(
        self,
        floats: Callable[[Tensor, Tensor | None], Tensor],
        device: torch.device,
        likeness: Likeness,
        pictures: Tensor,
        z: Tensor,
        classes: Tensor | None,
    ) -> None:
        self.generator, self.likeness = floats, likeness
        self.pictures = to_floats(pictures.to(device))
        with torch.no_grad():
            self.maps = likeness.maps(self.pictures)
        self.z = z.to(device).clone().requires_grad_()
        self.classes = None if classes is None else classes.to(device)

    def distances(self, z: Tensor) -> Tensor:
        """Of the pictures of z, one each."""
        return self.likeness.distances(as_seen(self.generator(z, self.classes)), self.pictures, self.maps)

    @torch.no_grad()
    def losses(self) -> Tensor:
        """Distances without noise and prior, (n,) on the CPU."""
        return self.distances(self.z).cpu()

    def run(self, steps: int, seed: int, told: Callable[[int], None]) -> None:
        """Moves z; `told` hears the number of steps done. Noise is drawn on the CPU, the same for every device."""
        random = torch.Generator().manual_seed(seed)
        length = math.sqrt(self.z.shape[1])
        optimiser = torch.optim.Adam([self.z], betas=(0.9, 0.999))
        for step in range(steps):
            at = step / steps
            optimiser.param_groups[0]["lr"] = LEARNING_RATE * pace(at)
            noise = NOISE * length * max(0.0, 1 - at / QUIET) ** 2
            disturbed = self.z + noise * torch.randn(self.z.shape, generator=random).to(self.z)
            optimiser.zero_grad()
            (self.distances(disturbed) + beyond_usual(self.z)).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            told(step + 1)


def pace(at: float) -> float:
    """Share of the learning rate at a share of the steps: rises, stays, and falls along a cosine."""
    fall = min(1.0, (1 - at) / FALL)
    return (0.5 - 0.5 * math.cos(math.pi * fall)) * min(1.0, at / RISE)


def places_to_start(
    model: Decoder, pictures: Tensor, starts: int, label: int | None, encoder: Encoder | None
) -> Starts:
    """The mean latent, the samples that are most like the pictures by their pixels, and the guess of an encoder."""
    z, numbers = model.latents(CANDIDATES, SEED), model.labels(CANDIDATES, SEED)
    if label is not None:
        numbers = torch.full_like(numbers, label)
    made = model.decode(z, numbers if model.classes else None)
    space = Pixels()
    apart = torch.cdist(space.pooled(to_floats(pictures.cpu())), space.pooled(to_floats(made)))
    nearest = apart.topk(max(1, starts - 1), largest=False).indices
    places = [torch.zeros(len(pictures), 1, z.shape[1]), z[nearest[:, : starts - 1]]]
    labels = [numbers[nearest[:, :1]], numbers[nearest[:, : starts - 1]]]
    names = ["mean", *["sample"] * (starts - 1)]
    if encoder is not None:
        guess, classes = encoder.guess(pictures)
        places.append(guess[:, None])
        labels.append(classes[:, None] if label is None else labels[0])
        names.append("encoder")
    numbers = torch.cat(labels, 1)
    condition = model.from_noise.condition(numbers)
    return Starts(torch.cat(places, 1), condition, tuple(names))
