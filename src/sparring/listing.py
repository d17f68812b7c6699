"""What commands show people at the end: tables of runs, what is in a data set, how a run ended."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparring.errors import RunError, SparringError
from sparring.training.run import Run
from sparring.training.wording import compact, duration, printable, share

SHOWN = 20
QUALITIES = ("precision", "recall", "coverage")


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
        return {"path": str(run), "data": settings.data, "network": settings.network, **run.summary()}
    except SparringError as error:
        return {"path": str(run), "state": "unreadable", "message": str(error)}


def table(runs: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The runs for people."""
    if not runs:
        return Text("no runs here; `sparring train DATA --out RUN` makes one")
    shown = Table(box=None, header_style="bold")
    shown.add_column("run", no_wrap=True, overflow="fold")
    shown.add_column("state")
    shown.add_column("data", no_wrap=True)
    for name in ("images", "time", *QUALITIES):
        shown.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        quality = run.get("quality") or {}
        shown.add_row(
            printable(Path(run["path"]).name),
            run.get("state", "new"),
            printable(Path(run.get("data", "")).name),
            compact(run.get("images", 0)),
            duration(run.get("seconds", 0)),
            *(share(quality[name]) if name in quality else "-" for name in QUALITIES),
        )
    return shown


def describe_data(found: Mapping[str, Any]) -> RenderableType:
    """What `data check` found, for people."""
    lines: list[RenderableType] = [
        Text(f"{found['used']:,} pictures can be used, {len(found['skipped']):,} would be skipped", style="bold")
    ]
    for title, key in (("sizes", "sizes"), ("kinds", "modes"), ("classes", "classes")):
        counts = list(found[key].items())
        if counts:
            listed = ", ".join(f"{printable(name)} ({count:,})" for name, count in counts[:8])
            lines.append(Text(f"{title}: {listed}{f' and {len(counts) - 8:,} more' if len(counts) > 8 else ''}"))
    if found["skipped"]:
        skipped = Table("skipped", "why", box=None, header_style="bold")
        for entry in found["skipped"][:SHOWN]:
            skipped.add_row(printable(entry["path"]), printable(entry["reason"]))
        lines.append(skipped)
    if len(found["skipped"]) > SHOWN:
        lines.append(Text(f"and {len(found['skipped']) - SHOWN:,} more: --json FILE lists all"))
    return Group(*lines)


def ending(run: Run, summary: Mapping[str, Any]) -> RenderableType:
    """How a run ended, how good it is, and what to do with it."""
    lines = [
        f"{summary['state']}: {summary['message']}" if summary["message"] else summary["state"],
        f"{summary['images']:,} images in {duration(summary['seconds'])}",
    ]
    if quality := summary.get("quality"):
        protocol = quality["protocol"]
        lines.append(
            f"best at {quality['images']:,} images: precision {share(quality['precision'])}, "
            f"recall {share(quality['recall'])}, coverage {share(quality['coverage'])}, "
            f"copies {share(quality['copies'])}"
        )
        lines.append(
            f"  ({protocol['fake']:,} samples against {protocol['real']:,} real pictures, {protocol['features']}, "
            f"{protocol['k']} neighbours)"
        )
    if run.report.is_file():
        lines.append(f"report   {run.report}")
    latest = run.samples / "latest.png"
    if latest.is_file():
        lines.append(f"samples  {latest}")
    if summary["state"] == "finished":
        lines.append(f"more     sparring sample {quote(str(run))} --n 64 --out samples.png")
    else:
        lines.append(f"go on    sparring resume {quote(str(run))}")
    return Text("\n".join(lines))
