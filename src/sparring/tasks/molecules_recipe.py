"""What the task of molecules chooses of its settings, before the rest is chosen as for all tasks."""

import math
from pathlib import Path

import torch

from sparring.choices import Choices, every
from sparring.data import MoleculeSurvey

USUAL, TIMES = 64, 3
"""Symbols that a molecule has at most, or so many times those of the median if that is more: all sequences take the
time of the longest."""

WIDTH, DEPTH = 192, 3
CPU_BATCH, BATCH = 64, 128
"""On a CPU lessons want small batches (32 reached a perplexity of 3.3 in 42 seconds on one core with 20,000 of MOSES,
128 only 4.7), and the game large ones, since many are written in little more time than few."""

SUPERVISED_RATE, RATE, JUDGE_RATE, FALL = 2e-3, 1e-4, 3e-4, 0.1
SUPERVISED, HEAD_START = 0.8, 0.1
HELD_OUT, LEAST_HELD_OUT, MOST_HELD_OUT = 0.05, 2, 2000
"""Share of the molecules that are held out if any are; a single one cannot be judged by."""

FEW = 20_000
"""Molecules below which some symbols are hidden, or the generator would know all by heart."""

EPOCHS, LEAST_SHOWN = 10, 300_000


def own_function(what: object) -> tuple[Path, str] | None:
    """The file and the function of a reward that is a program of the user's; None if it is a property, or nothing."""
    path, colon, function = str(what or "").rpartition(":")
    return (Path(path), function) if colon and path.endswith(".py") else None


def anchored(what: str) -> str:
    """The same reward by a name that means the same in every folder: the path of a file becomes absolute."""
    own = own_function(what)
    return what if own is None else f"{own[0].expanduser().absolute()}:{own[1]}"


def choose(settings: Choices, survey: MoleculeSurvey, factor: float) -> int:
    """Fills in what suits molecules, and gives the usual budget in molecules shown.

    Raises: SettingError if the given settings do not go together, or RDKit is not installed.
    """
    from sparring.chemistry import chemnet

    pick = settings.choose
    most = max(USUAL, TIMES * survey.selfies_median)
    rare = survey.selfies_longest > most
    pick("length", min(most, survey.selfies_longest), "longer ones are rare, and would take time from all" * rare)
    spared = min(int(HELD_OUT * survey.molecules), MOST_HELD_OUT)
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
    few = survey.molecules < FEW
    pick("symbol_dropout", 0.2 if few else 0.0, f"{survey.molecules:,} could be learnt by heart" if few else "")

    asked = pick("optimise", None)
    pick("reward_weight", None if asked is None else 1.0)
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

    batch = pick("batch", CPU_BATCH if settings.values["device"] == "cpu" else BATCH)
    pick("micro_batch", batch)
    pick("supervised_learning_rate", SUPERVISED_RATE / math.sqrt(factor))
    rate = pick("learning_rate", RATE / math.sqrt(factor))
    pick("learning_rate_final", rate * FALL)
    pick("judge_learning_rate", JUDGE_RATE / math.sqrt(factor))
    pick("beta1", 0.9)
    pick("beta2", 0.99)
    pick("beta2_final", 0.99)
    pick("ema_half_life", 20_000.0)
    pick("ema_ramp", 0.05)

    usual = every(max(LEAST_SHOWN * factor, EPOCHS * survey.molecules), batch)
    if settings.values.get("minutes") is None:
        why = f"each molecule about {usual / survey.molecules:.0f} times"
        pick("images", usual, f"the budget, {why}; --images or --minutes set another")
    pick("patience", None)
    known = chemnet.available()
    through = "chemnet" if known and settings.values.get("quality_metric") != "fdd" else "descriptors"
    space = pick("quality_features", through, "" if known else "fcd_torch is missing")
    distance = "fcd" if space == "chemnet" else "fdd"
    pick("quality_metric", "perplexity" if not playing else distance if asked is None else "reward")
    pick("supervised_metric", "perplexity")
    pick("quality_samples", 1000)
    pick("threads", torch.get_num_threads())
    return usual
