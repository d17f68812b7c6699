import ast
import sys
from pathlib import Path

import pytest

from sparring.data import CORPORA, corpora
from sparring.data.corpora import functions
from sparring.errors import DataError

MODULE = b'''\xef\xbb\xbfimport os
\x0c
def first(a):
    """Says
    two lines."""
    def inside():
        pass
    return inside

class Thing:
    @property
    def second(self):  # a remark
        return os.sep \r
\r
    if os.sep:
        async def third(self):
            return """
left of the margin"""

def long():
    return "%s"
''' % (b"x" * 800)


def test_functions_come_whole_at_the_margin_without_those_inside_or_too_long() -> None:
    assert list(functions(MODULE)) == [
        'def first(a):\n    """Says\n    two lines."""\n    def inside():\n        pass\n    return inside',
        "@property\ndef second(self):  # a remark\n    return os.sep",
    ]


def test_what_does_not_parse_has_no_functions() -> None:
    assert list(functions(b"def f(:\n    pass\n")) == []
    assert list(functions(b"\xff\xfe")) == []


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "library"
    for name in ("b.py", "a/c.py", "test/d.py", "a/tests/e.py", "site-packages/f.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"def {Path(name).stem}():\n    pass\n\ndef same():\n    pass\n")
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(root))
    return root


def test_the_corpus_has_each_function_once_in_the_order_of_files_without_tests(library: Path) -> None:
    found = CORPORA["python"].load(None)
    assert [text.split("(")[0] for text in found] == ["def c", "def same", "def b"]


def test_the_second_time_nothing_is_parsed_until_a_file_changes(
    library: Path, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    first = CORPORA["python"].load(None)
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "functions", lambda _: pytest.fail("parsed again"))
        assert CORPORA["python"].load(None) == first
    (library / "b.py").write_text("def new(): pass\n")
    assert CORPORA["python"].load(None)[-1] == "def new(): pass"
    for kept in cache_folder.glob("python-*.json"):
        kept.write_text("[")
    assert CORPORA["python"].load(None)[:2] == first[:2]


def test_a_python_without_source_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(DataError, match="no source of its standard library"):
        CORPORA["python"].load(None)


def test_the_real_library_has_thousands_that_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "def abspath(path):" in "\n".join(functions(Path(sys.modules["posixpath"].__file__ or "").read_bytes()))
    found = list(functions(Path(ast.__file__).read_bytes()))
    assert len(found) > 50
    assert all(len(ast.parse(text).body) == 1 for text in found)
    assert max(map(len, found)) <= 800
