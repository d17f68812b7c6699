import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.chemistry import parallel
from sparring.data import cache
from sparring.data.molecule_files import EMBEDDED_MOLECULES, open_molecules, samples_of, surely_molecules
from sparring.data.molecules import check_molecules, load_molecules, load_selfies, read_molecules, survey_molecules
from sparring.data.selfies_symbols import SelfiesSymbols
from sparring.data.vocabularies import END, START, UNKNOWN, vocabulary_of
from sparring.errors import DataError, SettingError

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

ALCOHOLS = ["C" * n + "O" for n in range(1, 21)]


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_list_has_a_molecule_a_line_perhaps_with_a_name_a_heading_and_comments(tmp_path: Path) -> None:
    file = written(tmp_path / "a.smi", ["SMILES name", "# from a catalogue", "", "OCC ethanol", *ALCOHOLS])
    found = read_molecules(file)
    assert found.smiles == ("CCO", "CO", *ALCOHOLS[2:])
    assert found.notices == ("1 molecule left out that had come before",)
    assert not found.skipped


def test_what_cannot_be_used_is_named_by_its_line(tmp_path: Path) -> None:
    lines = [*ALCOHOLS, "CC(C", "C1CC", "CN=NN(=O)(=O)O", "*CC", "C" * 2001, "hello world", "[H][H]"]
    found = read_molecules(written(tmp_path / "a.smi", lines))
    assert [each.line for each in found.skipped] == [21, 22, 23, 24, 25, 26, 27]
    assert "not a molecule that RDKit can read" in found.skipped[0].reason
    assert "SELFIES cannot write it" in found.skipped[3].reason
    assert "2,000 characters" in found.skipped[4].reason
    assert len(found.skipped[4].text) <= 60
    assert "7 molecules skipped: line 21 (CC(C): not a molecule" in found.notices[0]
    assert survey_molecules(tmp_path / "a.smi").unparsable == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC(=O)[O-].[Na+]", "CC(=O)[O-]"),  # the largest fragment, with its charge
        ("Cl.Cl.NCCO", "NCCO"),
        ("C[C@H](N)C(=O)O", "CC(N)C(=O)O"),
        ("F/C=C/F", "FC=CF"),
        ("[2H]C([2H])([2H])O", "CO"),
        ("[13CH3]C", "CC"),
        ("[CH3:1][OH:2]", "CO"),
        ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)[O-]"),
        ("C1=CC=CC=C1", "c1ccccc1"),
    ],
)
def test_every_molecule_is_written_in_one_way(text: str, expected: str) -> None:
    from sparring.chemistry.standard import standard

    assert standard(text).smiles == expected
    assert standard(expected).smiles == expected


def test_what_molecules_lose_is_counted(tmp_path: Path) -> None:
    lines = [*ALCOHOLS, "CC(=O)[O-].[Na+]", "C[C@H](N)C(=O)O", "[13CH3]CS"]
    found = survey_molecules(written(tmp_path / "a.smi", lines))
    assert (found.molecules, found.salts, found.charged, found.duplicates) == (23, 1, 1, 0)
    assert found.heavy_longest == 21
    assert found.elements["S"] == 1
    assert any("several fragments" in notice for notice in found.notices)
    assert any("stereochemistry" in notice for notice in found.notices)
    assert any("isotopes" in notice for notice in found.notices)


