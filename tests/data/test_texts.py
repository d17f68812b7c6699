import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparring.data import Texts, check_texts, load_texts, survey_texts, texts
from sparring.data.texts import cut
from sparring.data.vocabularies import UNKNOWN, Characters, learn
from sparring.errors import DataError, SettingError

NAMES = [
    "ann",
    "bob",
    "cy",
    "dora",
    "eve",
    "finn",
    "gus",
    "hal",
    "ida",
    "joe",
    "kim",
    "lea",
    "max",
    "ned",
    "oda",
    "pia",
]
CODE = "".join(f"def f{n}(a):\n    if a > {n}:\n\n        return 'x'\n    return a\n\n\n" for n in range(30))


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES))
    return path


def characters(place: Path | str, longest: int = 10, size: int = 1000, **others: Any) -> texts.Sequences:
    return load_texts(place, tokens="characters", vocabulary_size=size, longest=longest, **others)


def test_rows_are_the_texts_and_then_ends(names: Path) -> None:
    found = characters(names)
    assert found.tokens.dtype == torch.int16
    assert found.longest == 5
    assert found.texts == tuple(NAMES)
    assert [found.vocabulary.decode(row) for row in found.tokens.tolist()] == NAMES
    lengths = torch.tensor([[len(name)] for name in NAMES])
    assert torch.equal(found.tokens == 0, torch.arange(5) >= lengths)
    assert (found.name, found.skipped, found.notices) == (str(names), (), ())


def test_many_symbols_take_four_bytes(names: Path) -> None:
    many = [chr(0x4E00 + n) for n in range(20_000)] + [chr(0xAC00 + n) for n in range(11_000)]
    many += [chr(0x20000 + n) for n in range(2000)]
    names.write_text("\n".join(many))
    found = characters(names, size=40_000)
    assert found.tokens.dtype == torch.int32
    assert found.tokens.max() == 33_002
    assert found.vocabulary.decode(found.tokens[-1].tolist()) == many[-1]


