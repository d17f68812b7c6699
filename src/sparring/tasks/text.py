"""Texts, one symbol after another: poems, captions, program code."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from PIL.Image import Image
from torch import nn

from sparring.evaluation.curves import curve_of
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.text_sides import MadeTexts, RealTexts
from sparring.evaluation.texts import TextJudge
from sparring.networks.text_features import open_text_features
from sparring.tasks.sequences import FORWARD, Sequential, sample

PREVIEWED = 16
TEMPERATURES, TRADED = (0.6, 0.8, 1.0, 1.2), 300
"""Where quality is weighed against variety, and by how many texts at most."""

JUDGED_SEED = 2**63 - 1
"""Evaluation has seeds of its own, so that what is chosen by it is not what a user then samples."""


class Text(Sequential):
    """The task of writing texts like those of a corpus."""

    def written(self, generator: nn.Module, n: int, seed: int, temperature: float = 1.0) -> list[str]:
        """The first texts of a seed, as `sparring sample` gives them."""
        decode = self.data.vocabulary.decode
        return [decode(tokens) for tokens in sample(generator, self.blueprint, n, seed, temperature).tolist()]

    def preview(self, generator: nn.Module) -> Sequence[str]:
        """The first texts of seed 0."""
        return self.written(generator, PREVIEWED, seed=0)

    def illustrations(self, generator: nn.Module) -> Mapping[str, Image]:
        """None: texts are read."""
        return {}

    def judge(self, generator: nn.Module) -> Evaluation:
        """Texts of a seed of their own against those that were trained on, and those held out."""
        made = self.written(generator, self.settings.quality_samples, JUDGED_SEED)
        found = self.judged_by(MadeTexts(made, {"name": "in training", "seed": JUDGED_SEED}, made=True), None)
        return replace(found, metrics={"perplexity": self.perplexity(generator), **found.metrics})

    def writing_time(self, generator: nn.Module, n: int) -> float:
        """Seconds that n texts take, by those of one batch."""
        start = time.perf_counter()
        self.written(generator, FORWARD, JUDGED_SEED)
        return (time.perf_counter() - start) * n / FORWARD

    @property
    def weighed(self) -> int:
        """Texts at all temperatures together."""
        return len(TEMPERATURES) * min(TRADED, self.settings.quality_samples)

    def trade_off(self, generator: nn.Module) -> Sequence[Mapping[str, Any]]:
        """BLEU, self-BLEU and perplexities at several temperatures, from seeds of their own."""

        def written(n: int, temperature: float) -> list[str]:
            return self.written(generator, n, JUDGED_SEED - 1, temperature)

        return curve_of(self.judged_by, written, TEMPERATURES, n=self.weighed // len(TEMPERATURES))

    @cached_property
    def judged_by(self) -> TextJudge:
        """Who knows the texts that are trained on and those that are not; the same where none can be spared."""
        shown, device = self.shown.shown_texts(), self.settings.device
        unseen = shown if self.held_out is None else self.held_out.shown_texts()
        return TextJudge(
            RealTexts(shown, unseen, open_text_features(self.settings.quality_features, device)), device=device
        )

    def describe(self) -> dict[str, object]:
        """The blueprint, as JSON values."""
        return self.blueprint.describe()
