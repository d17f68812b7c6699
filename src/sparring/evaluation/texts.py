"""Generated texts judged by real ones: which function of `metrics/` each metric is, and what it is given.

As in Caccia et al. 2020 (arXiv 1811.02549), quality and variety are told apart, and every number has that of real texts
beside it: of as many training texts where a number depends on how many there are, of the held-out ones otherwise.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from sparring.data.sources import Progress
from sparring.errors import MetricError
from sparring.evaluation.catalogue import COUNT, METRICS, NEEDS, NEIGHBOURS, chosen
from sparring.evaluation.curves import curve_of
from sparring.evaluation.evidence import Evidence
from sparring.evaluation.headway import one_by_one
from sparring.evaluation.judgement import Evaluation, Result, versions
from sparring.evaluation.measuring import Comparison, result_of, warnings
from sparring.evaluation.text_sides import MadeTexts, Place, RealTexts, made_texts, real_texts, texts_of
from sparring.metrics.estimate import Estimate, mean_of, share
from sparring.metrics.language import ORDER, LanguageModel, perplexity
from sparring.metrics.ngrams import (
    EPSILON,
    bleu,
    group_errors,
    left_out,
    repetition,
    self_bleu,
    self_bleu_estimates,
)
from sparring.metrics.overlap import copied, copied_clauses, distinct
from sparring.metrics.units import Corpus
from sparring.metrics.wellformed import form_of, parses
from sparring.networks.text_features import open_text_features
from sparring.wording import share as in_per_cent

BLEUS = tuple(f"bleu{n}" for n in (2, 3, 4, 5))
SELF_BLEUS = tuple(f"self_bleu{n}" for n in (2, 3, 4, 5))
OF_CLOUDS = ("fid", "fid_infinity", "kid", "precision", "recall", "density", "coverage", "prc", "diversity")
"""Metrics of sets of features, the same as of pictures."""

BY_HELD_OUT = frozenset(["forward", "copied", "copied_lines", "repetition", "form", "parses"])
"""Metrics whose yardstick is the held-out texts. That of the others is as many training texts as were generated."""

DEFAULT_SPACE = "ngrams"


@dataclass(frozen=True)
class TextComparison:
    """Texts and the real ones that they are compared with.

    order: the longest n-grams of BLEU. intervals: whether those are needed that take time. made: whether a generator
    could give any number of texts.
    """

    real: RealTexts
    texts: Sequence[str]
    order: int = 5
    intervals: bool = True
    made: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    k: int = NEIGHBOURS
    seed: int = 0
    device: str = "cpu"

    def lacks(self, name: str) -> str:
        """What a metric needs and does not find here; empty if it can be computed."""
        metric = METRICS[name]
        if name not in METHODS:
            return f"it is not for texts: it needs {NEEDS[metric.needs]}"
        missing = metric.needs == "forms" and not self.real.forms
        missing |= metric.needs == "code" and self.real.unit != "code"
        return f"it needs {NEEDS[metric.needs]}" if missing else ""

    @cached_property
    def corpus(self) -> Corpus:
        """The texts as numbers."""
        return self.real.other_corpus(self.texts)

    @cached_property
    def bleu(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Of each text against all held-out ones, (order, N)."""
        return bleu(self.corpus, self.real.held_out_corpus, self.order)

    @cached_property
    def self_bleu(self) -> Sequence[Estimate]:
        """Mean of all texts, for each n."""
        if self.intervals:
            return self_bleu_estimates(self.corpus, self.order)
        return [Estimate(float(value)) for value in self_bleu(self.corpus, self.order).mean(1)]

    @cached_property
    def features(self) -> Tensor:
        """Of the texts."""
        return self.real.space.features(self.texts)

    @cached_property
    def clouds(self) -> Comparison:
        """The features of held-out texts and of these."""
        about = {"count": len(self.real.held_out)}
        held_out = Evidence("held-out texts", about, features=self.real.features)
        these = Evidence("generated texts", dict(self.about), features=self.features, made=self.made)
        return Comparison(held_out, these, k=self.k, seed=self.seed, device=self.device)

    def forward(self) -> Estimate:
        """Of the texts, by the model of the training texts."""
        return perplexity(self.real.model.surprise(self.corpus), self.corpus.lengths + 1)

    def reverse(self) -> Estimate:
        """Of the held-out texts, by a model of these; the interval holds for other samples, too."""
        unseen = self.real.held_out_corpus

        def surprise(learnt_from: Corpus) -> np.ndarray[Any, np.dtype[np.float64]]:
            return LanguageModel(learnt_from, self.real.vocabulary).surprise(unseen)

        error = 0.0
        tokens = unseen.lengths + 1
        if self.intervals and len(self.texts) >= 20:
            means = np.array([surprise(part).sum() / tokens.sum() for part in left_out(self.corpus)])
            error = float(group_errors(means))
        return perplexity(surprise(self.corpus), tokens, error)

    def form(self) -> Estimate:
        """Share of the texts whose form is one of the training texts'."""
        return share(sum(form_of(text) in self.real.forms for text in self.texts) / len(self.texts), len(self.texts))

    def parses(self) -> Estimate:
        """Share of the texts that are Python."""
        return share(sum(parses(self.texts)) / len(self.texts), len(self.texts))


