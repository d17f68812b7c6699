"""Judges any generator by features that somebody else's network took, without the command line.

python examples/judge_features.py [REAL.npz GENERATED.npz]     seconds; without files, two normal distributions

The files hold rows of features under the name `features`, as numpy.savez(path, features=rows) writes them.
"""

import sys

import numpy as np

from sparring import metrics

if len(sys.argv) == 3:
    real, generated = (np.load(path)["features"] for path in sys.argv[1:])
else:
    draw = np.random.default_rng(0)
    real, generated = draw.normal(size=(2000, 64)), draw.normal(0.1, 1.0, size=(2000, 64))
    print(f"true Frechet distance: {64 * 0.1**2:.3f}")

for name, estimate in {
    "Frechet distance": metrics.frechet_estimate(real, generated),
    "kernel distance": metrics.kernel_distance(real, generated),
    "precision": metrics.manifold_estimates(real, generated).precision,
    "recall": metrics.manifold_estimates(real, generated).recall,
    "memorised": metrics.memorisation(metrics.closeness(generated, real)),
}.items():
    print(f"{name:17} {estimate.value:.4f}, 95 % interval {estimate.low:.4f} to {estimate.high:.4f}")
