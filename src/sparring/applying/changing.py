"""One picture through a generator: channels, transparency and holes are matched to what it takes, and back."""

from dataclasses import replace
from typing import overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring.adversarial.player import out_of_memory
from sparring.applying.apparatus import Apparatus
from sparring.applying.reading import EXIF_IFD, Reading, holes, take_apart
from sparring.applying.tiles import LARGEST_TILE, tiled
from sparring.data.decode import MAX_PIXELS, UnusableError, reason
from sparring.errors import DataError, SettingError

WIDTH, HEIGHT = 0xA002, 0xA003
"""Tags of EXIF 2.3: the size of the picture, which not all writers fill in."""

SMALLEST_TILE = 64
"""What does not fit the memory in tiles of this size does not fit it."""

NO_MASK = "this generator changes all of a picture and takes no mask"

NOTHING_TO_FILL = "nothing to fill: it has no transparent pixels, and there is no mask (--mask, white where to fill)"


@overload
def apply_to_picture(
    apparatus: Apparatus, picture: Image.Image, mask: Image.Image | Tensor | None = None
) -> Image.Image: ...
@overload
def apply_to_picture(apparatus: Apparatus, picture: Tensor, mask: Image.Image | Tensor | None = None) -> Tensor: ...
def apply_to_picture(
    apparatus: Apparatus, picture: Image.Image | Tensor, mask: Image.Image | Tensor | None = None
) -> Image.Image | Tensor:
    """What a generator makes of a picture: a PIL image of one, uint8 (C, scale H, scale W) of uint8 (C, H, W).

    picture: grey or RGB, with or without transparency (C is 1 to 4), of any size; tiles are used where it is large. Of
    a PIL image the EXIF orientation is carried out; the result is L, RGB, LA or RGBA, and its `info` holds `exif`,
    `icc_profile` and `dpi` to be saved with it. Transparency is kept.
    mask: for a generator that fills holes, as large as the picture when upright. Holes are where an image or uint8
    (H, W) is above 127, bool (H, W) is true, floats are above 0.5. Without a mask, what is transparent, if only in
    part, is filled and becomes opaque. Pixels outside holes stay as they are, bit for bit.

    Raises: SettingError for a mask where none is taken. DataError for a picture or mask that cannot be used.
    """
    if mask is not None and not apparatus.takes_mask:
        raise SettingError(NO_MASK)
    try:
        given = take_apart(picture if isinstance(picture, Image.Image) else as_picture(picture))
        reading, hole = prepared(apparatus, given, None if mask is None else as_holes(mask))
    except Exception as error:  # decoding may raise anything
        raise DataError(f"the picture cannot be used: {reason(error)}") from error
    result = change(apparatus, reading, hole)
    return result if isinstance(picture, Image.Image) else as_tensor(result).to(picture.device)


def prepared(apparatus: Apparatus, reading: Reading, mask: Tensor | None) -> tuple[Reading, Tensor | None]:
    """A picture as its generator takes it, and its holes, bool (H, W), which may be none; None if it fills none.

    Where the transparent pixels are the holes, the picture loses its transparency.

    Raises: UnusableError if there is no mask and no transparency, or no known pixel, or if sizes do not go together.
    """
    width, height = reading.colours.size
    if width * height * apparatus.scale**2 > MAX_PIXELS:
        large = f"{width * apparatus.scale}x{height * apparatus.scale}"
        raise UnusableError(f"too large: its result would have {large} pixels, limit {MAX_PIXELS:,}")
    if not apparatus.takes_mask:
        return reading, None
    if mask is None:
        if reading.alpha is None or reading.alpha.getextrema()[0] == 255:
            raise UnusableError(NOTHING_TO_FILL)
        mask = torch.from_numpy(np.asarray(reading.alpha) < 255)
        reading = replace(reading, alpha=None)
    if mask.shape != (height, width):
        size = f"{mask.shape[1]}x{mask.shape[0]}"
        raise UnusableError(f"its mask has {size} pixels and the picture {width}x{height}: they should be of one size")
    if mask.all():
        raise UnusableError("its mask covers all of it, and leaves nothing to go by")
    return reading, mask


