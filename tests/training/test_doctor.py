import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.test_config import VALUES

from sparring import config
from sparring.listing import diagnosis
from sparring.training.account import Account
from sparring.training.doctor import Advice, examine, signals

CALM = {
    **{"discriminator_loss": 0.6, "generator_loss": 1.0, "sign": 0.5, "undecided": 0.69, "fading": 1.0},
    **{"discriminator_gradient": 1.0, "generator_gradient": 1.0, "gap": 1.0, "slope_real": 0.1, "slope_fake": 0.1},
    **{"push": 0.1, "steepening": 1.0, "diversity": 1.0},
}


def account(measurements: list[dict[str, Any]], state: str = "finished", **parts: Any) -> Account:
    settings = [(name, value, "") for name, value in parts.pop("settings", {}).items()]
    images = measurements[-1]["images"] if measurements else 0
    empty: dict[str, Any] = {"plan": {}, "data": {"pictures": 100}, "environment": {}, "events": []}
    summary = {"state": state, "images": images, "message": "why", "quality": parts.pop("quality", None)}
    return Account(Path("runs/a"), summary=summary, settings=settings, measurements=measurements, **empty | parts)


def judged(*distances: float) -> list[dict[str, Any]]:
    return [{"images": 100 * (i + 1), "quality": {"fid": {"value": fid}}} for i, fid in enumerate(distances)]


def said(found: list[Advice]) -> str:
    return " ".join(advice.words for advice in found)


@pytest.mark.parametrize(
    ("distances", "words"),
    [
        ((5, 4, 3, 2), "still got better. Train on: sparring resume runs/a --images 800"),
        ((5, 2, 3, 3), "no better since; that generator is kept"),
        ((5, 4, 3, 2, 2.5), "and no better in the last 100."),
    ],
)
def test_whether_more_of_the_same_would_help(distances: tuple[float, ...], words: str) -> None:
    found = examine(account(judged(*distances)))
    assert words in said(found)
    assert not any(advice.urgent for advice in found)


@pytest.mark.parametrize(
    ("distances", "state", "words"),
    [
        ((5, 4, 3, 2), "running", "after 400 of 400 images so far: it still gets better. Let it go on."),
        ((5, 4, 3, 2), "interrupted", "after 400 of 400 images so far: it still got better."),
        ((5, 2, 3, 3), "running", "no better since; that generator is kept. Should it stay so, more of the same will"),
        ((5, 2, 3, 3), "interrupted", "Should it stay so, more of the same will not help"),
        ((5, 4, 3, 2, 2.5), "running", "after 400 of 500 images so far, and no better in the last 100."),
    ],
)
def test_what_holds_on_the_way_is_said_of_a_run_that_is_not_over(
    distances: tuple[float, ...], state: str, words: str
) -> None:
    found = examine(account(judged(*distances), state=state))
    told = said(found)
    assert words in told
    assert "--images" not in told
    assert not any(advice.urgent for advice in found)
    assert ("sparring resume runs/a" in told) is (state == "interrupted")


def test_a_process_that_is_gone_is_another_thing_than_one_that_was_stopped() -> None:
    stopped = account(judged(5, 4), state="interrupted")
    gone = replace(stopped, summary={**stopped.summary, "message": ""})
    assert [advice.urgent for advice in examine(gone)] == [True]
    assert "Interrupted: its process is gone and has left no word. Go on with it" in said(examine(gone))


def test_the_best_generator_is_not_old_because_the_next_evaluation_is_yet_to_come() -> None:
    lines = [*judged(5, 4, 3, 2), {"images": 490}]
    assert "after 400 of 490 images so far: it still gets better" in said(examine(account(lines, state="running")))


@pytest.mark.parametrize("state", ["failed", "stopped by the guard"])
def test_a_run_that_broke_is_told_first_and_not_to_go_on_as_it_was(state: str) -> None:
    quality = {"metric": "fid", "metrics": {"precision": {"value": 0.4}}}
    first, *others = examine(account(judged(5, 4, 3, 2), state=state, quality=quality, settings={"guard": "on"}))
    assert first.seen == f"{state.capitalize()}: why."
    assert "still got better" in said(others) and "40 % of the samples look like real pictures" in said(others)
    assert "rain" not in said(others) and "resume" not in said(others)


