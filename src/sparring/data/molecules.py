"""From a file of molecules to sequences of SELFIES symbols: read, standardised, each once, and kept for the next time.

What is done to a molecule says `sparring.chemistry.standard`.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.data import cache
from sparring.data.molecule_files import Molecules, Place, open_molecules
from sparring.data.selfies_symbols import FIRST, SelfiesSymbols
from sparring.data.sequences import Sequences
from sparring.data.sources import Progress, Skipped, printable
from sparring.data.vocabularies import END
from sparring.errors import DataError

LEAST = 16
"""Molecules that a set has at least."""

SHOWN = 60
"""Characters of a text that is named among what was skipped."""


@dataclass(frozen=True)
class SkippedLine:
    """A text that is not used. text: cut off after `SHOWN` characters; of an SDF file the molecule's title."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class Prepared:
    """All usable molecules of a file, each once, in the order of the file.

    smiles: canonical. symbols: sorted. tokens: int16, of all molecules one after the other, counted from 0. lengths:
    int32, symbols of each. heavy: int16, atoms but hydrogen. elements: atoms of all molecules by the element's symbol,
    the most common first. counts: duplicates, and what molecules lost or have: salts, stereo, isotopes, charged.
    """

    smiles: tuple[str, ...]
    symbols: tuple[str, ...]
    tokens: NDArray[np.int16]
    lengths: NDArray[np.int32]
    heavy: NDArray[np.int16]
    elements: Mapping[str, int]
    counts: Mapping[str, int]
    skipped: tuple[SkippedLine, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class MoleculeSurvey:
    """What is in a set of molecules. heavy, selfies: median and largest number of atoms but hydrogen, of symbols."""

    name: str
    molecules: int
    unparsable: int
    heavy_median: int
    heavy_longest: int
    selfies_median: int
    selfies_longest: int
    symbols: int
    elements: Mapping[str, int]
    """Atoms by the element's symbol, without hydrogen that is not written out, the most common first."""
    charged: int
    salts: int
    duplicates: int
    skipped: tuple[SkippedLine, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True)
class MoleculeList:
    """Molecules as canonical SMILES, each once. digest: of what they are; the same for the same molecules in order."""

    smiles: tuple[str, ...]
    name: str
    digest: str
    skipped: tuple[SkippedLine, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class EncodedMolecules:
    """Molecules as tokens int16 (N, L): `END` behind each, at least once. smiles: the same, canonical."""

    tokens: NDArray[np.int16]
    vocabulary: SelfiesSymbols
    smiles: tuple[str, ...]
    name: str
    fingerprint: str
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[str, ...] = ()


def survey_molecules(place: Place, progress: Progress | None = None) -> MoleculeSurvey:
    """What is in a file of molecules, or an embedded set. Raises: DataError as `read_molecules`."""
    opened = open_molecules(place)
    found = prepared(opened, progress)
    return MoleculeSurvey(
        name=opened.name,
        molecules=len(found.smiles),
        unparsable=_unparsable(found),
        heavy_median=int(np.median(found.heavy)),
        heavy_longest=int(found.heavy.max()),
        selfies_median=int(np.median(found.lengths)),
        selfies_longest=int(found.lengths.max()),
        symbols=len(found.symbols),
        elements=found.elements,
        charged=found.counts["charged"],
        salts=found.counts["salts"],
        duplicates=found.counts["duplicates"],
        skipped=found.skipped,
        notices=found.notices,
    )


def read_molecules(place: Place, progress: Progress | None = None) -> MoleculeList:
    """The usable molecules of a file, standardised, in its order.

    place: a .smi, .smiles, .txt, .csv, .tsv or .sdf file, or one of these as .gz, or the name of an embedded set.
    progress: told of "reading molecules".

    Raises: DataError if it is missing, empty or of another kind, or holds fewer than `LEAST` usable molecules.
    """
    opened = open_molecules(place)
    found = prepared(opened, progress)
    digest = hashlib.blake2b("\n".join(found.smiles).encode(), digest_size=16).hexdigest()
    return MoleculeList(found.smiles, opened.name, digest, found.skipped, found.notices)


def load_molecules(place: Place, *, longest: int, progress: Progress | None = None) -> EncodedMolecules:
    """The usable molecules of a file as sequences of SELFIES symbols, with the vocabulary that they are written in.

    longest: symbols that a molecule has at most; longer ones are skipped.
    Raises: DataError as `read_molecules`.
    """
    opened = open_molecules(place)
    found = prepared(opened, progress)
    short = found.lengths <= longest
    notices = list(found.notices)
    if not short.all():
        notices.append(f"{_many(int((~short).sum()))} left out: more than {longest} SELFIES symbols (length)")
    if short.sum() < LEAST:
        raise DataError(
            f"{printable(opened.name)}: {_many(int(short.sum()))} of at most {longest} SELFIES symbols; at least "
            f"{LEAST} are needed: --set length= allows more"
        )
    # Symbols of the molecules that stay, counted from the first token.
    kept = np.repeat(short, found.lengths)
    used, tokens = np.unique(found.tokens[kept], return_inverse=True)
    lengths = found.lengths[short]
    padded = np.full((len(lengths), int(lengths.max()) + 1), END, np.int16)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = tokens + FIRST
    vocabulary = SelfiesSymbols([found.symbols[number] for number in used])
    about = json.dumps([opened.digest, versions(), longest])
    return EncodedMolecules(
        tokens=padded,
        vocabulary=vocabulary,
        smiles=tuple(smiles for smiles, stays in zip(found.smiles, short.tolist(), strict=True) if stays),
        name=opened.name,
        fingerprint=hashlib.blake2b(about.encode(), digest_size=16).hexdigest(),
        skipped=tuple(Skipped(f"line {each.line}: {each.text}", each.reason) for each in found.skipped),
        notices=tuple(notices),
    )


def load_selfies(place: Place, *, longest: int, progress: Progress | None = None) -> Sequences:
    """The same as a set to train on, whose texts are the canonical SMILES. Raises: DataError as `load_molecules`."""
    found = load_molecules(place, longest=longest, progress=progress)
    return Sequences(
        tokens=torch.from_numpy(found.tokens),
        vocabulary=found.vocabulary,
        name=found.name,
        fingerprint=found.fingerprint,
        texts=found.smiles,
        skipped=found.skipped,
        notices=found.notices,
    )


def check_molecules(place: Place, progress: Progress | None = None) -> dict[str, Any]:
    """Reads every molecule of a file on all cores, and tells what can be used, what not, and why; ready for JSON.

    Raises: DataError as `read_molecules`.
    """
    found = survey_molecules(place, progress)
    return {
        "name": found.name,
        "used": found.molecules,
        "skipped": [{"path": f"line {each.line}: {each.text}", "reason": each.reason} for each in found.skipped],
        "unparsable": found.unparsable,
        "duplicates": found.duplicates,
        "salts": found.salts,
        "charged": found.charged,
        "heavy_atoms": {"median": found.heavy_median, "most": found.heavy_longest},
        "selfies": {"median": found.selfies_median, "longest": found.selfies_longest, "symbols": found.symbols},
        "atoms": dict(found.elements),
        "notices": list(found.notices),
    }


def prepared(opened: Molecules, progress: Progress | None = None) -> Prepared:
    """All molecules of a file that is open, from the cache where it was prepared before.

    Raises: DataError if fewer than `LEAST` can be used.
    """
    key = hashlib.blake2b(json.dumps([opened.digest, versions()]).encode(), digest_size=16).hexdigest()
    found = _find(key)
    if found is None:
        found = _prepare(opened.lines, progress)
        try:
            _keep(key, found)
        except OSError as error:
            why = (
                f"the molecules cannot be kept in {cache.folder()}: {error.strerror or error}; the next start reads "
                "them again, unless the variable SPARRING_CACHE names another folder"
            )
            found = Prepared(**{**_fields(found), "notices": (*found.notices, why)})
    if len(found.smiles) < LEAST:
        raise _refusal(opened.name, found)
    return found


def _prepare(lines: Sequence[tuple[int, str]], progress: Progress | None) -> Prepared:
    from sparring.chemistry import standard
    from sparring.chemistry.parallel import in_chunks

    table = _Table()
    start = 0
    for chunk in in_chunks(standard.prepare, [text for _, text in lines], "reading molecules", progress):
        table.add(chunk, lines, start)
        start += len(chunk.places) + len(chunk.skipped)
    return table.finish()


@dataclass
class _Table:
    """Chunks put together: each molecule once, symbols numbered alike in all of them."""

    smiles: dict[str, None] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    tokens: list[NDArray[np.int16]] = field(default_factory=list)
    lengths: list[NDArray[np.int32]] = field(default_factory=list)
    heavy: list[NDArray[np.int16]] = field(default_factory=list)
    had: list[NDArray[np.uint8]] = field(default_factory=list)
    atoms: Any = 0
    skipped: list[SkippedLine] = field(default_factory=list)
    read: int = 0

    def add(self, chunk: Any, lines: Sequence[tuple[int, str]], start: int) -> None:
        """A `chemistry.standard.Chunk` of the lines from `start` on."""
        for place, reason in chunk.skipped.items():
            number, text = lines[start + place]
            self.skipped.append(SkippedLine(number, _named(text), reason))
        fresh = np.zeros(len(chunk.smiles), bool)
        for number, smiles in enumerate(chunk.smiles):
            if smiles not in self.smiles:
                self.smiles[smiles] = None
                fresh[number] = True
        numbers = [self.symbols.setdefault(symbol, len(self.symbols)) for symbol in chunk.symbols]
        if len(self.symbols) > np.iinfo(np.int16).max - FIRST:
            raise DataError(
                f"more than {len(self.symbols) - 1:,} kinds of SELFIES symbols; this is no set of molecules"
            )
        renumbered = np.array(numbers, np.int16)[chunk.tokens]
        self.tokens.append(renumbered[np.repeat(fresh, chunk.lengths)])
        self.lengths.append(chunk.lengths[fresh])
        self.heavy.append(chunk.heavy[fresh])
        self.had.append(chunk.had[fresh])
        self.atoms = self.atoms + chunk.atoms[fresh].sum(0, dtype=np.int64)
        self.read += len(fresh)

    def finish(self) -> Prepared:
        """Symbols in the order of their letters, so that their numbers do not depend on which molecule came first."""
        from sparring.chemistry import standard
        from sparring.chemistry.toolkit import Chem

        order = sorted(self.symbols)
        ranks = np.empty(len(order), np.int16)
        ranks[[self.symbols[symbol] for symbol in order]] = np.arange(len(order))
        had = np.concatenate(self.had)
        counts = {"duplicates": self.read - len(self.smiles)}
        for name, bit in (
            ("salts", standard.SALT),
            ("stereo", standard.STEREO),
            ("isotopes", standard.ISOTOPE),
            ("charged", standard.CHARGED),
        ):
            counts[name] = int(((had & bit) > 0).sum())
        symbol_of = Chem.GetPeriodicTable().GetElementSymbol
        atoms = {symbol_of(int(number)): int(self.atoms[number]) for number in np.flatnonzero(self.atoms)}
        return Prepared(
            smiles=tuple(self.smiles),
            symbols=tuple(order),
            tokens=ranks[np.concatenate(self.tokens)],
            lengths=np.concatenate(self.lengths),
            heavy=np.concatenate(self.heavy),
            elements=dict(sorted(atoms.items(), key=lambda item: -item[1])),
            counts=counts,
            skipped=tuple(self.skipped),
            notices=_notices(counts, self.skipped),
        )


def _notices(counts: Mapping[str, int], skipped: Sequence[SkippedLine]) -> tuple[str, ...]:
    sentences: list[tuple[int, Callable[[str], str]]] = [
        (len(skipped), lambda many: f"{many} skipped: {_first(skipped)}"),
        (counts["duplicates"], lambda many: f"{many} left out that had come before"),
        (counts["salts"], lambda many: f"{many} with several fragments: the largest is kept"),
        (counts["stereo"], lambda many: f"{many} with stereochemistry, which is not learnt"),
        (counts["isotopes"], lambda many: f"{many} with isotopes, which are not learnt"),
    ]
    return tuple(sentence(_many(count)) for count, sentence in sentences if count)


def _refusal(name: str, found: Prepared) -> DataError:
    skipped = f"; {len(found.skipped):,} skipped: {_first(found.skipped)}" if found.skipped else ""
    twice = found.counts["duplicates"]
    duplicates = f"; {twice:,} came before" if twice else ""
    return DataError(
        f"{printable(name)}: {_many(len(found.smiles))} that can be used, at least {LEAST} are needed"
        f"{skipped}{duplicates}"
    )


def _first(skipped: Sequence[SkippedLine]) -> str:
    named = "; ".join(f"line {each.line} ({each.text}): {each.reason}" for each in skipped[:3])
    return named + "; ..." * (len(skipped) > 3)


def _named(text: str) -> str:
    title = printable(text.partition("\n")[0].strip())
    return title if len(title) <= SHOWN else title[: SHOWN - 3] + "..."


def _many(count: int) -> str:
    return f"{count:,} molecule{'s' * (count != 1)}"


def _unparsable(found: Prepared) -> int:
    from sparring.chemistry.standard import UNPARSABLE

    return sum(each.reason == UNPARSABLE for each in found.skipped)


def versions() -> list[str]:
    """Of what decides how molecules are written: kept results of others are made again."""
    from sparring.chemistry.standard import VERSION

    return [str(VERSION), *(metadata.version(package) for package in ("rdkit", "selfies"))]


def _fields(found: Prepared) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Prepared.__dataclass_fields__}


ARRAYS = ("tokens", "lengths", "heavy")


def _keep(key: str, found: Prepared) -> None:
    """Writes KEY.molecules.npz, aside first: arrays, and the rest as JSON. Raises: OSError."""
    values = _fields(found)
    arrays = {name: values.pop(name) for name in ARRAYS}
    values["skipped"] = [[each.line, each.text, each.reason] for each in found.skipped]
    text = np.frombuffer(json.dumps(values).encode(), np.uint8)
    cache.folder().mkdir(parents=True, exist_ok=True)
    with cache.aside(cache.folder() / f"{key}.molecules.npz") as stream:
        np.savez(stream, allow_pickle=False, about=text, **arrays)


def _find(key: str) -> Prepared | None:
    """What `_keep` wrote; None if it is absent or damaged, which the checksums of the archive tell."""
    try:
        with np.load(cache.folder() / f"{key}.molecules.npz", allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in ARRAYS}
            values = json.loads(kept["about"].tobytes())
        found = Prepared(
            **arrays,
            smiles=tuple(values["smiles"]),
            symbols=tuple(values["symbols"]),
            elements=values["elements"],
            counts=values["counts"],
            skipped=tuple(SkippedLine(*each) for each in values["skipped"]),
            notices=tuple(values["notices"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    whole = len(found.smiles) == len(found.lengths) == len(found.heavy) and found.lengths.sum() == len(found.tokens)
    return found if whole else None
