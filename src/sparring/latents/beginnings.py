"""What a clip is made of that begins with a given picture: its content, and the noise at the first anchors."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparring.latents.inversion import STEPS, invert
from sparring.latents.likeness import Likeness, space_for
from sparring.model import Model
from sparring.networks import video
from sparring.tasks import generate
from sparring.tasks.filming import Beginning

MOMENT = 0.0
"""Seconds at which the picture is shown."""


class FirstFrame(nn.Module):
    """A generator of pictures: the first frame, of a latent that holds the content, the noise around it, and a number
    for when it is in the course of a clip, if that has one.

    All are standard normal, and so is the longer latent: what is known of those of pictures holds.
    """

    def __init__(self, generator: video.Generator, z_dim: int, motion_dim: int) -> None:
        super().__init__()
        self.generator, self.z_dim, self.motion_dim = generator, z_dim, motion_dim
        self.vectors = generator.motion.vectors(MOMENT)
        self.size = z_dim + self.vectors * motion_dim + (generator.motion.course is not None)

    def parted(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z (N, z_dim), noise (N, A, motion_dim), and seconds since the beginning of the course (N, 1)."""
        z, rest = latent[:, : self.z_dim], latent[:, self.z_dim :]
        noise, when = rest.tensor_split([self.vectors * self.motion_dim], 1)
        course = self.generator.motion.course
        since = latent.new_zeros(len(latent), 1) if course is None else course * torch.special.ndtr(when)
        return z, noise.reshape(-1, self.vectors, self.motion_dim), since

    def forward(self, latent: Tensor, y: Tensor | None = None) -> Tensor:
        """Pictures (N, C, H, W)."""
        times = torch.full((len(latent), 1), MOMENT, device=latent.device)
        z, noise, since = self.parted(latent)
        made: Tensor = self.generator(z, noise, times, y, since)
        return made[:, 0]


def beginning_with(
    model: Model,
    picture: Tensor,
    label: int | str | None = None,
    seed: int = 0,
    *,
    steps: int = STEPS,
    progress: Callable[[str, int, int], None] | None = None,
) -> Beginning:
    """See `Model.beginning`: content and first motion are looked for together, as `invert` looks for latents.

    steps, progress: as `invert` has them.
    """
    blueprint, generator = model.of_clips, model.generator
    assert isinstance(generator, video.Generator)
    first = FirstFrame(generator, blueprint.z_dim, blueprint.motion_dim)
    of_pictures = generate.Blueprint(
        blueprint.network,
        blueprint.shape,
        first.size,
        blueprint.width,
        blueprint.depth,
        blueprint.classes,
        blueprint.class_shares,
    )
    device = next(generator.parameters()).device
    likeness = Likeness(space_for(blueprint.shape, None), device)
    number = None if label is None else blueprint.class_number(label)
    found = invert(
        Model(first, of_pictures),
        picture[None],
        ["first frame"],
        likeness,
        label=number,
        steps=steps,
        seed=seed,
        progress=progress,
    )
    z, noise, since = first.parted(found.points.z)
    classes = found.points.classes
    return Beginning(z[0], noise[0], None if classes is None else classes[0], found.errors.psnr[0], float(since))
