from collections import Counter

import pytest
import torch

from sparring.data import Sequences, Tokens
from sparring.data.vocabularies import Characters


@pytest.fixture
def made() -> Sequences:
    texts = tuple("abcdefghij"[: 1 + n % 4] for n in range(20))
    vocabulary = Characters("abcd")
    rows = [vocabulary.encode(text) + [0] * (5 - len(text)) for text in texts]
    return Sequences(torch.tensor(rows, dtype=torch.int16), vocabulary, "made", "00", texts)


def test_a_batch_is_the_sequences_asked_for(made: Sequences) -> None:
    batch = made.batch(torch.tensor([3, 0]))
    assert batch.tokens.dtype == torch.int64
    assert batch.tokens.tolist() == [[3, 4, 5, 6, 0], [3, 0, 0, 0, 0]]
    assert (len(batch), len(batch[:1])) == (2, 1)
    assert isinstance(batch[:1], Tokens)


def test_shape_and_length(made: Sequences) -> None:
    assert (len(made), made.longest, made.shape) == (20, 5, (5,))
    assert (made.classes, made.class_shares) == ((), ())


def test_an_epoch_shows_every_sequence_once_on_all_ranks_together(made: Sequences) -> None:
    parts = [made.draw(7, position, 4, rank, 2).tokens for position in range(0, 20, 4) for rank in (0, 1)]
    shown = Counter(map(tuple, torch.cat(parts).tolist()))
    assert shown == Counter(map(tuple, made.tokens.tolist()))
    assert torch.equal(torch.cat(parts[:2]), made.draw(7, 0, 4).tokens)


def test_what_is_held_out_is_never_drawn(made: Sequences) -> None:
    shown, held_out = made.hold_out(6)
    assert held_out is not None
    assert shown.drawn is not None
    assert held_out.drawn is not None
    assert len(held_out.shown_texts()) == 6
    assert sorted([*shown.drawn.tolist(), *held_out.drawn.tolist()]) == list(range(20))
    assert Counter([*shown.shown_texts(), *held_out.shown_texts()]) == Counter(made.shown_texts())
    drawn = held_out.draw(0, 0, 6).tokens
    assert Counter(map(held_out.vocabulary.decode, drawn.tolist())) == Counter(held_out.shown_texts())
    assert made.hold_out(0) == (made, None)


def test_to_moves_what_fits_and_only_that(made: Sequences, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = made.to("meta")
    assert moved.tokens.device.type == "meta"
    monkeypatch.setattr("sparring.data.memory.available", lambda: made.tokens.nbytes * 3 - 1)
    stayed = made.to("meta")
    assert stayed.tokens.device.type == "cpu"
    assert stayed.batch(torch.tensor([1])).tokens.device.type == "meta"
