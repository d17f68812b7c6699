import torch
from torch import nn

from sparring.networks import dcgan


def test_the_layers_of_the_paper_at_64():
    """Figure 1 of Radford et al. 2016: 1024, 512, 256, 128 channels at 4, 8, 16, 32, strided 4x4 convolutions, tanh."""
    generator = dcgan.Generator((3, 64, 64), z_dim=100, width=128, depth=1)
    enlarging = [layer for layer in generator.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in enlarging] == [
        (1024, 512),
        (512, 256),
        (256, 128),
        (128, 3),
    ]
    assert all(layer.stride == (2, 2) for layer in enlarging)
    assert generator.start.out_features == 1024 * 4 * 4
    assert generator(torch.randn(2, 100)).abs().max() < 1


def test_spectral_normalisation_takes_the_place_of_the_other():
    plain, bounded = (dcgan.Discriminator((3, 32, 32), width=8, depth=2, spectral_norm=s) for s in (False, True))
    assert any(isinstance(layer, nn.GroupNorm) for layer in plain.modules())
    assert not any(isinstance(layer, nn.GroupNorm) for layer in bounded.modules())
