import torch

from sparring.data.vocabularies import END
from sparring.networks.sequences import pick
from sparring.randomness import Random
from sparring.tasks.sequences import alive, of_like_lengths, relaxed


def test_a_sequence_lives_up_to_its_first_end() -> None:
    tokens = torch.tensor([[5, 6, END, END], [END, END, END, END], [5, 6, 7, 8]])
    assert alive(tokens).tolist() == [[True, True, True, False], [True, False, False, False], [True] * 4]


def test_sequences_are_parted_by_length_where_that_saves_more_than_it_costs() -> None:
    parts = of_like_lengths(torch.tensor([900, 3, 895, 4]))
    assert [rows.tolist() for rows in parts] == [[1, 3], [2, 0]]
    assert [rows.tolist() for rows in of_like_lengths(torch.tensor([25, 25, 25]))] == [[0, 1, 2]]
    assert [rows.tolist() for rows in of_like_lengths(torch.tensor([7]))] == [[0]]


def test_the_noise_of_a_choice_is_that_of_all_choices_that_came_out_so() -> None:
    """Gumbel noise drawn first and its argmax taken, or a symbol drawn and its noise after: softmaxes have one mean."""
    likely = torch.tensor([0.6, 0.3, 0.1])
    count = 40_000
    torch.manual_seed(0)
    gumbel = -torch.log(-torch.log(torch.rand(count, 3)))
    first = likely.log() + gumbel
    for symbol in range(3):
        expected = (first[first.argmax(-1) == symbol] / 0.7).softmax(-1).mean(0)
        tokens = torch.full((count // 4, 1), symbol)
        log_probabilities = likely.log().expand(count // 4, 1, 3)
        soft = relaxed(log_probabilities, tokens, 0.7, Random(0, 0, count // 4), 1)
        assert bool((soft.argmax(-1) == symbol).all())
        torch.testing.assert_close(soft.mean(0)[0], expected, atol=0.01, rtol=0)


def test_what_never_comes_gets_nothing_of_the_relaxation() -> None:
    log_probabilities = torch.tensor([0.5, 0.5, 0.0]).log().expand(8, 2, 3).clone().requires_grad_()
    soft = relaxed(log_probabilities, torch.zeros(8, 2, dtype=torch.int64), 1.0, Random(0, 0, 8), 2)
    (soft[..., 0] * torch.arange(2)).sum().backward()
    assert bool((soft[..., 2] == 0).all())
    assert log_probabilities.grad is not None and bool(log_probabilities.grad.isfinite().all())


def test_the_noise_of_a_sequence_does_not_depend_on_how_long_others_are() -> None:
    log_probabilities = torch.tensor([0.6, 0.3, 0.1]).log().expand(8, 5, 3)
    tokens = torch.zeros(8, 5, dtype=torch.int64)
    longer = relaxed(log_probabilities, tokens, 0.7, Random(0, 0, 8), 6)
    shorter = relaxed(log_probabilities[:, :2], tokens[:, :2], 0.7, Random(0, 0, 8), 6)
    assert torch.equal(longer[:, :2], shorter)


def test_next_to_no_temperature_picks_the_likeliest() -> None:
    log_probabilities = torch.tensor([[0.1, 0.6, 0.0, 0.3]]).log()
    assert pick(log_probabilities, torch.tensor([0.5]), 1e-40).tolist() == [1]
