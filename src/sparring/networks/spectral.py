"""Spectral normalisation (Miyato et al. 2018): no weight matrix stretches a vector more than onefold."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sparring.networks.layers import at_least_float32, full_precision

SQUARINGS = 8
"""With the 2^8-th power the norm of a 512-row matrix comes out less than 1 % too small, whatever its spectrum."""


def spectral_norm(weight: Tensor) -> Tensor:
    """The largest singular value of a weight (out, ...), seen as a matrix (out, everything else); differentiable twice.

    It is u^T W v with the leading singular vectors u and v held constant (Miyato et al. 2018, eq. 10). They come from
    the Gram matrix, squared again and again until little but its leading eigenvector remains: a function of the weight
    alone. The usual running power iteration is not, for it changes a buffer in each forward pass, so that real and
    generated pictures meet different networks, and the result depends on the number of micro-batches.
    """
    with full_precision(weight):
        matrix = at_least_float32(weight.flatten(1))
        with torch.no_grad():
            wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
            power = wide @ wide.T
            for _ in range(SQUARINGS):
                power = power / power.diagonal().sum().clamp(min=torch.finfo(power.dtype).tiny)
                power = power @ power
            # The column of the largest diagonal element cannot be orthogonal to the leading eigenvector.
            left = nn.functional.normalize(power.index_select(1, power.diagonal().argmax().view(1)).squeeze(1), dim=0)
            right = nn.functional.normalize(wide.T @ left, dim=0)
            out, rest = (left, right) if wide is matrix else (right, left)
        return out @ matrix @ rest


class AtMostOne(nn.Module):
    """Divides a weight by its spectral norm where that is above one.

    Miyato et al. divide always. Where the norm is at least one this is the same; below, weights that start at zero, as
    the last of each residual branch does, can stay small.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """Gives a weight of the same shape."""
        return weight / spectral_norm(weight).clamp(min=1).to(weight.dtype)


def normalise(network: nn.Module) -> None:
    """Bounds all weights of linear and convolutional layers, those that are not zero starting at norm one.

    The weights are replaced in place; there are no buffers, nothing random and nothing to save.
    """
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            with torch.no_grad():
                norm = spectral_norm(layer.weight)
                layer.weight /= torch.where(norm > 0, norm, torch.ones_like(norm))
            parametrize.register_parametrization(layer, "weight", AtMostOne())
