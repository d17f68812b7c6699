"""Training pictures that are read from shards as they are needed, in an order that is known from the position alone.

In each epoch the shards come in an order of their own, one after the other: a line of all samples, of which each rank
takes one stretch. A rank goes through its stretch by blocks as large as the shuffle buffer; a block is read, decoded
and mixed while the one before is drawn from. So what a rank is shown depends on the seed and its position alone, and
who resumes reads no more than the block that it stands in.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.data import cache, memory
from sparring.data.decode import Form, UnusableError, pixels, reason
from sparring.data.loading import decoded, fingerprint_of
from sparring.data.parallel import AHEAD, cores
from sparring.data.pictures import CPU, Batch, Pictures, sent
from sparring.data.shards import READERS, Sample, Shards, end_commands, find
from sparring.data.sources import Progress, Skipped
from sparring.errors import DataError, SettingError
from sparring.randomness import key

MOST_MIXED = 10_000
MEMORY = 2**28
"""Pictures, and their bytes, in a shuffle buffer that nobody gave the size of, at most."""

SAMPLE = 5_000
SAMPLE_MEMORY = 2**30
"""Pictures, and their bytes, in the sample that stands for the whole, at most."""


def buffer_for(pictures: int, form: Form) -> int | None:
    """How large the shuffle buffer should be, in pictures; None if all of them, decoded, fit into memory."""
    size = form.channels * form.height * form.width
    return None if memory.fits(pictures * size) else min(MOST_MIXED, max(64, MEMORY // size))


@dataclass(frozen=True)
class Block:
    """Places `first` to `last - 1` of an epoch, and the first of them in the rank's own count of samples."""

    epoch: int
    first: int
    last: int
    position: int


def before(epoch: int, n: int, rank: int, ranks: int) -> int:
    """Samples that a rank has drawn when an epoch of n samples begins.

    Over all ranks that is epoch * n (Hermite's identity), and no two differ by more than one: in the long run each
    draws as many as another, and in an epoch nothing is left out to make it so.
    """
    return (epoch * n + rank) // ranks


def block_at(position: int, n: int, size: int, rank: int = 0, ranks: int = 1) -> Block:
    """The block that sample number `position` of a rank's own count is in.

    Blocks of an epoch are about equal, and of at most `size` samples.
    """
    epoch = position * ranks // n
    while before(epoch, n, rank, ranks) > position:
        epoch -= 1
    while before(epoch + 1, n, rank, ranks) <= position:
        epoch += 1
    starts = [before(epoch, n, each, ranks) for each in range(ranks)]
    counts = [before(epoch + 1, n, each, ranks) - start for each, start in enumerate(starts)]
    mine, stretch, start = counts[rank], sum(counts[:rank]), starts[rank]
    blocks = math.ceil(mine / size)
    number = ((position - start + 1) * blocks - 1) // mine
    first, last = number * mine // blocks, (number + 1) * mine // blocks
    return Block(epoch, stretch + first, stretch + last, start + first)


def pieces(counts: tuple[int, ...], seed: int, block: Block) -> Iterator[tuple[int, int, int]]:
    """What a block is read from: number of the shard, first sample and the one after the last.

    counts: samples of each shard.
    """
    order, ends = shard_order(counts, seed, block.epoch)
    place = block.first
    at = int(np.searchsorted(ends, place, side="right"))
    while place < block.last:
        number = int(order[at])
        begin = int(ends[at]) - counts[number]
        stop = min(block.last, int(ends[at]))
        if stop > place:
            yield number, place - begin, stop - begin
        place, at = stop, at + 1


