"""How good generated samples are: pure functions on arrays, and one judge that needs nothing trained."""

from sparring.metrics.manifold import Manifold, copies, nearest, neighbours, precision_recall_density_coverage
from sparring.metrics.quality import Quality, judge

__all__ = ["Manifold", "Quality", "copies", "judge", "nearest", "neighbours", "precision_recall_density_coverage"]
