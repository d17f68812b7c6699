"""Tiny generators of every kind, with random weights."""

import torch
from torch import nn

from sparring.exporting.players import Blueprint
from sparring.model import Model
from sparring.tasks import generate, restore, sequences, translate, video

CLASSES = ("cat", "dog", "猫")
FROM_NOISE: dict[str, Blueprint] = {
    f"{network}{' with classes' if classes else ''}": generate.Blueprint(
        network, shape, 8, width, 1, classes, (0.5, 0.25, 0.25) if classes else ()
    )
    for network, width in (("fast", 16), ("r3", 16), ("skip", 16), ("dcgan", 8))
    for shape, classes in (((3, 20, 28), ()), ((1, 8, 8), CLASSES))
}
CHANGING: dict[str, Blueprint] = {
    "denoise": restore.Blueprint("denoise", 3, 16, 1),
    "inpaint": restore.Blueprint("inpaint", 3, 8, 1),
    "upscale": restore.Blueprint("upscale", 1, 16, 1, scale=2),
    "translate": translate.Blueprint(3, 8, 1, content="contrastive"),
    "translate with styles": translate.Blueprint(3, 8, 1, ("monet", "munch"), content="cycle"),
}
TEXT = sequences.Blueprint("text", {"kind": "characters", "symbols": "ab cé床\n"}, 24, 64, 2, 64, 1, False)
CLIPS: dict[str, Blueprint] = {
    "video": video.Blueprint("fast", (3, 12, 16), 8, 4, 0.25, 2, 16, 1, 10.0, 12),
    "video with classes": video.Blueprint("r3", (1, 8, 8), 8, 4, 0.25, 2, 16, 1, 10.0, 12, CLASSES, (0.5, 0.25, 0.25)),
    "video with a course": video.Blueprint("fast", (3, 12, 16), 8, 4, 0.25, 2, 16, 1, 10.0, 12, course=1.2),
}


def model_of(blueprint: Blueprint) -> Model:
    """With weights as after training: none is zero."""
    torch.manual_seed(0)
    generator = blueprint.generator()
    for weights in generator.parameters():
        if not weights.any():
            nn.init.normal_(weights, std=0.05 if weights.ndim == 4 else 0.3)
    return Model(generator, blueprint)
