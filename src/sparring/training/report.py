"""`report.html`: how a run went, on one page that opens anywhere, offline, for years.

The page holds everything it shows: style, curves (SVG) and pictures (PNG in base64). There is no script in it. Whatever
comes from users' files (names, reasons, settings) is escaped by the template.
"""

import base64
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from PIL import Image, ImageSequence

from sparring.evaluation.catalogue import METRICS
from sparring.evaluation.curves import draw_curves
from sparring.evaluation.judgement import interval, shown, summary, titled
from sparring.output import TEXT_FILES
from sparring.training.account import Account, Record, text_of
from sparring.training.charts import Curve, chart
from sparring.training.doctor import examine
from sparring.training.files import write_text
from sparring.training.next_steps import Step, next_steps
from sparring.wording import counted, duration, printable, share, things

MANY, FEW = 16, 4
"""Texts shown, of the best generator and of each moment on the way."""

HISTORY = 6
"""Sample grids shown of the way there."""

EXPLANATIONS = {
    "generate": "Each was made out of random numbers.",
    "graph": "Each was drawn as a graph, all atoms and bonds at once; grey is what is no molecule.",
    "molecules": "Each was written symbol after symbol, and drawn; grey is what is no molecule.",
    "restore": "Each in three: damaged, restored, and as it was.",
    "text": "Each was written symbol after symbol.",
    "translate": "Each beside what it became, in every style; with pairs the right answer stands last.",
    "video": "Each was made out of random numbers: some for what is seen, others for how it moves.",
}
"""What a picture of the grid is, by the task, or by what a molecule is."""

SIDES = {"restore": ("Damaged pictures", "restored"), "translate": ("Photographs", "translated")}
"""What lies before and after, by the task."""

WIDEST_FILM, FILM_QUALITY = 640, 80
"""Pixels across, and the quality of WebP, 0 to 100, of films that play on the page."""

SKIPPED = 200
"""Skipped files listed by name."""

RESTORED = {
    "psnr": "Rises and levels off; it may fall a little while the perceptual distance does: sharp details are guesses.",
    "ssim": "Rises and levels off, much as PSNR does.",
    "perceptual": "Falls and levels off.",
    "psnr_inside": "Rises and levels off; large holes have many good fillings, so it need not rise far.",
    "transfer": "Rises and levels off; style is bought with structure, and both belong beside it.",
    "style": "Rises; above a half of the way most of the strokes and colours are there.",
    "structure": "Begins at 1, falls, and comes to rest well above 0.5, or else the scene is lost.",
    "fcd": "Falls and levels off.",
    "fdd": "Falls and levels off.",
    "clip_distance": "Falls and levels off.",
    "fvd": "Falls and levels off.",
    "frame_fid": "Falls and levels off, before the distance of clips does: pictures are learned first, then motion.",
    "drift": "Comes to 1: clips change as much on their way as real ones.",
    "colour_drift": "Comes to 1; well above, things change their colour on their way.",
    "motion": "Falls towards 0: things are as fast as in real clips.",
}
"""Metrics of restored and translated pictures, molecules and clips that have a chart, and what a healthy one is."""