def test_tables_sdf_files_and_compressed_ones_hold_the_same_molecules(tmp_path: Path) -> None:
    from rdkit import Chem

    list_ = read_molecules(written(tmp_path / "a.smi", ALCOHOLS))
    named = written(tmp_path / "a.csv", ["id;SMILES;x", *(f"{n};{s};0.5" for n, s in enumerate(ALCOHOLS))])
    found = written(tmp_path / "b.tsv", ["id\tstructure", *(f"{n}\t{s}" for n, s in enumerate(ALCOHOLS))])
    bare = written(tmp_path / "c.csv", [f"{n},{s}" for n, s in enumerate(ALCOHOLS)])
    blocks = tmp_path / "a.sdf"
    with Chem.SDWriter(str(blocks)) as writer:
        for smiles in ALCOHOLS:
            writer.write(Chem.MolFromSmiles(smiles))
    packed = tmp_path / "a.smi.gz"
    packed.write_bytes(gzip.compress("\n".join(ALCOHOLS).encode()))
    for file in (named, found, bare, blocks, packed):
        assert read_molecules(file).smiles == list_.smiles, file
        assert read_molecules(file).digest == list_.digest


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.smi", "", "a.smi: it is empty"),
        ("a.smi", "CCO\nCCN\nCC(\n", "2 molecules that can be used, at least 16 are needed; 1 skipped: line 3"),
        ("a.xyz", "3", "not a file of molecules by its name"),
        ("a.csv", "name,age\nAnna,3\n", "none of its columns"),
        ("a.smi.gz", "no archive", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=words.replace("(", r"\(")):
        read_molecules(tmp_path / name)


def test_a_place_that_is_no_file_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder, and not an embedded set"):
        read_molecules(tmp_path / "none.smi")
    with pytest.raises(DataError, match="is a folder"):
        read_molecules(tmp_path)
    with pytest.raises(DataError, match=r"did you mean nci\?"):
        read_molecules("ncii")


def test_nothing_of_rdkit_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read_molecules(written(tmp_path / "a.smi", [*ALCOHOLS, "CC(C", "c1cccc1", "C(C)(C)(C)(C)C"]))
    assert capfd.readouterr() == ("", "")


def test_what_was_prepared_is_kept_and_made_again_if_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "a.smi", [*ALCOHOLS, "CC(C"])
    first = load_molecules(file, longest=50)

    def refused(*_: object) -> None:
        raise AssertionError("read a second time")

    with monkeypatch.context() as patch:
        patch.setattr(parallel, "in_chunks", refused)
        again = load_molecules(file, longest=50)
    assert np.array_equal(first.tokens, again.tokens)
    assert (first.smiles, first.fingerprint, first.skipped) == (again.smiles, again.fingerprint, again.skipped)
    (kept,) = cache.folder().glob("*.molecules.npz")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 255
    kept.write_bytes(content)
    assert np.array_equal(load_molecules(file, longest=50).tokens, first.tokens)


def test_tokens_are_selfies_symbols_that_end(tmp_path: Path) -> None:
    found = load_molecules(written(tmp_path / "a.smi", ALCOHOLS), longest=18)
    assert found.tokens.dtype == np.int16
    assert found.tokens.shape == (17, 19)  # methanol has two symbols; one END more than the longest
    assert found.vocabulary.symbols == ("[C]", "[O]")
    assert found.tokens[0].tolist() == [3, 4, *[END] * 17]
    assert any("more than 18 SELFIES symbols" in notice for notice in found.notices)
    assert [found.vocabulary.decode(row) for row in found.tokens.tolist()] == list(found.smiles)
    with pytest.raises(DataError, match="at least 16 are needed: --set length= allows more"):
        load_molecules(tmp_path / "a.smi", longest=5)


def test_a_vocabulary_is_what_it_describes() -> None:
    symbols = SelfiesSymbols(["[C]", "[=C]", "[O]"])
    assert symbols.encode("OC=O") == symbols.encode("O=CO") == [5, 4, 5]
    assert symbols.encode("CN") == [3, UNKNOWN]
    assert symbols.unknown("CNN") == ["[N]"]
    assert symbols.decode([START, 3, UNKNOWN, 5, END, 3]) == "CO"
    assert symbols.decode([END]) == ""
    again = SelfiesSymbols.from_description(json.loads(json.dumps(symbols.describe())))
    assert again.describe() == symbols.describe()
    assert again.size == 6
    with pytest.raises(DataError, match="not a molecule"):
        symbols.encode("C(")


