"""How good are runs of the restore task on the field's test pictures, beside methods that learn nothing?

    python benchmarks/restore.py denoise runs/denoiser runs/distortion-only --pictures testsets.zip
    python benchmarks/restore.py inpaint runs/inpainter --pictures testsets.zip
    python benchmarks/restore.py super runs/upscaler --pictures testsets.zip

The archive holds Set5 and Set14 (colour), Set12 and BSD68 (grey), each in a folder of that name. Whatever of these is
installed takes part: bm3d (BM3D, Makinen et al. 2020), opencv-python-headless (Telea 2004; Navier-Stokes, Bertalmio et
al. 2001). Means over pictures; `perceptual` looks through EfficientNet-Lite0, which flatters runs whose loss did so too
(perceptual_weight above 0), and `wavelets` is the same distance in a space that trains nothing.

Denoising: white noise, clamped and rounded as in files, or with --as-published neither, as DnCNN's figures are made.
Inpainting: squares of 96 pixels, three chains of strokes an eighth of the side wide. Super-resolution: Pillow's bicubic
reduction; PSNR of the luminance with a border of `scale` pixels left out.
"""

import argparse
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

import sparring
from sparring.applying.changing import as_picture, as_tensor
from sparring.evaluation.pairs import measure_pairs
from sparring.networks.features import open_features

Pictures = list[Tensor]
Method = Callable[[Tensor, Tensor | None], Tensor]
"""A damaged picture uint8 or float (C, H, W) in 0 to 255, and its holes, bool (H, W), to uint8 (C, h, w)."""

SIDE = 96
STRENGTHS = (15, 25, 50)
PUBLISHED = {15: 31.73, 25: 29.23, 50: 26.23}
"""DnCNN on BSD68, trained for each strength (Zhang et al. 2017, table II)."""


def pictures_of(archive: Path, name: str, mode: str) -> Pictures:
    """The pictures of a folder of the archive, in the order of their names."""
    with zipfile.ZipFile(archive) as file:
        names = [entry for entry in sorted(file.namelist()) if name in Path(entry).parts[:-1]]
        found = [as_tensor(Image.open(io.BytesIO(file.read(entry))).convert(mode)) for entry in names]
    if not found:
        raise SystemExit(f"{archive}: no pictures of {name}")
    return found


def applied(run: str, *, ensemble: bool = False) -> Method:
    """A run as a method; like `sparring apply`, but noise need not lie in 8 bits."""
    apparatus = sparring.load(run).apparatus(ensemble=ensemble)

    def restore(picture: Tensor, hole: Tensor | None) -> Tensor:
        channels = len(picture)
        given = picture.float() / 127.5 - 1
        given = given.expand(1, 3, -1, -1) if apparatus.channels == 3 else given[:, None]
        made = apparatus(given, None if hole is None else hole[None, None].float())
        made = made.mean(1, keepdim=True) if apparatus.channels > channels else made
        made = (made.flatten(0, 1) + 1) * 127.5
        return made.clamp(0, 255).round().to(torch.uint8)

    return restore


def as_they_are(picture: Tensor, hole: Tensor | None) -> Tensor:
    return picture.clamp(0, 255).round().to(torch.uint8)


def bm3d_of(strength: float) -> Method:
    import bm3d

    def restore(picture: Tensor, hole: Tensor | None) -> Tensor:
        made = bm3d.bm3d(picture[0].numpy().astype(np.float64), strength)
        return torch.from_numpy(np.clip(np.rint(made), 0, 255).astype(np.uint8))[None]

    return restore


def opencv(flag: str) -> Method:
    import cv2

    def restore(picture: Tensor, hole: Tensor | None) -> Tensor:
        assert hole is not None
        image = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
        return torch.from_numpy(cv2.inpaint(image, hole.byte().numpy(), 3, getattr(cv2, flag))).permute(2, 0, 1)

    return restore


def harmonic(picture: Tensor, hole: Tensor | None) -> Tensor:
    """Laplace's equation in the holes, by many sweeps over the whole grid."""
    assert hole is not None
    known = picture.double()
    x = torch.where(hole, known[:, ~hole].mean(1)[:, None, None], known)
    for _ in range(3000):
        p = torch.nn.functional.pad(x[None], (1, 1, 1, 1), mode="replicate")[0]
        x = torch.where(hole, (p[:, :-2, 1:-1] + p[:, 2:, 1:-1] + p[:, 1:-1, :-2] + p[:, 1:-1, 2:]) / 4, x)
    return x.round().to(torch.uint8)


def enlarged(scale: int, how: Image.Resampling) -> Method:
    def restore(picture: Tensor, hole: Tensor | None) -> Tensor:
        small = as_picture(picture)
        return as_tensor(small.resize((small.width * scale, small.height * scale), how))

    return restore


