"""Clips from the API: the files that `sparring sample` writes, within bounds."""

import base64
import io
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageSequence
from starlette.testclient import TestClient
from tests.serving.conftest import client_of
from typer.testing import CliRunner

from sparring.cli import app
from sparring.latents.beginnings import beginning_with
from sparring.model import Model
from sparring.serving import clips
from sparring.serving.batching import Loaded
from sparring.serving.requests import SampleRequest, most_frames
from sparring.training.files import checksum

MP4, GIF, ZIP, JSON = "video/mp4", "image/gif", "application/zip", "application/json"


@pytest.fixture(scope="module")
def client(shelf_folder: Path) -> Iterator[TestClient]:
    """One of clips, and of a run of each of two other kinds."""
    with client_of(*(shelf_folder / name for name in ("clips", "faces", "words"))) as client:
        yield client


def asked(client: TestClient, accept: str = "", /, **wishes: object) -> Any:
    return client.post("/v1/sample", json={"run": "clips"} | wishes, headers={"Accept": accept})


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def as_options(wishes: Mapping[str, object]) -> list[str]:
    options = []
    for name, value in wishes.items():
        option = f"--{name.replace('_', '-')}"
        options += [option] if value is True else [option, str(value)]
    return options


def test_what_is_said_of_clips(client: TestClient) -> None:
    runs = {run["name"]: run for run in client.get("/v1/models").json()["runs"]}
    told = {name: runs["clips"][name] for name in ("makes", "frames", "fps", "most_frames", "resolution", "classes")}
    assert told == {
        "makes": "clips",
        "frames": 12,
        "fps": 10,
        "most_frames": 1024,
        "resolution": [16, 16],
        "classes": ["round", "square"],
    }
    assert runs["faces"]["makes"] == "pictures" and runs["faces"]["frames"] is None
    assert runs["words"]["makes"] == "texts"


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"frames": 4, "fps": 25, "speed": 0.5, "label": "square", "truncation": 0.7, "loop": True, "motion_seed": 9},
        {"frames": 3, "same": "content"},
        {"frames": 3, "same": "motion", "interpolate": True},
    ],
)
@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_files_are_those_of_the_command(
    client: TestClient, shelf_folder: Path, tmp_path: Path, wishes: dict[str, object], kind: str
) -> None:
    if kind == "mp4":
        pytest.importorskip("av")
    command = ["sample", str(shelf_folder / "clips"), "--n", "2", "--seed", "7", *as_options(wishes), "--out"]
    for place, form in ((f"both.{kind}", []), ("each", ["--format", kind])):
        assert CliRunner().invoke(app, [*command, str(tmp_path / place), *form]).exit_code == 0
    both = asked(client, {"mp4": MP4, "gif": GIF}[kind], n=2, seed=7, **wishes)
    assert both.headers["content-type"] == {"mp4": MP4, "gif": GIF}[kind]
    assert both.content == (tmp_path / f"both.{kind}").read_bytes()
    each = unzipped(asked(client, ZIP, n=2, seed=7, format=kind, **wishes).content)
    assert each == {path.name: path.read_bytes() for path in (tmp_path / "each").iterdir()}
    found = asked(client, JSON, n=2, seed=7, format=kind, **wishes).json()
    assert [base64.b64decode(one) for one in found["clips"]] == list(each.values())
    assert found["frames"] == wishes.get("frames", 12)


def test_a_gif_shows_the_frames_of_the_model(client: TestClient, shelf_folder: Path) -> None:
    (wanted,) = Model.load(shelf_folder / "clips").sample(1, seed=3, start=40, frames=4)
    answer = asked(client, GIF, seed=3, start=40, frames=4)
    with Image.open(io.BytesIO(answer.content)) as film:
        frames = [
            frame.convert("RGB").resize((16, 16), Image.Resampling.NEAREST) for frame in ImageSequence.Iterator(film)
        ]
        assert film.info["duration"] == 100
        assert b"Start: 40" in film.info["comment"]
    assert len(frames) == 4
    for frame, pixels in zip(frames, wanted.permute(0, 2, 3, 1).numpy(), strict=True):
        distance = [abs(a - b) for a, b in zip(frame.tobytes(), pixels.tobytes(), strict=True)]
        assert max(distance) < 16 and sum(distance) / len(distance) < 2  # 256 colours at most


