"""The discriminator that looks through a frozen network."""

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from sparring.adversarial.game import Perceiving
from sparring.errors import MetricError, SettingError
from sparring.networks.features import Card, open_features
from sparring.networks.projected import Discriminator

STRIDES = {2: 3, 4: 6, 8: 5}


class Eyes(nn.Module):
    """Strided means of the picture, mixed to some channels: a stand-in that is quick and has a gradient."""

    card = Card("eyes", "a stand-in", 3, None, "none", "none", "0", "here", strides=STRIDES)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.mixes = nn.ModuleList(nn.Conv2d(3, count, 3, stride, 1) for stride, count in STRIDES.items())
        self.requires_grad_(False)

    def pooled(self, pictures: Tensor) -> Tensor:
        return pictures.mean((2, 3))

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        return {stride: mix(pictures).sin() for stride, mix in zip(STRIDES, self.mixes, strict=True)}

    def logits(self, pooled: Tensor) -> Tensor:
        raise MetricError("none")


def judge(shape: tuple[int, int, int] = (3, 32, 32), side: int = 32, **options: int) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(shape, features=Eyes(), pictures=pictures(shape), side=side, **options)


def pictures(shape: tuple[int, int, int], count: int = 40) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(9)) * 2 - 1


@pytest.mark.parametrize(
    ("shape", "places"),
    [
        ((3, 32, 32), 3 * 3 + 3 * 3),  # maps of 12x12 and 6x6
        ((1, 32, 24), 3 * 4 + 3 * 2),  # 12x9 and 6x5, whose sides are halved while they are above 4
        ((4, 21, 33), 4 * 3 + 4 * 3),
        ((2, 16, 16), 3 * 3 + 3 * 3),
        ((3, 5, 24), 3 * 3 + 2 * 3),
        ((3, 12, 64), 3 * 3 + 2 * 3),
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [0, 3])
def test_there_is_a_judgement_for_every_place(shape: tuple[int, int, int], places: int, classes: int) -> None:
    discriminator = judge(shape, side=48, classes=classes)
    x = torch.rand(2, *shape) * 2 - 1
    y = torch.eye(3)[:2] if classes else None
    logits = discriminator(x, y)
    assert logits.shape == (2, places)
    assert logits.dtype == torch.float32
    with pytest.raises(ValueError, match="y"):
        discriminator(x, None if classes else torch.eye(3)[:2])


def test_only_heads_learn_and_only_what_is_random_is_saved() -> None:
    discriminator = judge()
    learning = {name for name, weight in discriminator.named_parameters() if weight.requires_grad}
    saved = discriminator.state_dict().keys()
    assert learning and all(name.startswith("heads.") for name in learning)
    assert {name.split(".")[0] for name in saved} == {"standard", "across", "down", "heads"}
    other = copy.deepcopy(discriminator)
    with torch.no_grad():
        for weight in other.parameters():
            weight.normal_()
    other.load_state_dict(discriminator.state_dict())
    x = torch.rand(3, 3, 32, 32)
    assert torch.equal(other(x), discriminator(x))


def test_what_it_perceives_and_judges_is_what_it_says() -> None:
    discriminator = judge(classes=2)
    x, y = torch.rand(3, 3, 32, 32), torch.eye(2)[[0, 1, 1]]
    assert isinstance(discriminator, Perceiving)
    assert torch.equal(discriminator(x, y), discriminator.judge(*discriminator.perceive(x), y=y))


def test_samples_do_not_mix_and_gradients_reach_the_picture() -> None:
    discriminator = judge()
    x = (torch.rand(4, 3, 32, 32) * 2 - 1).requires_grad_()
    logits = discriminator(x)
    torch.testing.assert_close(torch.cat([discriminator(part) for part in x.split(1)]), logits)
    (gradient,) = torch.autograd.grad(logits[1].sum(), x)
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2, 3]].abs().sum() == 0


def test_colours_under_full_transparency_do_not_count_and_alpha_does() -> None:
    discriminator = judge((4, 32, 32))
    x = torch.rand(1, 4, 32, 32) * 2 - 1
    x[:, 3] = -1
    recoloured = x.clone()
    recoloured[:, :3] = -x[:, :3]
    torch.testing.assert_close(discriminator(recoloured), discriminator(x))
    shown = x.clone()
    shown[:, 3, 8:24] = 1
    assert (discriminator(shown) - discriminator(x)).abs().max() > 1e-3


