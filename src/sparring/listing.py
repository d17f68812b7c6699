"""What commands show people at the end: tables of runs, what is in a data set, how a run ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparring.data import ClipCheck, TextCheck
from sparring.errors import RunError, SparringError
from sparring.evaluation.judgement import comparable, interval, shown
from sparring.evaluation.judgement import summary as protocol_summary
from sparring.exporting import Exported
from sparring.training.account import Account
from sparring.training.doctor import broke, examine, signals
from sparring.training.guard import SIGNALS
from sparring.training.next_steps import STOPPED, next_steps
from sparring.training.report import headline
from sparring.training.run import Run
from sparring.wording import compact, duration, printable, things

if TYPE_CHECKING:
    from sparring.exporting.hub import Shared

SHOWN = 20
GENERATED = {"fid": "fid", "precision": "prec.", "recall": "recall", "coverage": "cover."}
RESTORED = {"psnr": "psnr", "ssim": "ssim", "perceptual": "perc."}
TRANSLATED = {"style": "style", "structure": "struct."}
WRITTEN = {"bleu3": "bleu3", "self_bleu3": "self-b.", "reverse": "reverse", "copied_lines": "copied"}
SYNTHESISED = {"validity": "valid", "unique_1k": "unique", "novelty": "novel", "fcd": "fcd", "reward": "reward"}
FILMED = {"clip_distance": "dist.", "fvd": "fvd", "precision": "prec.", "recall": "recall", "coverage": "cover."}
"""Metrics in the table of runs, and what stands above them: of pictures made, restored and translated, of texts, of
molecules and of clips."""

COLUMNS = {"text": WRITTEN, "molecules": SYNTHESISED, "video": FILMED}
"""By the task; other tasks are judged in several ways."""


def find_runs(folder: Path) -> list[dict[str, Any]]:
    """The runs in a folder (or the folder itself, if it is one), by name: path, summary, data, network.

    Raises: RunError if there is no such folder.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: there is no such folder")
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    return [describe_run(Run(path)) for path in candidates if (path / "config.toml").is_file()]


def describe_run(run: Run) -> dict[str, Any]:
    """One line about a run, whatever shape it is in."""
    try:
        settings = run.settings()
        known = {"task": settings.task, "data": settings.data, "network": settings.network}
        return {"path": str(run), **known, **run.summary()}
    except SparringError as error:
        return {"path": str(run), "state": "unreadable", "message": str(error)}


