import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import sparring
from sparring import config, data
from sparring.adversarial.objectives import OBJECTIVES
from sparring.chooser import choose
from sparring.errors import DataError, MetricError, RunError, SettingError
from sparring.randomness import Random
from sparring.training.files import read_lines
from sparring.training.monitor import QuietMonitor

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from rdkit import Chem
from rdkit.Chem.QED import qed

from sparring.chemistry.scaffolds import keeps
from sparring.data.molecules import read_molecules
from sparring.tasks import growing
from sparring.tasks.molecules import Molecules
from sparring.tasks.sample import Sample, View

SMALL: dict[str, Any] = {
    "width": 64,
    "depth": 1,
    "judge_width": 64,
    "judge_depth": 1,
    "batch": 16,
    "images": 480,
    "evaluate_every": 240,
    "checkpoint_every": 160,
    "guard_every": 160,
    "quality_samples": 64,
    "quality_metric": "fdd",
    "supervised": 0.5,
    "head_start": 0.125,
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
}

OXYGEN = """
def oxygen(mol):
    return sum(atom.GetSymbol() == "O" for atom in mol.GetAtoms()) / mol.GetNumAtoms()
"""


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 small molecules with rings, of the embedded set."""
    path = tmp_path_factory.mktemp("molecules") / "small.smi"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARRING_CACHE", str(tmp_path_factory.mktemp("cache")))
        known = read_molecules("nci").smiles
    plain = [text for text in known if len(text) <= 22 and "c1" in text and set(text) <= set("CNOcno()=#123")]
    path.write_text("".join(f"{text}\n" for text in plain[:300]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(molecules: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return sparring.train(molecules, out=tmp_path_factory.mktemp("runs") / "run", **SMALL)


@pytest.fixture
def oxygen(tmp_path: Path) -> str:
    """A reward of the user's own."""
    (tmp_path / "mine.py").write_text(OXYGEN, encoding="utf-8")
    return f"{tmp_path / 'mine.py'}:oxygen"


def task_of(molecules: Path, **given: Any) -> Molecules:
    settings = choose(str(molecules), {**SMALL, **given}, data.survey_molecules(molecules), 1.0)[0]
    return Molecules(settings, data.load_selfies(molecules, longest=config.given(settings.length)))


class Interrupting(QuietMonitor):
    """Does something once, after so many samples; SIGINT if nothing else is named."""

    def __init__(self, after: int, do: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGINT)) -> None:
        self.after: float = after
        self.do = do
        self.notes: list[str] = []

    def update(self, measurements: Any, fraction: float, seconds_left: float | None) -> None:
        if measurements["images"] >= self.after:
            self.after = float("inf")
            self.do()

    def note(self, message: str, *, urgent: bool = False) -> None:
        self.notes.append(message)


def same_weights(one: Any, other: Any) -> bool:
    here, there = (found.load_checkpoint("cpu")[0] for found in (one, other))
    return all(torch.equal(here[group][name], there[group][name]) for group in here for name in here[group])


def test_a_run_has_its_phases_its_drawings_and_what_judges_them(run: Any) -> None:
    summary = run.summary()
    assert summary["state"] == "finished" and run.settings().task == "molecules"
    assert {"perplexity", "validity", "unique_1k", "novelty", "fdd", "snn"} <= summary["quality"]["metrics"].keys()
    assert summary["quality"]["protocol"]["real"]["split"] == "held out in training"
    assert (run.folder / "before-the-game.safetensors").is_file() and (run.folder / "judge.safetensors").is_file()
    with Image.open(run.samples / "latest.png") as grid, Image.open(run.samples / "nearest.png") as nearest:
        assert min(*grid.size, *nearest.size) > 250
    report = run.report.read_text(encoding="utf-8")
    assert "of the samples are molecules" in report and "training molecules nearest to them" in report


