import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.test_config import VALUES
from tests.training.test_trainer import SMALL, Interrupting, assert_same

import sparring
from sparring import config
from sparring.config import Settings
from sparring.listing import ending
from sparring.metrics.estimate import Estimate
from sparring.randomness import Random
from sparring.tasks.generate import Generate
from sparring.tasks.sample import Sample
from sparring.training.files import read_lines
from sparring.training.guard import NOT_A_NUMBER, SIGNALS, TREATED, Finding, Guard, reached
from sparring.training.match import Match
from sparring.training.monitor import PlainMonitor, QuietMonitor
from sparring.training.run import Run
from sparring.training.treatment import Treatment

STEP = {
    "discriminator_loss": 0.6,
    "generator_loss": 1.0,
    "r1": 0.1,
    "r2": 0.1,
    "sign": 0.5,
    "discriminator_gradient": 1.0,
    "generator_gradient": 1.0,
}
STANDING = {
    "gap": 1.0,
    "slope_real": 0.1,
    "slope_fake": 0.1,
    "push": 0.1,
    "undecided": math.log(2),
    "diversity": 1.0,
    "held_out_gap": 0.9,
}
HALF = Estimate(0.5, 0.45, 0.55)
NEAR = Estimate(1.0, 0.9, 1.1)
BY_NAME = {signal.name: signal for signal in SIGNALS}
TRACES: dict[str, Any] = json.loads((Path(__file__).parent / "healthy.json").read_text())


def trace(name: str) -> list[dict[str, float]]:
    """The vitals of a healthy run, as `benchmarks/healthy.py` wrote them."""
    columns, rows = TRACES[name]["columns"], TRACES[name]["rows"]
    return [{key: value for key, value in zip(columns, row, strict=True) if value is not None} for row in rows]


def settings(**changes: Any) -> Settings:
    return config.complete(VALUES | changes)


def look(guard: Guard, **vitals: float) -> Finding | None:
    """One watch of a calm game, except for some of the vitals."""
    guard.add({name: torch.tensor(vitals.get(name, value)) for name, value in STEP.items()})
    return guard.watch({name: vitals.get(name, value) for name, value in STANDING.items()})[1]


def after_calm(watches: int = 10) -> Guard:
    guard = Guard()
    assert [look(guard) for _ in range(watches)] == [None] * watches
    return guard


@pytest.mark.parametrize(
    ("name", "vitals"),
    [
        ("not a number", {"r2": math.nan}),
        ("not a number", {"generator_loss": math.inf}),
        ("explosion", {"generator_gradient": 200.0}),
        ("explosion", {"discriminator_gradient": 200.0}),
        ("confusion", {"discriminator_loss": 20.0}),
        ("victory", {"sign": 1.0, "push": 1e-6}),
        ("out of range", {"diversity": 20.0}),
        ("collapse", {"diversity": 0.01}),
        ("lopsided", {"slope_fake": 20.0}),
        ("lopsided", {"slope_real": 5e-4}),
        ("steepening", {"slope_real": 100.0, "slope_fake": 100.0}),
        ("learnt by heart", {"sign": 0.9, "held_out_gap": 0.0}),
    ],
)
def test_each_signal_is_provoked_by_what_it_is_for(name: str, vitals: dict[str, float]) -> None:
    guard = after_calm()
    wait = BY_NAME[name].in_a_row
    # D knows pictures by heart if the mean over five watches says so, which the first of them cannot.
    found = [look(guard, **vitals) for _ in range(wait + 4 * (name == "learnt by heart"))]
    assert [finding for finding in found[: wait - 1] if finding] == []
    assert found[-1] is not None
    assert found[-1].signal.name == name


def judged(fid: Estimate = NEAR, recall: Estimate = HALF, coverage: Estimate = HALF) -> dict[str, Estimate]:
    return {"fid": fid, "recall": recall, "coverage": coverage}


