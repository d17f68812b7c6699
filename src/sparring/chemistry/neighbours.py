"""For every molecule the training molecule that is most like it: whether it is a copy, and what it was made of."""

from collections.abc import Sequence

import torch

from sparring.chemistry.fingerprints import fingerprints
from sparring.chemistry.parallel import Progress
from sparring.metrics.molecules import nearest_similarity

CHUNK = 16_384
"""Training molecules whose fingerprints are held at a time: 16 MiB."""


def nearest_training(
    smiles: Sequence[str], training: Sequence[str], progress: Progress | None = None
) -> list[tuple[str, float]]:
    """The nearest of the training molecules and its Tanimoto similarity, 0 to 1; ("", 0) for what is no molecule.

    smiles: canonical, empty where there is none. training: canonical; at least one.
    """
    places = [place for place, text in enumerate(smiles) if text]
    bits = fingerprints([smiles[place] for place in places])
    best, where = torch.full((len(places),), -1.0), torch.zeros(len(places), dtype=torch.int64)
    for start in range(0, len(training), CHUNK) if places else ():
        chunk = training[start : start + CHUNK]
        similarity, place = nearest_similarity(fingerprints(chunk), bits)
        better = similarity > best
        best[better], where[better] = similarity[better], start + place[better]
        if progress is not None:
            progress("nearest training molecules", start + len(chunk), len(training))
    found = [("", 0.0)] * len(smiles)
    for sample, number, value in zip(places, where.tolist(), best.tolist(), strict=True):
        found[sample] = (training[number], value)
    return found
