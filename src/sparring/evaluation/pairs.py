"""Restored pictures against their clean originals, pair by pair: how far from them, and how different to look at.

Both kinds of number are needed, since neither tells of the other: beyond some point a restoration can only look more
real by being further from the original (the trade-off of perception and distortion, Blau & Michaeli 2018).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparring.data import to_floats
from sparring.data.sources import Progress
from sparring.errors import MetricError
from sparring.evaluation.catalogue import METRICS, NEEDS, chosen
from sparring.evaluation.extraction import as_rgb, without_tf32
from sparring.evaluation.judgement import Evaluation, Result, versions
from sparring.metrics.estimate import mean_of
from sparring.metrics.similarity import WINDOW, luminance, perceptual_distance, psnr, ssim
from sparring.networks.features import FeatureNetwork
from sparring.networks.resizing import resize

LEAST_SIDE = 64
"""Pixels of the shorter side that a network sees at least, as LPIPS was fitted on patches of 64: smaller pictures are
enlarged, or else the coarse maps would be all border. Larger ones keep their size, since the faults of a restoration
are in its finest detail, which reducing takes away."""

VALUES = 2**20
"""Values of pictures compared at once: 8 MiB in float64, of which structural similarity holds about ten times as
much."""

BOUNDS: Mapping[str, tuple[float, float]] = {"ssim": (-1, 1), "perceptual": (0, math.inf)}
"""What no interval reaches beyond."""


@dataclass(frozen=True)
class Pair:
    """A clean and a restored picture, both uint8 (C, H, W). name: for people. hole: bool (H, W), what was missing."""

    clean: Tensor
    restored: Tensor
    name: str = ""
    hole: Tensor | None = None


@dataclass
class Tally:
    """The values of every metric, a number for each pair that has it, and the names of these."""

    values: dict[str, list[float]]
    named: dict[str, list[str]]
    count: int = 0
    equal: int = 0
    notices: list[str] = field(default_factory=list)

    def result(self, name: str) -> Result:
        """The mean over pictures, with its interval."""
        least, most = BOUNDS.get(name, (-math.inf, math.inf))
        return Result(mean_of(self.values[name], least=least, most=most))

    def worst(self) -> dict[str, dict[str, str | float]]:
        """The pair that each metric likes least, where pairs have names and are not all alike to it."""
        found: dict[str, dict[str, str | float]] = {}
        for name, values in self.values.items():
            pick = min if METRICS[name].better == "higher" else max
            place = values.index(pick(values))
            if self.named[name][place] and min(values) < max(values):
                found[name] = {"name": self.named[name][place], "value": values[place]}
        return found


def measure_pairs(
    clean: Sequence[Tensor],
    restored: Sequence[Tensor],
    features: FeatureNetwork | None = None,
    metrics: str | Iterable[str] | None = None,
    *,
    inside: Sequence[Tensor] | None = None,
    shave: int = 0,
    device: str | None = None,
    names: Sequence[str] | None = None,
    clean_about: Mapping[str, Any] | None = None,
    restored_about: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judges restored pictures by their clean originals: means over pictures, with intervals of 95 % over pictures.

    clean, restored: pictures uint8 (C, H, W) with 1, 3 or 4 channels, in the same order; both of a pair have the same
    shape, different pairs may differ, and each is looked at in its own size. features: the network behind `perceptual`.
    metrics: of psnr, ssim, perceptual, psnr_y, psnr_inside; None takes those that apply: the first two, perceptual with
    features that have maps, and psnr_inside with holes. inside: bool (H, W) each, True where pixels were missing;
    pictures without a missing pixel do not count in psnr_inside. shave: pixels of border that all metrics leave out.
    device: where to compute; where the features are if None.
    names: of the pairs, for people. clean_about, restored_about: what the protocol says of each side.

    Equal pictures have no finite PSNR; they count with the largest that unequal 8-bit pictures of their size can have,
    where a single value is off by one: 20 log10(255) + 10 log10(values), 101 dB for 256x256 in colour. A notice says
    how many they are.

    Raises: MetricError for no pairs, numbers of pictures or shapes that differ, other types than uint8, or metrics that
    cannot be had here.
    """
    counts = [len(side) for side in (clean, restored, inside, names) if side is not None]
    if min(counts) != max(counts):
        raise MetricError(f"{len(clean)} clean and {len(restored)} restored pictures, holes or names: {counts}")
    if not clean:
        raise MetricError("no pairs of pictures; at least one is needed")
    pairs = [
        Pair(a, b, "" if names is None else names[number], None if inside is None else inside[number])
        for number, (a, b) in enumerate(zip(clean, restored, strict=True))
    ]
    notices = []
    if metrics is None:
        wanted = ["psnr", "ssim"]
        if features is not None and features.card.strides:
            wanted.append("perceptual")
        if inside is not None:
            wanted.append("psnr_inside")
        small = next((why for pair in pairs if (why := too_small("ssim", pair.clean, shave))), "")
        if small:
            wanted.remove("ssim")
            notices.append(f"ssim left out: {small}")
    else:
        wanted = chosen(metrics)
    device = device or device_of(features)
    tally = compare(pairs, wanted, features, shave=shave, device=device, total=len(pairs), progress=progress)
    abouts = [
        {"kind": "pictures", "name": "as given", **(about or {}), "count": tally.count}
        for about in (clean_about, restored_about)
    ]
    tally.notices = [*notices, *tally.notices]
    return evaluation_of(tally, features, abouts[0], abouts[1], shave=shave, device=device)


