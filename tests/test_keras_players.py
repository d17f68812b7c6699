"""`examples/keras_players.py`: models of Keras in the game, as a person would run it."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples/keras_players.py"


@pytest.mark.skipif(find_spec("keras") is None, reason="needs keras")
def test_models_of_keras_are_trained_kept_and_judged(tmp_path: Path) -> None:
    environment = os.environ | {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, str(EXAMPLE), str(tmp_path / "run"), "1280"]
    told = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert told.returncode == 0, told.stderr
    loop, ours = told.stdout.splitlines()
    assert loop.startswith("introductory loop:") and ours.startswith("sparring.train:")
    # Weights by their order, not by names that count the models of a process: another process finds its own.
    again = (
        "import sys; sys.argv = ['x']; import runpy, torch, sparring\n"
        f"runpy.run_path({str(EXAMPLE)!r}, run_name='players')\n"
        f"model = sparring.load({str(tmp_path / 'run')!r})\n"
        "first, second = model.sample(2, seed=1), model.sample(2, seed=1)\n"
        "assert torch.equal(first, second); print(first.tolist())\n"
    )
    texts = [
        subprocess.run(
            [sys.executable, "-c", again], capture_output=True, text=True, env=environment, check=True
        ).stdout
        for _ in range(2)
    ]
    assert texts[0] == texts[1]
