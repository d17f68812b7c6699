import json
import sys
from typing import Any

import numpy as np
import pytest

from sparring.data.vocabularies import (
    END,
    SPECIAL,
    START,
    UNKNOWN,
    BytePairs,
    Characters,
    code_points,
    learn,
    vocabulary_of,
)
from sparring.errors import SettingError

POEMS = ["床前明月光", "疑是地上霜", "举头望明月", "低头思故乡"]
CODE = [f"def f{n}(a):\n    if a > {n}:\n\n        return 'x'  # {n}\n    return a\n" for n in range(40)]


@pytest.fixture(scope="module")
def pairs() -> BytePairs:
    pytest.importorskip("tokenizers")
    found = learn(CODE, "bpe", 300)
    assert isinstance(found, BytePairs)
    return found


def test_characters_are_numbered_from_3_by_frequency_then_code_point() -> None:
    vocabulary = learn(["abc", "cb", "c"], "characters", 100)
    assert vocabulary == Characters("cba")
    assert vocabulary.size == 6
    assert vocabulary.encode("abc") == [5, 4, 3]
    assert learn(["ba"], "characters", 100) == Characters("ab")


def test_characters_beyond_the_limit_are_unknown() -> None:
    vocabulary = learn(POEMS, "characters", 3 + 3)
    assert vocabulary == Characters("头明月")
    assert vocabulary.encode("明月光") == [4, 5, UNKNOWN]
    assert vocabulary.decode([4, 5, UNKNOWN]) == "明月\N{REPLACEMENT CHARACTER}"
    assert vocabulary.unknown("明光月光霜") == ["光", "霜"]


def test_decoding_stops_at_the_first_end_and_leaves_out_start() -> None:
    vocabulary = Characters("ab")
    assert vocabulary.decode([START, 3, 4, END, 3]) == "ab"
    assert vocabulary.decode([END, 3]) == ""


def test_all_texts_at_once_are_as_one_by_one(pairs: BytePairs) -> None:
    for vocabulary, texts in ((learn(POEMS, "characters", 9), [*POEMS, "", "光🎉"]), (pairs, [*CODE, "", "é\r\n"])):
        flat, lengths = vocabulary.encode_all(texts)
        assert lengths.tolist() == [len(vocabulary.encode(text)) for text in texts]
        assert flat.tolist() == [token for text in texts for token in vocabulary.encode(text)]
        assert vocabulary.encode_all([])[0].shape == (0,)


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_a_vocabulary_is_its_description(kind: Any) -> None:
    if kind == "bpe":
        pytest.importorskip("tokenizers")
    vocabulary = learn(CODE, kind, 300)
    again = vocabulary_of(json.loads(json.dumps(vocabulary.describe())))
    assert again == vocabulary == learn(CODE, kind, 300)
    assert again.size == vocabulary.size <= 300
    assert again.encode(CODE[3]) == vocabulary.encode(CODE[3])


def test_byte_pairs_lose_nothing(pairs: BytePairs) -> None:
    for text in [
        *CODE,
        "",
        "  ",
        "\n\n\t \r\n",
        "é",
        "床前明月光 🎉",
        "\0\x1b[0m",
        "<s></s>[UNK]",
        "e\u0301",
        "\ufeff",
    ]:
        tokens = pairs.encode(text)
        assert min(tokens, default=SPECIAL) >= SPECIAL
        assert max(tokens, default=0) < pairs.size
        assert pairs.decode([START, *tokens, END, 17]) == text
        assert pairs.unknown(text) == []


def test_byte_pairs_are_those_of_the_reference_algorithm() -> None:
    """The example of Sennrich et al. 2016, section 3.2, without the mark of the end of a word that bytes do not need.

    In "low" five times, "lower" twice, "newest" six times and "widest" three times, "es" and "est" are joined first.
    """
    pytest.importorskip("tokenizers")
    texts = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
    vocabulary = learn(texts, "bpe", SPECIAL + 256 + 4)
    assert isinstance(vocabulary, BytePairs)
    assert vocabulary.merges[:2] == ("e s", "es t")
    assert set(vocabulary.merges[2:]) == {"l o", "lo w"}
    assert len(vocabulary.encode("lowest")) == 2


def test_byte_pairs_grow_no_longer_than_the_corpus_has_pairs(pairs: BytePairs) -> None:
    pytest.importorskip("tokenizers")
    assert pairs.size == 300
    assert len(pairs.encode(CODE[0])) < len(CODE[0]) / 2
    assert learn(["ab"], "bpe", 5000).size == SPECIAL + 256


def test_bytes_that_are_no_character_do_not_end_a_sample(pairs: BytePairs) -> None:
    first_byte_of_two = pairs.encode("é")[0]
    assert pairs.decode([first_byte_of_two, *pairs.encode("a")]) == "\N{REPLACEMENT CHARACTER}a"


def test_half_of_a_surrogate_pair_is_unknown_to_byte_pairs(pairs: BytePairs) -> None:
    assert pairs.unknown("a\udce9b") == ["\udce9"]


def test_sizes_that_are_too_small() -> None:
    with pytest.raises(SettingError, match="vocabulary_size 3: characters need at least 4"):
        learn(POEMS, "characters", 3)
    pytest.importorskip("tokenizers")
    with pytest.raises(SettingError, match="vocabulary_size 258: bpe needs at least 259"):
        learn(POEMS, "bpe", 258)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(SettingError, match=r"pip install 'sparring\[text\]', or choose --set tokens=characters"):
        learn(POEMS, "bpe", 1000)
    with pytest.raises(SettingError, match="needs the library tokenizers"):
        vocabulary_of({"kind": "bpe", "merges": []}).encode("a")
    assert learn(POEMS, "characters", 1000).size == SPECIAL + 17


def test_a_description_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingError, match="kind 'words'"):
        vocabulary_of({"kind": "words"})


def test_code_points_are_those_of_unicode() -> None:
    text = "aé床🎉\udce9"
    assert code_points(text).tolist() == [ord(symbol) for symbol in text]
    assert code_points("").dtype == np.uint32
