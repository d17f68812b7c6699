from pathlib import Path

from sparring.training.next_steps import STOPPED, filming, left_behind, next_steps, translating


def test_who_stops_a_run_is_told_what_there_is_of_it(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    assert left_behind(run) == "nothing is saved yet: the same command begins anew"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.toml").touch()
    assert left_behind(run) == f"nothing is saved yet: delete '{run}', and the same command begins anew"
    (run / "checkpoints" / "step-000000000").mkdir()
    assert left_behind(run) == f"sparring resume '{run}' goes on from what was saved last"


def test_what_the_guard_gave_up_is_not_gone_on_with_as_it_was() -> None:
    """It would come to the same end, unless nobody had been allowed to change anything."""
    given_up = [command for command, _ in next_steps("runs/a", "generate", STOPPED, 1000)]
    assert not any("resume" in command for command in given_up)
    assert given_up[0].startswith("sparring sample") and given_up[-1] == "sparring doctor runs/a"
    (first, _), *_ = next_steps("runs/a", "generate", STOPPED, 1000, guard="warn")
    assert first == "sparring resume runs/a --guard on"


def test_a_run_goes_on_in_what_its_budget_was_counted() -> None:
    by_images = next_steps("runs/a", "generate", "finished", 1000)[-1][0]
    by_the_clock = next_steps("runs/a", "generate", "finished", 1000, minutes=1.5)[-1][0]
    assert (by_images, by_the_clock) == ("sparring resume runs/a --images 2000", "sparring resume runs/a --minutes 3")


def test_new_clips_do_not_go_where_clips_to_learn_from_usually_lie() -> None:
    """The documents train on `clips/`, and `sample` refuses a folder that holds something."""
    assert not any("--out clips/" in command for command, _ in filming("runs/clips"))


def test_what_is_painted_does_not_go_among_the_paintings_to_learn_from() -> None:
    assert not any(" paintings/" in command for command, _ in translating("runs/painter", ("monet", "munch")))
