"""ChemNet, a network that knows what molecules do in assays, as the space that sets of them are compared in."""

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sparring.chemistry.parallel import Progress
from sparring.chemistry.toolkit import needed

FEATURES, LENGTH = 512, 350
"""Features of a molecule, and characters of SMILES that the network reads, padded as it was trained."""

BATCH = 256


def available() -> bool:
    """Whether fcd_torch, which carries the weights, is installed."""
    return importlib.util.find_spec("fcd_torch") is not None


@torch.inference_mode()
def features(
    smiles: Sequence[str], device: str = "cpu", progress: Progress | None = None, stage: str = "ChemNet"
) -> Tensor:
    """Activations float32 (N, `FEATURES`) of the last but one layer, on the CPU, of canonical SMILES.

    Raises: SettingError if fcd_torch is not installed.
    Source: Preuer et al. 2018, J. Chem. Inf. Model. 58 (ChemNet: Mayr et al. 2018); weights as fcd_torch carries them.
    """
    network = _network().to(device)
    encode = needed("fcd_torch.utils").get_one_hot
    parts = [torch.zeros(0, FEATURES)]
    for start in range(0, len(smiles), BATCH):
        batch = smiles[start : start + BATCH]
        rows = np.stack([encode(text, LENGTH) for text in batch])
        # The division by the number of characters is part of the published network's input (fcd_torch 1.0.7).
        letters = torch.from_numpy(rows / rows.shape[2]).float().mT.to(device)
        parts.append(network(letters).float().cpu())
        if progress is not None:
            progress(stage, start + len(batch), len(smiles))
    return torch.cat(parts)


@cache
def _network() -> nn.Module:
    package = needed("fcd_torch")
    path = Path(package.__file__).with_name("ChemNet_v0.13_pretrained.pt")
    layers = torch.load(path, map_location="cpu", weights_only=True)
    network: nn.Module = needed("fcd_torch.utils").load_imported_model(layers)
    return network.eval().requires_grad_(False)
