import io
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.test_config import VALUES
from tests.training.test_trainer import SMALL

import sparring
from sparring import config
from sparring.errors import SettingError
from sparring.metrics.estimate import Estimate
from sparring.training import tuning
from sparring.training.files import read_lines
from sparring.training.match import Match, State
from sparring.training.monitor import PlainMonitor
from sparring.training.tuning import LOOKS, Candidate, compared_by, longest, those_ahead, tuned_setting, variant

BRIEF = {name: value for name, value in SMALL.items() if "every" not in name}


def settings(**changes: Any) -> config.Settings:
    return config.complete(VALUES | changes)


def test_the_penalty_is_tuned_where_there_is_one() -> None:
    assert tuned_setting(settings(penalty="r1+r2", penalty_strength=1.0), []) == "penalty_strength"
    assert tuned_setting(settings(penalty="none"), []) == "learning_rate"
    assert tuned_setting(settings(penalty="wgan-gp"), []) == "learning_rate"
    assert tuned_setting(settings(penalty="r1", penalty_strength=1.0), ["penalty_strength"]) == "learning_rate"
    with pytest.raises(SettingError, match="penalty_strength and learning_rate are given: nothing to tune"):
        tuned_setting(settings(), ["penalty_strength", "learning_rate"])
    with pytest.raises(SettingError, match="learning_rate is given: nothing to tune"):
        tuned_setting(settings(penalty="none"), ["learning_rate"])


def test_what_makes_no_difference_yet_is_not_tuned() -> None:
    """Before the game nobody is penalised."""
    assert tuned_setting(settings(supervised=0.5), []) == "learning_rate"
    assert tuned_setting(settings(supervised=0.01), []) == "penalty_strength"


