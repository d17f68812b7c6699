"""Latents of given pictures through a generator that gives no gradient: by its pictures alone.

A search that sees a number for each latent, such as an evolution strategy, learns little of each picture made. All its
pixels are seen here, so that the slope of each of them is taken from a few pictures around the latent, and the step is
that of Gauss and Newton, damped (Levenberg 1944, Marquardt 1963), as in derivative-free least squares (Cartis & Roberts
2019, DFO-GN, without its memory of earlier points).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.data import to_floats
from sparring.latents.decoders import Decoder
from sparring.latents.likeness import Likeness, beyond_usual

DIRECTIONS = 128
"""In which slopes are taken at once, at most: with longer latents in others at each step."""

FARTHEST, NEAREST = 0.6, 0.1
"""How far the pictures around a latent are from it at first, and at last. Bytes have steps, so that too near ones are
equal. In standard deviations of a number of z."""

DAMPING = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
"""Tried at each step, in units of the mean curvature; the best counts."""

WORTH = 1e-3
"""Share that a step has to make the distance smaller by; else slopes are taken nearer."""


class BlackBoxSearch:
    """Steps of z (n, z_dim) towards uint8 pictures (n, C, H, W), with classes (n, classes) that stay.

    made: how many pictures the generator has made for it.
    """

    def __init__(self, model: Decoder, likeness: Likeness, pictures: Tensor, z: Tensor, classes: Tensor | None) -> None:
        self.model, self.likeness = model, likeness
        self.wanted = likeness.residuals(to_floats(pictures))
        self.z, self.classes = z.clone(), classes
        self.made = 0

    def residuals(self, z: Tensor, row: int) -> Tensor:
        """What tells the pictures of z (k, z_dim) apart, (k, m), for the picture of a row."""
        self.made += len(z)
        classes = None if self.classes is None else self.classes[row].expand(len(z), -1)
        return self.likeness.residuals(to_floats(self.model.decode(z, classes)))

    def losses(self) -> Tensor:
        """Distances (n,)."""
        found = [
            (self.residuals(self.z[row : row + 1], row) - self.wanted[row]).square().sum() for row in range(len(self.z))
        ]
        return torch.stack(found)

    @torch.no_grad()
    def run(self, steps: int, seed: int, told: Callable[[int], None]) -> None:
        """Moves z for so many steps at most, as long as they lead anywhere; `told` hears the number of steps done."""
        random = torch.Generator().manual_seed(seed)
        reach = [FARTHEST] * len(self.z)
        for step in range(steps):
            going = [row for row, far in enumerate(reach) if far >= NEAREST]
            for row in going:
                if not self.step(row, reach[row], random):
                    reach[row] /= 2
            told(step + 1 if going else steps)
            if not going:
                break

    def step(self, row: int, reach: float, random: torch.Generator) -> bool:
        """One step of one row; whether it was worth it."""
        z = self.z[row]
        count = min(DIRECTIONS, len(z))
        directions = torch.linalg.qr(torch.randn(len(z), count, generator=random)).Q.T
        found = self.residuals(torch.cat([z[None], z + reach * directions]), row)
        away = self.wanted[row] - found[0]
        slopes = (found[1:] - found[0]).double() / reach
        curvature, slope = slopes @ slopes.T, slopes @ away.double()
        scale = curvature.diagonal().mean().clamp(min=1e-12)
        eye = torch.eye(count, dtype=torch.float64)
        ways = torch.stack([torch.linalg.solve(curvature + damping * scale * eye, slope) for damping in DAMPING])
        tried = z + (ways.to(z) @ directions)
        distances = (self.residuals(tried, row) - self.wanted[row]).square().sum(1) + beyond_usual(tried)
        best = int(distances.argmin())
        before = float(away.square().sum() + beyond_usual(z[None])[0])
        if not float(distances[best]) < before:
            return False
        self.z[row] = tried[best]
        return float(distances[best]) < (1 - WORTH) * before
