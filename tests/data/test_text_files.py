import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from sparring.data import CORPORA, is_text, read_texts
from sparring.errors import DataError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Documents in folders, with a hidden file, a link, a picture and one that is not UTF-8."""
    root = tmp_path / "tree"
    for name, content in {
        "s10.py": b"x = 10\r\n\r\ny = 'e\xcc\x81 '\r\n",
        "s2.md": b"\xef\xbb\xbf# two\n",
        "sub/three": "drei\u2028\n".encode(),
        "sub/blank.txt": b" \n",
        "sub/bad.js": b"a\nb\xff",
        "sub/cover.png": b"",
        ".git/config": b"hidden",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "link.py").symlink_to(root / "s10.py")
    return root


DOCUMENTS = ("# two\n", "x = 10\n\ny = 'e\u0301 '\n", "drei\u2028\n")


def test_a_line_is_a_text_in_normal_form_without_blanks_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone  \r\n\n \t\r\n  two\x0b2\n" + "cafe\u0301 \u2028\u3000\rlast".encode())
    found = read_texts(path)
    assert found.texts == ("one", "  two\x0b2", "café", "last")
    assert (found.name, found.documents, found.skipped) == (str(path), False, ())


def test_lines_that_are_not_utf8_are_listed_with_number_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\n\ncaf\xe9\nzero\0\nalso good\n")
    found = read_texts(str(path))
    assert found.texts == ("good", "also good")
    assert [(each.path, each.reason) for each in found.skipped] == [
        ("line 3", "not UTF-8: byte 0xe9 at position 4"),
        ("line 4", "zero bytes, which no text has"),
    ]


def test_json_lines_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.JSONL"
    texts = ["two\nlines \r\n", "e\u0301", {"text": "found", "id": 3}]
    bad = ['{"body": "x"}', "17", '"cut', '"\\ud800"', '"a\\u0000"', "[" * 100_000]
    path.write_text("\n".join([*map(json.dumps, texts), "", '" "', *bad]))
    found = read_texts(path)
    assert found.texts == ("two\nlines \r\n", "e\u0301", "found")
    reasons = [each.reason for each in found.skipped]
    assert [each.path for each in found.skipped] == [f"line {number}" for number in range(6, 12)]
    assert reasons[0] == reasons[1] == "neither a JSON string nor an object with a string at the key text"
    assert reasons[2].startswith("not JSON: ")
    assert reasons[3] == "half of a surrogate pair, which is no character"
    assert reasons[4] == "a zero byte in the text"
    assert reasons[5].startswith("not JSON: ")


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz"])
def test_compressed_lines(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b'"one"\n"two"\n'))
    assert read_texts(path).texts == (("one", "two") if "json" in name else ('"one"', '"two"'))
    path.write_bytes(gzip.compress(b"one\n" * 1000)[:-10])
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_texts(path)


def test_the_files_of_a_folder_are_documents_in_natural_order(tree: Path) -> None:
    found = read_texts(tree)
    assert found.texts == DOCUMENTS
    assert found.documents
    assert [(each.path, each.reason) for each in found.skipped] == [
        ("sub/bad.js", "not UTF-8: byte 0xff at position 4")
    ]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_archives_hold_the_documents_of_their_folders(tree: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    files = [file for file in sorted(tree.rglob("*")) if file.is_file() and not file.is_symlink()]
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, f"tree/{file.relative_to(tree)}")
    else:
        with tarfile.open(path, "w:gz" if suffix == ".tar.gz" else "w") as packed:
            packed.add(tree, "./tree")
    found = read_texts(path)
    assert sorted(found.texts) == sorted(DOCUMENTS)
    assert [each.path for each in found.skipped] == ["tree/sub/bad.js"]
    path.write_bytes(path.read_bytes()[:-300] if suffix == ".zip" else b"\x1f\x8b" + bytes(100))
    with pytest.raises(DataError, match=f"not a whole {suffix[1:4]} archive"):
        read_texts(path)


def test_a_member_that_is_too_large_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.text_files.MAX_MEMBER", 10)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "ten or so letters")
        archive.writestr("b.txt", "few")
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        for name, content in (("a.txt", b"ten or so letters"), ("b.txt", b"few")):
            about = tarfile.TarInfo(name)
            about.size = len(content)
            packed.addfile(about, io.BytesIO(content))
    for name in ("a.zip", "a.tar"):
        found = read_texts(tmp_path / name)
        assert found.texts == ("few",)
        assert found.skipped[0].reason == "too large: 17 bytes, limit 10"


def test_the_digest_is_of_the_texts_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.jsonl").write_text('"one"\n"two"')
    (tmp_path / "c.txt").write_text("onetwo\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/1.txt").write_text("one")
    (tmp_path / "d/2.txt").write_text("two")
    a, b, c, d = (read_texts(tmp_path / name) for name in ("a.txt", "b.jsonl", "c.txt", "d"))
    assert a.digest == b.digest
    assert len({a.digest, c.digest, d.digest}) == 3
    assert a.texts == d.texts


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("床前明月光\n疑是地上霜\n".encode("gb18030"), "GB18030"),
        ("床前明月光\n".encode("utf-16"), "UTF-16"),
        ("abc\ndef\n".encode("utf-16-le"), "UTF-16"),
        ("abc\n".encode("utf-32"), "UTF-32"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.txt: no text .* line 1: .* looks like {encoding}; save it as UTF-8"):
        read_texts(path)
    (tmp_path / "folder").mkdir()
    path.rename(tmp_path / "folder/a.txt")
    with pytest.raises(DataError, match=rf"folder: no text .* a\.txt: .* looks like {encoding}"):
        read_texts(tmp_path / "folder")


def test_binary_is_not_taken_for_an_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(range(256)) * 3)
    with pytest.raises(DataError, match=r"texts are read as UTF-8$"):
        read_texts(path)


def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "poems.txt").write_text("")
    with pytest.raises(DataError, match=r"poems\.txt: empty, there is no text in it"):
        read_texts(tmp_path / "poems.txt")
    with pytest.raises(DataError, match=r"no such file .* texts: python; .*\); did you mean .*poems\.txt\?"):
        read_texts(tmp_path / "poem.txt")
    with pytest.raises(DataError, match=r"did you mean python\?"):
        read_texts("pythn")
    with pytest.raises(DataError, match="the name of the data is empty"):
        read_texts("")
    with pytest.raises(DataError, match="cannot be read"):
        read_texts("a" * 300)
    (tmp_path / "one.md").write_text("# one")
    with pytest.raises(DataError, match=r"not a set of texts; .* give the folder it is in"):
        read_texts(tmp_path / "one.md")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty, there is no text in it"):
        read_texts(tmp_path / "empty")


def test_pictures_given_by_mistake_are_named_as_such(pictures: Path) -> None:
    with pytest.raises(DataError, match=r"pictures: pictures \(10 of 10 files\), and no texts among them"):
        read_texts(pictures)
    with pytest.raises(DataError, match=r"0\.png: a picture, not a text"):
        read_texts(pictures / "cat/0.png")


def test_what_is_text_goes_by_names(tree: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tree / "s2.md", "notes/s2.md")
        archive.mkdir("notes")
        archive.writestr("__MACOSX/notes/._s2.md", b"\0")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(pictures / "cat/0.png")
    (tmp_path / "broken.zip").write_bytes(b"PK")
    (pictures / "labels.csv").touch()
    assert all(map(is_text, ["python", tree, tmp_path / "a.txt", str(tmp_path / "a.zip")]))
    others = [
        pictures,
        tmp_path / "b.zip",
        tmp_path / "broken.zip",
        tmp_path / "none.zip",
        "digits",
        "none.txt",
        "a\0",
        "",
    ]
    assert not any(map(is_text, others))
    (tmp_path / "nothing").mkdir()
    assert not is_text(tmp_path / "nothing")


def test_an_embedded_corpus_is_read_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CORPORA, "python", CORPORA["python"].__class__("short", lambda _: ("a", "b\nc")))
    found = read_texts("python")
    assert (found.name, found.texts, found.documents) == ("python", ("a", "b\nc"), False)


def test_progress_reaches_the_number_of_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x\n" * 70_000)
    told: list[tuple[str, int, int]] = []
    read_texts(tmp_path / "a.txt", lambda *stage: told.append(stage))
    assert told == [("reading", 65_536, 70_000), ("reading", 70_000, 70_000)]
