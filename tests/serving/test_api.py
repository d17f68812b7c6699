import asyncio
import base64
import io
import json
import shutil
import zipfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient
from starlette.types import Message
from tests.serving.conftest import BLUEPRINTS, client_of

from sparring.model import Model
from sparring.mosaic import grid
from sparring.serving import limits
from sparring.serving.limits import LARGEST_JSON, is_loopback


def picture_of(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_what_is_served(client: TestClient) -> None:
    runs = {run["name"]: run for run in client.get("/v1/models").json()["runs"]}
    assert list(runs) == [*BLUEPRINTS, "digits"]
    assert runs["faces"]["classes"] == ["cat", "dog"]
    assert runs["faces"]["resolution"] == [16, 16]
    assert runs["styles"]["styles"] == ["monet", "munch"]
    assert runs["holes"]["takes_mask"] and not runs["larger"]["takes_mask"]
    assert runs["words"]["chooses"] and runs["words"]["longest"] == 11
    digits = runs["digits"]
    assert digits["state"] == "finished"
    assert {"fid", "precision"} <= {metric["name"] for metric in digits["quality"]["metrics"]}
    assert "1,797 real" in digits["quality"]["protocol"]


def test_pictures_in_every_form_are_those_of_the_model(client: TestClient, shelf_folder: Path) -> None:
    wanted = Model.load(shelf_folder / "faces").sample(3, seed=7, label="dog", truncation=0.8)
    asked = {"run": "faces", "n": 3, "seed": 7, "label": "dog", "truncation": 0.8}
    sheet = client.post("/v1/sample", json=asked)
    assert sheet.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(picture_of(sheet.content)), np.asarray(grid(wanted)))
    found = client.post("/v1/sample", json=asked, headers={"Accept": "application/json"}).json()["pictures"]
    pictures = [np.asarray(picture_of(base64.b64decode(one))) for one in found]
    assert np.array_equal(np.stack(pictures), wanted.permute(0, 2, 3, 1))
    zipped = client.post("/v1/sample", json=asked, headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        assert archive.namelist() == ["00000.png", "00001.png", "00002.png"]
        assert np.array_equal(np.asarray(picture_of(archive.read("00001.png"))), pictures[1])
    one = client.post("/v1/sample", json={"run": "faces", "seed": 7, "start": 1, "label": 1, "truncation": 0.8})
    assert np.array_equal(np.asarray(picture_of(one.content)), pictures[1])


def test_the_same_seed_gives_the_same_bytes_alone_and_in_company(shelf_folder: Path) -> None:
    """Each is asked for anew by a server that remembers nothing of the others."""

    def ask(client: TestClient, seed: int) -> bytes:
        return client.post("/v1/sample", json={"n": 1 + seed % 3, "seed": seed}).content

    alone = []
    for seed in range(6):
        with client_of(shelf_folder / "faces") as client:
            alone.append(ask(client, seed))
    with client_of(shelf_folder / "faces") as client, ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda number: ask(client, number % 6), range(60)))
    assert len(set(alone)) == 6
    assert all(answer == alone[number % 6] for number, answer in enumerate(together))


def test_mixtures(client: TestClient) -> None:
    first = client.post("/v1/sample", json={"run": "faces", "seed": 3, "start": 5})
    mixed = client.post("/v1/sample", json={"run": "faces", "mix": [[{"seed": 3, "index": 5, "weight": 2}]]})
    assert mixed.content == first.content
    both = [[{"seed": 3, "weight": 1 - t}, {"seed": 4, "weight": t}] for t in (0, 0.5, 1)]
    answer = client.post("/v1/sample", json={"run": "faces", "mix": both}, headers={"Accept": "application/json"})
    assert len(set(answer.json()["pictures"])) == 3


def test_texts(client: TestClient, shelf_folder: Path) -> None:
    model = Model.load(shelf_folder / "words")
    asked = {"run": "words", "n": 4, "seed": 2, "temperature": 2.0, "top_p": 0.8, "prompt": "ab", "best_of": 3}
    wanted = model.sample(4, seed=2, temperature=2.0, top_p=0.8, prompt="ab", best_of=3)
    assert wanted != model.sample(4, seed=2, temperature=2.0, prompt="ab", best_of=3)
    assert client.post("/v1/sample", json=asked).json() == {"texts": wanted}
    lines = client.post("/v1/sample", json=asked, headers={"Accept": "text/plain"})
    assert lines.text.splitlines() == wanted