def test_what_is_judged_pair_by_pair_is_no_alarm() -> None:
    guard = after_calm()
    for decibels in (30.0, 10.0, 10.0):
        guard.judge({"psnr": Estimate(decibels, decibels - 0.1, decibels + 0.1)})
        assert look(guard) is None


def test_quality_far_below_its_best_is_noticed_at_the_second_evaluation() -> None:
    guard = after_calm()
    for fid, found in ((1.0, None), (3.0, None), (3.0, "decline")):
        guard.judge(judged(Estimate(fid, 0.9 * fid, 1.1 * fid)))
        finding = look(guard)
        assert (finding and finding.signal.name) == found
        assert look(guard) is None  # until it is measured again


def test_variety_that_is_lost_is_noticed_at_the_second_evaluation() -> None:
    guard = after_calm()
    for recall, found in ((0.5, None), (0.1, None), (0.1, "lost variety")):
        guard.judge(judged(recall=Estimate(recall, 0.9 * recall, 1.1 * recall)))
        finding = look(guard)
        assert (finding and finding.signal.name) == found


def test_texts_that_repeat_themselves_are_noticed_at_the_second_evaluation() -> None:
    guard = after_calm()
    finding = None
    for low, high, times in ((0.04, 0.06, 0.667), (0.03, 0.05, 0.6), (0.16, 0.2, 3.2), (0.16, 0.2, 3.2)):
        assert finding is None
        guard.judge(judged() | {"repetition": Estimate((low + high) / 2, low, high)})
        finding = look(guard)
        assert guard.past[-1]["repeating"] == pytest.approx(times, abs=1e-3)
    assert finding is not None and finding.signal.name == "repetition"
    assert "the texts repeat themselves 3.2 times more than at their best" in finding.words
    change = guard.remedy(finding.signal, settings(), 0)
    assert change is not None and change.settings["learning_rate"] < settings().learning_rate


@pytest.mark.parametrize(
    ("repetitions", "half"),
    [((0.04, 0.2, 0.25, 0.2), 0.1), ((1e-3, 0.04, 0.05, 0.05), 2e-3)],
    ids=["within the intervals", "so little that nobody minds"],
)
def test_repetition_that_wanders_is_no_alarm(repetitions: tuple[float, ...], half: float) -> None:
    assert max(repetitions) / min(repetitions) > BY_NAME["repetition"].threshold
    guard = after_calm()
    for repetition in repetitions:
        guard.judge(judged() | {"repetition": Estimate(repetition, max(repetition - half, 0.0), repetition + half)})
        assert look(guard) is None
        assert "repeating" in guard.past[-1]


def test_the_recall_of_noise_is_no_variety() -> None:
    guard = after_calm()
    for recall, coverage in ((0.9, 0.0), (0.3, 0.2), (0.3, 0.3), (0.3, 0.4)):
        estimates = [Estimate(value, 0.9 * value, 1.1 * value) for value in (recall, coverage)]
        guard.judge(judged(recall=estimates[0], coverage=estimates[1]))
        assert look(guard) is None


def test_a_difference_within_the_intervals_is_no_alarm() -> None:
    guard = after_calm()
    for fid in (0.01, 0.05, 0.05, 0.05):
        guard.judge(judged(Estimate(fid, 0.0, fid + 0.05), Estimate(0.02, 0.0, 0.06)))
        assert look(guard) is None


@pytest.mark.parametrize("name", TRACES)
def test_it_stays_silent_on_healthy_runs(name: str) -> None:
    guard = Guard()
    for vitals in trace(name):
        guard.add({key: torch.tensor(vitals[key]) for key in STEP if key in vitals})
        guard.judged = {key: vitals[key] for key in ("decline", "lost_variety") if key in vitals}
        finding = guard.watch({key: vitals[key] for key in STANDING if key in vitals})[1]
        assert finding is None, finding


