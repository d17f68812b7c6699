"""What people see while a run trains, on a terminal 80 columns wide, in a log, and from Python."""

import io
import logging
import re
from pathlib import Path

import pytest
from rich.console import Console

from sparring.training.monitor import LiveMonitor, PlainMonitor, QuietMonitor, open_monitor
from sparring.wording import compact, duration, printable, roughly, share

CHOICES = [{"setting": "network", "value": "fast", "reason": "8x8 pictures on a CPU"}]
MEASURED = {"images": 198400, "images_per_second": 2110.3, "discriminator_loss": 0.52, "r1": 0.031, "accuracy": 0.78}
QUALITY = {"fid": 1.236, "precision": 0.913, "recall": 0.472, "coverage": 0.881}
EVALUATED = {
    "images": 128000,
    "quality": {name: {"value": value, "low": value, "high": value} for name, value in QUALITY.items()},
}


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log():
    return io.StringIO()


def live(log, clock):
    console = Console(file=log, force_terminal=True, width=80, color_system=None, legacy_windows=False)
    return LiveMonitor(console, "runs/demo", clock=clock)


def shown(log):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", log.getvalue())


def test_log_has_a_line_every_ten_seconds(log, clock):
    with PlainMonitor(log, clock=clock) as monitor:
        for clock.now in range(25):
            monitor.update(MEASURED, 0.62, 34.2)
    assert log.getvalue() == (
        "62 %, 34 s left, images seen 198,400, images/s 2,110, D loss 0.52, R1 0.031, D accuracy 78 %\n" * 2
    )


def test_a_distance_that_is_no_published_one_has_its_space_beside_it(log, clock):
    monitor = PlainMonitor(log, clock=clock)
    monitor.update(EVALUATED | {"space": "wavelets"}, 0.5, None)
    monitor.update(EVALUATED | {"space": "inception"}, 0.5, None)
    assert log.getvalue().splitlines() == [
        "quality after 128,000 images: fid 1.24 in wavelets, precision 91 %, recall 47 %, coverage 88 %",
        "quality after 128,000 images: fid 1.24, precision 91 %, recall 47 %, coverage 88 %",
    ]


def test_log_tells_every_evaluation_and_note_at_once(log, clock):
    with PlainMonitor(log, clock=clock) as monitor:
        monitor.update(EVALUATED, 0.5, None)
        monitor.note("out of memory: 32 images at a time", urgent=True)
    assert log.getvalue().splitlines() == [
        "quality after 128,000 images: fid 1.24, precision 91 %, recall 47 %, coverage 88 %",
        "warning: out of memory: 32 images at a time",
    ]


def test_log_tells_the_quality_of_restorations(log, clock):
    quality = {"perceptual": 0.12345, "psnr": 27.314, "ssim": 0.81234}
    measured = {name: {"value": value, "low": value, "high": value} for name, value in quality.items()}
    PlainMonitor(log, clock=clock).update({"images": 1000, "quality": measured}, 0.5, None)
    line = "quality after 1,000 images: psnr 27.31 dB, ssim 0.8123, perceptual 0.1235"
    assert log.getvalue().splitlines() == [line]


def test_log_names_what_is_counted(log, clock):
    monitor = PlainMonitor(log, clock=clock)
    clock.now = 11.0
    measured = {"images": 1040, "seen": "texts", "images_per_second": 174.0}
    monitor.update(measured | {"quality": {"bleu3": {"value": 0.5}}}, 0.5, None)
    assert log.getvalue().splitlines() == [
        "quality after 1,040 texts: bleu3 0.500",
        "50 %, texts seen 1,040, texts/s 174",
    ]


def test_log_tells_the_quality_of_translations(log, clock):
    quality = {"transfer": 0.45, "style": 0.3, "structure": 0.9}
    measured = {name: {"value": value, "low": value, "high": value} for name, value in quality.items()}
    PlainMonitor(log, clock=clock).update({"images": 1000, "quality": measured}, 0.5, None)
    assert log.getvalue() == "quality after 1,000 images: transfer 0.450, style 30 %, structure 0.900\n"


