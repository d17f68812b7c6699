"""Pictures whose latents are looked for, in jobs beside everything else."""

import base64
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from sparring.latents import inversion
from sparring.latents.likeness import Likeness
from sparring.model import Model
from sparring.serving import jobs
from sparring.serving.errors import RequestError
from sparring.serving.jobs import WAITING, Tell, Workshop


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(client: TestClient, place: str) -> dict[str, Any]:
    until(lambda: client.get(place).json()["state"] in ("done", "failed"))
    found: dict[str, Any] = client.get(place).json()
    return found


def test_the_latent_is_that_of_the_command_and_makes_the_picture_again(client: TestClient, shelf_folder: Path) -> None:
    model = Model.load(shelf_folder / "faces")
    given = model.sample(1, seed=4, label="dog")
    assert not isinstance(given, list)
    body = png(given[0].permute(1, 2, 0).numpy())
    asked = {"run": "faces", "label": "dog", "steps": "20", "seed": "3"}
    answer = client.post("/v1/invert", data=asked, files={"picture": body})
    assert answer.status_code == 202
    state = ended(client, answer.headers["location"])
    assert state["state"] == "done" and (state["step"], state["steps"]) == (20, 20)
    found = state["result"]
    wanted = inversion.invert(model, given, ["one"], Likeness("pixels", "cpu"), label=1, steps=20, seed=3)
    assert found["z"] == wanted.points.z[0].tolist()
    assert found["label"] == 1
    assert found["psnr"] == pytest.approx(wanted.errors.psnr[0])
    with Image.open(io.BytesIO(base64.b64decode(found["given"]))) as kept, Image.open(io.BytesIO(body)) as original:
        assert kept.tobytes() == original.tobytes()
    mix = [[{"z": found["z"], "label": found["label"]}]]
    again = client.post("/v1/sample", json={"run": "faces", "mix": mix})
    assert base64.b64encode(again.content).decode() == found["picture"]


def test_others_do_not_wait_for_a_search(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    going, go = threading.Event(), threading.Event()

    def slow(*_: object, progress: Tell, **__: object) -> None:
        progress("", 1, 9)
        going.set()
        go.wait(30)
        progress("", 2, 9)

    monkeypatch.setattr(inversion, "invert", slow)
    picture = {"picture": png(np.zeros((8, 8), np.uint8))}
    place = client.post("/v1/invert", data={"run": "grey"}, files=picture).headers["location"]
    assert going.wait(30)
    assert client.post("/v1/sample", json={"run": "grey", "seed": 99}).status_code == 200
    waits = client.post("/v1/invert", data={"run": "grey"}, files=picture).json()
    assert (waits["state"], waits["ahead"]) == ("waiting", 1)
    state = client.get(place).json()
    assert (state["state"], state["step"], state["steps"]) == ("running", 1, 9)
    for called_off in (f"/v1/jobs/{waits['id']}", place):
        assert client.delete(called_off).status_code == 204
        assert client.get(called_off).status_code == 404
    go.set()


@pytest.mark.parametrize(
    ("asked", "picture", "status", "words"),
    [
        ({"run": "words"}, None, 409, "no pictures or clips of noise"),
        ({"run": "faces", "steps": "301"}, None, 422, "steps: "),
        ({"run": "faces", "label": "bird"}, None, 422, "cat, dog"),
        ({"run": "faces", "sead": "1"}, None, 422, "sead: "),
        ({"run": "faces"}, b"words", 422, "not a picture"),
        ({"run": "faces"}, png(np.zeros((8192, 8192), np.uint8)), 422, "too large"),
    ],
)
def test_searches_that_do_not_begin(
    client: TestClient, asked: dict[str, str], picture: bytes | None, status: int, words: str
) -> None:
    body = picture if picture is not None else png(np.zeros((16, 16, 3), np.uint8))
    answer = client.post("/v1/invert", data=asked, files={"picture": body})
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"z": [0.0] * 7, "label": 0}, "8"),
        ({"z": [0.0] * 8}, "say which one"),
        ({"z": [0.0] * 8, "label": "bird"}, "cat, dog"),
        ({"z": [1e9] * 8, "label": 0}, "less than or equal"),
        ({"z": [0.0] * 8, "seed": 1}, "a part is"),
        ({}, "a part is"),
        ({"seed": 1, "label": "bird"}, "cat, dog"),
        ({"z": [0.0] * 8, "label": 0, "index": 1}, "index goes with seed"),
    ],
)
def test_latents_that_are_none(client: TestClient, part: dict[str, object], words: str) -> None:
    answer = client.post("/v1/sample", json={"run": "faces", "mix": [[part]]})
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (422, True), answer.text


def test_a_job_that_takes_too_long_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LONGEST", 0.0)
    workshop = Workshop()
    job = workshop.submit("any", lambda tell: tell("", 1, 2))
    until(lambda: job.state == "failed")
    assert job.message is not None and "fewer steps" in job.message
    workshop.close()


def test_a_workshop_is_bounded_forgets_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    workshop, going, go = Workshop(), threading.Event(), threading.Event()

    def work(tell: Tell) -> str:
        going.set()
        go.wait(30)
        tell("", 1, 1)
        return "made"

    first = workshop.submit("any", work)
    assert going.wait(30)
    others = [workshop.submit("any", work) for _ in range(WAITING)]
    assert [workshop.ahead(job) for job in others] == list(range(1, WAITING + 1))
    with pytest.raises(RequestError, match="try again") as refused:
        workshop.submit("any", work)
    assert refused.value.headers is not None and int(refused.value.headers["Retry-After"]) > 0
    go.set()
    until(lambda: all(job.state == "done" for job in (first, *others)))
    assert workshop[first.id].result == "made"
    monkeypatch.setattr(jobs, "KEPT", 1)
    workshop.submit("any", lambda _: 1)
    with pytest.raises(RequestError, match="no such job"):
        workshop[first.id]
    going.clear()
    go.clear()
    last = workshop.submit("any", work)
    assert going.wait(30)
    closing = threading.Thread(target=workshop.close)
    closing.start()
    until(lambda: bool(last.unwanted))
    go.set()
    closing.join(30)
    assert (last.state, last.message) == ("failed", "the server is stopping")
    with pytest.raises(RequestError, match="stopping"):
        workshop.submit("any", work)


def test_what_fails_is_said_without_its_insides(caplog: pytest.LogCaptureFixture) -> None:
    workshop = Workshop()
    job = workshop.submit("any", lambda _: 1 // 0)
    until(lambda: job.state == "failed")
    assert job.message is not None and "division" not in job.message
    assert "ZeroDivisionError" in caplog.text
    workshop.close()
