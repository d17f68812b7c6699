"""What the video task chooses of its settings, before the rest is chosen as for pictures."""

import math

from sparring.choices import Choices
from sparring.data import ClipSurvey

CPU_SIDE, LITTLE_SIDE, GPU_SIDE = 64, 32, 128
"""Pixels that the longer side has at most on a CPU, there in little time, and on a GPU."""

LITTLE_TIME = 60.0
"""Minutes that are little on a CPU: at 64 pixels a frame takes about three times as long as at 32."""

BATCH = 32
"""Clips in an update; each is several frames."""

SEEN = 3
"""Frames judged at once: three show a path and its bend, and more of them cost more than they tell (StyleGAN-V,
table 5)."""

WINDOW, MOST_FRAMES = 1.0, 32
"""Seconds that these frames lie within at most, and frames: what is farther apart says little of how things move."""

LEAST = 0.001
"""Seconds, of either."""

SPACING = 0.4
"""Seconds from anchor to anchor, of the window: a movement is seen from its beginning to its end."""

COURSE = 4.0
"""Windows that whole clips last at most if they are taken to go somewhere: of longer ones too little is seen."""

Z_DIM = 64
MOTION_DIM = 32
"""Random numbers at an anchor; there is less to a movement than to what moves."""

CPU_WIDTH, GPU_WIDTH = 16, 32
"""Channels at a frame's own size, and twice as many where the finest grid has half its sides. On a core, 64 on that of
`fast` were farther from digits that move after 100 seconds than 32 (688 against 460)."""

GAMMA = 5.0
"""Of the penalty: with the 1 that pictures of this size have, the discriminator wins within a minute of a core."""

LAYERS = 1
"""One thing, in parts that do not come apart: after 100,000 clips of a moving shape the distance to real ones was 322
with one layer and 518 with two."""

CPU_RATE, GPU_RATE = 5e-4, 2e-4
"""Learning rate: at twice that of a CPU the discriminator's loss leaps now and then."""

MANY = 1000
"""Clips that a discriminator does not learn by heart in the time people give it."""

HELD_OUT, MOST_HELD_OUT = 0.05, 256
"""Share of the clips that the discriminator is never shown, and how many suffice."""

JUDGED = 384
"""Clips that an evaluation makes: each is many frames."""

SPACE = "lite0-clips"
"""Feature space that needs no download; spelled out, for `networks.clip_features` brings torch along."""


def choose(settings: Choices, survey: ClipSurvey, factor: float) -> None:
    """Fills in what suits clips."""
    pick = settings.choose
    on_cpu = settings.values["device"] == "cpu"
    pick("resolution", *resolution(settings, survey, on_cpu))
    pick("channels", survey.channels, "as the clips are")
    pick("fit", "crop")
    pick("shuffle_buffer", None)
    pick("held_out", min(int(HELD_OUT * survey.clips), MOST_HELD_OUT))
    pick("discriminator_features", "none")

    pick("seen", SEEN)
    window = pick("window", max(LEAST, round(min(WINDOW, survey.seconds, MOST_FRAMES / survey.rate), 3)))
    pick("spacing", max(LEAST, round(SPACING * (window or WINDOW), 3)))
    goes = window is not None and survey.long <= COURSE * window
    why = "clips have a beginning and an end" if goes else "clips are long: any moment of them is like the others"
    # As long as the long ones: what goes one way in these would turn in the middle of them else.
    pick("course", max(LEAST, round(survey.long, 3)) if goes else None, why)
    pick("motion_dim", MOTION_DIM)
    pick("layers", LAYERS)

    pick(
        "network",
        "fast" if on_cpu else "r3",
        "family of what paints clips and of the discriminator, to which frames are channels of a picture",
    )
    size = "size M" if factor == 1 else f"{factor:g} times that of size M"
    pick("width", max(16, round((CPU_WIDTH if on_cpu else GPU_WIDTH) * factor / 16) * 16), size)
    pick("z_dim", Z_DIM)
    pick("penalty_strength", GAMMA, "gamma of the penalty for clips; it falls tenfold")
    pick("learning_rate", (CPU_RATE if on_cpu else GPU_RATE) / math.sqrt(factor))
    pick("augment", *augmentation(survey))
    pick("batch", BATCH)
    space = pick("quality_features", SPACE)
    pick("quality_metric", "fvd" if space.startswith("i3d=") else "clip_distance")
    pick("quality_samples", JUDGED)


def augmentation(survey: ClipSurvey) -> tuple[str, str]:
    """The augmentation, and why."""
    if survey.clips >= MANY:
        return "none", "so many clips are not learned by heart"
    return "ada", "it comes on by itself if the discriminator learns the clips by heart"


def resolution(settings: Choices, survey: ClipSurvey, on_cpu: bool) -> tuple[tuple[int, int], str]:
    """(height, width) in the proportions of the middle clip, and why."""
    minutes = settings.values.get("minutes")
    little = on_cpu and minutes is not None and minutes < LITTLE_TIME
    longest = GPU_SIDE if not on_cpu else LITTLE_SIDE if little else CPU_SIDE
    shrink = min(1.0, longest / max(survey.height, survey.width))
    chosen = max(4, round(survey.height * shrink)), max(4, round(survey.width * shrink))
    if shrink == 1:
        return chosen, "as the middle clip is"
    where = "a GPU" if not on_cpu else f"a CPU in less than {LITTLE_TIME:g} minutes" if little else "a CPU"
    return chosen, f"the middle clip is {survey.height}x{survey.width}; the longer side is at most {longest} on {where}"