def _bleu(n: int) -> Callable[[TextComparison], Result]:
    return lambda sides: Result(mean_of(sides.bleu[n - 1].tolist(), least=0, most=1))


def _self_bleu(n: int) -> Callable[[TextComparison], Result]:
    return lambda sides: Result(sides.self_bleu[n - 1])


def _cloud(name: str) -> Callable[[TextComparison], Result]:
    return lambda sides: result_of(sides.clouds, name)


METHODS: dict[str, Callable[[TextComparison], Result]] = {
    **{f"bleu{n}": _bleu(n) for n in (2, 3, 4, 5)},
    **{f"self_bleu{n}": _self_bleu(n) for n in (2, 3, 4, 5)},
    "forward": lambda sides: Result(sides.forward()),
    "reverse": lambda sides: Result(sides.reverse()),
    **{name: _cloud(name) for name in OF_CLOUDS},
    "distinct": lambda sides: Result(distinct(sides.texts)),
    "copied": lambda sides: Result(copied(sides.texts, sides.real.known)),
    "copied_lines": lambda sides: Result(copied_clauses(sides.texts, sides.real.clauses)),
    "repetition": lambda sides: Result(mean_of(repetition(sides.corpus).tolist(), least=0, most=1)),
    "form": lambda sides: Result(sides.form()),
    "parses": lambda sides: Result(sides.parses()),
}


class TextJudge:
    """Judges any number of sets of generated texts by always the same real ones, and keeps what is known of these."""

    def __init__(self, real: RealTexts, *, k: int = NEIGHBOURS, seed: int = 0, device: str = "cpu") -> None:
        self.real = real
        self.k, self.seed, self.device = k, seed, device
        self.yardsticks: dict[tuple[str, int], Mapping[str, float]] = {}

    def compared(self, texts: Sequence[str], order: int = 5, **others: Any) -> TextComparison:
        """Texts, which others than generated ones may be, to be compared with the real ones."""
        return TextComparison(self.real, texts, order, k=self.k, seed=self.seed, device=self.device, **others)

    def __call__(
        self, made: MadeTexts, names: Iterable[str] | None = None, progress: Progress | None = None
    ) -> Evaluation:
        """The metrics by these names; those that apply and are quick if None, of which those that turn out impossible
        (too few samples, say) are left out with a notice.

        Raises: MetricError for a metric that cannot be computed, or fewer than two texts.
        """
        if len(made.texts) < 2:
            raise MetricError(f"{len(made.texts)} generated text{'s' * (len(made.texts) != 1)}; at least 2 are needed")
        wanted = None if names is None else list(names)
        order = max((int(name[-1]) for name in wanted or ["bleu3"] if name in (*BLEUS, *SELF_BLEUS)), default=2)
        sides = self.compared(made.texts, order, made=made.made, about=made.about)
        for name in wanted or ():
            if lack := sides.lacks(name):
                raise MetricError(f"{name}: {lack}")
        results: dict[str, Result] = {}
        reasons: dict[str, list[str]] = {}
        suitable = [name for name in METHODS if not METRICS[name].asked and not sides.lacks(name)]
        for name in one_by_one(wanted or suitable, progress):
            try:
                results[name] = self.result(name, sides)
            except MetricError as error:
                if wanted is not None:
                    raise MetricError(f"{name}: {error}") from None
                reasons.setdefault(str(error), []).append(name)
        if reasons and not results:
            raise MetricError(next(iter(reasons)))
        gaps = (f"{', '.join(named)} left out: {reason}" for reason, named in reasons.items())
        return Evaluation(results, self.protocol(sides), (*self.notices(sides, results), *gaps))

    def result(self, name: str, sides: TextComparison) -> Result:
        """One metric, with the number of real texts beside it.

        Raises: MetricError if it cannot be computed.
        """
        found = METHODS[name](sides)
        if not all(math.isfinite(value) for value in found.to_json().values() if value is not None):
            raise MetricError("it comes out infinite")
        known = (name, 0 if name in BY_HELD_OUT else len(sides.texts))
        if known not in self.yardsticks:
            self.yardsticks[known] = self.yardstick(name, len(sides.texts))
        return Result(found.estimate, {**found.extra, **self.yardsticks[known]})

    def yardstick(self, name: str, count: int) -> Mapping[str, float]:
        """What real texts get in the place of `count` generated ones, as `real`; nothing where they are too few."""
        texts = self.real.held_out if name in BY_HELD_OUT else self.real.some(count)
        order = int(name[-1]) if name in (*BLEUS, *SELF_BLEUS) else 2
        try:
            return {"real": METHODS[name](self.compared(texts, order, intervals=False)).value}
        except MetricError:
            return {}

    def protocol(self, sides: TextComparison) -> dict[str, Any]:
        """Everything that the numbers depend on, as JSON values."""
        real = self.real
        about = {"kind": "texts", "name": "as given", **real.about, "count": len(real.held_out)}
        made = {"kind": "texts", "name": "as given", **sides.about, "count": len(sides.texts)}
        texts = {
            "unit": real.unit,
            "training": len(real.training),
            "held_out": len(real.held_out),
            "vocabulary": real.vocabulary,
            "model": f"interpolated modified Kneser-Ney, order {ORDER}",
            "bleu": f"sentence, all references at once, {EPSILON} where nothing is found",
        }
        return {
            "features": asdict(real.space.card),
            "pictures": None,
            "k": self.k,
            "texts": texts,
            "neighbours": dict(zip(("real", "generated"), sides.clouds.among, strict=True)),
            "real": about,
            "generated": made,
            "device": self.device,
            "versions": versions(),
        }

    def notices(self, sides: TextComparison, results: Mapping[str, Result]) -> Iterator[str]:
        """What people should know before they quote the numbers."""
        yield from warnings(sides.clouds, results)
        count = len(sides.texts)
        if len(self.real.training) < count:
            yield (
                f"only {len(self.real.training):,} training texts stand for real ones beside {count:,} generated: "
                "numbers that depend on how many there are do not compare with those beside them"
            )
        if (found := results.get("copied")) and found.estimate.ends[0] > found.extra["real"]:
            of_real = in_per_cent(found.extra["real"])
            yield f"{in_per_cent(found.value)} of the samples are training texts; of the held-out ones {of_real} are"
        if (found := results.get("forward")) and found.estimate.ends[1] < found.extra["real"]:
            yield (
                "the samples are easier to foresee than real texts: they keep to what is frequent, which forward and "
                "bleu reward; reverse and self_bleu tell what it costs"
            )


