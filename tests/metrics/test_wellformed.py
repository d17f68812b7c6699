import warnings

from sparring.metrics.wellformed import form_of, forms, is_code, parses

VERSE = "\u79e6\u5ddd\u96c4\uff0c\u51fd\u8c37\u58ee\u3002"


def test_a_form_is_letters_digits_and_marks() -> None:
    assert form_of(VERSE) == "xxx\uff0cxxx\u3002"
    assert form_of("Room 101\n\u00e9t\u00e9!") == "xxxx 999\nxxx!"


def test_few_forms_are_those_that_cover_nearly_all_texts() -> None:
    assert forms([VERSE] * 95 + ["other things"] * 5) == {"xxx\uff0cxxx\u3002", "xxxxx xxxxxx"}
    assert forms([VERSE] * 199 + ["odd"]) == {"xxx\uff0cxxx\u3002"}  # one of 200 is no form
    assert forms([VERSE] * 60 + ["x" * n for n in range(1, 41)]) == frozenset()


def test_python_is_told_from_other_texts() -> None:
    assert parses(["x = 1", "  if x:\n      y()", "a man", "print('", "", "\0", "x = '\\d'"]) == [
        *(True, True, False, False, False, False, True)
    ]
    assert is_code(["x = 1"] * 8 + ["a man on a bench"] * 2)
    assert not is_code(["emma", "noah", "12"])
    assert not is_code([])


def test_hostile_texts_raise_nothing_and_warn_of_nothing() -> None:
    hostile = [
        "(" * 5000,
        "-" * 90_000 + "1",
        "x" + ".a" * 20_000,
        "1" * 90_000,
        "if 1:\n" * 200,
        "'\\d' is 1",
        "x" * 10**6,
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(parses(hostile)) == len(hostile)
