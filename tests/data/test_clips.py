"""What is drawn of clips: frames that differ, in order, evenly from everywhere, the same for the same arguments."""

from dataclasses import replace

import pytest
import torch

from sparring.data import Clips
from sparring.randomness import Random


@pytest.fixture
def clips() -> Clips:
    """Clips of 4, 30 and 200 frames at 2, 25 and 50 a second; frame f of all is the number f."""
    lengths = torch.tensor([4, 30, 200])
    frames = torch.arange(234, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    return Clips(
        frames,
        torch.tensor([0, 4, 34]),
        lengths,
        torch.tensor([2.0, 25.0, 50.0]),
        torch.tensor([0, 1, 1]),
        ("a", "b"),
        "numbers",
        "0",
        seen=3,
        window=0.4,
    )


def test_a_batch_holds_frames_of_one_clip_each_with_their_times(clips: Clips) -> None:
    batch = clips.draw(5, 0, 96)
    numbers = batch.frames[:, :, 0, 0, 0].long()
    of = torch.bucketize(numbers, torch.tensor([4, 34]), right=True)
    assert (of == of[:, :1]).all()
    assert (numbers.diff(dim=1) >= 1).all()
    expected = (numbers - numbers[:, :1]) / clips.rates[of[:, 0]][:, None]
    assert torch.allclose(batch.times, expected)
    assert batch.times.dtype == torch.float32
    assert batch.labels is not None
    assert torch.equal(batch.labels, torch.tensor([0, 1, 1])[of[:, 0]])
    assert torch.bincount(of[:, 0]).tolist() == [32, 32, 32]


def test_drawing_is_a_pure_function(clips: Clips) -> None:
    first, again, other = clips.draw(1, 64, 32), clips.draw(1, 64, 32), clips.draw(2, 64, 32)
    assert torch.equal(first.frames, again.frames)
    assert not torch.equal(first.frames, other.frames)


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_the_parts_of_ranks_are_the_whole_batch(clips: Clips, ranks: int) -> None:
    whole = clips.draw(1, 48, 24)
    parts = [clips.draw(1, 48, 24, rank, ranks) for rank in range(ranks)]
    assert torch.equal(torch.cat([part.frames for part in parts]), whole.frames)
    assert torch.equal(torch.cat([part.times for part in parts]), whole.times)


def test_offsets_come_from_everywhere(clips: Clips) -> None:
    numbers = torch.full((16384,), 2)
    offsets = clips.offsets(numbers, Random(0, 0, 16384))
    spread = offsets[:, 2] - offsets[:, 0]
    assert (spread.min(), spread.max()) == (2, 20)  # 0.4 seconds at 50 a second
    # Uniform on 2 to 20: mean 11, variance (19^2 - 1) / 12 = 30.
    assert spread.float().mean().item() == pytest.approx(11, abs=4 * (30 / 16384) ** 0.5)
    # The one between is uniform, too: on average it stands in the middle.
    between = (offsets[:, 1] - offsets[:, 0]).float() / spread
    assert between.mean().item() == pytest.approx(0.5, abs=0.01)
    assert (offsets[:, 0].min(), offsets[:, 2].max()) == (0, 199)


@pytest.mark.parametrize("seen", [2, 3, 4])
def test_a_clip_as_short_as_what_is_seen_gives_all_its_frames(clips: Clips, seen: int) -> None:
    short = replace(clips, seen=seen, lengths=torch.tensor([seen, 30, 200]))
    offsets = short.offsets(torch.zeros(64, dtype=torch.int64), Random(0, 0, 64))
    assert (offsets == torch.arange(seen)).all()


def test_few_frames_a_second_widen_the_window(clips: Clips) -> None:
    # 0.4 seconds are one frame of the first clip, of which three are seen.
    assert clips.reach(torch.arange(3)).tolist() == [2, 10, 20]


def test_what_is_held_out_is_never_drawn(clips: Clips) -> None:
    shown, held_out = replace(clips, labels=None, classes=()).hold_out(1)
    assert held_out is not None
    assert shown.drawn is not None
    assert held_out.drawn is not None
    assert sorted([*shown.drawn.tolist(), *held_out.drawn.tolist()]) == [0, 1, 2]
    hidden = int(held_out.drawn[0])
    start, end = int(clips.starts[hidden]), int(clips.starts[hidden] + clips.lengths[hidden])
    drawn, never = (each.draw(0, 0, 64).frames for each in (shown, held_out))
    assert not ((drawn >= start) & (drawn < end)).any()
    assert ((never >= start) & (never < end)).all()
    assert clips.hold_out(1)[1] is None  # of every class one stays
    assert clips.sample() is clips


def test_a_clip_is_all_its_frames(clips: Clips) -> None:
    assert clips.clip(1)[:, 0, 0, 0].tolist() == list(range(4, 34))
    assert clips.rate == 25
    assert clips.class_shares == pytest.approx((1 / 3, 2 / 3))
    assert clips.to("cpu").draw(0, 0, 4).frames.device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_frames_live_there(clips: Clips) -> None:
    there = clips.to("cuda")
    assert there.frames.device.type == "cuda"
    batch = there.draw(0, 0, 16)
    assert batch.frames.device.type == "cuda"
    assert torch.equal(batch.frames.cpu(), clips.draw(0, 0, 16).frames)
    assert there.clip(0).device.type == "cpu"
