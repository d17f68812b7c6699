"""Pictures that clients send: read in memory, looked at before they are decoded, never stored."""

import io
import warnings
from dataclasses import dataclass

from PIL import Image
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from sparring.applying.writing import encoded
from sparring.data.decode import UnusableError, identify, reason
from sparring.model import Model
from sparring.serving.errors import RequestError
from sparring.serving.limits import LARGEST_UPLOAD
from sparring.serving.requests import ApplyFields

MAX_PIXELS = 2**24
"""Of a picture that is sent, and of what is made of it."""

FILES = ("picture", "mask")

FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["picture"],
                    "additionalProperties": False,
                    "properties": {
                        "picture": {"type": "string", "format": "binary", "description": "PNG, JPEG, WebP, ..."},
                        "mask": {"type": "string", "format": "binary", "description": "White where to fill."},
                        **ApplyFields.model_json_schema()["properties"],
                    },
                }
            }
        },
    }
}
"""What OpenAPI says of the body."""


class InMemory(MultiPartParser):
    """Nothing goes to a temporary file: the whole body is limited to what memory has room for."""

    spool_max_size = LARGEST_UPLOAD + 1


@dataclass(frozen=True)
class Upload:
    """What a client sent."""

    fields: ApplyFields
    picture: bytes
    mask: bytes | None


async def receive(request: Request) -> Upload:
    """The parts of a multipart body.

    Raises: RequestError for a body of another kind, missing or unknown parts.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RequestError("invalid", "send multipart/form-data with a file `picture`, and a `mask` where one is taken")
    try:
        form = await InMemory(request.headers, request.stream(), max_files=2, max_fields=8).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise RequestError("invalid", f"the multipart body is damaged: {getattr(error, 'message', error)}") from None
    try:
        return await parts(form)
    finally:
        await form.close()


async def parts(form: FormData) -> Upload:
    """Files and fields, each once.

    Raises: RequestError.
    """
    files: dict[str, bytes] = {}
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if name in files or name in fields:
            raise RequestError("invalid", f"{name}: it should be given once")
        if isinstance(value, UploadFile) != (name in FILES):
            raise RequestError("invalid", f"{name}: a file is wanted as `picture` and `mask`, and nowhere else")
        if isinstance(value, UploadFile):
            files[name] = await value.read()
        else:
            fields[name] = value
    if "picture" not in files:
        raise RequestError("invalid", "picture: it is missing; send it as a file")
    try:
        return Upload(ApplyFields.model_validate(fields), files["picture"], files.get("mask"))
    except ValidationError as error:
        raise RequestError("invalid", in_words(error.errors())) from None


def in_words(errors: object) -> str:
    """What pydantic found wrong, in a line."""
    assert isinstance(errors, list | tuple)
    found = []
    for error in errors[:5]:
        place = ".".join(str(part) for part in error["loc"] if part != "body")
        found.append(f"{place}: {error['msg']}" if place else str(error["msg"]))
    return "; ".join(found)


def change(model: Model, upload: Upload) -> bytes:
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
