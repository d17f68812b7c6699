"""What the recipe of texts chooses: whether a game is played, and how much goes through the players at once."""

from dataclasses import replace

import pytest

from sparring.chooser import choose
from sparring.config import Settings
from sparring.data.texts import survey_texts

LONG_TEXTS = {"median": 400, "longest": 4_000}


def chosen(survey: dict[str, float] | None = None, **given: object) -> tuple[Settings, dict[str, str]]:
    """The settings for a corpus on a CPU, and the reasons that are told."""
    corpus = survey_texts("python")
    corpus = replace(corpus, **(survey or {}))
    settings, choices = choose("python", {"task": "text", "device": "cpu", **given}, corpus, 1.0)
    return settings, {choice.setting: choice.reason for choice in choices}


def test_long_texts_are_not_played_for_on_a_cpu_unless_a_setting_of_the_game_asks_for_it() -> None:
    settings, told = chosen(LONG_TEXTS)
    assert not settings.adversarial
    assert "long" in told["adversarial"]
    for asked in ({"adversarial": True}, {"head_start": 0.1}, {"objective": "hinge"}, {"gradient": "straight-through"}):
        assert chosen(LONG_TEXTS, **asked)[0].adversarial
    assert "head_start" in chosen(LONG_TEXTS, head_start=0.1)[1]["adversarial"]
    assert not chosen(LONG_TEXTS, adversarial=False, objective="hinge")[0].adversarial


@pytest.mark.parametrize(("adversarial", "parts"), [(False, 1), (True, 4)])
def test_lessons_alone_go_through_the_generator_in_one_batch(adversarial: bool, parts: int) -> None:
    settings, _ = chosen(LONG_TEXTS, adversarial=adversarial, batch=64)
    assert -(-64 // settings.micro_batch) == parts


def test_pieces_are_counted_as_the_several_characters_that_they_are() -> None:
    short = {"median": 60, "longest": 180}
    assert chosen(short, adversarial=True, tokens="bpe", batch=64)[0].micro_batch == 64
    assert chosen({"median": 1, "longest": 2}, tokens="bpe", batch=64)[0].micro_batch == 64


def test_each_chinese_character_is_counted_as_a_piece() -> None:
    """192 characters of poems were cut into 183 pieces; with 4,000 symbols 2^24 // (4,000 * 181) texts of 180 fit."""
    chinese = {"median": 60, "longest": 180, "cjk": 1.0}
    assert chosen(chinese, adversarial=True, tokens="bpe", batch=64)[0].micro_batch == 23
