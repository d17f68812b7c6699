"""Loads a generator and makes a grid of samples, plain in the first row and truncated in the rows below.

python examples/make_grid.py RUN [OUT.png]     RUN: a run folder or a generator.safetensors
"""

import sys

import torch

import sparring
from sparring.mosaic import grid

if len(sys.argv) < 2:
    sys.exit(__doc__)
place, out = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "grid.png"

model = sparring.load(place)
# The same ten random inputs in each row, ever closer to the mean picture.
rows = [model.sample(10, seed=0, truncation=truncation) for truncation in (1.0, 0.7, 0.4, 0.1)]
grid(torch.cat(rows), columns=10).save(out)
print(out)
