"""What the text task chooses of its settings, before the rest is chosen as for all tasks."""

from importlib.util import find_spec

from sparring.choices import Choices, threads_for
from sparring.data import TextSurvey
from sparring.tasks.sequences_recipe import budget, choose_game, choose_players, choose_rates, hold_out

CHARACTERS_UP_TO = 48
"""Characters of a usual text up to which each is a symbol of its own; longer texts are cut into frequent pieces."""

MOST_CHARACTERS, MOST_PIECES = 8000, 4000
"""Symbols at most; of rarer characters there is too little to learn from."""

LONGEST = 192

WIDTH, DEPTH = 256, 4
BATCH = 64
ROOM, ROOM_OF_LESSONS = 2**24, 2**26
"""A number for each symbol at each place of a micro-batch, at most: 64 MiB in a game, whose steps need many times as
much, and 256 MiB where there are lessons alone."""

CHARACTERS_A_PIECE = 3
"""Long texts have at least so many, nearly all of them; of Chinese, Japanese and Korean each character is a piece."""

SUPERVISED, HEAD_START = 0.7, 0.15
MOST_HELD_OUT = 1000

LONG = 150
"""Characters; where half of the texts have more, no game is played on a CPU. Of 25 minutes over functions of Python it
had three tenths, showed 600 of the 26,000, and left 25 % that parse, where lessons alone gave 41 %."""

EPOCHS, LEAST_SHOWN = 30, 200_000


def cut(short: bool) -> tuple[str, str]:
    """What texts are cut into, and why."""
    if short:
        return "characters", "texts are short"
    if find_spec("tokenizers") is None:
        return (
            "characters",
            "for want of the library tokenizers; pip install 'sparring[text]' learns more from long texts",
        )
    return "bpe", "texts are long"


def choose(settings: Choices, survey: TextSurvey, factor: float) -> int:
    """Fills in what suits texts, and gives the usual budget in texts shown.

    Raises: SettingError if the given settings do not go together, DataError if documents hold too little.
    """
    pick = settings.choose
    short = survey.median <= CHARACTERS_UP_TO
    tokens = pick("tokens", *cut(short))
    most = pick("vocabulary_size", MOST_CHARACTERS if tokens == "characters" else MOST_PIECES)
    longest = pick("length", LONGEST)
    texts = survey.trained_on(tokens, most, longest)
    hold_out(settings, texts, MOST_HELD_OUT)

    choose_players(settings, factor, WIDTH, DEPTH)
    pick("symbol_dropout", 0.2)

    slow = survey.median > LONG and settings.values["device"] == "cpu"
    against = (
        "texts are long: on a CPU they learn more from lessons alone; true plays a game after them" if slow else ""
    )
    playing = choose_game(settings, SUPERVISED, HEAD_START, against)

    batch = pick("batch", BATCH)
    symbols = settings.values["vocabulary_size"] if tokens == "bpe" else survey.distinct
    a_character = 1 if tokens == "characters" else survey.cjk + (1 - survey.cjk) / CHARACTERS_A_PIECE
    places = min(longest, 1 + int(survey.longest * a_character))
    room = ROOM if playing else ROOM_OF_LESSONS
    pick("micro_batch", max(1, min(batch, room // (symbols * places))))
    choose_rates(settings, factor)

    usual = budget(texts, EPOCHS, LEAST_SHOWN * factor, batch)
    if settings.values.get("minutes") is None:
        what = "piece of a document" if survey.documents else "text"
        pick("images", usual, f"the budget, each {what} {usual / texts:,.0f} times; --images or --minutes set another")
    pick("patience", None)
    pick("quality_features", "ngrams")
    pick("quality_metric", "reverse" if playing else "perplexity")
    pick("supervised_metric", "perplexity")
    pick("quality_samples", 1000)
    pick("threads", *threads_for(settings))
    return usual
