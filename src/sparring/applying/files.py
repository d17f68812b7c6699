"""A file or a folder of pictures through a generator, to a file or a folder of results."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from sparring.applying.apparatus import Apparatus
from sparring.applying.changing import NO_MASK, change, prepared
from sparring.applying.planning import Item, plan
from sparring.applying.reading import read, read_mask
from sparring.applying.record import Record
from sparring.applying.writing import FORMATS, LOSSY, encoded, putting
from sparring.data.decode import UnusableError, reason
from sparring.data.sources import Progress, Skipped
from sparring.errors import DataError, SettingError
from sparring.wording import printable

UNCHANGED = "its mask has no hole, which would be white: it was copied as it is"


def apply_to_files(
    apparatus: Apparatus,
    source: str | PathLike[str],
    out: str | PathLike[str],
    mask: str | PathLike[str] | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
    made_by: str | None = None,
    marks: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Changes a picture file, or all in a folder and the folders in it.

    out: for one file a file, whose ending says the format, or a folder; for a folder a folder, in which names and
    formats are kept. mask: white where a generator that fills holes is to fill; one picture for all, or a folder with
    one for each, of the same name or the same but for its ending. made_by: `record.identity`; results in `out` that it
    made of the same files are not made again. note: is told of what is other than one might expect. marks: texts that
    PNG files hold.

    Returns `out`, `pictures` (made now), `already` (done before), `skipped` (each with `path` and `reason`), `notices`
    and `seconds`.

    Raises: DataError if no picture at all can be used, or the mask for all cannot. SettingError for a mask that is not
    taken. RunError if `out` lies in the pictures, holds other files of these names, or cannot be written.
    """
    start = time.perf_counter()
    if mask is not None and not apparatus.takes_mask:
        raise SettingError(f"{mask}: {NO_MASK}")
    source, out, mask = Path(source), Path(out), None if mask is None else Path(mask)
    planned = plan(source, out, mask, apparatus.takes_mask)
    record = None if planned.folder is None else Record(planned.folder, made_by)
    if record is not None:
        record.protect(planned.items)
    for_all = None if mask is None or mask.is_dir() else mask_for_all(mask)
    skipped, said = list(planned.skipped), dict[str, list[str]]()
    made = already = 0
    for number, item in enumerate(planned.items):
        if progress is not None:
            progress("changing pictures", number, len(planned.items))
        if record is not None and record.done(item):
            already += 1
            continue
        try:
            content, notices = result(apparatus, item, for_all, marks)
        except UnusableError as error:
            skipped.append(Skipped(item.name, printable(str(error))))
            continue
        with putting(item.target) as aside:
            aside.write_bytes(content)
            if record is not None:
                record.note(item, aside)
        made += 1
        for notice in notices:
            said.setdefault(notice, []).append(item.name)
    if progress is not None and planned.items:
        progress("changing pictures", len(planned.items), len(planned.items))
    if not made and not already:
        raise nothing_done(source, skipped)
    notices = [summed_up(notice, names) for notice, names in said.items()]
    if already:
        notices.insert(0, f"{already:,} done already")
    for notice in notices:
        if note is not None:
            note(notice)
    return {
        "out": str(out),
        "pictures": made,
        "already": already,
        "skipped": [asdict(entry) for entry in skipped],
        "notices": notices,
        "seconds": round(time.perf_counter() - start, 3),
    }


def mask_for_all(path: Path) -> Tensor:
    """The holes of the mask that all pictures share, bool (H, W).

    Raises: DataError if it cannot be used.
    """
    try:
        return read_mask(path)
    except Exception as error:  # decoding may raise anything
        raise DataError(f"{path}: the mask cannot be used: {reason(error)}") from error


def result(
    apparatus: Apparatus, item: Item, for_all: Tensor | None, marks: Mapping[str, str] | None
) -> tuple[bytes, list[str]]:
    """The content of the file to be written, and what is other than one might expect.

    Raises: UnusableError if the picture or its mask cannot be used.
    """
    try:
        mask = for_all
        if item.mask is not None and for_all is None:
            mask = read_mask(item.mask)
    except Exception as error:  # decoding may raise anything
        raise UnusableError(f"its mask {item.mask}: {reason(error)}") from error
    try:
        given = read(item.source)
        reading, hole = prepared(apparatus, given, mask)
    except Exception as error:
        raise UnusableError(reason(error)) from error
    notices = [*given.notices, *([item.notice] if item.notice else [])]
    suffix = item.target.suffix
    if hole is not None and not hole.any():
        if given.kind == FORMATS[suffix.lower()]:
            return item.source.read_bytes(), [UNCHANGED]
        notices.append(UNCHANGED)
    content, more = encoded(change(apparatus, reading, hole), suffix, given.lossless or hole is not None, marks)
    if hole is not None and FORMATS[suffix.lower()] in LOSSY:
        more.append(f"{suffix[1:].upper()} changes the pixels outside of holes a little too; PNG would not")
    return content, notices + more


def summed_up(notice: str, names: list[str]) -> str:
    """What is to be said of some pictures in one sentence."""
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return f"{names[0]}{more}: {notice}"


def nothing_done(source: Path, skipped: list[Skipped]) -> DataError:
    """The error that says why no picture could be used."""
    if source.is_file():
        return DataError(f"{source}: {skipped[0].reason}")
    found = "; ".join(f"{each.path}: {each.reason}" for each in skipped[:3]) or "nothing is in it"
    return DataError(f"{source}: no picture that can be used ({found}{'; ...' * (len(skipped) > 3)})")
