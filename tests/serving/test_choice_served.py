"""Pictures from the API that the discriminator chose: those of `sparring sample --best-of`, within bounds."""

import base64
import io
import shutil
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.serving.conftest import BLUEPRINTS, client_of
from typer.testing import CliRunner

from sparring.cli import app
from sparring.model import FILE, JUDGE, Model
from sparring.serving.models import abilities
from sparring.serving.requests import most_judged
from sparring.tasks import generate

JSON = "application/json"


@pytest.fixture(scope="module")
def client(shelf_folder: Path) -> Iterator[TestClient]:
    """One of a run with a discriminator, of one without, and of one that makes nothing of noise."""
    with client_of(*(shelf_folder / name for name in ("faces", "grey", "holes"))) as client:
        yield client


def asked(client: TestClient, accept: str = "", /, **wishes: object) -> Any:
    return client.post("/v1/sample", json={"run": "faces"} | wishes, headers={"Accept": accept})


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def decoded(answer: Any) -> np.ndarray:
    return np.stack([pixels(base64.b64decode(one)) for one in answer.json()["pictures"]])


@pytest.mark.parametrize(("best_of", "wishes"), [(3, {}), (40, {"label": "dog", "truncation": 0.7})])
def test_pictures_are_those_of_the_command(
    client: TestClient, shelf_folder: Path, tmp_path: Path, best_of: int, wishes: dict[str, object]
) -> None:
    options = [part for name, value in wishes.items() for part in (f"--{name}", str(value))]
    command = ["sample", str(shelf_folder / "faces"), "--n", "4", "--seed", "7", "--best-of", str(best_of), *options]
    assert CliRunner().invoke(app, [*command, "--out", str(tmp_path / "made.npy")]).exit_code == 0
    wanted = np.load(tmp_path / "made.npy")
    found = decoded(asked(client, JSON, n=4, seed=7, best_of=best_of, **wishes))
    assert np.array_equal(found, wanted)
    with zipfile.ZipFile(
        io.BytesIO(asked(client, "application/zip", n=4, seed=7, best_of=best_of, **wishes).content)
    ) as archive:
        assert np.array_equal(np.stack([pixels(archive.read(name)) for name in archive.namelist()]), wanted)
    one = asked(client, "image/png", seed=7, start=2, best_of=best_of, **wishes)
    assert np.array_equal(pixels(one.content), wanted[2])
    assert not np.array_equal(found, decoded(asked(client, JSON, n=4, seed=7, **wishes)))


def test_a_choice_is_the_same_alone_and_in_company(shelf_folder: Path) -> None:
    def ask(client: TestClient, seed: int) -> bytes:
        return bytes(client.post("/v1/sample", json={"n": 1 + seed % 2, "seed": seed, "best_of": 1 + seed}).content)

    alone = []
    for seed in range(4):
        with client_of(shelf_folder / "faces") as client:
            alone.append(ask(client, seed))
    with client_of(shelf_folder / "faces") as client, ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda number: ask(client, number % 4), range(24)))
    assert all(answer == alone[number % 4] for number, answer in enumerate(together))


def test_what_was_chosen_can_be_mixed(client: TestClient, shelf_folder: Path) -> None:
    """Candidates are 4 i and the next of the seed; their classes are those of sample i."""
    answer = asked(client, JSON, n=6, seed=2, best_of=4)
    parts = answer.json()["parts"]
    assert [part["index"] // 4 for part in parts] == list(range(6))
    assert [part["label"] for part in parts] == Model.load(shelf_folder / "faces").labels(6, seed=2).tolist()
    assert {part["seed"] for part in parts} == {2}
    again = asked(client, JSON, mix=[[part] for part in parts])
    assert again.json()["pictures"] == answer.json()["pictures"]
    assert "parts" not in again.json()


def test_a_choice_is_made_before_it_is_moved_along_directions(shelf_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf_folder / "faces", tmp_path / "faces")
    shutil.copy(shelf_folder / "grey/directions.npz", tmp_path / "faces")
    with client_of(tmp_path / "faces") as client:
        plain = asked(client, JSON, n=3, seed=2, best_of=4).json()
        moved = asked(client, JSON, n=3, seed=2, best_of=4, edit={"warmth": 2}).json()
        assert moved["parts"] == plain["parts"] and moved["pictures"] != plain["pictures"]
        mixed = asked(client, JSON, mix=[[part] for part in plain["parts"]], edit={"warmth": 2}).json()
        assert mixed["pictures"] == moved["pictures"]


def test_what_is_said_of_the_choice(client: TestClient, shelf_folder: Path) -> None:
    runs = {run["name"]: run for run in client.get("/v1/models").json()["runs"]}
    assert (runs["faces"]["chooses"], runs["faces"]["most_judged"]) == (True, 1024)
    assert (runs["grey"]["chooses"], runs["grey"]["most_judged"]) == (False, None)
    blueprint = BLUEPRINTS["faces"]
    assert isinstance(blueprint, generate.Blueprint)
    own = replace(blueprint, discriminator_features={"name": "own.pt", "digest": "", "trained_on": ""})
    assert abilities(blueprint, shelf_folder / "faces" / FILE)["chooses"]
    assert "chooses" not in abilities(own, shelf_folder / "faces" / FILE)
    assert "chooses" not in abilities(blueprint, shelf_folder / "faces/other.safetensors")
    document = client.get("/openapi.json").json()["components"]["schemas"]
    field = document["SampleRequest"]["properties"]["best_of"]
    assert (field["minimum"], field["maximum"], field["default"]) == (1, 64, 1)
    assert "parts" in document["Samples"]["properties"]


@pytest.mark.parametrize(
    ("wishes", "status", "words"),
    [
        ({"best_of": 0}, 422, "best_of: "),
        ({"best_of": 65}, 422, "best_of: "),
        ({"best_of": 2.5}, 422, "best_of: "),
        ({"n": 17, "best_of": 64}, 422, "1,088 pictures of 16x16 pixels to choose from, and 1,024 is the most"),
        ({"best_of": 2, "label": "bird"}, 422, "cat, dog"),
        ({"best_of": 2, "edit": {"0": 1}}, 422, "no directions"),
        ({"best_of": 2, "mix": [[{"seed": 1}]]}, 422, "nothing to choose from"),
        ({"best_of": 2, "frames": 3}, 422, "for clips"),
        ({"best_of": 2, "run": "grey"}, 409, f"keeps it as {JUDGE}"),
        ({"best_of": 2, "run": "holes"}, 409, "no pictures of noise"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    client: TestClient, wishes: dict[str, object], status: int, words: str
) -> None:
    answer = asked(client, **wishes)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True), answer.text
    assert answer.json()["error"]["kind"] == {409: "not_ready", 422: "invalid"}[status]


def test_the_last_numbers_of_a_seed_can_be_told(client: TestClient) -> None:
    (part,) = asked(client, JSON, start=2**31 - 1, best_of=64).json()["parts"]
    assert part["index"] // 64 == 2**31 - 1


def test_a_damaged_discriminator_is_told_of_and_leaves_the_pictures(shelf_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf_folder / "faces", tmp_path / "faces")
    (tmp_path / "faces" / JUDGE).write_bytes(b"damaged")
    with client_of(tmp_path / "faces") as client:
        answer = asked(client, best_of=2)
        assert answer.status_code == 409 and JUDGE in answer.json()["error"]["message"]
        assert asked(client).status_code == 200


def test_larger_pictures_are_fewer() -> None:
    assert most_judged((3, 128, 128)) == 256
    assert most_judged((3, 1024, 1024)) == 64
