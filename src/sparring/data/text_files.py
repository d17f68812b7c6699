"""Texts from wherever they lie: lines of a file, or the files of a folder or archive as documents."""

import gzip
import hashlib
import json
import os
import tarfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from os import PathLike
from pathlib import Path, PurePath, PurePosixPath

from sparring.data.archives import DAMAGE, MAX_MEMBER
from sparring.data.corpora import CORPORA
from sparring.data.decode import UnusableError
from sparring.data.folders import MAX_FILE
from sparring.data.opening import ARCHIVES
from sparring.data.sources import SUFFIXES, Progress, Skipped, hidden, missing, natural, printable
from sparring.errors import DataError

LINES = (".txt", ".jsonl", ".txt.gz", ".jsonl.gz")
"""How files end that hold one text a line."""

(ZIP, _), (TAR, _) = ARCHIVES
"""How archives end."""

SETS = (
    "sets are .txt (one text a line) and .jsonl files, both also as .gz, folders, .zip and .tar archives of documents, "
    f"and the embedded {', '.join(CORPORA)}"
)

DOCUMENTS = (
    ".txt .md .rst .tex .html .htm .xml .css .csv .json .jsonl .yaml .yml .toml .py .pyi .js .ts .java .kt .c .h .cc "
    ".cpp .hpp .cs .go .rs .swift .rb .php .pl .lua .r .jl .scala .hs .ml .el .lisp .sh .sql .vim"
)
"""How the files of a folder end that is taken for one of texts without being told; any UTF-8 is read if told."""

KNOWN = frozenset(DOCUMENTS.split())

TOLD = 2**16
"""Lines after which progress is told."""

