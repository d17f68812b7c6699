"""Trains a small generator on the embedded digits, class by class, and saves one picture of each class.

python examples/train_and_sample.py [OUT]     a few minutes on a CPU
"""

import sys
from pathlib import Path

import torch

import sparring
from sparring.mosaic import grid

out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example")

# Every setting that is not given is chosen; `labels=True` learns the ten classes.
run = sparring.train("digits", out=out, images=60_000, labels=True)
summary = run.summary()
print(f"{summary['state']} after {summary['images']:,} images")
for name, result in summary["quality"]["metrics"].items():
    print(f"{name:10} {result['value']:.3f}, 95 % interval {result['low']:.3f} to {result['high']:.3f}")

model = sparring.load(run)
rows = [model.sample(8, seed=0, label=name) for name in model.classes]  # each uint8 (8, C, H, W)
grid(torch.cat(rows), columns=8).save(out / "classes.png")
print(f"a row for each of {', '.join(model.classes)}: {out / 'classes.png'}")
