"""What a motion promises: alike at all times by its anchors, and one way along a course."""

import torch

from sparring.networks.motion import Motion

SECONDS = 4.0


def motion_of(course: float | None) -> Motion:
    torch.manual_seed(0)
    return Motion(6, 0.5, course)


def test_without_a_course_no_moment_differs_from_another() -> None:
    motion = motion_of(None)
    noise = torch.randn(3, motion.vectors(SECONDS), 6)
    times = torch.linspace(0, 3, 7).expand(3, -1)
    later = motion(noise.roll(1, 1), times + 0.5)
    assert torch.allclose(motion(noise, times), later, atol=1e-5)
    assert torch.equal(motion(noise, times), motion(noise, times, times + 9))


def test_a_course_goes_one_way_to_its_end_and_comes_back_without_a_jerk() -> None:
    motion = motion_of(SECONDS)
    way = motion.progress(torch.linspace(0, 12, 1201)[None])[0, :, 0]
    inside = way[:401].diff()
    assert (inside > 0).all()
    assert inside.max() < 2.1 * inside.min()
    assert torch.allclose(way[0], -way[400], atol=1e-6)
    assert torch.allclose(way[400:501], way[500:601].flip(0), atol=1e-5)  # it turns after a quarter more
    assert torch.allclose(way[1200], way[0], atol=1e-5)
    assert way.diff().diff().abs().max() < 2e-4


def test_what_lasts_says_where_a_clip_goes() -> None:
    motion = motion_of(SECONDS)
    noise = torch.randn(4, motion.vectors(SECONDS), 6)
    ends = torch.tensor([[0.0, SECONDS]]).expand(4, -1)
    same = torch.zeros(4, 2)
    with torch.no_grad():
        moved = motion(noise, same, ends).diff(dim=1)[:, 0]
        other = torch.cat([noise[:, :1].roll(1, 0), noise[:, 1:]], 1)
        assert torch.allclose(motion(other, same, ends).diff(dim=1)[:, 0], moved.roll(1, 0), atol=1e-5)
        back = motion(noise, same, torch.full((4, 1), 1.25 * SECONDS) + torch.tensor([[-1.0, 1.0]]))
    assert moved.norm(dim=1).min() > 0.1
    assert torch.allclose(back[:, 0], back[:, 1], atol=1e-5)


def test_noise_at_anchors_acts_as_without_a_course() -> None:
    with_course, without = motion_of(SECONDS), motion_of(None)
    noise = torch.randn(2, with_course.vectors(SECONDS), 6)
    times = torch.rand(2, 5) * SECONDS
    assert torch.equal(with_course.by_anchors(noise[:, 1:], times), without(noise[:, 1:], times))
    assert without.vectors(SECONDS) == noise.shape[1] - 1
