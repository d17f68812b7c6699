import numpy as np
import pytest

from sparring.metrics.units import coded, split, unit_of, words

POEMS = ["\u79e6\u5ddd\u96c4\u5e1d\u5b85\uff0c\u51fd\u8c37\u58ee\u7687\u5c45\u3002"] * 10
CODE = ["def f(x):\n    return x + 1", "for i in range(3):\n    print(i)", "a = [1, 2]"] * 5


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        (POEMS, "characters"),
        (["a man on a bench", "two dogs, running"], "words"),
        (["emma", "olivia", "noah"], "characters"),  # which Python takes for variables
        (["CC(=O)O", "c1ccccc1"], "characters"),
        (CODE, "code"),
        (["\ud55c\uad6d\uc5b4\ub294 \ub744\uc5b4\uc4f0\uae30\ub97c \ud55c\ub2e4"], "words"),
    ],
)
def test_the_unit_follows_from_the_texts(texts: list[str], unit: str) -> None:
    assert unit_of(texts) == unit


def test_words_keep_apostrophes_marks_and_ends_of_lines_and_nothing_else() -> None:
    assert words("It isn't\tso,\nis it?") == ["It", "isn't", "so", ",", "\n", "is", "it", "?"]


def test_code_is_split_as_python_does_and_other_texts_into_words() -> None:
    assert split("if x:\n    y=1\n", "code") == ["if", "x", ":", "\n", "\t", "y", "=", "1", "\n", "\b"]
    assert split("it's (", "code") == words("it's (")


def test_texts_become_numbers_that_sets_share() -> None:
    numbers: dict[str, int] = {}
    first, second = coded(["ab", "", "b"], numbers), coded(["cb"], numbers)
    assert first.symbols.tolist() == [0, 1, 1]
    assert first.lengths.tolist() == [2, 0, 1]
    assert first.owners.tolist() == [0, 0, 2]
    assert second.symbols.tolist() == [2, 1]
    left = first.without(np.array([True, False, False]))
    assert (left.symbols.tolist(), left.starts.tolist()) == ([1], [0, 0, 1])