def test_no_healthy_run_comes_near_a_threshold() -> None:
    assert len(TRACES) == 20
    assert min(len(trace(name)) for name in TRACES) >= 50
    unmeasured = []
    for signal in SIGNALS:
        numbers = [number for name in TRACES if (number := reached(signal, trace(name))) is not None]
        if signal.healthy is None:
            unmeasured.append(signal.name)
            assert numbers == []
        else:
            assert max(numbers) <= signal.healthy <= signal.threshold / 1.05, signal.name
    assert unmeasured == ["repetition"]


def test_the_table_of_healthy_runs_is_what_they_came_to() -> None:
    groups = ("digits", "landscapes, ", "landscapes, from scratch", "faces", "things")
    of = {group: [name for name in TRACES if name.startswith(group)] for group in groups}
    of["landscapes, "].remove("landscapes, from scratch")
    assert sum(map(len, of.values())) == len(TRACES)
    table = (Path(__file__).parents[2] / "docs" / "guard.md").read_text().split("| signal | digits, 15 runs |")[1]
    for line in table.split("\n\n")[0].splitlines()[2:]:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for group, cell in zip(groups, cells, strict=True):
            numbers = [number for run in of[group] if (number := reached(BY_NAME[name], trace(run))) is not None]
            assert cell == (f"{max(numbers):.2g}" if numbers else "-"), (name, group)


def test_nobody_waits_for_what_is_obvious_to_come_again() -> None:
    assert look(after_calm(), diversity=2.9) is None
    finding = look(after_calm(), diversity=1e6)
    assert finding is not None
    assert finding.signal.name == "out of range"


def test_samples_of_a_new_generator_may_differ_more_than_pictures_of_little_on_a_plain_ground() -> None:
    guard = Guard()
    assert [look(guard, diversity=diversity) for diversity in (9.0, 9.5, 8.0, 6.0, 6.5, 6.0)] == [None] * 6
    assert [look(guard, diversity=20.0) is not None for _ in range(3)] == [False, False, True]


def test_a_signal_warns_once_until_it_is_gone() -> None:
    guard = after_calm()
    warned = []
    for diversity in (9.0, 9.0, 9.0, 9.0, 1.0, 9.0, 9.0, 9.0):
        finding = look(guard, diversity=diversity)
        warned.append(finding is not None and guard.is_news(finding.signal))
    assert warned == [False, False, True, False, False, False, False, True]


def test_a_streak_that_is_interrupted_begins_anew() -> None:
    guard = after_calm()
    for vitals in ({"diversity": 0.01}, {"diversity": 0.01}, {}, {"diversity": 0.01}, {"diversity": 0.01}):
        assert look(guard, **vitals) is None
    assert guard.suspects


def test_what_is_remembered_comes_back_from_json() -> None:
    one, other = after_calm(), Guard()
    look(one, diversity=20.0)
    one.judge(judged())
    one.add({name: torch.tensor(0.1 + value) for name, value in STEP.items()})
    other.restore(json.loads(json.dumps(one.state())))
    for guard in (one, other):
        assert look(guard, diversity=20.0) is None
    assert one.state() == other.state()
    for guard in (one, other):
        assert look(guard, diversity=20.0) is not None


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({"penalty": "r1+r2", "penalty_strength": 1.0}, {"penalty_strength": 4.0, "penalty_strength_final": 0.4}),
        ({"penalty": "none", "penalty_strength": 0.0}, {"penalty": "r1+r2", "penalty_strength": 1.0}),
        ({"penalty": "r1"}, {"penalty": "r1+r2"}),
    ],
)
def test_the_slope_is_penalised_more(given: dict[str, Any], changes: dict[str, Any]) -> None:
    chosen = settings(**{"penalty_strength_final": 0.1, **given})
    change = Guard().remedy(BY_NAME["collapse"], chosen, 0)
    assert change is not None
    assert change.settings.items() >= changes.items()


def test_where_the_slope_is_bounded_the_learning_rate_falls_instead() -> None:
    change = Guard().remedy(BY_NAME["collapse"], settings(spectral_norm=True, learning_rate=0.002), 0)
    assert change is not None
    assert change.settings["learning_rate"] == 0.001


