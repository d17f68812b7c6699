"""From what a person writes, a path or a name, to the source it stands for."""

from collections.abc import Callable, Collection
from pathlib import Path

from sparring.data.archives import tar_archive, zip_archive
from sparring.data.arrays import npy, npz
from sparring.data.embedded import EMBEDDED, embedded
from sparring.data.folders import folder
from sparring.data.molecule_files import TABLES
from sparring.data.pictures_in_files import pictures_in
from sparring.data.shards import find
from sparring.data.sources import SUFFIXES, Files, Source, missing, printable
from sparring.errors import DataError

ARCHIVES: tuple[tuple[tuple[str, ...], Callable[[Path, Collection[str]], Files]], ...] = (
    ((".zip",), zip_archive),
    ((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"), tar_archive),
)
"""How the name of an archive ends, and what reads it."""

ARRAYS = (((".npy",), npy), ((".npz",), npz))
"""How the name of an array file ends, and what reads it."""


def open_source(data: str | Path) -> Source:
    """The source that a path or the name of an embedded set stands for.

    A string that is the name of an embedded set means that set; write "./digits" for a folder of that name.

    Raises: DataError if there is nothing at the path, or nothing of a kind that holds pictures.
    """
    if isinstance(data, str) and data in EMBEDDED:
        return embedded(data)
    if data == "":  # which would be the current folder
        raise DataError("the name of the data is empty; give a path or the name of an embedded set")
    if (shards := find(data)) is not None:
        return shards.source()
    path = Path(data)
    try:
        path = path.expanduser()
        if path.is_dir():
            return pictures_in(folder(path, SUFFIXES))
        if path.is_file():
            return _file(path)
        if path.exists():
            raise DataError(f"{path}: neither a file nor a folder")
        raise DataError(missing(path))
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a name too long, a zero byte, no such home
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{printable(str(path))}: cannot be read: {why}") from error


def _file(path: Path) -> Source:
    for suffixes, unpack in ARCHIVES:
        if path.name.lower().endswith(suffixes):
            return pictures_in(unpack(path, SUFFIXES))
    for suffixes, read in ARRAYS:
        if path.name.lower().endswith(suffixes):
            return read(path)
    if path.suffix.lower() in SUFFIXES:
        raise DataError(f"{path}: a single picture is no set; give the folder it is in")
    if path.suffix.lower() in TABLES:
        raise DataError(
            f"{path}: a table is a set if it has molecules: call the column smiles, or say --task molecules"
        )
    raise DataError(
        f"{path}: not a set of pictures; sets are folders, .zip, .tar (.gz, .bz2, .xz), .npy, .npz, "
        f"shards as in a-{{000..099}}.tar, and the embedded {', '.join(EMBEDDED)}"
    )