def given_up(*happened: str, guard: str = "on", changed: dict[str, Any] | None = None, **settings: Any) -> str:
    """What is said of a run that the guard went back with for these signals, and gave up."""
    rates = {"learning_rate": 0.002, "learning_rate_final": 0.0002}
    complete = config.complete(VALUES | rates | settings | (changed or {}))
    events = [{"event": name, "message": "M"} for name in happened]
    given = account(
        [], state="stopped by the guard", settings={"guard": guard}, events=[*events, {"event": "stopped by the guard"}]
    )
    return examine(replace(given, complete=complete, changes=changed or {}))[0].do


ANEW = "Train anew with the learning_rate and the penalty that are chosen, or if these were, with"
LOWER = "--set learning_rate=0.001 --set learning_rate_final=0.0001"
STEADIER = "--set penalty_strength=4 --set penalty_strength_final=0.4"


@pytest.mark.parametrize(
    ("last", "settings", "words"),
    [
        ("explosion", {}, f"{ANEW} {LOWER}, or with {STEADIER}, and look"),
        ("collapse", {}, f"{ANEW} {STEADIER}, or with {LOWER}, and look"),
        ("victory", {}, f"{ANEW} {STEADIER}, or with {LOWER}, and look"),  # a D taken back alone is no setting
        ("not a number", {}, f"{ANEW} {LOWER}, and look"),
        ("collapse", {"penalty": "wgan-gp"}, f"{ANEW} {LOWER}, and look"),
        ("collapse", {"spectral_norm": True, "penalty": "none"}, f"{ANEW} {LOWER}, and look"),
        (
            "collapse",
            {"penalty": "none", "penalty_strength": 0.0, "penalty_strength_final": 0.0},
            f"{ANEW} --set penalty=r1+r2 --set penalty_strength=1 --set penalty_strength_final=0.1, or with",
        ),
    ],
)
def test_a_run_that_was_given_up_is_told_what_may_help_against_what_ended_it(
    last: str, settings: dict[str, Any], words: str
) -> None:
    """Half the rate, or four times the penalty, as far as it applies."""
    penalised = {"penalty": "r1+r2", "penalty_strength": 1.0, "penalty_strength_final": 0.1}
    assert words in given_up("explosion", *["lopsided"] * 3, last, "learnt by heart", **penalised | settings)


def test_a_run_that_was_given_up_is_not_told_what_was_tried_in_vain() -> None:
    lower = {"learning_rate": 0.0005, "learning_rate_final": 0.00005}
    told = given_up(*["explosion"] * 5, changed=lower)
    lower_still = "--set learning_rate=0.00025 --set learning_rate_final=2.5e-05"
    with_it = "--set learning_rate=0.0005 --set learning_rate_final=5e-05 --set penalty_strength=4"
    assert f"{ANEW} {lower_still}, or with {with_it}" in told


def test_what_the_guard_changed_is_read_from_the_newest_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(config.dumps(config.complete(VALUES)))
    for step, rate in ((8, 0.0005), (120, 0.0001)):
        state = tmp_path / f"checkpoints/step-{step:09d}/state.json"
        state.parent.mkdir(parents=True)
        state.write_text(f'{{"changes": {{"learning_rate": {rate}}}}}')
    read = Account.read(tmp_path)
    assert read.changes == {"learning_rate": 0.0001}
    assert read.complete == config.complete(VALUES | {"learning_rate": 0.0001})
    (tmp_path / "config.toml").write_text("learning_rate = 2")
    assert Account.read(tmp_path).complete is None


def test_a_run_that_broke_with_nobody_to_change_anything_is_not_told_to_begin_anew() -> None:
    assert given_up(guard="warn") == ""
    assert f"{ANEW} other settings" in given_up()


def test_what_the_guard_did_is_told_and_what_it_would_have_done() -> None:
    events = [{"event": "collapse", "message": "M"}, {"event": "warning", "message": "W"}, {"event": "resumed"}]
    assert "The guard stepped in: M." in said(examine(account([], events=events)))
    acted = "With --guard on it would have acted"
    assert acted not in said(examine(account([], events=events, settings={"guard": "on"})))
    assert acted in said(examine(account([], events=events, settings={"guard": "warn"})))


