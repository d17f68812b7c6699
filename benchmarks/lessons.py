"""What do texts or molecules teach a generator in a given time, before any game?

Plays each arm, some settings with all others chosen as ever, for equal seconds of processor time, without a game, and
reads held-out sequences: perplexity is what symbols the averaged generator wavers between, on average.

    python benchmarks/lessons.py poems.txt --threads 1 --seconds 150 --arm seed=0 \\
        --arm supervised_optimiser=adam,supervised_learning_rate=2e-3
"""

import argparse
from typing import Any

import torch

from families import Clock, parse_arm
from sparring import api
from sparring.chooser import choose
from sparring.networks import parameters
from sparring.ranks import ALONE
from sparring.tasks.sequences import Sequential
from sparring.training.allocation import keep_freed_memory
from sparring.training.monitor import QuietMonitor


def main() -> None:
    """Reads the arguments, plays the arms in turn, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="texts or molecules, as for `sparring train`")
    parser.add_argument("--task", choices=("text", "molecules"), default="text")
    parser.add_argument("--arm", dest="arms", action="append", required=True, help="KEY=VALUE,KEY=VALUE")
    parser.add_argument("--seconds", type=float, default=150, help="of training for each arm")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="one where others use the machine")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    common: dict[str, Any] = {"task": arguments.task, "device": "cpu", "threads": arguments.threads}
    common |= {"adversarial": False, "minutes": arguments.seconds / 60}
    survey = api.looked_at(arguments.data, {"task": arguments.task}, QuietMonitor())
    print(f"{'arm':60} parameters sequences  a second  perplexity (95 % interval)")
    for arm in arguments.arms:
        settings, _ = choose(arguments.data, common | parse_arm(arm), survey, 1.0)
        match, task, _ = api.prepared(settings, ALONE, QuietMonitor())
        assert isinstance(task, Sequential), "--task allows no other"
        clock = Clock(arguments.threads)
        while match.progress < 1:
            match.play()
            match.state.seconds = clock()
        found, seen = task.perplexity(match.average).estimate, match.state.images
        print(
            f"{arm:60} {parameters(match.average):10} {seen:9} {seen / arguments.seconds:9.0f} "
            f"{found.value:11.3f} ({found.low:.3f} to {found.high:.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
