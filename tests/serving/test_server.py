"""The real server in a process of its own, and the page in a real browser."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparring.errors import SettingError
from sparring.serving.server import listening, serve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a free port, and its address."""
    command = [sys.executable, "-m", "sparring", "serve", *map(str, arguments), "--port", "0", "--json", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        text = ""
        while line := process.stdout.readline():
            text += line
            if line == "}\n":
                break
        try:
            yield process, json.loads(text)["address"]
        finally:
            process.kill()


def ask(address: str, body: dict[str, object]) -> bytes:
    request = urllib.request.Request(
        f"{address}/v1/sample", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


def test_what_was_taken_is_done_before_it_ends(shelf_folder: Path) -> None:
    with serving(shelf_folder / "faces") as (process, address):
        few = ask(address, {"n": 2, "seed": 1})
        answers: list[bytes] = []
        asking = [
            threading.Thread(target=lambda seed=seed: answers.append(ask(address, {"n": 200, "seed": seed})))
            for seed in range(4)
        ]
        for thread in asking:
            thread.start()
        assert ask(address, {"n": 2, "seed": 1}) == few
        process.send_signal(signal.SIGTERM)
        for thread in asking:
            thread.join(30)
        assert process.wait(20) == 0
        assert process.stderr is not None and "Traceback" not in process.stderr.read()
    # Those that had not connected yet may have been refused; what was answered is whole.
    assert answers and all(
        answer.startswith(b"\x89PNG") and answer.endswith(b"IEND\xaeB\x60\x82") for answer in answers
    )


@pytest.mark.parametrize(
    ("host", "token", "words"),
    [
        ("0.0.0.0", None, "a token is wanted"),
        ("127.0.0.1", "short", "at least 8 characters"),
        ("127.0.0.1", "mit Ümläuten", "ASCII"),
        ("256.1.1.1", "correct horse", "cannot be listened on"),
    ],
)
def test_where_it_does_not_listen(shelf_folder: Path, host: str, token: str | None, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        serve([shelf_folder / "grey"], host, 0, token, "cpu", lambda *_: None)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("#/", ["digits", "1,797 real"]),
        (
            "#/run/faces",
            [
                *('class="gallery', "data:image/png;base64", "New seed", "What lies between", "A picture of your own"),
                "Best of, by the discriminator",
            ],
        ),
        ("#/run/grey", ["Edit along directions", "Direction 1", "warmth"]),
        ("#/run/words", ['class="texts', "Temperature", "Top-p", "Write"]),
        ("#/run/holes", ["Choose a picture"]),
        (
            "#/run/clips",
            [
                *('class="gallery clips', "blob:http", "Clip 7 of seed 0", "Pause all clips", "Motion seed", "round"),
                *("Frames a second", "A picture of your own"),
            ],
        ),
        ("#/run/digits/training", ["<svg viewBox", "Curves", "finished", "blob:"]),
    ],
)
def test_the_page(page_server: str, tmp_path: Path, place: str, expected: list[str]) -> None:
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--enable-logging=stderr"]
    command = [CHROMIUM, *options, "--virtual-time-budget=20000", "--dump-dom", f"{page_server}/{place}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    for words in expected:
        assert words in done.stdout
    assert "CONSOLE" not in done.stderr, done.stderr
    assert "Error" not in done.stdout
    assert ("Best of" in done.stdout) == (place == "#/run/faces")  # the others have no discriminator of pictures


@pytest.fixture(scope="module")
def page_server(shelf_folder: Path, run: Path) -> Iterator[str]:
    """Some runs of each kind."""
    with serving(*(shelf_folder / name for name in ("faces", "grey", "words", "holes", "clips")), run) as (_, address):
        yield address


def test_the_second_packet_of_an_answer_does_not_wait_for_the_first() -> None:
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
