"""What files say of where they come from: that a model made them, and which."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PIL.PngImagePlugin import PngInfo

from sparring.training.files import checksum

if TYPE_CHECKING:
    from sparring.latents.decoders import Decoder
    from sparring.model import Model
    from sparring.tasks.filming import Take


def marks(model: "Model | Decoder", digest: str | None = None, **settings: object) -> dict[str, str]:
    """Texts by keyword: the program, that the picture is AI-generated, the run or file, the SHA-256 of the weights;
    `settings` that are not None, capitalised.

    digest: the SHA-256 of the file of weights, where it is known: the file may be another since they were read.
    """
    from sparring import __version__

    found = {"Software": f"sparring {__version__}", "AI-generated": "true"}
    if model.origin is not None:
        place = model.origin.absolute()
        run = place.parent if place.suffix == ".safetensors" else place
        found |= {"Run": run.name, "Model": f"sha256:{digest or checksum(place)}"}
    return found | {
        name.replace("_", " ").capitalize(): str(value) for name, value in settings.items() if value is not None
    }


def marks_of_clips(
    model: "Model", seed: int, take: "Take", digest: str | None = None, start: int | None = None
) -> dict[str, str]:
    """Those of clips. start: of the first in a film of several, where it is not that of the seed."""
    cut = take.truncation if take.truncation != 1 else None
    return marks(model, digest, seed=seed, start=start, label=take.label, truncation=cut)


def png_texts(texts: Mapping[str, str]) -> PngInfo:
    """The texts as chunks of a PNG file: tEXt, or iTXt where letters need it."""
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    return info
