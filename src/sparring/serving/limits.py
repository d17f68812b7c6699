"""What stands before every route: who may ask, how large a body may be, how long it may take to come."""

import asyncio
import hmac
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from time import monotonic

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparring.serving.errors import RequestError, busy

LARGEST_JSON = 2**20
"""Bytes of a body that asks for samples; the longest useful one has 256 mixtures of latents that were found."""

LARGEST_UPLOAD = 32 * 2**20
"""Bytes of a picture and its mask together."""

UPLOADS = 8
"""Bodies with pictures that are in memory at once."""

PATIENCE = 30.0
"""Seconds until a body has come."""

WITH_PICTURES = ("/v1/apply", "/v1/invert")
OPEN = ("/", "/page/", "/health")
"""What is there for everybody, since there is nothing of any run in it."""

SAFE_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        b"media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""Of every answer, which has none of them by itself."""

CACHE = (b"cache-control", b"no-store")
"""Of an answer that says nothing else."""


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach an address or name."""
    name = host.strip("[]").lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


class Guard:
    """Lets requests through that may come through; an ASGI application around another.

    token: what `Authorization: Bearer` has to hold; without one whoever reaches the server may ask, and names of other
    hosts than this one are refused, so that no web page reaches it by a name that it points here (DNS rebinding).
    seen: told method, path and status of what goes no further.
    """

    def __init__(self, app: ASGIApp, token: str | None, seen: Callable[[Scope, int, float], None]) -> None:
        self.app, self.token, self.seen = app, token, seen
        self.uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the beginning and end of the server."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        began, status = monotonic(), 500

        async def decorated(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *SAFE_HEADERS]
                if all(name != CACHE[0] for name, _ in headers):
                    headers.append(CACHE)
                message["headers"] = headers
            await send(message)

        uploading = scope["path"] in WITH_PICTURES and scope["method"] == "POST"
        try:
            headers = Headers(scope=scope)
            self.admit(scope, headers)
            limit = LARGEST_UPLOAD if uploading else LARGEST_JSON
            check_length(headers, limit)
            if uploading and self.uploads >= UPLOADS:
                raise busy("too many pictures are being sent: try again in a second")
            self.uploads += uploading
            try:
                await self.app(scope, limited(receive, limit), decorated)
            finally:
                self.uploads -= uploading
        except RequestError as error:
            await refuse(error, decorated)
        finally:
            self.seen(scope, status, monotonic() - began)

    def admit(self, scope: Scope, headers: Headers) -> None:
        """Raises: RequestError for one who may not ask."""
        path = scope["path"]
        if path in OPEN or path.startswith("/page/"):
            return
        if headers.get("sec-fetch-site") == "cross-site":
            raise RequestError("forbidden", "pages of other sites may not use this server")
        if self.token is None:
            host = headers.get("host", "localhost")
            name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
            if not is_loopback(name):
                raise RequestError("forbidden", f"host {host!r}: without a token this server is asked as localhost")
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            challenge = {"WWW-Authenticate": "Bearer"}
            raise RequestError("unauthorised", "this server wants its token: Authorization: Bearer TOKEN", challenge)


def check_length(headers: Headers, limit: int) -> None:
    """Raises: RequestError if a body says that it is too long."""
    said = headers.get("content-length", "0")
    if not said.isdecimal() or len(said) > 18 or int(said) > limit:
        raise too_large(limit)


def too_large(limit: int) -> RequestError:
    """What a body of more bytes is answered with; what still comes of it is not waited for."""
    return RequestError(
        "too_large", f"the body is too large: at most {limit:,} bytes are taken", {"Connection": "close"}
    )


def limited(receive: Receive, limit: int) -> Receive:
    """The same, up to so many bytes of a body and so much time for it to come."""
    came, until, complete = 0, asyncio.get_running_loop().time() + PATIENCE, False

    async def checked() -> Message:
        nonlocal came, complete
        if complete:
            return await receive()  # nothing but the end of the connection comes now, and that may take long
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            late = f"the body did not come within {PATIENCE:g} seconds"
            raise RequestError("timeout", late, {"Connection": "close"}) from None
        came += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if came > limit:
            raise too_large(limit)
        return message

    return checked


async def refuse(error: RequestError, send: Send) -> None:
    """Answers with a sentence."""
    headers = {"Content-Type": "application/json", "Content-Length": str(len(error.body))} | dict(error.headers or {})
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status_code, "headers": raw})
    await send({"type": "http.response.body", "body": error.body})
