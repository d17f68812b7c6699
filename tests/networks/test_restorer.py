from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.networks.filling import continued, fill
from sparring.networks.patches import Discriminator
from sparring.networks.restorer import LEAST_DEVIATION, Restorer, moments


def trained(**options: object) -> Restorer:
    """A restorer whose last layers are not zero."""
    torch.manual_seed(0)
    restorer = Restorer(3, width=16, depth=1, levels=3, **options)
    for parameter in restorer.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return restorer.eval()


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (33, 16)])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_any_size_comes_out_so_many_times_as_large(size: tuple[int, int], scale: int) -> None:
    x = torch.rand(2, 3, *size)
    assert trained(scale=scale)(x).shape == (2, 3, scale * size[0], scale * size[1])


def test_it_begins_as_the_identity() -> None:
    x = torch.rand(2, 1, 20, 30)
    assert torch.equal(Restorer(1, width=16, depth=1, levels=3)(x), x)


def test_samples_do_not_hear_of_each_other() -> None:
    x, mask = torch.rand(4, 3, 24, 24), (torch.rand(4, 1, 24, 24) > 0.7).float()
    restorer = trained(holes=True)
    torch.testing.assert_close(restorer(x, mask)[1:2], restorer(x[1:2], mask[1:2]), rtol=1e-4, atol=1e-5)


def test_what_is_in_a_hole_makes_no_difference_and_what_is_known_stays() -> None:
    x, mask = torch.rand(2, 3, 24, 24), torch.zeros(2, 1, 24, 24)
    mask[:, :, 5:12, 8:20] = 1
    other = torch.where(mask > 0, torch.rand_like(x), x)
    restorer = trained(holes=True)
    assert torch.equal(restorer(x, mask), restorer(other, mask))
    assert torch.equal(restorer(x, mask)[:, :, :5], x[:, :, :5])
    assert not torch.equal(restorer(x, mask), x)


def test_a_hole_hears_of_the_whole_picture() -> None:
    x, mask = torch.zeros(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)
    mask[:, :, :8, :8] = 1
    other = x.clone()
    other[:, :, -32:, -32:] = 1
    restorer = trained(holes=True)
    assert (restorer(x, mask) - restorer(other, mask))[:, :, :8, :8].abs().min() > 0


def test_with_holes_brightness_and_contrast_come_back_as_they_went_in() -> None:
    x, mask = torch.rand(2, 3, 24, 30), (torch.rand(2, 1, 24, 30) > 0.7).float()
    restorer, tint = trained(holes=True).double(), torch.tensor([0.3, -0.2, 0.1]).double()[:, None, None]
    made = restorer(x.double(), mask.double())
    torch.testing.assert_close(
        restorer(-0.4 * x.double() + tint, mask.double()), restorer(-0.4 * x.double(), mask.double()) + tint
    )
    torch.testing.assert_close(restorer(0.4 * x.double(), mask.double()), 0.4 * made)


def test_the_moments_are_those_of_known_pixels() -> None:
    x, known = torch.rand(1, 3, 5, 6), torch.zeros(1, 1, 5, 6)
    known[:, :, 1:4, 2:5] = 1
    inside = x[:, :, 1:4, 2:5]
    mean, deviation = moments(x, known)
    torch.testing.assert_close(mean, inside.mean((2, 3), keepdim=True))
    expected = inside.var((2, 3), unbiased=False).mean().sqrt()
    torch.testing.assert_close(deviation, expected.expand(1, 1, 1, 1))
    assert [float(each.max()) for each in moments(x, 0 * known)] == pytest.approx([0, LEAST_DEVIATION])


def test_a_mask_is_given_where_there_are_holes_and_only_there() -> None:
    x = torch.rand(1, 3, 8, 8)
    with pytest.raises(ValueError, match="needs a mask"):
        trained(holes=True)(x)
    with pytest.raises(ValueError, match="takes no mask"):
        trained()(x, x[:, :1])


def test_a_slope_goes_on_in_a_hole_and_a_constant_too() -> None:
    slope = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32)
    mask = torch.zeros(1, 1, 32, 32)
    mask[:, :, 4:28, 6:26] = 1
    torch.testing.assert_close(fill(slope, mask), slope, atol=0.03, rtol=0)
    torch.testing.assert_close(fill(torch.full((1, 3, 32, 32), 0.3), mask), torch.full((1, 3, 32, 32), 0.3))


def harmonic(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Laplace's equation solved in holes that touch no edge, in float64."""
    exact = torch.where(mask > 0, x[mask == 0].mean(), x).double()
    for _ in range(4000):
        around = (exact.roll(1, 2) + exact.roll(-1, 2) + exact.roll(1, 3) + exact.roll(-1, 3)) / 4
        exact = torch.where(mask > 0, around, exact)
    return exact


def test_the_filling_nearly_solves_the_equation_of_laplace_from_the_edges_as_they_go_on() -> None:
    torch.manual_seed(0)
    x, mask = torch.rand(1, 1, 48, 48), torch.zeros(1, 1, 48, 48)
    mask[:, :, 10:30, 12:40] = 1
    exact = harmonic(continued(x, 1 - mask), mask)
    filled = fill(x, mask)
    assert torch.equal(filled[mask == 0], x[mask == 0])
    assert (filled - exact)[mask > 0].square().mean() < 0.05 * exact[mask > 0].var()


def test_a_picture_that_is_smoother_than_the_equation_is_met_better_than_by_it() -> None:
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    x = (torch.sin(rows / 6 + columns / 9) + torch.cos(columns / 5 - rows / 11))[None, None]
    mask = torch.zeros(1, 1, 48, 48)
    mask[:, :, 16:28, 14:34] = 1
    errors = [(made - x)[mask > 0].square().mean() for made in (fill(x, mask), harmonic(x, mask))]
    assert errors[0] < 0.9 * errors[1]


def test_a_picture_that_is_all_hole_is_filled_with_something_finite() -> None:
    assert fill(torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)).isfinite().all()


def test_the_discriminator_judges_only_places_that_a_hole_reaches_into() -> None:
    judge, x, mask = Discriminator(3, width=8, spectral_norm=True), torch.rand(2, 3, 32, 40), torch.zeros(2, 1, 32, 40)
    mask[0, :, 9:15, 18:22] = 1
    assert judge(x).shape == (2, 4 * 5)
    judged = judge(x, mask).reshape(2, 4, 5) != 0
    assert judged[0].nonzero().tolist() == [[1, 2]]
    assert not judged[1].any()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("holes", [False, True])
def test_it_exports_for_pictures_of_any_size(tmp_path: Path, holes: bool) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    restorer, path = trained(holes=holes, fold=4), str(tmp_path / "restorer.onnx")
    names = ["picture", "mask"][: 1 + holes]
    example = (torch.rand(2, 3, 41, 57), (torch.rand(2, 1, 41, 57) > 0.7).float())[: 1 + holes]
    axes = {name: {0: "n", 2: "height", 3: "width"} for name in names}
    torch.onnx.export(restorer, example, path, dynamo=False, opset_version=18, input_names=names, dynamic_axes=axes)
    session = runtime.InferenceSession(path)
    for size in ((41, 57), (16, 80), (33, 70)):
        given = (torch.rand(1, 3, *size), (torch.rand(1, 1, *size) > 0.7).float())[: 1 + holes]
        (made,) = session.run(None, {name: x.numpy() for name, x in zip(names, given, strict=True)})
        np.testing.assert_allclose(made, restorer(*given).detach().numpy(), atol=1e-5)