def change(apparatus: Apparatus, reading: Reading, hole: Tensor | None) -> Image.Image:
    """The result for a picture as `prepared` gives it: L, RGB, LA or RGBA, with what is to be saved in `info`."""
    made = as_picture(changed(apparatus, as_tensor(reading.colours), hole))
    if reading.alpha is not None:
        alpha = reading.alpha
        made.putalpha(alpha if alpha.size == made.size else alpha.resize(made.size, Image.Resampling.LANCZOS))
    if reading.exif:
        made.info["exif"] = resized(reading.exif, made.size)
    if reading.profile:
        made.info["icc_profile"] = reading.profile
    if reading.dpi:
        made.info["dpi"] = reading.dpi
    return made


def changed(apparatus: Apparatus, colours: Tensor, hole: Tensor | None) -> Tensor:
    """uint8 (C, H, W) to uint8 (C, scale H, scale W), C is 1 or 3; outside of holes, bool (H, W), nothing changes.

    A grey picture goes through a generator of colours as one that happens to be grey, and its result is turned into
    grey (ITU-R 601). The channels of a picture in colour go through a generator of grey one by one.
    """
    channels, height, width = colours.shape
    pictures = colours.expand(1, 3, -1, -1) if apparatus.channels == 3 else colours[:, None]
    made = fitting(apparatus, pictures, hole)
    if hole is not None and apparatus.scale == 1:
        made = torch.where(hole, made, pictures)
    if channels == 1 and apparatus.channels == 3:
        return as_tensor(as_picture(made[0]).convert("L"))
    return made.reshape(channels, height * apparatus.scale, width * apparatus.scale)


def fitting(apparatus: Apparatus, pictures: Tensor, hole: Tensor | None) -> Tensor:
    """`tiled` with tiles that fit the memory."""
    tile = None
    while True:
        try:
            return tiled(apparatus, pictures, hole, tile)
        except (MemoryError, RuntimeError) as error:
            smaller = (tile or LARGEST_TILE) // 2
            if not out_of_memory(error) or smaller < SMALLEST_TILE:
                raise
            tile = smaller


def resized(exif: bytes, size: tuple[int, int]) -> bytes:
    """EXIF data of our own writing for a picture of this size, if it mentions the size."""
    data = Image.Exif()
    data.load(exif)
    table = data.get_ifd(EXIF_IFD) if EXIF_IFD in data else {}
    for tag, side in zip((WIDTH, HEIGHT), size, strict=True):
        if tag in table:
            table[tag] = side
    return data.tobytes()


def as_tensor(picture: Image.Image) -> Tensor:
    """L, LA, RGB or RGBA as uint8 (C, H, W)."""
    array = np.array(picture).reshape(picture.height, picture.width, len(picture.getbands()))
    return torch.from_numpy(array).permute(2, 0, 1)


def as_picture(pixels: Tensor) -> Image.Image:
    """uint8 (C, H, W) as an image of 1 to 4 channels.

    Raises: UnusableError for another shape or type.
    """
    if pixels.dtype != torch.uint8 or pixels.ndim != 3 or not 1 <= len(pixels) <= 4 or not pixels.numel():
        found = f"{str(pixels.dtype).removeprefix('torch.')} {tuple(pixels.shape)}"
        raise UnusableError(f"pictures are uint8 (C, H, W) with 1 to 4 channels, and this is {found}")
    array = pixels.permute(1, 2, 0).cpu().contiguous().numpy()
    return Image.fromarray(array[..., 0] if len(pixels) == 1 else array)


def as_holes(mask: Image.Image | Tensor) -> Tensor:
    """A mask of any kind as bool (H, W).

    Raises: UnusableError for a tensor that is neither (H, W) nor (1, H, W).
    """
    if isinstance(mask, Image.Image):
        return holes(mask)
    if mask.ndim == 3 and len(mask) == 1:
        mask = mask[0]
    if mask.ndim != 2:
        raise UnusableError(f"masks are images or tensors (H, W), and this one is {tuple(mask.shape)}")
    mask = mask.cpu()
    return mask if mask.dtype == torch.bool else mask > (0.5 if mask.is_floating_point() else 127)
