"""Trains for a short while, looks at the result, and goes on with the same run if it is not good enough yet.

python examples/extend_a_run.py [OUT]     a few minutes on a CPU
"""

import sys

import sparring

out = sys.argv[1] if len(sys.argv) > 1 else "runs/extended"
target, most = 0.9, 120_000

run = sparring.train("digits", out=out, images=30_000)
while True:
    summary = run.summary()
    coverage = summary["quality"]["metrics"]["coverage"]
    low, high = coverage["low"], coverage["high"]
    print(f"{summary['images']:,} images: coverage {coverage['value']:.2f}, 95 % interval {low:.2f} to {high:.2f}")
    if low >= target or summary["images"] >= most:
        break
    # A new budget, counted from the beginning; the schedules stretch over it.
    run = sparring.resume(run.folder, images=2 * summary["images"])
