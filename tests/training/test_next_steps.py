from pathlib import Path

from sparring.training.next_steps import filming, left_behind, translating


def test_who_stops_a_run_is_told_what_there_is_of_it(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    assert left_behind(run) == "nothing is saved yet: the same command begins anew"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.toml").touch()
    assert left_behind(run) == f"nothing is saved yet: delete '{run}', and the same command begins anew"
    (run / "checkpoints" / "step-000000000").mkdir()
    assert left_behind(run) == f"sparring resume '{run}' goes on from what was saved last"


def test_new_clips_do_not_go_where_clips_to_learn_from_usually_lie() -> None:
    """The documents train on `clips/`, and `sample` refuses a folder that holds something."""
    assert not any("--out clips/" in command for command, _ in filming("runs/clips"))


def test_what_is_painted_does_not_go_among_the_paintings_to_learn_from() -> None:
    assert not any(" paintings/" in command for command, _ in translating("runs/painter", ("monet", "munch")))
