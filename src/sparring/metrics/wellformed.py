"""Whether texts keep to a form that can be checked: the few forms of a verse, the grammar of Python."""

import ast
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

FORMS, COVERED, LEAST = 20, 0.9, 0.01
"""How many forms texts have at most, which share of the texts these cover, and how many texts have each at least."""

PARSED = 0.8
"""Share of the real texts that Python parses, above which they are taken for Python."""

LONGEST = 100_000
"""Characters above which a text is not parsed."""

BARE = (ast.Module, ast.Expr, ast.Name, ast.Constant, ast.Tuple, ast.Load)
"""What single words and numbers are to Python, which are no code."""


def form_of(text: str) -> str:
    """A text with every letter as x and every digit as 9; marks, spaces and ends of lines stay.

    >>> form_of("a1, b22.")
    'x9, x99.'
    """
    return "".join("x" if c.isalpha() else "9" if c.isdecimal() else c for c in text)


def forms(texts: Sequence[str]) -> frozenset[str]:
    """The forms that texts are written in, if they are few: at most 20 that cover 90 % of the texts; empty if not.

    A form counts if 1 % of the texts have it.
    """
    common = Counter(map(form_of, texts)).most_common(FORMS)
    kept = {form: count for form, count in common if count >= LEAST * len(texts)}
    return frozenset(kept) if sum(kept.values()) >= COVERED * len(texts) else frozenset()


def is_code(texts: Sequence[str]) -> bool:
    """Whether Python parses 80 % of the texts, and finds more than words and numbers in as many."""
    trees = parsed(texts)
    written = sum(tree is not None and any(not isinstance(node, BARE) for node in ast.walk(tree)) for tree in trees)
    return bool(texts) and written >= PARSED * len(texts)


def parses(texts: Iterable[str]) -> list[bool]:
    """Whether Python's parser takes each text, which may be indented as a whole; empty ones and endless ones no."""
    return [tree is not None for tree in parsed(texts)]


def parsed(texts: Iterable[str]) -> list[ast.Module | None]:
    """What Python's parser makes of each text, None if nothing. Its warnings are not shown; nothing is run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [_parsed(text) for text in texts]


def _parsed(text: str) -> ast.Module | None:
    if not text.strip() or len(text) > LONGEST:
        return None
    try:
        return ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):  # deep nesting raises the last three
        return None
