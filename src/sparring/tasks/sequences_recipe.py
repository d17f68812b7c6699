"""What the recipes of texts and of molecules have in common, since both play the game of sequences."""

import math

from sparring.choices import Choices, every

SUPERVISED_RATE, RATE, JUDGE_RATE, FALL = 3e-3, 1e-4, 3e-4, 0.1

OF_THE_GAME = (
    *("gradient", "discount", "gumbel_temperature", "likelihood_weight", "objective", "penalty", "penalty_strength"),
    *("penalty_strength_final", "head_start", "judge_learning_rate", "judge_width", "judge_depth", "spectral_norm"),
)
"""Settings that mean nothing without a game: who gives one wants it played."""

HELD_OUT, LEAST_HELD_OUT = 0.05, 2
"""Share of the sequences that are held out if any are; a single one cannot be judged by."""


MOST_TIMES, LEAST_OF_FEW = 100, 10_000
"""Times that each sequence is shown at most where there are few, and how many are shown at least of the fewest. With
200 captions those held out were foreseen best after 8 times, with 200 molecules after 24; and evaluations are spread
over the budget: of one of 200,000 the first comes after 50 times."""


def hold_out(settings: Choices, sequences: int, most: int) -> None:
    """Fills in how many of the sequences are not trained on."""
    spared = min(int(HELD_OUT * sequences), most)
    settings.choose("held_out", max(spared, LEAST_HELD_OUT) if spared else 0)
    settings.choose("shuffle_buffer", None)


def budget(sequences: int, epochs: int, least: float, batch: int) -> int:
    """The usual budget: each sequence shown `epochs` times, and `least` shown unless there are few."""
    few = max(MOST_TIMES * sequences, LEAST_OF_FEW)
    return every(max(min(least, few), epochs * sequences), batch)


def choose_players(settings: Choices, factor: float, width: int, depth: int) -> None:
    """Fills in the transformers, of a width and depth at size M."""
    pick = settings.choose
    pick("network", "transformer")
    pick("width", max(64, round(width * factor / 64) * 64), f"{factor:g} times that of size M" if factor != 1 else "")
    pick("depth", depth)
    pick("judge_width", settings.values["width"])
    pick("judge_depth", settings.values["depth"], "as the generator, so that it begins by reading as that does")
    pick("z_dim", None)
    pick("discriminator_features", "none")
    pick("spectral_norm", False)


def choose_game(settings: Choices, supervised: float, head_start: float, against: str = "") -> bool:
    """Fills in the rules of the game and when it begins; gives whether it is played.

    against: a reason not to play, unless somebody asks for it, by a setting of the game if not by `adversarial`.
    """
    pick = settings.choose
    asked = next(filter(settings.was_given, OF_THE_GAME), None)
    pick("gradient", "policy")
    pick("discount", 0.5)
    pick("gumbel_temperature", 1.0)
    pick("likelihood_weight", 1.0)
    pick("objective", "non-saturating")
    penalty = pick("penalty", "none")
    pick("penalty_method", "exact")
    pick("penalty_step", 0.01)
    pick("penalty_interval", 1)
    pick("penalty_stride", 1)
    pick("partner_stride", 1)
    pick("penalty_strength", 0.0 if penalty == "none" else 1.0)
    pick("penalty_strength_final", settings.values["penalty_strength"])
    pick("augment", "none")
    why = f"{asked} is given, a setting of the game" if against and asked else against
    playing = bool(pick("adversarial", not against or asked is not None, why))
    pick("supervised", supervised if playing else 1.0)
    pick("head_start", head_start if playing else 0.0)
    return playing


def choose_rates(settings: Choices, factor: float) -> None:
    """Fills in what the optimisers and the average go by."""
    pick = settings.choose
    pick("supervised_optimiser", "muon")
    pick("supervised_learning_rate", SUPERVISED_RATE / math.sqrt(factor))
    rate = pick("learning_rate", RATE / math.sqrt(factor))
    pick("learning_rate_final", rate * FALL)
    pick("judge_learning_rate", JUDGE_RATE / math.sqrt(factor))
    pick("beta1", 0.9)
    pick("beta2", 0.99)
    pick("beta2_final", 0.99)
    pick("ema_half_life", 20_000.0)
    pick("ema_ramp", 0.05)
