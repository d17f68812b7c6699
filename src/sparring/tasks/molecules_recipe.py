"""What the task of molecules chooses of its settings, before the rest is chosen as for all tasks."""

from pathlib import Path

from sparring.choices import Choices, threads_for
from sparring.data import MoleculeSurvey
from sparring.tasks.sequences_recipe import budget, choose_game, choose_players, choose_rates, hold_out

USUAL, TIMES = 64, 3
"""Symbols that a molecule has at most, or so many times those of the median if that is more: all sequences take the
time of the longest."""

WIDTH, DEPTH = 192, 3
CPU_BATCH, BATCH = 64, 128
"""On a CPU lessons want small batches (32 reached a perplexity of 3.3 in 42 seconds on one core with 20,000 of MOSES,
128 only 4.7), and the game large ones, since many are written in little more time than few."""

SUPERVISED, HEAD_START = 0.8, 0.1
MOST_HELD_OUT = 2000

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
    pick = settings.choose
    most = max(USUAL, TIMES * survey.selfies_median)
    rare = survey.selfies_longest > most
    pick("length", min(most, survey.selfies_longest), "longer ones are rare, and would take time from all" * rare)
    hold_out(settings, survey.molecules, MOST_HELD_OUT)

    choose_players(settings, factor, WIDTH, DEPTH)
    few = survey.molecules < FEW
    pick("symbol_dropout", 0.2 if few else 0.0, f"{survey.molecules:,} could be learnt by heart" if few else "")

    choose_reward(settings)
    playing = choose_game(settings, SUPERVISED, HEAD_START)

    batch = pick("batch", CPU_BATCH if settings.values["device"] == "cpu" else BATCH)
    pick("micro_batch", batch)
    choose_rates(settings, factor)

    usual = budget(survey.molecules, EPOCHS, LEAST_SHOWN * factor, batch)
    if settings.values.get("minutes") is None:
        why = f"each molecule about {usual / survey.molecules:.0f} times"
        pick("images", usual, f"the budget, {why}; --images or --minutes set another")
    pick("patience", None)
    choose_quality(settings, "perplexity" if not playing else None)
    pick("supervised_metric", "perplexity")
    pick("threads", *threads_for(settings))
    return usual


def choose_reward(settings: Choices) -> None:
    """Fills in what is asked for besides likeness, and how much it weighs."""
    asked = settings.choose("optimise", None)
    settings.choose("reward_weight", None if asked is None else 1.0)


def choose_quality(settings: Choices, metric: str | None = None) -> None:
    """Fills in what judges molecules: this metric, or without one what is asked for, or else a Frechet distance."""
    from sparring.chemistry import chemnet

    pick = settings.choose
    known = chemnet.available()
    through = "chemnet" if known and settings.values.get("quality_metric") != "fdd" else "descriptors"
    space = pick("quality_features", through, "" if known else "fcd_torch is missing")
    distance = "fcd" if space == "chemnet" else "fdd"
    pick("quality_metric", metric or (distance if settings.values["optimise"] is None else "reward"))
    pick("quality_samples", 1000)
