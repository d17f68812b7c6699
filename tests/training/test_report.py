"""The report: complete in itself, safe with hostile names, readable at every stage of a run."""

import base64
import io
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

from sparring.mosaic import grid
from sparring.output import as_lines, ending_of
from sparring.training import report
from sparring.training.charts import Axis, Curve, chart
from sparring.training.files import write_text
from sparring.training.report import Texts
from sparring.wording import counted

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = '"><script>alert(1)</script>\x1b[31m.png'
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Checks that tags close in order, and gathers tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")


def read(folder):
    return report.write(folder).read_text(encoding="utf-8")


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def measurement(images, **values):
    usual = {"discriminator_loss": 0.52, "generator_loss": 1.31, "r1": 0.03, "r2": 0.04, "accuracy": 0.78}
    return {"images": images, "images_per_second": 2000.0, "learning_rate": 2e-4, "augment_p": 0.1} | usual | values


def measured(**values):
    return {name: {"value": value, "low": 0.9 * value, "high": 1.1 * value} for name, value in values.items()}


@pytest.fixture
def folder(tmp_path):
    """A run folder like those that the trainer leaves."""
    quality = measured(fid=1.23, precision=0.98, recall=0.67, coverage=0.91, copies=0.004)
    protocol = {
        "features": {"name": "pixels", "title": "pixels, reduced to at most 16 a side"},
        "pictures": {"height": 8, "width": 8},
        "k": 5,
        "real": {"count": 1797},
        "generated": {"count": 2000},
    }
    best = {"metrics": quality, "metric": "fid", "images": 2000, "protocol": protocol, "notices": []}
    summary = {"state": "finished", "task": "generate", "images": 3000, "seconds": 118.0, "quality": best}
    skipped = [{"path": HOSTILE, "reason": "truncated"}]
    data = {"name": "digits", "pictures": 1797, "shape": [1, 8, 8], "classes": [], "skipped": skipped}
    choices = [{"setting": "network", "value": "fast", "reason": "8x8 pictures on a CPU"}]
    evaluations = [{"images": images, "quality": quality} for images in (1000, 2000, 3000)]
    for name, content in {
        "summary.json": json.dumps(summary),
        "data.json": json.dumps(data),
        "plan.json": json.dumps({"choices": choices, "estimate_seconds": 90.0}),
        "environment.json": json.dumps({"python": "3.11", "packages": {"torch": "2.13"}}),
        "metrics.jsonl": lines(*(measurement(i) for i in (1000, 2000, 3000)), *evaluations),
        "events.jsonl": lines({"time": "2026-01-02T03:04:05+00:00", "images": 0, "event": "started", "message": "go"}),
        "config.toml": 'network = "fast"\nresolution = [8, 8]\n',
    }.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "samples").mkdir()
    for images in range(0, 10_000, 1000):
        pictures = torch.full((4, 1, 8, 8), images // 100, dtype=torch.uint8)
        grid(pictures, scale=1).save(tmp_path / f"samples/grid-{images:09d}.png")
    return tmp_path


def change(folder, file, **values):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_page_is_well_formed_and_loads_nothing(folder):
    text = read(folder)
    page = Page(text)
    assert not re.findall(r"""(?:src=|<link[^>]*href=|url\(|@import )\s*["']?((?:https?:)?//[^"')>\s]+)""", text)
    assert "http" not in text
    assert "script" not in page.tags
    assert all(value.startswith("data:image/png;base64,") for name, value in page.attributes if name == "src")


def test_every_picture_and_chart_has_a_text(folder):
    page = Page(read(folder))
    named = [name for name, value in page.attributes if name in ("alt", "aria-label") and value]
    assert len(named) >= page.tags.count("img") + page.tags.count("svg") > 10


def test_page_says_how_it_went(folder):
    text = Page(read(folder)).text
    for words in (
        "trained for 1 min 58 s on 1,797 pictures of 8x8 pixels: it has seen 3,000 images",
        "98 % of the samples look like real ones (precision), 67 % of the real variety is reached (recall)",
        "0.4 %",
        "after 2,000 images",
        "Frechet distance, pixels",
        "What decides: Frechet distance, pixels",
        "8x8 pictures on a CPU",
        "[8, 8]",
        "height and width in pixels",
        "2026-01-02 03:04:05",
        "--images 6000",
        "Losses",
    ):
        assert words in text


def test_page_shows_how_restorations_went(folder):
    quality = measured(psnr=28.4, ssim=0.8765, perceptual=0.25)
    pairs = {"count": 100, "shave": 0, "features": None}
    protocol = {"features": {"name": "none"}, "pictures": None, "k": None, "real": {}, "generated": {}, "pairs": pairs}
    best = {"metrics": quality, "metric": "psnr", "images": 2000, "protocol": protocol, "notices": []}
    change(folder, "summary.json", quality=best, task="restore")
    (folder / "metrics.jsonl").write_text(lines(*({"images": n, "quality": quality} for n in (1000, 2000))))
    text = Page(read(folder)).text
    assert "28.40 dB" in text and "25.56 to 31.24 dB" in text
    assert "0.8765" in text
    assert "100 pairs of pictures at their own size" in text
    titles = [each.title for each in report.charts(report.Account.read(folder))]
    assert titles == [
        "What decides: Peak signal-to-noise ratio",
        "Structural similarity",
        "Perceptual distance",
    ]


def test_hostile_names_are_text(folder):
    change(folder, "data.json", name=HOSTILE, classes=[HOSTILE])
    text = read(folder)
    assert "<script" not in text
    assert "\x1b" not in text
    assert '"><script>alert(1)</script>\\x1b[31m.png' in Page(text).text


def test_commands_survive_a_folder_with_spaces(tmp_path):
    run = tmp_path / "my run; rm"
    run.mkdir()
    assert f"sparring resume '{run}'" in Page(read(run)).text


@pytest.mark.parametrize("state", [None, "running"])
def test_a_run_that_has_just_begun(tmp_path, state):
    if state:
        summary = {"state": state, "images": 0, "seconds": 0.0, "images_per_second": 0.0, "quality": None}
        (tmp_path / "summary.json").write_text(json.dumps(summary))
        (tmp_path / "metrics.jsonl").write_text("")
    text = Page(read(tmp_path)).text
    assert "is about to learn" in text
    assert "No samples yet" in text
    assert "Nothing has been measured yet" in text


def test_files_that_were_cut_off_are_left_out(folder):
    (folder / "metrics.jsonl").write_text(lines(measurement(1000)) + '{"images": 20')
    (folder / "plan.json").write_text('{"choices": [')
    picture = folder / "samples/grid-000002000.png"
    picture.write_bytes(picture.read_bytes()[:60])
    assert "What was chosen" not in Page(read(folder)).text
    assert report.Pictures.read(folder / "samples", 2000).main.images == 9000


def test_the_large_picture_is_of_the_generator_that_is_kept(folder):
    pictures = report.Pictures.read(folder / "samples", 2000)
    assert pictures.main.images == 2000
    assert [picture.images for picture in pictures.history] == [0, 2000, 4000, 5000, 7000, 9000]


def test_nothing_is_left_aside(folder):
    before = {path.name for path in folder.iterdir()}
    read(folder)
    assert {path.name for path in folder.iterdir()} - before == {"report.html"}


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        ({"copies": 0.02}, "2.0 % of the samples are near-copies"),
        ({"recall": 0.1}, "Only 10 % of the real variety"),
        ({"precision": 0.4}, "Only 40 % of the samples"),
    ],
)
def test_poor_quality_is_said(folder, quality, words):
    healthy = Page(read(folder)).text
    assert words not in healthy
    metrics = measured(**{"precision": 0.98, "recall": 0.67, "coverage": 0.9} | quality)
    change(folder, "summary.json", quality={"metrics": metrics})
    assert words in Page(read(folder)).text


