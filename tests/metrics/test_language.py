import math

import numpy as np
import pytest

from sparring.errors import MetricError
from sparring.metrics.language import LanguageModel, discounts, perplexity
from sparring.metrics.units import coded


def learnt(texts: list[str], order: int = 4) -> tuple[LanguageModel, dict[str, int]]:
    numbers: dict[str, int] = {}
    corpus = coded(texts, numbers)
    return LanguageModel(corpus, len(numbers), order), numbers


def chances(model: LanguageModel, numbers: dict[str, int], text: str) -> np.ndarray:
    return np.exp(model.log_probabilities(coded([text], dict(numbers))))


def test_two_texts_by_hand() -> None:
    """Of "ab" and "ac" there are too few counts to tell discounts from: they are 0.5, 1 and 1.5.

    One token: a, b, c follow one different token each, the end two: (1 - 0.5) / 5 + 2.5 / 5 / 5 = 0.2 for the letters,
    (2 - 1) / 5 + 0.1 = 0.3 for the end, and 0.1 for what is unknown.
    """
    model, numbers = learnt(["ab", "ac"], order=2)
    a_first = (2 - 1) / 2 + 1 / 2 * 0.2
    b_after_a = (1 - 0.5) / 2 + (0.5 + 0.5) / 2 * 0.2
    end_after_b = (1 - 0.5) / 1 + 0.5 * 0.3
    np.testing.assert_allclose(chances(model, numbers, "ab"), [a_first, b_after_a, end_after_b])
    unknown_after_a = (0.5 + 0.5) / 2 * 0.1
    np.testing.assert_allclose(chances(model, numbers, "a?"), [a_first, unknown_after_a, 0.3])


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_probabilities_sum_to_one_after_every_context(order: int) -> None:
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("aaaabbbcd"), draw.integers(0, 15))) for _ in range(60)]
    model, numbers = learnt(texts, order)
    for context in ("", "a", "ab", "abc", "dddd", "a?b", "?", *texts[:8]):
        each = sum(chances(model, numbers, context + letter)[len(context)] for letter in [*numbers, "?"])
        assert each + chances(model, numbers, context)[-1] == pytest.approx(1, abs=1e-12)


def test_discounts_of_the_paper() -> None:
    """With n1 to n4 = 4, 2, 1, 1: Y = 4 / 8; 1 - 2 Y 2 / 4, 2 - 3 Y 1 / 2, 3 - 4 Y 1 / 1."""
    assert discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4, 9])) == pytest.approx((0.5, 1.25, 1.0))
    assert discounts(np.array([1, 1, 2])) == (0.5, 1.0, 1.5)


def test_what_was_read_is_foreseen_better_than_the_same_letters_in_another_order() -> None:
    model, numbers = learnt(["the cat sat", "the dog sat", "a cat ran"] * 5)
    surprise = model.surprise(coded(["the cat ran", "nar tac eht"], dict(numbers)))
    assert surprise[0] < surprise[1] / 3


def test_beginnings_count_by_how_often_they_occur() -> None:
    """ "a" begins nine texts of ten, so it is likely there though it follows one thing alone, the beginning."""
    model, numbers = learnt(["ab"] * 9 + ["bb"], order=3)
    assert chances(model, numbers, "a")[0] > 0.7


def test_perplexity_is_the_exponential_of_the_mean_surprise() -> None:
    tokens = np.array([2, 3, 5])
    alike = perplexity(np.log(7) * tokens, tokens)
    assert (alike.value, alike.low, alike.high) == pytest.approx((7, 7, 7))
    found = perplexity(np.array([2.0, 6.0]), np.array([4, 4]))
    assert found.value == pytest.approx(math.e)
    assert found.ends[0] < found.value < found.ends[1]


def test_the_interval_of_perplexity_holds_the_truth() -> None:
    """Surprises of 1 to 10 tokens that are exponential with mean 1: perplexity e."""
    draw = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        tokens = draw.integers(1, 11, 80)
        low, high = perplexity(draw.gamma(tokens), tokens).ends
        held += low <= math.e <= high
    assert held >= 180


def test_nothing_to_learn_from_is_said() -> None:
    with pytest.raises(MetricError, match="at least one"):
        learnt([])
    with pytest.raises(MetricError, match="at least one"):
        perplexity(np.zeros(0), np.zeros(0, np.int64))
