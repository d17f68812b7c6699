"""Where molecules lie: files of SMILES, tables with a column of SMILES, and SDF files, as texts with their lines."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from sparring.data.sources import file_digest, missing, printable
from sparring.errors import DataError

Place = str | PathLike[str]

LISTS = frozenset([".smi", ".smiles", ".txt"])
TABLES = frozenset([".csv", ".tsv"])
BLOCKS = frozenset([".sdf"])

SUFFIXES = LISTS | TABLES | BLOCKS
"""How files of molecules end; each may end in .gz besides."""

SURE = frozenset([".smi", ".smiles", ".sdf"])
"""Endings that nothing but molecules has."""

COLUMN = "smiles"
"""The column of a table, in any case of letters."""

TRIED = 20
"""Rows of a table without a column of that name in which SMILES are looked for."""

DELIMITERS = ",;\t"

MOST_BYTES = 4 << 30
"""Of a file when it is unpacked."""


@dataclass(frozen=True)
class Molecules:
    """What stands in a file, before any of it is looked at. lines: number of the line and text; see `chemistry`."""

    name: str
    digest: str
    lines: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Embedded:
    """A set that comes with a package: what it is, and what finds its file."""

    about: str
    find: Callable[[], Path]


def nci() -> Path:
    """The first 5,000 molecules of the open NCI database (National Cancer Institute), as RDKit carries them."""
    from sparring.chemistry.toolkit import needed

    path = Path(needed("rdkit.RDConfig").RDDataDir) / "NCI" / "first_5K.smi"
    if not path.is_file():
        raise DataError("nci: this RDKit comes without its data; that of PyPI has them: pip install rdkit")
    return path


EMBEDDED_MOLECULES = {
    "nci": Embedded("5,000 molecules of the National Cancer Institute's open set, SMILES; from RDKit", nci)
}
"""Every embedded set of molecules by its name."""


def kind_of(path: Path) -> str:
    """The ending that says how molecules are written, without .gz; empty if it is of another kind."""
    name = path.name.lower().removesuffix(".gz")
    return next((suffix for suffix in sorted(SUFFIXES) if name.endswith(suffix)), "")


def surely_molecules(place: Place) -> bool:
    """Whether a place holds molecules by its name, or, of a table, by a column of SMILES; needs no RDKit.

    A .txt file may hold anything, so it is not: whoever says that it holds molecules knows.
    """
    if str(place) in EMBEDDED_MOLECULES and not Path(place).exists():
        return True
    path = Path(place)
    kind = kind_of(path)
    if kind in SURE:
        return True
    if kind not in TABLES or not path.is_file():
        return False
    try:
        with (
            gzip.open(path, "rt", errors="replace")
            if path.suffix.lower() == ".gz"
            else path.open(errors="replace") as stream
        ):
            header = next(csv.reader([first := stream.readline(10_000)], delimiter=_delimiter(first)), [])
    except (OSError, EOFError, zlib.error, csv.Error):
        return False
    return COLUMN in [cell.strip().strip("\ufeff").lower() for cell in header]


def open_molecules(place: Place) -> Molecules:
    """The texts of a file, or of an embedded set by its name.

    Raises: DataError if it is missing, of another kind, empty or damaged.
    """
    path, kind = _found(place)
    text = _text(path)
    if kind in BLOCKS:
        lines = list(_blocks(text))
    elif kind in TABLES:
        lines = list(_column(text, path.name))
    else:
        lines = list(_words(text))
    if not lines:
        raise DataError(f"{printable(path.name)}: it is empty; expected one molecule a line")
    shown = str(place) if str(place) in EMBEDDED_MOLECULES else path.name
    return Molecules(shown, hashlib.blake2b(kind.encode() + file_digest(path), digest_size=20).hexdigest(), lines)


def samples_of(place: Place) -> list[str]:
    """What a generator wrote, one text a sample: as `open_molecules`, but that a line without a molecule counts, empty.

    So does a row of a table whose cells are all empty; only a line without any cell is no row.

    Raises: DataError as there.
    """
    path, kind = _found(place)
    if kind in BLOCKS:
        return [text for _, text in open_molecules(place).lines]
    if kind in TABLES:
        texts = [text for _, text in _column(_text(path), path.name, empty=True)]
    else:
        texts = [(line.split(maxsplit=1) or [""])[0] for line in _text(path).splitlines()]
        if texts and texts[0].lower() == COLUMN:
            del texts[0]
        if not any(texts):
            texts.clear()
    if not texts:
        raise DataError(f"{printable(path.name)}: it is empty; expected one molecule a line")
    return texts


def _found(place: Place) -> tuple[Path, str]:
    """The file of a place, and its kind. Raises: DataError as `open_molecules`."""
    name = str(place)
    path = Path(place)
    if name in EMBEDDED_MOLECULES and not path.exists():
        path = EMBEDDED_MOLECULES[name].find()
    if not path.is_file():
        raise DataError(f"{printable(name)}: is a folder; molecules are one file" if path.is_dir() else missing(path))
    kind = kind_of(path)
    if not kind:
        raise DataError(
            f"{printable(path.name)}: not a file of molecules by its name; these end in "
            f"{', '.join(sorted(SUFFIXES))}, or so and .gz"
        )
    return path, kind


def _text(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{printable(str(path))}: cannot be read: {error}") from None
    if len(content) > MOST_BYTES:
        raise DataError(f"{printable(str(path))}: more than {MOST_BYTES >> 30} GiB of text; take a part of it")
    # What is no UTF-8 is no SMILES either, and is named by its line later.
    return content.decode("utf-8-sig", errors="replace")


def _words(text: str) -> Iterator[tuple[int, str]]:
    """The first word of every line; what follows is a name. A heading, comments (#) and empty lines are none."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(maxsplit=1)
        if not words or words[0].startswith("#") or (number == 1 and words[0].lower() == COLUMN):
            continue
        yield number, words[0]


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """The molecules of an SDF file, without the values below them, by the line that each begins at."""
    start, kept, ended = 1, list[str](), False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$$$$"):
            if kept:
                yield start, "\n".join(kept) + "\n"
            start, kept, ended = number + 1, [], False
        elif not ended:
            kept.append(line)
            ended = line.startswith("M  END")
    if any(line.strip() for line in kept):
        yield start, "\n".join(kept) + "\n"


def _column(text: str, name: str, *, empty: bool = False) -> Iterator[tuple[int, str]]:
    """The column of SMILES of a table, by the line that each row ends at. empty: whether empty rows count as well.

    Raises: DataError if there is none.
    """
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text.partition("\n")[0]))
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{printable(name)}: line {reader.line_num}: not a table: {error}") from None
    full = [(number, row) for number, row in rows if any(cell.strip() for cell in row)]
    if not full:
        return
    first, heading = full[0]
    header = [cell.strip().lower() for cell in heading]
    if COLUMN in header:
        column, headed = header.index(COLUMN), True
    else:
        column = _smiles_column([row for _, row in full[1 : TRIED + 1]] or [heading], name)
        headed = not _reads([heading], column)  # by another name
    for number, row in rows if empty else full:
        if headed and number <= first:
            continue
        words = row[column].split(maxsplit=1) if column < len(row) else []
        yield number, words[0] if words else ""


def _smiles_column(rows: Sequence[Sequence[str]], name: str) -> int:
    """The first column that RDKit reads in more than half of the rows; numbers alone could be read as nothing else."""
    for column in range(max(map(len, rows), default=0)):
        if _reads(rows, column):
            return column
    raise DataError(f"{printable(name)}: none of its columns is called {COLUMN} or holds SMILES")


def _reads(rows: Sequence[Sequence[str]], column: int) -> bool:
    from sparring.chemistry.standard import UnusableError, parse

    read = 0
    for row in rows:
        try:
            parse(row[column].strip() if column < len(row) else "")
            read += 1
        except UnusableError:
            pass
    return 2 * read > len(rows)


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)
