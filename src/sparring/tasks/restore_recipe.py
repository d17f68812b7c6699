"""What the restore task chooses of its settings, before the rest is chosen as for all tasks."""

import math

from sparring.choices import Choices, every, pick_device, shown
from sparring.data import Survey, buffer_for
from sparring.data.decode import Form
from sparring.errors import SettingError

SIDES = {"inpaint": 64, "denoise": 72, "super": 96, "mixed": 96}
"""Pixels a side of a patch on a CPU, for each damage; on a GPU twice as many."""

ZOOM = {"inpaint": 8.0}
"""What is in a hole is a matter of the whole scene, so that patches of large pictures show more of it, reduced."""

LONGEST, MOST_BYTES = 2048, 2**31
"""Pixels of the longer side that a picture keeps at most, and bytes that all of them may take together."""

SEVERITY = 0.5
"""Ordinary poor photographs; at 1 more is lost than networks of these sizes learn to make up for."""

LEAST_SEEN = 64
"""Pixels a side that pretrained features are shown at least."""

MOST_HELD_OUT = 64
WIDTH, DEPTH, LEARNING_RATE = 32, 2, 2e-3
WIDTH_OF_HOLES, DEPTH_OF_HOLES = 48, 1
"""Coarser grids than for other damage, so more channels."""

LEARNING_RATE_OF_HOLES, FALL_OF_HOLES = 5e-4, 0.02
"""Of Adam, in a game, and what share of it is left at the end; at 2e-3 it did not settle."""

MUON_RATE = 2e-3
"""Before a game, and where there is none: it learns more than Adam in the same time."""

CPU_BATCH, GPU_BATCH, BATCH_OF_HOLES = 16, 32, 48
CPU_IMAGES, GPU_IMAGES = 200_000, 2_000_000
SUPERVISED = 0.6


def choose(settings: Choices, survey: Survey, factor: float) -> None:
    """Fills in what suits restoration.

    Raises: SettingError if the given settings do not go together.
    """
    pick = settings.choose
    on_cpu = pick_device(settings.values.get("device")) == "cpu"
    damage = pick("damage", "inpaint", "holes are filled; --set damage=denoise, super or mixed for another")
    filling = damage == "inpaint"
    refuse_strangers(settings)
    if damage == "inpaint":
        pick("holes", "all")
    if damage == "denoise":
        pick("noise", "gaussian", "--set noise=all for other kinds")
        if settings.values["noise"] in ("gaussian", "all"):
            low = pick("noise_low", 0.0)
            high = pick("noise_high", 55.0)
            if low > high:
                raise SettingError(f"noise_low={low:g} is above noise_high={high:g}")
        for name in {"noise_low", "noise_high"} & settings.values.keys():
            if settings.values["noise"] not in ("gaussian", "all") and settings.values[name] is not None:
                raise SettingError(f"{name} is of Gaussian noise, and this is noise={settings.values['noise']}")
    if damage == "super":
        pick("scale", 2, "--set scale=4 for more")
        pick("degradation", "realistic", "cameras blur, add noise and compress; bicubic compares with published tables")

    if damage == "mixed" or settings.values.get("degradation") == "realistic":
        pick("severity", SEVERITY)

    common = survey.common_size()
    side = SIDES[damage] * (1 if on_cpu else 2)
    step = 8 * (settings.values.get("scale") or 1)
    patch = max(step, min(side, min(common) // step * step))
    pick("resolution", (patch, patch), f"of a patch; any size can be restored later; pictures are {shown(common)}")
    channels = pick("channels", min(survey.channels(), 3), "as the pictures are")
    buffer = None if survey.in_shards is None else buffer_for(survey.in_shards, Form(patch, patch, channels))
    why = f"{survey.in_shards:,} pictures do not fit into memory: they stream" if buffer else ""
    streams = pick("shuffle_buffer", buffer, why) is not None
    if pick("fit", "crop" if streams else "patches") == "patches":
        room = math.isqrt(MOST_BYTES // (channels * survey.pictures))
        pick("longest", max(patch, min(LONGEST, room)))
        pick("zoom", ZOOM.get(damage, 1.0))
    pick("mirror", True)
    # How edges go on in a hole is to be learned, not what is above and below in pictures of this one kind.
    pick("turn", filling)
    pick("held_out", 0 if streams else min(max(survey.pictures // 20, 1), MOST_HELD_OUT))

    pick("network", "unet", "takes and gives pictures of any size")
    pick("width", max(16, round((WIDTH_OF_HOLES if filling else WIDTH) * factor / 16) * 16))
    pick("depth", DEPTH_OF_HOLES if filling else DEPTH)
    pick("z_dim", None)
    playing = pick("adversarial", False, "nearer to the original, and to look at; true for a game, with more texture")
    through = pick("discriminator_features", "lite0" if playing else "none")
    pick("discriminator_size", max(patch, LEAST_SEEN))
    pick("spectral_norm", True)
    pick("supervised", SUPERVISED if playing else 1.0)
    pick("distortion_weight", 100.0)
    pick("matching_weight", 5.0 if playing else 0.0)
    perceptual = pick("perceptual_weight", 0.0)
    pick("penalty", "none")
    pick("augment", "none")

    batch = pick("batch", BATCH_OF_HOLES if filling else CPU_BATCH if on_cpu else GPU_BATCH)
    muon = pick("supervised_optimiser", "muon") == "muon"
    if muon and playing:
        pick("supervised_learning_rate", MUON_RATE / math.sqrt(factor))
    of_adam = LEARNING_RATE_OF_HOLES if filling else LEARNING_RATE
    rate = pick("learning_rate", (MUON_RATE if muon and not playing else of_adam) / math.sqrt(factor))
    if filling:
        pick("learning_rate_final", rate * FALL_OF_HOLES)
    pick("beta1", 0.9)
    pick("beta2", 0.99)
    pick("ema_ramp", 0.05)
    if settings.values.get("minutes") is None:
        pick("images", every((CPU_IMAGES if on_cpu else GPU_IMAGES) * factor, batch), "the budget")
    pick("patience", None)
    pick("quality_samples", MOST_HELD_OUT)
    # Features that the loss looks through would flatter the judge.
    space = pick("quality_features", "wavelets" if perceptual or through != "none" else "lite0")
    by_looks = playing and space != "pixels"  # pixels have no maps
    pick("quality_metric", "perceptual" if by_looks else "psnr", "what is best to look at" if by_looks else "")


def refuse_strangers(settings: Choices) -> None:
    """Raises: SettingError if a setting is given that another damage asks for, or that restoration has no use for."""
    damage = settings.values["damage"]
    owners = {"holes": "inpaint", "noise": "denoise", "noise_low": "denoise", "noise_high": "denoise"}
    owners |= {"scale": "super", "degradation": "super"}
    if settings.values.get("severity") is not None and damage not in ("super", "mixed"):
        raise SettingError(
            f"severity={settings.values['severity']:g} is for damage=super and mixed, and this is {damage}"
        )
    for name, owner in owners.items():
        if settings.values.get(name) is not None and damage != owner:
            raise SettingError(f"{name}={settings.values[name]} is for damage={owner}, and this is damage={damage}")
    for name, only in {"network": "unet", "labels": False}.items():
        if settings.values.get(name, only) != only:
            raise SettingError(f"{name}={settings.values[name]}: task=restore takes {name}={only}".lower())
