"""Corpora that come with Python or the library's dependencies: no download, good for trying and testing."""

import ast
import hashlib
import json
import re
import sys
import sysconfig
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sparring.data import cache
from sparring.data.sources import Progress
from sparring.errors import DataError

VERSION = 1
"""Of the way functions are cut out; another one makes what is in the cache useless."""

LONGEST = 800
"""Characters of a function at most: about twenty lines, so that a small network sees them whole."""

LEFT_OUT = frozenset(["test", "tests", "idle_test", "idlelib", "lib2to3", "site-packages", "dist-packages"])
"""Folders of tests, which are unlike other code, of applications, and of what is not the standard library."""


@dataclass(frozen=True)
class Corpus:
    """An embedded corpus: what it is, and what gives its texts."""

    about: str
    load: Callable[[Progress | None], tuple[str, ...]]


def python(progress: Progress | None = None) -> tuple[str, ...]:
    """Functions and methods of Python's standard library, each once, as they would stand at the margin.

    Those of at most `LONGEST` characters, decorators included, that parse by themselves, in the order of the files'
    names. They are those of the Python that is running: another version has others. Cutting them out takes some
    seconds, so they are kept in the cache folder.

    Raises: DataError where Python was installed without the source of its library.
    Source: the Python Software Foundation, under its licence.
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(
        (path for path in root.rglob("*.py") if LEFT_OUT.isdisjoint(path.relative_to(root).parts)),
        key=lambda path: path.relative_to(root).parts,
    )
    sources = [path.read_bytes() for path in files]
    known = hashlib.blake2b(f"{sys.version} {VERSION} {LONGEST}".encode(), digest_size=16)
    for source in sources:
        known.update(hashlib.blake2b(source).digest())
    kept = cache.folder() / f"python-{known.hexdigest()}.json"
    with suppress(OSError, ValueError):
        return tuple(map(str, json.loads(kept.read_text("utf-8"))))
    found: dict[str, None] = {}
    for done, source in enumerate(sources, 1):
        found.update(dict.fromkeys(functions(source)))
        if progress is not None:
            progress("reading", done, len(sources))
    if not found:
        raise DataError(
            f"python: this Python has no source of its standard library in {root}; give a folder of .py files"
        )
    with suppress(OSError):  # whoever keeps the tokens there says what is wrong with the folder
        kept.parent.mkdir(parents=True, exist_ok=True)
        with cache.aside(kept) as stream:
            stream.write(json.dumps(list(found), ensure_ascii=False).encode())
    return tuple(found)


def functions(source: bytes) -> Iterator[str]:
    """The functions and methods of a module that are not inside another function; none if it does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about old ways of writing in the modules themselves
        try:
            tree, text = ast.parse(source), source.decode("utf-8-sig")
        except (SyntaxError, ValueError):  # ValueError: other encodings than UTF-8, zero bytes
            return
        lines = re.split("\r\n|\r|\n", text)  # splitlines() would count form feeds, which Python does not
        for function in outermost(tree):
            first = min(node.lineno for node in (function, *function.decorator_list))
            text = textwrap.dedent("\n".join(lines[first - 1 : function.end_lineno])).rstrip()
            if len(text) <= LONGEST and parses(text):
                yield text


def outermost(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions below a node, in their order, without those inside others."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from outermost(child)


def parses(text: str) -> bool:
    """Whether it is Python: what held the margin of a string that spans lines may not be, without its margin."""
    try:
        return len(ast.parse(text).body) == 1
    except SyntaxError:
        return False


CORPORA = {
    "python": Corpus("functions of the standard library of the Python that is running, 800 characters at most", python),
}
"""Every embedded corpus by its name."""
