from pathlib import Path

import pytest

from sparring.errors import DataError, MetricError
from sparring.evaluation import molecule_sides
from sparring.evaluation.catalogue import METRICS
from sparring.evaluation.judgement import comparable
from sparring.evaluation.molecules import METHODS, evaluate_molecules, is_molecules, measure_molecules

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from sparring.chemistry import chemnet
from sparring.data.molecules import read_molecules

QUICK = ["validity", "unique_1k", "novelty", "intdiv", "snn", "frag", "scaf", "qed", "fdd"]


@pytest.fixture(scope="module")
def nci(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARRING_CACHE", str(tmp_path_factory.mktemp("cache")))
        smiles = read_molecules("nci").smiles
    return [text for text in smiles if 10 <= len(text) <= 40][:600]


def test_every_metric_of_molecules_is_explained_and_the_other_way_round() -> None:
    assert list(METHODS) == [name for name, metric in METRICS.items() if metric.needs == "molecules"]


def test_real_molecules_beat_copies_in_novelty_and_noise_in_everything_else(nci: list[str]) -> None:
    training, held_out, fresh = nci[:200], nci[200:400], nci[400:]
    real = measure_molecules(training, held_out, fresh, QUICK)
    copies = measure_molecules(training, held_out, training, QUICK)
    carbons = ["C" * n for n in range(1, 60)] + ["", "C("]
    chains = measure_molecules(training, held_out, carbons, [name for name in QUICK if name != "scaf"])
    with pytest.raises(MetricError, match="scaf: one side has no such part"):
        measure_molecules(training, held_out, carbons, "scaf")
    assert real.value("validity") == real.value("unique_1k") == real.value("novelty") == 1
    assert copies.value("novelty") == 0
    assert chains.value("validity") == pytest.approx(59 / 61)
    for name in ("intdiv", "frag"):
        assert real.value(name) > chains.value(name)
    for name in ("qed", "fdd"):
        assert real.value(name) < chains.value(name)
    result = real.metrics["qed"]
    assert result.extra["mean"] == pytest.approx(result.extra["real"], abs=0.1)
    assert result.estimate.low is not None
    assert result.estimate.low <= result.value


def test_a_set_is_not_apart_from_itself(nci: list[str]) -> None:
    same = measure_molecules(nci, nci, nci, QUICK)
    assert same.value("snn") == 1
    assert same.value("frag") == pytest.approx(1)
    assert same.value("fdd") == pytest.approx(0, abs=1e-9)
    assert same.value("qed") == 0
    assert same.value("intdiv") == pytest.approx(same.metrics["intdiv"].extra["real"])


def test_spellings_are_one_molecule() -> None:
    found = measure_molecules(["CCO"], ["CCO", "CCN"], ["OCC", "C(O)C", "[13CH3]CN", "NCC"], ["unique_1k", "novelty"])
    assert found.value("unique_1k") == 0.5
    assert found.value("novelty") == 0.5


def test_chemnet_sees_what_its_package_sees(nci: list[str]) -> None:
    fcd_torch = pytest.importorskip("fcd_torch")
    theirs = fcd_torch.FCD(device="cpu", n_jobs=1)
    few = nci[:24]
    assert chemnet.features(few).numpy() == pytest.approx(theirs.get_predictions(few), abs=1e-5)
    found = measure_molecules(few, nci[24:48], few, ["fcd"])
    assert found.value("fcd") == pytest.approx(theirs(ref=nci[24:48], gen=few), rel=0.05)
    assert any("that of 24 compares with as many only" in notice for notice in found.notices)


def test_without_chemnet_descriptors_stand_in_by_their_own_name(
    nci: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chemnet, "available", lambda: False)
    found = measure_molecules(nci[:100], nci[100:200], nci[200:300])
    assert "fdd" in found.metrics
    assert "fcd" not in found.metrics
    assert "unique_10k" not in found.metrics
    assert any("fcd left out: it needs fcd_torch" in notice for notice in found.notices)
    assert "100 generated molecules against 100 real ones" in repr(found)
    assert comparable(found.protocol)
    with pytest.raises(MetricError, match="fcd: it needs fcd_torch: pip install"):
        measure_molecules(nci[:100], nci[100:200], nci[200:300], "fcd")


def test_too_few_say_so() -> None:
    with pytest.raises(MetricError, match="no molecules were generated"):
        measure_molecules(["C"], ["C", "CC"], [])
    with pytest.raises(MetricError, match="at least two"):
        measure_molecules(["C"], ["C"], ["C"])
    with pytest.raises(MetricError, match="snn: 0 valid molecules are too few"):
        measure_molecules(["C"], ["C", "CC"], ["", "C("], "snn")
    with pytest.raises(MetricError, match="fid: it is not for molecules"):
        measure_molecules(["C"], ["C", "CC"], ["C", "CC"], "fid")
    found = measure_molecules(["C"], ["C", "CC"], ["", "C("])
    assert found.value("validity") == 0
    assert any("snn left out" in notice for notice in found.notices)


def test_files_are_compared_line_by_line(nci: list[str], tmp_path: Path) -> None:
    real, made = tmp_path / "real.smi", tmp_path / "made.smi"
    real.write_text("\n".join([*nci[:100], "C("]))
    made.write_text("\n".join([nci[0], "", *nci[200:210]]) + "\n")
    found = evaluate_molecules(real, made, "validity,novelty", n=6)
    assert found.value("validity") == pytest.approx(5 / 6)
    assert found.value("novelty") == pytest.approx(4 / 5)
    assert found.protocol["real"]["count"] == 100
    assert found.protocol["generated"] == {"kind": "molecules", "name": str(made), "count": 6, "of": 12}
    assert any("line 101" in notice for notice in found.notices)


def test_a_run_whose_training_data_have_moved_is_judged_but_for_novelty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chains = ["C" * n + end for n in range(1, 21) for end in "ON"]

    class Made:
        def sample(self, n: int, seed: int, start: int) -> list[str]:
            return chains[start : start + n]

    real, run = tmp_path / "real.smi", tmp_path / "run"
    real.write_text("\n".join(chains))
    run.mkdir()
    (run / molecule_sides.FILE).write_bytes(b"weights")

    def moved(*_: object) -> None:
        raise DataError("old.smi: there is no such file")

    monkeypatch.setattr(molecule_sides, "training_of", lambda place, *_: moved() if place == run else None)
    monkeypatch.setattr(chemnet, "available", lambda: False)
    monkeypatch.setattr(molecule_sides.Model, "load", lambda *_: Made())
    told: list[tuple[str, int, int]] = []
    evaluate_molecules(real, run, "validity,qed", n=20, progress=lambda *each: told.append(each))
    assert (f"generated: samples of {run}", 20, 20) in told
    measuring = [each for each in told if each[0].startswith("measuring")]
    assert measuring == [("measuring validity", 0, 2), ("measuring qed", 1, 2), ("measuring", 2, 2)]
    found = evaluate_molecules(real, run, n=20)
    assert found.value("validity") == 1
    assert "novelty" not in found.metrics
    assert any("novelty left out: the training data of the run" in notice for notice in found.notices)
    with pytest.raises(MetricError, match=r"novelty: .* old.smi: there is no such file"):
        evaluate_molecules(real, run, "novelty", n=20)


def test_runs_and_files_of_molecules_are_told_from_others(tmp_path: Path) -> None:
    assert is_molecules("nci")
    assert is_molecules("new.smi")
    assert not is_molecules(tmp_path)
    (tmp_path / "config.toml").write_text('task = "molecules"\n')
    assert is_molecules(tmp_path)
    (tmp_path / "config.toml").write_text('task = "generate"\n')
    assert not is_molecules(tmp_path)
    (tmp_path / "config.toml").write_text("task = ")
    assert not is_molecules(tmp_path)
