import pytest

from sparring.errors import MetricError
from sparring.metrics.overlap import all_clauses, clauses, copied, copied_clauses, distinct


def test_distinct_counts_different_texts() -> None:
    assert distinct(["a", "b", "a", "a"]).value == 0.5
    alike = distinct(["a"] * 50)
    assert alike.value == 0.02
    assert alike.ends[1] < 0.15


def test_copies_are_the_same_but_for_space_around() -> None:
    known = frozenset(["one two", "three"])
    found = copied(["one two ", "one  two", "three", "four"], known)
    assert found.value == 0.5
    assert 0 < found.ends[0] < found.ends[1] < 1
    assert copied(["four"] * 100, known).ends == pytest.approx((0, 0.037), abs=1e-3)


def test_clauses_end_at_marks_of_both_kinds_and_at_ends_of_lines() -> None:
    assert clauses("\u6625\u7720\uff0c\u5904\u5904\u3002 a: b\n\nc!") == ["\u6625\u7720", "\u5904\u5904", "a", "b", "c"]


def test_copied_clauses_are_counted_over_all_texts() -> None:
    known = all_clauses(["a, b. c", "d"])
    found = copied_clauses(["a, x, y", "d. b", "z"], known)
    assert found.value == pytest.approx(3 / 6)
    assert found.ends[0] < 0.5 < found.ends[1]
    assert copied_clauses(["x"] * 30, known).value == 0


def test_nothing_to_count_is_said() -> None:
    for count in (distinct, lambda texts: copied(texts, frozenset())):
        with pytest.raises(MetricError, match="no texts"):
            count([])
    with pytest.raises(MetricError, match="no text has a clause"):
        copied_clauses(["...", ""], frozenset())