def test_the_second_start_takes_what_was_kept(names: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names.write_text("\n".join([*NAMES, "ann", "much longer"]))
    first = characters(names, size=10)
    monkeypatch.setattr(texts, "encode", lambda *_: pytest.fail("made again"))
    moved = names.rename(tmp_path / "moved.txt")
    second = characters(moved, size=10)
    assert torch.equal(first.tokens, second.tokens)
    assert (first.fingerprint, first.texts, first.notices) == (second.fingerprint, second.texts, second.notices)
    assert first.vocabulary == second.vocabulary
    assert len(first.notices) == 3


def test_every_setting_and_every_letter_changes_the_fingerprint(names: Path) -> None:
    prints = {characters(names, longest=n, size=size).fingerprint for n in (10, 11) for size in (40, 50)}
    names.write_text("\n".join(NAMES).replace("bob", "rob"))
    prints.add(characters(names).fingerprint)
    assert len(prints) == 5


def test_damage_in_the_cache_is_made_good(names: Path, cache_folder: Path) -> None:
    first = characters(names)
    (kept,) = cache_folder.iterdir()
    whole = kept.read_bytes()
    for damaged in (whole[:-3], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        kept.write_bytes(damaged)
        assert texts.find(first.fingerprint) is None
        assert torch.equal(characters(names).tokens, first.tokens)
    assert kept.read_bytes() == whole
    assert [file.name for file in cache_folder.iterdir()] == [kept.name]


def test_a_cache_that_cannot_be_written_is_a_notice(
    names: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(names / "below a file"))
    found = characters(names)
    assert len(found) == 16
    assert "cannot be kept in" in found.notices[0]


def test_long_lines_are_left_out_and_counted(names: Path) -> None:
    names.write_text("\n".join([*NAMES, "a" * 11, "b" * 30, "c" * 10]))
    found = characters(names)
    assert found.texts == (*NAMES, "c" * 10)
    assert found.longest == 11
    assert found.notices == ("2 of 19 texts have more than 10 symbols and are left out; --set length=30 takes all",)
    with pytest.raises(
        DataError, match=r"1 text with at most 2 symbols \(--set length= allows more\), and at least 16"
    ):
        characters(names, longest=2)


def test_repeated_texts_are_kept_with_a_notice(names: Path) -> None:
    names.write_text("\n".join([*NAMES, "ann", "ann"]))
    found = characters(names)
    assert len(found) == 18
    assert found.notices == ("2 of 18 texts are the same as an earlier one; they are kept, and count that much more",)


def test_rare_characters_are_unknown_with_a_notice(names: Path) -> None:
    found = characters(names, size=3 + 2)
    assert isinstance(found.vocabulary, Characters)
    known = sum(name.count(symbol) for name in NAMES for symbol in found.vocabulary.symbols)
    total = sum(map(len, NAMES))
    assert int((found.tokens == UNKNOWN).sum()) == total - known
    assert found.texts == tuple(NAMES)
    assert found.notices[0].startswith(f"{100 * (total - known) / total:.0f} % of all characters are too rare")


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_documents_are_cut_at_line_ends_and_nothing_is_lost(tmp_path: Path, kind: Any) -> None:
    if kind == "bpe":
        pytest.importorskip("tokenizers")
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a.py").write_text(CODE)
    (folder / "b.py").write_text("short = 1\n")
    found = load_texts(folder, tokens=kind, vocabulary_size=300, longest=60)
    assert "".join(found.texts[:-1]) == CODE
    assert found.texts[-1] == "short = 1\n"
    assert all(text.endswith("\n") for text in found.texts)
    assert found.longest <= 61
    pieces = [found.vocabulary.encode(text) for text in found.texts]
    assert [row[: len(piece)] for row, piece in zip(found.tokens.tolist(), pieces, strict=True)] == pieces
    assert found.notices[0].startswith("1 of 2 documents have more than 60 symbols and are cut at line ends into ")
    together = [len(found.vocabulary.encode(a + b)) for a, b in zip(found.texts[:-2], found.texts[1:-1], strict=True)]
    assert min(together) > 60 / 2


def test_pieces_are_as_full_as_whole_lines_allow() -> None:
    vocabulary = Characters("\nabc")
    assert cut("aa\nbb\ncc\na", vocabulary, 6) == ([(0, 6), (6, 10)], 0)
    assert cut("aa\nbb\ncc\na", vocabulary, 5) == ([(0, 3), (3, 6), (6, 10)], 0)
    assert cut("aa\n" + "b" * 9 + "\ncc\n", vocabulary, 6) == ([(0, 3), (13, 16)], 1)
    assert cut("a" * 9, vocabulary, 6) == ([], 1)


def test_pieces_whose_lines_need_more_together_than_apart_still_fit() -> None:
    class Odd:
        """One symbol a line, and one more for each line that another follows: as blanks around line ends may need."""

        def encode_all(self, rows: list[str]) -> tuple[None, Any]:
            return None, np.array([2 * len(row.splitlines()) - 1 for row in rows], np.int64)

    pieces, lost = cut("a\n" * 20, Odd(), 6)  # type: ignore[arg-type]
    assert lost == 0
    assert [start for start, _ in pieces][1:] == [stop for _, stop in pieces][:-1]
    assert pieces[-1][1] == 40
    assert max(2 * (stop - start) // 2 - 1 for start, stop in pieces) <= 6


def test_lines_without_an_end_are_left_out_of_documents(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a.txt").write_text("\n".join([*NAMES * 4, "x" * 100, *NAMES * 4]))
    found = characters(folder, longest=20)
    assert "".join(found.texts) == "\n".join([*NAMES * 4, *NAMES * 4])
    assert "; lines left out that have more by themselves: 1" in found.notices[0]
    assert "one document whose lines belong together" in found.notices[1]
    (folder / "a.txt").write_text("x" * 100)
    with pytest.raises(DataError, match="code: 0 texts, and at least 16"):
        characters(folder, longest=20)


def test_too_few_texts_are_refused_with_what_was_skipped(tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_bytes(b"ascii\n" + "\n".join(["床前明月光"] * 30).encode("gb18030"))
    for read in (survey_texts, characters):
        with pytest.raises(
            DataError, match=r"few\.txt: 1 text, and at least 16 .*; 30 are skipped, line 2: not UTF-8.* GB18030"
        ):
            read(path)
    path.write_bytes("\n".join(NAMES).encode() + b"\n\xb4\xb2\xc7\xb0\n")
    assert characters(path).notices == (
        "1 skipped: it looks like GB18030; save it as UTF-8, for instance with iconv -f GB18030 -t UTF-8",
    )


def test_settings_that_cannot_be_are_refused(names: Path) -> None:
    with pytest.raises(SettingError, match="tokens 'words'"):
        load_texts(names, tokens="words", vocabulary_size=10, longest=10)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="length 0"):
        characters(names, longest=0)


def test_a_survey_counts_characters(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n".join(["ab c", "床前明月", *["x"] * 15]))
    found = survey_texts(path)
    assert (found.texts, found.characters, found.distinct) == (17, 4 + 4 + 15, 4 + 4 + 1)
    assert (found.longest, found.median, found.documents) == (4, 1, False)
    assert found.cjk == pytest.approx(4 / 22)


def test_a_survey_leaves_few_documents_to_be_cut(tmp_path: Path) -> None:
    (tmp_path / "book.md").write_text("word\n" * 100)
    assert survey_texts(tmp_path).documents
    assert len(characters(tmp_path, longest=10)) == 50


def test_a_check_is_json_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"aab\nb\n\nb\n\xff\n")
    found = check_texts(path)
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "name": str(path),
        "used": 3,
        "skipped": [{"path": "line 5", "reason": "not UTF-8: byte 0xff at position 1"}],
        "documents": False,
        "duplicates": 1,
        "characters": 5,
        "distinct": 2,
        "lengths": {"shortest": 1, "median": 1, "99 %": 3, "longest": 3},
        "frequent": {"b": 3, "a": 2},
    }


def test_progress_is_told_of_both_stages(names: Path) -> None:
    told: list[tuple[str, int, int]] = []
    characters(names, progress=lambda *stage: told.append(stage))
    assert told == [("reading", 16, 16), ("tokenising", 16, 16)]


def test_numbers_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = texts.encode(Texts("n", tuple(NAMES)), learn(NAMES, "characters", 99), 10)
    monkeypatch.setattr(texts, "AT_ONCE", 5)
    monkeypatch.setattr("sparring.data.vocabularies.AT_ONCE", 5)
    parts = texts.encode(Texts("n", tuple(NAMES)), learn(NAMES, "characters", 99), 10)
    assert np.array_equal(whole.tokens, parts.tokens)
    assert whole.vocabulary == parts.vocabulary