def device_of(features: FeatureNetwork | None) -> str:
    """Where the weights of a network lie; the CPU where there are none."""
    weights: list[Tensor] = list(features.parameters()) if isinstance(features, nn.Module) else []
    return str(weights[0].device) if weights else "cpu"


def lacks(name: str, features: FeatureNetwork | None, holes: bool) -> str:
    """What a metric needs and does not find; empty if it can be computed of pairs."""
    metric = METRICS[name]
    if not metric.paired:
        return f"it compares sets, not pairs: it needs {NEEDS[metric.needs]}"
    if metric.needs == "holes" and not holes:
        return f"it needs {NEEDS[metric.needs]}"
    if name == "perceptual" and (features is None or not features.card.strides):
        return "it needs features with maps, which all have but pixels: --features lite0"
    return ""


def too_small(name: str, picture: Tensor, shave: int) -> str:
    """Why a picture (C, H, W) is too small for a metric; empty if it is not."""
    height, width = picture.shape[-2:]
    least = WINDOW if name == "ssim" else 1
    if min(height, width) - 2 * shave >= least:
        return ""
    border = f" with {shave} pixels of border left out" if shave else ""
    return f"{height}x{width} pixels{border}; {name} needs at least {least}x{least}"


@torch.inference_mode()
@without_tf32()
def compare(
    pairs: Iterable[Pair],
    names: Sequence[str],
    features: FeatureNetwork | None,
    *,
    shave: int = 0,
    device: str = "cpu",
    total: int = 0,
    progress: Progress | None = None,
) -> Tally:
    """Every metric of every pair; pairs may come one by one, and are not kept.

    Raises: MetricError for a metric that cannot be computed of a pair, or pictures that make no pair.
    """
    if shave < 0:
        raise MetricError(f"shave={shave}: it should be at least 0, in pixels")
    exact = "cpu" if device.startswith("mps") else device  # which has no float64

    def stacked(pictures: Iterable[Tensor]) -> Tensor:
        return cropped(torch.stack(list(pictures)), shave).to(exact)

    tally = Tally({name: [] for name in names}, {name: [] for name in names})
    for group in groups(checked(pairs, names, features, shave)):
        clean, restored = stacked(pair.clean for pair in group), stacked(pair.restored for pair in group)
        holes = [pair.hole for pair in group if pair.hole is not None]
        found = scores(clean, restored, stacked(holes) if holes else None, names, features, device)
        for name, values in found.items():
            # A picture without a hole has no value inside.
            there = [(pair.name, value) for pair, value in zip(group, values.tolist(), strict=True) if value == value]
            tally.named[name].extend(named for named, _ in there)
            tally.values[name].extend(value for _, value in there)
        tally.count += len(group)
        tally.equal += int((clean == restored).flatten(1).all(1).sum())
        if progress:
            progress("comparing pairs", tally.count, total)
    for name in names:
        if tally.count and not tally.values[name]:
            raise MetricError(f"{name}: no picture has a missing pixel")
    if tally.equal:
        tally.notices.append(
            f"{tally.equal:,} of {tally.count:,} pairs are equal, and count in PSNR as though a single value were off "
            "by one"
        )
    return tally


def evaluation_of(
    tally: Tally,
    features: FeatureNetwork | None,
    clean: Mapping[str, Any],
    restored: Mapping[str, Any],
    *,
    shave: int,
    device: str,
) -> Evaluation:
    """The numbers, and the protocol that they hold under. clean, restored: what it says of each side."""
    results = {name: tally.result(name) for name in tally.values}
    card = None
    if features is not None and "perceptual" in results:
        # Not at the size that its card says: see `seen`.
        card = {
            **asdict(features.card),
            "size": None,
            "resize": f"own size; enlarged to {LEAST_SIDE} pixels if smaller",
        }
    pairs: dict[str, Any] = {
        "count": tally.count,
        "equal": tally.equal,
        "size": "own",
        "shave": shave,
        "features": card,
        "worst": tally.worst(),
    }
    protocol = {
        "features": card or {"name": "none"},
        "pictures": None,
        "k": None,
        "real": dict(clean),
        "generated": dict(restored),
        "device": device,
        "versions": versions(),
        "pairs": pairs,
    }
    notices = list(tally.notices)
    if tally.count == 1:
        notices.append("one pair has no interval")
    return Evaluation(results, protocol, notices)


def joined(sets: Evaluation, pairs: Evaluation) -> Evaluation:
    """Numbers of sets and numbers of pairs in one: the protocol is that of the sets, and says of the pairs, too."""
    protocol = {**sets.protocol, "pairs": pairs.protocol["pairs"]}
    return Evaluation({**sets.metrics, **pairs.metrics}, protocol, (*sets.notices, *pairs.notices))


