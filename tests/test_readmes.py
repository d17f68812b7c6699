"""Both languages have the same commands, options, pages and numbers."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FENCED = re.compile(r"(?ms)^```(\w+)\n(.*?)^```$")

IN_ORDER = {
    "commands": r"(?m)^\$ (.+?)(?: +#.*)?$",
    "rows of tables": r"(?m)^\| ((?:[^|\\]|\\.)+) \|",
}
IN_ANY_ORDER = {
    "pages": r"\]\((?!README)([^)]+)\)",
    "code": r"`([^`]+)`",
    "numbers": r"(?a)(?<![\w.])(\d*\.\d+|\d+,\d+)\b",
}


def texts() -> list[str]:
    return [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")]


@pytest.mark.parametrize("part", IN_ORDER)
def test_both_have_the_same(part: str) -> None:
    english, chinese = (re.findall(IN_ORDER[part], text.replace(" 或 ", " or ")) for text in texts())
    assert english and chinese == english


@pytest.mark.parametrize("part", IN_ANY_ORDER)
def test_sentences_of_both_have_the_same(part: str) -> None:
    plain = [FENCED.sub("", text).replace("\n", " ") for text in texts()]
    english, chinese = (set(re.findall(IN_ANY_ORDER[part], text)) for text in plain)
    assert english and chinese == english


def test_both_show_the_same_output_and_python() -> None:
    english, chinese = (
        [inside for kind, inside in FENCED.findall(text) if kind in ("text", "python")] for text in texts()
    )
    assert len(english) == 3 and chinese == english
