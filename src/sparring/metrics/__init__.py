"""How good generated samples are: pure functions on arrays and tensors, one file for each kind of metric.

`sparring.evaluation` opens what is to be compared and calls them.
"""

from sparring.metrics.classes import class_divergence, modes_found
from sparring.metrics.copying import closeness, copies, memorisation
from sparring.metrics.estimate import Estimate
from sparring.metrics.frechet import Moments, MomentSum, frechet_distance, frechet_estimate, frechet_infinity, moments
from sparring.metrics.inception import inception_score
from sparring.metrics.kernel import kernel_distance
from sparring.metrics.manifold import manifold_estimates, nearest, neighbours, precision_recall_density_coverage
from sparring.metrics.similarity import mean_of_pairs, ms_ssim, perceptual_distance, psnr, ssim
from sparring.metrics.smoothness import path_length
from sparring.metrics.variety import diversity, pairwise_distance

__all__ = [
    "Estimate",
    "MomentSum",
    "Moments",
    "class_divergence",
    "closeness",
    "copies",
    "diversity",
    "frechet_distance",
    "frechet_estimate",
    "frechet_infinity",
    "inception_score",
    "kernel_distance",
    "manifold_estimates",
    "mean_of_pairs",
    "memorisation",
    "modes_found",
    "moments",
    "ms_ssim",
    "nearest",
    "neighbours",
    "pairwise_distance",
    "path_length",
    "perceptual_distance",
    "precision_recall_density_coverage",
    "psnr",
    "ssim",
]
