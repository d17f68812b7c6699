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
"""Bytes of a head, or of what comes with a body and is none of it; some more pass where they come in one packet."""

AROUND_A_CHUNK = 16
"""Bytes that say how long one is, at most, and end it."""


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, parsed in C, with limits to the time that a head takes and to its size."""

    deadline: asyncio.TimerHandle | None = None
    beside = 0
    """Bytes of this request that were no body."""
    in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The other side has connected."""
        super().connection_made(transport)
        self.begin()

    def data_received(self, data: bytes) -> None:
        """Some bytes came: of a head, or of a body, or the beginning of what is asked next."""
        self.beside += len(data)
        super().data_received(data)
        if self.beside > LARGEST_HEAD and not self.transport.is_closing():
            if self.asked:
                self.transport.close()
            else:
                self.send_400_response("The head of this request is too long.")
        elif self.asked:
            self.end()
        elif self.deadline is None:
            self.begin()

    def on_message_begin(self) -> None:
        """A request comes."""
        self.in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One line of the head. What follows a body in chunks is none of it, and nobody reads that."""
        if self.in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.in_head, self.beside = False, 0
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """A chunk of the body begins."""
        self.beside = max(0, self.beside - AROUND_A_CHUNK)

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self.beside = max(0, self.beside - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.beside = 0
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: whoever asks for another protocol is answered in this one, and should not fill the log."""

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
