"""From the evidence of both sides to numbers: which function of `metrics/` each metric is, and what it is given."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sparring.data import to_floats
from sparring.data.decode import Form
from sparring.errors import MetricError
from sparring.evaluation.catalogue import COUNT, METRICS, NEEDS, NEIGHBOURS, Needs
from sparring.evaluation.evidence import Evidence
from sparring.evaluation.extraction import as_rgb
from sparring.evaluation.galleries import Gallery, spread, take
from sparring.evaluation.judgement import Evaluation, Result, protocol_of
from sparring.metrics.classes import Classes, Classifier, classes, classes_of_labels
from sparring.metrics.copying import Closeness, closeness, copies, expected_memorisation, memorisation, suspects
from sparring.metrics.estimate import Estimate
from sparring.metrics.frechet import frechet_distance, frechet_estimate, frechet_infinity, small_sample_warning
from sparring.metrics.inception import inception_score
from sparring.metrics.kernel import kernel_distance
from sparring.metrics.manifold import ManifoldEstimates, manifold_estimates, neighbours
from sparring.metrics.similarity import mean_of_pairs, ms_ssim, perceptual_distance, scales
from sparring.metrics.smoothness import path_length
from sparring.metrics.variety import diversity
from sparring.networks.features import Card, FeatureNetwork
from sparring.networks.resizing import fit
from sparring.wording import share

PAIRS, PAIRED_PIXELS, LEAST_PAIRS = 1000, 64**2, 50
"""Random pairs of pictures that `ms_ssim` and `perceptual_diversity` look at: 1,000 of 64x64, of larger ones fewer."""

PATHS = 2000
"""Places on random paths at which `ppl` takes the speed of change."""

PARTS, LEAST_PART = 10, 1000
"""Parts that the Inception Score is the mean over, as in the papers, where each has so many samples; else it is one."""

UNEQUAL = 1.5
"""Samples of one side over those of the other above which a warning is due."""

MANY_COPIES = 0.01
"""Share of near-copies above which a warning is due."""

GOOD_CLASSIFIER = 0.8
"""Accuracy below which a warning is due."""


@dataclass(frozen=True)
class Comparison:
    """Two sides whose features are taken, and the network that took them (None for features as given).

    k: neighbours. most: samples of each side that pairs are formed of (neighbours, kernel, diversity, classes): more
    are thinned out evenly. seed: of random pairs and paths.
    """

    real: Evidence
    fake: Evidence
    network: FeatureNetwork | None = None
    k: int = NEIGHBOURS
    most: int = COUNT
    seed: int = 0
    device: str = "cpu"

    def lacks(self, name: str) -> str:
        """What a metric needs and does not find here; empty if it can be computed."""
        needs = METRICS[name].needs
        return "" if self._has(needs) else f"it needs {NEEDS[needs]}"

    def _has(self, needs: Needs) -> bool:
        real, fake = self.real, self.fake
        # Features are taken of all pictures, though perhaps not yet.
        sampled = fake.features is not None or fake.gallery is not None
        featured = sampled and (real.features is not None or real.gallery is not None)
        pictured = real.gallery is not None and fake.gallery is not None
        card = self.network.card if self.network else None
        match needs:
            case "moments":
                return True
            case "features":
                return featured
            case "samples":
                return sampled
            case "classifier":
                return card is not None and card.classes > 0 and sampled
            case "pictures":
                return real.gallery is not None and fake.gallery is not None and scales(*fake.gallery.shape[1:]) > 0
            case "maps":
                return pictured and card is not None and bool(card.strides)
            case "classes":
                return featured and real.labels is not None
            case "model":
                # Half precision is too coarse for the tiny steps on a path.
                return fake.model is not None and card is not None and bool(card.strides) and card.precision == "fp32"
            case "pairs" | "holes" | "transfer":
                return False  # see `pairs` and `transfer`: sets have no order
            case "texts" | "forms" | "code" | "likelihood":
                return False  # see `texts`
            case "molecules" | "reward" | "graphs":
                return False  # see `molecules`
            case "clips" | "i3d" | "long clips":
                return False  # see `clips`

    def suits(self, name: str) -> bool:
        """Whether a metric is tried without being named: it takes little time, and means what its name says."""
        # With another classifier than Inception's it is a score of the same form, which compares with no published one.
        known = name != "inception_score" or (self.network and self.network.card.name.startswith("inception"))
        return bool(known) and not METRICS[name].asked and not self.lacks(name)

    @cached_property
    def real_rows(self) -> Tensor:
        """The real features that pairs are formed of."""
        return thinned(self.real.features, self.most)

    @cached_property
    def fake_rows(self) -> Tensor:
        """The generated features that pairs are formed of."""
        return thinned(self.fake.features, self.most)

    @property
    def among(self) -> tuple[int, int]:
        """How many real and generated samples the neighbour metrics look at.

        Equally many where samples can be had at will, since recall falls and coverage rises with their number.
        """
        counts = len(self.real_rows), len(self.fake_rows)
        return (min(counts), min(counts)) if self.fake.made else counts

    @cached_property
    def manifold(self) -> ManifoldEstimates:
        """Precision, recall, density and coverage: computed together."""
        real, fake = self.among
        return manifold_estimates(thinned(self.real_rows, real), thinned(self.fake_rows, fake), self.k)

    @cached_property
    def closeness(self) -> Closeness:
        """How close generated samples come to all real ones with features: any of these may have been copied."""
        assert self.real.features is not None, "asked only where there are features"
        return closeness(self.fake_rows, self.real.features)

    @cached_property
    def classes(self) -> Classes:
        """Modes and divergence: computed together.

        Features may bring labels of their own. Folders of generated pictures say only what was asked for, so those are
        classified like all others.
        """
        assert self.real.labels is not None, "asked only where there are labels"
        if self.fake.gallery is None and self.fake.labels is not None:
            return classes_of_labels(self.real.labels, self.fake.labels)
        return classes(Classifier.fit(self.real_rows, thinned(self.real.labels, self.most)), self.fake_rows)

    def suspects(self, count: int, nearest: int) -> tuple[Tensor, Tensor]:
        """Numbers of the samples most like copies, (count,), and of their nearest real pictures, (nearest, count)."""
        assert self.real.features is not None and self.fake.features is not None, "asked only where there are features"
        rows, _, _ = suspects(self.closeness, count)
        _, real = neighbours(self.fake_rows[rows], self.real.features, min(nearest, len(self.real.features)))
        return spread(len(self.fake.features), self.most)[rows], real.mT

    @property
    def parts(self) -> int:
        """Parts that the Inception Score is the mean over."""
        return PARTS if self.fake.features is not None and len(self.fake.features) >= PARTS * LEAST_PART else 1

    def fid(self) -> Result:
        """With its interval where there are features on both sides."""
        if self.real.features is None or self.fake.features is None:
            return Result(Estimate(frechet_distance(self.real.moments, self.fake.moments)))
        return Result(frechet_estimate(self.real.features, self.fake.features))

    def fid_infinity(self) -> Result:
        """Extrapolated over the number of generated samples; the real side stays as it is."""
        assert self.fake.features is not None
        return Result(frechet_infinity(self.real.moments, self.fake.features))

    def kid(self) -> Result:
        """With its standard error."""
        found = kernel_distance(self.real_rows, self.fake_rows)
        return Result(found, {"standard_error": found.standard_error})

    def inception_score(self) -> Result:
        """In the customary parts if there are enough samples, shuffled, as pictures may come in classes."""
        assert self.network is not None and self.fake.features is not None
        order = torch.randperm(len(self.fake.features), generator=torch.Generator().manual_seed(self.seed))
        logits = self.network.logits(self.fake.features[order].float().to(self.device))
        return Result(inception_score(logits.cpu().double().softmax(1), self.parts))

    def prc(self) -> Result:
        """With the means of the ends of the three intervals, which are all at once an end rarely."""
        three = (self.manifold.precision, self.manifold.recall, self.manifold.coverage)
        low, value, high = (
            harmonic_mean(*(getattr(share, end) for share in three)) for end in ("low", "value", "high")
        )
        return Result(Estimate(value, low, high))

    def memorisation(self) -> Result:
        """Beside what fresh real samples would give."""
        return Result(memorisation(self.closeness), {"expected": expected_memorisation(self.closeness)})

    def ms_ssim(self) -> Result:
        """Beside that of the real pictures; alpha is no colour."""
        return self._of_pairs(lambda a, b: ms_ssim((a + 1) / 2, (b + 1) / 2))

    def perceptual_diversity(self) -> Result:
        """Beside that of the real pictures."""
        return self._of_pairs(self._perceptual)

    def ppl(self) -> Result:
        """Over the full path, at the generator's own size; the pictures of a pair are of one class."""
        model = self.fake.model
        assert model is not None
        blueprint = model.from_noise

        def make(z: Tensor) -> Tensor:
            labels = (torch.arange(len(z) // 2) % max(len(blueprint.classes), 1)).repeat(2)
            y = one_hot(labels, len(blueprint.classes)).float().to(self.device) if blueprint.classes else None
            pictures: Tensor = model.generator(z.to(self.device), y)
            return pictures.float().clamp(-1, 1)

        return Result(path_length(make, self._perceptual, z_dim=blueprint.z_dim, count=PATHS, seed=self.seed))

    def _perceptual(self, a: Tensor, b: Tensor) -> Tensor:
        """Perceptual distances (N,) of pictures in [-1, 1]."""
        assert self.network is not None
        network, card = self.network, self.network.card
        ours, theirs = (network.maps(fit(as_rgb(side.to(self.device)), card)) for side in (a, b))
        return perceptual_distance(ours, theirs).cpu()

    def _of_pairs(self, likeness: Callable[[Tensor, Tensor], Tensor]) -> Result:
        """The mean of a function of pictures in [-1, 1] over random pairs of each side."""
        assert self.real.gallery is not None and self.fake.gallery is not None
        fake, real = (self._mean_of_pairs(side, likeness) for side in (self.fake.gallery, self.real.gallery))
        return Result(fake, {"real": real.value})

    def _mean_of_pairs(self, gallery: Gallery, likeness: Callable[[Tensor, Tensor], Tensor]) -> Estimate:
        count = max(LEAST_PAIRS, min(PAIRS, PAIRS * PAIRED_PIXELS // math.prod(gallery.shape[1:])))
        pictures = to_floats(take(gallery, spread(len(gallery), 2 * count)))
        return mean_of_pairs(as_rgb(pictures) if pictures.shape[1] == 4 else pictures, likeness, self.seed, count)


METHODS: dict[str, Callable[[Comparison], Result]] = {
    "fid": Comparison.fid,
    "fid_infinity": Comparison.fid_infinity,
    "kid": Comparison.kid,
    "inception_score": Comparison.inception_score,
    "precision": lambda sides: Result(sides.manifold.precision),
    "recall": lambda sides: Result(sides.manifold.recall),
    "density": lambda sides: Result(sides.manifold.density),
    "coverage": lambda sides: Result(sides.manifold.coverage),
    "prc": Comparison.prc,
    "diversity": lambda sides: Result(diversity(sides.real_rows, sides.fake_rows)),
    "memorisation": Comparison.memorisation,
    "copies": lambda sides: Result(copies(sides.closeness)),
    "modes": lambda sides: Result(sides.classes.modes, {"of": sides.classes.classes}),
    "kl": lambda sides: Result(sides.classes.kl),
    "ms_ssim": Comparison.ms_ssim,
    "perceptual_diversity": Comparison.perceptual_diversity,
    "ppl": Comparison.ppl,
}


def measure(
    sides: Comparison, names: Iterable[str], form: Form | None, *, only_what_can_be: bool = False
) -> Evaluation:
    """The metrics by these names, with protocol and warnings.

    only_what_can_be: a metric that turns out impossible (too few samples, a class with one picture) is left out with a
    notice, as long as another one is left.
    Raises: MetricError for a metric that cannot be computed here, or where there are too few samples.
    """
    same_space(sides)
    results: dict[str, Result] = {}
    left_out: dict[str, list[str]] = {}
    for name in names:
        try:
            results[name] = result_of(sides, name)
        except MetricError as error:
            if not only_what_can_be:
                raise MetricError(f"{name}: {error}") from None
            left_out.setdefault(str(error), []).append(name)
    if left_out and not results:
        raise MetricError(next(iter(left_out)))
    card = sides.network.card if sides.network else None
    protocol = protocol_of(sides.real, sides.fake, card, form, k=sides.k, device=sides.device)
    if sides.real.features is not None and sides.fake.features is not None:
        protocol["neighbours"] = dict(zip(("real", "generated"), sides.among, strict=True))
    if "inception_score" in results:
        protocol["inception_score_parts"] = sides.parts
    if {"modes", "kl"} & results.keys():
        accuracy = sides.classes.accuracy
        protocol["classifier"] = {
            "kind": "labels as given" if accuracy is None else "logistic regression on the real features",
            "held_out_accuracy": None if accuracy is None else accuracy.value,
        }
    gaps = (f"{', '.join(named)} left out: {reason}" for reason, named in left_out.items())
    return Evaluation(results, protocol, (*warnings(sides, results), *gaps))


def result_of(sides: Comparison, name: str) -> Result:
    """One metric.

    Raises: MetricError if it cannot be computed.
    """
    if lack := sides.lacks(name):
        raise MetricError(lack)
    result = METHODS[name](sides)
    if not all(math.isfinite(value) for value in result.to_json().values() if value is not None):
        raise MetricError("it comes out infinite; are the features of a sensible size?")
    return result


def same_space(sides: Comparison) -> None:
    """Raises: MetricError if the two sides cannot be of one feature space."""
    counts = [
        len(side.moments.mean) if side.features is None else side.features.shape[1] for side in (sides.real, sides.fake)
    ]
    if counts[0] != counts[1]:
        raise MetricError(
            f"{sides.real.name} has {counts[0]:,} features and {sides.fake.name} {counts[1]:,}: "
            "they are of different spaces"
        )


def warnings(sides: Comparison, results: Mapping[str, Result]) -> Iterator[str]:
    """What people should know before they quote the numbers."""
    real, fake = sides.real, sides.fake
    if real.fingerprint and real.fingerprint == fake.fingerprint:
        yield "both sides are the same pictures: nothing was generated here"
    if real.made and fake.gallery is not None and not fake.made:
        yield "A is samples of a generator and B pictures: the real ones come first, so it may be the other way round"
    if sides.network is not None and (through := fake.about.get("discriminator_features")):
        yield from flattery(through, sides.network.card)
    if {"fid", "fid_infinity"} & results.keys():
        counted = [side.features.shape for side in (fake, real) if side.features is not None]
        fewest = min(counted, default=None)
        if fewest and (warning := small_sample_warning(*fewest)):
            yield warning
    if {"recall", "coverage"} & results.keys() and max(sides.among) > UNEQUAL * min(sides.among):
        yield (
            f"{sides.among[0]:,} real and {sides.among[1]:,} generated samples: the more are generated, the lower "
            "recall and the higher coverage; only equal numbers compare"
        )
    if "copies" in results and results["copies"].value > MANY_COPIES:
        yield f"{share(results['copies'].value)} of the samples are near-copies of real ones: --nearest PNG shows them"
    if {"memorisation", "copies"} & results.keys() and "of" in real.about:
        yield (
            f"{real.about['count']:,} of {real.about['of']:,} real pictures were compared; copies of the others cannot "
            "be seen"
        )
    if {"modes", "kl"} & results.keys() and (accuracy := sides.classes.accuracy) and accuracy.value < GOOD_CLASSIFIER:
        yield (
            f"the classifier behind modes and kl is right for {share(accuracy.value)} of held-out real samples only: "
            "these features hardly tell the classes apart"
        )
    for side in (real, fake):
        if sides.network is not None and side.gallery is None:
            yield f"the features of {side.name} are taken for those of {sides.network.card.name}, untested"


def flattery(through: Mapping[str, str], card: Card) -> Iterator[str]:
    """What people should know of numbers in features that trained the generator, or in those of a near relation."""
    name, related = through["name"], through["trained_on"] and through["trained_on"] == card.trained_on
    if through["digest"] == card.digest:
        why = "numbers in the same features flatter it, for it learned to please them"
    elif related:
        why = f"{card.name} learned from {card.trained_on} as well, and numbers in its features flatter it too"
    else:
        return
    yield (
        f"the discriminator of this generator looked through {name}: {why} (Kynkaanniemi et al. 2023, Stein et al. "
        f"2023); take another space, such as {'pixels' if name == 'wavelets' else 'wavelets'}"
    )


def harmonic_mean(*shares: float) -> float:
    """n / (1/a + 1/b + ...), and 0 if any is 0."""
    return len(shares) / sum(1 / share for share in shares) if all(shares) else 0.0


def thinned(rows: Tensor | None, most: int) -> Tensor:
    """At most so many rows, spread evenly."""
    assert rows is not None, "asked only where they are there"
    return rows if len(rows) <= most else rows[spread(len(rows), most)]