def test_a_signal_that_comes_again_is_treated_otherwise_and_harder() -> None:
    guard, chosen = Guard(), settings(penalty="r1+r2", learning_rate=0.004)
    first, second, third = (guard.remedy(BY_NAME["collapse"], chosen, before) for before in range(3))
    assert first and second and third
    assert second.settings["learning_rate"] == 0.001
    assert third.settings["penalty_strength"] == 4 * first.settings["penalty_strength"]


def test_what_does_not_go_back_is_treated_a_few_times_only() -> None:
    guard, chosen = Guard(), settings(augment="ada", augment_images=1000)
    found = [guard.remedy(BY_NAME["learnt by heart"], chosen, 0) for _ in range(TREATED + 1)]
    assert found[0] is not None
    assert found[0].settings == {"augment_images": 250}
    assert found[-1] is None
    assert None not in found[:-1]


# In a run


def nan_at(wrong: Callable[[Random], bool]) -> Callable[..., Sample]:
    """Makes the real pictures NaN in some of the steps."""
    real = Generate.real

    def poisoned(self: Generate, batch: Any, random: Random) -> Sample:
        sample = real(self, batch, random)
        if not wrong(random):
            return sample
        return sample.with_differentiable([part * torch.nan for part in sample.differentiable])

    return poisoned


def once(random: Random) -> bool:
    return random.step == 65 and random.attempt == 0


def test_one_bad_batch_costs_a_few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Match, "rehearse", lambda self: 1.0)
    monkeypatch.setattr(Generate, "real", nan_at(once))
    run = sparring.train("digits", out=tmp_path / "run", guard_every=320, **SMALL | {"images": 3200})
    summary = run.summary()
    assert summary["state"] == "finished"
    events = read_lines(run.folder / "events.jsonl")
    assert [event["event"] for event in events] == ["started", "not a number", "finished"]
    assert "went back to 1,920 images and lowered the learning rate to 5e-4 (try 1 of 5)" in events[1]["message"]
    tensors, state = run.load_checkpoint("cpu")
    assert state["attempt"] == 1
    assert state["changes"]["learning_rate"] == run.settings().learning_rate / 2
    assert all(torch.isfinite(tensor).all() for group in tensors.values() for tensor in group.values())
    seen = [line["images"] for line in read_lines(run.folder / "metrics.jsonl")]
    assert seen == sorted(seen)


def test_a_treated_run_that_is_interrupted_goes_on_as_if_it_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Match, "rehearse", lambda self: 1.0)
    chosen = SMALL | {"images": 3200, "guard_every": 320}
    with monkeypatch.context() as patch:
        patch.setattr(Generate, "real", nan_at(once))
        whole = sparring.train("digits", out=tmp_path / "whole", **chosen)
    with monkeypatch.context() as patch:
        patch.setattr(Generate, "real", nan_at(once))
        broken = sparring.train("digits", out=tmp_path / "broken", monitor=Interrupting(2560), **chosen)
    assert broken.summary()["state"] == "interrupted"
    assert broken.load_checkpoint("cpu")[1]["attempt"] == 1
    log = io.StringIO()
    sparring.resume(broken, monitor=PlainMonitor(log))
    assert "; the guard has set learning_rate 0.0005" in log.getvalue()
    assert_same(whole, broken)


def test_what_cannot_be_helped_ends_with_a_verdict_and_the_best_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Match, "rehearse", lambda self: 1.0)
    monkeypatch.setattr(Generate, "real", nan_at(lambda random: random.step > 65))
    run = sparring.train("digits", out=tmp_path / "run", **SMALL | {"images": 3200})
    summary = run.summary()
    assert summary["state"] == "stopped by the guard"
    assert "no longer a number; 5 tries did not help: the best generator" in summary["message"]
    assert sparring.load(run.folder).sample(4).float().std() > 1
    assert len(run.steps()) <= 2
    assert "sparring sample" in str(ending(run, summary)) and "resume" not in str(ending(run, summary))


