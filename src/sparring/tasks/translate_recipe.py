"""What the translate task chooses of its settings, before the rest is chosen as for all tasks."""

import math

from sparring.choices import Choices, every, pick_device
from sparring.data.surveys import Survey
from sparring.errors import SettingError
from sparring.tasks.translate import seen_of

CPU_SIDE, GPU_SIDE = 96, 192
"""Pixels a side of a patch."""

STEP = 8
"""Sides of patches are multiples of it."""

ZOOM = 4.0
"""Strokes are to come at several sizes, and scenes with what is around them."""

LONGEST, MOST_BYTES = 2048, 2**31
"""Pixels of the longer side that a picture keeps at most, and bytes that all of them may take together."""

MOST_HELD_OUT = 64
CPU_WIDTH, GPU_WIDTH, DEPTH = 16, 48, 2
CPU_BATCH, GPU_BATCH = 4, 8
CPU_IMAGES, GPU_IMAGES = 20_000, 400_000
JUDGED = 256

WEIGHTS = {"contrastive": (2.0, 1.0), "features": (2.0, 0.0), "cycle": (10.0, 5.0)}
"""Of the content and of the identity of paintings, by what keeps the scene."""


def choose(settings: Choices, photographs: Survey, paintings: Survey | None, factor: float) -> None:
    """Fills in what suits translation.

    Raises: SettingError if there is no second set, or the given settings do not go together.
    """
    pick = settings.choose
    if paintings is None or settings.values.get("data_b") is None:
        raise SettingError("task=translate needs a second set: sparring train PHOTOGRAPHS PAINTINGS --task translate")
    for survey in (photographs, paintings):
        if survey.in_shards is not None:
            raise SettingError(
                f"{survey.name}: task=translate needs pictures at hand, in folders or archives, not shards"
            )
    on_cpu = pick_device(settings.values.get("device")) == "cpu"
    paired = pick("paired", False)
    refuse_strangers(settings)

    sizes = [*photographs.common_size(), *paintings.common_size()]
    patch = max(STEP, min(CPU_SIDE if on_cpu else GPU_SIDE, min(sizes) // STEP * STEP))
    pick("resolution", (patch, patch), "of a patch; pictures of any size can be translated later")
    channels = pick("channels", min(max(photographs.channels(), paintings.channels()), 3), "as the pictures are")
    pick("fit", "patches")
    room = math.isqrt(MOST_BYTES // (channels * (photographs.pictures + paintings.pictures)))
    pick("longest", max(patch, min(LONGEST, room)))
    pick("zoom", 1.0 if paired else ZOOM)
    many = len(paintings.classes) > 1
    pick("labels", many, f"styles: {', '.join(paintings.classes)}" if many else "")
    pick("mirror", True)
    pick("held_out", min(max(photographs.pictures // 20, 1), MOST_HELD_OUT))

    pick("network", "unet", "takes and gives pictures of any size")
    pick("width", max(16, round((CPU_WIDTH if on_cpu else GPU_WIDTH) * factor / 16) * 16))
    pick("depth", DEPTH)
    pick("z_dim", None)
    playing = pick("adversarial", True)
    seen = "lite0" if channels == 3 and playing else "none"
    pick("discriminator_features", seen, "strokes are judged by somebody who can see" if seen != "none" else "")
    pick("discriminator_size", max(seen_of(settings.values["resolution"])))
    pick("spectral_norm", True)
    pick("supervised", 0.0 if playing else 1.0)
    if paired:
        pick("content", None)
        pick("content_weight", 100.0)
        pick("identity_weight", 0.0)
    else:
        content, identity = WEIGHTS[
            pick("content", "contrastive", "keeps the scene; --set content=features or cycle for another way")
        ]
        pick("content_weight", content)
        pick("identity_weight", identity)
    pick("penalty", "none")
    pick("augment", "none")

    batch = pick("batch", CPU_BATCH if on_cpu else GPU_BATCH)
    pick("learning_rate", 1e-3 / math.sqrt(factor))
    pick("beta1", 0.5)
    pick("beta2", 0.99)
    pick("ema_ramp", 0.05)
    if settings.values.get("minutes") is None:
        pick("images", every((CPU_IMAGES if on_cpu else GPU_IMAGES) * factor, batch), "the budget")
    pick("patience", None)
    pick("quality_samples", JUDGED)
    space = pick("quality_features", "wavelets", "the judge sees otherwise than the discriminator")
    best_of_pairs = "perceptual" if playing and space != "pixels" else "psnr"  # pixels have no maps
    pick("quality_metric", best_of_pairs if paired else "transfer")


def refuse_strangers(settings: Choices) -> None:
    """Raises: SettingError if a setting is given that translation has no use for."""
    given = settings.values
    if given["paired"] and given.get("content") is not None:
        raise SettingError(f"content={given['content']} is for sets without pairs, and this is paired=true")
    for name, only in {"network": "unet", "fit": "patches"}.items():
        if given.get(name, only) != only:
            raise SettingError(f"{name}={given[name]}: task=translate takes {name}={only}")
