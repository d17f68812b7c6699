"""Clips from noise: what is seen in one and how it moves are apart, and any moment of it can be made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from PIL.Image import Image
from torch import Tensor, nn

from sparring.adversarial.augment import mirror
from sparring.config import Settings, given
from sparring.data import ClipBatch, Clips, to_floats
from sparring.errors import SettingError
from sparring.evaluation.clips import JUDGED, ClipJudge, Shot, Taken, apt, length_of
from sparring.evaluation.judgement import Evaluation
from sparring.evaluation.nearest_clips import SHOWN, nearest_clips
from sparring.films import FASTEST, SLOWEST
from sparring.networks import video
from sparring.networks.clip_features import open_clip_features
from sparring.randomness import Random
from sparring.ranks import ALONE, Ranks
from sparring.tasks import Footage
from sparring.tasks.filming import Beginning, Take, sample
from sparring.tasks.generate import JUDGED_SEED, FromNoise
from sparring.tasks.plain_game import PlainGame
from sparring.tasks.sample import Sample

WIDER = {"r3": 1, "fast": 2, "dcgan": 1, "skip": 2}
"""Times the width that is set: the finest grid of `fast` has half the sides of the picture, so twice the channels."""

USUAL_SECONDS = 2.0
"""Of a clip that nobody gave a length, unless those that were learned from are shorter."""

PREVIEWED, PREVIEW_FRAMES = 12, 32
"""Clips of a preview, and frames of each at most."""


@dataclass(frozen=True)
class Blueprint(FromNoise):
    """All that is needed to build the players again and to make clips; stored as JSON beside the weights."""

    network: str
    shape: tuple[int, int, int]
    """Channels, height and width of a frame."""
    z_dim: int
    motion_dim: int
    spacing: float
    """Seconds from anchor to anchor of the motion."""
    layers: int
    width: int
    depth: int
    rate: float
    """Frames a second of the middle clip it was trained on."""
    frames: int
    """How many frames that has."""
    classes: tuple[str, ...] = ()
    class_shares: tuple[float, ...] = ()
    course: float | None = None
    """Seconds that clips take from beginning to end; None: any moment of them is like the others."""

    def generator(self) -> video.Generator:
        """A new one, not trained."""
        return video.Generator(
            self.shape,
            z_dim=self.z_dim,
            motion_dim=self.motion_dim,
            spacing=self.spacing,
            course=self.course,
            layers=self.layers,
            classes=len(self.classes),
            width=self.width * WIDER.get(self.network, 1),
            depth=self.depth,
            network=self.network,
        )

    def take(
        self,
        *,
        frames: int | None = None,
        fps: float | None = None,
        speed: float = 1.0,
        loop: bool = False,
        interpolate: bool = False,
        same: Literal["content", "motion"] | None = None,
        motion_seed: int | None = None,
        label: int | str | None = None,
        truncation: float = 1.0,
        first: Beginning | None = None,
    ) -> Take:
        """How clips are made, as `Model.take` says. Raises: SettingError."""
        fps = min(max(self.rate, SLOWEST), FASTEST) if fps is None else fps
        if frames is None:
            frames = max(1, round(min(USUAL_SECONDS, self.frames / self.rate) * fps))
        if not 0 <= truncation <= 2:
            raise SettingError(f"truncation={truncation}: it should be from 0 to 2; 1 changes nothing")
        number = None if label is None else self.class_number(label)
        return Take(frames, fps, speed, loop, interpolate, same, motion_seed, number, truncation, first)

    def room(self, frames: int) -> float:
        """Seconds of their course within which clips of so many frames begin that are cut from anywhere."""
        return 0.0 if self.course is None else max(0.0, self.course - frames / self.rate)

    def describe(self) -> dict[str, Any]:
        """The values that `from_json` takes."""
        return {"task": "video", **asdict(self)}


class Video(PlainGame):
    """The task of making clips like those of a set."""

    def __init__(self, settings: Settings, data: Clips, ranks: Ranks = ALONE) -> None:
        self.settings = settings
        self.data = data
        self.ranks = ranks
        self.blueprint = Blueprint(
            settings.network,
            data.shape,
            given(settings.z_dim),
            given(settings.motion_dim),
            given(settings.spacing),
            given(settings.layers),
            settings.width,
            settings.depth,
            data.rate,
            int(data.lengths.median()),
            data.classes,
            data.class_shares,
            settings.course,
        )
        # Frames are whole: those drawn may lie half a frame farther apart than the window is long.
        self.longest = float(data.reach(torch.arange(len(data))).div(data.rates).max())

    def players(self) -> tuple[nn.Module, nn.Module]:
        """New generator and discriminator."""
        blueprint = self.blueprint
        discriminator = video.Discriminator(
            blueprint.shape,
            seen=given(self.settings.seen),
            classes=len(blueprint.classes),
            width=blueprint.width * WIDER.get(blueprint.network, 1),
            depth=blueprint.depth,
            network=blueprint.network,
            spectral_norm=self.settings.spectral_norm,
        )
        return blueprint.generator(), discriminator

    def real(self, batch: ClipBatch, random: Random) -> Sample:
        """The frames of the batch, in [-1, 1], and the seconds between them."""
        frames = to_floats(batch.frames).unbind(1)
        if self.settings.mirror:
            frames = tuple(mirror(frame, random) for frame in frames)
        return self.seen(frames, batch)

    def fake(self, generator: nn.Module, batch: ClipBatch, random: Random) -> Sample:
        """As many clips of fresh contents and motions, of the same classes, at moments as far apart.

        They may begin anywhere between two anchors, so that no moment is another than those beside it, and are as far
        in their course as those of the batch.
        """
        assert isinstance(generator, video.Generator)
        blueprint = self.blueprint
        begin = blueprint.spacing * random.uniform("begin", 1)
        vectors = generator.motion.vectors(blueprint.spacing + self.longest)
        z, noise = random.normal("latent", blueprint.z_dim), random.normal("motion", vectors, blueprint.motion_dim)
        since = batch.begins[:, None] + batch.times
        made: Tensor = generator(z, noise, begin + batch.times, self.condition(batch), since)
        return self.seen(made.unbind(1), batch)

    def seen(self, frames: tuple[Tensor, ...], batch: ClipBatch) -> Sample:
        """Frames (N, C, H, W) at the moments of a batch, as the discriminator sees them."""
        return Sample((*frames, batch.times.diff(dim=1)), self.condition(batch), smooth=tuple(range(len(frames))))

    def condition(self, batch: ClipBatch) -> Tensor | None:
        """The classes of the batch as float (N, classes)."""
        return None if batch.labels is None else self.blueprint.condition(batch.labels)

    def preview(self, generator: nn.Module) -> Footage:
        """The first clips of seed 0, as `sparring sample --seed 0` begins them."""
        take = Take(min(self.blueprint.frames, PREVIEW_FRAMES), self.blueprint.rate)
        return Footage(sample(generator, self.blueprint, PREVIEWED, 0, take), take.fps)

    def illustrations(self, generator: nn.Module) -> Mapping[str, Image]:
        """`nearest`: some clips, and below each the part of a training clip that it is nearest to."""
        frames = length_of(self.data)
        made = sample(generator, self.blueprint, SHOWN, 0, Take(frames, self.blueprint.rate))
        return {"nearest": nearest_clips(made, self.data)}

    def judge(self, generator: nn.Module) -> Evaluation:
        """Against the same part of the training set each time, and from the same latents."""
        frames, count = self.judged_by.real.shape[0], self.settings.quality_samples
        take = Take(frames, self.blueprint.rate, room=self.blueprint.room(frames))

        def draw(start: int, stop: int) -> Tensor:
            return sample(generator, self.blueprint, stop - start, JUDGED_SEED, take, start)

        made = Shot(draw, count, (frames, *self.data.shape), self.blueprint.rate)
        about = {"kind": "generator", "name": "in training", "seed": JUDGED_SEED}
        names = apt([self.settings.quality_metric, *JUDGED], self.judged_by.space)
        return self.judged_by(made, names, about=about, needed=[self.settings.quality_metric])

    @cached_property
    def judged_by(self) -> ClipJudge:
        """What is known of the training clips that samples are compared with."""
        real = Taken(self.data, length_of(self.data), self.settings.quality_samples)
        about = {
            "kind": "training data of a run",
            "name": self.data.name,
            "of": len(self.data),
            "split": "training",
        }
        return ClipJudge(
            real,
            open_clip_features(self.settings.quality_features, self.settings.device),
            fingerprint=real.fingerprint,
            about=about,
            device=self.settings.device,
            ranks=self.ranks,
        )

    def describe(self) -> dict[str, Any]:
        """The blueprint, as JSON values."""
        return self.blueprint.describe()
