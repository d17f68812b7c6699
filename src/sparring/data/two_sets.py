"""Photographs and paintings: two sets in one, either drawn independently, or cut alike from pairs.

The pictures of a batch hold both sides in their channels, first those of the photograph, then as many of the painting;
`sides` takes them apart. The classes are the styles of the paintings.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from sparring.data.decode import Form
from sparring.data.patches import Patches, load_patches
from sparring.data.pictures import Batch, Pictures
from sparring.data.sources import Progress, Skipped
from sparring.errors import DataError
from sparring.randomness import key

ENOUGH = 100
"""Paintings from which on some are held out: of fewer each is needed, and its patches are never the same."""


def sides(images: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures (N, 2 C, H, W) of both sides as photographs and paintings, (N, C, H, W) each."""
    photographs, paintings = images.chunk(2, dim=1)
    return photographs, paintings


@dataclass(frozen=True)
class TwoSets:
    """Two sets of which every batch holds as many, drawn independently; all styles come equally often.

    An epoch is one of the photographs; paintings have an order of their own, and may be few.
    """

    photographs: Patches | Pictures
    paintings: Patches | Pictures

    def __len__(self) -> int:
        return len(self.photographs) + len(self.paintings)

    @property
    def name(self) -> str:
        """Both names."""
        return f"{Path(self.photographs.name).name} and {Path(self.paintings.name).name}"

    @property
    def fingerprint(self) -> str:
        """Of both."""
        return both(self.photographs.fingerprint, self.paintings.fingerprint)

    @property
    def classes(self) -> tuple[str, ...]:
        """The styles."""
        return self.paintings.classes

    @property
    def class_shares(self) -> tuple[float, ...]:
        """Equal ones."""
        return tuple(1 / len(self.classes) for _ in self.classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels of both, height and width."""
        channels, height, width = self.photographs.shape
        return 2 * channels, height, width

    @property
    def skipped(self) -> Sequence[Skipped]:
        """What of either is not used."""
        return (*self.photographs.skipped, *self.paintings.skipped)

    @property
    def notices(self) -> Sequence[str]:
        """Of both."""
        return (*self.photographs.notices, *self.paintings.notices)

    def to(self, device: torch.device | str) -> "TwoSets":
        """The same sets with batches on `device`."""
        return TwoSets(self.photographs.to(device), self.paintings.to(device))

    def draw(self, seed: int, position: int, batch: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Pictures uint8 (n, 2 C, H, W) and the styles of the paintings; a pure function of its arguments."""
        photographs = self.photographs.draw(seed, position, batch, rank, ranks)
        paintings = self.even.draw(key(seed, "paintings"), position, batch, rank, ranks)
        return Batch(torch.cat([photographs.images, paintings.images], dim=1), paintings.labels)

    @cached_property
    def even(self) -> Patches | Pictures:
        """The paintings, with those of rarer styles so often in an epoch that all styles are seen equally often."""
        paintings = self.paintings
        if paintings.labels is None:
            return paintings
        numbers = torch.arange(len(paintings)) if paintings.drawn is None else paintings.drawn
        labels = paintings.labels.cpu()[numbers]
        groups = [numbers[labels == style] for style in range(len(self.classes))]
        groups = [group for group in groups if len(group)]
        most = max(len(group) for group in groups)
        return replace(paintings, drawn=torch.cat([group[torch.arange(most) % len(group)] for group in groups]))

    def sample(self) -> "TwoSets":
        """The middle of each picture."""
        return TwoSets(self.photographs.sample(), self.paintings.sample())

    def hold_out(self, count: int) -> "tuple[TwoSets, TwoSets | None]":
        """The same sets twice, of which each draws a part; of few paintings, or of few in a style, both draw all."""
        shown, held_out = self.photographs.hold_out(count)
        if held_out is None:
            return self, None
        kept = len(self.paintings) // 20 if len(self.paintings) >= ENOUGH else 0
        painted, unseen = self.paintings.hold_out(kept)
        return TwoSets(shown, painted), TwoSets(held_out, self.paintings if unseen is None else in_all_styles(unseen))

    def close(self) -> None:
        """Nothing reads ahead."""


def in_all_styles(paintings: Patches | Pictures) -> Patches | Pictures:
    """The paintings that are drawn, and of styles of which none is, all that there are: each style is judged."""
    if paintings.labels is None or paintings.drawn is None:
        return paintings
    labels = paintings.labels.cpu()
    others = ~torch.isin(labels, labels[paintings.drawn])
    return replace(paintings, drawn=torch.cat([paintings.drawn, others.nonzero()[:, 0]]).sort().values)


def both(*fingerprints: str) -> str:
    """One fingerprint of several, in this order."""
    return hashlib.blake2b(" ".join(fingerprints).encode(), digest_size=16).hexdigest()


def load_two_sets(
    photographs: str | Path,
    paintings: str | Path,
    form: Form,
    *,
    longest: int,
    zoom: float,
    labels: bool = False,
    paired: bool = False,
    progress: Progress | None = None,
) -> TwoSets | Patches:
    """Both sets as `load_patches` gives them, or the pairs of them; `labels` are those of the paintings.

    Raises: DataError if one holds nothing usable, labels are wanted and there are none, or pictures make no pairs.
    """
    first = load_patches(photographs, form, longest=longest, zoom=zoom, progress=progress)
    second = load_patches(paintings, form, longest=longest, zoom=zoom, labels=labels, progress=progress)
    return pairs(first, second) if paired else TwoSets(first, second)


def pairs(photographs: Patches, paintings: Patches) -> Patches:
    """The pictures that have the same name without its folder and its ending, with the channels of both.

    A photograph may have several paintings, in folders of their own styles.
    Raises: DataError for a picture without a partner, two of one name, or pairs of different sizes.
    """
    known: dict[str, int] = {}
    for number, name in enumerate(photographs.names):
        if (other := known.setdefault(stem(name), number)) != number:
            raise DataError(
                f"{photographs.name}: {photographs.names[other]} and {name} have the same name, so that nobody knows "
                "whose partner is whose: name them apart"
            )
    damaged = {stem(entry.path) for entry in (*photographs.skipped, *paintings.skipped)}
    pixels, used, lonely, seen = [], [], [], set[tuple[str, int | None]]()
    for number, name in enumerate(paintings.names):
        partner = known.get(stem(name))
        if partner is None:
            lonely += [name] if stem(name) not in damaged else []
            continue
        style = None if paintings.labels is None else int(paintings.labels[number])
        if (stem(name), style) in seen:
            raise DataError(f"{paintings.name}: {name} is the second picture of this name: name them apart")
        seen.add((stem(name), style))
        photograph, painting = photographs.pixels[partner], paintings.pixels[number]
        if photograph.shape != painting.shape:
            sizes = " and ".join("x".join(map(str, side.shape[1:])) for side in (photograph, painting))
            raise DataError(f"{photographs.names[partner]} and {name} are {sizes} pixels: a pair has one size")
        pixels.append(torch.cat([photograph, painting]))
        used.append(number)
    found = {name for name, _ in seen}
    lonely += [photographs.names[number] for name, number in known.items() if name not in found | damaged]
    if lonely or not pixels:
        example = f", for instance {lonely[0]}" if lonely else ""
        raise DataError(
            f"paired=true: {len(lonely)} of {len(photographs) + len(paintings)} pictures have no partner of the same "
            f"name on the other side{example}; without pairs leave paired away"
        )
    labels = None if paintings.labels is None else paintings.labels[torch.tensor(used)]
    return replace(
        photographs,
        pixels=pixels,
        labels=labels,
        classes=paintings.classes,
        name=f"{Path(photographs.name).name} and {Path(paintings.name).name}",
        fingerprint=both("pairs", photographs.fingerprint, paintings.fingerprint),
        skipped=(*photographs.skipped, *paintings.skipped),
        names=tuple(paintings.names[number] for number in used),
        notices=(*photographs.notices, *paintings.notices),
    )


def stem(name: str) -> str:
    """The name of a picture without its folders and its ending.

    >>> stem("monet/garden.final.jpg")
    'garden.final'
    """
    return PurePosixPath(name).stem
