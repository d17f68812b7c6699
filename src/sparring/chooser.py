"""Chooses every setting that nobody gave, from the pictures and the machine, and says why.

What is chosen depends on the data, the kind of device and `--size` alone, never on measured speed, so that the same
command makes the same run on the same kind of machine.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from sparring import config
from sparring.adversarial.augment import RELATIVISTIC_TARGET
from sparring.config import Settings
from sparring.data import Survey
from sparring.errors import SettingError


@dataclass(frozen=True)
class Recipe:
    """What suits pictures whose longer side is at most `side`, on one kind of device.

    The numbers are for size M; docs/recipes.md has the measurements behind them.
    """

    side: int
    network: str
    width: int
    depth: int
    z_dim: int
    batch: int
    learning_rate: float
    gamma: float
    images: int


CPU_RECIPES = (
    Recipe(12, "fast", width=256, depth=3, z_dim=64, batch=128, learning_rate=1e-3, gamma=1.0, images=400_000),
    Recipe(24, "fast", width=64, depth=1, z_dim=64, batch=64, learning_rate=1e-3, gamma=0.5, images=400_000),
    Recipe(48, "fast", width=64, depth=1, z_dim=64, batch=64, learning_rate=1e-3, gamma=0.5, images=200_000),
    Recipe(1024, "fast", width=64, depth=1, z_dim=64, batch=32, learning_rate=1e-3, gamma=1.0, images=100_000),
)
GPU_RECIPES = CPU_RECIPES

LEARNING_RATE_FALL = 0.1
GAMMA_FALL = 0.1
SIZES = {"XS": 0.5, "S": 0.7, "M": 1.0, "L": 1.4, "XL": 2.0}
"""Width relative to size M. The learning rate falls with the root of the width, and the budget grows with it."""

CPU_SIDE, GPU_SIDE = 64, 256
EVALUATIONS = 20
CHECKPOINTS = 5


@dataclass(frozen=True)
class Choice:
    """One setting, its value as people read it, and the reason for it."""

    setting: str
    value: str
    reason: str


def choose(data: str, given: Mapping[str, Any], survey: Survey, size: str | None) -> tuple[Settings, list[Choice]]:
    """Complete settings out of those that are given, and the choices that people should know of.

    given: checked values by name, of the preset and of the user. size: one of SIZES, None for M.
    Raises: SettingError if the given settings do not go together, or ask for a device that is not there.
    """
    device = pick_device(given.get("device"))
    on_cpu = device == "cpu"
    choices: list[Choice] = []

    def say(setting: str, value: object, reason: str) -> Any:
        if setting not in given:
            choices.append(Choice(setting, str(value), reason))
        return given.get(setting, value)

    where = "a CPU" if on_cpu else "a GPU"
    height, width = resolution(survey, CPU_SIDE if on_cpu else GPU_SIDE)
    values: dict[str, Any] = {"data": data, "task": "generate", "seed": 0, **given, "device": device}
    values["resolution"] = given.get("resolution", (height, width))
    if "resolution" not in given:
        found = "x".join(map(str, survey.common_size()))
        choices.append(
            Choice("resolution", f"{height}x{width}", f"the pictures are mostly {found}, this is for {where}")
        )
    side = max(values["resolution"])
    recipe = next(r for r in (CPU_RECIPES if on_cpu else GPU_RECIPES) if side <= r.side)
    factor = SIZES[size or "M"]
    wide = max(16, round(recipe.width * factor / 16) * 16)
    values["channels"] = say("channels", survey.channels(), "as the pictures are")
    values["network"] = say("network", recipe.network, f"best per second at this resolution on {where}")
    values["width"] = say("width", wide, f"size {size or 'M'}")
    values["batch"] = say("batch", recipe.batch, "measured at this resolution")
    rate = recipe.learning_rate / math.sqrt(factor)
    start = values.get("learning_rate", rate)
    gamma = values.get("penalty_strength", recipe.gamma)
    values["penalty_strength"] = gamma
    if values.get("penalty", "r1+r2") != "none" and "penalty_strength" not in given:
        strength = f"{gamma:g}, falling to {values.get('penalty_strength_final', gamma * GAMMA_FALL):g}"
        choices.append(Choice("penalty_strength", strength, "R1 and R2 for this resolution"))
    augment, reason = augmentation(survey.pictures, side)
    values["augment"] = say("augment", augment, reason)
    batch = values["batch"]
    if values.get("images") is None and values.get("minutes") is None:
        values["images"] = round(recipe.images * factor / batch) * batch
        choices.append(
            Choice(
                "images",
                f"{values['images']:,}",
                f"budget for {side} pixels on {where}; --images or --minutes change it",
            )
        )
        values.setdefault("patience", values["images"] // 2)
    budget = values.get("images") or round(recipe.images * factor)
    defaults = {
        "fit": "crop",
        "labels": False,
        "mirror": False,
        "z_dim": recipe.z_dim,
        "depth": recipe.depth,
        "spectral_norm": False,
        "objective": "relativistic",
        "penalty": "r1+r2",
        "penalty_method": "exact",
        "penalty_step": 0.01,
        "penalty_interval": 1,
        "penalty_strength_final": gamma * GAMMA_FALL,
        "augment_target": RELATIVISTIC_TARGET if values.get("objective", "relativistic") == "relativistic" else 0.6,
        "augment_images": min(500_000, max(budget // 4, 1)),
        "micro_batch": batch,
        "learning_rate": start,
        "learning_rate_final": start * LEARNING_RATE_FALL,
        "beta1": 0.0,
        "beta2": 0.9,
        "beta2_final": 0.99,
        "ema_half_life": float(500_000),
        "ema_ramp": 0.03,
        "images": None,
        "minutes": None,
        "patience": None,
        "evaluate_every": every(budget / EVALUATIONS, batch),
        "checkpoint_every": every(budget / CHECKPOINTS, batch),
        "quality_samples": 2000 if side <= 16 or not on_cpu else 512,
        "precision": "bf16" if has_bf16(device) else "fp32",
        "save_seconds": 20.0,
        "preview_seconds": 5.0,
        "tensorboard": False,
    }
    return config.complete(defaults | values), choices


def every(images: float, batch: int) -> int:
    """A multiple of the batch near `images`, at least one batch."""
    return max(1, round(images / batch)) * batch


def resolution(survey: Survey, longest: int) -> tuple[int, int]:
    """(height, width) in the proportions of most pictures, the longer side at most `longest`.

    Pictures of many shapes give a square of the shorter side.
    """
    height, width = survey.common_size()
    if 2 * survey.sizes.get((height, width), 0) < survey.pictures:
        height = width = min(height, width)
    shrink = min(1.0, longest / max(height, width))
    return max(4, round(height * shrink)), max(4, round(width * shrink))


def augmentation(pictures: int, side: int) -> tuple[str, str]:
    """The augmentation, and why."""
    if side <= 12:
        return "none", "so small pictures have no room for it"
    return "ada", f"{pictures:,} pictures: it comes on by itself if the discriminator learns them by heart"


def pick_device(wanted: str | None) -> str:
    """The device to train on: the one asked for, else the best there is.

    Raises: SettingError if the one asked for is not there.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted is None:
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, number = wanted.partition(":")
    there = {"cpu": True, "mps": mps, "cuda": cuda and int(number or 0) < torch.cuda.device_count()}
    if not there[kind]:
        have = ", ".join(name for name, found in (("cpu", True), ("cuda", cuda), ("mps", mps)) if found)
        raise SettingError(f"device={wanted}: this machine or this build of torch has none; it has {have}")
    return wanted


def has_bf16(device: str) -> bool:
    """Whether the device computes in bf16 faster than in float32."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device == "mps":
        return False
    abilities = torch.cpu.get_capabilities()
    return any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
