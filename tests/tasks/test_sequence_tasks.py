import torch

from sparring.data.vocabularies import END
from sparring.randomness import Random
from sparring.tasks.sequences import alive, relaxed


def test_a_sequence_lives_up_to_its_first_end() -> None:
    tokens = torch.tensor([[5, 6, END, END], [END, END, END, END], [5, 6, 7, 8]])
    assert alive(tokens).tolist() == [[True, True, True, False], [True, False, False, False], [True] * 4]


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
        soft = relaxed(log_probabilities, tokens, 0.7, Random(0, 0, count // 4))
        assert bool((soft.argmax(-1) == symbol).all())
        torch.testing.assert_close(soft.mean(0)[0], expected, atol=0.01, rtol=0)


def test_what_never_comes_gets_nothing_of_the_relaxation() -> None:
    log_probabilities = torch.tensor([0.5, 0.5, 0.0]).log().expand(8, 2, 3).clone().requires_grad_()
    soft = relaxed(log_probabilities, torch.zeros(8, 2, dtype=torch.int64), 1.0, Random(0, 0, 8))
    (soft[..., 0] * torch.arange(2)).sum().backward()
    assert bool((soft[..., 2] == 0).all())
    assert log_probabilities.grad is not None and bool(log_probabilities.grad.isfinite().all())
