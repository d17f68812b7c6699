"""What changes in the course of a run, as functions of how much of the budget is used, 0 to 1."""

import math


def cosine(start: float, end: float, progress: float) -> float:
    """From `start` to `end` along half a cosine, level at both ends (R3GAN, arXiv 2501.05441, appendix)."""
    return end + (start - end) * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2
