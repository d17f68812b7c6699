"""Order, resuming, ranks: each picture is known by the value of its pixels."""

import io
import itertools
import tarfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring import data
from sparring.data.decode import Form
from sparring.data.shards import Shards, find
from sparring.data.streaming import Block, Stream, before, block_at, pieces
from sparring.errors import DataError, SettingError

pytest.importorskip("webdataset")

N = 53
FORM = Form(5, 5, 1)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """53 pictures, picture i all of value i and of class i % 3, in 8 shards of 6 or 7."""
    images = np.broadcast_to(np.arange(N, dtype=np.uint8)[:, None, None], (N, 5, 5))
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(N) % 3)
    data.pack(tmp_path / "a.npz", tmp_path / "packed", per_shard=7)
    return tmp_path / "packed"


@pytest.fixture
def stream(packed: Path) -> Iterator[Stream]:
    made = data.stream(packed, FORM, buffer=10, labels=True)
    yield made
    made.close()


def drawn(stream: Stream, start: int, stop: int, batch: int = 4, ranks: int = 1, seed: int = 0) -> list[list[int]]:
    """What each rank draws from batches that begin at `start` up to `stop`."""
    return [
        [
            int(image.max())
            for position in range(start, stop, batch)
            for image in stream.draw(seed, position, batch, rank, ranks).images
        ]
        for rank in range(ranks)
    ]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_every_epoch_shows_each_picture_once(stream: Stream, ranks: int) -> None:
    """Ranks differ by at most one picture where an epoch ends; then the next one makes up for it."""
    epochs = 4
    parts = drawn(stream, 0, epochs * N + 12, ranks=ranks)
    assert len({len(part) for part in parts}) == 1
    for epoch in range(epochs):
        seen = [
            value
            for rank, part in enumerate(parts)
            for value in part[before(epoch, N, rank, ranks) : before(epoch + 1, N, rank, ranks)]
        ]
        assert sorted(seen) == list(range(N))
    for epoch in range(1, epochs + 1):
        counts = [before(epoch, N, rank, ranks) for rank in range(ranks)]
        assert sum(counts) == epoch * N
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("ranks", [1, 2])
def test_what_resumes_anywhere_goes_on_as_if_it_had_not_stopped(packed: Path, stream: Stream, ranks: int) -> None:
    whole = drawn(stream, 0, 120, ranks=ranks)
    for start in (4, 20, 40, 52, 56, 104):
        again = data.stream(packed, FORM, buffer=10, labels=True)
        rest = drawn(again, start, 120, ranks=ranks)
        again.close()
        assert rest == [part[start // ranks :] for part in whole]


def test_going_back_gives_the_same_again(stream: Stream) -> None:
    """As the rehearsal before a run does."""
    first = drawn(stream, 0, 80)
    assert drawn(stream, 0, 80) == first
    assert drawn(stream, 24, 40) == [first[0][24:40]]


def test_order_differs_by_seed_and_epoch_and_is_mixed(stream: Stream) -> None:
    (here,), (there,) = drawn(stream, 0, 2 * N - 2), drawn(stream, 0, N, seed=1)
    assert here[:N] != here[N:]
    assert here[:N] != there[:N]
    assert here[:N] != sorted(here[:N])


def test_labels_go_with_their_pictures(stream: Stream) -> None:
    for position in range(0, 60, 4):
        batch = stream.draw(0, position, 4)
        assert batch.labels is not None
        assert batch.labels.tolist() == (batch.images[:, 0, 0, 0] % 3).tolist()
    assert stream.classes == ("0", "1", "2")
    assert stream.class_shares == (18 / N, 18 / N, 17 / N)
    known = stream.sample()
    assert known.labels is not None
    assert known.labels.tolist() == (known.images[:, 0, 0, 0] % 3).tolist()


def test_blocks_cover_the_line_of_an_epoch_once() -> None:
    for ranks in (1, 2, 3, 5):
        for epoch in (0, 3):
            blocks: set[Block] = set()
            for rank in range(ranks):
                for own in range(before(epoch, N, rank, ranks), before(epoch + 1, N, rank, ranks)):
                    block = block_at(own, N, 10, rank, ranks)
                    assert block.position <= own < block.position + block.last - block.first
                    blocks.add(block)
            covered = sorted(blocks, key=lambda block: block.first)
            assert covered[0].first == 0
            assert covered[-1].last == N
            assert all(one.last == other.first for one, other in itertools.pairwise(covered))
            assert {block.epoch for block in blocks} == {epoch}
            assert max(block.last - block.first for block in blocks) <= 10


def test_pieces_skip_empty_shards_and_cover_a_block() -> None:
    counts = (3, 0, 5, 1, 0)
    whole = [
        (number, place)
        for first, last in ((0, 4), (4, 9))
        for number, start, stop in pieces(counts, 0, Block(0, first, last, first))
        for place in range(start, stop)
    ]
    assert sorted(whole) == [(number, place) for number, count in enumerate(counts) for place in range(count)]


def test_few_pictures_for_many_ranks(packed: Path) -> None:
    """Some ranks have none in an epoch."""
    assert [before(1, 3, rank, 8) for rank in range(8)].count(0) == 5
    block = block_at(1, 3, 10, rank=0, ranks=8)
    assert (block.epoch, block.last - block.first) == (5, 1)


def test_memory_holds_two_blocks_at_most(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, most = [0], [0]
    fill = Stream._fill

    def counted(self: Stream, seed: int, block: Block) -> object:
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        filled = fill(self, seed, block)
        assert len(filled.images) <= 10
        weakref.finalize(filled, lambda: alive.__setitem__(0, alive[0] - 1))
        return filled

    monkeypatch.setattr(Stream, "_fill", counted)
    drawn(stream, 0, 200)
    assert most[0] == 2


def test_a_whole_shard_is_opened_once_an_epoch(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader that a block leaves in the middle of a shard is where the next block goes on."""
    opened: list[tuple[int, int]] = []
    samples = Shards.samples

    def counted(self: Shards, number: int, start: int = 0) -> object:
        opened.append((number, start))
        return samples(self, number, start)

    monkeypatch.setattr(Shards, "samples", counted)
    drawn(stream, 0, 48)
    first_epoch = opened[:8]
    assert sorted(first_epoch) == [(number, 0) for number in range(8)]


def test_a_damaged_picture_is_replaced_and_told_of_once(packed: Path) -> None:
    folder = packed.parent / "damaged"
    folder.mkdir()
    values = []
    with tarfile.open(packed / "00000.tar") as there, tarfile.open(folder / "0.tar", "w") as here:
        for member in there:
            stream = there.extractfile(member)
            assert stream is not None
            content = bytearray(stream.read())
            if member.name.endswith("png"):
                values.append(member.name)
                if len(values) == 2:
                    content[-20] ^= 255  # in the middle of the pixels, where no header tells
            here.addfile(member, io.BytesIO(bytes(content)))
    made = data.stream(str(folder / "{0..0}.tar"), FORM, buffer=10)
    told: list[str] = []
    made.tell = lambda damaged: told.extend(each.path for each in damaged)
    seen = [sorted(drawn(made, start, start + 7, batch=7)[0]) for start in (0, 7)]
    made.close()
    assert [len(set(values)) for values in seen] == [6, 6]
    assert told == [f"0.tar/{values[1]}"]
    assert [each.path for each in made.skipped] == told


def test_a_shard_that_goes_away_is_said_in_a_sentence(packed: Path, stream: Stream) -> None:
    (packed / "00003.tar").unlink()
    with pytest.raises(DataError, match=r"00003.tar: there is no such shard"):
        drawn(stream, 0, 100)
    with pytest.raises(DataError, match=r"00003.tar: there is no such shard, and .*index.json lists it"):
        data.stream(packed, FORM, buffer=10)


def test_a_shard_that_changes_is_said_in_a_sentence(packed: Path, stream: Stream) -> None:
    (packed / "00003.tar").write_bytes((packed / "00000.tar").read_bytes()[:5120] + bytes(10240))
    with pytest.raises(DataError, match=r"00003.tar: holds 1|00003.tar: holds 2"):
        drawn(stream, 0, 100)


def test_the_sample_is_the_same_for_every_seed_and_stands_for_the_whole(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.data.streaming.SAMPLE", 20)
    one, other = (data.stream(packed, FORM, buffer=size).sample() for size in (5, 50))
    assert torch.equal(one.images, other.images)
    assert len(set(one.images[:, 0, 0, 0].tolist())) == 20
    whole = data.load(packed, resolution=(5, 5))
    assert whole.fingerprint == data.stream(packed, FORM, buffer=5).fingerprint
    assert one.fingerprint != whole.fingerprint


def test_only_shards_stream_and_only_with_classes_if_they_are_wanted(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"no set of shards.*sparring data pack"):
        data.stream(pictures, FORM, buffer=10)
    np.save(tmp_path / "a.npy", np.zeros((9, 5, 5), np.uint8))
    data.pack(tmp_path / "a.npy", tmp_path / "unlabelled")
    with pytest.raises(DataError, match="9 of 9 pictures have no class"):
        data.stream(tmp_path / "unlabelled", FORM, buffer=10, labels=True)


def test_a_survey_of_shards_looks_at_a_part(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.surveys.GLANCED", 16)
    survey = data.survey(packed)
    assert (survey.pictures, len(survey.items), survey.common_size(), survey.channels()) == (N, 16, (5, 5), 1)


def test_a_buffer_is_chosen_for_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.memory.available", lambda: 4 * 2**30)
    assert data.buffer_for(1000, Form(64, 64, 3)) is None
    assert data.buffer_for(10**6, Form(64, 64, 3)) == 10_000
    assert data.buffer_for(10**6, Form(256, 256, 3)) == 2**28 // (3 * 256**2)


def test_closing_leaves_no_thread(packed: Path) -> None:
    before_it = threading.active_count()
    made = data.stream(packed, FORM, buffer=10)
    drawn(made, 0, 8)
    made.close()
    assert threading.active_count() == before_it


def test_find_takes_nothing_for_shards_that_is_none(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"something": "else"}')
    for place in (pictures, "digits", "", tmp_path, tmp_path / "absent", "x" * 5000):
        assert find(place) is None
