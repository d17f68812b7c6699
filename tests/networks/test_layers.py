import pytest
import torch
import torch.nn.functional as F

from sparring.networks.layers import Latent, halvings, resize


def test_halvings_reach_about_four():
    assert halvings(64, 96) == [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6)]
    assert halvings(9, 32) == [(9, 32), (5, 16), (5, 8), (5, 4)]
    assert halvings(4, 6) == [(4, 6)]


@pytest.mark.parametrize("grows", [True, False])
def test_resizing_by_two_is_the_papers_filter(grows):
    """Inside the picture it is a depthwise convolution with [1, 3, 3, 1] / 8, as in the code of R3GAN."""
    torch.manual_seed(0)
    x = torch.randn(1, 1, 16, 16)
    taps = torch.tensor([1.0, 3, 3, 1]) / 8
    kernel = taps.outer(taps)[None, None]
    if grows:
        expected = F.conv_transpose2d(x, 4 * kernel, stride=2, padding=1)
    else:
        expected = F.conv2d(x, kernel, stride=2, padding=1)
    side = expected.shape[2]
    inside = slice(2, side - 2)
    torch.testing.assert_close(resize(x, (side, side))[:, :, inside, inside], expected[:, :, inside, inside])


def test_resizing_keeps_constants_and_hits_odd_sizes():
    for size in ((5, 9), (11, 3), (7, 7)):
        torch.testing.assert_close(resize(torch.ones(1, 2, 7, 7), size), torch.ones(1, 2, *size))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("size", [(3, 12), (14, 5), (7, 9)], ids=str)
def test_resizing_and_its_gradient_are_the_librarys(size: tuple[int, int], channels_last: bool) -> None:
    torch.manual_seed(0)
    shrinks = size[0] < 7 or size[1] < 9
    x = torch.randn(2, 3, 7, 9, requires_grad=True)
    given = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    found, expected = resize(given, size), F.interpolate(x, size, mode="bilinear", antialias=shrinks)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    slopes = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (found, expected)]
    torch.testing.assert_close(slopes[0], slopes[1])


def test_what_was_resized_for_sampling_can_be_trained_next() -> None:
    with torch.inference_mode():
        resize(torch.randn(1, 1, 10, 10), (5, 5))
    x = torch.randn(1, 1, 10, 10, requires_grad=True)
    resize(x, (5, 5)).square().sum().backward()
    assert x.grad is not None


def test_a_class_of_given_loudness_cannot_drown_the_noise() -> None:
    latent = Latent(8, 3, loudness=0.2)
    with torch.no_grad():
        latent.embedding.weight *= 50
    made = latent(torch.randn(3, 8), torch.eye(3))
    torch.testing.assert_close(made[:, 8:].square().mean(1).sqrt(), torch.full((3,), 0.2))
    assert (made[0, 8:] - made[1, 8:]).abs().max() > 0.01