def thick_holes(number: int, seed: int = 0) -> Iterator[NDArray[np.bool_]]:
    draw = np.random.default_rng(seed)
    for _ in range(number):
        mask = Image.new("L", (SIDE, SIDE))
        pen = ImageDraw.Draw(mask)
        for _ in range(3):
            points = [tuple(draw.integers(0, SIDE, 2).tolist()) for _ in range(3)]
            pen.line(points, fill=255, width=SIDE // 8, joint="curve")
        yield np.array(mask) > 0


def square(picture: Tensor) -> Tensor:
    """The upper left square of a picture, brought to SIDE pixels."""
    image = as_picture(picture)
    side = min(image.size)
    return as_tensor(image.crop((0, 0, side, side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def row(methods: Mapping[str, Method], clean: Pictures, damaged: Pictures, holes: Pictures | None, shave: int) -> dict:
    """What every method reaches on pictures of one set."""
    lite0, wavelets = open_features("lite0"), open_features("wavelets")
    found = {}
    for name, method in methods.items():
        made = [method(picture, holes[i] if holes else None) for i, picture in enumerate(damaged)]
        metrics = ["psnr", "ssim", "perceptual", *(["psnr_inside"] if holes else []), *(["psnr_y"] if shave else [])]
        seen = measure_pairs(clean, made, lite0, metrics, inside=holes, shave=shave).metrics
        other = measure_pairs(clean, made, wavelets, ["perceptual"], shave=shave).metrics["perceptual"]
        found[name] = {metric: round(seen[metric].value, 4) for metric in metrics} | {"wavelets": round(other.value, 4)}
    return found


def denoise(runs: Mapping[str, Method], archive: Path, sets: tuple[str, ...], as_published: bool) -> dict[str, dict]:
    table = {}
    for name in sets:
        clean = pictures_of(archive, name, "L")
        for strength in STRENGTHS:
            draw = np.random.default_rng(0)
            noisy = [torch.from_numpy(picture.numpy() + draw.normal(0, strength, picture.shape)) for picture in clean]
            if not as_published:
                noisy = [picture.clamp(0, 255).round() for picture in noisy]
            methods = {"noisy": as_they_are, **runs}
            if find_spec("bm3d"):
                methods["BM3D"] = bm3d_of(strength)
            table[f"{name}, noise {strength}"] = row(methods, clean, noisy, None, 0)
            if name == "BSD68":
                table[f"{name}, noise {strength}"]["DnCNN, published"] = {"psnr": PUBLISHED[strength]}
    return table


def inpaint(runs: Mapping[str, Method], archive: Path, sets: tuple[str, ...]) -> dict[str, dict]:
    (name,) = sets
    clean = [square(picture) for picture in pictures_of(archive, name, "RGB")]
    holes = [torch.from_numpy(mask) for mask in thick_holes(len(clean))]
    damaged = [picture * ~hole for picture, hole in zip(clean, holes, strict=True)]
    methods = {**runs, "harmonic": harmonic}
    if find_spec("cv2"):
        methods |= {"Telea": opencv("INPAINT_TELEA"), "Navier-Stokes": opencv("INPAINT_NS")}
    return {f"{name}, thick strokes": row(methods, clean, damaged, holes, 0)}


def super_resolution(runs: Mapping[str, Method], archive: Path, sets: tuple[str, ...]) -> dict[str, dict]:
    scales = {name: sparring.load(name).apparatus().scale for name in runs}
    table = {}
    for scale in sorted({*scales.values()}):
        for name in sets:
            pictures = pictures_of(archive, name, "RGB")
            clean = [
                picture[:, : picture.shape[1] // scale * scale, : picture.shape[2] // scale * scale]
                for picture in pictures
            ]
            small = [
                as_tensor(image.resize((image.width // scale, image.height // scale), Image.Resampling.BICUBIC))
                for image in map(as_picture, clean)
            ]
            methods = {
                "bicubic": enlarged(scale, Image.Resampling.BICUBIC),
                "Lanczos": enlarged(scale, Image.Resampling.LANCZOS),
                **{run: method for run, method in runs.items() if scales[run] == scale},
            }
            table[f"{name}, x{scale}"] = row(methods, clean, small, None, scale)
    return table


SETS = {"denoise": "Set12,BSD68", "inpaint": "Set14", "super": "Set5,Set14"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("damage", choices=SETS)
    parser.add_argument("runs", nargs="+", help="run folders")
    parser.add_argument("--pictures", type=Path, required=True, help="archive of the test pictures")
    parser.add_argument("--sets", help="names with commas; those that the field uses if not given")
    parser.add_argument("--as-published", action="store_true", help="noise that is neither clamped nor rounded")
    parser.add_argument("--ensemble", action="store_true", help="each run once more, in eight ways")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    runs = {run: applied(run) for run in arguments.runs}
    if arguments.ensemble:
        runs |= {f"{run} --ensemble": applied(run, ensemble=True) for run in arguments.runs}
    sets = tuple((arguments.sets or SETS[arguments.damage]).split(","))
    if arguments.damage == "denoise":
        table = denoise(runs, arguments.pictures, sets, arguments.as_published)
    else:
        table = (inpaint if arguments.damage == "inpaint" else super_resolution)(runs, arguments.pictures, sets)
    metrics = list(next(iter(next(iter(table.values())).values())))
    print("| set | method |", " | ".join(metrics), "|")
    print("| --- | --- |", " --- |" * len(metrics))
    for name, methods in table.items():
        for method, values in methods.items():
            print(f"| {name} | {method} |", " | ".join(f"{values.get(m, float('nan')):g}" for m in metrics), "|")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
