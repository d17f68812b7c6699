"""What the options of sampling clips promise: identities that hold to the byte."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparring import SettingError
from sparring.errors import RunError
from sparring.model import Model
from sparring.tasks import generate, video
from sparring.tasks.filming import FORWARD, Camera, Take

BLUEPRINT = video.Blueprint("fast", (3, 16, 16), 8, 4, 0.25, 2, 16, 1, 10.0, 12)
WITH_COURSE = replace(BLUEPRINT, course=1.2)
OF_CLASSES = video.Blueprint("fast", (1, 8, 8), 8, 4, 0.25, 2, 16, 1, 10.0, 12, ("round", "square"), (0.5, 0.5))


def model_of(blueprint: video.Blueprint) -> Model:
    """With weights as after training: none is zero, so that contents and motions are seen."""
    torch.manual_seed(0)
    generator = blueprint.generator()
    for weights in generator.parameters():
        if not weights.any():
            torch.nn.init.normal_(weights, std=0.3)
    return Model(generator, blueprint)


@pytest.fixture(scope="module", params=[BLUEPRINT, WITH_COURSE], ids=["steady", "course"])
def model(request: pytest.FixtureRequest) -> Model:
    return model_of(request.param)


def clips(model: Model, n: int, seed: int = 1, **options: object) -> Tensor:
    made = model.sample(n, seed, **options)  # type: ignore[arg-type]
    assert isinstance(made, Tensor)
    return made


def test_clips_are_as_long_and_as_fast_as_those_of_training_unless_asked_otherwise(model: Model) -> None:
    assert clips(model, 2).shape == (2, 12, 3, 16, 16)
    assert clips(model, 1, fps=20).shape[1] == 24
    assert clips(model, 1).dtype == torch.uint8
    longer = Model(model.generator, replace(model.of_clips, frames=90))
    assert clips(longer, 1).shape[1] == 20  # two seconds


def test_a_clip_moves_and_another_is_another(model: Model) -> None:
    made = clips(model, 2).float()
    assert (made[:, 1:] - made[:, :-1]).abs().mean() > 0.5
    assert (made[0] - made[1]).abs().mean() > 5


def test_longer_clips_begin_with_the_same_frames_and_more_clips_with_the_same_clips(model: Model) -> None:
    short = clips(model, 2, frames=FORWARD + 3)
    assert torch.equal(short, clips(model, 3, frames=5 * FORWARD)[:2, : FORWARD + 3])
    assert torch.equal(short[1:], clips(model, 1, frames=FORWARD + 3, start=1))
    parts = [torch.cat(list(film)) for film in model.films(2, 1, model.take(frames=FORWARD + 3))]
    assert torch.equal(short, torch.stack(parts))


def test_every_second_frame_of_slow_motion_is_a_frame_of_the_clip(model: Model) -> None:
    usual, slow = clips(model, 1, frames=20), clips(model, 1, frames=40, speed=0.5)
    assert torch.equal(slow[:, ::2], usual)
    assert torch.equal(clips(model, 1, frames=40, fps=20), slow)  # twice as many frames of the same
    assert torch.equal(clips(model, 1, frames=10, speed=2), usual[:, ::2])


def test_frames_are_those_that_the_generator_gives_for_the_whole_clip_at_once(model: Model) -> None:
    camera = Camera(model.generator, model.of_clips, 1, model.take(frames=30))
    generator = model.generator
    assert generator.motion.vectors(3.0) <= 25
    noise = torch.stack([camera.vector(2, at) for at in range(25)])[None]
    with torch.no_grad():
        made = generator(BLUEPRINT.latents(0, 1)[0][2:3], noise, torch.arange(30)[None] / 10)
    taken = torch.cat(list(camera.film(2))).float() / 127.5 - 1
    assert (made[0].clamp(-1, 1) - taken).abs().max() < 1 / 127.5


def test_a_loop_comes_back_to_its_first_frame_at_its_own_pace(model: Model) -> None:
    loop = clips(model, 1, frames=15, loop=True).float()
    steps = (loop.roll(-1, 1) - loop).abs().mean((0, 2, 3, 4))
    assert steps[-1] < 2 * steps[:-1].max()
    take = model.take(frames=15, loop=True)
    camera = Camera(model.generator, model.of_clips, 1, take)
    assert camera.moments(15, 16) == [camera.seconds] == [1.5]
    assert all(torch.equal(camera.noise(0, at), camera.noise(0, at + 6)) for at in range(9))
    twice = Camera(model.generator, model.of_clips, 1, model.take(frames=30, speed=0.5, loop=True))
    assert twice.seconds == camera.seconds


def test_motion_of_another_seed_is_that_of_its_clips_with_these_contents(model: Model) -> None:
    swapped = clips(model, 2, seed=1, motion_seed=2)
    assert not torch.equal(swapped, clips(model, 2, seed=1))
    assert torch.equal(swapped, clips(model, 3, seed=1, motion_seed=2)[:2])
    own, other = (Camera(model.generator, model.of_clips, 1, model.take(motion_seed=seed)) for seed in (None, 2))
    theirs = Camera(model.generator, model.of_clips, 2, model.take())
    assert torch.equal(other.noise(1, 3), theirs.noise(1, 3))
    assert torch.equal(other.content(1)[0], own.content(1)[0])
    assert torch.equal(clips(model, 2, seed=1, motion_seed=1), clips(model, 2, seed=1))


def test_what_all_clips_share(model: Model) -> None:
    plain = clips(model, 3)
    for same in ("content", "motion"):
        made = clips(model, 3, same=same)
        assert torch.equal(made[0], plain[0])
        assert not torch.equal(made[1], plain[1])
        assert not torch.equal(made[1], made[0])
        later = model.sample(2, seed=1, frames=made.shape[1], start=1, same=same)
        assert torch.equal(later, made[1:])


def test_a_loop_goes_along_the_course_and_back_and_clips_cut_from_anywhere_begin_within_it() -> None:
    generator = model_of(WITH_COURSE).generator
    loop = Camera(generator, WITH_COURSE, 1, WITH_COURSE.take(frames=16, loop=True))
    way = [loop.since(0, moment) for moment in loop.moments(0, 17)]
    assert way[0] == way[16] == 0
    assert max(way) == way[8] == pytest.approx(loop.seconds / 2)
    assert WITH_COURSE.room(4) == pytest.approx(0.8)
    assert WITH_COURSE.room(40) == BLUEPRINT.room(4) == 0
    cut = Camera(generator, WITH_COURSE, 1, Take(4, 10.0, room=0.8))
    begins = [cut.since(number, 0.0) for number in range(200)]
    assert 0 <= min(begins) < 0.05
    assert 0.75 < max(begins) < 0.8
    assert cut.since(3, 0.25) == pytest.approx(begins[3] + 0.25)


def test_contents_turn_into_the_next_on_the_sphere(model: Model) -> None:
    camera = Camera(model.generator, model.of_clips, 1, model.take(frames=8, interpolate=True))
    way, _ = camera.contents(0, 0, 8)
    ends = camera.content(0)[0], camera.content(1)[0]
    assert torch.allclose(way[0], ends[0], atol=1e-6)
    lengths = torch.lerp(ends[0].norm(), ends[1].norm(), torch.arange(8) / 8)
    assert torch.allclose(way.norm(dim=1), lengths, atol=1e-5)
    both = model.sample(1, 1, frames=8, interpolate=True)
    assert torch.equal(both[0][0], clips(model, 1)[0, 0])  # type: ignore[index]


def test_classes_are_asked_for_and_mixed_on_the_way() -> None:
    model = model_of(OF_CLASSES)
    assert list(model.classes) == ["round", "square"]
    square = clips(model, 2, label="square")
    assert torch.equal(square, clips(model, 2, label=1))
    assert not torch.equal(square, clips(model, 2, label=0))
    camera = Camera(model.generator, OF_CLASSES, 1, model.take(interpolate=True, frames=4))
    numbers = OF_CLASSES.latents(0, 1)[1]
    i = next(i for i in range(20) if numbers[i] != numbers[i + 1])
    y = camera.contents(i, 0, 4)[1]
    assert y is not None
    assert torch.allclose(y[2], torch.tensor([0.5, 0.5]))


def test_clips_that_begin_with_a_picture_go_on_differently(model: Model) -> None:
    target = clips(model, 1, seed=7)[0, 0]
    found = model.beginning(target)
    assert found.psnr > 20
    made = clips(model, 2, frames=40, first=found)
    root_mean_square = (made[:, 0].float() - target.float()).square().mean((1, 2, 3)).sqrt()
    assert torch.allclose(root_mean_square, torch.tensor(255 * 10 ** (-found.psnr / 20)), atol=0.5)  # of rounding
    assert torch.equal(made[0, 0], made[1, 0])
    assert not torch.equal(made[0, 20], made[1, 20])
    with pytest.raises(SettingError, match="motion_seed and truncation away"):
        clips(model, 1, first=found, truncation=0.5)
    with pytest.raises(SettingError, match=r"pictures .* expected uint8 of 3x16x16"):
        model.beginning(target[:, :8])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frames": 0}, "frames=0: it should be from 1"),
        ({"fps": 0.0}, "fps=0: it should be above 0"),
        ({"speed": 0.0}, "speed=0: it should be from 0.01"),
        ({"same": "colour"}, "same=colour: it should be content or motion"),
        ({"loop": True, "interpolate": True}, "loop or interpolate"),
        ({"interpolate": True, "same": "content"}, "give either"),
        ({"truncation": 3.0}, "truncation=3.0"),
        ({"label": 0}, "knows no classes"),
        ({"temperature": 0.5}, "for these and pictures, and this generator makes clips"),
        ({"top_p": 0.5}, "--top-p, --prompt and --scaffold are for texts and molecules"),
    ],
)
def test_what_cannot_be_is_said(model: Model, options: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        clips(model, 1, **options)


def test_other_generators_make_no_clips_and_this_one_no_pictures(model: Model) -> None:
    blueprint = generate.Blueprint("fast", (1, 8, 8), 8, 16, 1)
    pictures = Model(blueprint.generator(), blueprint)
    with pytest.raises(SettingError, match=r"--frames, .* for clips, and this generator makes pictures"):
        pictures.sample(1, frames=8)
    with pytest.raises(RunError, match="makes pictures and no clips"):
        pictures.take()
    with pytest.raises(RunError, match="makes clips, and this is for pictures"):
        model.latents(1)
    with pytest.raises(RunError, match="--first PICTURE"):
        model.apparatus()
