"""Directions in which one thing changes, found without labels: by the first layer's weights, or by what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from sparring.errors import RunError, SettingError
from sparring.latents.decoders import Decoder
from sparring.latents.points import Points, write_arrays
from sparring.networks import dcgan, fast, r3, skip
from sparring.tasks.generate import FORWARD

NAME = "directions.npz"
"""What the server looks for beside a generator."""

SAMPLES = 4096
"""Of which activations are taken."""

SEED = 2**63 - 4
"""Of these samples."""


@dataclass(frozen=True)
class Directions:
    """Unit vectors (k, z_dim), a name each, and how they were found.

    scores: one each, the larger the stronger; `measure` says what they are.
    """

    vectors: Tensor
    names: tuple[str, ...]
    scores: tuple[float, ...]
    method: str
    measure: str

    def __len__(self) -> int:
        return len(self.vectors)

    def number(self, wanted: str) -> int:
        """The number of the direction that a person means by number or name.

        Raises: SettingError that lists them.
        """
        if wanted in self.names:
            return self.names.index(wanted)
        if wanted.isascii() and wanted.isdecimal() and int(wanted) < len(self):
            return int(wanted)
        named = f": {', '.join(self.names)}" if any(not name.isdecimal() for name in self.names) else ""
        raise SettingError(f"direction {wanted!r}: there are 0 to {len(self) - 1}{named}")


def edited(points: Points, vector: Tensor, strength: float) -> Points:
    """The points moved along a unit vector (z_dim,); 1 is the standard deviation of samples along any direction.

    Raises: SettingError for a strength that is no number.
    """
    if not abs(strength) < 1e6:
        raise SettingError(f"strength={strength:g}: it is a number of standard deviations, such as 3 or -3")
    return points.moved(points.z + strength * vector)


def sefa(model: Decoder) -> Directions:
    """The unit vectors n that move what the first layer gives most: the eigenvectors of A^T A, largest first.

    A (m, z_dim) is the matrix that z enters by; scores are |A n|. All z_dim are given; the first few are of interest.

    Raises: RunError for a generator of another family.
    Source: Shen & Zhou 2021 (SeFa, arXiv 2007.06600), eq. 6-8.
    """
    matrix = entry(model.generator, model.from_noise.z_dim)
    _, values, vectors = torch.linalg.svd(matrix.double().cpu(), full_matrices=False)
    return numbered(vectors, values, "sefa", "length of the change in the first layer")


def entry(generator: nn.Module | None, z_dim: int) -> Tensor:
    """The matrix (m, z_dim) by which z enters, without the columns of the classes.

    In `r3` z sets the strength of fixed maps, so each row is as long as its map.

    Raises: RunError for a generator of another family.
    """
    match generator:
        case fast.Generator() | skip.Generator() | dcgan.Generator():
            return generator.start.weight.detach()[:, :z_dim]
        case r3.Generator():
            lengths = generator.basis.detach().flatten(1).norm(dim=1)
            matrix: Tensor = lengths[:, None] * generator.modulation.weight.detach()[:, :z_dim]
            return matrix
    raise unknown(generator)


def first_layer(generator: nn.Module | None) -> tuple[nn.Module, bool]:
    """The module that has what the first layer gives, after its nonlinearity, as its output, or as its input (True).

    Raises: RunError for a generator of another family.
    """
    match generator:
        case fast.Generator() | r3.Generator():
            return generator.layers[0], False
        case dcgan.Generator():
            return generator.layers[1], False
        case skip.Generator():
            return generator.excite, True
    raise unknown(generator)


def unknown(generator: nn.Module | None) -> RunError:
    """The error of a network whose layers are not known."""
    made = f"a {type(generator).__name__} of {type(generator).__module__}"
    return RunError(
        "sefa and pca look into the first layer of fast, skip, r3 and dcgan, and this is "
        f"{made if generator else 'a file whose layers are not known'}: take --by brightness or another measure, or "
        "--by FILE.csv, which says what samples have"
    )


def principal(model: Decoder, count: int) -> Directions:
    """The directions of z that go with the principal components of what the first layer gives, largest first.

    Components X of 4,096 samples, then the least-squares solution of Z = X U; each row of U, at length 1, is one.
    scores: shares of the variance.

    Raises: RunError for a generator of another family, SettingError for more than there can be.
    Source: Härkönen et al. 2020 (GANSpace, arXiv 2004.02546), section 3.2, as for BigGAN.
    """
    z = model.latents(SAMPLES, SEED)
    values = activations(model, z, model.labels(SAMPLES, SEED))
    most = min(values.shape[1], model.from_noise.z_dim)
    if not 1 <= count <= most:
        raise SettingError(f"{count} directions: there can be 1 to {most}")
    components = PCA(count, svd_solver="randomized", random_state=0)
    places = torch.from_numpy(components.fit_transform(values.numpy())).double()
    vectors = torch.linalg.lstsq(places, z.double()).solution
    shares = torch.from_numpy(components.explained_variance_ratio_)
    return numbered(vectors, shares, "pca", "share of the variance of the first layer")


@torch.no_grad()
def activations(model: Decoder, z: Tensor, labels: Tensor) -> Tensor:
    """What the first layer gives for z (n, z_dim), after its nonlinearity: float32 (n, m) on the CPU."""
    layer, at_input = first_layer(model.generator)
    found: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.append((inputs[0] if at_input else output).flatten(1).float().cpu())

    hook = layer.register_forward_hook(keep)
    try:
        for part, classes in zip(torch.split(z, FORWARD), torch.split(labels, FORWARD), strict=True):
            model.decode(part, classes if model.classes else None)
    finally:
        hook.remove()
    return torch.cat(found)[: len(z)]


def numbered(vectors: Tensor, scores: Tensor, method: str, measure: str) -> Directions:
    """Directions of length 1 by number, whose largest part is positive: eigenvectors have no sign of their own."""
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    names = tuple(map(str, range(len(vectors))))
    return Directions((vectors * largest.sign()).float(), names, tuple(scores.tolist()), method, measure)


def write(directions: Directions, path: Path) -> None:
    """Writes .npz: `vectors` float32 (k, z_dim), `names`, `scores`, `method` and `measure`.

    Raises: RunError if it cannot be written.
    """
    write_arrays(
        {
            "vectors": directions.vectors.numpy(),
            "names": np.array(directions.names),
            "scores": np.array(directions.scores),
            "method": np.array(directions.method),
            "measure": np.array(directions.measure),
        },
        path,
    )


def read(z_dim: int, place: str | PathLike[str]) -> Directions:
    """What `write` wrote for a generator of z (n, z_dim); vectors are brought to length 1.

    Raises: RunError if it cannot be read, SettingError if it is for another size of z.
    """
    path = Path(place)
    try:
        with np.load(path, allow_pickle=False) as file:
            vectors = torch.from_numpy(file["vectors"].astype(np.float64))
            names = tuple(str(name) for name in file["names"])
            scores = tuple(float(score) for score in file["scores"])
            about: Sequence[str] = [str(file[name]) for name in ("method", "measure")]
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, EOFError) as error:
        raise RunError(f"{path}: holds no directions that `sparring latents edit --save` wrote: {error}") from None
    whole = vectors.ndim == 2 and len(vectors) == len(names) == len(scores) and len(names)
    if not whole or vectors.shape[1] != z_dim or not (vectors.norm(dim=1) > 0).all():
        raise SettingError(f"{path}: directions {tuple(vectors.shape)}; this generator has z of {z_dim} numbers")
    return Directions((vectors / vectors.norm(dim=1, keepdim=True)).float(), names, scores, *about)
