"""Small generators of each kind in files, none of which was trained, and a run that was."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

import sparring
from sparring.latents import directions
from sparring.latents.directions import Directions
from sparring.model import JUDGE, Blueprint, Model, save_generator
from sparring.serving.app import create_app
from sparring.serving.counting import Counts
from sparring.serving.models import Shelf
from sparring.tasks import generate, restore, sequences, translate, video

SYMBOLS = {"kind": "characters", "symbols": "abcdefgh "}

BLUEPRINTS: dict[str, Blueprint] = {
    "faces": generate.Blueprint("fast", (3, 16, 16), 8, 32, 1, ("cat", "dog"), (0.75, 0.25)),
    "grey": generate.Blueprint("r3", (1, 8, 8), 8, 16, 1),
    "holes": restore.Blueprint("inpaint", 3, 8, 1),
    "larger": restore.Blueprint("super", 3, 8, 1, 2),
    "styles": translate.Blueprint(3, 8, 1, ("monet", "munch")),
    "clips": video.Blueprint("fast", (3, 16, 16), 8, 4, 0.25, 2, 16, 1, 10.0, 12, ("round", "square"), (0.5, 0.5), 1.2),
    "words": sequences.Blueprint("text", SYMBOLS, 12, 64, 1, 64, 1, False),
}

Client = Callable[..., TestClient]


@pytest.fixture(scope="session")
def shelf_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each generator."""
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    for name, blueprint in BLUEPRINTS.items():
        (folder / name).mkdir()
        Model(blueprint.generator(), blueprint).save(folder / name / "generator.safetensors")
        if isinstance(blueprint, sequences.Blueprint) or name == "faces":
            assert isinstance(blueprint, sequences.Blueprint | generate.Blueprint)
            save_generator(blueprint.judge(), blueprint.describe(), folder / name / JUDGE)
    found = Directions(torch.eye(8)[:2], ("warmth", "1"), (2.0, 1.0), "by hand", "none")
    directions.write(found, folder / "grey" / directions.NAME)
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a second or two."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    small = {"width": 32, "depth": 1, "z_dim": 8, "batch": 32, "quality_samples": 64, "labels": True}
    sparring.train("digits", out=folder, images=640, device="cpu", **small)
    return folder


def client_of(*places: Path, token: str | None = None) -> TestClient:
    """A client of an application around some runs."""
    counts = Counts()
    app = create_app(Shelf(places, watch=lambda size: counts.batches.observe(size)), counts, token)
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(shelf_folder: Path, run: Path) -> Iterator[TestClient]:
    """A client of all of them."""
    with client_of(*(shelf_folder / name for name in BLUEPRINTS), run) as client:
        yield client