@lru_cache(maxsize=2)
def shard_order(counts: tuple[int, ...], seed: int, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The shards in the order of an epoch, and the place after the last sample of each."""
    order = permutation(len(counts), seed, "order of the shards", epoch)
    return order, np.cumsum(np.array(counts, np.int64)[order])


def permutation(n: int, *parts: int | str) -> NDArray[np.int64]:
    """0 to n - 1 in an order keyed by the parts."""
    mixed: NDArray[np.int64] = torch.randperm(n, generator=torch.Generator().manual_seed(key(*parts))).numpy()
    return mixed


@dataclass
class Filled:
    """A block in memory, mixed: uint8 (n, C, H, W), int64 (n,), and which places hold a picture."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    whole: NDArray[np.bool_]
    damaged: list[Skipped] = field(default_factory=list)


class Stream:
    """The pictures of shards, read as they are drawn; memory holds two shuffle buffers and the sample."""

    def __init__(
        self, shards: Shards, form: Form, *, buffer: int, labels: bool, progress: Progress | None = None
    ) -> None:
        self.shards = shards
        self.form = form
        self.buffer = buffer
        self.name = shards.name
        self.fingerprint = fingerprint_of(shards.digest(), form)
        self.classes = tuple(shards.classes) if labels else ()
        self.class_shares = tuple(shards.classes[name] / shards.pictures for name in self.classes)
        self.skipped = list(shards.skipped)
        self.notices: Sequence[str] = ()
        self.device = CPU
        self.tell: Callable[[Sequence[Skipped]], None] = lambda damaged: None
        """Told of pictures that turn out damaged on the way; others of their block are shown in their place."""
        self._counts = tuple(shard.pictures for shard in shards.shards)
        self._pictures = sum(self._counts)
        self._labels = {name: label for label, name in enumerate(self.classes)}
        self._current: tuple[object, Filled] | None = None
        self._ahead: tuple[object, Future[Filled]] | None = None
        self._open: dict[tuple[int, int], Generator[Sample]] = {}
        self._closed = False
        self._filler, self._readers, self._decoders = map(ThreadPoolExecutor, (1, READERS, cores()))
        self._sample = self._taken(progress)

    def __len__(self) -> int:
        return self._pictures

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.form.channels, self.form.height, self.form.width

    def to(self, device: torch.device | str) -> "Stream":
        """Itself, with batches on `device`."""
        self.device = torch.empty(0, device=device).device
        return self

    def draw(self, seed: int, position: int, batch: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The rank's next `batch / ranks` samples, when all ranks together have drawn `position`.

        Raises: DataError if a shard cannot be read any more, or nothing in a whole block can be decoded.
        """
        own, count = position // ranks, batch // ranks
        parts: list[Batch] = []
        while count:
            parts.append(self._part(seed, own, count, rank, ranks))
            own, count = own + len(parts[-1]), count - len(parts[-1])
        labels = [part.labels for part in parts if part.labels is not None]
        images = sent(torch.cat([part.images for part in parts]), self.device)
        return Batch(images, torch.cat(labels).to(self.device) if labels else None)

    def sample(self) -> Pictures:
        """At most 5,000 pictures or 1 GiB of them, the same in every run; classes are those of the whole set."""
        return self._sample.to(self.device)

    def hold_out(self, count: int) -> tuple["Stream", None]:
        """Nothing can be held out of a stream: it never comes round so often that it is known by heart.

        Raises: SettingError for a count above 0.
        """
        if count:
            raise SettingError(f"held_out={count}: of pictures that stream none can be held out; leave it at 0")
        return self, None

    def close(self) -> None:
        """Ends what reads ahead. Nothing can be drawn any more."""
        self._closed = True
        end_commands()
        for threads in (self._filler, self._readers, self._decoders):
            threads.shutdown(cancel_futures=True)
        self._leave_open(set())

    def _taken(self, progress: Progress | None) -> Pictures:
        most = min(SAMPLE, max(64, SAMPLE_MEMORY // math.prod(self.shape)))
        found = decoded(self.shards.source(most), self.form, labels=bool(self.classes), progress=progress)
        labels: Tensor | None = None
        if found.labels is not None:
            strange = [name for name in found.classes if name not in self._labels]
            if strange:
                raise DataError(
                    f"{self.name}: class {strange[0]} was not there when the shards were looked through; delete "
                    f"shards-*.json in {cache.folder()}, and they will be again"
                )
            labels = torch.tensor([self._labels[name] for name in found.classes])[found.labels]
        return replace(found, labels=labels, classes=self.classes)

    def _part(self, seed: int, own: int, most: int, rank: int, ranks: int) -> Batch:
        """A rank's samples from number `own` on, as many as are wanted and the block has, on the CPU."""
        block = block_at(own, len(self), self.buffer, rank, ranks)
        filled = self._filled(seed, block, rank, ranks)
        taken = slice(own - block.position, own - block.position + most)
        # Copies: a view would hold the block when the one after the next is already being filled.
        labels = torch.from_numpy(filled.labels[taken].copy()) if self.classes else None
        return Batch(torch.from_numpy(filled.images[taken].copy()), labels)

    def _filled(self, seed: int, block: Block, rank: int, ranks: int) -> Filled:
        """A block, after which the next one is begun."""
        if self._current is not None and self._current[0] == (seed, block):
            return self._current[1]
        self._current = None  # its memory is for the next one
        if self._ahead is None or self._ahead[0] != (seed, block):
            self._ahead = (seed, block), self._filler.submit(self._fill, seed, block)
        filled = self._ahead[1].result()
        self._current = (seed, block), filled
        following = block_at(block.position + len(filled.images), len(self), self.buffer, rank, ranks)
        self._ahead = (seed, following), self._filler.submit(self._fill, seed, following)
        damaged = sorted({*filled.damaged}.difference(self.skipped), key=lambda each: each.path)
        if damaged:
            self.skipped += damaged
            self.tell(damaged)
        return filled

    # In threads

    def _fill(self, seed: int, block: Block) -> Filled:
        n = block.last - block.first
        filled = Filled(np.empty((n, *self.shape), np.uint8), np.zeros(n, np.int64), np.zeros(n, np.bool_))
        places = permutation(n, seed, "shuffle buffer", block.epoch, block.first)
        parts = list(pieces(self._counts, seed, block))
        self._leave_open({(number, start) for number, start, _ in parts})
        reading, at = [], 0
        for number, start, stop in parts:
            reading.append(
                self._readers.submit(self._read, number, start, stop, places[at : at + stop - start], filled)
            )
            at += stop - start
        for part in reading:
            part.result()
        whole, bare = filled.whole.nonzero()[0], (~filled.whole).nonzero()[0]
        if not len(whole):
            raise DataError(f"{self.name}: none of {n} pictures can be decoded, such as {filled.damaged[0].path}")
        # The number of samples stays what it was, and with it the place of each in the epoch.
        stand_ins = whole[np.searchsorted(whole, bare) % len(whole)]
        filled.images[bare], filled.labels[bare] = filled.images[stand_ins], filled.labels[stand_ins]
        return filled

    def _read(self, number: int, start: int, stop: int, places: NDArray[np.int64], filled: Filled) -> None:
        """Decodes samples `start` to `stop - 1` of a shard into their places, on all cores."""
        samples = self._open.pop((number, start), None) or self.shards.samples(number, start)
        chunk = AHEAD * cores()
        for at in range(0, len(places), chunk):
            if self._closed:
                return
            some = places[at : at + chunk]
            list(self._decoders.map(partial(self._put, filled), islice(samples, len(some)), some))
        if stop < self._counts[number]:
            self._open[number, stop] = samples  # the next block goes on there
        else:
            for _ in samples:  # none, or the error of a shard that is not whole
                pass

    def _put(self, filled: Filled, sample: Sample, place: np.int64) -> None:
        try:
            filled.images[place] = pixels(sample.picture, self.form)
            if self.classes:
                if sample.label is None:
                    raise UnusableError("has no class")
                filled.labels[place] = self._labels[sample.label]
            filled.whole[place] = True
        except Exception as error:  # hostile bytes can raise anything, and must not end the run
            filled.damaged.append(Skipped(sample.name, reason(error)))

    def _leave_open(self, wanted: set[tuple[int, int]]) -> None:
        for left in self._open.keys() - wanted:
            self._open.pop(left).close()


def stream(
    data: str | Path,
    form: Form,
    *,
    buffer: int,
    labels: bool = False,
    progress: Progress | None = None,
) -> Stream:
    """The pictures of shards as a stream, whatever their number.

    buffer: pictures that are mixed with each other.
    Raises: DataError if the shards cannot be read, none of a sample of their pictures can be decoded, or labels are
    wanted and not every picture has one; SettingError if the data are no shards.
    """
    shards = find(data, progress)
    if shards is None:
        raise SettingError(
            f"shuffle_buffer={buffer}: {data} is no set of shards; `sparring data pack` makes one, or leave it at none"
        )
    without = shards.pictures - sum(shards.classes.values())
    if labels and without:
        raise DataError(
            f"{shards.name}: labels are wanted, but {without:,} of {shards.pictures:,} pictures have no class; give "
            "each one, as .cls or as `label` in .json, or train without labels"
        )
    return Stream(shards, form, buffer=buffer, labels=labels, progress=progress)
