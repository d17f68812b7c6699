"""Pictures that clients send: read in memory, looked at before they are decoded, never stored."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic

import torch
from PIL import Image
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from torch import Tensor

from sparring.applying.writing import encoded
from sparring.data.decode import Form, UnusableError, identify, pixels, reason
from sparring.model import Model
from sparring.serving.errors import RequestError
from sparring.serving.limits import LARGEST_UPLOAD
from sparring.serving.requests import ApplyFields, Fields, InvertFields, in_words

MAX_PIXELS = 2**24
"""Of a picture that is sent, and of what is made of it."""

PICTURE = {"type": "string", "format": "binary", "description": "PNG, JPEG, WebP, ..."}
MASK = {"type": "string", "format": "binary", "description": "White where to fill."}


def form_of(files: dict[str, dict[str, str]], fields: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of a body of files, of which `picture` is wanted, and fields."""
    schema = {
        "type": "object",
        "required": ["picture"],
        "additionalProperties": False,
        "properties": {**files, **fields.model_json_schema()["properties"]},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


APPLY = form_of({"picture": PICTURE, "mask": MASK}, ApplyFields)
INVERT = form_of({"picture": PICTURE}, InvertFields)


class InMemory(MultiPartParser):
    """Nothing goes to a temporary file: the whole body is limited to what memory has room for."""

    spool_max_size = LARGEST_UPLOAD + 1


@dataclass(frozen=True)
class Upload(Generic[Fields]):
    """What a client sent."""

    fields: Fields
    picture: bytes
    mask: bytes | None


async def receive(request: Request, kind: type[Fields], files: Sequence[str] = ("picture",)) -> Upload[Fields]:
    """The parts of a multipart body: fields of that kind, and files of these names.

    Raises: RequestError for a body of another kind, missing or unknown parts.
    """
    named = " and ".join(f"`{name}`" for name in files)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RequestError("invalid", f"send multipart/form-data with files: {named}")
    try:
        form = await InMemory(request.headers, request.stream(), max_files=len(files), max_fields=8).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise RequestError("invalid", f"the multipart body is damaged: {getattr(error, 'message', error)}") from None
    try:
        return await parts(form, kind, files)
    finally:
        await form.close()


async def parts(form: FormData, kind: type[Fields], wanted: Sequence[str]) -> Upload[Fields]:
    """Files and fields, each once.

    Raises: RequestError.
    """
    files: dict[str, bytes] = {}
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if name in files or name in fields:
            raise RequestError("invalid", f"{name}: it should be given once")
        if isinstance(value, UploadFile) != (name in wanted):
            named = " and ".join(f"`{name}`" for name in wanted)
            raise RequestError("invalid", f"{name}: a file is wanted as {named}, and nowhere else")
        if isinstance(value, UploadFile):
            files[name] = await value.read()
        else:
            fields[name] = value
    if "picture" not in files:
        raise RequestError("invalid", "picture: it is missing; send it as a file")
    try:
        return Upload(kind.model_validate(fields), files["picture"], files.get("mask"))
    except ValidationError as error:
        raise RequestError("invalid", in_words(error.errors())) from None


def change(model: Model, upload: Upload[ApplyFields]) -> bytes:
    """What a model makes of a picture, as PNG.

    Raises: RequestError for a picture that cannot be used; SparringError as `Model.apply`.
    """
    fields = upload.fields
    apparatus = model.apparatus(fields.style, fields.strength)
    with warnings.catch_warnings(action="ignore"):
        picture = opened(upload.picture, "picture", apparatus.scale)
        mask = None if upload.mask is None else opened(upload.mask, "mask", 1)
        made = model.apply(picture, mask, style=fields.style, strength=fields.strength)
        return encoded(made, ".png", lossless=True)[0]


def opened(content: bytes, name: str, scale: int) -> Image.Image:
    """A picture of which only the head has been read.

    Raises: RequestError.
    """
    try:
        picture = identify(io.BytesIO(content))
        if picture.width * picture.height * scale**2 > MAX_PIXELS:
            made = "" if scale == 1 else f", made {scale} times as large"
            raise UnusableError(f"too large: {picture.width}x{picture.height} pixels{made}, limit {MAX_PIXELS:,}")
    except Exception as error:  # broken headers raise anything
        raise RequestError("invalid", f"{name}: {reason(error)}") from None
    return picture


def formed(content: bytes, form: Form) -> Tensor:
    """A picture as uint8 (C, H, W) of a form.

    Raises: RequestError.
    """
    with warnings.catch_warnings(action="ignore"):
        picture = opened(content, "picture", 1)
        try:
            return torch.from_numpy(pixels(picture, form))
        except Exception as error:  # decoding may raise anything
            raise RequestError("invalid", f"picture: {reason(error)}") from None
