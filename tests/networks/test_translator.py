import pytest
import torch

from sparring.networks.judges import Beside, Each
from sparring.networks.patches import Discriminator
from sparring.networks.translator import BothWays, Translator, at_places, grain


def translator(**given: int) -> Translator:
    torch.manual_seed(0)
    return Translator(3, width=8, depth=1, levels=3, **given)


@pytest.mark.parametrize("size", [(8, 8), (23, 41), (1, 5)])
def test_at_first_pictures_of_any_size_come_back_as_they_were(size: tuple[int, int]) -> None:
    pictures = torch.rand(2, 3, *size) * 2 - 1
    assert torch.equal(translator()(pictures), pictures)


def awake(generator: torch.nn.Module) -> torch.nn.Module:
    """With weights as after training."""
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return generator


def test_strength_goes_from_the_photograph_to_the_painting() -> None:
    generator, pictures = awake(translator()), torch.rand(1, 3, 16, 16)
    made = generator(pictures)
    assert not torch.allclose(made, pictures, atol=1e-3)
    assert torch.equal(generator(pictures, strength=0.0), pictures)
    torch.testing.assert_close(generator(pictures, strength=0.5), (made + pictures) / 2)


def test_styles_differ_and_their_mixture_is_another() -> None:
    generator, picture = awake(translator(styles=2)), torch.rand(1, 3, 16, 16)
    a, b, both = (generator(picture, torch.tensor([y])) for y in ([1.0, 0.0], [0.0, 1.0], [0.5, 0.5]))
    assert min((a - b).abs().max(), (a - both).abs().max(), (b - both).abs().max()) > 1e-3
    with pytest.raises(ValueError, match="needs y"):
        generator(picture)


def test_a_picture_does_not_depend_on_its_batch() -> None:
    generator, pictures = awake(translator()), torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(generator(pictures)[1:2], generator(pictures[1:2]))


def test_places_are_in_the_order_of_rows() -> None:
    grid = torch.arange(12.0).view(1, 1, 3, 4)
    assert at_places(grid, torch.tensor([[0.0, 0.4, 0.999]])).flatten().tolist() == [0, 4, 11]


def test_the_grain_of_a_dim_picture_is_as_loud_as_that_of_a_bright_one_and_nothing_has_none() -> None:
    picture = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) / 4
    loud, quiet = grain(picture), grain(picture / 4 + 0.3)
    assert loud.square().mean().item() == pytest.approx(1, abs=0.1)
    assert quiet.square().mean().item() == pytest.approx(1, abs=0.1)
    assert grain(torch.full((1, 3, 8, 8), 0.4)).abs().max() < 1e-4


def test_both_ways_give_what_is_made_there() -> None:
    there, back = awake(translator(styles=2)), awake(translator())
    picture, y = torch.rand(1, 3, 8, 8), torch.tensor([[0.0, 1.0]])
    assert torch.equal(BothWays(there, back)(picture, y), there(picture, y))  # type: ignore[arg-type]


def test_a_pair_is_judged_together_and_two_pictures_each() -> None:
    one, other = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    beside = Beside(Discriminator(6, width=8, spectral_norm=False))
    assert not torch.allclose(beside(one, other), beside(one, one))
    first, second = (Discriminator(3, width=8, spectral_norm=False) for _ in range(2))
    assert torch.equal(Each(first, second)(one, other), torch.cat([first(one), second(other)], dim=1))


def test_a_judge_of_patches_with_styles_judges_by_the_style() -> None:
    judge, pictures = Discriminator(3, width=8, spectral_norm=False, classes=2), torch.rand(1, 3, 16, 16)
    rows = [judge(pictures, y=torch.tensor([y])) for y in ([1.0, 0.0], [0.0, 1.0], [0.5, 0.5])]
    assert not torch.allclose(rows[0], rows[1])
    torch.testing.assert_close((rows[0] + rows[1]) / 2, rows[2])
