"""Generated molecules as files: a list, a table, shapes in space, a sheet of drawings, or a page."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from sparring.chemistry.conformers import shapes
from sparring.chemistry.drawing import MOST, pictures, svg
from sparring.chemistry.neighbours import nearest_training
from sparring.chemistry.parallel import Progress, in_chunks
from sparring.chemistry.properties import USUAL, as_read, properties, titles
from sparring.chemistry.standard import canonical
from sparring.data.cache import aside
from sparring.errors import RunError
from sparring.mosaic import grid
from sparring.output import check_place

NAMES_NEAREST = (".csv", ".html")
"""Where the nearest training molecule stands beside each."""

MOST_ON_A_PAGE = 1000
"""Molecules on one page, of which each takes about 10 KB."""

FEW_SHAPES = 40
"""Molecules for which other processes are started to find their shapes, which takes a twentieth of a second each."""


@dataclass(frozen=True)
class Row:
    """A molecule on a page."""

    number: int
    smiles: str
    drawing: Markup
    values: Sequence[str]
    nearest: str
    similarity: float


def write_molecules(
    smiles: Sequence[str],
    path: str | PathLike[str],
    training: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Writes molecules to a file, by its ending, and gives sentences about what could not be.

    .smi: one a line; a sample that is no molecule is an empty line, so that there are as many lines as samples. .csv:
    with properties. .sdf: with hydrogen and 3-D coordinates, properties below each; what has none is named and left
    out. .png: a sheet of drawings. .html: a page with drawings and properties. In tables and pages, samples that are no
    molecules have empty fields. training: canonical SMILES, of which tables and pages name the nearest one. A file is
    replaced whole.

    Raises: RunError for another ending, no molecules, or a file that cannot be written.
    """
    target = Path(path)
    ending = target.suffix.lower()
    check_place(target, "molecules")
    if not smiles:
        raise RunError(f"{target}: there are no molecules to write")
    made = [canonical(text) for text in smiles]
    notices = list[str]()
    match ending:
        case ".smi":
            content = "".join(f"{text}\n" for text in made).encode()
        case ".csv":
            content = _table(made, training, progress).encode()
        case ".sdf":
            content = _blocks(made, notices, progress).encode()
        case ".png":
            content = _sheet(made, notices)
        case _:
            content = _page(made, training, notices, progress).encode()
    try:
        with aside(target) as stream:
            stream.write(content)
    except OSError as error:
        raise RunError(f"{target}: cannot be written: {error.strerror or error}") from None
    return notices


def _table(made: Sequence[str], training: Sequence[str] | None, progress: Progress | None) -> str:
    values = properties(made, progress=progress)
    near = nearest_training(made, training, progress) if training else None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["smiles", *values, *(["nearest_training", "similarity"] if near else [])])
    for place, smiles in enumerate(made):
        numbers = [as_read(name, float(each[place])) if smiles else "" for name, each in values.items()]
        beside = [near[place][0], f"{near[place][1]:.3f}" if smiles else ""] if near else []
        writer.writerow([smiles, *numbers, *beside])
    return text.getvalue()


def _blocks(made: Sequence[str], notices: list[str], progress: Progress | None) -> str:
    values = properties(made, progress=progress)
    chunks = in_chunks(shapes, made, "3-D coordinates", progress, chunk=10, least=FEW_SHAPES)
    found = [shape for chunk in chunks for shape in chunk]
    parts, missing = list[str](), list[str]()
    for place, (smiles, shape) in enumerate(zip(made, found, strict=True)):
        if not shape.block:
            missing.append(f"{place + 1} ({smiles or 'empty'}): {shape.reason}")
            continue
        # The first line of a block is its title; values follow behind "> <name>" and end with an empty line.
        fields = {"smiles": smiles} | {name: as_read(name, float(each[place])) for name, each in values.items()}
        below = "".join(f"> <{name}>\n{value}\n\n" for name, value in fields.items())
        parts.append(f"sample {place + 1}{shape.block}{below}$$$$\n")
    if missing:
        named = "; ".join(missing[:5]) + "; ..." * (len(missing) > 5)
        notices.append(f"{len(missing):,} of {len(made):,} samples are not in the file: {named}")
    return "".join(parts)


def _sheet(made: Sequence[str], notices: list[str]) -> bytes:
    shown = made[:MOST]
    if len(shown) < len(made):
        notices.append(f"the first {MOST} of {len(made):,} molecules are drawn")
    values = properties(shown)
    legends = [
        f"QED {values['qed'][place]:.2f}  logP {values['logp'][place]:.1f}" if text else "no molecule"
        for place, text in enumerate(shown)
    ]
    stream = io.BytesIO()
    grid(pictures(shown, legends=legends), scale=1).save(stream, "PNG")
    return stream.getvalue()


def _page(made: Sequence[str], training: Sequence[str] | None, notices: list[str], progress: Progress | None) -> str:
    shown = made[:MOST_ON_A_PAGE]
    if len(shown) < len(made):
        notices.append(f"the first {MOST_ON_A_PAGE:,} of {len(made):,} molecules are on the page")
    values = properties(shown, progress=progress)
    near = nearest_training(shown, training, progress) if training else [("", 0.0)] * len(shown)
    rows = [
        Row(
            number=place + 1,
            smiles=text,
            # The SVG is RDKit's; what it is drawn from is a SMILES that RDKit wrote.
            drawing=Markup(svg(text)),
            values=[as_read(name, float(each[place])) for name, each in values.items()],
            nearest=near[place][0],
            similarity=near[place][1],
        )
        for place, text in enumerate(shown)
    ]
    valid = [text for text in made if text]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    known: dict[str, Any] = {
        "rows": rows,
        "total": len(made),
        "valid": len(valid),
        "different": len(set(valid)),
        "titles": titles(USUAL),
        "training": bool(training),
        "new": len(set(valid) - set(training)) if training else None,
    }
    return environment.get_template("molecules.html.jinja").render(known)
