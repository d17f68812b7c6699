"""Which files are read, where their results go, and which masks belong to them: decided before anything is written."""

import os
from dataclasses import dataclass
from pathlib import Path

from sparring.applying.reading import lossless_webp
from sparring.applying.writing import FORMATS, LOSSY
from sparring.data.sources import Skipped, hidden, natural, printable
from sparring.errors import DataError, RunError


@dataclass(frozen=True)
class Item:
    """A picture, and where its result goes."""

    name: str
    """For people: relative to the folder that all are in."""
    source: Path
    target: Path
    mask: Path | None = None
    notice: str | None = None
    """Why the result is not named as the picture is."""


@dataclass(frozen=True)
class Plan:
    """All that is to be done."""

    items: list[Item]
    skipped: list[Skipped]
    folder: Path | None
    """Where results go; None if there is only one, whose place was named."""


def plan(source: Path, out: Path, mask: Path | None, filling: bool) -> Plan:
    """What is to be done with a file or all pictures of a folder, those of the folders in it included.

    filling: whether the pixels outside holes stay as they are, so that formats which cannot promise that become PNG.

    Raises: DataError if there is no such file, folder or mask. RunError if OUT is not of the kind that IN asks for, or
    lies where files of IN would be overwritten.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    if mask is not None and not mask.exists():
        raise DataError(f"{mask}: there is no such mask")
    single = not source.is_dir()
    to_file = goes_to_file(single, out)
    where, original = out.resolve(), source.resolve()
    if where == original or (to_file and mask is not None and where == mask.resolve()):
        raise RunError(f"{out}: would be overwritten while it is read: give another OUT")
    if original in where.parents and not single:
        raise RunError(f"{out}: lies inside {source}, whose pictures are read: give another OUT")
    files, skipped = ([source], []) if single else find(source, mask)
    root = source.parent if single else source
    masks = by_name(mask) if mask is not None and mask.is_dir() else None
    results = result_names([path.relative_to(root) for path in files], root, filling)
    items = []
    for path in files:
        relative = path.relative_to(root)
        name, result = printable(relative.as_posix()), results[relative]
        belonging = mask
        if masks is not None:
            belonging = masks.get(relative.as_posix()) or masks.get(relative.with_suffix("").as_posix())
            if belonging is None:
                skipped.append(Skipped(name, f"there is no mask for it in {mask}"))
                continue
        notice = None
        if not to_file and result != relative and path.suffix.lower() in FORMATS:
            kind = path.suffix[1:].upper()
            notice = f"its result is {printable(result.name)}: {kind} would change the pixels outside of holes too"
        items.append(Item(name, path, out if to_file else out / result, belonging, notice))
    for item in items:
        if item.target.exists() and item.target.samefile(item.source):
            raise RunError(f"{item.target}: would be overwritten while it is read: give another OUT")
    return Plan(items, skipped, None if to_file else out)


def result_names(files: list[Path], root: Path, filling: bool) -> dict[Path, Path]:
    """How the results of files in a folder are named, relative to it: no two alike, in no letter's size either.

    As the files, if their format can be kept; else as PNG, where names give way to those that are kept.
    """
    names = {path: path.with_name(result_name(root / path, filling)) for path in files}
    taken = {path.as_posix().lower() for path in files if names[path] == path}
    for path in files:
        if names[path] == path:
            continue
        if names[path].as_posix().lower() in taken:
            names[path] = path.with_name(path.name + ".png")
        while names[path].as_posix().lower() in taken:
            names[path] = names[path].with_name(names[path].name + ".png")
        taken.add(names[path].as_posix().lower())
    return names


def goes_to_file(single: bool, out: Path) -> bool:
    """Whether OUT names a file, as it may where one picture is read.

    Raises: RunError if it is neither a folder nor the name of a picture.
    """
    if out.is_dir():
        return False
    named = out.suffix.lower() in FORMATS
    if not single and (named or out.exists()):
        raise RunError(f"{out}: IN is a folder, and so OUT should be one")
    if single and not named and (out.suffix or out.exists()):
        raise RunError(f"{out}: a result is written to a folder, or to a file that ends in {', '.join(FORMATS)}")
    return single and named


def find(root: Path, mask: Path | None) -> tuple[list[Path], list[Skipped]]:
    """The pictures in a folder and the folders in it, in the order of people, and what else is there.

    Links are not followed, hidden files not looked at; masks that lie there are no pictures to change.
    """
    files, skipped = [], []
    whole = root.resolve()
    masks = mask.resolve() if mask is not None and whole in mask.resolve().parents else None

    def unreadable(error: OSError) -> None:
        skipped.append(Skipped(named(Path(error.filename)), f"the folder cannot be read: {error.strerror}"))

    def named(path: Path) -> str:
        return printable(path.relative_to(root).as_posix())

    for inside, folders, names in os.walk(root, onerror=unreadable):
        folders[:] = [name for name in folders if not hidden(name) and not Path(inside, name).is_symlink()]
        for path in (Path(inside, name) for name in names if not hidden(name)):
            if masks is not None and masks in (whole / path.relative_to(root) / "_").parents:
                continue
            if path.suffix.lower() not in FORMATS:
                skipped.append(Skipped(named(path), "not named as a picture is"))
            elif path.is_symlink() or not path.is_file():
                skipped.append(Skipped(named(path), "a link" if path.is_symlink() else "not a regular file"))
            else:
                files.append(path)
    files.sort(key=lambda path: natural(path.as_posix()))
    skipped.sort(key=lambda each: natural(each.path))
    return files, skipped


def by_name(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names in it, with and without ending."""
    files, _ = find(folder, None)
    names: dict[str, Path] = {}
    for path in files:
        relative = path.relative_to(folder)
        names.setdefault(relative.with_suffix("").as_posix(), path)
    return names | {path.relative_to(folder).as_posix(): path for path in files}


def result_name(path: Path, filling: bool) -> str:
    """How the result of a file is named: as the file, unless its format cannot keep pixels that must not change."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        return path.name + ".png"
    if not filling or (kind not in LOSSY and kind != "WEBP"):
        return path.name
    if kind == "WEBP":
        try:
            with path.open("rb") as stream:
                if lossless_webp(stream):
                    return path.name
        except OSError:  # said when it is read
            return path.name
    return path.stem + ".png"