LOOKED_AT = 1000
"""Files of a folder or archive that tell whether it holds texts."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OTHER_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)

Read = Callable[[], bytes]
"""Gives the content of a file. Raises: UnusableError, OSError."""


@dataclass(frozen=True)
class Texts:
    """Texts as they were read, before they are put into numbers."""

    name: str
    texts: Sequence[str]
    documents: bool = False
    """Whether each is a whole file, of which long ones may be cut at line borders."""
    skipped: Sequence[Skipped] = ()
    advice: str = ""
    """What to do about an encoding that what is skipped seems to be in."""

    @cached_property
    def digest(self) -> str:
        """Hexadecimal hash of the texts; where they lay plays no part."""
        whole = hashlib.blake2b(str(self.documents).encode(), digest_size=20)
        for text in self.texts:
            content = text.encode()
            whole.update(len(content).to_bytes(8, "little"))
            whole.update(content)
        return whole.hexdigest()

    @property
    def duplicates(self) -> int:
        """How many are the same as an earlier one."""
        return len(self.texts) - len(set(self.texts))


@dataclass
class Reading:
    """What has been read so far."""

    name: str
    texts: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    hints: Counter[str] = field(default_factory=Counter)
    """Encodings that unusable content looked like."""

    def skip(self, where: str, reason: str, content: bytes = b"") -> None:
        """Notes what is not used, and what encoding it might be in."""
        self.skipped.append(Skipped(where, reason))
        if encoding := _looks_like(content):
            self.hints[encoding] += 1

    def finish(self, documents: bool) -> Texts:
        """What was read. Raises: DataError if it is nothing."""
        if self.texts:
            return Texts(self.name, tuple(self.texts), documents, tuple(self.skipped), self.advice())
        if not self.skipped:
            raise DataError(f"{self.name}: empty, there is no text in it; {SETS}")
        first = "; ".join(f"{each.path}: {each.reason}" for each in self.skipped[:3])
        more = "; ..." * (len(self.skipped) > 3)
        advice = self.advice() or "texts are read as UTF-8"
        reasons = f"{len(self.skipped):,} skipped: {first}{more}"
        raise DataError(f"{self.name}: no text that can be used ({reasons}); {advice}")

    def advice(self) -> str:
        """What to do about the encoding, if it is a well-known one."""
        for encoding, _ in self.hints.most_common(1):
            return f"it looks like {encoding}; save it as UTF-8, for instance with iconv -f {encoding} -t UTF-8"
        return ""


def read_texts(place: str | PathLike[str], progress: Progress | None = None) -> Texts:
    """All usable texts of a corpus.

    place: a .txt file with one text a line; a .jsonl file with one JSON string, or object with a string at `text`, a
        line; either also as .gz; a folder, .zip or .tar archive whose files are one document each; or the name of an
        embedded corpus ("./python" is a folder of that name).
    progress: told of "reading".

    All is UTF-8, with or without byte order mark. Lines of .txt files are brought to Unicode's normal form C and lose
    blanks at their end. JSON strings stay as they are, and so do documents, but for line ends, which become "\\n".
    Blank ones are left out; what is not UTF-8 is listed in `skipped`.

    Raises: DataError if there is nothing at the place, or nothing usable.
    """
    if isinstance(place, str) and place in CORPORA:
        return Texts(place, CORPORA[place].load(progress))
    if place == "":  # which would be the current folder
        raise DataError("the name of the data is empty; give a path or the name of an embedded corpus")
    path = Path(place)
    try:
        path = path.expanduser()
        if path.is_dir():
            return documents(str(path), files_in(path), progress)
        if path.is_file():
            return _file(path, progress)
        if path.exists():
            raise DataError(f"{path}: neither a file nor a folder")
        raise DataError(missing(path))
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a name too long, a zero byte, no such home
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{printable(str(path))}: cannot be read: {why}") from error


def is_text(place: str | PathLike[str]) -> bool:
    """Whether a place holds texts, as far as names tell; what is not there, or a compressed .tar, does not."""
    if isinstance(place, str) and place in CORPORA:
        return True
    path = Path(place)
    try:
        path = path.expanduser()
        if path.is_file():
            if path.name.lower().endswith(ZIP):
                with zipfile.ZipFile(path) as archive:
                    names = [name for name in archive.namelist() if not (name.endswith("/") or _hidden(name))]
                    return _of_texts([PurePosixPath(name) for name in names[:LOOKED_AT]])
            return path.name.lower().endswith(LINES)
        return place != "" and path.is_dir() and _of_texts([*islice(_walk(path), LOOKED_AT)])
    except (*DAMAGE, OSError, RuntimeError):
        return False


def _file(path: Path, progress: Progress | None) -> Texts:
    name = path.name.lower()
    if name.endswith(ZIP):
        return zip_files(path, progress)
    if name.endswith(TAR):
        return tar_files(path, progress)
    if name.endswith(LINES):
        return lines(path, progress)
    if path.suffix.lower() in SUFFIXES:
        raise DataError(f"{path}: a picture, not a text; {SETS}")
    raise DataError(f"{path}: not a set of texts; {SETS}; a single document is none, give the folder it is in")


def lines(path: Path, progress: Progress | None = None) -> Texts:
    """The lines of a .txt or .jsonl file, compressed or not.

    Raises: DataError. OSError if it cannot be read.
    """
    name = path.name.lower()
    try:
        if name.endswith(".gz"):
            with gzip.open(path) as stream:
                content = stream.read()
        else:
            content = path.read_bytes()
    except (gzip.BadGzipFile, *DAMAGE) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); copy or download it again") from error
    reading = Reading(str(path))
    if mark := _other_mark(content):
        reading.skip("line 1", f"the byte order mark of {mark}", content[:4])
        return reading.finish(documents=False)
    parse = _json_text if name.removesuffix(".gz").endswith(".jsonl") else _line
    rows = content.removeprefix(BYTE_ORDER_MARK).splitlines()
    for number, row in enumerate(rows, 1):
        try:
            text = parse(row)
        except UnusableError as error:
            reading.skip(f"line {number}", str(error), row)
        else:
            if text and not text.isspace():
                reading.texts.append(text)
        if progress is not None and (number % TOLD == 0 or number == len(rows)):
            progress("reading", number, len(rows))
    return reading.finish(documents=False)


def documents(name: str, files: Sequence[tuple[str, Read]], progress: Progress | None = None) -> Texts:
    """Files as one text each; files that claim to be pictures have nothing to do with it.

    Raises: DataError if none can be used.
    """
    reading, pictures = Reading(name), 0
    for done, (path, read) in enumerate(files, 1):
        if PurePosixPath(path).suffix.lower() in SUFFIXES:
            pictures += 1
            continue
        content = b""
        try:
            content = read()
            if mark := _other_mark(content):
                raise UnusableError(f"the byte order mark of {mark}")
            text = _decoded(content.removeprefix(BYTE_ORDER_MARK)).replace("\r\n", "\n")
        except UnusableError as error:
            reading.skip(path, str(error), content)
        except OSError as error:
            reading.skip(path, f"cannot be read: {error.strerror or error}")
        else:
            if text and not text.isspace():
                reading.texts.append(text)
        if progress is not None:
            progress("reading", done, len(files))
    if pictures and not reading.texts:
        raise DataError(f"{name}: pictures ({pictures:,} of {len(files):,} files), and no texts among them; {SETS}")
    return reading.finish(documents=True)


def files_in(folder: Path) -> list[tuple[str, Read]]:
    """The files of a folder and the folders in it, in natural order; hidden ones and links are left out."""
    found = [(printable(path.relative_to(folder).as_posix()), partial(_content, path)) for path in _walk(folder)]
    return sorted(found, key=_by_name)


def _walk(folder: Path) -> Iterator[Path]:
    for inside, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not hidden(name))
        for path in (Path(inside, name) for name in sorted(names) if not hidden(name)):
            if path.is_file() and not path.is_symlink():
                yield path


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_FILE:
        raise UnusableError(f"too large: {size:,} bytes, limit {MAX_FILE:,}")
    return path.read_bytes()


def zip_files(path: Path, progress: Progress | None = None) -> Texts:
    """The documents of a zip archive.

    Raises: DataError. OSError if it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = [
                (printable(member.filename), partial(_member, archive, member))
                for member in archive.infolist()
                if not member.is_dir() and not _hidden(member.filename)
            ]
            return documents(str(path), sorted(found, key=_by_name), progress)
    except DAMAGE as error:
        raise DataError(f"{path}: not a whole zip archive ({error}); copy or download it again") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MAX_MEMBER:
        raise UnusableError(f"too large: {member.file_size:,} bytes, limit {MAX_MEMBER:,}")
    try:
        return archive.read(member)
    except (*DAMAGE, RuntimeError) as error:  # RuntimeError: encrypted
        raise UnusableError(f"damaged in the archive: {error}") from error


