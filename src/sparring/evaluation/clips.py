"""Generated clips judged by real ones: what is seen, how it moves, whether it stays what it was, and for how long.

Sets of clips are compared as clouds of features, as pictures are, each clip being one row; frames, speeds and changes
over time have numbers of their own. Intervals are those of other clips: frames of one clip are no independent samples.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from sparring.data.sources import Progress
from sparring.errors import MetricError
from sparring.evaluation.catalogue import METRICS, NEEDS, NEIGHBOURS
from sparring.evaluation.clip_profiles import LOOKED_AT, Profile, profile_of, remembered_profile
from sparring.evaluation.evidence import Evidence
from sparring.evaluation.judgement import Evaluation, Result, versions
from sparring.evaluation.measuring import Comparison, result_of, warnings
from sparring.evaluation.reels import FRAMES, Kept, Reel, Shot, Taken, length_of
from sparring.metrics.consistency import decline, relative_drift
from sparring.metrics.frechet import frechet_estimate, small_sample_warning
from sparring.metrics.motion import mean_speed, speed_distance
from sparring.networks.clip_features import DEFAULT, ClipFeatures, open_clip_features
from sparring.ranks import ALONE, Ranks

__all__ = ["FRAMES", "ClipJudge", "Kept", "Reel", "Shot", "Taken", "length_of", "measure_clips"]

OF_CLOUDS = (
    "kid",
    "precision",
    "recall",
    "density",
    "coverage",
    "prc",
    "diversity",
    "memorisation",
    "copies",
)
"""Metrics of sets of features, the same as of pictures; a clip is a sample."""

JUDGED = (
    "clip_distance",
    "fvd",
    "frame_fid",
    "precision",
    "recall",
    "density",
    "coverage",
    "diversity",
    "copies",
    "drift",
    "colour_drift",
    "motion",
)
"""What generators are judged by in training, as far as it applies."""

LATE = 112
"""The first frame of the late part of a long clip, of 128 frames if those that are compared are 16."""

OTHER_RATE = 0.05
"""Share by which the rates of both sides may differ before a notice says so."""


@dataclass(frozen=True)
class ClipComparison:
    """Two sides that were looked at, and perhaps the late part of the generated one. i3d: whether by FVD's network."""

    real: Profile
    fake: Profile
    late: Profile | None = None
    i3d: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    k: int = NEIGHBOURS
    seed: int = 0
    device: str = "cpu"
    made: bool = False

    def lacks(self, name: str) -> str:
        """What a metric needs and does not find here; empty if it can be computed."""
        return lacks(name, i3d=self.i3d, long=self.late is not None)

    @cached_property
    def clouds(self) -> Comparison:
        """The features of both sides' clips."""
        real = Evidence("real clips", {"count": len(self.real)}, features=self.real.clips)
        fake = Evidence("generated clips", dict(self.about), features=self.fake.clips, made=self.made)
        return Comparison(real, fake, k=self.k, seed=self.seed, device=self.device)

    def distance(self) -> Result:
        """Frechet distance of clips."""
        return Result(frechet_estimate(self.real.clips, self.fake.clips))

    def frames(self) -> Result:
        """Frechet distance of frames, of which those of a clip belong together."""
        real, fake = (side.frames.flatten(0, 1) for side in (self.real, self.fake))
        return Result(frechet_estimate(real, fake, together=self.real.frames.shape[1]))

    def motion(self) -> Result:
        """Distance of speeds, with the mean speeds of both sides."""
        means = {"mean": mean_speed(self.fake.speeds), "real": mean_speed(self.real.speeds)}
        return Result(speed_distance(self.real.speeds, self.fake.speeds), means)

    def decline(self) -> Result:
        """Of the late part against the early one, of as many clips as there are of both."""
        assert self.late is not None, "asked only where it is there"
        early, late = self.fake.clips[: len(self.late)], self.late.clips
        both = {
            name: frechet_estimate(self.real.clips, rows).value for name, rows in (("early", early), ("late", late))
        }
        return Result(decline(self.real.clips, early, late), both)


def _cloud(name: str) -> Callable[[ClipComparison], Result]:
    return lambda sides: result_of(sides.clouds, name)


METHODS: dict[str, Callable[[ClipComparison], Result]] = {
    "clip_distance": ClipComparison.distance,
    "fvd": ClipComparison.distance,
    "frame_fid": ClipComparison.frames,
    **{name: _cloud(name) for name in OF_CLOUDS},
    "drift": lambda sides: Result(relative_drift(sides.real.drift, sides.fake.drift)),
    "colour_drift": lambda sides: Result(relative_drift(sides.real.colours, sides.fake.colours)),
    "motion": ClipComparison.motion,
    "decline": ClipComparison.decline,
}