def test_a_clip_has_the_same_bytes_alone_and_in_company(client: TestClient) -> None:
    several = list(unzipped(asked(client, ZIP, n=4, seed=5, frames=6).content).values())
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda i: asked(client, JSON, n=1, seed=5, start=i % 4, frames=6).json()["clips"], range(12))
        )
    assert [base64.b64decode(one) for (one,) in answers] == several * 3
    assert len(set(several)) == 4


def test_films_say_what_made_them(client: TestClient, shelf_folder: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    answer = asked(client, ZIP, n=2, start=30, seed=4, label=1, frames=3)
    for name, content in unzipped(answer.content).items():
        with av.open(io.BytesIO(content)) as film:
            told = dict(part.split(": ", 1) for part in film.metadata["comment"].split("; "))
        assert told["AI-generated"] == "true" and told["Run"] == "clips"
        assert told["Model"] == f"sha256:{answer.headers['x-model']}"
        assert (told["Seed"], told["Label"], told["Index"]) == ("4", "1", {"00000.mp4": "30", "00001.mp4": "31"}[name])


def ended(client: TestClient, place: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (state := client.get(place).json())["state"] in ("waiting", "running"):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert state["state"] == "done", state
    found: dict[str, Any] = state["result"]
    return found


def test_clips_begin_with_what_was_found_for_a_picture(client: TestClient, shelf_folder: Path) -> None:
    model = Model.load(shelf_folder / "clips")
    (target,) = model.sample(1, seed=3, label="square", frames=1)
    assert isinstance(target, torch.Tensor)
    sent = io.BytesIO()
    Image.fromarray(target[0].permute(1, 2, 0).numpy()).save(sent, "PNG")
    fields = {"run": "clips", "label": "square", "steps": "2", "seed": "2"}
    answer = client.post("/v1/invert", data=fields, files={"picture": sent.getvalue()})
    assert answer.status_code == 202
    found = ended(client, answer.headers["location"])
    wanted = beginning_with(model, target[0], "square", 2, steps=2)
    assert found["z"] == wanted.z.tolist() and found["noise"] == wanted.noise.tolist() and found["label"] == 1
    assert found["psnr"] == pytest.approx(wanted.psnr)
    with Image.open(io.BytesIO(base64.b64decode(found["given"]))) as given, Image.open(sent) as original:
        assert given.tobytes() == original.tobytes()
    assert 0 < found["since"] == wanted.since < 1.2
    first = {name: found[name] for name in ("z", "noise", "since", "label")}
    made = model.sample(2, seed=5, frames=6, first=wanted)
    assert isinstance(made, torch.Tensor) and torch.equal(made[0, 0], made[1, 0])
    with Image.open(io.BytesIO(base64.b64decode(found["picture"]))) as picture:
        assert picture.tobytes() == made[0, 0].permute(1, 2, 0).numpy().tobytes()
    loaded = Loaded(model, checksum(shelf_folder / "clips/generator.safetensors"), None)
    order = clips.ordered(
        model.of_clips, SampleRequest.model_validate({"n": 2, "seed": 5, "frames": 6, "first": first}), GIF
    )
    assert order.take.begins is not None and order.take.begins.y is not None and wanted.y is not None
    assert torch.equal(order.take.begins.z, wanted.z) and torch.equal(order.take.begins.noise, wanted.noise)
    assert torch.equal(order.take.begins.y, wanted.y) and order.take.begins.since == wanted.since
    answer = asked(client, GIF, n=2, seed=5, frames=6, first=first)
    assert [answer.content] == clips.filmed(loaded, order)
    assert answer.content != asked(client, GIF, n=2, seed=5, frames=6).content


def test_the_document_names_the_fields_of_clips(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert {"frames", "fps", "speed", "first"} <= schemas["SampleRequest"]["properties"].keys()
    assert schemas["First"]["required"] == ["z", "noise"]
    assert "noise" in schemas["Found"]["properties"]


WRONG = [
    ({"n": 17}, "at most 16 clips"),
    ({"frames": 257}, "frames: "),
    ({"n": 16, "frames": 65}, "1,040 frames of 16x16 pixels, and 1,024 is the most"),
    ({"n": 10, "fps": 120}, "1,440 frames"),
    ({"fps": 121}, "fps: "),
    ({"speed": 0}, "speed: "),
    ({"same": "colour"}, "same: "),
    ({"motion_seed": -1}, "motion_seed: "),
    ({"label": "star"}, "round, square"),
    ({"loop": True, "interpolate": True}, "loop or interpolate"),
    ({"first": "picture.png"}, "first: "),
    ({"first": {"z": [0] * 7, "noise": [[0] * 4], "label": 0}}, "8 numbers as z and 4 in each row of noise"),
    ({"first": {"z": [0] * 8, "noise": [[0] * 3], "label": 0}}, "8 numbers as z and 4 in each row of noise"),
    ({"first": {"z": [0] * 8, "noise": [], "label": 0}}, "first.noise: "),
    ({"first": {"z": [1e9] * 8, "noise": [[0] * 4], "label": 0}}, "first.z.0: "),
    ({"first": {"z": [0] * 8, "noise": [[0] * 4]}}, "say which one"),
    ({"first": {"z": [0] * 8, "noise": [[0] * 4], "label": "star"}}, "round, square"),
    ({"first": {"z": [0] * 8, "noise": [[0] * 4], "label": 0}, "label": 1}, "class of what they begin with"),
    ({"first": {"z": [0] * 8, "noise": [[0] * 4], "label": 0}, "loop": True}, "leave loop"),
    ({"run": "faces", "first": {"z": [0] * 8, "noise": [[0] * 4]}}, "for clips, and this generator makes pictures"),
    ({"mix": [[{"seed": 1}]]}, "for pictures, and this generator makes clips"),
    ({"edit": {"0": 1}}, "for pictures, and this generator makes clips"),
    ({"prompt": "a"}, "for texts and molecules, and this generator makes clips"),
    ({"top_p": 0.9}, "for texts and molecules, and this generator makes clips"),
    ({"best_of": 2}, "for pictures, texts and molecules, and this generator makes clips"),
    ({"format": "svg"}, "mp4 or gif"),
    ({"run": "faces", "frames": 8}, "for clips, and this generator makes pictures"),
    ({"run": "faces", "format": "gif"}, "for clips, and this generator makes pictures"),
    ({"run": "words", "loop": True}, "for clips, and this generator makes texts"),
]


@pytest.mark.parametrize(("wishes", "words"), WRONG)
def test_what_cannot_be_done_is_said_in_a_sentence(client: TestClient, wishes: dict[str, object], words: str) -> None:
    answer = asked(client, **wishes)
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]


def test_larger_frames_are_fewer() -> None:
    assert most_frames((3, 256, 256)) == 64
    assert most_frames((1, 1024, 2048)) == 2


def test_types_that_there_are_not(client: TestClient) -> None:
    for accept in ("image/png", "text/html"):
        answer = asked(client, accept)
        assert answer.status_code == 406 and "image/gif" in answer.json()["error"]["message"]
    assert asked(client, MP4, format="gif").status_code == 406


def test_without_pyav_films_are_gifs(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert asked(client, frames=2).headers["content-type"] == GIF
    assert asked(client, JSON, frames=2).json()["type"] == GIF
    assert asked(client, MP4, frames=2).status_code == 406
    answer = asked(client, format="mp4")
    assert answer.status_code == 422 and "needs PyAV" in answer.json()["error"]["message"]


def test_nothing_is_left_on_the_disk(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert asked(client, ZIP, n=2, frames=2).status_code == 200
    assert not list(tmp_path.iterdir())


def test_clips_wait_by_their_frames(shelf_folder: Path) -> None:
    blueprint = Model.load(shelf_folder / "clips").of_clips
    assert clips.ordered(blueprint, SampleRequest(n=3, frames=40), "").frames == 120


def test_pictures_do_not_wait_for_clips(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run has a line of its own."""
    goes_on = threading.Event()
    made = clips.filmed

    def slow(loaded: Loaded, order: clips.Order) -> list[bytes]:
        assert goes_on.wait(30)
        return made(loaded, order)

    monkeypatch.setattr(clips, "filmed", slow)
    with ThreadPoolExecutor(1) as pool:
        film = pool.submit(lambda: asked(client, frames=2))
        assert asked(client, run="faces", n=3).status_code == 200
        assert not film.done()
        goes_on.set()
        assert film.result().status_code == 200