def test_classes_matter_and_mix_in_proportion() -> None:
    discriminator = judge(classes=2)
    x = torch.rand(1, 3, 32, 32)
    first, second, mixed = (discriminator(x, torch.tensor([y])) for y in ([1.0, 0.0], [0.0, 1.0], [0.25, 0.75]))
    assert not torch.allclose(first, second)
    torch.testing.assert_close(mixed, 0.25 * first + 0.75 * second)


def test_a_network_without_gradient_or_maps_is_refused_in_a_sentence() -> None:
    class Blind(Eyes):
        def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
            return {stride: x.detach() for stride, x in super().maps(pictures).items()}

    class Refusing(Eyes):
        def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
            raise MetricError("sides that are multiples of 14")

    for eyes, said in ((Blind(), "no gradient"), (Refusing(), "multiples of 14")):
        with pytest.raises(SettingError, match=said):
            Discriminator((3, 32, 32), features=eyes, pictures=pictures((3, 32, 32)), side=32)


def test_maps_are_standardised_over_real_pictures() -> None:
    shown = pictures((3, 32, 32), 70)
    discriminator = Discriminator((3, 32, 32), features=Eyes(), pictures=shown, side=32)
    for standardise, x in zip(discriminator.standard, discriminator.look(shown), strict=True):
        deviation, mean = torch.std_mean(standardise(x), (0, 2, 3))
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
        torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-3, rtol=0)


def test_a_channel_that_hardly_varies_is_not_blown_up() -> None:
    """Of three channels that vary by s and one by a thousandth of it, the last is divided by a fifth of the root mean
    square, sqrt(3 / 4) s; where none varies, all are by the least there is."""

    class Uneven(Eyes):
        def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
            red = pictures[:, :1, ::4, ::4]
            return {4: torch.cat([red, red, red, 1e-3 * red], dim=1)}

    shown = pictures((3, 32, 32))
    (standard,) = Discriminator((3, 32, 32), features=Uneven(), pictures=shown, side=32).standard
    deviation = float(shown[:, 0, ::4, ::4].std(correction=0))
    expected = deviation * torch.tensor([1, 1, 1, 0.2 * 0.75**0.5])
    torch.testing.assert_close(standard.deviation, expected, atol=0, rtol=1e-4)
    (standard,) = Discriminator((3, 32, 32), features=Uneven(), pictures=torch.zeros_like(shown), side=32).standard
    torch.testing.assert_close(standard.deviation, torch.full((4,), 1e-3))


def test_through_the_network_of_the_package() -> None:
    """Lite0 in half precision, as photographs are trained on a CPU, and the same in float32."""
    torch.manual_seed(0)
    noise = torch.stack([pictures((3, 48, 32), 1)[0] * level for level in torch.linspace(0.1, 1, 16)])
    shapes = nn.functional.interpolate(pictures((3, 6, 4), 16), (48, 32), mode="nearest")
    x = (0.5 * noise + shapes + torch.linspace(-0.5, 0.5, 16)[:, None, None, None]).clamp(-1, 1)
    precise = Discriminator((3, 48, 32), features=open_features("lite0"), pictures=x, side=64)
    quick = Discriminator((3, 48, 32), features=open_features("lite0-bf16"), pictures=x, side=64)
    quick.load_state_dict(precise.state_dict())
    judgements, gradients = [], []
    for discriminator, context in ((precise, torch.float32), (quick, torch.bfloat16)):
        seen = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=context == torch.bfloat16):
            logits = discriminator(seen)
        gradients.append(torch.autograd.grad(logits.sum(), seen)[0])
        judgements.append(logits.detach())
    # Pictures so much alike make deviations small, and the rounding of bf16 large beside them.
    assert nn.functional.cosine_similarity(*(g.flatten(1) for g in gradients)).mean() > 0.5
    assert torch.corrcoef(torch.stack([x.flatten() for x in judgements]))[0, 1] > 0.95


def test_what_is_seen_side_by_side_is_judged_together() -> None:
    one, other = torch.split(pictures((3, 32, 32), 8), 4)
    discriminator = judge(beside=2)
    assert torch.equal(discriminator(one, None, other), discriminator.judge(*discriminator.perceive(one, other)))
    assert not torch.allclose(discriminator(one, None, other), discriminator(one, None, one))


def test_more_places_are_judged_where_they_are_asked_for() -> None:
    assert judge(places=8)(pictures((3, 32, 32), 1)).shape == (1, 8 * 8 + 4 * 4)
