import subprocess
import sys

import pytest
import torch
from sklearn.datasets import load_sample_image
from tests.applying.apparatuses import Filler, Mean, Network
from torch import Tensor

from sparring.applying.tiles import stretches, tiled


@pytest.fixture(scope="module")
def china() -> Tensor:
    """uint8 (1, 3, 427, 640)."""
    return torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None]


@pytest.mark.parametrize("multiple", [1, 4, 8])
@pytest.mark.parametrize("reach", [0, 3, 11])
def test_weights_of_all_tiles_add_up_to_one_and_no_pixel_near_a_cut_counts(reach: int, multiple: int) -> None:
    for side in [*range(1, 700, 7), 5000]:
        total = torch.zeros(2 * side)
        cut = stretches(side, 128, 2 * reach // 8 * 8 + 16, reach, multiple)
        for stretch in cut:
            total[2 * stretch.first : 2 * stretch.last] += stretch.weights(2)
            assert stretch.start % multiple == 0
            assert stretch.start == 0 or stretch.first - stretch.start >= reach
            assert stretch.stop == side or stretch.stop - stretch.last >= reach
        assert torch.allclose(total, torch.ones(2 * side)), side
        sizes = {stretch.stop - stretch.start for stretch in cut[:-1]}
        assert len(sizes) <= 1
        assert not sizes or 0 <= sizes.pop() - (cut[-1].stop - cut[-1].start) < multiple


@pytest.mark.parametrize("scale", [1, 2])
def test_tiles_of_a_network_give_what_the_whole_picture_gives(china: Tensor, scale: int) -> None:
    network = Network(scale=scale)
    whole = tiled(network, china, tile=1024)
    assert network.seen == [(1, 3, 427, 640)]
    cut = tiled(network, china, tile=192)
    assert len(network.seen) > 12
    assert cut.shape == (1, 3, 427 * scale, 640 * scale)
    assert (whole.int() - cut.int()).abs().max() <= 1
    assert (whole.int() - china.repeat_interleave(scale, 2).repeat_interleave(scale, 3).int()).abs().float().mean() > 5


def test_too_little_overlap_would_be_seen(china: Tensor) -> None:
    network = Network()
    network.reach = 0
    whole, cut = tiled(network, china, tile=1024), tiled(network, china, tile=128, overlap=4)
    assert (whole.int() - cut.int()).abs().max() > 1


def test_a_generator_that_looks_at_everything_leaves_no_edge_between_tiles() -> None:
    y, x = torch.meshgrid(torch.arange(400), torch.arange(600), indexing="ij")
    smooth = (127 + 60 * torch.sin(x / 40) + 60 * torch.cos(y / 50)).to(torch.uint8).expand(1, 3, -1, -1)
    mean = Mean()
    made = tiled(mean, smooth, tile=128).int()
    assert len({shape[2:] for shape in mean.seen}) == 1
    untiled = tiled(Mean(), smooth, tile=1024).int()
    assert (made - untiled).abs().max() > 10  # it does depend on the tile
    across, down = made.diff(dim=3).abs(), made.diff(dim=2).abs()
    # The picture itself has steps of up to 2 grey levels, of which the generator keeps half; the rest is the seams.
    assert across.max() <= 3
    assert down.max() <= 3


def test_sizes_are_equal_and_no_larger_than_they_must_be(china: Tensor) -> None:
    network = Network()
    tiled(network, china[..., :300, :], tile=512)
    assert {shape[2:] for shape in network.seen} == {(300, 356)}
    assert len(network.seen) == 2


def test_tiles_without_a_hole_are_not_asked_for(china: Tensor) -> None:
    filler = Filler()
    mask = torch.zeros(427, 640, dtype=torch.bool)
    mask[200:210, 300:320] = True
    made = tiled(filler, china, mask, tile=128)
    assert len(filler.seen) == 1
    inside = made[0, :, 204, 304].float()
    assert (inside - china[0, :, 150:270, 250:370].float().mean((1, 2))).abs().max() < 20


def test_a_hole_larger_than_a_tile_is_filled_from_the_whole_picture(china: Tensor) -> None:
    mask = torch.zeros(427, 640, dtype=torch.bool)
    mask[50:400, 100:600] = True
    made = tiled(Filler(), china, mask, tile=128).float()
    known = china[0, :, ~mask].float().mean(1)
    assert (made[0, :, 225, 350] - known).abs().max() < 3
    inside = made[0, :, 50:400, 100:600]
    assert max(inside.diff(dim=1).abs().max(), inside.diff(dim=2).abs().max()) <= 12


IN_LITTLE_MEMORY = """
import resource, torch
from sparring.applying.tiles import tiled
from tests.applying.apparatuses import Fake

fake = Fake(reach=30, scale=2)
tiled(fake, torch.zeros(1, 3, 600, 600, dtype=torch.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
picture = torch.full((1, 3, 2000, 6000), 7, dtype=torch.uint8)
made = tiled(fake, picture)
assert made.shape == (1, 3, 4000, 12000) and (made[0, 0, ::9, ::9] == 7).all()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 - picture.nbytes - made.nbytes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit of ru_maxrss differs")
def test_memory_is_for_pictures_and_a_strip_not_for_floats_of_all() -> None:
    done = subprocess.run([sys.executable, "-c", IN_LITTLE_MEMORY], capture_output=True, text=True, check=True)
    strip = 4 * 3 * 12000 * 2 * 32
    assert int(done.stdout) < 3 * strip  # floats of the result alone would be 60 strips
