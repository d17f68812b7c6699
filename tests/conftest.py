import os

import pytest
import torch


def pytest_configure() -> None:
    # Two threads that wait for each other on a busy machine are slower than one, and these networks are tiny.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the cache of the person who runs it."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path_factory.mktemp("cache")))
