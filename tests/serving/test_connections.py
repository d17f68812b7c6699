"""Clients that are slow on purpose, and slow answers, which are nobody's fault."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from sparring.serving import connections
from sparring.serving.connections import PatientProtocol

HEAD = 0.4
REQUEST = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with how much it was sent; on /slow after the time that a head has."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * HEAD)
    body = b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "HEAD", HEAD)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(application, http=PatientProtocol, lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(30)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def answered(client: socket.socket) -> bytes:
    """The body of an answer, a single letter."""
    came = b""
    while b"\r\n\r\n" not in came[:-1]:
        part = client.recv(1000)
        assert part, "the connection was closed"
        came += part
    return came.partition(b"\r\n\r\n")[2]


def test_one_that_says_nothing_is_closed(port: int) -> None:
    with connected(port) as client:
        assert client.recv(100) == b""


def test_a_head_that_comes_letter_by_letter_is_not_waited_for(port: int) -> None:
    with connected(port) as client:
        began = time.monotonic()
        with pytest.raises(OSError):
            for letter in b"GET / HTTP/1.1\r\nX: " + b"a" * 400:
                client.sendall(bytes([letter]))
                time.sleep(0.02)
        assert time.monotonic() - began < 10 * HEAD


def test_another_request_on_a_connection_has_its_own_time(port: int) -> None:
    with connected(port) as client:
        for _ in range(2):
            client.sendall(REQUEST % b"")
            assert answered(client) == b"0"
            time.sleep(1.5 * HEAD)
        client.sendall((REQUEST % b"")[:-1])
        assert client.recv(100) == b""


def test_slow_answers_and_slow_bodies_are_left_alone(port: int) -> None:
    with connected(port) as client:
        client.sendall(REQUEST % b"slow")
        assert answered(client) == b"0"
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            time.sleep(HEAD / 3)
            client.sendall(b"x")
        assert answered(client) == b"6"


def test_a_head_without_an_end_is_refused_and_a_large_body_is_not(port: int) -> None:
    with connected(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    with connected(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * (connections.LARGEST_HEAD + 1))
        assert client.recv(1000).startswith(b"HTTP/1.1 400")


def test_bodies_in_chunks_pass_and_what_follows_them_without_an_end_does_not(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(port) as client:
        client.sendall(head + b"10\r\n0123456789abcdef\r\n" * 20_000 + b"0\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    for line in (b"X: " + b"a" * 90 + b"\r\n", b"a" * 95):
        with connected(port) as client, pytest.raises(OSError):
            client.sendall(head + b"0\r\nX: ")
            for _ in range(200):
                client.sendall(line * 100)
                time.sleep(0.001)
