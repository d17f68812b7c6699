import pytest
import torch

from sparring.data.order import indices


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_any_split_of_the_stream_gives_the_same_stream(n: int) -> None:
    whole = indices(n, 5, 0, 150)
    for size in (1, 3, 16, 149):
        pieces = [indices(n, 5, start, min(size, 150 - start)) for start in range(0, 150, size)]
        assert torch.equal(torch.cat(pieces), whole)


def test_each_epoch_is_a_permutation_of_its_own() -> None:
    epochs = indices(50, 0, 0, 200).view(4, 50)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(50).expand(4, 50))
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 4


def test_the_seed_matters() -> None:
    assert not torch.equal(indices(50, 0, 0, 50), indices(50, 1, 0, 50))


def test_a_batch_larger_than_the_set() -> None:
    assert indices(3, 0, 2, 10).tolist()[1:4] == indices(3, 0, 3, 3).tolist()
    assert indices(1, 0, 0, 4).tolist() == [0, 0, 0, 0]
    assert indices(9, 0, 4, 0).shape == (0,)


def test_what_is_given_may_be_changed_without_changing_the_stream() -> None:
    first = indices(10, 0, 0, 10)
    kept = first.clone()
    first.zero_()
    assert torch.equal(indices(10, 0, 0, 10), kept)


@pytest.mark.parametrize("arguments", [(0, 0, 0, 1), (3, 0, -1, 1), (3, 0, 0, -1)])
def test_what_makes_no_sense_is_refused(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="n starts at 1"):
        indices(*arguments)
