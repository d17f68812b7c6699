"""Eight ways, each undone, and their mean."""

import pytest
import torch
from tests.applying.apparatuses import Fake, Filler, Size
from torch import Tensor

from sparring.applying import Ensemble, apply_to_picture
from sparring.errors import SettingError
from sparring.model import Model
from sparring.tasks import restore, translate


class Lines(Fake):
    """Adds to each row a tenth of its number, which no turned picture has at the same places."""

    def made(self, pictures: Tensor, mask: Tensor | None) -> Tensor:
        rows = torch.arange(pictures.shape[2])[:, None] / 10
        return super().made(pictures + rows, mask)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
def test_what_does_not_depend_on_the_way_stays(size: Size, scale: int) -> None:
    pictures = torch.rand(2, 3, *size)
    apparatus = Fake(scale=scale)
    assert torch.allclose(Ensemble(apparatus)(pictures, None), apparatus(pictures, None), atol=1e-6)
    assert len(apparatus.seen) == 9


def test_what_depends_on_it_is_averaged_over_all_ways() -> None:
    made = Ensemble(Lines())(torch.zeros(1, 3, 4, 4), None)
    assert torch.allclose(made, made.rot90(1, (2, 3)), atol=1e-6)
    assert torch.allclose(made, made.flip(3), atol=1e-6)
    # Half of the ways count from one of the sides, the others from the other.
    assert torch.allclose(made, torch.full_like(made, 0.15), atol=1e-6)


def test_holes_turn_with_the_picture() -> None:
    picture = torch.randint(256, (3, 5, 7), dtype=torch.uint8)
    hole = torch.zeros(5, 7, dtype=torch.bool)
    hole[1:3, 2:6] = True
    assert torch.equal(apply_to_picture(Ensemble(Filler()), picture, hole), apply_to_picture(Filler(), picture, hole))


def test_it_is_for_restorers() -> None:
    torch.manual_seed(0)
    blueprint = restore.Blueprint("denoise", 1, 16, 1)
    model = Model(blueprint.generator(), blueprint)
    assert isinstance(model.apparatus(ensemble=True), Ensemble)
    assert not isinstance(model.apparatus(), Ensemble)
    painter = translate.Blueprint(3, 16, 1)
    with pytest.raises(SettingError, match="--ensemble is for generators that restore pictures"):
        Model(painter.generator(), painter).apparatus(ensemble=True)