def test_a_discriminator_that_is_always_right_is_said(folder):
    (folder / "metrics.jsonl").write_text(lines(*(measurement(i, accuracy=0.993) for i in range(1000, 3000, 100))))
    assert "The discriminator is right 99 % of the time" in Page(read(folder)).text


def test_through_pretrained_features_that_is_as_it_should_be(folder):
    (folder / "metrics.jsonl").write_text(lines(*(measurement(i, accuracy=0.993) for i in range(1000, 3000, 100))))
    settings = (folder / "config.toml").read_text().splitlines()
    kept = [line for line in settings if line.split(" ")[0] not in ("discriminator_features", "augment", "penalty")]
    added = ['discriminator_features = "lite0"', 'augment = "diffaugment"', 'penalty = "none"']
    (folder / "config.toml").write_text("\n".join([*kept, *added]))
    text = Page(read(folder)).text
    assert "by heart" not in text
    assert "pretrained features tell real from generated" in text
    assert "probability p" not in text
    assert "Penalty strength" not in text


def test_many_skipped_files_are_said_and_200_listed(folder):
    change(folder, "data.json", skipped=[{"path": f"{i}.png", "reason": "empty"} for i in range(300)])
    text = Page(read(folder)).text
    assert "300 of 2,097 files could not be used" in text
    assert "199.png" in text
    assert "200.png" not in text


def test_a_run_that_failed_says_why(folder):
    change(folder, "summary.json", state="stopped by the guard", message="a loss is no longer a number")
    assert "Stopped by the guard: a loss is no longer a number" in Page(read(folder)).text


def test_wide_grids_are_reduced(folder):
    Image.new("RGB", (4000, 100)).save(folder / "samples/latest.png")
    assert report.Pictures.read(folder / "samples", None).main.width == 1280