def test_a_ruined_run_that_nobody_stopped_does_not_end_like_a_good_one(tmp_path: Path) -> None:
    def told(rate: float) -> str:
        given = SMALL | {"images": 2560, "evaluate_every": 640, "guard": "off", "penalty": "none"}
        rates = {"learning_rate": rate, "learning_rate_final": rate}
        run = sparring.train("digits", out=tmp_path / f"{rate}", **given | rates)
        return str(ending(run, run.summary()))

    assert "Hardly a sample looks like real pictures" in told(1.0)
    assert "Hardly" not in told(1e-3)


def test_a_decline_goes_back_to_when_quality_was_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, called = Guard.judge, 0

    def declining(self: Guard, judged: dict[str, Estimate]) -> None:
        nonlocal called
        called += 1
        judge(self, judged)
        self.at_its_best = called <= 2
        self.judged["decline"] = 2.0 if called in (4, 5) else 1.0

    monkeypatch.setattr(Guard, "judge", declining)
    chosen = SMALL | {"images": 6400, "guard_every": 320, "penalty": "none"}
    run = sparring.train("digits", out=tmp_path / "run", **chosen)
    events = read_lines(run.folder / "events.jsonl")
    assert [event["event"] for event in events] == ["started", "decline", "finished"]
    assert events[1]["images"] == 3520  # the look after the fifth evaluation
    assert "went back to 1,280 images and put R1 and R2 on the discriminator" in events[1]["message"]
    assert run.load_checkpoint("cpu")[1]["changes"]["penalty"] == "r1+r2"
    assert run.summary()["state"] == "finished"


