"""Generated molecules against real ones: how many are valid, different and new, and how like the real ones they are.

The tables of MOSES (Polykovskiy et al. 2020) and MolGAN (De Cao & Kipf 2018), each number with its interval.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import metadata
from typing import Any, Literal

import torch
from torch import Tensor

from sparring.data.sources import Progress
from sparring.errors import MetricError
from sparring.evaluation.catalogue import COUNT, METRICS, chosen
from sparring.evaluation.headway import one_by_one
from sparring.evaluation.judgement import Evaluation, Result, versions
from sparring.evaluation.molecule_sides import Place, Profile, generated_side, is_molecules, real_side
from sparring.metrics.estimate import share
from sparring.metrics.frechet import frechet_estimate
from sparring.metrics.molecules import cosine_of_parts, internal_diversity, novelty, snn, uniqueness, wasserstein
from sparring.wording import share as in_per_cent

__all__ = ["evaluate_molecules", "is_molecules", "measure_molecules"]

Space = Literal["chemnet", "descriptors"]

FEW_VALID = 0.9
"""Share of valid molecules below which a notice says that the others' numbers are of the valid ones alone."""

FEW_FOR_FCD = 5000
"""Molecules of a side below which a notice says that `fcd` depends on their number."""


@dataclass(frozen=True)
class Comparison:
    """Two sides. made: what was generated, canonical and standardised, empty where it is no molecule.

    training: what novelty is measured by. through: `chemnet`, or `descriptors` for `fdd` in place of `fcd`.
    unread: why what novelty is measured by cannot be had; empty if it can.
    """

    real: Profile
    fake: Profile
    made: Sequence[str]
    training: frozenset[str]
    device: str
    through: Space = "chemnet"
    unread: str = ""

    def lacks(self, name: str) -> str:
        """Why a metric cannot be had here; empty if it can."""
        from sparring.chemistry import chemnet

        if METRICS[name].needs != "molecules":
            of = ", ".join(METHODS)
            return f"it is not for molecules, which are judged by {of}"
        if name == "fcd" and self.through == "descriptors":
            return "descriptors stand in its place, as they were asked for"
        if name == "fcd" and not chemnet.available():
            return "it needs fcd_torch: pip install 'sparring[molecules]'"
        if name == "novelty" and self.unread:
            return f"the training data of the run cannot be read: {self.unread}"
        if name != "validity" and len(self.fake.smiles) < 2:
            return f"{len(self.fake.smiles)} valid molecules are too few"
        return ""

    def suits(self, name: str) -> bool:
        """Whether a metric is measured without being named."""
        if name == "fdd":
            return bool(self.lacks("fcd"))
        if name == "fcd" and self.through == "descriptors":
            return False
        if name == "unique_10k" and len(self.made) < 10_000:
            return False
        return not METRICS[name].asked

    def validity(self) -> Result:
        """Of all samples."""
        return Result(share(len(self.fake.smiles) / len(self.made), len(self.made)))

    def unique(self, first: int) -> Result:
        """Of the first so many valid molecules; `of` says how many there were."""
        count = min(first, len(self.fake.smiles))
        return Result(share(uniqueness(self.fake.smiles, first), count), {"of": count})

    def novelty(self) -> Result:
        """Of the different valid molecules."""
        return Result(share(novelty(self.training, self.fake.smiles), len(set(self.fake.smiles))))

    def filters(self) -> Result:
        """With the share of the real molecules."""
        from sparring.chemistry.filters import passes

        passing = passes(self.fake.smiles, self.fake.progress)
        return Result(share(float(passing.mean()), len(passing)), {"real": self.real.passing})

    def diversity(self, power: int) -> Result:
        """With that of the real molecules, for p = 1."""
        extra = {"real": self.real.diversity} if power == 1 else {}
        return Result(internal_diversity(self.fake.bits, power, self.device), extra)

    def fcd(self) -> Result:
        """By the activations of ChemNet."""
        return Result(frechet_estimate(self.real.chemnet, self.fake.chemnet))

    def fdd(self) -> Result:
        """By descriptors in units of the real side's deviations; what is the same for all real ones is left out."""
        real, fake = (_table(side) for side in (self.real, self.fake))
        deviation = real.std(0)
        kept = deviation > 0
        if not kept.any():
            raise MetricError("fdd: all real molecules have the same descriptors; there is nothing to compare with")
        mean = real.mean(0)
        scaled = [(side - mean)[:, kept] / deviation[kept] for side in (real, fake)]
        return Result(frechet_estimate(*scaled))

    def property(self, name: str) -> Result:
        """The distance of two distributions, with the mean of both."""
        real, fake = self.real.properties[name], self.fake.properties[name]
        return Result(wasserstein(real, fake), {"mean": float(fake.mean()), "real": float(real.mean())})

    @cached_property
    def space(self) -> dict[str, Any]:
        """What the protocol says of the space of features."""
        if self.lacks("fcd"):
            return {"name": "descriptors", "title": "descriptors and Morgan fingerprints"}
        return {"name": "chemnet", "title": "ChemNet and Morgan fingerprints", "dimension": 512}


METHODS: dict[str, Callable[[Comparison], Result]] = {
    "validity": Comparison.validity,
    "unique_1k": lambda both: both.unique(1000),
    "unique_10k": lambda both: both.unique(10_000),
    "novelty": Comparison.novelty,
    "filters": Comparison.filters,
    "intdiv": lambda both: both.diversity(1),
    "intdiv2": lambda both: both.diversity(2),
    "fcd": Comparison.fcd,
    "fdd": Comparison.fdd,
    "snn": lambda both: Result(snn(both.real.bits, both.fake.bits, both.device)),
    "frag": lambda both: Result(cosine_of_parts(both.real.fragments, both.fake.fragments)),
    "scaf": lambda both: Result(cosine_of_parts(both.real.scaffolds, both.fake.scaffolds)),
    "qed": lambda both: both.property("qed"),
    "logp": lambda both: both.property("logp"),
    "sa": lambda both: both.property("sa"),
    "weight": lambda both: both.property("weight"),
}
"""How each metric of molecules is computed."""


