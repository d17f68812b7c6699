"""Connections that say nothing, or say it slowly, are closed: uvicorn waits for the head of a request for ever.

Its `timeout_keep_alive` begins after an answer, and any byte ends it; what stands in front of the routes sees a request
when its head is whole. The time of a body is limited there (`limits.limited`).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 10.0
"""Seconds from the connection, or from the first byte of another request on it, until a head is whole."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with a limit to the time that a head takes. h11 limits its size, to 64 KiB."""

    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The other side has connected."""
        super().connection_made(transport)
        self.begin()

    def data_received(self, data: bytes) -> None:
        """Some bytes came: of a head, or of a body, or the beginning of what is asked next."""
        super().data_received(data)
        if self.asked:
            self.end()
        elif self.deadline is None:
            self.begin()

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
