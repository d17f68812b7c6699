"""Molecules as chemists draw them: as pictures for previews and grids, and as SVG for pages."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring.chemistry.toolkit import Chem, needed
from sparring.mosaic import full_columns

WIDE, SMALLEST, LARGEST = 1000, 128, 320
"""Pixels that a row of drawings fills about, and the least and largest side of one."""

LEGEND = 0.12
"""Height of a legend, as a share of the drawing's."""

BLANK = 238
"""The grey of a drawing of what is no molecule."""

MOST = 400
"""Drawings on one picture; of more nobody could tell anything."""


def pictures(smiles: Sequence[str], columns: int | None = None, legends: Sequence[str] | None = None) -> Tensor:
    """Drawings uint8 (N, 3, H, W), white below, of SMILES; grey where there is no molecule.

    columns: how many are to stand in a row, which says how large they are: 128 to 320 pixels a side, more of them
    smaller; about a square of them if None. legends: a line below each, which adds to the height.
    """
    if not smiles:
        return torch.zeros(0, 3, SMALLEST, SMALLEST, dtype=torch.uint8)
    side = max(SMALLEST, min(LARGEST, WIDE // (columns or full_columns(len(smiles), 1.0))))
    height = side if legends is None else round(side * (1 + LEGEND))
    drawn = [_picture(text, side, height, "" if legends is None else legends[n]) for n, text in enumerate(smiles)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous()


def svg(smiles: str, width: int = 220, height: int = 160) -> str:
    """A drawing as an SVG element that stands in a page, on nothing; empty for what is no molecule."""
    drawer = needed("rdkit.Chem.Draw.rdMolDraw2D").MolDraw2DSVG(width, height)
    drawer.drawOptions().clearBackground = False
    if not _draw(drawer, smiles, ""):
        return ""
    text: str = drawer.GetDrawingText()
    element = text[text.index("<svg") :]
    # Two decimals are nothing to see, and half of the size; comments and names of namespaces are for editors.
    element = re.sub(r"(\d+\.\d)\d+", r"\1", re.sub(r"<!--.*?-->", "", element, flags=re.DOTALL))
    return re.sub(r"\s*\n\s*", " ", element).strip()


def _picture(smiles: str, width: int, height: int, legend: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(height, width, 3)."""
    drawer = needed("rdkit.Chem.Draw.rdMolDraw2D").MolDraw2DCairo(width, height)
    if not _draw(drawer, smiles, legend):
        return np.full((height, width, 3), BLANK, np.uint8)
    return np.asarray(Image.open(io.BytesIO(drawer.GetDrawingText())).convert("RGB"))


def _draw(drawer: Any, smiles: str, legend: str) -> bool:
    """Whether there was a molecule to draw."""
    mol = Chem.MolFromSmiles(smiles) if smiles else None
    if mol is None or not mol.GetNumAtoms():
        return False
    options = drawer.drawOptions()
    options.padding = 0.08
    options.legendFraction = LEGEND
    options.fixedBondLength = 30.0  # so that methane is not as large as the others
    needed("rdkit.Chem.Draw.rdMolDraw2D").PrepareAndDrawMolecule(drawer, mol, legend=legend)
    drawer.FinishDrawing()
    return True