def of_samples(
    precision: float,
    means: tuple[float, ...],
    distances: tuple[float, ...],
    state: str = "finished",
    **settings: str,
) -> Account:
    """A run with these means of precision, recall and coverage, and Frechet distances."""
    lines = [
        {"images": 100 * (i + 1), "quality": {"prc": {"value": mean}, "fid": {"value": distance}}}
        for i, (mean, distance) in enumerate(zip(means, distances, strict=True))
    ]
    kept = {"metric": "prc", "metrics": {"precision": {"value": precision}, "recall": {"value": 0.2}}}
    return account(lines, state, quality=kept, settings=settings)


RISING, EARLY, NOTHING = (0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.1, 0.1), (0.0, 0.0, 0.0, 0.0)
NEARER, AS_FAR = (9.0, 5.0, 4.0, 3.0), (9.0, 9.5, 8.0, 9.0)


def test_nobody_is_told_to_train_longer_and_that_it_will_not_help() -> None:
    told = said(examine(of_samples(0.4, RISING, NEARER)))
    assert "Only 40 % of the samples look like real pictures so far. Train for longer." in told
    assert "Train for longer, or strengthen the penalties (R1, R2)." in told
    told = said(examine(of_samples(0.4, EARLY, NEARER)))
    assert "Strengthen the penalties (R1, R2)." in told and "More of the same will not help" in told
    assert "rain for longer" not in told


def test_a_run_that_learned_nothing() -> None:
    told = said(examine(of_samples(0.0, NOTHING, AS_FAR, guard="off")))
    assert "Hardly a sample looks like real pictures, and they came no nearer" in told
    assert "a lower rate, and with --guard on" in told
    assert "longer" not in told and "kept" not in told
    assert "--guard" not in said(examine(of_samples(0.0, NOTHING, AS_FAR, guard="on")))


def test_a_run_that_learned_nothing_so_far() -> None:
    told = said(examine(of_samples(0.0, NOTHING, AS_FAR, "running")))
    assert (
        "they have come no nearer so far: the game broke, or has not begun. Should it stay so, stop it. Train anew"
        in told
    )
    assert "resume" not in told
    told = said(examine(of_samples(0.0, NOTHING, AS_FAR, "stopped by the guard", guard="on")))
    assert "Hardly a sample looks like real pictures" in told
    assert told.count("rain anew") == 1  # the guard's own advice
    told = said(examine(of_samples(0.0, NOTHING, AS_FAR, "interrupted")))
    assert "Train anew" in told and "resume" not in told


@pytest.mark.parametrize(("state", "more"), [("running", "Let it go on, or "), ("interrupted", "Go on with it, or ")])
def test_more_time_is_given_in_the_way_that_the_state_allows(state: str, more: str) -> None:
    assert f"{more}strengthen the penalties" in said(examine(of_samples(0.4, RISING, NEARER, state)))
    told = said(examine(of_samples(0.4, EARLY, NEARER, state)))
    assert "Strengthen the penalties (R1, R2)." in told and more not in told


def test_a_run_that_was_too_short_is_not_taken_for_one_that_learned_nothing() -> None:
    told = said(examine(of_samples(0.0, NOTHING, NEARER)))
    assert "None of the samples look like real pictures so far. Train for longer." in told
    assert "Hardly" not in told and "will not help" not in told and "was best" not in told


def test_texts_that_are_recited() -> None:
    def of(share: float) -> Account:
        return account([], quality={"metric": "reverse", "metrics": {"copied": {"value": share}}})

    assert "50 % of the samples are training texts" in said(examine(of(0.5)))
    assert not examine(of(0.05))


def test_copies_are_those_of_what_it_learns_from() -> None:
    quality = {"metric": "clip_distance", "metrics": {"copies": {"value": 0.05}}}
    told = said(examine(account([], quality=quality, settings={"task": "video"})))
    assert "5.0 % of the samples are near-copies of training clips. Add clips" in told
    assert "look at the nearest clips in the report" in told and "picture" not in told
    assert "near-copies of training pictures" in said(examine(account([], quality=quality)))


def test_what_is_counted_is_named() -> None:
    told = said(examine(account([{"images": 100, "accuracy": 1.0}] * 20, settings={"task": "text"})))
    assert "it knows the training texts by heart" in told and "or add texts." in told
    assert "picture" not in told and "augmentation" not in told


