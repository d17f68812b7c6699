"""`sparring serve`: the socket, the server around the application, and its end."""

import gc
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import uvicorn

from sparring.choices import pick_device
from sparring.errors import SettingError
from sparring.serving.app import create_app
from sparring.serving.connections import PatientProtocol
from sparring.serving.counting import Counts
from sparring.serving.drawing import Precision
from sparring.serving.limits import is_loopback
from sparring.serving.models import Shelf

GRACE = 15
"""Seconds that what was taken may take still when the server is told to stop."""

BACKLOG = 1024
IDLE = 20
"""Seconds that a connection is kept open for another request."""


def serve(
    places: Sequence[Path],
    host: str,
    port: int,
    token: str | None,
    device: str,
    started: Callable[[str, Sequence[str]], None],
    precision: Precision = "fp32",
) -> None:
    """Serves runs until SIGTERM or Ctrl-C; what was taken is done first.

    port: 0 takes a free one. started: told the address and the names of the runs, once clients can connect. precision:
    that of pictures made of noise, see `Painter`.
    Raises: RunError for a place where there is nothing to serve; SettingError for an address that cannot be listened
    on, or one that others can reach without a token.
    """
    if token is not None and not (token.isascii() and token.isprintable() and len(token) >= 8):
        raise SettingError("the token should have at least 8 characters, all of them ASCII that can be seen")
    if not is_loopback(host) and not token:
        raise SettingError(
            f"--host {host}: others can reach this address, so a token is wanted: set SPARRING_TOKEN, or give --token"
        )
    counts = Counts()
    shelf = Shelf(places, pick_device(device), lambda size: counts.batches.observe(size), precision)
    app = create_app(shelf, counts, token)
    with listening(host, port) as listener:
        more_files()
        # What is there now stays, most of it the modules of PyTorch. Python would look through all of it for garbage
        # every second or two of a load, and nobody is answered in the fifth of a second that this takes.
        gc.collect()
        gc.freeze()
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=IDLE,
                timeout_graceful_shutdown=GRACE,
                ws="none",
                lifespan="on",
            )
        )
        # uvicorn raises SIGTERM again when all is done; the process ends as one that did what it was told.
        signal.signal(signal.SIGTERM, lambda *_: None)
        started(f"http://{named(host)}:{listener.getsockname()[1]}", list(shelf.served))
        server.run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket at an address.

    Raises: SettingError.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Connections have it from here; asyncio sets it on those of sockets of its own alone. Without it the second
        # packet of an answer waits for the client to acknowledge the first, which clients put off for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingError(f"--host {host} --port {port}: cannot be listened on: {reason}") from None


def named(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def more_files() -> None:
    """As many connections as the system allows: each is an open file."""
    with suppress(ImportError, OSError, ValueError):  # there is none of it on Windows
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