def test_samples_are_canonical_and_the_first_are_the_same_however_many_are_asked_for(run: Any) -> None:
    model = sparring.load(run)
    made = model.sample(70, seed=3)
    assert made[:5] == model.sample(5, seed=3) and made[60:66] == model.sample(6, seed=3, start=60)
    assert made != model.sample(70, seed=4)
    assert [Chem.MolToSmiles(Chem.MolFromSmiles(text)) for text in made] == made
    four = [model.sample(4, seed=3, start=4 * i) for i in range(2)]
    assert all(best in some for best, some in zip(model.sample(2, seed=3, best_of=4), four, strict=True))


def test_a_scaffold_is_held_by_all(run: Any) -> None:
    model = sparring.load(run)
    made = model.sample(70, seed=1, scaffold="c1ccccc1O")
    assert all(keeps(text, "c1ccccc1O") for text in made) and len(set(made)) > 10
    assert made[:5] == model.sample(5, seed=1, scaffold="c1ccccc1O")
    assert made[66:] == model.sample(4, seed=1, scaffold="c1ccccc1O", start=66)
    likelier = model.sample(70, seed=1, scaffold="c1ccccc1O", top_p=0.8)
    assert likelier != made and all(keeps(text, "c1ccccc1O") for text in likelier)


def test_a_scaffold_is_looked_for_as_it_is_written_here(run: Any) -> None:
    made = sparring.load(run).sample(5, seed=1, scaffold="[13cH]1ccccc1O.[Na+]")
    assert all(keeps(text, "c1ccccc1O") for text in made)


