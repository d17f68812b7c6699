"""What a request can be answered with instead of a result: one shape of JSON, and sentences for people."""

from typing import Literal

from pydantic import BaseModel
from starlette.exceptions import HTTPException

from sparring.wording import printable

Kind = Literal[
    "invalid",
    "unauthorised",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "not_acceptable",
    "timeout",
    "not_ready",
    "too_large",
    "busy",
    "internal",
    "stopping",
]

STATUS: dict[Kind, int] = {
    "invalid": 422,
    "unauthorised": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "timeout": 408,
    "not_ready": 409,
    "too_large": 413,
    "busy": 429,
    "internal": 500,
    "stopping": 503,
}
"""The status that each kind is answered with."""

KINDS: dict[int, Kind] = {status: kind for kind, status in STATUS.items()}


class Error(BaseModel):
    """What went wrong: `kind` for programs, `message`, one sentence, for people."""

    kind: Kind
    message: str


class Failure(BaseModel):
    """The body of every answer that is no result."""

    error: Error


class RequestError(HTTPException):
    """A request that is not done, and why. What people sent may stand in the message, and be no text for UTF-8."""

    def __init__(self, kind: Kind, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(STATUS[kind], printable(message), headers)
        self.kind = kind

    @property
    def body(self) -> bytes:
        """The JSON for it."""
        return Failure(error=Error(kind=self.kind, message=self.detail)).model_dump_json().encode()


def busy(message: str, headers: dict[str, str] | None = None) -> RequestError:
    """Too much waits already; in a second it may fit, or when the headers say."""
    return RequestError("busy", message, headers or {"Retry-After": "1"})