def won_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the discriminator win beyond doubt at the seventh look, and again at the tenth."""
    watch = Guard.watch

    def winning(self: Guard, standing: dict[str, float]) -> tuple[dict[str, float], Finding | None]:
        if (self.looks, self.alarms["victory"]) in ((6, 0), (9, 1)):
            self.sums["sign"] = float(self.counts["sign"])
            standing = {**standing, "push": 0.0}
        return watch(self, standing)

    monkeypatch.setattr(Guard, "watch", winning)


class InterruptingAt(QuietMonitor):
    """Presses Ctrl-C twice as soon as words are said."""

    def __init__(self, words: str) -> None:
        self.words = words

    def note(self, message: str, *, urgent: bool = False) -> None:
        if self.words in message:
            raise KeyboardInterrupt


def test_where_the_discriminator_won_it_goes_back_alone_and_the_run_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    won_twice(monkeypatch)
    chosen = SMALL | {"images": 3840, "guard_every": 320}
    whole = sparring.train("digits", out=tmp_path / "whole", **chosen)
    first, second = (event for event in read_lines(whole.folder / "events.jsonl") if event["event"] == "victory")
    assert (first["images"], second["images"]) == (2240, 3200)
    assert first["message"].endswith("took the discriminator alone back to 1,920 images (try 1 of 5)")
    assert "went back to 2,560 images and raised the strength of R1 and R2 to 8 (try 2 of 5)" in second["message"]
    assert (whole.summary()["state"], whole.load_checkpoint("cpu")[1]["attempt"]) == ("finished", 2)
    with pytest.raises(KeyboardInterrupt):
        sparring.train("digits", out=tmp_path / "broken", monitor=InterruptingAt("discriminator alone"), **chosen)
    broken = sparring.Run(tmp_path / "broken")
    (tensors, state), (then, _) = broken.load_checkpoint("cpu"), broken.load_checkpoint("cpu", latest=1920 // 32)
    assert (state["images"], state["attempt"]) == (2240, 1)
    for name, group in tensors.items():
        as_then = all(torch.equal(value, then[name][key]) for key, value in group.items())
        assert as_then == name.startswith("discriminator")
    sparring.resume(broken, monitor=QuietMonitor())
    assert_same(whole, broken)


def test_where_lessons_come_first_the_whole_run_goes_back() -> None:
    games = (settings(), settings().model_copy(update={"supervised": 0.5}))
    played, taught = (Guard().remedy(BY_NAME["victory"], game, 0) for game in games)
    assert played and taught
    assert (played.discriminator_alone, taught.discriminator_alone) == (True, False)
    assert "penalty_strength" in taught.settings


@pytest.mark.parametrize(("guard", "ended"), [("warn", "stopped by the guard"), ("off", "failed")])
def test_without_it_nothing_is_taken_back(
    guard: str, ended: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Match, "rehearse", lambda self: 1.0)
    monkeypatch.setattr(Generate, "real", nan_at(once))
    run = sparring.train("digits", out=tmp_path / "run", guard=guard, **SMALL | {"images": 3200})
    assert run.summary()["state"] == ended
    assert "no longer a number" in run.summary()["message"]
    tensors, state = run.load_checkpoint("cpu")
    assert state["attempt"] == 0
    assert all(torch.isfinite(tensor).all() for group in tensors.values() for tensor in group.values())
    assert "--guard on" in run.summary()["message"]
    sparring.resume(run, guard="on")
    assert (run.summary()["state"], run.settings().guard) == ("finished", "on")


def test_warnings_name_what_is_counted() -> None:
    state = SimpleNamespace(images=6400, guard=Guard().state())
    match: Any = SimpleNamespace(ranks=None, settings=SimpleNamespace(guard="on", task="molecules"), state=state)
    treatment = Treatment(match, Run("run"), QuietMonitor())
    assert treatment._when(NOT_A_NUMBER).startswith("after 6,400 molecules a loss, a gradient")


def test_watching_changes_nothing(tmp_path: Path) -> None:
    chosen = SMALL | {"images": 1600, "guard_every": 160}
    assert_same(*(sparring.train("digits", out=tmp_path / guard, guard=guard, **chosen) for guard in ("warn", "off")))


@pytest.mark.parametrize("copies", [1, 40])
def test_pictures_without_variety_are_no_alarm(copies: int, tmp_path: Path) -> None:
    np.save(tmp_path / "same.npy", np.full((copies, 8, 8), 90, np.uint8))
    chosen = SMALL | {"images": 1280, "batch": 16, "guard_every": 160}
    run = sparring.train(tmp_path / "same.npy", out=tmp_path / "run", **chosen)
    assert run.summary()["state"] == "finished"
    assert [event["event"] for event in read_lines(run.folder / "events.jsonl")] == ["started", "finished"]


def test_one_picture_at_a_time_is_looked_at_as_all_are(tmp_path: Path) -> None:
    chosen = SMALL | {"images": 320, "batch": 16, "guard_every": 160, "micro_batch": 1}
    run = sparring.train("digits", out=tmp_path / "run", **chosen)
    assert run.summary()["state"] == "finished"
    (vitals, *_) = [line["vitals"] for line in read_lines(run.folder / "metrics.jsonl") if "vitals" in line]
    assert vitals["diversity"] > 0.1


def test_a_learning_rate_far_too_high_is_brought_down(tmp_path: Path) -> None:
    run = sparring.train("digits", out=tmp_path / "run", learning_rate=0.5, **SMALL | {"images": 12_800})
    events = [event["event"] for event in read_lines(run.folder / "events.jsonl")]
    assert set(events[1:-1]) <= BY_NAME.keys()
    assert len(events) > 2
    assert run.load_checkpoint("cpu")[1]["changes"]["learning_rate"] < 0.5


def test_a_rate_that_is_warned_of_only_stays_as_it_is(tmp_path: Path) -> None:
    run = sparring.train("digits", out=tmp_path / "run", guard="warn", learning_rate=0.5, **SMALL | {"images": 6400})
    events = [event["event"] for event in read_lines(run.folder / "events.jsonl")]
    assert "warning" in events
    assert run.load_checkpoint("cpu")[1]["changes"] == {}
