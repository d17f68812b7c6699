import pytest
import torch
from sklearn.datasets import load_sample_images

from sparring.metrics.structure import structure


def photographs() -> torch.Tensor:
    """Two photographs (2, 3, 160, 160) in [-1, 1]."""
    cut = [torch.from_numpy(picture[100:260, 200:360].copy()) for picture in load_sample_images().images]
    return torch.stack(cut).permute(0, 3, 1, 2) / 127.5 - 1


def test_colours_and_contrast_change_nothing_and_another_scene_everything() -> None:
    scenes = photographs()
    assert structure(scenes, scenes).tolist() == pytest.approx([1, 1])
    assert structure(scenes, -0.6 * scenes).min() > 0.98
    assert structure(scenes, scenes.flip(0)).max() < 0.4
    shaken = scenes + 0.1 * torch.randn(scenes.shape, generator=torch.Generator().manual_seed(0))
    assert (structure(scenes, shaken) > 0.8).all()
