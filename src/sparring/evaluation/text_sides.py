"""The two sides of a comparison of texts: real ones with all that is known of them, and what is compared with these."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparring.config import given
from sparring.data import is_text, load_texts, read_texts
from sparring.data.pictures import split as divided
from sparring.data.sources import Progress
from sparring.errors import MetricError, RunError
from sparring.evaluation.headway import written
from sparring.metrics.language import LanguageModel
from sparring.metrics.overlap import all_clauses
from sparring.metrics.units import Corpus, Unit, coded, split, unit_of
from sparring.metrics.wellformed import forms
from sparring.model import FILE, FORMAT, Model
from sparring.networks.text_features import TextFeatures
from sparring.training.files import checksum
from sparring.training.run import Run

Place = str | PathLike[str]

HELD_OUT, MOST_HELD_OUT = 0.1, 1000
"""Share of real texts, and how many at most, that are held out where no run has held out any."""

LEAST = 2
"""Training texts, and held-out ones, that there must be: intervals tell how little a few are worth."""

TEXTS = frozenset([".txt", ".jsonl"])
"""How the names of files of texts end."""

SEEN = 1000
"""Files of a folder that tell what it holds."""


@dataclass(eq=False)
class RealTexts:
    """Training texts and held-out ones, and what is learnt from them once.

    The symbols that they are written in are the vocabulary of all language models that are compared.
    """

    training: Sequence[str]
    held_out: Sequence[str]
    space: TextFeatures
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, texts in (("training", self.training), ("held-out", self.held_out)):
            if len(texts) < LEAST:
                raise MetricError(
                    f"{len(texts)} {name} text{'s' * (len(texts) != 1)}; at least {LEAST} are needed to judge by"
                )
        self.unit: Unit = unit_of(self.training)
        self.numbers: dict[str, int] = {}
        self.training_corpus = self.corpus(self.training, self.numbers)
        self.held_out_corpus = self.corpus(self.held_out, self.numbers)
        self.vocabulary = len(self.numbers)

    def corpus(self, texts: Sequence[str], numbers: dict[str, int]) -> Corpus:
        """Texts as numbers; new tokens get new ones."""
        return coded((split(text, self.unit) for text in texts), numbers)

    def other_corpus(self, texts: Sequence[str]) -> Corpus:
        """The same of texts that add nothing to the vocabulary."""
        return self.corpus(texts, dict(self.numbers))

    @cached_property
    def model(self) -> LanguageModel:
        """Learnt from the training texts."""
        return LanguageModel(self.training_corpus, self.vocabulary)

    @cached_property
    def features(self) -> Tensor:
        """Of the held-out texts."""
        return self.space.features(self.held_out)

    @cached_property
    def known(self) -> frozenset[str]:
        """The training texts."""
        return frozenset(text.strip() for text in self.training)

    @cached_property
    def clauses(self) -> frozenset[str]:
        """Those of the training texts."""
        return all_clauses(self.training)

    @cached_property
    def forms(self) -> frozenset[str]:
        """The few that the training texts are written in; empty if there are many."""
        return forms(self.training)

    def some(self, count: int) -> Sequence[str]:
        """So many training texts, spread evenly; all if there are fewer. They stand for a perfect generator."""
        places = np.linspace(0, len(self.training) - 1, min(count, len(self.training))).round().astype(int)
        return [self.training[place] for place in places]


@dataclass(frozen=True)
class MadeTexts:
    """Generated texts, and what the protocol says of them. made: whether a generator could give any number."""

    texts: Sequence[str]
    about: Mapping[str, Any]
    made: bool = False
    model: Model | None = None


def is_texts(place: Place) -> bool:
    """Whether a place holds texts, or a run or generator that makes some."""
    path = Path(place)
    try:
        if (path / "config.toml").is_file():
            return _task(path) == "text"
        weights = path / FILE if path.is_dir() else path
        if weights.suffix == ".safetensors" and weights.is_file():
            return _task_of(weights) == "text"
        return is_text(place)
    except OSError:  # a command that writes pictures, say, is too long for a path
        return False


def real_texts(place: Place, space: TextFeatures, progress: Progress | None = None) -> RealTexts:
    """The texts of a place, of which some are held out: those that the run held out, if it is one.

    Raises: MetricError, DataError or RunError that says what is wrong.
    """
    path = Path(place)
    if not (path / "config.toml").is_file():
        found = read_texts(place, progress)
        count = min(MOST_HELD_OUT, round(HELD_OUT * len(found.texts)))
        about = {"kind": "texts", "name": str(place), "split": f"{count:,} of {len(found.texts):,} held out"}
        return _divided(found.texts, count, found.digest, space, about, str(place))
    run = Run(path).existing()
    settings = run.settings()
    known = load_texts(
        run.place_of_pictures(settings),
        tokens=given(settings.tokens),
        vocabulary_size=given(settings.vocabulary_size),
        longest=given(settings.length),
        progress=progress,
    )
    if run.data().get("fingerprint") != known.fingerprint:
        raise RunError(f"{settings.data} is not what {run} was trained on: its texts have changed")
    shown, unseen = known.hold_out(settings.held_out)
    if unseen is None:
        raise MetricError(f"{place}: none of its {len(known):,} texts were held out to judge by; give it more texts")
    texts = unseen.shown_texts()
    of_run: dict[str, Any] = {"kind": "training data of a run", "name": str(place), "split": "held out in training"}
    of_run |= {"count": len(texts), "fingerprint": known.fingerprint}
    return RealTexts(shown.shown_texts(), texts, space, of_run)


def made_texts(place: Place, n: int, seed: int = 0, device: str = "cpu", progress: Progress | None = None) -> MadeTexts:
    """n samples of a run or generator, or up to n texts of a place, spread evenly.

    Raises: MetricError, DataError or RunError that says what is wrong.
    """
    path = Path(place)
    weights = path / FILE if path.is_dir() else path
    if weights.suffix == ".safetensors" and weights.is_file():
        model = Model.load(path, device)
        about = {"kind": "generator", "name": str(place), "seed": seed, "digest": checksum(weights)}
        samples = texts_of(model, n, seed, progress, f"generated: samples of {place}")
        return MadeTexts(samples, {**about, "count": n}, made=True, model=model)
    if (path / "config.toml").is_file():
        raise RunError(f"{place}: it holds no generator yet (looked for {FILE})")
    found = read_texts(place, progress)
    texts = found.texts
    if len(texts) > n:
        texts = [texts[number] for number in np.linspace(0, len(texts) - 1, n).round().astype(int)]
    about = {"kind": "texts", "name": str(place), "count": len(texts), "digest": found.digest}
    return MadeTexts(texts, about | ({"of": len(found.texts)} if len(texts) < len(found.texts) else {}))


def texts_of(
    model: Model, n: int, seed: int, progress: Progress | None = None, stage: str = "", **options: Any
) -> list[str]:
    """n texts of a generator. Raises: MetricError if it makes none."""
    texts = written(model, n, seed, progress, stage, **options)
    if texts is None:
        raise MetricError("this generator makes no texts")
    return texts


def _divided(
    texts: Sequence[str], count: int, digest: str, space: TextFeatures, about: Mapping[str, Any], name: str
) -> RealTexts:
    shown, held_out = divided(len(texts), None, count, digest)
    if shown is None or held_out is None:
        raise MetricError(f"{name}: of {len(texts):,} texts none can be held out to judge by; give more")
    training, unseen = ([texts[number] for number in numbers.tolist()] for numbers in (shown, held_out))
    return RealTexts(training, unseen, space, {**about, "count": len(unseen), "fingerprint": digest})


def _task(run: Path) -> str:
    try:
        return str(tomllib.loads((run / "config.toml").read_text(encoding="utf-8")).get("task"))
    except (OSError, ValueError):
        return ""  # whoever opens the run says what is wrong


def _task_of(weights: Path) -> str:
    try:
        with safe_open(weights, framework="pt") as file:
            return str(json.loads((file.metadata() or {})[FORMAT])["task"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return ""
