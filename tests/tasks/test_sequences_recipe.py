import pytest

from sparring.tasks.sequences_recipe import budget


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (10, 10_000),  # ten texts would learn nothing in 16 steps
        (200, 20_000),
        (1_999, 199_900),
        (2_000, 200_000),
        (5_000, 200_000),
        (10_000, 300_000),
    ],
)
def test_few_are_shown_a_hundred_times_and_many_as_often_as_ever(texts: int, shown: int) -> None:
    assert budget(texts, 30, 200_000, 64) == pytest.approx(shown, abs=32)


def test_a_large_size_shows_few_no_more_often() -> None:
    assert budget(200, 10, 2 * 300_000, 64) == budget(200, 10, 0.5 * 300_000, 64)