def measure_molecules(
    training: Sequence[str],
    held_out: Sequence[str],
    made: Sequence[str],
    names: str | Iterable[str] | None = None,
    *,
    through: Space = "chemnet",
    device: str = "cpu",
    seed: int = 0,
) -> Evaluation:
    """Judges generated SMILES by real ones; invalid ones may be empty.

    training: canonical SMILES that novelty is measured by. held_out: canonical SMILES that the others are compared
    with, all of them; what is computed of these is remembered for the next call with the same. names: of
    `catalogue.METRICS`; None takes those that apply and are quick. through: see
    `Comparison`. seed: for the protocol; nothing is drawn.

    Without fcd_torch the Frechet distance is that of descriptors, by its own name (`fdd`).

    Raises: MetricError for no samples, fewer than two real molecules, or a named metric that cannot be had.
    """
    real = _remembered(tuple(held_out), device)
    about = {"kind": "molecules", "name": "as given", "count": len(held_out)}
    generated = {"kind": "molecules", "name": "as given", "count": len(made), "seed": seed}
    return _measure(real, frozenset(training), made, names, device, about, generated, through=through)


def evaluate_molecules(
    real: Place,
    generated: Place,
    metrics: str | Iterable[str] | None = None,
    *,
    n: int = COUNT,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Compares generated molecules with real ones, as `sparring evaluate REAL GENERATED` does.

    real: a file of molecules, an embedded set, or a run, which is its training data; 10,000 at most, spread evenly.
    generated: a run or generator, which is n samples, or a file, which is its first n lines. Novelty is measured by the
    training data of the run on either side (that of the generated one first), or else by the real molecules;
    it is left out, with a notice, where the generated run's cannot be read.

    Raises: MetricError, DataError or RunError with what is wrong and what to do.
    """
    wanted = None if metrics is None else chosen(metrics)
    truth = real_side(real, progress)
    made = generated_side(generated, n, seed, device, progress)
    training = next((each for each in (made.training, truth.training) if each is not None), truth.smiles)
    profile = Profile(truth.smiles, device, progress, "real")
    # Molecules that were only compared with say nothing of what the run has seen.
    unread = made.unread if truth.training is None else ""
    found = _measure(
        profile, frozenset(training), made.smiles, wanted, device, truth.about, made.about, progress, unread=unread
    )
    return Evaluation(found.metrics, found.protocol, (*truth.notices, *found.notices))


def _measure(
    real: Profile,
    training: frozenset[str],
    made: Sequence[str],
    names: str | Iterable[str] | None,
    device: str,
    real_about: dict[str, Any],
    made_about: dict[str, Any],
    progress: Progress | None = None,
    through: Space = "chemnet",
    unread: str = "",
) -> Evaluation:
    from sparring.chemistry.filters import CATALOGUES
    from sparring.chemistry.parallel import in_chunks
    from sparring.chemistry.standard import standardised

    if not made:
        raise MetricError("no molecules were generated; at least two are needed")
    if len(real.smiles) < 2:
        raise MetricError(f"{len(real.smiles)} real molecules; at least two are needed")
    canonical = [text for part in in_chunks(standardised, made, "reading samples", progress) for text in part]
    fake = Profile([text for text in canonical if text], device, progress, "generated")
    both = Comparison(real, fake, canonical, training, device, through, unread)
    notices = []
    if names is None:
        suitable = [name for name in METHODS if both.suits(name)]
        wanted = [name for name in suitable if not both.lacks(name)]
        notices += [f"{name} left out: {both.lacks(name)}" for name in suitable if name not in wanted]
    else:
        wanted = chosen(names)
        for name in wanted:
            if lack := both.lacks(name):
                raise MetricError(f"{name}: {lack}")
    results = {}
    for name in one_by_one(wanted, progress):
        try:
            results[name] = METHODS[name](both)
        except MetricError as error:
            if names is not None:
                raise MetricError(f"{name}: {error}") from None
            notices.append(f"{name} left out: {error}")
    valid = len(fake.smiles) / len(canonical)
    if valid < FEW_VALID:
        notices.append(f"{in_per_cent(valid)} of the samples are molecules; the other numbers are of these alone")
    fewest = min(len(fake.smiles), len(real.smiles))
    if "fcd" in results and fewest < FEW_FOR_FCD:
        notices.append(
            f"fcd is too large by what few molecules leave open: that of {fewest:,} compares with as many only"
        )
    protocol = {
        "features": both.space,
        "pictures": None,
        "k": None,
        "molecules": {"filters": list(CATALOGUES), "fingerprints": "Morgan, radius 2, 1,024 bits"},
        "real": real_about,
        "generated": made_about,
        "device": device,
        "versions": versions() | _versions(),
    }
    return Evaluation(results, protocol, tuple(notices))


@lru_cache(maxsize=2)
def _remembered(smiles: tuple[str, ...], device: str) -> Profile:
    return Profile(smiles, device, role="real")


def _table(side: Profile) -> Tensor:
    """The descriptors (N, 8), float64."""
    return torch.stack([torch.from_numpy(values) for values in side.properties.values()], 1)


def _versions() -> dict[str, str]:
    found = {}
    for package in ("rdkit", "fcd_torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
