"""What the text task chooses of its settings, before the rest is chosen as for all tasks."""

import math
from importlib.util import find_spec

import torch

from sparring.choices import Choices, every
from sparring.data import TextSurvey

CHARACTERS_UP_TO = 48
"""Characters of a usual text up to which each is a symbol of its own; longer texts are cut into frequent pieces."""

MOST_CHARACTERS, MOST_PIECES = 8000, 4000
"""Symbols at most; of rarer characters there is too little to learn from."""

LONGEST = 192

WIDTH, DEPTH = 256, 4
BATCH = 64
ROOM = 2**24
"""Numbers that the one-hot texts of a micro-batch have at most: 64 MiB, of which a step needs several times as much."""

SUPERVISED_RATE, RATE, JUDGE_RATE, FALL = 2e-3, 1e-4, 3e-4, 0.1
SUPERVISED, HEAD_START = 0.7, 0.15
HELD_OUT, LEAST_HELD_OUT, MOST_HELD_OUT = 0.05, 2, 1000
"""Share of the texts that are held out if any are; a single one cannot be judged by."""

EPOCHS, LEAST_SHOWN = 30, 200_000


def cut(short: bool) -> tuple[str, str]:
    """What texts are cut into, and why."""
    if short:
        return "characters", "texts are short"
    if find_spec("tokenizers") is None:
        return (
            "characters",
            "for want of the library tokenizers; pip install 'sparring[text]' learns more from long texts",
        )
    return "bpe", "texts are long"


def choose(settings: Choices, survey: TextSurvey, factor: float) -> int:
    """Fills in what suits texts, and gives the usual budget in texts shown.

    Raises: SettingError if the given settings do not go together.
    """
    pick = settings.choose
    short = survey.median <= CHARACTERS_UP_TO
    tokens = pick("tokens", *cut(short))
    pick("vocabulary_size", MOST_CHARACTERS if tokens == "characters" else MOST_PIECES)
    pick("length", LONGEST)
    spared = min(int(HELD_OUT * survey.texts), MOST_HELD_OUT)
    pick("held_out", max(spared, LEAST_HELD_OUT) if spared else 0)
    pick("shuffle_buffer", None)

    pick("network", "transformer")
    pick("width", max(64, round(WIDTH * factor / 64) * 64), f"{factor:g} times that of size M" if factor != 1 else "")
    pick("depth", DEPTH)
    pick("judge_width", settings.values["width"])
    pick("judge_depth", settings.values["depth"], "as the generator, so that it begins by reading as that does")
    pick("z_dim", None)
    pick("discriminator_features", "none")
    pick("spectral_norm", False)
    pick("symbol_dropout", 0.2)

    pick("gradient", "policy")
    pick("discount", 0.5)
    pick("gumbel_temperature", 1.0)
    pick("likelihood_weight", 1.0)
    pick("objective", "non-saturating")
    penalty = pick("penalty", "none")
    pick("penalty_method", "exact")
    pick("penalty_step", 0.01)
    pick("penalty_interval", 1)
    pick("penalty_strength", 0.0 if penalty == "none" else 1.0)
    pick("penalty_strength_final", settings.values["penalty_strength"])
    pick("augment", "none")
    playing = pick("adversarial", True)
    pick("supervised", SUPERVISED if playing else 1.0)
    pick("head_start", HEAD_START if playing else 0.0)

    batch = pick("batch", BATCH)
    symbols = settings.values["vocabulary_size"] if tokens == "bpe" else survey.distinct
    places = min(settings.values["length"], survey.longest)
    pick("micro_batch", max(1, min(batch, ROOM // (symbols * places))))
    pick("supervised_learning_rate", SUPERVISED_RATE / math.sqrt(factor))
    rate = pick("learning_rate", RATE / math.sqrt(factor))
    pick("learning_rate_final", rate * FALL)
    pick("judge_learning_rate", JUDGE_RATE / math.sqrt(factor))
    pick("beta1", 0.9)
    pick("beta2", 0.99)
    pick("beta2_final", 0.99)
    pick("ema_half_life", 20_000.0)
    pick("ema_ramp", 0.05)

    usual = every(max(LEAST_SHOWN * factor, EPOCHS * survey.texts), batch)
    if settings.values.get("minutes") is None:
        pick("images", usual, f"the budget, each text {EPOCHS} times; --images or --minutes set another")
    pick("patience", None)
    pick("quality_features", "ngrams")
    pick("quality_metric", "reverse" if playing else "perplexity")
    pick("supervised_metric", "perplexity")
    pick("quality_samples", 1000)
    pick("threads", torch.get_num_threads())
    return usual
