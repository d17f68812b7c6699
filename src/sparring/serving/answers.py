"""Samples and pictures as the bodies of answers, in the form that a client accepts."""

import base64
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from starlette.responses import Response
from torch import Tensor

from sparring.mosaic import grid
from sparring.output import as_lines, channels_last, ending_of, numbered
from sparring.serving.errors import RequestError
from sparring.serving.png import png

PNG, ZIP, JSON, PLAIN = "image/png", "application/zip", "application/json", "text/plain"
SVG = "image/svg+xml"
MP4, GIF = "video/mp4", "image/gif"
PICTURES, TEXTS, DRAWINGS = (PNG, ZIP, JSON), (JSON, PLAIN), (JSON, SVG, ZIP)
"""What samples come as; the first where a client has no wish."""

NO_MOLECULE = '<svg xmlns="http://www.w3.org/2000/svg" width="220" height="160"/>'
"""The file of what is no molecule."""

QUICK = 2**16
"""Bytes of pixels."""

MIDNIGHT = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can tell, for files of no date: the same samples give the same bytes."""


@lru_cache(maxsize=64)
def form_of(accept: str, offered: tuple[str, ...]) -> str:
    """The one of the offered types that an Accept header likes most (RFC 9110, 12.5.1).

    Raises: RequestError if it takes none of them.
    """
    wishes = []
    for part in accept.split(",") if accept.strip() else ["*/*"]:
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            wishes.append((kind, float(quality)))
        except ValueError:
            continue

    def liking(kind: str) -> float:
        for pattern in (kind, f"{kind.split('/')[0]}/*", "*/*"):
            if found := [quality for wish, quality in wishes if wish == pattern]:
                return max(found)
        return 0.0

    best = max(offered, key=liking)
    if liking(best) <= 0:
        raise RequestError("not_acceptable", f"Accept: it should be one of {', '.join(offered)}")
    return best


def picture_file(picture: Tensor) -> bytes:
    """uint8 (C, H, W) as PNG, pixel by pixel."""
    return png(channels_last(picture[None])[0])


def sheet_file(pictures: Sequence[Tensor]) -> bytes:
    """Several uint8 (C, H, W) as one grid, PNG."""
    stream = io.BytesIO()
    grid(torch.stack(list(pictures))).save(stream, "PNG")
    return stream.getvalue()


def is_quick(pictures: Sequence[Tensor], form: str) -> bool:
    """Whether an answer is made in about a millisecond; grids are enlarged, and are not."""
    return (form != PNG or len(pictures) == 1) and sum(picture.nbytes for picture in pictures) <= QUICK


def pictures_answer(
    pictures: Sequence[Tensor], form: str, headers: dict[str, str], about: Mapping[str, object] | None = None
) -> Response:
    """Pictures uint8 (C, H, W): one as it is or a grid of several, a zip of all, or base64 in JSON with what is said of
    them."""
    if form == PNG:
        body = picture_file(pictures[0]) if len(pictures) == 1 else sheet_file(pictures)
        return Response(body, media_type=PNG, headers=headers)
    files = [picture_file(picture) for picture in pictures]
    if form == ZIP:
        return Response(zipped(files, ".png"), media_type=ZIP, headers=headers | attached("samples.zip"))
    encoded = [base64.b64encode(file).decode() for file in files]
    return Response(json.dumps({"pictures": encoded, "type": PNG, **(about or {})}), media_type=JSON, headers=headers)


def texts_answer(texts: Sequence[str], form: str, headers: dict[str, str]) -> Response:
    """Texts as a list in JSON, or one a line (texts of several lines as JSON strings)."""
    if form == JSON:
        return Response(json.dumps({"texts": texts}, ensure_ascii=False), media_type=JSON, headers=headers)
    return Response(as_lines(texts, ending_of(texts)), media_type=PLAIN, headers=headers)


def drawings_answer(smiles: Sequence[str], form: str, headers: dict[str, str]) -> Response:
    """Molecules with a drawing each, in JSON; the drawing of a single one as a file, or a zip of all.

    Raises: RequestError for several as one file.
    """
    if form == SVG and len(smiles) > 1:
        raise RequestError("not_acceptable", f"{SVG} is for a single molecule: ask for n=1, {JSON} or {ZIP}")
    drawings = [svg(text) for text in smiles]
    if form == SVG:
        return Response(drawings[0] or NO_MOLECULE, media_type=SVG, headers=headers)
    if form == ZIP:
        files = [(drawing or NO_MOLECULE).encode() for drawing in drawings]
        return Response(zipped(files, ".svg"), media_type=ZIP, headers=headers | attached("molecules.zip"))
    body = json.dumps({"texts": smiles, "drawings": drawings}, ensure_ascii=False)
    return Response(body, media_type=JSON, headers=headers)


def films_answer(
    films: Sequence[bytes], form: str, kind: str, about: Mapping[str, object], headers: dict[str, str]
) -> Response:
    """Films of one type (`kind`): the only one as it is, a zip of all, or base64 in JSON with what is said of them."""
    if form == kind:
        return Response(films[0], media_type=kind, headers=headers)
    if form == ZIP:
        ending = {MP4: ".mp4", GIF: ".gif"}[kind]
        return Response(zipped(films, ending), media_type=ZIP, headers=headers | attached("clips.zip"))
    encoded = [base64.b64encode(film).decode() for film in films]
    return Response(json.dumps({"clips": encoded, "type": kind, **about}), media_type=JSON, headers=headers)


def svg(smiles: str) -> str:
    """A drawing; empty for what is no molecule. RDKit is there where a generator of molecules is."""
    from sparring.chemistry import drawing

    return drawing.svg(smiles)


def zipped(files: Sequence[bytes], ending: str) -> bytes:
    """Files numbered from 0, stored as they are, since PNG and films are compressed already."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for number, file in enumerate(files):
            archive.writestr(zipfile.ZipInfo(f"{numbered(number, len(files))}{ending}", MIDNIGHT), file)
    return stream.getvalue()


def attached(name: str) -> dict[str, str]:
    """What makes a browser save an answer."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
