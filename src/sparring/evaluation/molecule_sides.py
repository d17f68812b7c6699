"""The two sides of a comparison of molecules, and what is computed of each once."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparring.data.molecule_files import kind_of, samples_of, surely_molecules
from sparring.data.molecules import read_molecules
from sparring.data.sources import Progress
from sparring.errors import DataError, MetricError, RunError
from sparring.evaluation.catalogue import COUNT
from sparring.evaluation.headway import written
from sparring.model import FILE, FORMAT, Model
from sparring.training.files import checksum
from sparring.training.run import Run

Place = str | PathLike[str]

BESIDE = 2000
"""Real molecules whose own share of passing filters is measured, to stand beside that of the generated ones."""

TASK = "molecules"


@dataclass(eq=False)
class Profile:
    """Valid molecules as canonical SMILES, and what is known of them; each is computed when it is asked for."""

    smiles: Sequence[str]
    device: str = "cpu"
    progress: Progress | None = None
    role: str = ""

    @cached_property
    def bits(self) -> NDArray[np.uint8]:
        """Fingerprints (N, bits)."""
        from sparring.chemistry.fingerprints import fingerprints

        return fingerprints(self.smiles, self.progress)

    @cached_property
    def properties(self) -> dict[str, NDArray[np.float64]]:
        """The usual properties (N,) by name."""
        from sparring.chemistry.properties import properties

        return properties(self.smiles, progress=self.progress)

    @cached_property
    def fragments(self) -> list[list[str]]:
        """BRICS fragments of each."""
        from sparring.chemistry.parallel import in_chunks
        from sparring.chemistry.scaffolds import fragments_of

        chunks = in_chunks(fragments_of, self.smiles, "fragments", self.progress)
        return [parts for chunk in chunks for parts in chunk]

    @cached_property
    def scaffolds(self) -> list[list[str]]:
        """The Murcko scaffold of each, or nothing."""
        from sparring.chemistry.parallel import in_chunks
        from sparring.chemistry.scaffolds import scaffolds_of

        chunks = in_chunks(scaffolds_of, self.smiles, "scaffolds", self.progress)
        return [parts for chunk in chunks for parts in chunk]

    @cached_property
    def chemnet(self) -> Tensor:
        """Features (N, 512)."""
        from sparring.chemistry.chemnet import features

        return features(self.smiles, self.device, self.progress, f"{self.role}: ChemNet".removeprefix(": "))

    @cached_property
    def passing(self) -> float:
        """Share that passes the filters, of `BESIDE` molecules at most."""
        from sparring.chemistry.filters import passes

        return float(passes(thinned(self.smiles, BESIDE), self.progress).mean())

    @cached_property
    def diversity(self) -> float:
        """Internal diversity."""
        from sparring.metrics.molecules import internal_diversity

        return internal_diversity(self.bits, device=self.device).value


@dataclass(frozen=True)
class Side:
    """Molecules as they were found, and what the protocol says of them.

    training: what novelty is measured by. unread: why that of a run cannot be had; empty if it can, or there is none.
    """

    smiles: Sequence[str]
    about: dict[str, Any] = field(default_factory=dict)
    training: Sequence[str] | None = None
    notices: Sequence[str] = ()
    unread: str = ""


def is_molecules(place: Place) -> bool:
    """Whether a place holds molecules by its name, or is a run or generator that makes some; needs no RDKit."""
    try:
        if surely_molecules(place):
            return True
        path = Path(place)
        if (path / "config.toml").is_file():
            return str(tomllib.loads((path / "config.toml").read_text(encoding="utf-8")).get("task")) == TASK
        weights = path / FILE if path.is_dir() else path
        if weights.suffix != ".safetensors" or not weights.is_file():
            return False
        with safe_open(weights, framework="pt") as file:
            return bool(json.loads((file.metadata() or {})[FORMAT])["task"] == TASK)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return False  # whoever opens the run says what is wrong


def could_be_molecules(place: Place) -> bool:
    """Whether a place is a file whose name allows for molecules, though it may hold something else: .txt, .csv."""
    return Path(place).is_file() and bool(kind_of(Path(place)))


def real_side(place: Place, progress: Progress | None = None) -> Side:
    """The molecules of a file or an embedded set, or what a run was trained on; `COUNT` at most, spread evenly.

    Raises: DataError or RunError that says what is wrong.
    """
    path = Path(place)
    training = training_of(place, progress)
    kind = "molecules" if training is None else "training data of a run"
    found = read_molecules(place, progress) if training is None else training
    kept = thinned(found.smiles, COUNT)
    about = {"kind": kind, "name": str(path), "count": len(kept), "fingerprint": found.digest}
    if len(kept) < len(found.smiles):
        about["of"] = len(found.smiles)
    return Side(kept, about, None if training is None else training.smiles, found.notices)


def generated_side(place: Place, n: int, seed: int, device: str = "cpu", progress: Progress | None = None) -> Side:
    """n samples of a run or generator, or the first n of a file, where an empty line is an invalid molecule.

    What a run was trained on serves novelty alone, so that it may have moved: see `Side.unread`.

    Raises: DataError, MetricError or RunError that says what is wrong.
    """
    path = Path(place)
    weights = path / FILE if path.is_dir() else path
    if weights.suffix == ".safetensors" and weights.is_file():
        made = written(Model.load(path, device), n, seed, progress, f"generated: samples of {place}")
        if made is None:
            raise MetricError(f"{place}: this generator makes no molecules")
        about = {"kind": "generator", "name": str(place), "count": n, "seed": seed, "digest": checksum(weights)}
        try:
            training = training_of(place, progress)
        except DataError as error:
            return Side(made, about, unread=str(error))
        return Side(made, about, None if training is None else training.smiles)
    if (path / "config.toml").is_file():
        raise RunError(f"{place}: it holds no generator yet (looked for {FILE})")
    texts = samples_of(place)
    return Side(texts[:n], {"kind": "molecules", "name": str(place), "count": min(n, len(texts)), "of": len(texts)})


def training_of(place: Place, progress: Progress | None = None) -> Any:
    """The `MoleculeList` that a run was trained on; None if the place is no run folder."""
    if not (Path(place) / "config.toml").is_file():
        return None
    run = Run(place).existing()
    return read_molecules(run.place_of_pictures(run.settings()), progress)


def thinned(smiles: Sequence[str], most: int) -> Sequence[str]:
    """So many, spread evenly; all if there are no more."""
    if len(smiles) <= most:
        return smiles
    return [smiles[place] for place in np.linspace(0, len(smiles) - 1, most).round().astype(int)]
