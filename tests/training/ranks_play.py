"""Plays some steps of several games as one of the ranks that torchrun started; each writes what it came to."""

import sys
from pathlib import Path

from safetensors.torch import save_file
from tests.training.test_ranks import GAMES, outcome

from sparring.ranks import joined

if __name__ == "__main__":
    with joined() as ranks:
        for name, settings in GAMES.items():
            save_file(outcome(settings, ranks), Path(sys.argv[1]) / f"{name}-{ranks.rank}.safetensors")
