"""Connections that say nothing, say it slowly or never come to the end of a head are closed: uvicorn waits for ever.

Its `timeout_keep_alive` begins after an answer, and any byte ends it; what stands in front of the routes sees a request
when its head is whole. The time of a body is limited there (`limits.limited`).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = 10.0
"""Seconds from the connection, or from the first byte of another request on it, until a head is whole."""

LARGEST_HEAD = 2**16
"""Bytes of a head; some more pass where they come with its end in one packet."""


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, parsed in C, with limits to the time that a head takes and to its size."""

    deadline: asyncio.TimerHandle | None = None
    head: int | None = 0
    """Bytes of it that have come; None in a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The other side has connected."""
        super().connection_made(transport)
        self.begin()

    def data_received(self, data: bytes) -> None:
        """Some bytes came: of a head, or of a body, or the beginning of what is asked next."""
        if self.head is not None:
            self.head += len(data)
        super().data_received(data)
        if self.head is not None and self.head > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of this request is too long.")
        elif self.asked:
            self.end()
        elif self.deadline is None:
            self.begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is."""
        self.head = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has gone."""
        self.end()
        super().connection_lost(exc)

    @property
    def asked(self) -> bool:
        """Whether there is a request, the head of which is whole, that is not answered yet."""
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def begin(self) -> None:
        """From now on the head has so much time."""
        self.deadline = self.loop.call_later(HEAD, self.give_up)

    def end(self) -> None:
        """The head is there."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def give_up(self) -> None:
        """Closes the connection, unless what came last was answered meanwhile."""
        self.deadline = None
        if not self.asked and not self.transport.is_closing():
            self.transport.close()
