import pytest
import torch

from sparring.model import Model
from sparring.tasks.generate import Blueprint

CLASSES = ("cat", "dog", "2")


def untrained(network: str = "fast", shape: tuple[int, int, int] = (1, 8, 8), classes: tuple[str, ...] = ()) -> Model:
    """A generator with drawn weights, which makes as good latents as any other."""
    torch.manual_seed(0)
    width = {"r3": 8, "dcgan": 4, "skip": 8}.get(network, 32)
    shares = tuple(1 / len(classes) for _ in classes)
    blueprint = Blueprint(network, shape, z_dim=8, width=width, depth=1, classes=classes, class_shares=shares)
    return Model(blueprint.generator(), blueprint)


@pytest.fixture(scope="session")
def model() -> Model:
    return untrained()


@pytest.fixture(scope="session")
def conditional() -> Model:
    return untrained(classes=CLASSES)


@pytest.fixture(scope="session", params=["fast", "skip", "r3", "dcgan"])
def family(request: pytest.FixtureRequest) -> Model:
    return untrained(request.param, shape=(3, 16, 12))
