"""The game over clips: several differentiable parts go through every part of the engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparring import SettingError, chooser, config
from sparring.adversarial.augment import AUGMENTATIONS
from sparring.adversarial.penalties import ExactSlope, SlopeByDifference
from sparring.adversarial.probe import spread_of
from sparring.data import ClipBatch, Clips, ClipSurvey
from sparring.networks import video
from sparring.randomness import Random
from sparring.ranks import ALONE
from sparring.tasks import video_recipe
from sparring.tasks.sample import Sample, View
from sparring.tasks.video import Video
from sparring.training.match import Match

SIDE, LENGTH, RATE = 12, 10, 8.0

SURVEY = ClipSurvey(
    name="clips",
    clips=40,
    frames=40 * LENGTH,
    seconds=LENGTH / RATE,
    long=LENGTH / RATE,
    rate=RATE,
    height=SIDE,
    width=SIDE,
    channels=3,
    classes=(),
    skipped=(),
    others=0,
)
SMALL: dict[str, Any] = {
    "width": 16,
    "depth": 1,
    "z_dim": 8,
    "motion_dim": 4,
    "batch": 8,
    "images": 64,
    "augment": "none",
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
}


def clips_of(settings: config.Settings, count: int = 40) -> Clips:
    """A square of one colour that moves evenly, in each clip another."""
    random = torch.Generator().manual_seed(0)
    frames = torch.zeros(count, LENGTH, 3, SIDE, SIDE, dtype=torch.uint8)
    for clip in frames:
        colour = torch.randint(80, 256, (3, 1, 1), generator=random, dtype=torch.uint8)
        place, step = torch.rand(2, generator=random) * 8, torch.rand(2, generator=random) - 0.5
        for number, frame in enumerate(clip):
            row, column = (place + number * step).clamp(0, 9).long().tolist()
            frame[:, row : row + 3, column : column + 3] = colour
    classes = ("even", "odd") if settings.labels else ()
    return Clips(
        frames.flatten(0, 1),
        torch.arange(count) * LENGTH,
        torch.full((count,), LENGTH),
        torch.full((count,), RATE),
        torch.arange(count) % 2 if classes else None,
        classes,
        "squares",
        "0",
        seen=config.given(settings.seen),
        window=config.given(settings.window),
    )


def task_of(**given: Any) -> Video:
    settings = chosen(**given)
    return Video(settings, clips_of(settings))


def chosen(**given: Any) -> config.Settings:
    return chooser.choose("clips/", {**SMALL, **given}, SURVEY, 1.0)[0]


def test_the_chooser_takes_window_and_spacing_from_the_clips() -> None:
    settings, told = chooser.choose("clips/", {"device": "cpu"}, SURVEY, 1.0)
    assert (settings.task, settings.resolution, settings.channels) == ("video", (SIDE, SIDE), 3)
    assert settings.window == video_recipe.WINDOW
    assert settings.spacing == video_recipe.WINDOW * video_recipe.SPACING
    assert settings.course == LENGTH / RATE
    assert {choice.setting for choice in told} >= {"task", "resolution", "network"}
    assert settings.held_out == 2
    fast = replace(SURVEY, frames=40_000, seconds=10.0, long=10.0, rate=100.0, height=90, width=160)
    settings, _ = chooser.choose("clips/", {"device": "cpu"}, fast, 1.0)
    assert settings.window == video_recipe.MOST_FRAMES / 100
    assert settings.resolution == (36, 64)
    assert settings.course is None
    unlike, _ = chooser.choose("clips/", {"device": "cpu"}, replace(SURVEY, long=3.0), 1.0)
    assert (unlike.window, unlike.course) == (video_recipe.WINDOW, 3.0)
    little, _ = chooser.choose("clips/", {"device": "cpu", "minutes": 20.0}, fast, 1.0)
    assert little.resolution == (18, 32)


def test_clips_without_a_course_are_learned_so_again_from_the_file_of_their_run(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(config.dumps(chosen(course=None)))
    again, _ = chooser.choose("clips/", config.preset(str(path)), SURVEY, 1.0)
    assert again == config.load(path)
    assert again.course is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"task": "generate"}, "task=generate is not for clips, and clips holds some: --task video"),
        ({"fit": "patches"}, "task=video needs fit=crop"),
        ({"adversarial": False}, "adversarial=true"),
        ({"discriminator_features": "lite0"}, "task=video takes discriminator_features=none"),
        ({"shuffle_buffer": 100}, "task=video takes shuffle_buffer=none"),
        ({"network": "transformer"}, "network=transformer: task=video takes"),
        ({"seen": None}, "task=video needs seen"),
        ({"quality_metric": "psnr"}, "task=video is judged by"),
        ({"tokens": "bpe"}, "tokens=bpe is for --task text"),
    ],
)
def test_settings_that_do_not_go_with_clips(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        chosen(**given)


def test_settings_of_clips_are_for_clips() -> None:
    values = chosen().model_dump() | {"task": "generate"}
    with pytest.raises(SettingError, match="seen=3 is for --task video, and this is task=generate"):
        config.complete(values)


def test_a_sample_is_frames_with_the_time_between_them() -> None:
    task = task_of(labels=True)
    batch, random = task.data.draw(0, 0, 8), Random(0, 0, 8)
    generator, discriminator = task.players()
    real, fake = task.real(batch, random), task.fake(generator, batch, random)
    for sample in (real, fake):
        assert [part.shape for part in sample.parts] == [(8, 3, SIDE, SIDE)] * 3 + [(8, 2)]
        assert sample.smooth == (0, 1, 2)
        assert torch.equal(sample.parts[3], batch.times[:, 1:] - batch.times[:, :-1])
        assert sample.condition is not None
        assert sample.condition.shape == (8, 2)
        assert discriminator(*sample.parts, y=sample.condition).shape == (8,)
    assert torch.equal(real.parts[1], batch.frames[:, 1].float() / 127.5 - 1)


def test_frames_of_a_clip_are_mirrored_alike() -> None:
    task, plain = task_of(mirror=True), task_of()
    batch, random = task.data.draw(0, 0, 16), Random(0, 0, 16)
    mirrored, straight = (torch.stack(each.real(batch, random).parts[:3], 1) for each in (task, plain))
    turned = [not torch.equal(a, b) for a, b in zip(mirrored, straight, strict=True)]
    assert 0 < sum(turned) < 16
    assert torch.equal(mirrored[turned], straight[turned].flip(-1))


@pytest.mark.parametrize("name", ["ada", "diffaugment"])
def test_all_frames_are_augmented_alike(name: str) -> None:
    task, random = task_of(), Random(0, 0, 8)
    still = torch.rand(8, 3, SIDE, SIDE) * 2 - 1
    transformation = AUGMENTATIONS[name].draw(random, still.shape[1:], 1.0)
    seen = task.augmented(Sample((still, still, still, torch.ones(8, 2)), smooth=(0, 1, 2)), transformation)
    assert torch.equal(seen.parts[0], seen.parts[1])
    assert torch.equal(seen.parts[0], seen.parts[2])
    assert not torch.equal(seen.parts[0], still)
    assert torch.equal(seen.parts[3], torch.ones(8, 2))


def linear(weights: tuple[Tensor, ...]) -> Callable[..., tuple[Tensor, ...]]:
    """A judge whose slope at frame k is `weights[k]`, whatever the sample."""

    def judge(*samples: Sample) -> tuple[Tensor, ...]:
        return tuple(
            torch.stack([(part * w).sum((1, 2, 3)) for part, w in zip(s.parts, weights, strict=False)]).sum(0)
            for s in samples
        )

    return judge


def test_penalties_are_of_the_slope_at_all_frames_together() -> None:
    weights = tuple(torch.full((3, 4, 4), scale) for scale in (0.1, 0.2, 0.3))
    expected = sum(float(w.square().sum()) for w in weights)
    judge = linear(weights)
    frames = [torch.zeros(2048, 3, 4, 4) for _ in weights]
    sample = Sample((*frames, torch.ones(2048, 2)), smooth=(0, 1, 2)).requires_gradient()
    view = View(sample, sample, *judge(sample, sample))
    exact = ExactSlope(("r1",))(judge, view, Random(0, 0, 2048))["r1"]
    assert float(exact.detach()) == pytest.approx(expected, rel=1e-5)
    estimated = SlopeByDifference(("r1",))(judge, view, Random(0, 0, 2048))["r1"]
    assert float(estimated.detach()) == pytest.approx(expected, rel=0.1)


def test_spread_is_that_of_whole_clips() -> None:
    a, b = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    a[1], b[1] = 3.0, 4.0
    # Two clips apart by 3 in each of four pixels of one frame, and by 4 in those of the other.
    sample = Sample((a, b, torch.ones(2, 1)), smooth=(0, 1))
    assert float(spread_of([sample])) == pytest.approx(10.0)


def played(settings: config.Settings, steps: int = 3) -> Match:
    torch.set_num_threads(1)
    data = clips_of(settings)
    match = Match(settings, data, Video(settings, data), ALONE)
    for _ in range(steps):
        match.play()
    return match


def test_micro_batches_play_the_same_step() -> None:
    whole, parts = (played(chosen(**given), 0).play() for given in ({}, {"micro_batch": 3}))
    assert {"r1", "r2", "generator_gradient", "discriminator_gradient"} <= set(whole)
    for name, value in whole.items():
        assert float(parts[name]) == pytest.approx(float(value), rel=1e-3, abs=1e-6), name


def test_what_ranks_draw_is_what_one_process_draws() -> None:
    data = task_of().data
    whole = data.draw(3, 64, 32)
    halves = [data.draw(3, 64, 32, rank, 2) for rank in (0, 1)]
    assert torch.equal(whole.frames, torch.cat([half.frames for half in halves]))
    assert torch.equal(whole.times, torch.cat([half.times for half in halves]))


def test_a_match_goes_on_as_if_it_had_never_stopped() -> None:
    settings = chosen()
    straight, before = played(settings, 5), played(settings, 2)
    groups = {name: {key: value.clone() for key, value in group.items()} for name, group in before.tensors().items()}
    again = played(settings, 0)
    again.restore(groups, before.snapshot())
    for _ in range(3):
        again.play()
    for a, b in zip(straight.average.parameters(), again.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_how_the_game_stands_and_what_is_shown_of_it() -> None:
    match = played(chosen(penalty_method="finite-difference"))
    standing = match.probe()
    assert {"slope_real", "slope_fake", "push", "diversity"} <= set(standing)
    preview = match.task.preview(match.average).clips
    assert (preview.shape, preview.dtype) == ((12, LENGTH, 3, SIDE, SIDE), torch.uint8)
    assert torch.equal(preview, match.task.preview(match.average).clips)


def test_the_generator_gets_enough_anchors_for_the_longest_gap() -> None:
    asked: list[float] = []

    class Watching(video.Motion):
        def forward(self, noise: Tensor, times: Tensor, since: Tensor | None = None) -> Tensor:
            asked.append(float(self.vectors(float(times.max())) - noise.shape[1]))
            return super().forward(noise, times, since)

    task = task_of(window=0.3)
    generator, _ = task.players()
    assert isinstance(generator, video.Generator)
    generator.motion = Watching(4, config.given(task.settings.spacing))
    for step in range(30):
        batch = task.data.draw(0, step * 8, 8)
        assert isinstance(batch, ClipBatch)
        task.fake(generator, batch, Random(0, step, 8))
    assert max(asked) <= 0


def test_a_discriminator_sees_time() -> None:
    task = task_of()
    _, discriminator = task.players()
    for weights in discriminator.parameters():
        nn.init.normal_(weights, std=0.1)
    frames, gaps = torch.rand(2, 3, 3, SIDE, SIDE).unbind(1), torch.ones(2, 2)
    assert not torch.allclose(discriminator(*frames, gaps), discriminator(*frames, 3 * gaps))


def test_content_paints_once_and_motion_only_moves_what_is_painted() -> None:
    """The colours of a frame lie between those of the painting's ground and layers, whatever the motion."""
    task = task_of()
    generator, _ = task.players()
    assert isinstance(generator, video.Generator)
    z, times = torch.randn(1, task.blueprint.z_dim), torch.tensor([[0.0, 0.1, 0.5]])
    anchors = generator.motion.vectors(0.5)
    with torch.no_grad():
        content, ground, layers = generator.paint(z)
        ends = generator.palette(content).view(config.given(task.settings.layers), 2, -1)
        frames = [
            generator(z, torch.randn(1, anchors, config.given(task.settings.motion_dim)), times) for _ in range(3)
        ]
    cover = layers[:, :, -1:]
    pure = layers[:, :, :-1] / cover
    assert (pure >= ends.amin(1)[None, :, :, None, None] - 1e-5).all()
    assert (pure <= ends.amax(1)[None, :, :, None, None] + 1e-5).all()
    shades = torch.cat([ground.amax((2, 3)), ends.amax(1)])
    for made in frames:
        assert not torch.equal(made[:, 0], made[:, 2])
        assert (made.amax((0, 1, 3, 4)) <= shades.amax(0) + 1e-5).all()


def test_a_thing_that_is_shifted_is_the_same_thing_elsewhere() -> None:
    moved = video.Moved(3, 1.0, padding="zeros")
    for weights in moved.parameters():
        nn.init.zeros_(weights)
    x = torch.zeros(1, 2, 16, 16)
    x[:, :, 4:8, 4:8] = torch.rand(2, 4, 4)
    assert torch.allclose(moved(torch.zeros(1, 3), x), x, atol=1e-5)
    with torch.no_grad():
        moved.whole.bias[:2] = torch.tensor([0.25, 0.5]).atanh()  # halves of a picture: 2 pixels to the right, 4 down
    there = moved(torch.zeros(1, 3), x)
    assert torch.allclose(there, x.roll((4, 2), (2, 3)), atol=1e-5)
    with torch.no_grad():
        moved.whole.bias[:2] = 50.0
    at_the_edge = torch.zeros_like(x)
    at_the_edge[:, :, 12:, 12:] = x[:, :, 4:8, 4:8]
    assert torch.allclose(moved(torch.zeros(1, 3), x), at_the_edge, atol=1e-5)
