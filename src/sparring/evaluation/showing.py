"""What people see of an evaluation: the table of numbers, the protocol in words, and what each metric means."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparring.evaluation.catalogue import GROUPS, METRICS, NEEDS
from sparring.evaluation.judgement import (
    Evaluation,
    clips_in_words,
    interval,
    pairs_in_words,
    shown,
    texts_in_words,
    titled,
)
from sparring.wording import printable, share


def verdict(evaluation: Evaluation) -> RenderableType:
    """What `evaluate` found, for people: the numbers, what they hold under, and what to beware of."""
    numbers = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    numbers.add_column("metric", no_wrap=True)
    for name in ("value", "95 % interval"):
        numbers.add_column(name, justify="right", no_wrap=True)
    numbers.add_column("best")
    numbers.add_column("what it is")
    for name, result in evaluation.metrics.items():
        estimate, metric = result.estimate, METRICS[name]
        beside = ", ".join(
            f"{key.replace('_', ' ')} {f'{value:,}' if isinstance(value, int) else shown(name, value)}"
            for key, value in result.extra.items()
        )
        numbers.add_row(
            name,
            shown(name, result.value),
            interval(name, estimate.low, estimate.high),
            metric.better,
            f"{titled(name, evaluation.protocol)}{f' ({beside})' if beside else ''}",
        )
    protocol = Table.grid(padding=(0, 2, 0, 0))
    protocol.add_column(no_wrap=True)
    protocol.add_column()
    for name, words in protocol_lines(evaluation.protocol):
        protocol.add_row(Text(name, style="dim"), Text(printable(words), style="dim"))
    for notice in evaluation.notices:
        protocol.add_row(Text("beware", style="yellow"), Text(printable(notice), style="yellow"))
    words = "what a number tells: sparring evaluate --explain NAME"
    if "fid" in evaluation.metrics and evaluation.metrics["fid"].estimate.low is not None:
        words = f"few samples make fid too large, so its interval reaches down to that of endless ones; {words}"
    protocol.add_row(Text("reading", style="dim"), Text(words, style="dim"))
    return Group(numbers, Text(""), protocol)


def protocol_lines(protocol: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The protocol in words: what was compared, and how."""
    features, pictures, pairs = protocol["features"], protocol["pictures"], protocol.get("pairs")
    alone = bool(pairs) and protocol["k"] is None
    sides = ("clean", "restored") if alone else ("real", "generated")
    lines = [(side, _side(protocol[key])) for side, key in zip(sides, ("real", "generated"), strict=True)]
    if pairs:
        lines.append(("pairs", pairs_in_words(pairs)))
        worst = (f"{name} {shown(name, found['value'])}: {found['name']}" for name, found in pairs["worst"].items())
        lines.extend(("worst", words) for words in worst)
    if pictures:
        channels = {1: "grey", 3: "RGB", 4: "RGBA"}[pictures["channels"]]
        form = f"{pictures['height']}x{pictures['width']} {channels}, proportions by {pictures['fit']}"
        lines.append(("pictures", form))
        digest, resize = features["digest"][:12], features["resize"]
        to = f", {resize} to {features['size'][0]}x{features['size'][1]}" if features["size"] else ""
        lines.append(("features", f"{features['title']}{to}, {features['precision']}, sha256 {digest}"))
    elif texts := protocol.get("texts"):
        lines.append(("texts", texts_in_words(texts)))
        lines.append(("features", f"{features['title']}, sha256 {features['digest'][:12]}"))
    elif clips := protocol.get("clips"):
        lines.append(("clips", f"{clips_in_words(clips)}, {clips['rate']:g} frames a second"))
        side = f", frames resized to {features['size'][0]}x{features['size'][1]}" if features["size"] else ""
        lines.append(("features", f"{features['title']}{side}, sha256 {features['digest'][:12]}"))
    elif protocol.get("molecules") is not None:
        lines.append(("features", features["title"]))
    elif not alone:
        lines.append(("features", "as given"))
    if among := protocol.get("neighbours"):
        counts = f"{among['real']:,} real, {among['generated']:,} generated, k = {protocol['k']}"
        lines.append(("neighbours", counts))
    if accuracy := protocol.get("classifier", {}).get("held_out_accuracy"):
        lines.append(("classes", f"told by logistic regression, right for {share(accuracy)} of held-out real pictures"))
    return lines


def _side(about: Mapping[str, Any]) -> str:
    words = [str(about["name"]), str(about["kind"])]
    if about.get("count") is not None:
        words.append(f"{about['count']:,}" + (f" of {about['of']:,}" if "of" in about else ""))
    if "seed" in about:
        words.append(f"seed {about['seed']}")
    if "split" in about:
        words.append(f"split: {about['split']}")
    return ", ".join(words)


def overview() -> RenderableType:
    """All metrics in groups, a line each."""
    lines: list[RenderableType] = []
    for group, needs in GROUPS.items():
        lines.append(Text(group, style="bold"))
        for name, metric in METRICS.items():
            if metric.needs in needs:
                beside = (f"{'*' if metric.asked else ' '} {name:21}", "cyan"), (f"{metric.better:14}", "dim")
                lines.append(Text.assemble(*beside, metric.title))
    return Group(
        Text.assemble((f"  {'metric':21}{'best':14}what it is", "dim")),
        *lines,
        Text(
            "\n* only when it is named\nwhat one tells, its range, and when it lies: sparring evaluate --explain NAME"
        ),
    )


def explanation(names: Sequence[str]) -> RenderableType:
    """What each metric tells, its range, when it lies and where it comes from."""
    lines: list[RenderableType] = []
    for name in names:
        metric = METRICS[name]
        lines.append(Text.assemble((name, "bold cyan"), ("  "), (metric.title, "bold")))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        asked = "  Computed only when it is named." if metric.asked else ""
        rows = [
            ("tells", metric.tells),
            ("range", metric.range),
            ("best", metric.better),
            ("lies", metric.lies),
            ("needs", f"{NEEDS[metric.needs]}.{asked}"),
            ("source", metric.source),
        ]
        for title, words in rows:
            table.add_row(f"  {title}", Text(words))
        lines += [table, Text("")]
    return Group(*lines)
