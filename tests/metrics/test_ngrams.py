import math
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from sparring.errors import MetricError
from sparring.metrics.ngrams import bleu, group_errors, left_out, repetition, self_bleu, self_bleu_estimates
from sparring.metrics.units import Corpus, coded


def corpora(*sets: Sequence[Sequence[str]]) -> list[Corpus]:
    numbers: dict[str, int] = {}
    return [coded(texts, numbers) for texts in sets]


def grams(text: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))


def plain_bleu(candidate: Sequence[str], references: Sequence[Sequence[str]], order: int) -> float:
    """By the letter of Papineni et al. 2002, with method 1 of Chen & Cherry 2014."""
    logs = 0.0
    for n in range(1, order + 1):
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= grams(reference, n)
        mine = grams(candidate, n)
        hits = sum((mine & most).values())
        if n == 1 and not hits:
            return 0.0
        logs += math.log((hits or 0.1) / max(1, sum(mine.values()))) / order
    nearest = min((abs(len(r) - len(candidate)), len(r)) for r in references)[1]
    return math.exp(logs + min(0, 1 - nearest / len(candidate)))


def random_texts(seed: int, count: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list("aaabbcd"), draw.integers(1, 12))) for _ in range(count)]


def test_the_example_of_the_paper() -> None:
    """Papineni et al. 2002, example 2: "the" counts twice, as often as a reference has it, of seven."""
    candidates, references = corpora([["the"] * 7], [s.split() for s in PAPERS])
    assert bleu(candidates, references, 1)[0, 0] == pytest.approx(2 / 7)


PAPERS = ["the cat is on the mat", "there is a cat on the mat"]


def test_bleu_is_what_its_definition_says() -> None:
    mine, theirs = random_texts(0, 40), random_texts(1, 15)
    mine += ["xyz", "ax"]  # without a known token; with one
    found = bleu(*corpora(mine, theirs), order=5)
    for n in (1, 2, 3, 4, 5):
        expected = [plain_bleu(text, theirs, n) for text in mine]
        np.testing.assert_allclose(found[n - 1], expected, rtol=1e-12)


def test_self_bleu_is_bleu_against_all_others() -> None:
    texts = [*random_texts(2, 30), "abcdabcdabcdabcd"]  # longer than all others
    found = self_bleu(*corpora(texts), order=4)
    for n in (1, 2, 3, 4):
        expected = [plain_bleu(text, texts[:i] + texts[i + 1 :], n) for i, text in enumerate(texts)]
        np.testing.assert_allclose(found[n - 1], expected, rtol=1e-12)


def test_a_text_among_the_references_has_one_and_an_empty_one_has_none() -> None:
    candidates, references = corpora(["abcdef", ""], ["abcdef", "ab"])
    np.testing.assert_allclose(bleu(candidates, references)[:, 0], 1)
    assert not bleu(candidates, references)[:, 1].any()


def test_copies_of_one_text_have_a_self_bleu_of_one() -> None:
    (texts,) = corpora(["abcdefgh"] * 25)
    for estimate in self_bleu_estimates(texts):
        assert estimate.low == estimate.value == estimate.high == pytest.approx(1)


def test_the_interval_of_self_bleu_is_as_wide_as_other_draws_scatter() -> None:
    draws = [self_bleu_estimates(*corpora(random_texts(seed, 60)), order=3)[2] for seed in range(40)]
    truth = np.mean([draw.value for draw in draws])
    held = sum(draw.ends[0] <= truth <= draw.ends[1] for draw in draws)
    assert held >= 34


def test_groups_are_each_left_out_once() -> None:
    (texts,) = corpora(random_texts(3, 40))
    parts = list(left_out(texts))
    assert [len(part) for part in parts] == [36] * 10
    means = np.array([part.lengths.mean() for part in parts])
    # Of a mean the grouped jackknife is the scatter of the groups' means over the root of their number.
    groups = texts.lengths.reshape(4, 10).mean(0)
    assert group_errors(means) == pytest.approx(groups.std(ddof=1) / math.sqrt(10))


def test_repetition_counts_what_a_text_had_before() -> None:
    (texts,) = corpora(["ababab", "abcd", "a", ""])
    np.testing.assert_allclose(repetition(texts), [3 / 5, 0, 0, 0])


def test_no_references_and_a_text_alone_are_said() -> None:
    some, none = corpora(["ab"], [])
    with pytest.raises(MetricError, match="at least one"):
        bleu(some, none)
    with pytest.raises(MetricError, match="at least 2"):
        self_bleu(some)
    with pytest.raises(MetricError, match="at least 20"):
        self_bleu_estimates(some)


def test_a_thousand_against_ten_thousand_takes_a_second_or_two() -> None:
    draw = np.random.default_rng(0)
    texts = ["".join(map(chr, draw.zipf(1.3, 24) % 4000 + 0x4E00)) for _ in range(11_000)]
    made, real = corpora(texts[:1000], texts[1000:])
    start = time.monotonic()
    bleu(made, real)
    self_bleu(made)
    assert time.monotonic() - start < 5