def tar_files(path: Path, progress: Progress | None = None) -> Texts:
    """The documents of a tar archive, compressed or not, in its own order: a compressed one has no other to be read in.

    Raises: DataError. OSError if it cannot be read.
    """
    try:
        with tarfile.open(path) as archive:
            found = [
                (printable(member.name).removeprefix("./"), partial(_extracted, archive, member))
                for member in archive.getmembers()
                if member.isreg() and not _hidden(member.name)
            ]
            return documents(str(path), found, progress)
    except DAMAGE as error:
        raise DataError(f"{path}: not a whole tar archive ({error}); copy or download it again") from error


def _extracted(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MAX_MEMBER:
        raise UnusableError(f"too large: {member.size:,} bytes, limit {MAX_MEMBER:,}")
    stream = archive.extractfile(member)
    assert stream is not None, "members are regular files"
    return stream.read()


def _line(row: bytes) -> str:
    return unicodedata.normalize("NFC", _decoded(row)).rstrip()


def _json_text(row: bytes) -> str:
    text = _decoded(row)
    if not text or text.isspace():
        return ""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnusableError(f"not JSON: {error}") from error
    if isinstance(value, dict):
        value = value.get("text")
    if not isinstance(value, str):
        raise UnusableError("neither a JSON string nor an object with a string at the key text")
    if "\0" in value:
        raise UnusableError("a zero byte in the text")
    if any("\ud800" <= symbol <= "\udfff" for symbol in value):
        raise UnusableError("half of a surrogate pair, which is no character")
    return value


def _decoded(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        place = f"byte 0x{content[error.start]:02x} at position {error.start + 1}"
        raise UnusableError(f"not UTF-8: {place}") from error
    if "\0" in text:
        raise UnusableError("zero bytes, which no text has")
    return text


def _other_mark(content: bytes) -> str | None:
    return next((encoding for mark, encoding in OTHER_MARKS if content.startswith(mark)), None)


def _looks_like(content: bytes) -> str | None:
    """The encoding, other than UTF-8, that content which cannot be used is likely to be in; None: no idea."""
    if mark := _other_mark(content):
        return mark
    if 0 in content:
        halves = content[: len(content) // 2 * 2]
        return "UTF-16" if 0 in (max(halves[::2], default=1), max(halves[1::2], default=1)) else None
    try:
        # Two bytes from 0xA1 on for each character: far stricter than GB18030, which takes much of Latin-1 as well.
        content.decode("gb2312")
    except UnicodeDecodeError:
        return None
    return "GB18030" if max(content, default=0) >= 0x80 else None


def _of_texts(files: Sequence[PurePath]) -> bool:
    return 2 * sum(file.suffix.lower() in KNOWN for file in files) > len(files)


def _by_name(file: tuple[str, Read]) -> list[tuple[int, str]]:
    return natural(file[0])


def _hidden(name: str) -> bool:
    return any(hidden(part) for part in PurePosixPath(name.removeprefix("./")).parts)
