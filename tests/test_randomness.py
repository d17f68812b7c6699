import torch

from sparring.randomness import CHUNK, Random, key


def test_a_slice_sees_what_the_whole_batch_sees() -> None:
    whole = Random(seed=3, step=7, count=40).normal("latent", 5)
    for start, count in ((0, 16), (16, 16), (3, 20), (39, 1)):
        part = Random(seed=3, step=7, count=40).part(start, count).normal("latent", 5)
        assert torch.equal(part, whole[start : start + count])


def test_parts_of_parts_count_from_their_own_start() -> None:
    whole = Random(seed=1, step=0, count=3 * CHUNK)
    inner = whole.part(10, 30).part(5, 7)
    assert torch.equal(inner.uniform("u"), whole.uniform("u")[15:22])


def test_every_part_of_the_key_matters() -> None:
    base = Random(seed=1, step=2, count=4)
    others = [
        Random(seed=2, step=2, count=4),
        Random(seed=1, step=3, count=4),
        Random(seed=1, step=2, count=4, attempt=1),
        base.at("discriminator"),
    ]
    assert torch.equal(base.normal("z"), Random(seed=1, step=2, count=4).normal("z"))
    assert all(not torch.equal(base.normal("z"), other.normal("z")) for other in others)
    assert not torch.equal(base.normal("z"), base.normal("w"))


def test_draws_leave_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Random(seed=1, step=2, count=4).normal("z", 3)
    assert torch.equal(torch.rand(3), expected)


def test_normal_numbers_have_mean_zero_and_variance_one() -> None:
    numbers = Random(seed=0, step=0, count=4096).normal("z", 16)
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.var() - 1) < 0.02
    assert abs(torch.corrcoef(numbers.T) - torch.eye(16)).max() < 0.08


def test_names_and_numbers_do_not_run_together() -> None:
    assert key(1, 23) != key(12, 3)
    assert 0 <= key("x") < 2**63