def test_texts_have_nothing_to_tune(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("".join(f"line number {i} of a text\n" for i in range(200)))
    with pytest.raises(SettingError, match="for 70 % of the time the generator learns without the game, and at a rate"):
        sparring.tune(tmp_path / "texts.txt", out=tmp_path / "run", task="text", minutes=0.1)
    assert not (tmp_path / "run").exists()


def test_what_is_0_at_first_does_not_compare() -> None:
    assert compared_by(settings(quality_metric="prc")) == "fid"
    assert compared_by(settings(quality_metric="kid")) == "kid"


def test_what_a_setting_falls_to_goes_with_it() -> None:
    changed = variant(settings(penalty_strength=2.0, penalty_strength_final=0.7), "penalty_strength", 3.0)
    assert (changed.penalty_strength, changed.penalty_strength_final) == pytest.approx((6.0, 2.1))
    constant = variant(settings(learning_rate=2e-4, learning_rate_final=2e-4), "learning_rate", 0.5)
    assert (constant.learning_rate, constant.learning_rate_final) == pytest.approx((1e-4, 1e-4))


def test_who_is_better_beyond_doubt_is_ahead() -> None:
    near, far, other = (Estimate(value, value - 0.1, value + 0.1) for value in (0.6, 0.9, 0.5))
    others = [Candidate(i, Any, quality) for i, quality in enumerate((other, near, None, far))]
    assert [candidate.value for candidate in those_ahead(others, near, "prc")] == [3]
    assert [candidate.value for candidate in those_ahead(others, far, "fid")] == [0, 1]
    assert those_ahead(others, other, "fid") == []
    assert [candidate.value for candidate in those_ahead(others, None, "fid")] == [0, 1, 3]
    assert [candidate.value for candidate in those_ahead(others, None, "prc")] == [3, 1, 0]


def test_without_an_interval_nothing_is_beyond_doubt() -> None:
    sure, unsure = Candidate(0, Any, Estimate(0.1, 0.05, 0.15)), Candidate(1, Any, Estimate(0.1))
    assert those_ahead([sure, unsure], Estimate(0.9), "fid") == []
    assert those_ahead([sure, unsure], Estimate(0.9, 0.8, 1.0), "fid") == [sure]


@pytest.mark.parametrize(
    ("qualities", "taken", "looks", "judgements"),
    [
        ({1.0: (0.5, 0.1), 3.0: (0.6, 0.05), 10.0: (0.9, 0.05)}, 1.0, 1, 3),  # none is better: it is over at once
        ({1.0: (0.5, 0.1), 3.0: (0.4, 0.1), 10.0: (0.35, 0.1)}, 1.0, 1, 3),  # better, but not beyond doubt
        ({1.0: (0.5, 0.1), 3.0: (0.2, 0.1), 10.0: (0.25, 0.1)}, 3.0, 2, 6),
        ({1.0: (0.5, 0.1), 3.0: (0.9, 0.1), 10.0: (0.2, 0.1)}, 10.0, 2, 5),
    ],
)
def test_a_race_is_over_when_nobody_is_ahead(
    qualities: dict[float, tuple[float, float]],
    taken: float,
    looks: int,
    judgements: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count()

    def judged(match: Any, judge: Any) -> Estimate:
        value, margin = qualities[match.settings.penalty_strength]
        next(clock)  # a second for each
        return Estimate(value, value - margin, value + margin)

    def play(match: Any, seconds: float) -> None:
        for _ in range(round(seconds - match.state.seconds)):
            next(clock)
        match.state.seconds = seconds

    monkeypatch.setattr(tuning, "judged", judged)
    monkeypatch.setattr(tuning, "play", play)
    monkeypatch.setattr(tuning.time, "perf_counter", lambda: float(next(clock)))

    def again(settings: config.Settings) -> Any:
        return SimpleNamespace(settings=settings, state=State())

    first = again(settings(penalty_strength=1.0, images=None, minutes=10.0))
    said: list[str] = []
    best, choice = tuning.search(first, "penalty_strength", again, lambda match: Estimate(0), said.append)
    assert best.settings.penalty_strength == taken
    assert (best is first) == (taken == 1.0)
    assert best.state.seconds == pytest.approx(LOOKS[looks - 1] * 600)
    assert ("as chosen" in choice.reason) == (taken == 1.0)
    assert len(said) == judgements
    spent = 600 - 60 * best.settings.minutes + best.state.seconds
    assert LOOKS[0] * 3 * 600 < spent <= longest("penalty_strength", 600, 1) + 1


def test_the_best_goes_on_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: dict[float, float] = {}
    judgements: list[float] = []

    def judged(match: Match, judge: Any) -> Estimate | None:
        strength = match.settings.penalty_strength
        played[strength] = match.state.seconds
        judgements.append(strength)
        value = abs(strength - 3) / 10
        return None if strength == 10 else Estimate(value, value - 0.05, value + 0.05)

    monkeypatch.setattr(tuning, "judged", judged)
    run = sparring.tune("digits", out=tmp_path / "run", minutes=0.1, penalty_strength_final=0.5, **BRIEF)
    assert run.settings().penalty_strength == 3
    assert run.settings().penalty_strength_final == pytest.approx(1.5)
    assert set(played) == {1, 3, 10}
    assert judgements == [1, 3, 10, 1, 3]
    assert played[3] > played[10] > 0
    summary = run.summary()
    assert summary["state"] == "finished"
    assert summary["seconds"] == pytest.approx(60 * (run.settings().minutes or 0), abs=0.5)
    assert summary["seconds"] < 5.8
    choice = run.plan()["choices"][0]
    assert (choice["setting"], choice["value"]) == ("penalty_strength", "3")
    assert choice["reason"].startswith("the best of 1, 3, 10, which were tried: ")


def test_a_search_that_takes_all_of_the_time_says_so(tmp_path: Path) -> None:
    log = io.StringIO()
    run = sparring.tune("digits", out=tmp_path / "run", minutes=0.001, monitor=PlainMonitor(log), **BRIEF)
    assert "warning: the search has used up the time" in log.getvalue()
    assert "It will take less than a second." in log.getvalue()
    assert run.summary()["state"] == "finished"


def test_what_a_search_has_spoilt_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a learning rate far too high all candidates are spoilt when the run begins, and with them its checkpoint."""

    def spoil(match: Match, seconds: float) -> None:
        match.play()
        with torch.no_grad():
            for weights in match.discriminator.module.parameters():
                weights *= 1e3
        match.state.seconds = seconds

    monkeypatch.setattr(tuning, "play", spoil)
    run = sparring.tune("digits", out=tmp_path / "run", minutes=0.1, guard_every=64, **BRIEF)
    went_back = [
        event["message"] for event in read_lines(run.folder / "events.jsonl") if "went back" in event["message"]
    ]
    assert "went back to 32 images" in went_back[0]  # what the search came to, after a step
    assert "went back to 0 images" in went_back[1]
    assert len(went_back) == 2
    assert run.summary()["state"] == "finished"


def test_a_search_in_which_nothing_can_be_judged_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "judged", lambda match, judge: None)
    with pytest.raises(SettingError, match="none of the values of penalty_strength"):
        sparring.tune("digits", out=tmp_path / "run", minutes=0.02, **BRIEF)
    assert list((tmp_path / "run").iterdir()) == []
