"""How commands speak: text for people on standard error, JSON where it is asked for, and errors as one sentence."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sparring.errors import RunError, SparringError
from sparring.training.next_steps import left_behind

Json = Annotated[
    str | None, typer.Option("--json", metavar="PATH|-", help="Also write the outcome as JSON; - is standard output.")
]


def examples(*lines: str) -> str:
    """The end of a help text."""
    return "\n\n".join(["[bold]Examples[/bold]", *(f"[cyan]$ {line}[/cyan]" for line in lines)])


@contextmanager
def reporting(output: str | None, run: Path | None = None) -> Iterator[None]:
    """Says what a person can put right in one sentence, and ends with the status for it.

    A place for the JSON that is not there is such a thing, and better said before hours of training than after.
    run: the folder of what is trained, of which Ctrl-C says what there is.
    """
    try:
        if output not in (None, "-") and not Path(str(output)).absolute().parent.is_dir():
            raise RunError(f"{output}: there is no such folder to write to")
        yield
    except SparringError as error:
        # What is wrong on one of many hosts is said by the process there.
        who = "sparring" if is_first() else f"sparring, process {os.environ['RANK']}"
        sys.stderr.write(f"{who}: {error}\n")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        tell("sparring: stopped" if run is None else f"sparring: stopped; {left_behind(run)}")
        raise typer.Exit(130) from None


def is_first() -> bool:
    """Whether this process is the one of its `torchrun` that speaks."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def emit(value: Any, output: str | None) -> None:
    """Writes the outcome as JSON where it was asked for."""
    if output is None or not is_first():
        return
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    if output == "-":
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{output}: cannot be written: {error.strerror}") from None


def tell(text: str) -> None:
    """One line for people."""
    if not is_first():
        return
    sys.stderr.write(text + "\n")


def show(content: Any) -> None:
    """Something for people that rich draws; lines of text stay whole where no terminal shows them, as paths must."""
    if not is_first():
        return
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(content, soft_wrap=isinstance(content, Text) and not sys.stderr.isatty())
