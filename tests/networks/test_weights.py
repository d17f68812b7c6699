import hashlib
import pickle
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch

from sparring.errors import MetricError
from sparring.networks import weights
from sparring.networks.weights import Check, find, load

CONTENT = b"weights" * 1000
CHECK = Check(sha256=hashlib.sha256(CONTENT).hexdigest()[:8], sha1=hashlib.sha1(CONTENT).hexdigest())


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing.pth":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: 100 if self.path == "/short.pth" else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def own_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_a_download_is_kept_and_not_repeated(address):
    path = find("a.pth", CHECK, f"{address}/a.pth")
    assert path == weights.folder() / "a.pth"
    assert path.read_bytes() == CONTENT
    assert find("a.pth", CHECK, "http://nowhere.invalid/a.pth") == path
    assert list(weights.folder().iterdir()) == [path]  # nothing half written beside it


def test_files_that_torch_hub_has_are_used(own_hub):
    own_hub.mkdir(parents=True)
    (own_hub / "a.pth").write_bytes(CONTENT)
    assert find("a.pth", CHECK, "http://nowhere.invalid/a.pth") == own_hub / "a.pth"


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("a.pth", Check(sha256="00000000"), "not a.pth as published"),
        ("a.pth", Check(sha1="0" * 40), "not a.pth as published"),
        ("short.pth", CHECK, "after 100 of 7000 bytes"),
        ("missing.pth", CHECK, "404"),
    ],
)
def test_what_comes_down_is_checked(address, name, check, words):
    with pytest.raises(MetricError, match=words) as error:
        find(name, check, f"{address}/{name}")
    assert f"{address}/{name}" in str(error.value)
    assert str(weights.folder() / name) in str(error.value)
    assert not list(weights.folder().iterdir())


def test_without_a_network_the_error_says_what_to_put_where():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.pth"  # bound, but nobody listens
    with pytest.raises(MetricError, match=r"a\.pth is not here and cannot be downloaded") as error:
        find("a.pth", CHECK, url)
    assert url in str(error.value)
    assert str(weights.folder() / "a.pth") in str(error.value)


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(weights, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(MetricError, match="timed out"):
        find("a.pth", CHECK, f"http://127.0.0.1:{silent.getsockname()[1]}/a.pth")


def test_a_folder_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "file"))
    with pytest.raises(MetricError, match="cannot be downloaded"):
        find("a.pth", CHECK, "http://nowhere.invalid/a.pth")


def test_tensors_come_with_the_digest_of_their_file(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"a": torch.arange(3)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = load(path, Check(sha256=digest[:8], sha1=hashlib.sha1(path.read_bytes()).hexdigest()))
    assert loaded.digest == digest
    assert loaded.tensors["a"].tolist() == [0, 1, 2]


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    with pytest.raises(MetricError, match="No such file"):
        load(path, Check())
    torch.save({"a": torch.zeros(1000)}, path)
    whole = path.read_bytes()
    with pytest.raises(MetricError, match=r"its SHA-256 is [0-9a-f]{64}, expected 12345678\.\.\.;"):
        load(path, Check(sha256="12345678"))
    for content in (whole[: len(whole) // 2], b"", b"text", pickle.dumps(socket.socket, protocol=2)):
        path.write_bytes(content)
        with pytest.raises(MetricError, match="not a file of PyTorch weights, or damaged"):
            load(path, Check())
    for content in ([torch.zeros(1)], {"a": 1}):
        torch.save(content, path)
        with pytest.raises(MetricError, match="not a file of weights by name"):
            load(path, Check())


def test_weights_of_another_network_are_refused():
    network = torch.nn.Linear(2, 3)
    weights.fill(network, {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}, "a line")
    assert network(torch.ones(1, 2)).tolist() == [[2, 2, 2]]
    with pytest.raises(MetricError, match=r"not weights of a line: .*bias"):
        weights.fill(network, {"weight": torch.ones(3, 2)}, "a line")
    with pytest.raises(MetricError, match=r"not weights of a line: size mismatch for weight"):
        weights.fill(network, {"weight": torch.ones(2, 2), "bias": torch.zeros(3)}, "a line")
