import io
from pathlib import Path
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
from sparring.training.match import Match
from sparring.training.monitor import PlainMonitor
from sparring.training.tuning import FACTORS, ROUNDS, TRYING, Candidate, ranked, tuned_setting, variant

BRIEF = {name: value for name, value in SMALL.items() if "every" not in name}


def settings(**changes: Any) -> config.Settings:
    return config.complete(VALUES | changes)


def test_the_penalty_is_tuned_where_there_is_one() -> None:
    assert tuned_setting(settings(penalty="r1+r2", penalty_strength=1.0), []) == "penalty_strength"
    assert tuned_setting(settings(penalty="none"), []) == "learning_rate"
    assert tuned_setting(settings(penalty="wgan-gp"), []) == "learning_rate"
    assert tuned_setting(settings(penalty="r1", penalty_strength=1.0), ["penalty_strength"]) == "learning_rate"
    with pytest.raises(SettingError, match="nothing to tune"):
        tuned_setting(settings(), ["penalty_strength", "learning_rate"])


def test_what_a_setting_falls_to_goes_with_it() -> None:
    changed = variant(settings(penalty_strength=2.0, penalty_strength_final=0.7), "penalty_strength", 3.0)
    assert (changed.penalty_strength, changed.penalty_strength_final) == pytest.approx((6.0, 0.6))


def test_the_search_takes_the_share_of_the_time_that_is_said() -> None:
    count = len(FACTORS["penalty_strength"])
    spent, before = 0.0, 0.0
    for share, until in ROUNDS:
        spent += round(share * count) * (until - before)
        before = until
    assert spent == pytest.approx(TRYING)


def test_another_value_must_be_better_beyond_doubt() -> None:
    chosen: Any = object()
    near, far, other = (Estimate(value, value - 0.1, value + 0.1) for value in (0.6, 0.9, 0.5))
    candidates = [Candidate(1, chosen, other), Candidate(2, Any, near), Candidate(3, Any, None), Candidate(4, Any, far)]
    assert [candidate.value for candidate in ranked(candidates, "prc", chosen)] == [4, 1, 2, 3]
    assert [candidate.value for candidate in ranked(candidates, "fid", chosen)] == [1, 2, 4, 3]
    assert [candidate.value for candidate in ranked(candidates[1:], "prc", chosen)] == [4, 2, 3]


def test_the_best_goes_on_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: dict[float, float] = {}

    def judged(match: Match, judge: Any) -> Estimate | None:
        strength = match.settings.penalty_strength
        played[strength] = match.state.seconds
        return None if strength == 10 else Estimate(1 - abs(strength - 3) / 10)

    monkeypatch.setattr(tuning, "judged", judged)
    run = sparring.tune("digits", out=tmp_path / "run", minutes=0.1, penalty_strength_final=0.5, **BRIEF)
    assert run.settings().penalty_strength == 3
    assert run.settings().penalty_strength_final == pytest.approx(0.3)
    assert set(played) == {1, 3, 10}
    assert played[3] == pytest.approx(ROUNDS[-1][1] * 6, abs=0.2)
    assert played[10] == pytest.approx(ROUNDS[0][1] * 6, abs=0.2)
    assert played[3] > played[10]
    summary = run.summary()
    assert summary["state"] == "finished"
    assert summary["seconds"] == pytest.approx(60 * (run.settings().minutes or 0), abs=0.5)
    assert summary["seconds"] < 5.5
    choice = run.plan()["choices"][0]
    assert (choice["setting"], choice["value"]) == ("penalty_strength", "3")
    assert "of 3 that were tried the best" in choice["reason"]


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
    assert "went back to 64 images" in went_back[0]  # what the search came to, after two steps
    assert "went back to 0 images" in went_back[1]
    assert len(went_back) == 2
    assert run.summary()["state"] == "finished"


def test_a_search_in_which_nothing_can_be_judged_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "judged", lambda match, judge: None)
    with pytest.raises(SettingError, match="none of the values of penalty_strength"):
        sparring.tune("digits", out=tmp_path / "run", minutes=0.02, **BRIEF)
    assert list((tmp_path / "run").iterdir()) == []
