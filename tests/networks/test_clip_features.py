from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sparring.config import SPACES_OF_CLIPS
from sparring.errors import MetricError
from sparring.networks.clip_features import CLIP_SPACES, I3D, FramesAndChanges, open_clip_features
from sparring.networks.features import open_features
from sparring.networks.resizing import fit


@pytest.fixture(scope="module")
def space() -> FramesAndChanges:
    found = open_clip_features("lite0-clips")
    assert isinstance(found, FramesAndChanges)
    return found


@pytest.fixture(scope="module")
def clip() -> Tensor:
    """A bright square that goes to the right over a plain ground, float (1, 8, 3, 32, 32) in [-1, 1]."""
    frames = torch.full((1, 8, 3, 32, 32), -0.6)
    for frame in range(8):
        frames[0, frame, :2, 10:20, 2 * frame : 2 * frame + 10] = 0.8
    return frames


def test_the_first_features_are_means_over_frames_as_the_network_of_pictures_sees_them(
    space: FramesAndChanges, clip: Tensor
) -> None:
    seen = space.watched(clip)
    assert seen.clips.shape == (1, space.card.dimension) == (1, 192)
    lite0 = open_features("lite0")
    maps = lite0.maps(fit(clip[0], space.card))
    assert torch.allclose(seen.frames[0], maps[16].mean((2, 3)), atol=1e-4)
    assert torch.allclose(seen.clips[0, :112], maps[16].mean((0, 2, 3)), atol=1e-4)
    change = (maps[8][1:] - maps[8][:-1]).square().mean((0, 2, 3)).sqrt()
    assert torch.allclose(seen.clips[0, 112:152], change, atol=1e-4)


def test_a_clip_that_stands_still_does_not_change_and_order_counts_for_change_alone(
    space: FramesAndChanges, clip: Tensor
) -> None:
    still = space.watched(clip[:, :1].expand(-1, 8, -1, -1, -1)).clips
    assert still[0, 112:].abs().max() < 1e-4
    moving, mixed = space.watched(clip).clips, space.watched(clip[:, [3, 0, 6, 1, 7, 2, 5, 4]]).clips
    assert torch.allclose(moving[0, :112], mixed[0, :112], atol=1e-4)
    assert (mixed[0, 112:152] > 1.2 * moving[0, 112:152]).float().mean() > 0.8


class Standin(nn.Module):
    """What i3d_torchscript.pt is called like: it counts on bytes, and gives the mean over time of each corner."""

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        assert x.dtype == torch.uint8, "bytes are expected"
        assert rescale and resize and return_features, "all three are asked for"
        return x[:, :, :, 0, 0].float().mean(2)


def saved(module: nn.Module, path: Path) -> Path:
    torch.jit.script(module).save(str(path))
    return path


def test_i3d_is_called_as_published_numbers_were_made(tmp_path: Path, clip: Tensor) -> None:
    space = open_clip_features(f"i3d={saved(Standin(), tmp_path / 'i3d_torchscript.pt')}")
    assert isinstance(space, I3D)
    assert (space.card.name, space.card.dimension) == ("i3d", 3)
    clips = torch.cat([clip, clip.flip(1), clip + 0.1])
    found = space.watched(clips)
    assert torch.allclose(found.clips, ((clips[:, :, :, 0, 0] + 1) * 127.5).round().mean(1))
    assert found.frames.shape == (3, 8, 112)


class Wrong(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean((2, 3, 4))


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="write i3d=FILE"):
        open_clip_features("i3d")
    with pytest.raises(MetricError, match="did you mean lite0-clips"):
        open_clip_features("lite0-clip")
    with pytest.raises(MetricError, match="i3d= takes i3d_torchscript"):
        open_clip_features(f"i3d={saved(Wrong(), tmp_path / 'wrong.pt')}")
    with pytest.raises(MetricError, match="cannot be read"):
        open_clip_features(f"i3d={tmp_path / 'nothing.pt'}")


def test_settings_know_the_spaces() -> None:
    assert tuple(CLIP_SPACES) == SPACES_OF_CLIPS
