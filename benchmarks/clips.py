"""Which players of clips learn most in a given time on this machine?

Plays each arm, some settings with all others chosen as ever, for equal seconds of processor time, and judges the clips
as a run is judged. The arm `plain` has a generator of pictures (R3GAN's, as wide) that is given content and motion side
by side, as MoCoGAN's is, in place of the one in which content paints layers and motion moves them.

    python benchmarks/clips.py CLIPS.zip --resolution 32 --arm plain --arm seen=3 --arm seen=2 --seconds 300
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from families import Clock, parse_arm
from sparring import config, data
from sparring.chooser import choose
from sparring.footage import sheet
from sparring.networks import parameters, r3, video
from sparring.networks.motion import Motion
from sparring.tasks.video import Video
from sparring.training.allocation import keep_freed_memory
from sparring.training.match import Match

SHOWN = ("clip_distance", "frame_fid", "coverage", "drift", "colour_drift", "motion")


class Plain(video.Generator):
    """Pictures of content and motion side by side."""

    def __init__(self, other: video.Generator, task: Video) -> None:
        nn.Module.__init__(self)
        kept = task.blueprint
        self.motion = Motion(kept.motion_dim, kept.spacing, kept.course)
        self.frame = r3.Generator(kept.shape, z_dim=kept.z_dim + kept.motion_dim, width=kept.width, depth=kept.depth)

    def paint(self, z: Tensor, y: Tensor | None = None) -> video.Painting:
        """Nothing: content is all that frames have in common."""
        return video.Painting(z, z[:, :0], z[:, :0])

    def move(self, painting: video.Painting, noise: Tensor, times: Tensor, since: Tensor | None = None) -> Tensor:
        """Every frame anew, of content and motion."""
        content = painting.content[:, None].expand(-1, times.shape[1], -1)
        code = torch.cat([content, self.motion(noise, times, since).to(content.dtype)], 2).flatten(0, 1)
        return self.frame(code).unflatten(0, (-1, times.shape[1]))


class PlainVideo(Video):
    """The task with the plain generator."""

    def players(self) -> tuple[nn.Module, nn.Module]:
        generator, discriminator = super().players()
        assert isinstance(generator, video.Generator)
        return Plain(generator, self), discriminator


def match_of(place: str, given: dict[str, Any], seconds: float, kind: type[Video]) -> tuple[Match, Video]:
    """A match whose schedules follow the time."""
    settings, _ = choose(place, given | {"minutes": seconds / 60}, data.survey_clips(place), 1.0)
    clips = data.load_clips(
        place,
        config.form_of(settings),
        labels=settings.labels,
        seen=config.given(settings.seen),
        window=config.given(settings.window),
    )
    task = kind(settings, clips)
    return Match(settings, clips, task), task


def main() -> None:
    """Reads the arguments, plays the arms in turn, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder or archive of clips, or the name of an embedded set")
    parser.add_argument("--resolution", default="32", help="side in pixels, or HxW")
    parser.add_argument("--arm", dest="arms", action="append", required=True, help="KEY=VALUE,KEY=VALUE, or plain")
    parser.add_argument("--seconds", type=float, default=300, help="of training for each arm")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="one where others use the machine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheets", type=Path, help="folder for rows of frames")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    common = {
        "task": "video",
        "device": "cpu",
        "seed": arguments.seed,
        "threads": arguments.threads,
        "resolution": config.check("resolution", arguments.resolution),
    }
    columns = " ".join(f"{name:>13}" for name in SHOWN)
    print(f"{'arm':28} parameters    clips  clips/s {columns}")
    for arm in arguments.arms:
        plain = arm == "plain"
        given = common | ({} if plain else parse_arm(arm))
        match, task = match_of(arguments.data, given, arguments.seconds, PlainVideo if plain else Video)
        clock = Clock(arguments.threads)
        while match.progress < 1:
            match.play()
            match.state.seconds = clock()
        found = task.judge(match.average)
        values = " ".join(f"{found.result(name).estimate.value:13.4g}" for name in SHOWN)
        seen = match.state.images
        print(f"{arm:28} {parameters(match.average):10} {seen:8} {seen / arguments.seconds:8.0f} {values}", flush=True)
        if arguments.sheets is not None:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            sheet(task.preview(match.average).clips).save(arguments.sheets / f"{arm.replace(',', '-')}.png")


if __name__ == "__main__":
    main()
