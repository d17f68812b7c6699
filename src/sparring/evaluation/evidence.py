"""One side of a comparison, as far as it is known."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sparring.evaluation.galleries import Gallery
from sparring.metrics.frechet import Moments, moments

if TYPE_CHECKING:
    from sparring.model import Model


@dataclass
class Evidence:
    """Pictures, features, or moments alone, of one side.

    about: for the protocol: what it is, how many, which split, the shares of the classes. fingerprint: of the content
    of the pictures; empty for pictures that are made on the way. features: (N, D). labels: int64 (N,), a class for
    each. made: whether the pictures are samples of a generator, of which there could be any number. model: that
    generator, where it is one of ours.
    """

    name: str
    about: dict[str, Any]
    gallery: Gallery | None = None
    fingerprint: str = ""
    features: Tensor | None = None
    given_moments: Moments | None = None
    labels: Tensor | None = None
    made: bool = False
    model: "Model | None" = None

    @cached_property
    def moments(self) -> Moments:
        """Those that were given, or else of the features."""
        if self.given_moments is not None:
            return self.given_moments
        assert self.features is not None, "features are taken before anything is measured"
        return moments(self.features)
