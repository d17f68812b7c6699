import math

import pytest
import torch

from sparring import Model, SettingError
from sparring.latents.interpolation import mixed, path
from sparring.latents.points import Points, samples
from sparring.latents.sphere import mean_on_sphere, slerp


def test_slerp_meets_both_ends_and_keeps_a_common_length() -> None:
    a, b = torch.randn(2, 5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    zeros, ones = torch.zeros(5), torch.ones(5)
    assert torch.allclose(slerp(a, b, zeros), a)
    assert torch.allclose(slerp(a, b, ones), b)
    a, b = (v / v.norm(dim=1, keepdim=True) for v in (a, b))
    for t in (0.2, 0.5, 0.9):
        assert torch.allclose(slerp(a, b, t * ones).norm(dim=1), ones.double())


def test_slerp_turns_at_constant_speed() -> None:
    a, b = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 4.0]])
    t = torch.linspace(0, 1, 10)
    way = slerp(a.expand(10, 3), b.expand(10, 3), t)
    assert torch.allclose(torch.atan2(way[:, 2], way[:, 0]), t.double() * math.pi / 2)
    assert torch.allclose(way.norm(dim=1), 2 + 2 * t.double())


def test_the_way_is_straight_where_there_is_no_circle() -> None:
    a, half = torch.tensor([[1.0, 2.0]]), torch.tensor([0.5])
    assert torch.allclose(slerp(torch.zeros(1, 2), a, half), a.double() / 2)
    assert torch.allclose(slerp(a, -a, half), torch.zeros(1, 2, dtype=torch.float64))
    assert torch.allclose(slerp(a, a, half), a.double())


def test_a_loop_goes_back_to_its_beginning(model: Model) -> None:
    points = samples(model, 3, seed=0)
    way = path(points, 4, loop=True)
    assert len(way) == 12
    assert torch.allclose(way.z[::4], points.z)
    home = slerp(points.z[2:], points.z[:1], torch.tensor([0.75]))
    assert torch.allclose(way.z[-1:], home.float())
    there = path(points, 4, loop=False)
    assert len(there) == 9
    assert torch.allclose(there.z[8], points.z[2])
    rows = path(points, 4, loop=False, ends=True)
    assert torch.allclose(rows.z[[0, 3, 4, 7]], points.z[[0, 1, 1, 2]])


def test_between_classes_their_shares_change_evenly(conditional: Model) -> None:
    z = conditional.latents(1)
    points = Points(z.expand(2, -1), torch.eye(3)[:2], ("a", "b"))
    way = path(points, 4, loop=False)
    assert way.classes is not None
    assert torch.allclose(way.classes[:, 1], torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    assert torch.allclose(way.z, z.expand(5, -1))


def test_one_point_is_no_way(model: Model) -> None:
    with pytest.raises(SettingError, match="several"):
        path(samples(model, 1, 0), 4, loop=True)


def test_the_mean_of_two_lies_on_their_circle() -> None:
    a, b = torch.randn(2, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mean = mean_on_sphere(torch.stack([a, b]), torch.tensor([0.3, 0.7], dtype=torch.float64))
    assert torch.allclose(mean, slerp(a[None], b[None], torch.tensor([0.7]))[0], atol=1e-6)


def test_the_mean_of_three_axes_is_amid_them(model: Model) -> None:
    points = Points(3 * torch.eye(8)[:3], None, ("x", "y", "z"))
    middle = mixed(points).z
    assert torch.allclose(middle[0, :3], torch.full((3,), math.sqrt(3)))
    assert torch.allclose(mixed(points, straight=True).z[0, :3], torch.ones(3))
    assert torch.allclose(mixed(points, [0, 2, 0]).z[0], points.z[1])


def test_weights_that_make_no_mean_are_refused() -> None:
    points = Points(torch.tensor([[1.0, 0], [-1.0, 0]]), None, ("a", "b"))
    with pytest.raises(SettingError, match="opposite"):
        mixed(points)
    for weights in ([1.0], [-1.0, 2.0], [0.0, 0.0], [math.nan, 1.0]):
        with pytest.raises(SettingError, match="weights"):
            mixed(points, weights)
