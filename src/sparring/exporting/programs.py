"""Programs of PyTorch (`torch.export`, .pt2): networks that run without the code that they were written in."""

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim, export, save
from torch.fx import GraphModule
from torch.fx.experimental import _config as shapes

from sparring.errors import RunError
from sparring.exporting.players import Player

FACTS = "sparring.json"
"""Under which name a program holds what it is."""

MINUTES = 10

RUN = """
import sys, numpy, torch
program = torch.export.load(sys.argv[1]).module()
for number in range(int(sys.argv[3])):
    given = numpy.load(f"{sys.argv[2]}/{number}.npz")
    with torch.no_grad():
        made = program(*(torch.from_numpy(given[name]) for name in given.files))
    numpy.save(f"{sys.argv[2]}/{number}.npy", made.numpy())
assert "sparring" not in sys.modules
"""
"""What a process does that knows nothing of this program."""


def write_program(player: Player, facts: Mapping[str, str], path: Path) -> None:
    """Writes the player as a program that takes its inputs by position."""
    example = player.trials()[0]
    named = tuple(
        {at: Dim.DYNAMIC for at, axis in enumerate(entry.axes) if isinstance(axis, str)} for entry in player.inputs
    )
    # Tables that networks make once and keep must not be made while shapes have no numbers.
    player(example)
    # Else the order of axes in memory, which is asked for at every convolution, would be that of the example's size.
    with shapes.patch(backed_size_oblivious=True), torch.no_grad():  # type: ignore[attr-defined]
        program = export(
            player.module,
            tuple(example.values()),
            dynamic_shapes=named,
            prefer_deferred_runtime_asserts_over_guards=True,  # else it would refuse batches of one
        )
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, GraphModule) else ():
            node.meta.pop("stack_trace", None)  # it names the folders of this machine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a table is part of a larger one; what is loaded again is compared
        save(program, path, extra_files={FACTS: json.dumps(facts, ensure_ascii=False)})


def run_elsewhere(path: Path, trials: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
    """What a program gives in a fresh process that has nothing but PyTorch and NumPy.

    Raises: RunError with what it says, if it fails there.
    """
    with tempfile.TemporaryDirectory() as place:
        for number, given in enumerate(trials):
            np.savez(
                Path(place) / f"{number}.npz", allow_pickle=False, **{name: x.numpy() for name, x in given.items()}
            )
        command = [sys.executable, "-I", "-c", RUN, str(path.absolute()), place, str(len(trials))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise RunError(f"the program does not run in a process of its own: {lines[-1] if lines else 'no word'}")
        return [torch.from_numpy(np.load(Path(place) / f"{number}.npy")) for number in range(len(trials))]