def measure_texts(
    training: Sequence[str],
    held_out: Sequence[str],
    made: Sequence[str],
    names: Sequence[str] | None = None,
    *,
    features: str = DEFAULT_SPACE,
    device: str = "cpu",
    seed: int = 0,
) -> Evaluation:
    """Judges generated texts by the training texts of their generator and by real texts that it has not seen.

    names: of metrics; those that apply and are quick if None. features: a name of `TEXT_SPACES`. Who judges again and
    again keeps a `TextJudge`.

    Raises: MetricError for fewer than 2 texts of each kind, or a metric that does not apply.
    """
    real = RealTexts(training, held_out, open_text_features(features, device))
    return TextJudge(real, seed=seed, device=device)(MadeTexts(made, {}, made=True), None if names is None else names)


def evaluate_texts(
    real: Place,
    generated: Place,
    metrics: str | Iterable[str] | None = None,
    features: str | None = None,
    *,
    n: int = COUNT,
    k: int = NEIGHBOURS,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    temperatures: Sequence[float] | None = None,
) -> Evaluation:
    """Compares generated texts with real ones.

    real: a file, folder, archive or embedded corpus of texts, a tenth of which (1,000 at most) is held out; or a run,
    whose training texts and held-out texts they are. generated: the same kinds, or a run or generator of texts, of
    which n samples are taken. temperatures: of samples that quality and variety are measured of as well; the points are
    `curve` in the protocol.

    Raises: MetricError, DataError or RunError with what is wrong and what to do.
    """
    wanted = None if metrics is None else chosen(metrics)
    judge = TextJudge(
        real_texts(real, open_text_features(features or DEFAULT_SPACE, device), progress), k=k, seed=seed, device=device
    )
    made = made_texts(generated, n, seed, device, progress)
    if temperatures is not None and made.model is None:
        raise MetricError(f"{generated}: temperatures are for a run or generator of texts, and these are there already")
    evaluation = judge(made, wanted, progress)
    if temperatures is None or made.model is None:
        return evaluation
    model = made.model

    def sample(count: int, temperature: float) -> list[str]:
        stage = f"samples at temperature {temperature:g}"
        return texts_of(model, count, seed, progress, stage, temperature=temperature)

    points = curve_of(judge, sample, temperatures, n=n, progress=progress)
    return Evaluation(evaluation.metrics, {**evaluation.protocol, "curve": points}, evaluation.notices)


def curve(
    sample: Callable[[int, float], list[str]],
    temperatures: Iterable[float],
    held_out: Sequence[str],
    training: Sequence[str],
    *,
    n: int = 1000,
    order: int = 3,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Quality and variety of a generator over temperatures: `curves.curve_of` without features, as JSON values.

    sample: n texts at a temperature. order: n of BLEU and self-BLEU, 2 to 5.
    """
    judge = TextJudge(RealTexts(training, held_out, open_text_features(DEFAULT_SPACE)), seed=seed)
    return curve_of(judge, sample, temperatures, n=n, order=order)
