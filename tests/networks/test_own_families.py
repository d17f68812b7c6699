"""Networks that a person brings along."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import sparring
from sparring import config, data, networks
from sparring.errors import RunError, SettingError
from sparring.networks import FAMILIES, Family, fast
from sparring.ranks import Ranks
from sparring.tasks.generate import Generate
from sparring.training.match import Match


@pytest.fixture
def mine() -> Iterator[Family]:
    family = Family(fast.Generator, fast.Discriminator, "mine")
    networks.register("mine", family)
    yield family
    forget()


def forget() -> None:
    FAMILIES.pop("mine", None)
    config.OWN_NETWORKS.discard("mine")


def test_a_registered_family_trains_is_kept_and_is_not_loaded_by_who_does_not_know_it(
    mine: Family, tmp_path: Path
) -> None:
    run = sparring.train(
        "digits", out=tmp_path / "run", network="mine", width=16, images=256, device="cpu", threads=1, batch=32
    )
    assert run.settings().network == "mine"
    picture = sparring.load(run.folder).sample(1, seed=1)
    networks.register("mine", mine)
    again = sparring.load(run.folder).sample(1, seed=1)
    assert isinstance(picture, torch.Tensor) and isinstance(again, torch.Tensor) and torch.equal(picture, again)
    with pytest.raises(SettingError, match="export it as ONNX"):
        sparring.load(run.folder).push(to_folder=tmp_path / "shared")
    forget()
    with pytest.raises(RunError, match=r"family 'mine'.*networks\.register"):
        sparring.load(run.folder)
    command = [
        sys.executable,
        "-m",
        "sparring",
        "sample",
        str(run.folder),
        "--n",
        "1",
        "--out",
        str(tmp_path / "a.png"),
    ]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 2 and "networks.register" in told.stderr and "Traceback" not in told.stderr


class Normalised(fast.Discriminator):
    """Judges pictures by what else is in their batch."""

    def __init__(self, shape: Any, **sizes: Any) -> None:
        super().__init__(shape, **sizes)
        self.normalise = nn.BatchNorm2d(shape[0])

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(self.normalise(x), y)


def test_a_batch_whose_statistics_are_used_is_not_taken_apart(mine: Family, tmp_path: Path) -> None:
    networks.register("mine", Family(fast.Generator, Normalised, "mine"))
    given: dict[str, Any] = {"network": "mine", "width": 16, "images": 64, "device": "cpu", "threads": 1, "batch": 32}
    run = sparring.train("digits", out=tmp_path / "whole", **given)
    assert run.summary()["state"] == "finished"
    for parts in ({"micro_batch": 8}, {"penalty_stride": 2}):
        with pytest.raises(SettingError, match="BatchNorm2d normalises by statistics of the batch, of which"):
            sparring.train("digits", out=tmp_path / "parts", **given | parts)
    task = Generate(run.settings(), pictures := data.load("digits", resolution=(8, 8)))
    match = Match(run.settings(), pictures, task)
    with pytest.raises(SettingError, match="32 samples at a time do not fit the memory, and the statistics of BatchN"):
        match.micro_batch.shrink(32)
    with pytest.raises(SettingError, match="train with one process"):
        Match(run.settings(), pictures, task, Ranks(0, 2))
    before = [buffer.clone() for buffer in match.discriminator.module.buffers()]
    match.probe()
    assert all(map(torch.equal, match.discriminator.module.buffers(), before))
    match.play()
    assert not all(map(torch.equal, match.discriminator.module.buffers(), before))


@pytest.mark.parametrize("name", ["r3", "unet", "two words", ""])
def test_names_of_other_families_and_no_names_are_refused(name: str) -> None:
    with pytest.raises(SettingError, match="name of its own"):
        networks.register(name, FAMILIES["fast"])
    assert name not in config.OWN_NETWORKS


def test_a_family_that_nobody_registered_is_no_setting() -> None:
    with pytest.raises(SettingError, match=r"one of r3, .*did you mean fast"):
        config.check("network", "fats")