def test_the_constraints_of_a_vocabulary_hold_whatever_those_of_the_process_are() -> None:
    usual = SelfiesSymbols(["[C]", "[S]", "[F]"])
    narrow = SelfiesSymbols(["[C]", "[S]", "[F]"], {**usual.constraints, "C": 2})
    branched = [3, 3, 3]
    assert usual.decode(branched) == narrow.decode(branched) == "CCC"
    triple = SelfiesSymbols(["[C]", "[#C]"], {**usual.constraints, "C": 2})
    assert triple.decode([3, 4, 3]) == "C=C"
    assert SelfiesSymbols(["[C]", "[#C]"]).decode([3, 4, 3]) == "C#CC"


def test_any_sequence_of_symbols_is_a_molecule() -> None:
    vocabulary = load_molecules("nci", longest=60).vocabulary
    rng = np.random.default_rng(0)
    made = [vocabulary.decode(row) for row in rng.integers(3, vocabulary.size, (200, 30)).tolist()]
    assert sum(map(bool, made)) >= 198


def test_the_embedded_set_is_read_whole() -> None:
    told = list[tuple[str, int, int]]()
    found = check_molecules("nci", lambda *step: told.append(step))
    assert found["name"] == "nci"
    assert found["used"] > 4800
    assert found["unparsable"] < 20
    assert told[-1][1] == told[-1][2]
    assert json.dumps(found)
    assert "nci" in EMBEDDED_MOLECULES


def test_several_processes_read_the_same_as_one() -> None:
    from sparring.chemistry.standard import prepare

    lines = [*ALCOHOLS, "CC(C", *(smiles.replace("O", "N") for smiles in ALCOHOLS)]
    told = list[int]()
    parts = list(parallel.in_chunks(prepare, lines, "", lambda _, done, total: told.append(done), chunk=15, least=2))
    alone = prepare(lines)
    assert told == [15, 30, 41]
    assert [smiles for part in parts for smiles in part.smiles] == alone.smiles
    assert np.array_equal(np.concatenate([part.lengths for part in parts]), alone.lengths)
    assert parts[1].skipped == {5: alone.skipped[20]}


def test_lines_without_a_molecule_are_samples_that_failed(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("CCO\n\nCCN made\n\n")
    assert samples_of(tmp_path / "a.smi") == ["CCO", "", "CCN", ""]
    table = written(tmp_path / "a.csv", ["smiles,qed", ",", "CCO,0.4", "", ",", "CCN,0.4", ","])
    assert samples_of(table) == ["", "CCO", "", "CCN", ""]
    assert samples_of(written(tmp_path / "b.csv", ["n,made", "0,CCO", ",", "1,CCN", "2,"])) == ["CCO", "", "CCN", ""]
    assert [text for _, text in open_molecules(table).lines] == ["CCO", "CCN"]


def test_samples_that_were_written_as_a_table_fail_as_many_times(tmp_path: Path) -> None:
    from sparring.chemistry.writing import write_molecules

    write_molecules(["CCO", "", "C(", "CCN", ""], tmp_path / "a.csv")
    assert len(samples_of(tmp_path / "a.csv")) == 5


def test_molecules_are_known_by_their_file(tmp_path: Path) -> None:
    assert surely_molecules("nci")
    assert surely_molecules("x.smi.gz")
    assert not surely_molecules("x.txt")
    assert surely_molecules(written(tmp_path / "a.csv", ["Id,Smiles", "1,C"]))
    assert not surely_molecules(written(tmp_path / "b.csv", ["Id,Name", "1,C"]))


def test_without_the_packages_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparring.chemistry import toolkit

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(toolkit.importlib, "import_module", missing)
    with pytest.raises(SettingError, match=r"package selfies, .* pip install 'sparring\[molecules\]'"):
        toolkit.needed("selfies")


def test_a_set_to_train_on_has_its_molecules_as_texts_and_a_vocabulary_that_comes_back(tmp_path: Path) -> None:
    found = load_selfies(written(tmp_path / "a.smi", ALCOHOLS), longest=18)
    assert found.tokens.shape == (17, 19) and found.texts[0] == "CO"
    again = vocabulary_of(json.loads(json.dumps(found.vocabulary.describe())))
    assert [again.decode(tokens) for tokens in found.batch(torch.arange(17)).tokens.tolist()] == list(found.texts)