def test_log_says_what_was_chosen(log, clock):
    PlainMonitor(log, clock=clock).plan(CHOICES, 90.0)
    assert log.getvalue() == "network = fast  (8x8 pictures on a CPU)\nIt will take about 1 min 30 s.\n"


def test_log_has_no_control_characters(log, clock):
    monitor = PlainMonitor(log, clock=clock)
    monitor.progress("decoding \x1b[31mred\x07", 5, 5)
    assert log.getvalue() == "decoding \\x1b[31mred\\x07: 5 of 5\n"


def test_panel_fits_80_columns_and_holds_the_figures(log, clock):
    with live(log, clock) as monitor:
        monitor.preview(Path("runs/demo/samples") / ("long" * 40) / "latest.png")
        monitor.update(MEASURED | EVALUATED, 0.62, 34.2)
    text = shown(log)
    assert all(len(line) <= 80 for line in re.split(r"[\r\n]+", text))
    for figure in ("62 %, 34 s left", "128,000", "2,110", "0.52", "78 %", "recall 47 %", "runs/demo/samples"):
        assert figure in text


def test_panel_is_drawn_at_most_four_times_a_second(log, clock):
    with live(log, clock) as monitor:
        monitor.update(MEASURED, 0.1, None)
        length = len(log.getvalue())
        clock.now = 0.2
        monitor.update(MEASURED, 0.2, None)
        assert len(log.getvalue()) == length
        clock.now = 0.3
        monitor.update(MEASURED, 0.3, None)
        assert len(log.getvalue()) > length


def test_the_last_state_stays_on_the_screen(log, clock):
    with live(log, clock) as monitor:
        monitor.update(MEASURED, 0.5, 1.0)
        monitor.update({"images": 400_000}, 1.0, 0.0)
    assert "100 %, 0 s left" in shown(log)
    assert "400,000" in shown(log)


def test_names_are_not_markup_on_the_terminal(log, clock):
    with live(log, clock) as monitor:
        monitor.plan([{"setting": "data", "value": "[red]x[/]", "reason": "\x1b]0;title\x07"}], None)
        monitor.note("[bold]x.png[/] was skipped")
    assert "[red]x[/]" in shown(log)
    assert "[bold]x.png[/] was skipped" in shown(log)
    assert "\x1b]0;" not in log.getvalue()


def test_progress_shows_a_bar(log, clock):
    with live(log, clock) as monitor:
        monitor.progress("decoding pictures", 400, 1797)
    assert "decoding pictures" in shown(log)
    assert "400 of 1,797" in shown(log)


def test_quiet_logs_notes(caplog):
    with caplog.at_level(logging.INFO, "sparring"), QuietMonitor() as monitor:
        monitor.note("started")
        monitor.note("out of memory", urgent=True)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "started"),
        ("WARNING", "out of memory"),
    ]


def test_no_terminal_means_plain_lines():
    assert isinstance(open_monitor(), PlainMonitor)
    assert isinstance(open_monitor(quiet=True), QuietMonitor)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (45, "45 s"),
        (118, "1 min 58 s"),
        (7500, "2 h 5 min"),
        (90000, "1 day 1 h"),
        (200000, "2 days 7 h"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_expected_times():
    assert [roughly(seconds) for seconds in (0.0, 0.4, 0.6, 90)] == [
        "less than a second",
        "less than a second",
        "about 1 s",
        "about 1 min 30 s",
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (0.523, "0.523"),
        (2e-4, "2e-4"),
        (12000, "12k"),
        (2.5e6, "2.5M"),
        (-1500, "-1.5k"),
        (1.0, "1"),
        (1e9 - 1, "1G"),
    ],
)
def test_compact_numbers(value, words):
    assert compact(value) == words


def test_shares():
    assert [share(value) for value in (0, 0.004, 0.0994, 0.0996, 0.978, 1)] == [
        "0 %",
        "0.4 %",
        "9.9 %",
        "10 %",
        "98 %",
        "100 %",
    ]


def test_control_characters_are_written_out():
    assert printable("é\n\x1b[0m‮") == "é\\n\\x1b[0m\\u202e"