def table(runs: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Runs as people read them, a table for each task; qualities of different protocols are told apart."""
    if not runs:
        return Text("no runs here; `sparring train DATA --out RUN` makes one")
    kinds: dict[str, str] = {}
    for run in runs:
        if protocol := _protocol(run):
            kinds.setdefault(comparable(protocol), f"{printable(Path(run['data']).name)}; {protocol_summary(protocol)}")
    numbers = {kind: str(place) for place, kind in enumerate(kinds, 1)} if len(kinds) > 1 else {}
    tasks: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        tasks.setdefault(run.get("task", ""), []).append(run)
    parts: list[RenderableType] = []
    for task, alike in tasks.items():
        if len(tasks) > 1:
            parts.append(Text(f"task {task}" if task else "cannot be read", style="bold"))
        parts += [_table(alike, numbers), *[Text("")] * (len(tasks) > 1)]
    notes = [f"protocol {numbers.get(kind, '')}".rstrip() + f": {words}" for kind, words in kinds.items()]
    if numbers:
        notes.append("Qualities under different protocols, or against different pictures, do not compare.")
    parts += [Text(note, style="dim") for note in notes]
    return Group(*parts)


def _table(runs: Sequence[Mapping[str, Any]], numbers: Mapping[str, str]) -> Table:
    """Runs of one task; `numbers` of protocols that are to be told apart, by what is comparable."""
    measured = {name for run in runs for name in (run.get("quality") or {}).get("metrics", {})}
    qualities = COLUMNS.get(runs[0].get("task", ""))
    if qualities is None:
        kept = [names for names in (GENERATED, RESTORED, TRANSLATED) if measured & names.keys()] or [GENERATED]
        qualities = {name: title for names in kept for name, title in names.items()}
    qualities = {name: title for name, title in qualities.items() if name in measured or not measured}
    names = [printable(Path(run["path"]).name) for run in runs]
    listed = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    # What has no room is cut, but what a run is called by is not.
    listed.add_column("run", no_wrap=True, min_width=max(map(len, names)))
    listed.add_column("state", no_wrap=True)
    listed.add_column("data", no_wrap=True)
    for title in (things(runs[0].get("task", ""))[2], "time", *qualities.values(), *["prot."] * bool(numbers)):
        listed.add_column(title, justify="right", no_wrap=True)
    for name, run in zip(names, runs, strict=True):
        metrics = (run.get("quality") or {}).get("metrics", {})
        protocol = _protocol(run)
        listed.add_row(
            name,
            run.get("state", "new"),
            printable(Path(run.get("data", "")).name),
            compact(run.get("images", 0)),
            duration(run.get("seconds", 0)),
            *(shown(each, metrics[each]["value"]) if each in metrics else "-" for each in qualities),
            *([numbers[comparable(protocol)] if protocol else "-"] if numbers else []),
        )
    return listed


def _protocol(run: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the quality of a run holds under; None if it was not measured, or its file is not understood."""
    protocol = (run.get("quality") or {}).get("protocol") or {}
    return protocol if {"features", "pictures", "real", "generated", "k"} <= protocol.keys() else None


def describe_data(found: Mapping[str, Any]) -> RenderableType:
    """What `data check` found, for people."""
    lines: list[RenderableType] = [
        Text(f"{found['used']:,} pictures can be used, {len(found['skipped']):,} would be skipped", style="bold")
    ]
    for title, key in (("sizes", "sizes"), ("kinds", "modes"), ("classes", "classes")):
        lines += counted(title, found[key])
    return Group(*lines, *list_skipped(found["skipped"]))


def describe_clips(found: ClipCheck) -> RenderableType:
    """What `data check` found in clips, for people."""
    seconds = ", ".join(f"{name} {length:g}" for name, length in found["seconds"].items())
    lines: list[RenderableType] = [
        Text(f"{found['used']:,} clips can be used, {len(found['skipped']):,} would be skipped", style="bold"),
        Text(f"frames: {found['frames']:,}; seconds of a clip: {seconds}"),
        *counted("frames a second", found["rates"]),
        *counted("sizes", found["sizes"]),
        *counted("classes", found["classes"]),
    ]
    return Group(*lines, *list_skipped(found["skipped"]))


def counted(title: str, counts: Mapping[str, int]) -> list[RenderableType]:
    """A line that tells how often each comes, of the first few; none if there are none."""
    if not counts:
        return []
    listed = ", ".join(f"{printable(name)} ({count:,})" for name, count in list(counts.items())[:8])
    return [Text(f"{title}: {listed}{f' and {len(counts) - 8:,} more' if len(counts) > 8 else ''}")]


def describe_texts(found: TextCheck) -> RenderableType:
    """What `data check` found in texts, for people."""
    kind = "documents" if found["documents"] else "texts"
    lengths = ", ".join(f"{name} {length:,}" for name, length in found["lengths"].items())
    symbols = " ".join(printable(symbol) if symbol.strip() else repr(symbol) for symbol in found["frequent"])
    lines = [
        Text(f"{found['used']:,} {kind} can be used, {len(found['skipped']):,} would be skipped", style="bold"),
        Text(f"characters: {found['characters']:,}, {found['distinct']:,} different; most frequent: {symbols}"),
        Text(f"characters of a text: {lengths}"),
    ]
    if found["duplicates"]:
        lines.append(Text(f"the same as an earlier one: {found['duplicates']:,}"))
    return Group(*lines, *list_skipped(found["skipped"]))


def describe_molecules(found: Mapping[str, Any]) -> RenderableType:
    """What `data check` found in molecules, for people."""
    atoms = ", ".join(f"{element} {count:,}" for element, count in found["atoms"].items())
    heavy, selfies = found["heavy_atoms"], found["selfies"]
    lines = [
        Text(f"{found['used']:,} molecules can be used, {len(found['skipped']):,} would be skipped", style="bold"),
        Text(f"atoms but hydrogen in a molecule: median {heavy['median']:,}, most {heavy['most']:,}"),
        Text(
            f"SELFIES symbols: {selfies['symbols']:,} different; of a molecule: median {selfies['median']:,}, longest "
            f"{selfies['longest']:,}"
        ),
        Text(f"atoms: {atoms}"),
    ]
    for title, key in (
        ("the same as an earlier one", "duplicates"),
        ("with several fragments, of which the largest stays", "salts"),
        ("with a charge", "charged"),
    ):
        if found[key]:
            lines.append(Text(f"{title}: {found[key]:,}"))
    return Group(*lines, *list_skipped(found["skipped"]))


def describe_packed(packed: Mapping[str, Any]) -> RenderableType:
    """What `data pack` made, for people."""
    counted = f"{packed['pictures']:,} pictures in {packed['shards']:,} shards, {packed['bytes'] / 2**20:,.1f} MiB"
    left_out = f", {len(packed['skipped']):,} left out" if packed["skipped"] else ""
    whole = Text(f"{counted}{left_out}: sparring train {quote(packed['path'])} --out RUN", style="bold")
    return Group(whole, *list_skipped(packed["skipped"]))


def describe_applied(found: Mapping[str, Any]) -> RenderableType:
    """What `apply` did, for people. It has said the notices itself."""
    pictures = f"{found['pictures']:,} picture{'s' * (found['pictures'] != 1)}"
    left_out = f", {len(found['skipped']):,} skipped" if found["skipped"] else ""
    whole = Text(f"{pictures} in {duration(found['seconds'])}{left_out}: {printable(found['out'])}", style="bold")
    return Group(whole, *list_skipped(found["skipped"]))


def describe_exported(made: Exported) -> RenderableType:
    """What an export wrote, what it takes and gives, and how far it is from PyTorch."""
    bytes_ = "uint8" in made.output
    unit = "of 255" if bytes_ else "in probability"
    lines = [f"{name:8} {words}" for name, words in made.inputs.items()]
    lines += [f"gives    {made.output}", f"differs  by {made.difference:.2g} {unit} at most from {made.compared_with}"]
    if bytes_:
        lines[-1] += f", by {made.mean_difference:.2g} on average"
    return Text(
        "\n".join([f"{made.path}: {made.bytes / 1e6:.2f} MB, {made.precision}", *lines, f"card     {made.card}"])
    )


def describe_shared(made: "Shared") -> RenderableType:
    """Where a generator was pushed or pulled to, and its files."""
    lines = [f"{made.place}{f', commit {made.commit}' if made.commit else ''}"]
    lines += [f"{name:22} {size / 1e3:10,.0f} kB" for name, size in made.files.items()]
    return Text("\n".join(lines))


def list_skipped(skipped: Sequence[Mapping[str, str]]) -> Iterator[RenderableType]:
    """What is not used and why, as a table of the first."""
    if skipped:
        listed = Table("skipped", "why", box=None, header_style="bold")
        for entry in skipped[:SHOWN]:
            listed.add_row(printable(entry["path"]), printable(entry["reason"]))
        yield listed
    if len(skipped) > SHOWN:
        yield Text(f"and {len(skipped) - SHOWN:,} more: --json FILE lists all")


def diagnosis(account: Account) -> RenderableType:
    """What the doctor says of a run, and how near the signals of the guard came to their thresholds."""
    found = examine(account)
    lines: list[RenderableType] = [Text(headline(account), style="bold")]
    for advice in found:
        words = Text("! " if advice.urgent else "- ", style="yellow" if advice.urgent else "green")
        lines.append(words + Text(printable(advice.words), style=""))
    if not any(advice.urgent for advice in found):
        lines.append(Text("Nothing wrong was seen.", style="green"))
    watched, names = list(signals(account)), {signal.name for signal in SIGNALS}
    if not watched:
        taken_back = names & {event.get("event") for event in account.events}
        unwatched = (
            "The guard has not looked at it since it went back."
            if taken_back
            else "The guard has not looked at it yet."
        )
        if account.setting("guard") == "off":
            unwatched = "The guard was off: nobody watched how it went."
        return Group(*lines, Text(unwatched, style="dim"))
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("what the guard looks at", no_wrap=True)
    highest = "highest besides" if any(event.get("event") in names for event in account.events) else "highest"
    for name in (highest, "acts above"):
        table.add_column(name, justify="right", no_wrap=True)
    for signal, largest in watched:
        table.add_row(signal.name, compact(largest), compact(signal.threshold))
    return Group(*lines, Text(""), table)


def ending(run: Run, summary: Mapping[str, Any]) -> RenderableType:
    """How a run ended, how good it is, and what to do with it."""
    _, _, seen = things(str(summary.get("task")))
    lines = [
        f"{summary['state']}: {summary['message']}" if summary["message"] else summary["state"],
        f"{summary['images']:,} {seen} in {duration(summary['seconds'])}",
    ]
    if quality := summary.get("quality"):
        figures = [
            f"{name} {shown(name, result['value'])} ({interval(name, result['low'], result['high'])})"
            for name, result in quality["metrics"].items()
        ]
        lines.append(f"best {quality['metric']} at {quality['images']:,} {seen}, with intervals of 95 %:")
        lines.extend(f"  {figure}" for figure in figures)
        lines.append(f"  protocol: {protocol_summary(quality['protocol'])}")
        lines.extend(f"  beware: {notice}" for notice in quality["notices"])
    ruined = list(broke(replace(Account.read(run.folder), summary=summary)))
    lines.extend(f"beware: {advice.words}" for advice in ruined)
    if run.report.is_file():
        lines.append(f"report   {run.report}")
    lines.extend(f"samples  {latest}" for latest in sorted(run.samples.glob("latest.*")))
    settings, state = run.settings(), str(summary["state"])
    kind = "graph" if settings.representation == "graph" else settings.task
    styles = run.data().get("classes") or ()
    damage, guard, minutes = settings.damage or "", settings.guard, settings.minutes
    steps = next_steps(str(run), kind, state, summary["images"], damage, styles, guard, minutes)
    if state == "finished":
        lines.extend(f"{head:8} {steps[place][0]}" for head, place in (("more", 0), ("", 2)))
    elif state == STOPPED and settings.guard == "on":
        lines.extend(f"{head:8} {steps[place][0]}" for head, place in (("use", 0), ("why", -1)))
    elif not ruined:
        lines.append(f"go on    {steps[0][0]}")
    return Text("\n".join(lines))