def test_clips_play_and_are_there_frame_by_frame(folder):
    for number, path in enumerate(sorted((folder / "samples").glob("grid-*.png"))):
        films = [Image.new("RGB", (700, 70), (25 * number, 10 * frame, 0)) for frame in range(5)]
        films[0].save(path.with_suffix(".gif"), save_all=True, append_images=films[1:], duration=[40, 80] * 2 + [40])
    page = report.write(folder).read_text()
    playing = re.findall(r"data:image/webp;base64,([\w+/=]+)", page)
    assert len(playing) == 2  # the best, and the first on the way
    with Image.open(io.BytesIO(base64.b64decode(playing[0]))) as film:
        assert (film.n_frames, film.size) == (5, (350, 35))
        assert film.info["loop"] == 0
        film.seek(1)
        film.load()
        assert film.info["duration"] == 80
        assert film.convert("RGB").getpixel((9, 9)) == pytest.approx((50, 10, 0), abs=4)
    assert "Frame by frame" in page
    assert page.count("data:image/png") > 4


def test_ticks_are_round():
    assert Axis(0, 92_032, 0, 1).ticks() == [0, 20_000, 40_000, 60_000, 80_000]
    assert Axis(0, 1, 0, 1).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert Axis(0.01, 0.1, 0, 1, log=True).ticks() == pytest.approx([0.01, 0.02, 0.05, 0.1])
    assert Axis(1e-3, 1e3, 0, 1, log=True).ticks() == pytest.approx([10.0**power for power in range(-3, 4)])


def test_a_chart_goes_through_its_points():
    svg = chart("Share", [Curve("share", [(0, 0.0), (50, 1.0), (100, 0.5)])], "share", unit_range=True)
    (path,) = re.findall(r'points="([^"]+)"', svg)
    (x0, y0), (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in path.split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.1)
    assert y0 - y1 == pytest.approx(2 * (y2 - y1), abs=0.2)


def test_a_chart_names_what_is_counted():
    svg = chart("Loss", [Curve("loss", [(50, 1.0)])], "loss", seen="clips")
    assert ">clips seen<" in svg and "after 50 clips" in svg and "images" not in svg


def test_a_chart_leaves_out_what_it_cannot_draw():
    assert chart("Loss", [Curve("loss", [(0, math.nan)])], "loss") == ""
    assert chart("Slope", [Curve("R1", [(0, 0.0)])], "slope", log=True) == ""
    assert "nan" not in chart("Loss", [Curve("loss", [(0, 1.0), (1, math.nan), (2, math.inf), (3, 2.0)])], "loss")


@pytest.mark.parametrize("points", [[(5, 3.0)], [(0, 0.0), (9, 0.0)], [(0, -1.0), (9, -4.0)]])
def test_charts_of_flat_single_and_negative_values(points):
    assert "polyline" in chart("Loss", [Curve("loss", points)], "loss")


def test_long_curves_are_thinned_to_means():
    svg = chart("Loss", [Curve("loss", [(i, i % 2) for i in range(10_000)])], "loss")
    (path,) = re.findall(r'points="([^"]+)"', svg)
    heights = {point.split(",")[1] for point in path.split()}
    assert len(path.split()) <= 120
    assert len(heights) == 1


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_real_browser_shows_it_offline_and_without_a_complaint(folder, tmp_path):
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += ["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", report.write(folder).as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    page = Page(done.stdout)
    assert "98 %" in page.text
    assert page.tags.count("svg") >= 4
    assert "CONSOLE" not in done.stderr


def test_a_chart_of_one_negative_value() -> None:
    assert "polyline" in chart("Gap", [Curve("gap", [(100, -2.0)])], "logits")


@pytest.mark.parametrize("texts", [["one\u2028line", "two"], ["a\u2028line\nand one more", "two"], ["a\rb", "two"]])
def test_texts_are_read_as_they_were_written(tmp_path, texts):
    path = tmp_path / f"latest{ending_of(texts)}"
    write_text(path, as_lines(texts, path.suffix))
    main = Texts.read(tmp_path, None).main
    assert main is not None and list(main.lines) == texts


def test_how_often_each_was_seen_reads_well_in_short_runs():
    said = [report.epochs(count, "clips", "clip") for count in (0, 0.004, 0.3, 1.2, 1.6, 1234)]
    assert said == [
        "about 0 % of the clips",
        "about 0.4 % of the clips",
        "about 30 % of the clips",
        "each clip about once",
        "each clip about 2 times",
        "each clip about 1,234 times",
    ]


@pytest.mark.parametrize(("number", "words"), [(0, "0 clips"), (1, "1 clip"), (1797, "1,797 clips")])
def test_one_of_it_is_not_many(number, words):
    assert counted(number, "clips", "clip") == words