@pytest.mark.parametrize(
    ("scaffold", "words"),
    [
        ("c1ccc", "not a molecule"),
        ("C[Si]C", r"does not occur in the training data: .*\[Si"),
        ("C" * 60, "take a part of it"),
    ],
)
def test_scaffolds_that_cannot_be_are_refused(run: Any, scaffold: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        sparring.load(run).sample(2, scaffold=scaffold)


def test_a_scaffold_that_is_not_kept_ends_after_so_many_tries(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparring.chemistry import scaffolds

    monkeypatch.setattr(scaffolds, "contains", lambda mol, scaffold: False)
    monkeypatch.setattr(growing, "LEAST_TRIED", 64)
    with pytest.raises(SettingError, match="0 of 64 molecules that began with it keep it, and 2 are asked for"):
        sparring.load(run).sample(2, scaffold="c1ccccc1")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -1.0}, "from 0 to 5"),
        ({"top_p": 2.0}, "above 0, to 1"),
        ({"truncation": 0.5}, "writes molecules: it takes --temperature"),
        ({"prompt": "CC"}, "takes --scaffold"),
    ],
)
def test_options_of_others_are_refused(run: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        sparring.load(run).sample(2, **options)


def test_a_molecule_that_came_before_is_worth_nothing(molecules: Path) -> None:
    task = task_of(molecules, optimise="qed", quality_metric="reward")
    aspirin, water = "CC(=O)Oc1ccccc1C(=O)O", "O"
    worth = [float(qed(Chem.MolFromSmiles(text))) for text in (aspirin, water)]
    found = task.rewarded([aspirin, water, aspirin, ""])
    assert found.value == pytest.approx(sum(worth) / 4, abs=1e-6) and found.extra["real"] == task.usual


def test_a_molecule_is_rewarded_by_how_far_it_is_above_what_is_usual(molecules: Path, oxygen: str) -> None:
    task = task_of(molecules, optimise=oxygen, reward_weight=2.0, quality_metric="reward")
    shares = [text.upper().count("O") / Chem.MolFromSmiles(text).GetNumAtoms() for text in task.shown.shown_texts()]
    assert task.usual == pytest.approx(sum(shares) / len(shares))
    tokens = task.data.tokens[:6].long()
    beside = {"tokens": tokens, "worth": torch.from_numpy(task.asked(task.read(tokens))).float()}
    sample = Sample((task.one_hot(tokens),), beside=beside)
    undecided = torch.zeros(6, 2 * task.data.longest)
    rewards = task.reward(OBJECTIVES["hinge"], View(sample, sample, undecided, undecided))
    worth = [text.upper().count("O") / Chem.MolFromSmiles(text).GetNumAtoms() for text in task.data.texts[:6]]
    expected = [2 * (value - task.usual) / task.spread for value in worth]
    assert rewards[:, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_losses_do_not_depend_on_which_molecules_go_through_at_once(molecules: Path) -> None:
    task = task_of(molecules, optimise="qed", quality_metric="reward")
    torch.manual_seed(0)
    generator, judge = task.players()
    objective, batch, random = OBJECTIVES["non-saturating"], task.data.draw(0, 0, 8), Random(0, 0, 8)

    def total(start: int, count: int) -> float:
        part, numbers = batch[start : start + count], random.part(start, count)
        real, fake = task.real(part, numbers), task.fake(generator, part, numbers)
        view = View(real, fake, judge(*real.parts), judge(*fake.parts))
        losses = task.losses("generator", view)
        assert losses["reward"][0] == 0
        return float(task.generator_loss(objective, view).detach()) + sum(
            float(weight * loss.detach()) for weight, loss in losses.values()
        )

    assert total(0, 8) == pytest.approx((total(0, 4) + total(4, 4)) / 2, rel=1e-4)


def test_the_game_raises_what_is_asked_for(molecules: Path, oxygen: str, tmp_path: Path) -> None:
    settings = SMALL | {"images": 3200, "batch": 32, "supervised": 0.7, "head_start": 0.02, "symbol_dropout": 0.0}
    settings |= {"evaluate_every": 320, "quality_features": "descriptors", "quality_metric": "reward"}
    settings |= {"optimise": oxygen, "reward_weight": 3.0, "learning_rate": 5e-4, "ema_half_life": 200.0}
    run = sparring.train(molecules, out=tmp_path / "run", **settings)
    task = task_of(molecules, **settings)
    before, after = (
        torch.from_numpy(task.asked(sparring.load(place).sample(256)))
        for place in (run.folder / "before-the-game.safetensors", run)
    )
    error = float((before.var() / 256 + after.var() / 256).sqrt())
    assert float(after.mean() - before.mean()) > 4 * error
    assert run.summary()["quality"]["metric"] == "reward"
    told = [line["reward"] for line in read_lines(run.folder / "metrics.jsonl") if "reward" in line]
    assert told[-1] > told[0]


def test_a_rewarded_run_is_the_same_resumed_if_its_program_is_named_again(
    molecules: Path, oxygen: str, tmp_path: Path
) -> None:
    chosen = SMALL | {"optimise": oxygen, "quality_metric": "reward"}
    whole = sparring.train(molecules, out=tmp_path / "whole", **chosen)
    halves = sparring.train(molecules, out=tmp_path / "halves", monitor=Interrupting(320), **chosen)
    assert halves.summary()["state"] == "interrupted"
    assert (halves.folder / "mine.py").read_text(encoding="utf-8") == OXYGEN
    with pytest.raises(RunError, match=r"not run again unless you name it: .*--optimise .*mine\.py:oxygen"):
        sparring.resume(halves)
    with pytest.raises(SettingError, match="goes on with that"):
        sparring.resume(halves, optimise="qed")
    with pytest.raises(SettingError, match="not run because a file says so"):
        sparring.train(molecules, out=tmp_path / "again", preset=str(halves.config))
    sparring.resume(halves, optimise=oxygen)
    assert same_weights(whole, halves)


def test_a_reward_that_raises_ends_the_run_and_nothing_is_lost(molecules: Path, tmp_path: Path) -> None:
    path, poison = tmp_path / "mine.py", tmp_path / "poison"
    path.write_text(
        f"import pathlib\n{OXYGEN}\ndef fragile(smiles):\n"
        f"    assert not pathlib.Path({str(poison)!r}).exists(), 'too fragile'\n    return 0.5\n",
        encoding="utf-8",
    )
    chosen = SMALL | {"optimise": f"{path}:fragile", "quality_metric": "reward"}
    monitor = Interrupting(320, poison.touch)
    with pytest.raises(SettingError, match=r"fragile: raises AssertionError for the molecule \S+: too fragile"):
        sparring.train(molecules, out=tmp_path / "run", monitor=monitor, **chosen)
    run = sparring.Run(tmp_path / "run")
    assert run.summary()["state"] == "failed" and "too fragile" in run.summary()["message"]
    assert run.load_checkpoint("cpu")[1]["images"] >= 160
    poison.unlink()
    path.write_text(path.read_text(encoding="utf-8").replace("0.5", "0.25"), encoding="utf-8")
    sparring.resume(run, optimise=f"{path}:fragile")
    assert run.summary()["state"] == "finished"
    assert "reward changed" in [event["event"] for event in read_lines(run.folder / "events.jsonl")]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("def f(smiles): return 2", "gives 2 for the molecule .*from 0 to 1"),
        ("def g(smiles): return 1", "it has no function f"),
        ("import nothing_of_that_name", "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_reward_that_is_wrong_is_refused_before_anything_is_written(
    molecules: Path, tmp_path: Path, program: str, words: str
) -> None:
    (tmp_path / "mine.py").write_text(program, encoding="utf-8")
    with pytest.raises(SettingError, match=words):
        sparring.train(molecules, out=tmp_path / "run", **SMALL | {"optimise": f"{tmp_path / 'mine.py'}:f"})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"optimise": "beauty"}, "'beauty' is no reward; there are qed, logp, sa"),
        ({"optimise": "qed", "gradient": "straight-through"}, "optimise=qed needs gradient=policy"),
        ({"optimise": "qed", "adversarial": False}, "rewards are given in the game"),
        ({"reward_weight": 1.0}, "needs something to reward"),
        ({"quality_metric": "reward"}, "needs something to reward"),
        ({"quality_metric": "fid"}, "is judged by fcd, fdd"),
        ({"quality_features": "lite0"}, "takes chemnet or descriptors"),
        ({"tokens": "bpe"}, "is for --task text"),
        ({"task": "generate"}, "is not for molecules"),
        ({"optimise": "qed", "task": "text"}, "optimise=qed is for --task molecules"),
    ],
)
def test_settings_that_do_not_go_with_molecules_are_refused(
    molecules: Path, tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    if given.get("task") == "text":
        molecules = molecules.rename(molecules.with_suffix(".txt"))
    try:
        with pytest.raises(SettingError, match=words):
            chosen = {
                name: value for name, value in SMALL.items() if name not in ("quality_metric", "quality_features")
            }
            sparring.train(molecules, out=tmp_path / "run", **chosen | given)
    finally:
        molecules.rename(molecules.with_suffix(".smi"))


def test_what_cannot_be_read_is_counted_and_named(molecules: Path, tmp_path: Path) -> None:
    lines = molecules.read_text(encoding="utf-8").splitlines()
    bad = tmp_path / "bad.smi"
    bad.write_text("\n".join([*lines[:100], "C1CC(", "[Xx]CC", *lines[100:200]]), encoding="utf-8")
    monitor = Interrupting(10**9)
    run = sparring.train(bad, out=tmp_path / "run", monitor=monitor, **SMALL | {"images": 32, "adversarial": False})
    assert any("2 molecules skipped: line 101 (C1CC(): not a molecule" in note for note in monitor.notes)
    assert [each["path"] for each in run.data()["skipped"]] == ["line 101: C1CC(", "line 102: [Xx]CC"]
    (tmp_path / "empty.smi").touch()
    with pytest.raises(DataError, match="it is empty; expected one molecule a line"):
        sparring.train(tmp_path / "empty.smi", out=tmp_path / "none")
    with pytest.raises(DataError, match="is a folder; molecules are one file"):
        sparring.train(tmp_path, out=tmp_path.parent / "none", task="molecules")


def test_both_sides_are_molecules_or_none_is(run: Any, molecules: Path, tmp_path: Path) -> None:
    found = sparring.evaluate(run, run, "validity,novelty", n=32)
    assert found.protocol["real"]["kind"] == "training data of a run"
    as_text = tmp_path / "list.txt"
    as_text.write_text(molecules.read_text(encoding="utf-8"), encoding="utf-8")
    assert sparring.evaluate(as_text, run, "validity", n=32).value("validity") > 0
    with pytest.raises(MetricError, match="is molecules and digits is not: both sides must be of one kind"):
        sparring.evaluate("digits", run)
    with pytest.raises(MetricError, match="nearest has no meaning for molecules"):
        sparring.evaluate(run, run, nearest=tmp_path / "nearest.png")


def test_the_command_line_writes_molecules(run: Any, molecules: Path, tmp_path: Path) -> None:
    def sparring_(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sparring", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    new = tmp_path / "new.smi"
    done = sparring_("sample", run, "--n", 5, "--seed", 1, "--out", new, "--json", "-")
    made = sparring.load(run).sample(5, seed=1)
    assert done.returncode == 0 and json.loads(done.stdout)["valid"] == sum(map(bool, made)) > 0
    assert new.read_text(encoding="utf-8").splitlines() == made
    page = sparring_("sample", run, "--n", 3, "--scaffold", "c1ccccc1", "--out", tmp_path / "new.html")
    assert page.returncode == 0 and "training" in (tmp_path / "new.html").read_text(encoding="utf-8")
    for name in ("new.txt", "folder"):
        wrong = sparring_("sample", run, "--n", 3, "--out", tmp_path / name)
        assert wrong.returncode == 2 and "molecules are written as .smi, .csv, .sdf, .png, .html" in wrong.stderr
    check = sparring_("data", "check", molecules, "--json", "-")
    assert json.loads(check.stdout)["used"] == len(set(itertools.chain(read_molecules(molecules).smiles)))
    judged = sparring_("evaluate", molecules, new, "--metrics", "validity", "--json", "-")
    assert json.loads(judged.stdout)["metrics"]["validity"]["value"] == sum(map(bool, made)) / 5


def test_a_table_does_without_the_nearest_where_the_data_are_gone(
    run: Any, molecules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sparring.cli import write_molecules_of

    away = molecules.rename(molecules.with_suffix(".gone"))
    try:
        write_molecules_of(run.folder, ["CCO"], tmp_path / "new.csv")
    finally:
        away.rename(molecules)
    assert "nearest" not in (tmp_path / "new.csv").read_text(encoding="utf-8")
    assert "the nearest training molecules are not named" in capsys.readouterr().err


def test_weights_are_taken_over_by_a_run_on_the_same_molecules_alone(run: Any, molecules: Path, tmp_path: Path) -> None:
    chosen = SMALL | {"images": 64, "adversarial": False, "quality_metric": "perplexity"}
    taken = sparring.train(molecules, out=tmp_path / "run", start_from=run.folder, **chosen)
    assert taken.summary()["state"] == "finished"
    other = tmp_path / "other.smi"
    other.write_text("".join(f"{'C' * n}\n" for n in range(2, 60)), encoding="utf-8")
    with pytest.raises(SettingError, match="the molecules are made of other symbols"):
        sparring.train(other, out=tmp_path / "none", start_from=run.folder, **chosen)
    assert replace(sparring.load(run).blueprint, width=1).task == "molecules"


def test_of_a_few_molecules_as_many_are_held_out_as_can_be_judged_by(tmp_path: Path) -> None:
    written = [f"{'C' * before}{middle}{'C' * after}" for before in (1, 2, 3) for after in range(5) for middle in "ON"]
    (tmp_path / "few.smi").write_text("\n".join(written), encoding="utf-8")
    survey = data.survey_molecules(tmp_path / "few.smi")
    assert 20 <= survey.molecules < 40
    assert choose(survey.name, {"device": "cpu"}, survey, 1.0)[0].held_out == 2