def lacks(name: str, *, i3d: bool, long: bool) -> str:
    """What a metric needs and does not find; empty if it can be computed. i3d: whether clips are seen through FVD's
    network. long: whether there are late parts of the generated ones."""
    needs = METRICS[name].needs
    if name not in METHODS:
        return f"it is not for clips, which are judged by {', '.join(METHODS)}"
    if name == "clip_distance" and i3d:
        return "with I3D it is called fvd"
    missing = (needs == "i3d" and not i3d) or (needs == "long clips" and not long)
    return f"it needs {NEEDS[needs]}" if missing else ""


class ClipJudge:
    """Judges any number of reels by always the same real one, and keeps what is known of that.

    real: its clips. space: what they are seen through. fingerprint: of what the real clips are; "" if nobody knows, and
    nothing is kept on disk then. about: what the protocol says of them.
    """

    def __init__(
        self,
        real: Reel,
        space: ClipFeatures,
        *,
        fingerprint: str = "",
        about: Mapping[str, Any] | None = None,
        k: int = NEIGHBOURS,
        seed: int = 0,
        device: str = "cpu",
        progress: Progress | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.real, self.space = real, space
        self.fingerprint, self.about = fingerprint, about or {}
        self.k, self.seed, self.device = k, seed, device
        self.progress, self.ranks = progress, ranks

    @cached_property
    def known(self) -> Profile:
        """The real clips as they were seen.

        Raises: MetricError as `profile_of`.
        """
        stage = "real: features"
        if not self.fingerprint:
            return profile_of(self.real, self.space, self.device, self.progress, stage, self.ranks)
        with self.ranks.one_a_host_first():
            return remembered_profile(self.real, self.fingerprint, self.space, self.device, self.progress, stage)

    def __call__(
        self,
        made: Reel,
        names: Iterable[str] | None = None,
        *,
        late: Reel | None = None,
        about: Mapping[str, Any] | None = None,
        generator: bool = True,
        needed: Collection[str] | None = None,
    ) -> Evaluation:
        """The metrics by these names; those that apply and are quick if None, of which those that turn out impossible
        (too few clips, say) are left out with a notice. needed: those of the names that are not left out so; None: all.

        late: the same clips some seconds later, or the first of them. about: what the protocol says of those made.
        generator: whether there could be any number of them.

        Raises: MetricError for a metric that cannot be computed, clips of another shape, or fewer than two.
        """
        wanted = None if names is None else list(names)
        sides = self.compared(made, wanted, late=late, about=about, generator=generator)
        return self.measured(sides, wanted, needed)

    def compared(
        self,
        made: Reel,
        wanted: Sequence[str] | None = None,
        *,
        late: Reel | None = None,
        about: Mapping[str, Any] | None = None,
        generator: bool = True,
    ) -> ClipComparison:
        """Looks at generated clips, as `__call__` takes them.

        Raises: as `__call__`, before the work.
        """
        for reel in (made, late):
            if reel is not None and reel.shape != self.real.shape:
                raise MetricError(f"real clips are {in_words(self.real)} and generated ones {in_words(reel)}")
        if min(len(made), len(self.real)) < 2:
            raise MetricError(f"{len(self.real)} real clips and {len(made)} generated ones; at least 2 are needed")
        late = late if wanted is None or "decline" in wanted else None
        i3d = self.space.card.name == "i3d"
        for name in wanted or ():
            if lack := lacks(name, i3d=i3d, long=late is not None):
                raise MetricError(f"{name}: {lack}")
        return ClipComparison(
            self.known,
            self.looked_at(made, "generated: features"),
            None if late is None else self.looked_at(late, "generated: later features"),
            i3d=i3d,
            about={
                "kind": "clips",
                "name": "as given",
                **(about or {}),
                "count": len(made),
                "rate": round(made.rate, 3),
            },
            k=self.k,
            seed=self.seed,
            device=self.device,
            made=generator,
        )

    def measured(
        self, sides: ClipComparison, wanted: Sequence[str] | None = None, needed: Collection[str] | None = None
    ) -> Evaluation:
        """The metrics by these names of two sides that were looked at, as `__call__` gives them.

        Raises: MetricError for a metric that cannot be computed.
        """
        results: dict[str, Result] = {}
        reasons: dict[str, list[str]] = {}
        for name in wanted or [name for name in METHODS if not METRICS[name].asked and not sides.lacks(name)]:
            try:
                results[name] = result_in(sides, name)
            except MetricError as error:
                if wanted is not None and (needed is None or name in needed):
                    raise MetricError(f"{name}: {error}") from None
                reasons.setdefault(str(error), []).append(name)
        if reasons and not results:
            raise MetricError(next(iter(reasons)))
        gaps = (f"{', '.join(named)} left out: {reason}" for reason, named in reasons.items())
        return Evaluation(results, self.protocol(sides), (*self.notices(sides, results), *gaps))

    def looked_at(self, reel: Reel, stage: str) -> Profile:
        """Generated clips."""
        return profile_of(reel, self.space, self.device, self.progress, stage, self.ranks)

    def protocol(self, sides: ClipComparison) -> dict[str, Any]:
        """Everything that the numbers depend on, as JSON values; `over_time` holds both sides frame by frame."""
        frames, channels, height, width = self.real.shape
        real = {"kind": "clips", "name": "as given", **self.about, "count": len(self.real)}
        if self.fingerprint:
            real["fingerprint"] = self.fingerprint
        return {
            "features": asdict(self.space.card),
            "pictures": None,
            "k": self.k,
            "clips": {
                "frames": frames,
                "channels": channels,
                "height": height,
                "width": width,
                "rate": round(self.real.rate, 3),
                "frames_compared": min(frames, LOOKED_AT),
            },
            "over_time": {
                name: {
                    "real": [round(value, 4) for value in getattr(sides.real, part).mean(0).tolist()],
                    "generated": [round(value, 4) for value in getattr(sides.fake, part).mean(0).tolist()],
                }
                for name, part in (("drift", "drift"), ("colour_drift", "colours"))
            },
            "neighbours": dict(zip(("real", "generated"), sides.clouds.among, strict=True)),
            "real": real,
            "generated": dict(sides.about),
            "device": self.device,
            "versions": versions(),
        }

    def notices(self, sides: ClipComparison, results: Mapping[str, Result]) -> Iterator[str]:
        """What people should know before they quote the numbers."""
        yield from warnings(sides.clouds, results)
        if {"clip_distance", "fvd"} & results.keys():
            fewest = min(sides.real.clips.shape, sides.fake.clips.shape)
            if warning := small_sample_warning(*fewest):
                yield warning
        rate = sides.about["rate"]
        if abs(rate / self.real.rate - 1) > OTHER_RATE:
            yield (
                f"real clips have {self.real.rate:g} frames a second and generated ones {rate:g}: motion is compared "
                "frame by frame, so numbers of what moves do not compare"
            )
        if (found := results.get("decline")) and found.estimate.low is not None and found.estimate.low > 0:
            yield "long clips get worse: their late frames are farther from real ones than their first, beyond chance"


def result_in(sides: ClipComparison, name: str) -> Result:
    """One metric.

    Raises: MetricError if it cannot be computed.
    """
    found = METHODS[name](sides)
    if not all(math.isfinite(value) for value in found.to_json().values() if value is not None):
        raise MetricError("it comes out infinite")
    return found


def in_words(reel: Reel) -> str:
    """What clips look like: `16 frames of 32x32 in 3 channels`."""
    frames, channels, height, width = reel.shape
    return f"{frames} frames of {height}x{width} in {channels} channel{'s' * (channels != 1)}"


def measure_clips(
    real: Reel,
    made: Reel,
    names: Iterable[str] | None = None,
    features: str | ClipFeatures = DEFAULT,
    device: str = "cpu",
    *,
    late: Reel | None = None,
    fingerprint: str = "",
    k: int = NEIGHBOURS,
    seed: int = 0,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
) -> Evaluation:
    """Judges generated clips by real ones of the same shape.

    names: of metrics; those that apply and are quick if None. features: a name of `CLIP_SPACES`, or a space. late: the
    same generated clips some seconds later, for `decline`. fingerprint: of the real clips, so that what is seen of them
    is remembered. Who judges again and again keeps a `ClipJudge`.

    Raises: MetricError for fewer than 2 clips of each kind, other shapes, or a metric that does not apply.
    """
    space = open_clip_features(features, device) if isinstance(features, str) else features
    judge = ClipJudge(
        real, space, fingerprint=fingerprint, k=k, seed=seed, device=device, progress=progress, ranks=ranks
    )
    return judge(made, names, late=late)


def apt(names: Iterable[str], space: ClipFeatures) -> list[str]:
    """Those of the metrics that the space is for, each once: `fvd` with I3D, and `clip_distance` with others."""
    other = "clip_distance" if space.card.name == "i3d" else "fvd"
    return [name for name in dict.fromkeys(names) if name != other]