def test_pictures_are_changed_as_the_model_does(client: TestClient, shelf_folder: Path) -> None:
    given, mask = noise(40, 30), np.zeros((40, 30), np.uint8)
    mask[10:20, 5:25] = 255
    files = {"picture": png(given), "mask": png(mask)}
    answer = client.post("/v1/apply", data={"run": "holes"}, files=files)
    made = np.asarray(picture_of(answer.content))
    wanted = Model.load(shelf_folder / "holes").apply(Image.fromarray(given), Image.fromarray(mask))
    assert np.array_equal(made, np.asarray(wanted))
    assert np.array_equal(made[mask == 0], given[mask == 0])
    answer = client.post(
        "/v1/apply", data={"run": "styles", "style": "munch", "strength": "0"}, files={"picture": png(given)}
    )
    assert np.array_equal(np.asarray(picture_of(answer.content)), given)
    answer = client.post("/v1/apply", data={"run": "larger"}, files={"picture": png(given)})
    assert picture_of(answer.content).size == (60, 80)


WRONG = [
    ({"n": 0}, "n: "),
    ({"n": 257}, "n: "),
    ({"n": "many"}, "n: "),
    ({"seed": -1}, "seed: "),
    ({"seed": 2**63}, "seed: "),
    ({"sead": 1}, "sead: "),
    ({"truncation": 2.1}, "truncation: "),
    ({"label": "bird"}, "cat, dog"),
    ({"label": 2}, "0 to 1"),
    ({"temperature": 0.5}, "for texts"),
    ({"top_p": 0.5}, "for texts"),
    ({"run": "words", "top_p": 0}, "top_p: "),
    ({"run": "words", "top_p": 1.5}, "top_p: "),
    ({"run": "words", "label": 1}, "for pictures"),
    ({"run": "words", "prompt": "xyz"}, "do not occur"),
    ({"run": "words", "prompt": "a" * 12}, "shorten it"),
    ({"run": "words", "n": 256, "best_of": 64}, "2048"),
    ({"mix": []}, "mix: "),
    ({"mix": [[]]}, "mix.0: "),
    ({"mix": [[{"seed": 1, "weight": 0}]]}, "weights"),
    ({"mix": [[{"seed": 1}]], "n": 2}, "leave n"),
]


@pytest.mark.parametrize(("asked", "words"), WRONG)
def test_what_cannot_be_done_is_said_in_a_sentence(client: TestClient, asked: dict[str, object], words: str) -> None:
    answer = client.post("/v1/sample", json={"run": "faces"} | asked)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["kind"] == "invalid"
    assert words in error["message"]


def test_errors_have_one_shape(client: TestClient) -> None:
    answers = {
        404: client.get("/nothing"),
        405: client.get("/v1/sample"),
        406: client.post("/v1/sample", json={"run": "faces"}, headers={"Accept": "text/html"}),
        409: client.post("/v1/sample", json={"run": "holes"}),
        422: client.post("/v1/sample", content=b"{", headers={"Content-Type": "application/json"}),
        413: client.post("/v1/sample", content=b" " * (LARGEST_JSON + 1)),
    }
    answers[404] = client.post("/v1/sample", json={"run": "../faces"})
    for status, answer in answers.items():
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"kind", "message"}
    several = client.post("/v1/sample", json={})
    assert several.status_code == 422 and "say which" in several.json()["error"]["message"]


