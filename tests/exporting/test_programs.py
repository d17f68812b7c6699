"""Programs of torch.export against what the generators themselves give, here and in a process of their own."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.exporting.models import CHANGING, CLIPS, FROM_NOISE, TEXT, model_of

from sparring.errors import RunError
from sparring.exporting import export
from sparring.exporting.facts import facts
from sparring.exporting.players import player_of
from sparring.exporting.programs import FACTS, run_elsewhere, write_program
from sparring.model import Model

EACH = FROM_NOISE | CHANGING | CLIPS | {"text": TEXT}
SIZES = {
    "z": [{"n": 1}, {"n": 5}],
    "content": [{"n": 1, "anchors": 12, "frames": 1}, {"n": 2, "anchors": 14, "frames": 5}],
    "tokens": [{"n": 1, "length": 1}, {"n": 4, "length": 20}],
}
PICTURES = [{"n": 1, "height": 33, "width": 90}, {"n": 3, "height": 64, "width": 40}]


@pytest.mark.parametrize(
    "name",
    ["r3 with classes", "skip", "translate with styles", "text", "video with classes", "video with a course"],
)
def test_a_program_gives_what_the_generator_gives_at_any_size(tmp_path: Path, name: str) -> None:
    model = model_of(EACH[name])
    player = player_of(model.generator, model.blueprint)
    write_program(player, facts(model), tmp_path / "g.pt2")
    program = torch.export.load(tmp_path / "g.pt2").module()
    for sizes in SIZES.get(player.inputs[0].name, PICTURES):
        given = player.given(sizes, seed=9)
        with torch.no_grad():
            made = program(*given.values())
        wanted = player(given)
        assert made.dtype == wanted.dtype
        torch.testing.assert_close(
            made.double().exp(), wanted.double().exp(), atol=1e-5, rtol=0
        ) if name == "text" else (torch.testing.assert_close(made.int(), wanted.int(), atol=1, rtol=0))


def test_an_exported_program_ran_without_this_program_and_says_what_it_is(tmp_path: Path) -> None:
    model = model_of(FROM_NOISE["fast with classes"])
    made = export(model, tmp_path / "g.pt2", "torch")
    assert made.difference <= 1
    told = {FACTS: ""}
    torch.export.load(tmp_path / "g.pt2", extra_files=told)
    assert json.loads(told[FACTS])["classes"] == "3"
    folder = str(Path(__file__).parent.parent.parent).encode()
    with zipfile.ZipFile(tmp_path / "g.pt2") as file:
        assert not any(folder in file.read(name) for name in file.namelist())


def test_a_program_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "g.pt2").write_bytes(b"no program")
    with pytest.raises(RunError, match="does not run in a process of its own"):
        run_elsewhere(tmp_path / "g.pt2", [{"z": torch.zeros(1, 8)}])


def test_weights_alone_are_read_by_load(tmp_path: Path) -> None:
    model = model_of(CHANGING["translate with styles"])
    made = export(model, tmp_path / "g.safetensors", "safetensors")
    assert made.difference == 0
    picture = torch.randint(256, (3, 20, 24), dtype=torch.uint8)
    again = Model.load(tmp_path / "g.safetensors")
    assert np.array_equal(again.apply(picture, style="munch"), model.apply(picture, style="munch"))
    assert "sparring.load" in (tmp_path / "g.safetensors.md").read_text()
