"""Chooses every setting that nobody gave, from the pictures and the machine, and says why.

What is chosen depends on the data, the kind of device and `--size` alone, never on measured speed, so that the same
command makes the same run on the same kind of machine.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sparring import config
from sparring.adversarial.augment import RELATIVISTIC_TARGET
from sparring.choices import Choice, Choices, every, has_bf16, pick_device, shown, threads_for
from sparring.config import NETWORKS, Settings
from sparring.data import ClipSurvey, MoleculeSurvey, Survey, TextSurvey, buffer_for
from sparring.data.decode import Form
from sparring.errors import SettingError
from sparring.evaluation.extraction import default_space
from sparring.tasks import graphs_recipe, molecules_recipe, restore_recipe, text_recipe, translate_recipe, video_recipe
from sparring.wording import things


@dataclass(frozen=True)
class Recipe:
    """What suits pictures whose longer side is at most `side`, on one kind of device, at size M.

    gamma is the strength of R1 and R2; it and the learning rate fall to a tenth in the course of the budget, `images`.
    docs/recipes.md has the measurements behind the numbers for CPUs; those for GPUs follow the tables of R3GAN
    (arXiv 2501.05441, appendix) in narrower networks, or, for photographs, are a guess from those for CPUs.
    """

    side: int
    network: str
    width: int
    depth: int
    batch: int
    learning_rate: float
    gamma: float
    images: int
    z_dim: int = 64
    penalty_interval: int = 1


TINY = Recipe(
    12, "fast", width=256, depth=3, batch=128, learning_rate=1e-3, gamma=1.0, images=200_000, penalty_interval=2
)
CPU_RECIPES = (
    TINY,
    Recipe(24, "fast", width=64, depth=1, batch=64, learning_rate=1e-3, gamma=1.0, images=600_000),
    Recipe(48, "fast", width=32, depth=1, batch=64, learning_rate=1e-3, gamma=1.0, images=400_000),
    Recipe(1024, "fast", width=32, depth=1, batch=32, learning_rate=1e-3, gamma=1.0, images=400_000),
)
CPU_PHOTOGRAPHS = (
    Recipe(1024, "skip", width=48, depth=1, batch=32, learning_rate=2e-3, gamma=0.0, images=200_000, z_dim=128),
)
GPU_PHOTOGRAPHS = (
    Recipe(1024, "skip", width=96, depth=1, batch=64, learning_rate=2e-3, gamma=0.0, images=2_000_000, z_dim=128),
)
GPU_RECIPES = (
    TINY,
    Recipe(48, "r3", width=128, depth=2, batch=256, learning_rate=2e-4, gamma=0.05, images=10_000_000),
    Recipe(96, "r3", width=96, depth=2, batch=128, learning_rate=2e-4, gamma=2.0, images=5_000_000),
    Recipe(192, "r3", width=64, depth=2, batch=64, learning_rate=2e-4, gamma=15.0, images=5_000_000),
    Recipe(1024, "r3", width=32, depth=2, batch=64, learning_rate=2e-4, gamma=150.0, images=5_000_000),
)

FEATURES = "lite0"
"""What the discriminator of photographs looks through."""

LEAST_SEEN, MOST_SEEN = 64, 256
"""Pixels that the longer side of a photograph has at least and at most when it is looked at."""

PHOTOGRAPH_SIDE = 32
"""The shorter side from which on a picture shows enough for a classifier to see something in it."""

FALL = 0.1
SIZES = {"XS": 0.5, "S": 0.7, "M": 1.0, "L": 1.4, "XL": 2.0}
"""Width relative to size M. The learning rate falls with the root of the width, and the budget grows with it."""

OTHERWISE = {"unet": (32, 2), "fast": (32, 1), "r3": (16, 1), "skip": (48, 1), "dcgan": (64, 1)}
"""Width and depth of a family that somebody asked for where the recipe has another."""

UNKNOWN = 32, 1
"""Those of a family that somebody has registered."""

CPU_SIDE, GPU_SIDE = 64, 256
TINY_SIDE = 12
EPOCHS = 4
"""Times that each picture is shown at least, unless somebody gives a budget."""

EVALUATIONS = 20
LEAST_BETWEEN = 1000
"""Images between two evaluations at least: a run of seconds is not for being judged all the time."""

CHECKPOINTS = 20
WATCHES = 100
LEAST_BETWEEN_WATCHES = 50
"""Steps between two looks of the guard at least; one costs about as much as a step."""

HELD_OUT, MOST_HELD_OUT = 0.05, 256
"""Share of the pictures that the discriminator is never shown, and how many suffice."""


AnySurvey = Survey | TextSurvey | MoleculeSurvey | ClipSurvey

OTHER_TASKS: dict[str, Callable[[Choices, Survey, float], None]] = {"restore": restore_recipe.choose}
TASKS_OF_TEXT: dict[str, Callable[[Choices, TextSurvey, float], int]] = {"text": text_recipe.choose}


def choose(
    data: str,
    given: Mapping[str, Any],
    survey: AnySurvey,
    factor: float,
    survey_b: AnySurvey | None = None,
) -> tuple[Settings, list[Choice]]:
    """Complete settings out of those that are given, and the choices that people should know of.

    Another task than to generate chooses first what it knows better; what is left is chosen alike for all.

    given: checked values by name, of the preset and of the user. factor: capacity, one of the values of SIZES.
    survey_b: of the second set, if one is given.
    Raises: SettingError if the given settings do not go together, or ask for a device that is not there.
    """
    settings = Choices(given)
    pick = settings.choose
    settings.values["device"] = pick_device(given.get("device"))
    pick("data", data)
    task = pick("task", *suitable_task(survey, survey_b))
    if survey_b is not None and task != "translate":
        raise SettingError(f"task={task} takes one set, and two are given; --task translate takes two")
    if isinstance(survey, TextSurvey):
        if task not in TASKS_OF_TEXT:
            raise SettingError(f"task={task} is for pictures, and {survey.name} is text: --task text")
        usual = TASKS_OF_TEXT[task](settings, survey, factor)
    elif isinstance(survey, MoleculeSurvey):
        if task != "molecules":
            raise SettingError(f"task={task} is not for molecules, and {survey.name} holds some: --task molecules")
        recipe = graphs_recipe if pick("representation", "selfies") == "graph" else molecules_recipe
        usual = recipe.choose(settings, survey, factor)
    elif isinstance(survey, ClipSurvey):
        if task != "video":
            raise SettingError(f"task={task} is not for clips, and {survey.name} holds some: --task video")
        video_recipe.choose(settings, survey, factor)
        usual = choose_players_and_game(settings, survey.clips, factor)
    elif isinstance(survey_b, TextSurvey | MoleculeSurvey | ClipSurvey):
        raise SettingError(f"{survey_b.name} holds no pictures: pictures are translated into pictures")
    else:
        if task == "translate":
            translate_recipe.choose(settings, survey, survey_b, factor)
        if recipe_of_task := OTHER_TASKS.get(task):
            recipe_of_task(settings, survey, factor)
        usual = choose_for_pictures(settings, survey, factor)
    choose_for_all(settings, usual)
    return config.complete(settings.values), settings.told


def suitable_task(survey: AnySurvey, survey_b: AnySurvey | None) -> tuple[str, str]:
    """What can be learned from such data, and why."""
    if isinstance(survey, MoleculeSurvey):
        return "molecules", "as the data are"
    if isinstance(survey, TextSurvey):
        return "text", "as the data are"
    if isinstance(survey, ClipSurvey):
        return "video", "as the data are"
    return ("generate", "") if survey_b is None else ("translate", "two sets are given")


def choose_for_pictures(settings: Choices, survey: Survey, factor: float) -> int:
    """Fills in what depends on what the pictures are like, and gives the usual budget in images."""
    pick = settings.choose
    on_cpu = settings.values["device"] == "cpu"
    where = "a CPU" if on_cpu else "a GPU"
    longest = CPU_SIDE if on_cpu else GPU_SIDE
    pick("resolution", *resolution(survey, longest, where))
    pick("channels", survey.channels(), "as the pictures are")
    pick("fit", "crop")
    streams = pick("shuffle_buffer", *shuffle_buffer(settings.values, survey)) is not None
    pick("held_out", 0 if streams else min(int(HELD_OUT * survey.pictures), MOST_HELD_OUT))

    pick("discriminator_features", *pretrained(settings.values, survey))
    settings.confirm("discriminator_features")
    return choose_players_and_game(settings, survey.pictures, factor)


def choose_players_and_game(settings: Choices, count: int, factor: float) -> int:
    """Fills in the networks and the rules for `count` pictures or clips of a known resolution, and gives the usual
    budget in images."""
    pick = settings.choose
    on_cpu = settings.values["device"] == "cpu"
    where = "a CPU" if on_cpu else "a GPU"
    pick("supervised", 0.0)
    pick("labels", False)
    pick("mirror", False)
    side = max(settings.values["resolution"])
    features = settings.values["discriminator_features"]
    through = features != "none"
    table = (CPU_PHOTOGRAPHS if on_cpu else GPU_PHOTOGRAPHS) if through else CPU_RECIPES if on_cpu else GPU_RECIPES
    recipe = next(r for r in table if side <= r.side)
    network = pick("network", recipe.network, f"learns most in a given time at {side} pixels on {where}")
    if network in NETWORKS and network not in OTHERWISE:
        task = settings.values["task"]
        raise SettingError(f"network={network}: task={task} takes {', '.join(OTHERWISE)}")
    width, depth = (recipe.width, recipe.depth) if network == recipe.network else OTHERWISE.get(network, UNKNOWN)
    pick(
        "width",
        max(16, round(width * factor / 16) * 16),
        f"{factor:g} times that of size M" if factor != 1 else "size M",
    )
    pick("depth", depth)
    pick("z_dim", recipe.z_dim)
    seen = min(max(side, LEAST_SEEN), MOST_SEEN)
    pick(
        "discriminator_size",
        seen,
        "enlarged: a classifier sees little in fewer pixels" if through and side < seen else "",
    )
    pick("spectral_norm", through)

    pick("objective", "relativistic")
    penalty = pick("penalty", "none" if through else "r1+r2")
    pick("penalty_method", "exact")
    pick("penalty_step", 0.01)
    pick("penalty_stride", 1)
    pick("partner_stride", 1)
    pick("penalty_interval", recipe.penalty_interval if (network, penalty) == (recipe.network, "r1+r2") else 1)
    strength = "" if penalty == "none" else f"gamma of the penalty at {side} pixels; it falls tenfold"
    # Heads of bounded slope need no penalty; who asks for one gets that of networks without such a bound.
    scratch = next(r for r in (CPU_RECIPES if on_cpu else GPU_RECIPES) if side <= r.side)
    gamma = pick("penalty_strength", recipe.gamma if penalty == "none" else scratch.gamma, strength)
    pick("penalty_strength_final", gamma * FALL)

    batch = pick("batch", recipe.batch, f"for {side} pixels on {where}")
    pick("micro_batch", batch)
    rate = pick("learning_rate", recipe.learning_rate / math.sqrt(factor))
    pick("learning_rate_final", rate * FALL)
    pick("beta1", 0.0)
    pick("beta2", 0.99 if through else 0.9)
    pick("beta2_final", 0.99)
    pick("ema_half_life", 500_000.0)
    pick("ema_ramp", 0.05 if through else 0.03)

    usual = every(max(recipe.images * factor, EPOCHS * count), batch)
    if settings.values.get("minutes") is None:
        each = things(settings.values["task"])[1]
        why = f"each {each} {EPOCHS} times" if EPOCHS * count >= usual else f"for {side} pixels on {where}"
        pick("images", usual, f"the budget, {why}; --images or --minutes set another")
    # A budget that somebody gave is theirs to use up; the chosen one may turn out too large.
    asked = settings.was_given("images") or settings.was_given("minutes")
    pick("patience", None if asked else usual // 2)
    # The judge must not see through the eyes of the discriminator.
    space = "pixels" if features.startswith("wavelets") else default_space(*settings.values["resolution"])
    space = pick("quality_features", space, "the judge sees otherwise than the discriminator" if through else "")
    # Among pixels the Frechet distance is small before shapes are right: it knows means and covariances alone.
    pick("quality_metric", "prc" if space == "pixels" else "fid")
    # More than twice the features of the default space; of large pictures fewer, for the time that they take.
    # At most 256 MiB of pictures at once, and on a CPU not more than an evaluation is worth.
    pick("quality_samples", max(64, min(2000 if side <= 16 or not on_cpu else 1200, 2**31 // (4 * side**2))))
    pick("augment", *augmentation(side, through))
    # A layer of a tiny network takes less time than threads take to meet, above all where others use the cores as well.
    pick("threads", *((1, "") if side <= TINY_SIDE and not through else threads_for(settings)))
    return usual


def choose_for_all(settings: Choices, usual: int) -> None:
    """Fills in what depends on the other settings alone: when to look, save and stop, and the machine."""
    pick = settings.choose
    pick("seed", 0)
    pick("adversarial", True)
    pick("labels", False)
    pick("mirror", False)
    batch = settings.values["batch"]
    budget = settings.values.get("images") or usual
    pick("images", None)
    pick("minutes", None)
    pick("evaluate_every", every(max(budget / EVALUATIONS, LEAST_BETWEEN), batch))
    pick("checkpoint_every", every(max(budget / CHECKPOINTS, LEAST_BETWEEN), batch))
    pick("guard", "on")
    pick("guard_every", every(max(budget / WATCHES, LEAST_BETWEEN_WATCHES * batch), batch))
    pick("augment_target", RELATIVISTIC_TARGET if settings.values["objective"].startswith("relativistic") else 0.6)
    pick("augment_images", min(500_000, max(budget // 4, 1)))
    pick("precision", "bf16" if has_bf16(settings.values["device"]) else "fp32")
    pick("save_seconds", 20.0)
    pick("preview_seconds", 5.0)
    pick("tensorboard", False)


def resolution(survey: Survey, longest: int, where: str) -> tuple[tuple[int, int], str]:
    """(height, width) in the proportions of most pictures, the longer side at most `longest`; and why.

    Pictures of many shapes give a square of the shorter side.
    """
    height, width = common = survey.common_size()
    why = f"most pictures are {shown(common)}"
    if 2 * survey.sizes.get(common, 0) < len(survey.items):
        height = width = min(common)
        why = f"pictures of many shapes, about {shown(common)}"
    shrink = min(1.0, longest / max(height, width))
    chosen = max(4, round(height * shrink)), max(4, round(width * shrink))
    if chosen == common:
        return chosen, "as most pictures are"
    return chosen, f"{why}; the longer side is at most {longest} on {where}"


def shuffle_buffer(settings: Mapping[str, Any], survey: Survey) -> tuple[int | None, str]:
    """How many pictures are mixed while they stream from shards, None where all are held in memory; and why."""
    if survey.in_shards is None:
        return None, ""
    height, width = settings["resolution"]
    buffer = buffer_for(survey.in_shards, Form(height, width, settings["channels"], settings["fit"]))
    return buffer, "" if buffer is None else f"{survey.in_shards:,} pictures do not fit into memory: they stream"


def pretrained(settings: Mapping[str, Any], survey: Survey) -> tuple[str, str]:
    """The network that the discriminator looks through, `none` where it learns to see by itself; and why.

    Who asks for a network of generators other than the one for photographs means the pair of that name.
    """
    if settings["channels"] != 3 or not survey.photographic():
        return "none", ""
    if min(settings["resolution"]) < PHOTOGRAPH_SIDE:
        return "none", f"a classifier sees little in photographs below {PHOTOGRAPH_SIDE} pixels a side"
    if (network := settings.get("network", "skip")) != "skip":
        return "none", f"network={network} learns to see; for photographs --preset photographs learns more"
    return FEATURES, "photographs: what it knows of pictures need not be learned anew"


def augmentation(side: int, through_features: bool) -> tuple[str, str]:
    """The augmentation, and why."""
    if through_features:
        return "diffaugment", "the discriminator should not learn the pictures by heart"
    if side <= TINY_SIDE:
        return "none", "so few pixels have no room for it"
    return "ada", "it comes on by itself if the discriminator learns the pictures by heart"