def test_what_is_no_text_is_refused_and_answered(client: TestClient) -> None:
    for body in (
        b'{"run": "words", "prompt": "\\ud800"}',
        b'{"run": "\\udfff"}',
        b'{"run": "faces", "label": "\\u0000\\ud800"}',
    ):
        answer = client.post("/v1/sample", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (404, 422)
        assert answer.json()["error"]["message"]


def test_bodies_without_a_length_are_limited_too(client: TestClient) -> None:
    answer = client.post(
        "/v1/sample",
        content=(b" " * 65536 for _ in range(LARGEST_JSON // 65536 + 1)),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 0.05)

    async def half() -> AsyncIterator[bytes]:
        yield b'{"run": '
        await asyncio.sleep(60)

    async def asked() -> httpx2.Response:
        transport = httpx2.ASGITransport(client.app)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as patient:
            return await patient.post("/v1/sample", content=half(), headers={"Content-Type": "application/json"})

    assert asyncio.run(asked()).status_code == 408


@pytest.mark.parametrize("path", ["/v1/sample", "/v1/apply", "/v1/invert"])
def test_who_goes_away_before_the_body_has_come_is_no_failure_of_the_server(client: TestClient, path: str) -> None:
    kind = b"application/json" if path == "/v1/sample" else b"multipart/form-data; boundary=x"
    came = [{"type": "http.request", "body": b"--x\r\n", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return came.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", kind)]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type, func-returns-value]
    assert sent[0]["status"] == 422


def test_of_many_wrong_numbers_one_is_told_of(client: TestClient) -> None:
    """A sentence for each of them takes a second and more, in which nobody else is answered."""
    wrong = [[9e9] * 100] * 60
    for asked in ({"first": {"z": [0], "noise": wrong}}, {"mix": [[{"z": wrong[0]}]]}):
        answer = client.post("/v1/sample", json={"run": "faces"} | asked)
        assert answer.status_code == 422 and answer.json()["error"]["message"].count("less than or equal") == 1


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"])
def test_what_says_that_it_is_json_is_read(client: TestClient, kind: str) -> None:
    answer = client.post("/v1/sample", content=b'{"run": "faces"}', headers={"Content-Type": kind})
    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "text/json"}])
def test_what_a_page_of_another_site_can_send_is_not(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/v1/sample", content=b'{"run": "faces"}', headers=headers)
    assert answer.status_code == 422 and "application/json" in answer.json()["error"]["message"]


BOMB = png(np.zeros((8192, 8192), np.uint8))


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (b"", "empty file"),
        (b"words", "not a picture"),
        (png(noise(30, 30))[:-400], "cut short"),
        (BOMB, "too large: 8192x8192"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    ],
)
def test_pictures_that_cannot_be_used(client: TestClient, picture: bytes, words: str) -> None:
    answer = client.post("/v1/apply", data={"run": "styles", "style": "monet"}, files={"picture": picture})
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]


def test_what_comes_beside_pictures_is_checked(client: TestClient) -> None:
    picture = png(noise(16, 16))
    for data, files, words in (
        ({"run": "styles"}, {"picture": picture}, "several styles"),
        ({"run": "styles", "style": "monet", "strength": "2"}, {"picture": picture}, "strength"),
        ({"run": "styles", "style": "monet", "size": "2"}, {"picture": picture}, "size"),
        ({"run": "styles", "style": "monet"}, {"picture": picture, "mask": picture}, "takes no mask"),
        ({"run": "holes"}, {"picture": picture}, "nothing to fill"),
        ({"run": "holes"}, {"picture": picture, "mask": png(noise(8, 8))}, "one size"),
        ({"run": "holes"}, {"mask": picture}, "picture: it is missing"),
        ({"run": "holes", "picture": "words"}, {"mask": picture}, "a file is wanted"),
    ):
        answer = client.post("/v1/apply", data=data, files=files)
        assert (answer.status_code, words in answer.json()["error"]["message"]) == (422, True), answer.text
    assert client.post("/v1/apply", json={"run": "holes"}).status_code == 422
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/v1/apply", content=b"--y\r\n\r\n", headers=broken).status_code == 422
    assert client.post("/v1/apply", content=b"", headers={"Content-Type": "multipart/form-data"}).status_code == 422


def test_a_token(shelf_folder: Path) -> None:
    with client_of(shelf_folder / "grey", token="correct horse") as client:
        assert client.get("/").status_code == 200
        assert client.get("/page/app.js").status_code == 200
        assert client.get("/health").status_code == 200
        for path in ("/v1/models", "/metrics", "/openapi.json", "/v1/runs/grey"):
            assert client.get(path).status_code == 401
        for given in ("Bearer wrong", "Basic correct horse", "Bearer", "Bearer correct horse2", "Bearer \xff"):
            answer = client.get("/v1/models", headers={"Authorization": given.encode("latin-1")})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        headers = {"Authorization": "Bearer correct horse", "Host": "example.org"}
        assert client.get("/v1/models", headers=headers).status_code == 200


def test_no_other_site_reaches_a_server_without_a_token(client: TestClient) -> None:
    assert client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/v1/models", headers={"Host": "[::1]:8000"}).status_code == 200
    assert client.get("/v1/models", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    answer = client.get("/v1/models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert is_loopback("127.8.9.1") and is_loopback("LocalHost")
    assert not is_loopback("0.0.0.0") and not is_loopback("localhost.evil.example")


def test_a_generator_that_is_replaced_is_taken_up(shelf_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf_folder / "grey", tmp_path / "grey")
    with client_of(tmp_path / "grey") as client:
        before = client.post("/v1/sample", json={"seed": 1})
        assert client.post("/v1/sample", json={"seed": 1}).headers["x-model"] == before.headers["x-model"]
        torch.manual_seed(1)
        blueprint = BLUEPRINTS["grey"]
        Model(blueprint.generator(), blueprint).save(tmp_path / "grey/generator.safetensors")
        after = client.post("/v1/sample", json={"seed": 1})
        assert after.headers["x-model"] != before.headers["x-model"]
        assert after.content != before.content
        # What cannot be read leaves the one that works.
        (tmp_path / "grey/generator.safetensors").write_bytes(b"damaged")
        assert client.post("/v1/sample", json={"seed": 1}).content == after.content
        (tmp_path / "grey/generator.safetensors").unlink()
        assert client.post("/v1/sample", json={"seed": 1}).status_code == 409


def test_runs_that_appear_are_found(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "first")
    with client_of(tmp_path) as client:
        assert [one["name"] for one in client.get("/v1/models").json()["runs"]] == ["first"]
        shutil.copytree(run, tmp_path / "second")
        (tmp_path / "second/generator.safetensors").unlink()
        runs = client.get("/v1/models").json()["runs"]
        assert [(one["name"], one["ready"]) for one in runs] == [("first", True), ("second", False)]
        answer = client.post("/v1/sample", json={"run": "second"})
        assert answer.status_code == 409 and "no generator yet" in answer.json()["error"]["message"]


def test_how_a_run_goes(client: TestClient, run: Path) -> None:
    watch = client.get("/v1/runs/digits").json()
    assert watch["share"] == 1
    assert "1,797 pictures" in watch["headline"]
    assert any(chart["svg"].startswith("<svg") for chart in watch["charts"])
    assert watch["events"][0]["event"] == "finished"
    assert watch["changed"] == client.get("/v1/runs/digits/changed").json()
    name = next(name for name in watch["samples"] if name.startswith("grid-"))
    answer = client.get(f"/v1/runs/digits/samples/{name}")
    assert answer.content == (run / "samples" / name).read_bytes()
    for name in ("../config.toml", "..%2Fconfig.toml", "config.toml", "grid-1.png.x", "grid-999.png"):
        assert client.get(f"/v1/runs/digits/samples/{name}").status_code == 404
    assert client.get("/v1/runs/faces").status_code == 404


def test_what_prometheus_is_told(shelf_folder: Path) -> None:
    with client_of(shelf_folder / "grey") as client:
        client.post("/v1/sample", json={"n": 3})
        client.post("/v1/sample", json={"n": -3})
        client.get("/v1/runs/nobody")
        client.get("/nothing")
        told = client.get("/metrics").text
    assert 'sparring_requests_total{route="/v1/sample",status="200"} 1.0' in told
    assert 'sparring_requests_total{route="/v1/sample",status="422"} 1.0' in told
    assert 'route="/v1/runs/{name}",status="404"' in told
    assert 'route="other",status="404"' in told
    assert "sparring_batch_pictures_sum 3.0" in told
    assert "sparring_queue_samples 0.0" in told


def test_the_document_of_the_api(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert {"/v1/sample", "/v1/apply", "/v1/invert", "/v1/jobs/{id}", "/v1/models", "/health", "/metrics"} <= document[
        "paths"
    ].keys()
    responses = document["paths"]["/v1/sample"]["post"]["responses"]
    assert {"image/png", "application/zip", "application/json"} <= responses["200"]["content"].keys()
    assert json.dumps(responses["429"]).count("Failure")
    assert "HTTPValidationError" not in json.dumps(document["paths"]["/v1/sample"])
