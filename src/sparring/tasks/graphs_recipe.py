"""What molecules as graphs choose of their settings, before the rest is chosen as for all tasks."""

import math

from sparring.choices import Choices
from sparring.data import MoleculeSurvey
from sparring.errors import SettingError
from sparring.tasks.molecules_recipe import MOST_HELD_OUT, choose_quality, choose_reward
from sparring.tasks.sequences_recipe import budget, hold_out

MOST_ATOMS = 20
"""A graph has a kind for each pair of atoms, so what is to be learnt grows with the square of their number."""

WIDTH, DEPTH, Z_DIM = 64, 2, 32
BATCH = 64

SUPERVISED = 0.6
"""Share of the budget before the game: of images most, which then take a quarter of the time that they take in it."""

GAMMA = 0.05
"""Of R1 and R2. On QM9, in under two minutes of game on a busy core, the Frechet distance of descriptors came from 2.28
to 0.97, and with 1, at which the discriminator hardly tells the two apart, from 2.40 to 2.26."""

SUPERVISED_RATE, RATE, JUDGE_RATE, FALL = 1e-3, 1e-3, 1e-3, 0.1

EPOCHS, LEAST_SHOWN = 10, 300_000


def choose(settings: Choices, survey: MoleculeSurvey, factor: float) -> int:
    """Fills in what suits small molecules, and gives the usual budget in molecules shown.

    Raises: SettingError if most molecules are too large.
    """
    pick = settings.choose
    rare = survey.heavy_longest > MOST_ATOMS
    atoms = pick("atoms", min(max(survey.heavy_longest, 2), MOST_ATOMS), "larger ones are left out" * rare)
    if survey.heavy_median > atoms:
        raise SettingError(
            f"representation=graph is for small molecules, and half of those of {survey.name} have "
            f"{survey.heavy_median} atoms or more, hydrogen apart, above the {atoms} of atoms: representation=selfies "
            "takes them all"
        )
    hold_out(settings, survey.molecules, MOST_HELD_OUT)

    pick("network", "graph")
    # Heads of the attention share the width evenly.
    pick("width", max(16, round(WIDTH * factor / 16) * 16), f"{factor:g} times that of size M" if factor != 1 else "")
    pick("depth", DEPTH)
    pick("judge_width", settings.values["width"])
    pick("judge_depth", DEPTH)
    pick("z_dim", Z_DIM)
    pick("discriminator_features", "none")
    pick("spectral_norm", False)

    choose_reward(settings)
    pick("objective", "relativistic")
    penalty = pick("penalty", "r1+r2")
    pick("penalty_method", "exact")
    pick("penalty_step", 0.01)
    pick("penalty_stride", 1)
    pick("partner_stride", 1)
    pick("penalty_interval", 4 if penalty == "r1+r2" else 1)
    strength = pick("penalty_strength", 0.0 if penalty == "none" else 20.0 if penalty == "wgan-gp" else GAMMA)
    pick("penalty_strength_final", strength)
    pick("augment", "none")
    playing = bool(pick("adversarial", True))
    pick("supervised", SUPERVISED if playing else 1.0)
    pick("head_start", 0.0)
    pick("likelihood_weight", 0.1)

    batch = pick("batch", BATCH)
    pick("micro_batch", batch)
    pick("supervised_optimiser", "adam")
    pick("supervised_learning_rate", SUPERVISED_RATE / math.sqrt(factor))
    rate = pick("learning_rate", RATE / math.sqrt(factor))
    pick("learning_rate_final", rate * FALL)
    pick("judge_learning_rate", JUDGE_RATE / math.sqrt(factor))
    pick("beta1", 0.9)
    pick("beta2", 0.99)
    pick("beta2_final", 0.99)
    pick("ema_half_life", 20_000.0)
    pick("ema_ramp", 0.05)

    usual = budget(survey.molecules, EPOCHS, LEAST_SHOWN * factor, batch)
    if settings.values.get("minutes") is None:
        why = f"each molecule about {usual / survey.molecules:.0f} times"
        pick("images", usual, f"the budget, {why}; --images or --minutes set another")
    pick("patience", None)
    choose_quality(settings)
    pick("threads", 1, "graphs are small: a layer takes less time than threads take to meet")
    return usual