def checked(pairs: Iterable[Pair], names: Sequence[str], features: FeatureNetwork | None, shave: int) -> Iterator[Pair]:
    """The same pairs. Raises: MetricError at the first that is none, or that a metric cannot be computed of."""
    for number, pair in enumerate(pairs, 1):
        called = pair.name or f"pair {number}"
        for picture in (pair.clean, pair.restored):
            if picture.dtype != torch.uint8 or picture.ndim != 3 or picture.shape[0] not in (1, 3, 4):
                raise MetricError(
                    f"{called}: {picture.dtype} {tuple(picture.shape)}; pictures are uint8 (1, 3 or 4, height, width)"
                )
        if pair.clean.shape != pair.restored.shape:
            shapes = f"{tuple(pair.clean.shape)} and {tuple(pair.restored.shape)}"
            raise MetricError(f"{called}: pictures of {shapes}; both of a pair need the same shape")
        if pair.hole is not None and (pair.hole.dtype != torch.bool or pair.hole.shape != pair.clean.shape[1:]):
            found = f"{pair.hole.dtype} {tuple(pair.hole.shape)}"
            raise MetricError(f"{called}: holes {found}; they are bool {tuple(pair.clean.shape[1:])}")
        for name in names:
            if lack := lacks(name, features, pair.hole is not None):
                raise MetricError(f"{name}: {lack}")
            if small := too_small(name, pair.clean, shave):
                raise MetricError(f"{called}: {small}")
        yield pair


def groups(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Pairs of one shape that follow one another, together as far as they are not too many values."""
    group: list[Pair] = []
    for pair in pairs:
        shape = pair.clean.shape
        if group and (group[0].clean.shape != shape or (len(group) + 1) * shape.numel() > VALUES):
            yield group
            group = []
        group.append(pair)
    if group:
        yield group


def scores(
    clean: Tensor,
    restored: Tensor,
    holes: Tensor | None,
    names: Sequence[str],
    features: FeatureNetwork | None,
    device: str,
) -> dict[str, Tensor]:
    """Each metric of pairs uint8 (n, C, H, W), float64 (n,); NaN for a PSNR inside where nothing was missing.

    holes: bool (n, H, W). device: where the features are.
    """
    found: dict[str, Tensor] = {}
    for name in names:
        match name:
            case "psnr":
                found[name] = bounded(psnr(clean, restored), clean[0].numel())
            case "ssim":
                found[name] = ssim(clean, restored)
            case "psnr_y":
                ours, theirs = (luminance(opaque(side)) for side in (clean, restored))
                found[name] = bounded(psnr(ours, theirs, span=255.0), ours[0].numel())
            case "psnr_inside":
                assert holes is not None, "checked before"
                found[name] = psnr_inside(clean, restored, holes)
            case "perceptual":
                assert features is not None, "checked before"
                maps = [features.maps(seen(side.to(device))) for side in (clean, restored)]
                found[name] = perceptual_distance(*maps)
    return {name: values.double().cpu() for name, values in found.items()}


def psnr_inside(clean: Tensor, restored: Tensor, holes: Tensor) -> Tensor:
    """PSNR float64 (N,) of the pixels in the holes alone, NaN for a picture without; bounded as `bounded`.

    clean, restored: uint8 (N, C, H, W). holes: bool (N, H, W).
    """
    squares = (clean.double() - restored.double()).square() * holes[:, None]
    count = holes.sum((1, 2)) * clean.shape[1]
    return bounded(10 * torch.log10(255.0**2 * count / squares.sum((1, 2, 3))), count)


def bounded(decibels: Tensor, count: int | Tensor) -> Tensor:
    """PSNRs (N,), no higher than where one of `count` 8-bit values is off by one: 20 log10(255) + 10 log10(count)."""
    most = 20 * math.log10(255) + 10 * torch.log10(torch.as_tensor(count, device=decibels.device).double())
    return torch.where(decibels.isnan(), decibels, decibels.minimum(most))


def cropped(pictures: Tensor, border: int) -> Tensor:
    """Pictures (..., H, W) without so many pixels on each side."""
    height, width = pictures.shape[-2:]
    return pictures[..., border : height - border, border : width - border]


def opaque(pictures: Tensor) -> Tensor:
    """uint8 (N, 1 | 3 | 4, H, W) as grey or RGB: transparent ones on black, rounded."""
    if pictures.shape[1] < 4:
        return pictures
    return (pictures[:, :3].double() * (pictures[:, 3:] / 255.0)).round().to(torch.uint8)


def seen(pictures: Tensor) -> Tensor:
    """uint8 (N, C, H, W) as a network sees them: RGB floats in [-1, 1], at their own size or enlarged to `LEAST_SIDE`.

    Grey is repeated, transparency lies on black.
    """
    height, width = pictures.shape[2:]
    scale = max(1.0, LEAST_SIDE / min(height, width))
    size = (round(height * scale), round(width * scale))
    return resize(as_rgb(to_floats(pictures)), size, "bicubic antialiased").clamp(-1, 1)
