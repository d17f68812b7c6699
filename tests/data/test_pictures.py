import pytest
import torch

from sparring.data import Pictures


@pytest.fixture
def made() -> Pictures:
    images = torch.arange(4 * 2 * 3, dtype=torch.uint8).view(4, 1, 2, 3)
    return Pictures(images, torch.tensor([0, 1, 1, 0]), ("a", "b"), "made", "00")


def test_length_and_shape(made: Pictures) -> None:
    assert len(made) == 4
    assert made.shape == (1, 2, 3)


def test_a_batch_is_the_pictures_asked_for(made: Pictures) -> None:
    batch = made.batch(torch.tensor([3, 0, 3]))
    assert batch.images.dtype == torch.uint8
    assert batch.images[:, 0, 0, 0].tolist() == [18, 0, 18]
    assert batch.labels is not None
    assert batch.labels.tolist() == [0, 0, 0]


def test_a_batch_without_labels(made: Pictures) -> None:
    assert Pictures(made.images, None, (), "made", "00").batch(torch.tensor([1])).labels is None


def test_to_moves_what_fits_and_only_that(made: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made.to("cpu").images is made.images
    moved = made.to("meta")  # a device that is always there and is not the CPU
    assert moved.images.device.type == "meta"
    assert moved.batch(torch.tensor([1, 2])).images.shape == (2, 1, 2, 3)
    monkeypatch.setattr("sparring.data.memory.available", lambda: made.images.nbytes * 3 - 1)
    streamed = made.to("meta")
    assert streamed.images is made.images
    batch = streamed.batch(torch.tensor([1, 2]))
    assert (batch.images.device.type, batch.images.shape) == ("meta", (2, 1, 2, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_on_a_gpu_are_the_same(made: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    indices = torch.tensor([2, 1])
    on_device = made.to("cuda").batch(indices)
    monkeypatch.setattr("sparring.data.memory.fits_device", lambda *_: False)
    streamed = made.to("cuda").batch(indices)
    assert on_device.images.is_cuda
    assert streamed.images.is_cuda
    assert torch.equal(on_device.images, streamed.images)
    assert torch.equal(streamed.images.cpu(), made.batch(indices).images)


def hundred(labels: torch.Tensor | None = None) -> Pictures:
    images = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1)
    return Pictures(images, labels, () if labels is None else ("a", "b", "c"), "hundred", "01")


def seen(pictures: Pictures | None) -> set[int]:
    assert pictures is not None
    return set(pictures.draw(0, 0, 400).images.flatten().tolist())


def test_pictures_that_are_held_out_are_never_drawn_and_the_others_all() -> None:
    shown, held = hundred().hold_out(7)
    assert len(seen(held)) == 7
    assert seen(shown) == set(range(100)) - seen(held)
    assert seen(hundred().hold_out(7)[1]) == seen(held)
    assert len(shown) == 100


def test_of_every_class_a_picture_stays() -> None:
    labels = torch.tensor([0] * 98 + [1, 2])
    shown, held = hundred(labels).hold_out(97)
    assert held is not None
    assert {98, 99} <= seen(shown)
    assert len(seen(held)) == 48
    assert held.draw(0, 0, 16).labels is not None


def test_where_there_are_none_to_spare_none_are_held_out() -> None:
    one = hundred().batch(torch.tensor([5])).images
    assert Pictures(one, None, (), "one", "02").hold_out(10)[1] is None
    assert hundred().hold_out(0)[1] is None
    assert seen(hundred().hold_out(0)[0]) == set(range(100))
