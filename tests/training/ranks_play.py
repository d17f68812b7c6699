"""Plays some steps of several games as one of the ranks that torchrun started; each writes what it came to, and which
threads there are when the ranks have parted."""

import sys
from pathlib import Path

from safetensors.torch import save_file
from tests.training.test_ranks import GAMES, outcome

from sparring.ranks import joined

if __name__ == "__main__":
    with joined() as ranks:
        for name, settings in GAMES.items():
            save_file(outcome(settings, ranks), Path(sys.argv[1]) / f"{name}-{ranks.rank}.safetensors")
    left = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    (Path(sys.argv[1]) / f"threads-{ranks.rank}.txt").write_text("".join(left))