def test_a_discriminator_that_knows_the_pictures() -> None:
    lines = [{"images": 100 * i, "accuracy": 1.0} for i in range(1, 20)]
    assert "by heart" in said(examine(account(lines)))
    assert "by heart" not in said(examine(account(lines, settings={"discriminator_features": "lite0"})))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"augment": "ada"}, "Strengthen the augmentation, or strengthen the penalties (R1, R2), or add pictures."),
        (
            {"augment": "none", "penalty": "none"},
            "Put augmentation on (--set augment=ada), or put R1 and R2 on the discriminator (--set penalty=r1+r2), or",
        ),
        ({"augment": "diffaugment", "penalty": "wgan-gp"}, "has little to teach. Add pictures."),
        ({"augment": "diffaugment", "penalty": "none", "spectral_norm": True}, "has little to teach. Add pictures."),
    ],
)
def test_nobody_is_told_to_strengthen_what_there_is_not(settings: dict[str, Any], words: str) -> None:
    lines = [{"images": 100 * i, "accuracy": 1.0} for i in range(1, 20)]
    known = replace(account(lines), complete=config.complete(VALUES | settings))
    assert words in said(examine(known))
    little = {"metric": "prc", "metrics": {"recall": {"value": 0.2}}}
    told = said(examine(replace(account([], quality=little), complete=known.complete)))
    assert ("R1" in told) is ("R1" in words)


@pytest.mark.parametrize(("held_out_gap", "by_heart"), [(1.7, False), (0.2, True), (-1.0, True), (None, True)])
def test_a_discriminator_that_is_right_of_what_was_held_out_knows_nothing_by_heart(
    held_out_gap: float | None, by_heart: bool
) -> None:
    vitals = CALM | {"gap": 1.5} | ({} if held_out_gap is None else {"held_out_gap": held_out_gap})
    lines = [{"images": 100 * i, "accuracy": 1.0, "vitals": vitals} for i in range(1, 20)]
    told = said(examine(account(lines, settings={"task": "video"})))
    assert ("by heart" in told) is by_heart
    assert ("as sure of clips that were held out" in told) is not by_heart


def test_what_losses_say_and_what_they_do_not() -> None:
    line = {"images": 100, "accuracy": 0.9, "discriminator_loss": 0.4, "generator_loss": -0.02}
    (found,) = examine(account([line], settings={"objective": "relativistic", "quality_metric": "coverage"}))
    assert "the generator's -0.02, where both would be 0.693" in found.seen
    assert found.do == "Losses do not tell quality; coverage does (Coverage)." and not found.urgent
    (found,) = examine(account([line], settings={"objective": "relativistic", "gradient": "policy"}))
    assert "loss is 0.4, where it would be 0.693" in found.seen and "-0.02" not in found.seen


def test_augmentation_that_went_far() -> None:
    lines = [{"images": 100, "augment_p": 0.9}]
    assert "few pictures" in said(examine(account(lines, settings={"augment": "ada"})))
    assert "few pictures" not in said(examine(account(lines, settings={"augment": "diffaugment"})))


def test_signals_count_as_often_in_a_row_as_the_guard_asks_for() -> None:
    spread = [1.0, 2.9, 1.0, 2.6, 2.8, 2.7, 1.0]
    lines = [{"images": 100 * (i + 1), "vitals": CALM | {"diversity": value}} for i, value in enumerate(spread)]
    known = {signal.name: number for signal, number in signals(account(lines))}
    assert known["out of range"] == 2.6
    assert "decline" not in known
    assert "came up to 2.6" in said(examine(account(lines)))


@pytest.mark.parametrize(
    ("guard", "happened", "words"),
    [
        ("off", "started", "The guard was off"),
        ("on", "started", "has not looked at it yet"),
        ("on", "confusion", "has not looked at it since it went back"),
    ],
)
def test_why_there_are_no_signals(guard: str, happened: str, words: str) -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(diagnosis(account(judged(5, 4), settings={"guard": guard}, events=[{"event": happened}])))
    assert words in console.file.getvalue()  # type: ignore[attr-defined]


def test_looks_at_broken_numbers_are_left_out() -> None:
    lines = [{"images": 100, "vitals": CALM | {"push": None}}]
    assert list(signals(account(lines))) == []
    lines.append({"images": 200, "vitals": CALM})
    assert {signal.name for signal, _ in signals(account(lines))} == {"not a number"}