def write(run_folder: Path) -> Path:
    """Writes `report.html` into the run folder from what lies there, and returns its path.

    Any of the files may be missing, empty or cut off: a run that has just begun has a report too. The page replaces
    the one before it in one step.

    Raises: RunError if the folder cannot be written.
    """
    account = Account.read(run_folder)
    best = account.quality.get("images")
    page = _template().render(
        account=account,
        headline=headline(account),
        verdict=verdict(account),
        warnings=[advice.words for advice in examine(account) if advice.urgent],
        tiles=tiles(account),
        things=things(account.setting("task")),
        protocol=summary(account.quality["protocol"]) if account.quality.get("protocol") else "",
        charts=charts(account),
        pictures=Pictures.read(run_folder / "samples", best),
        texts=Texts.read(run_folder / "samples", best),
        trade_off=Markup(draw_curves(traded(account))),
        trade_off_names=list(traded(account)),
        progress=progress(account),
        circumstances=circumstances(account),
        commands=commands(account),
        explanation=EXPLANATIONS.get(kind_of(account), EXPLANATIONS["generate"]),
        sides=SIDES.get(account.setting("task"), ("Before", "after")),
        skipped_limit=SKIPPED,
    )
    path = run_folder / "report.html"
    write_text(path, page)
    return path


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its bytes as a data URI, and how many images had been seen when it was made.

    film: of clips, the same playing, as a data URI; `uri` is a row of frames for each then.
    """

    uri: str
    width: int
    height: int
    images: int | None = None
    film: str = ""


@dataclass(frozen=True)
class Pictures:
    """The sample grids of a run, and pictures before and after; those that are missing or cut off are left out."""

    main: Picture | None
    history: Sequence[Picture]
    nearest: Picture | None
    before_after: Sequence[tuple[Picture, Picture]]

    @classmethod
    def read(cls, folder: Path, best: int | None) -> "Pictures":
        """Reads the grid of the `best` generator (else the latest), a handful of all grids, and the nearest."""
        grids = sorted(folder.glob("grid-*.png"))
        last = len(grids) - 1
        chosen = sorted({round(last * i / (HISTORY - 1)) for i in range(HISTORY)}) if grids else []
        of_clips = any(folder.glob("*.gif"))
        history = [picture for i in chosen if (picture := _picture(grids[i], 800 if of_clips else 400))]
        if history and of_clips:  # the first plays, and the best below: more would make the page heavy
            history[0] = playing(history[0], grids[chosen[0]])
        candidates = [folder / f"grid-{best or 0:09d}.png"] if best else []
        candidates += [folder / "latest.png", *grids[-1:]]
        main = next((playing(picture, path) for path in candidates if (picture := _picture(path, 1280))), None)
        changed = [(path, path.with_name(path.name.replace("before", "after"))) for path in folder.glob("before-*.png")]
        pairs = [(_picture(before, 512), _picture(after, 512)) for before, after in sorted(changed)]
        return cls(main, history, _picture(folder / "nearest.png", 1280), [(a, b) for a, b in pairs if a and b])


@dataclass(frozen=True)
class Tile:
    """One figure of the quality, with its interval of 95 %, and what it means."""

    name: str
    value: str
    interval: str
    meaning: str


@dataclass(frozen=True)
class Chart:
    """Curves with a sentence on what a healthy one looks like."""

    title: str
    curves: Sequence[Curve]
    svg: Markup
    healthy: str


@dataclass(frozen=True)
class Text:
    """Some texts, and how many samples had been seen when they were written."""

    lines: Sequence[str]
    images: int | None = None


@dataclass(frozen=True)
class Texts:
    """The texts that a run wrote on its way; None and empty for one of pictures."""

    main: Text | None
    history: Sequence[Text]

    @classmethod
    def read(cls, folder: Path, best: int | None) -> "Texts":
        """Reads the texts of the `best` generator (else the latest), and a few of a handful of moments."""
        written = sorted(path for path in folder.glob("grid-*") if path.suffix in TEXT_FILES)
        last = len(written) - 1
        chosen = sorted({round(last * i / (HISTORY - 1)) for i in range(HISTORY)}) if written else []
        history = [_texts(written[i], FEW) for i in chosen]
        candidates = [path for path in written if best and path.stem == f"grid-{best:09d}"]
        candidates += [*folder.glob("latest.txt"), *folder.glob("latest.jsonl"), *written[-1:]]
        main = next((text for path in candidates if (text := _texts(path, MANY))), None)
        return cls(main, [text for text in history if text])


def _texts(path: Path, most: int) -> Text | None:
    """The first texts of a file; None if it cannot be read."""
    try:
        # JSON leaves other ends of lines, such as U+2028, as they are.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")[:most]
        texts = [str(json.loads(line)) for line in lines] if path.suffix == ".jsonl" else lines
    except (OSError, ValueError):
        return None
    number = path.stem.removeprefix("grid-")
    return Text(texts, int(number) if number.isdecimal() else None)


def traded(account: Account) -> dict[str, Sequence[Record]]:
    """Quality against variety over temperatures, before the game and at the end; empty where it was not measured."""
    noted = [line["trade_off"] for line in account.measurements if line.get("trade_off")]
    return {str(one["when"]): one["points"] for one in noted}


def as_written(text: str) -> Markup:
    """A text for the page, of several lines as code."""
    return Markup("<code>{}</code>").format(text) if "\n" in text else Markup("{}").format(text)


def headline(account: Account) -> str:
    """What was trained, on what and for how long, in a sentence."""
    data, seconds = account.data, account.summary.get("seconds")
    size = f" of {data['shape'][-2]}x{data['shape'][-1]} pixels" if len(data.get("shape") or ()) > 1 else ""
    if account.setting("fit") == "patches" and size:
        size = f", by patches{size}"
    many, one, seen = things(account.setting("task"))
    what = f"{counted(data['pictures'], many, one)}{size}" if data.get("pictures") else many
    if not account.images:
        return f"A generator is about to learn from {what}."
    took = f"trained for {duration(seconds)}" if seconds else "trained"
    if account.state == "running":
        took = f"has been training for {duration(seconds)}" if seconds else "is training"
    often = f", {epochs(account.images / data['pictures'], many, one)}" if data.get("pictures") else ""
    return f"A generator {took} on {what}: it has seen {account.images:,} {seen}{often}."


def epochs(count: float, many: str, one: str) -> str:
    """How often each was seen, or in a first epoch that is not over, how much of them.

    >>> epochs(12.3, "pictures", "picture"), epochs(0.3, "pictures", "picture")
    ('each picture about 12 times', 'about 30 % of the pictures')
    """
    if count < 1:
        return f"about {share(count)} of the {many}"
    return f"each {one} about {f'{count:,.0f} times' if count >= 1.5 else 'once'}"


def verdict(account: Account) -> str:
    """How good the samples are, in plain words, "" if nothing was measured."""
    sentences = {
        "precision": "of the samples look like real ones (precision)",
        "recall": "of the real variety is reached (recall)",
        "coverage": "of the real pictures have a sample close by (coverage)",
    }
    if (decibels := account.measured("psnr")) is not None:
        restores = account.setting("task") == "restore"
        made = "restores differs from the originals" if restores else "makes differs from the right answers"
        return f"What it {made} by {shown('psnr', decibels)} (PSNR)."
    if (style := account.measured("style")) is not None and (kept := account.measured("structure")) is not None:
        kept_well = shown("structure", kept)
        return (
            f"{share(style)} of the way to the paintings is covered; the edges of the scenes correlate by {kept_well}."
        )
    if (own := account.measured("bleu3")) is not None:
        real = account.quality["metrics"]["bleu3"].get("real")
        beside = f"; those of real texts get {shown('bleu3', real)}" if real is not None else ""
        return f"Their pieces of three symbols are found in held-out texts to {shown('bleu3', own)} (BLEU-3){beside}."
    if (apart := account.measured("motion")) is not None:
        return of_clips(account.quality["metrics"], apart)
    if (valid := account.measured("validity")) is not None:
        return f"{of_molecules(account.quality['metrics'], valid)}."
    known = {name: account.measured(name) for name in sentences}
    said = [f"{share(value)} {sentences[name]}" for name, value in known.items() if value is not None]
    return f"{', '.join(said)}." if said else ""


def kind_of(account: Account) -> str:
    """The task; of molecules that are graphs `graph`."""
    return "graph" if account.setting("representation") == "graph" else account.setting("task")


def of_clips(metrics: Record, apart: float) -> str:
    """How good clips are, in plain words, whose speeds are so far from those of real ones."""
    speeds = metrics["motion"]
    said = [f"{share(metrics['precision']['value'])} of the samples look like real clips"] * ("precision" in metrics)
    said += [f"{share(metrics['coverage']['value'])} of the real ones have a sample close by"] * ("coverage" in metrics)
    mean, usual, distance = (shown("motion", value) for value in (speeds["mean"], speeds["real"], apart))
    said.append(f"things move by {mean}, in real clips by {usual} (distance of speeds {distance})")
    return f"{', '.join(said)}."


def of_molecules(metrics: Record, valid: float) -> str:
    """How good molecules are, in plain words, of which this share is valid."""
    shares = {"unique_1k": "of these are different", "novelty": "of the different ones are new"}
    said = [f"{share(metrics[name]['value'])} {words}" for name, words in shares.items() if name in metrics]
    distance = next((name for name in ("fcd", "fdd") if name in metrics), None)
    if distance is not None:
        said.append(f"{METRICS[distance].title} {shown(distance, metrics[distance]['value'])}")
    if "reward" in metrics:
        reward = metrics["reward"]
        said.append(
            f"reward {shown('reward', reward['value'])}, of training molecules {shown('reward', reward['real'])}"
        )
    return ", ".join([f"{share(valid)} of the samples are molecules", *said])


def tiles(account: Account) -> list[Tile]:
    """The figures of the quality that were measured; the one that decides which generator is kept comes first."""
    quality, (many, one, _) = account.quality, things(account.setting("task"))
    metrics, deciding = quality.get("metrics", {}), quality.get("metric", "fid")
    meanings = {
        "fid": "Frechet distance from the real pictures; lower is better",
        "kid": "kernel distance from the real pictures; lower is better",
        "prc": "of precision, recall and coverage: the harmonic mean",
        "precision": "of the samples lie among the real pictures",
        "recall": "of the real pictures lie among the samples: variety",
        "coverage": "of the real pictures have a sample close by",
        "density": "how densely real pictures surround the samples; 1 is expected of real ones",
        "copies": "of the samples are near-copies of a real picture; 0 is good",
        "reward": "mean reward of the samples, repeated ones worth nothing; higher is better",
        "fcd": "from held-out molecules as ChemNet sees them; lower is better",
        "fdd": "from held-out molecules in eight descriptors; lower is better",
        "raw_validity": "of its graphs are molecules as they are, before atoms with too many bonds are put right",
        "validity": "of the samples are molecules",
        "unique_1k": "of the first 1,000 molecules are different",
        "novelty": "of the different molecules are not in the data",
        "intdiv": "how unlike the samples are to each other; that of held-out molecules is best",
        "snn": "of a sample to the nearest held-out molecule; 1 is a copy",
        "filters": "of the molecules pass filters of medicinal chemistry",
        "qed": "from held-out molecules in drug-likeness; 0 is the same distribution",
        "logp": "from held-out molecules in logP",
        "sa": "from held-out molecules in how hard they are to make",
        "perplexity": "of what is held out: among how many symbols it guesses each next one; lower is better",
        "bleu3": "of the samples against held-out texts; higher is better, up to what real ones get",
        "self_bleu3": "of the samples against each other; lower is more variety",
        "forward": "perplexity of the samples to a model of real texts; that of real ones is best",
        "reverse": "perplexity of real texts to a model of the samples; lower is better",
        "distinct": "of the samples are distinct",
        "copied": "of the samples are training texts; 0 is good",
        "copied_lines": "of the lines stand in training texts",
        "repetition": "of the pieces of a sample came in it before; that of real texts is best",
        "form": "of the samples have the form of real texts",
        "parses": "of the samples are code that Python takes",
        "psnr": "pixel by pixel, of restored pictures against clean ones; higher is better",
        "ssim": "of restored pictures with clean ones; 1 is the same",
        "perceptual": "of restored pictures from clean ones, as a network sees them; lower is better",
        "psnr_inside": "of what was filled in; higher is better",
        "clip_distance": "from real clips in what is seen and how it changes; lower is better",
        "fvd": "from real clips as I3D sees them; lower is better",
        "frame_fid": "of single frames from those of real clips; lower is better",
        "motion": "from the speeds of real clips; 0 is the same distribution",
        "drift": "as much as real clips change on their way; 1 is best",
        "colour_drift": "as much as colours of real clips change on their way; 1 is best",
        "diversity": "distance of two samples, in that of two real pictures; 1 is as varied",
        "transfer": "of style and structure: the harmonic mean",
        "style": "of the way from photographs to paintings is covered",
        "structure": "how well edges stand where they stood; 1 is the photograph itself",
    }

    def of_them(words: str) -> str:
        return words.replace("pictures", many).replace("picture", one)

    first = sorted(meanings, key=lambda name: name != deciding)
    return [
        Tile(
            titled(name, quality.get("protocol") or {}),
            shown(name, metrics[name]["value"]),
            interval(name, metrics[name]["low"], metrics[name]["high"]),
            f"{of_them(meanings[name])}{'; decides which generator is kept' * (name == deciding)}",
        )
        for name in first
        if name in metrics
    ]


def charts(account: Account) -> list[Chart]:
    """The curves of a run; those without a single value, and those of what this run does without, are left out."""
    lines, deciding = account.measurements, account.deciding
    many, _, seen = things(account.setting("task"))
    protocol = account.quality.get("protocol") or {}
    beside = "side by side"
    accurate = f"Between 0.5 (cannot tell) and about 0.95; near 1 for long, the discriminator learns {many} by heart."
    if account.through_features:
        beside = "one above the other"
        accurate = (
            "Mostly above 0.9: pretrained features tell real from generated, and how is what the generator learns."
        )
    adaptive, penalised = account.setting("augment") in ("", "ada"), account.setting("penalty") != "none"
    qualities = [
        {"images": line.get("images"), **{name: result["value"] for name, result in line["quality"].items()}}
        for line in lines
        if line.get("quality")
    ]
    standing = [{"images": line.get("images"), **line["vitals"]} for line in lines if line.get("vitals")]
    # title, unit of the y axis, lines, {name: key}, options, what a healthy curve looks like
    table: list[tuple[str, str, Sequence[Record], dict[str, str], dict[str, bool], str]] = [
        (
            "Quality",
            "share",
            qualities,
            {"precision": "precision", "recall": "recall", "coverage": "coverage"},
            {"unit_range": True},
            "All rise and level off; recall that falls while precision rises means that variety is being lost.",
        ),
        (
            f"What decides: {titled(deciding, protocol)}",
            f"best: {METRICS[deciding].better}",
            qualities,
            {deciding: deciding},
            {"unit_range": METRICS[deciding].share, "log": METRICS[deciding].better == "lower"},
            "Gets better and levels off; a jump back means that something broke. The best generator by it is kept.",
        ),
        (
            titled("fid", protocol),
            "squared units of features",
            [] if deciding == "fid" else qualities,
            {"fid": "fid"},
            {"log": True},
            "Falls and levels off.",
        ),
        *(
            (titled(name, protocol), METRICS[name].unit, qualities, {name: name}, {}, healthy)
            for name, healthy in RESTORED.items()
            if name != deciding
        ),
        (
            "Molecules",
            "share",
            qualities,
            {"valid": "validity", "different": "unique_1k", "new": "novelty"},
            {"unit_range": True},
            "Near 1 and level; fewer different ones mean that variety is being lost, fewer new ones learning by heart.",
        ),
        (
            "Reward",
            "mean of a batch",
            lines,
            {"reward": "reward"},
            {},
            "Rises in the game and levels off; what is different and new should not fall meanwhile.",
        ),
        (
            "Losses",
            "loss",
            lines,
            {"discriminator": "discriminator_loss", "generator": "generator_loss"},
            {},
            f"They wander {beside} without running away; a falling loss is no sign of better {many} here.",
        ),
        (
            "Discriminator accuracy",
            "share right",
            lines,
            {"accuracy": "accuracy"},
            {"unit_range": True},
            accurate,
        ),
        (
            "Gradient penalties",
            "squared slope",
            lines,
            {"R1, at real": "r1", "R2, at generated": "r2", "WGAN-GP, between": "wgan-gp"},
            {"log": True},
            "Both stay bounded and of similar size; one that climbs without end calls for a stronger penalty.",
        ),
        (
            "Logit gap",
            "logits",
            standing,
            {"real above generated": "gap", "held out above generated": "held_out_gap"},
            {},
            f"Close together; {many} that were held out fall back once those that are shown are known by heart.",
        ),
        (
            "Spread of the samples",
            "relative to real ones",
            standing,
            {"distance of two samples": "diversity"},
            {},
            "About 1; near 0 the generator makes one thing over and over.",
        ),
        (
            "Gradients",
            "norm",
            lines,
            {"discriminator": "discriminator_gradient", "generator": "generator_gradient"},
            {"log": True},
            "They wander within a factor of ten or so; a leap by a hundred means that something broke.",
        ),
        (
            "Augmentation",
            "probability p",
            lines if adaptive else [],
            {"p": "augment_p"},
            {"unit_range": True},
            "Stays at 0 with plenty of pictures, rises and settles with few; above 0.8, there are too few pictures.",
        ),
        (
            "Learning rate",
            "step size",
            lines,
            {"learning rate": "learning_rate"},
            {},
            "Falls from its first to its last value as planned.",
        ),
        (
            "Penalty strength",
            "gamma",
            lines if penalised else [],
            {"gamma": "penalty_strength"},
            {},
            "Falls from its first to its last value as planned, while the game calms down.",
        ),
        (
            "Averaged generator",
            seen,
            lines,
            {"half-life": "ema_half_life"},
            {},
            f"Rises at first and then stays: the samples come from an average over about that many {seen}.",
        ),
        (
            "Speed",
            f"{seen}/s",
            lines,
            {f"{seen}/s": "images_per_second"},
            {},
            "Flat after the first moments; a drop means that something else uses the machine.",
        ),
    ]
    made = []
    for title, unit, source, keys, options, healthy in table:
        curves = [curve for name, key in keys.items() if (curve := _curve(name, key, source))]
        if svg := chart(title, curves, unit, seen=seen, **options):
            # Markup: `chart` escapes every text it is given.
            made.append(Chart(title, curves, Markup(svg), healthy))
    return made


def _curve(name: str, key: str, lines: Sequence[Record]) -> Curve | None:
    points = [(line["images"], line[key]) for line in lines if line.get(key) is not None and "images" in line]
    return Curve(name, points) if points else None


def progress(account: Account) -> list[tuple[str, str]]:
    """How far the run has come, as rows of a table."""
    summary, pictures = account.summary, account.data.get("pictures")
    many, _, seen = things(account.setting("task"))
    speed, estimate = summary.get("images_per_second"), account.plan.get("estimate_seconds")
    rows = [
        (f"{seen.capitalize()} seen", f"{account.images:,}"),
        (f"{many.capitalize()} in the data", f"{pictures:,}" if pictures else ""),
        ("Training time", duration(summary["seconds"]) if summary.get("seconds") else ""),
        ("Expected at the start", duration(estimate) if estimate else ""),
        ("Speed", f"{speed:,.0f} {seen}/s" if speed else ""),
        ("Ended because", summary.get("message", "") if account.state == "finished" else ""),
    ]
    return [(name, value) for name, value in rows if value]


def circumstances(account: Account) -> list[tuple[str, str]]:
    """Data, machine and versions, as rows of a table."""
    data, environment = account.data, dict(account.environment)
    packages = environment.pop("packages", {})
    classes = data.get("classes") or []
    rows = [
        ("data", data.get("source") or data.get("name")),
        ("classes", f"{len(classes)}: {', '.join(map(str, classes[:20]))}" if classes else ""),
        ("fingerprint of the data", data.get("fingerprint")),
        *environment.items(),
        *packages.items(),
    ]
    return [(name, text_of(value)) for name, value in rows if value]


def commands(account: Account) -> Sequence[Step]:
    """What to do next: a command and what it does."""
    task, damage = kind_of(account) or "generate", account.setting("damage")
    styles = account.data.get("classes") or ()
    guard = account.setting("guard") or "on"
    return next_steps(str(account.folder), task, account.state, account.images, damage, styles, guard, account.minutes)


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda value: f"{value:,}",
        "moment": _moment,
        "unbroken": lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%"),
        "printable": printable,
        "lines": as_written,
    }
    return environment.get_template("report.html.jinja")


def _picture(path: Path, widest: int) -> Picture | None:
    """The picture as PNG, reduced to `widest` pixels across if it is wider; None if it is missing or cut off."""
    try:
        with Image.open(path) as file:
            image = file.convert(file.mode)
    except (OSError, SyntaxError):  # Pillow raises SyntaxError for some damaged PNGs
        return None
    if image.width > widest:
        image = image.resize((widest, max(1, image.height * widest // image.width)), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    number = path.stem.removeprefix("grid-")
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(uri, image.width, image.height, int(number) if number.isdecimal() else None)


def playing(picture: Picture, path: Path) -> Picture:
    """The picture with the film that lies beside its file, if there is one; every browser plays animated WebP.

    The film is `WIDEST_FILM` pixels wide at most, and takes a quarter of the bytes that it has as GIF.
    """
    try:
        with Image.open(path.with_suffix(".gif")) as file:
            frames, times = [], []
            for frame in ImageSequence.Iterator(file):
                times.append(frame.info.get("duration", 40))
                frames.append(frame.convert("RGB"))
    except OSError:
        return picture
    shrink = math.ceil(frames[0].width / WIDEST_FILM)
    frames = [frame.reduce(shrink) for frame in frames]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "WEBP", save_all=True, append_images=frames[1:], duration=times, loop=0, quality=FILM_QUALITY, method=0
    )
    return replace(picture, film="data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode())


def _moment(iso: Any) -> str:
    """An ISO time as `2026-11-24 20:31:02`, in the zone it was written in; as it is if it is none."""
    try:
        return datetime.fromisoformat(str(iso)).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return str(iso or "")
