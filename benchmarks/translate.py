"""Does style transfer learn what it should? Against a filter whose true result is known, and on painters.

    python benchmarks/translate.py runs/ landscapes.zip paintings.zip --minutes 4
    python benchmarks/translate.py runs/ landscapes.zip paintings.zip --only paintings --set content=cycle

pairs: photographs and what a generalised Kuwahara filter makes of them, which looks painted; PSNR against the filter's
own result on photographs that no run saw. unpaired: the same filter, but the filtered pictures are of other photographs
than those that are to be translated, and nobody says which belongs to which. Both beside the photograph as it is.
paintings: photographs into the works of the painters, a folder each: `style` and `structure` as the run measures them.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import sparring
from sparring.metrics.similarity import psnr

SECTORS, RADIUS, SHARPNESS = 8, 4, 8
PHOTOGRAPHS, UNSEEN = 800, 64


def kuwahara(picture: Tensor) -> Tensor:
    """A picture uint8 (C, H, W) whose every pixel is the mean of the calmest sectors around it, uint8.

    Mean m_i and deviation s_i of eight smooth sectors of a disc give sum(m_i s_i^-q) / sum(s_i^-q), q = 8.
    Source: Papari, Petkov & Campisi 2007, eq. 8-11; sectors as in Kyprianidis, Kang & Doellner 2009, with cosines for
    their convolved edges.
    """
    place = torch.arange(-RADIUS, RADIUS + 1).float()
    down, right = torch.meshgrid(place, place, indexing="ij")
    angle, far = torch.atan2(down, right), down.square() + right.square()
    bell = torch.exp(-far / (2 * (RADIUS / 2) ** 2))
    sectors = []
    for number in range(SECTORS):
        turn = (angle - 2 * math.pi * number / SECTORS + math.pi) % (2 * math.pi) - math.pi
        window = torch.cos(turn * SECTORS / 4).square() * (turn.abs() < 2 * math.pi / SECTORS)
        window[RADIUS, RADIUS] = 1
        sectors.append(bell * window / (bell * window).sum())
    weights = torch.stack(sectors)[:, None]
    x = F.pad(picture[:, None] - 127.5, (RADIUS,) * 4, mode="replicate")
    mean, square = F.conv2d(x, weights), F.conv2d(x.square(), weights)
    deviation = (square - mean.square()).clamp(min=0).sum(0, keepdim=True).sqrt().clamp(min=0.5)
    share = deviation**-SHARPNESS
    return ((mean * share).sum(1) / share.sum(1) + 127.5).round().clamp(0, 255).to(torch.uint8)


def photographs(archive: Path) -> list[tuple[str, Tensor]]:
    """The first pictures of a shuffled archive by name, uint8 (C, H, W)."""
    with zipfile.ZipFile(archive) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".jpg"))
        order = np.random.default_rng(0).permutation(len(names))[: PHOTOGRAPHS + UNSEEN]
        return [(Path(names[number]).stem, opened(file.read(names[number]))) for number in order]


def opened(content: bytes) -> Tensor:
    """A picture uint8 (3, H, W)."""
    return torch.from_numpy(np.array(Image.open(BytesIO(content)).convert("RGB"))).permute(2, 0, 1)


def written(folder: Path, pictures: list[tuple[str, Tensor]]) -> Path:
    """A folder of PNGs."""
    folder.mkdir(parents=True)
    for name, picture in pictures:
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{name}.png")
    return folder


def trained(run: Path, photographs: Path, paintings: Path, minutes: float, settings: list[str]) -> dict[str, Any]:
    """The summary of a run as a person would start it."""
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, "-m", "sparring", "train", str(photographs), str(paintings), f"--out={run}"]
    options = [f"--minutes={minutes:g}", "--json=-", *(f"--set={text}" for text in settings)]
    finished = subprocess.run([*command, *options], stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ))
    summary: dict[str, Any] = json.loads(finished.stdout)
    return summary


def likeness(made: list[Tensor], right: list[Tensor]) -> str:
    """The mean PSNR of pictures uint8 (C, H, W), in dB."""
    values = [float(psnr(a[None], b[None])) for a, b in zip(made, right, strict=True)]
    return f"{sum(values) / len(values):.2f} dB"


def translations(run: Path, pictures: list[Tensor]) -> list[Tensor]:
    """What the generator of a run makes of pictures uint8 (C, H, W)."""
    apparatus = sparring.load(run).apparatus()
    made = [apparatus(picture[None].float() / 127.5 - 1, None)[0] for picture in pictures]
    return [picture.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8) for picture in made]


def of_a_filter(folder: Path, archive: Path, minutes: float, settings: list[str], arms: list[str]) -> None:
    """`pairs` and `unpaired`."""
    known = photographs(archive)
    seen, unseen = known[:PHOTOGRAPHS], [picture for _, picture in known[PHOTOGRAPHS:]]
    right = [kuwahara(picture) for picture in unseen]
    print(f"photographs as they are: {likeness(unseen, right)}", flush=True)
    work = folder / "filter"
    shutil.rmtree(work, ignore_errors=True)
    half = len(seen) // 2
    painted = [(name, kuwahara(picture)) for name, picture in seen]
    places = {
        "pairs": (written(work / "photographs", seen), written(work / "filtered", painted)),
        "unpaired": (written(work / "first half", seen[:half]), written(work / "second half", painted[half:])),
    }
    for arm in arms:
        options = [*settings, "paired=true"] if arm == "pairs" else settings
        trained(folder / arm, *places[arm], minutes, options)
        print(f"{arm}: {likeness(translations(folder / arm, unseen), right)}", flush=True)


def of_painters(folder: Path, archive: Path, paintings: Path, minutes: float, settings: list[str]) -> None:
    """`paintings`: van Gogh alone, and all painters in one model."""
    with zipfile.ZipFile(paintings) as file:
        file.extractall(folder / "painters")
    for name, place in (("van-gogh", folder / "painters" / "van-gogh"), ("painters", folder / "painters")):
        run = folder / f"into-{name}"
        summary = trained(run, archive, place, minutes, settings)
        metrics = {metric: round(result["value"], 3) for metric, result in summary["quality"]["metrics"].items()}
        print(f"{name}: {metrics} after {summary['images']:,} images; pictures in {run / 'samples'}", flush=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--only", default="pairs,unpaired,paintings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    wanted = given.only.split(",")
    if arms := [arm for arm in ("pairs", "unpaired") if arm in wanted]:
        of_a_filter(given.folder, given.photographs, given.minutes, given.set, arms)
    if "paintings" in wanted:
        of_painters(given.folder, given.photographs, given.paintings, given.minutes, given.set)


if __name__ == "__main__":
    main()
