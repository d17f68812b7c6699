"""What changes pictures, as everything between files and a generator sees it."""

from typing import Protocol

from torch import Tensor


class Apparatus(Protocol):
    """A generator from pictures to pictures, ready to use."""

    @property
    def channels(self) -> int:
        """1 or 3: what its generator takes."""

    @property
    def scale(self) -> int:
        """The result is so many times as large: 1, 2 or 4."""

    @property
    def takes_mask(self) -> bool:
        """Whether it fills holes, and is to be told where they are."""

    @property
    def reach(self) -> int:
        """Pixels around a place that its result there depends on noticeably."""

    @property
    def multiple(self) -> int:
        """Sides that are multiples of it need no padding; it pads pictures of other sizes by itself, at the end.

        A picture that is moved by so many pixels gives a result that is moved as much.
        """

    def __call__(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        """Pictures (N, C, H, W) in [-1, 1] to pictures (N, C, scale H, scale W), about in the same range.

        mask: (N, 1, H, W), 1 in holes, 0 elsewhere; None unless `takes_mask`. Both come from the CPU; where the network
        is, and where the result lies, is the apparatus's own business.
        """
