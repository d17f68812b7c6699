import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import sparring
from sparring import config, data
from sparring.adversarial.objectives import OBJECTIVES
from sparring.chooser import choose
from sparring.errors import RunError, SettingError
from sparring.networks.graphs import Discriminator, Generator, ends_of, symmetric
from sparring.randomness import Random
from sparring.tasks.building import built, raw, straight_through
from sparring.tasks.sample import View
from sparring.training.files import read_lines
from sparring.training.monitor import QuietMonitor

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from rdkit import Chem

from sparring.tasks.molecule_graphs import MoleculeGraphs

SMALL: dict[str, Any] = {
    "representation": "graph",
    "width": 16,
    "depth": 1,
    "batch": 16,
    "images": 480,
    "evaluate_every": 240,
    "checkpoint_every": 160,
    "guard_every": 160,
    "quality_samples": 64,
    "quality_metric": "fdd",
    "supervised": 0.5,
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
}


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred small molecules: chains and rings with one or two groups."""
    groups = ["O", "N", "C#N", "C=O", "F", "C(=O)N", "[N+](C)(C)C"]
    bodies = [*("C" * n for n in range(1, 6)), "C1CC1", "C1CCC1", "c1ccccc1", "c1cc[nH]c1"]
    made = [f"{'C' * n}{body}{group}" for n in range(3) for body in bodies for group in groups]
    path = tmp_path_factory.mktemp("molecules") / "small.smi"
    path.write_text("".join(f"{text}\n" for text in made), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(molecules: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return sparring.train(molecules, out=tmp_path_factory.mktemp("runs") / "run", **SMALL)


def task_of(molecules: Path, **given: Any) -> MoleculeGraphs:
    settings = choose(str(molecules), {**SMALL, **given}, data.survey_molecules(molecules), 1.0)[0]
    return MoleculeGraphs(settings, data.load_graph_set(molecules, most_atoms=config.given(settings.atoms)))


def random_graph(count: int = 3, atoms: int = 5, kinds: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    nodes = torch.randn(count, atoms, kinds).softmax(-1)
    return nodes, symmetric(torch.randn(count, atoms * (atoms - 1) // 2, 4).softmax(-1), atoms)


def test_what_the_discriminator_says_does_not_depend_on_the_order_of_the_nodes() -> None:
    torch.manual_seed(0)
    judge = Discriminator(4, 4, [0, 4, 3, 1], width=16, depth=2)
    nodes, bonds = random_graph()
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(judge(nodes[:, order], bonds[:, order][:, :, order]), judge(nodes, bonds))


def test_the_discriminator_tells_a_ring_of_six_from_two_of_three() -> None:
    torch.manual_seed(0)
    judge = Discriminator(2, 4, [0, 4], width=16, depth=2)
    nodes = F.one_hot(torch.ones(1, 6, dtype=torch.int64), 2).float()
    rings = torch.zeros(2, 6, 6, dtype=torch.int64)
    six, threes = [(n, (n + 1) % 6) for n in range(6)], [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]
    for number, pairs in enumerate((six, threes)):
        for one, other in pairs:
            rings[number, one, other] = rings[number, other, one] = 1
    one, other = judge(nodes.expand(2, 6, 2), F.one_hot(rings, 4).float()).tolist()
    assert abs(one - other) > 1e-4


def test_what_surrounds_a_node_by_hand() -> None:
    judge = Discriminator(3, 4, [0, 4, 2], width=16, depth=1)
    nodes = F.one_hot(torch.tensor([[1, 1, 2]]), 3).float()
    bonds = torch.zeros(1, 3, 3, dtype=torch.int64)
    for one, other, order in ((0, 1, 1), (1, 2, 2)):
        bonds[0, one, other] = bonds[0, other, one] = order
    left, closed, *_ = judge.surroundings(nodes, F.one_hot(bonds, 4).float())
    assert left.flatten().tolist() == [3, 1, 0]
    assert (4 * closed).flatten().tolist() == [1, 2, 1]  # ways there and back, each step counted half


def test_graphs_are_symmetric_and_no_bond_leads_to_nothing_or_to_itself() -> None:
    torch.manual_seed(0)
    nodes, bonds = straight_through(torch.randn(50, 6, 3), torch.randn(50, 15, 4))
    torch.testing.assert_close(bonds, bonds.transpose(1, 2))
    assert torch.equal(bonds.sum(-1), torch.ones(50, 6, 6)) and bonds.diagonal(dim1=1, dim2=2)[:, 1:].sum() == 0
    assert bonds[..., 1:].sum(-1)[nodes[..., 0] == 1].sum() == 0
    first, second = ends_of(3)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2)]


def test_what_is_built_keeps_within_the_room_and_hangs_together() -> None:
    torch.manual_seed(0)
    room = (0.0, 4.0, 3.0, 2.0)
    logits = torch.randn(200, 7, 4), 2 * torch.randn(200, 21, 4)
    nodes, bonds = built(*logits, room)
    assert bool((bonds.sum(2) <= torch.tensor(room).long()[nodes]).all()) and torch.equal(bonds, bonds.transpose(1, 2))
    reached = torch.matrix_power((bonds > 0).float() + torch.eye(7), 7) > 0
    there = nodes > 0
    assert bool((reached | ~(there[:, :, None] & there[:, None])).all())
    plain, _ = raw(*logits)
    assert torch.equal(nodes, plain)


def test_a_molecule_that_the_logits_are_sure_of_is_built_as_it_is(molecules: Path) -> None:
    task = task_of(molecules)
    batch = task.data.batch(torch.arange(len(task.data)))
    nodes, bonds = task.real(batch, Random(0, 0, len(batch))).parts
    first, second = ends_of(task.blueprint.atoms)
    for make in (raw, lambda *logits: built(*logits, task.blueprint.room)):
        drawn = make(8 * nodes, 8 * bonds[:, first, second])
        assert task.blueprint.smiles(*drawn) == list(task.data.texts)


def test_carbon_has_room_for_four_and_charged_nitrogen_too(molecules: Path) -> None:
    room = dict(zip(("", *task_of(molecules).blueprint.kinds), task_of(molecules).blueprint.room, strict=True))
    assert room == {"": 0, "C": 4, "N": 3, "O": 2, "F": 1, "N+": 4}


def losses_of(task: MoleculeGraphs, generator: Any, judge: Any, batch: Any, random: Random) -> torch.Tensor:
    real, fake = task.real(batch, random), task.fake(generator, batch, random)
    view = View(real, fake, judge(*real.parts), judge(*fake.parts))
    losses = [task.generator_loss(OBJECTIVES["relativistic"], view)]
    losses += [weight * loss for weight, loss in task.losses("generator", view).values()]
    return torch.stack(losses).sum()


def test_the_gradient_of_the_game_reaches_the_generator(molecules: Path) -> None:
    task = task_of(molecules, optimise="qed", quality_metric="reward")
    torch.manual_seed(0)
    generator, judge = task.players()
    batch, random = task.data.draw(0, 0, 8), Random(0, 0, 8)
    fake = task.fake(generator, batch, random)
    for through in (judge(*fake.parts).sum(), fake.beside["foreseen"].sum()):
        generator.zero_grad()
        through.backward(retain_graph=True)
        assert isinstance(generator, Generator) and generator.worth is not None
        for part in (generator.node, generator.pair[0], generator.begin[0]):
            assert float(part.weight.grad.abs().max()) > 0
        assert all(weight.grad is None for weight in generator.worth.parameters())
        assert all(weight.grad.count_nonzero() == 0 for weight in generator.encoder.parameters())


def test_losses_do_not_depend_on_which_molecules_go_through_at_once(molecules: Path) -> None:
    task = task_of(molecules, optimise="qed", quality_metric="reward")
    torch.manual_seed(0)
    generator, judge = task.players()
    batch, random = task.data.draw(0, 0, 8), Random(0, 0, 8)
    whole = losses_of(task, generator, judge, batch, random)
    halves = [losses_of(task, generator, judge, batch[n : n + 4], random.part(n, 4)) for n in (0, 4)]
    torch.testing.assert_close(whole, torch.stack(halves).mean(), rtol=1e-4, atol=1e-4)


def test_a_run_has_its_numbers_its_drawings_and_samples(run: Any) -> None:
    summary = run.summary()
    assert summary["state"] == "finished" and run.settings().network == "graph"
    assert {"raw_validity", "validity", "unique_1k", "novelty", "fdd"} <= summary["quality"]["metrics"].keys()
    assert (run.samples / "nearest.png").is_file()
    assert "drawn as a graph" in run.report.read_text(encoding="utf-8")
    lines = read_lines(run.folder / "metrics.jsonl")
    evidence = [line["evidence"] for line in lines if "evidence" in line]
    assert evidence[-1] < evidence[0]
    model = sparring.load(run)
    made = model.sample(70, seed=3)
    assert made[:5] == model.sample(5, seed=3) and made[60:66] == model.sample(6, seed=3, start=60)
    assert [Chem.MolToSmiles(Chem.MolFromSmiles(text)) for text in made if text] == [text for text in made if text]
    assert len(set(model.sample(64, temperature=0.0))) == 1
    four = [model.sample(4, seed=3, start=4 * n) for n in range(2)]
    assert all(best in some for best, some in zip(model.sample(2, seed=3, best_of=4), four, strict=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scaffold": "c1ccccc1"}, "draws whole graphs"),
        ({"prompt": "CC"}, "--prompt is for texts"),
        ({"temperature": 6.0}, "from 0 to 5"),
        ({"top_p": 0.9}, "draws whole graphs: it takes --temperature"),
    ],
)
def test_options_of_others_are_refused(run: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        sparring.load(run).sample(2, **options)


def test_it_says_what_cannot_be_done_with_it(run: Any, tmp_path: Path) -> None:
    model = sparring.load(run)
    with pytest.raises(SettingError, match="is not exported"):
        model.export(tmp_path / "model.safetensors", "safetensors")
    with pytest.raises(RunError, match="no pictures of noise"):
        model.latents(2)


class Interrupting(QuietMonitor):
    """SIGINT after so many samples."""

    def __init__(self, after: int) -> None:
        self.after: float = after

    def update(self, measurements: Any, fraction: float, seconds_left: float | None) -> None:
        if measurements["images"] >= self.after:
            self.after = float("inf")
            os.kill(os.getpid(), signal.SIGINT)


def test_a_rewarded_run_is_the_same_resumed(molecules: Path, tmp_path: Path) -> None:
    chosen = SMALL | {"optimise": "qed", "quality_metric": "reward"}
    whole = sparring.train(molecules, out=tmp_path / "whole", **chosen)
    halves = sparring.train(molecules, out=tmp_path / "halves", monitor=Interrupting(320), **chosen)
    assert halves.summary()["state"] == "interrupted"
    sparring.resume(halves)
    here, there = (found.load_checkpoint("cpu")[0] for found in (whole, halves))
    assert all(torch.equal(here[group][name], there[group][name]) for group in here for name in here[group])
    assert "reward" in whole.summary()["quality"]["metrics"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"atoms": 3}, "representation=graph is for small molecules, and half"),
        ({"gradient": "policy"}, "representation=graph takes gradient=none"),
        ({"network": "transformer"}, "takes network=graph"),
        ({"width": 18}, "takes multiples of 4"),
        ({"quality_metric": "perplexity"}, "is judged by fcd or fdd"),
        ({"optimise": "qed", "quality_metric": "reward", "adversarial": False}, "rewards are given in the game"),
        ({"representation": "selfies", "atoms": 9, "depth": 1}, "takes atoms=none"),
        ({"representation": "smiles"}, "it should be 'selfies', 'graph'"),
    ],
)
def test_settings_that_do_not_go_with_graphs_are_refused(
    molecules: Path, tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingError, match=words):
        sparring.train(molecules, out=tmp_path / "run", **SMALL | given)
    assert not (tmp_path / "run").exists()


def test_weights_of_the_same_kinds_of_atoms_are_taken_over(run: Any, molecules: Path, tmp_path: Path) -> None:
    short = SMALL | {"images": 64, "supervised": 0.0}
    assert sparring.train(molecules, out=tmp_path / "run", start_from=run, **short).summary()["state"] == "finished"


def test_weights_of_other_kinds_of_atoms_are_refused(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.smi"
    made = [f"{'C' * n}{group}" for n in range(3, 9) for group in ("O", "S", "Cl", "N", "[N+](C)(C)C")]
    path.write_text("\n".join(made), encoding="utf-8")
    with pytest.raises(SettingError, match="made of other symbols"):
        sparring.train(path, out=tmp_path / "run", start_from=run, **SMALL | {"atoms": run.settings().atoms})


def test_the_command_line_trains_and_samples(molecules: Path, tmp_path: Path) -> None:
    short = SMALL | {"images": 64, "quality_samples": 64, "adversarial": "false"}
    del short["supervised"]
    sets = [part for name, value in short.items() for part in ("--set", f"{name}={value}")]
    for command in (
        ["train", str(molecules), "--task", "molecules", "--out", "run", *sets],
        ["sample", "run", "--n", "20", "--out", "new.smi"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "sparring", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert len((tmp_path / "new.smi").read_text(encoding="utf-8").splitlines()) == 20
