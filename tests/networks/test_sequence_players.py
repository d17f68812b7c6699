from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from sparring.data.vocabularies import END, START, UNKNOWN
from sparring.errors import SettingError
from sparring.networks.sequences import Discriminator, Generator, nucleus, pick
from sparring.networks.transformer import HEAD, Trunk, look_around, turned

SIZE, LONGEST = 11, 9


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    made = Generator(SIZE, LONGEST, width=2 * HEAD, depth=2)
    torch.nn.init.normal_(made.bias)
    return made


def written(generator: Generator, count: int = 6, **options: object) -> torch.Tensor:
    numbers = torch.rand(count, LONGEST, generator=torch.Generator().manual_seed(1))
    return generator.write(numbers, **options)  # type: ignore[arg-type]


def test_attention_is_that_of_the_library() -> None:
    torch.manual_seed(0)
    queries, keys, values = (torch.randn(2, 3, 7, HEAD) for _ in range(3))
    theirs = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    torch.testing.assert_close(look_around(queries, keys, values, is_causal=True), theirs)


def test_a_place_sees_none_after_it() -> None:
    torch.manual_seed(0)
    trunk, x = Trunk(HEAD, 2, LONGEST), torch.randn(1, LONGEST, HEAD)
    other = x.clone()
    other[:, 5:] += 1
    torch.testing.assert_close(trunk(x)[:, :5], trunk(other)[:, :5])
    assert not torch.allclose(trunk(x)[:, 5:], trunk(other)[:, 5:])


def test_how_well_places_match_depends_on_their_distance_alone() -> None:
    torch.manual_seed(0)
    angles = Trunk(HEAD, 1, LONGEST).angles
    query, key = torch.randn(1, 1, 1, HEAD), torch.randn(1, 1, 1, HEAD)

    def match(first: int, second: int) -> float:
        return float((turned(query, angles[first : first + 1]) * turned(key, angles[second : second + 1])).sum())

    assert match(3, 1) == pytest.approx(match(7, 5), abs=1e-4)
    assert match(3, 1) != pytest.approx(match(7, 1), abs=1e-2)


def test_what_is_written_is_as_likely_as_the_network_says(generator: Generator) -> None:
    """Step by step with its memory it goes by the same probabilities as in one pass over the whole."""
    numbers = torch.rand(6, LONGEST, generator=torch.Generator().manual_seed(1))
    tokens = generator.write(numbers)
    log_probabilities, _ = generator(tokens)
    cumulated = log_probabilities.exp().cumsum(-1)
    above = cumulated.gather(2, tokens[..., None]).squeeze(2)
    below = above - log_probabilities.exp().gather(2, tokens[..., None]).squeeze(2)
    alive = (tokens == END).cumsum(1) - (tokens == END).long() == 0
    assert bool(((numbers >= below - 1e-5) & (numbers <= above + 1e-5))[alive].all())


def test_probabilities_sum_to_one_and_leave_out_what_never_comes(generator: Generator) -> None:
    log_probabilities, expectation = generator(written(generator))
    torch.testing.assert_close(log_probabilities.exp().sum(-1), torch.ones(6, LONGEST))
    assert bool((log_probabilities[..., [START, UNKNOWN]] == -torch.inf).all())
    assert expectation.shape == (6, LONGEST)


def test_after_the_end_comes_the_end(generator: Generator) -> None:
    tokens = written(generator, 64)
    ended = (tokens == END).cumsum(1) > 0
    assert bool(ended.any()) and bool((tokens[ended] == END).all())


def test_samples_do_not_depend_on_their_neighbours(generator: Generator) -> None:
    numbers = torch.rand(6, LONGEST, generator=torch.Generator().manual_seed(1))
    assert generator.write(numbers)[:2].tolist() == generator.write(numbers[:2]).tolist()


def test_a_prompt_stays(generator: Generator) -> None:
    assert written(generator, prompt=torch.tensor([7, 4, 9]))[:, :3].tolist() == [[7, 4, 9]] * 6


def test_without_temperature_the_likeliest_is_taken(generator: Generator) -> None:
    tokens = written(generator, temperature=0.0)
    assert tokens.tolist() == [tokens[0].tolist()] * 6
    first, _ = generator(tokens[:1])
    assert int(first[0, 0].argmax()) == int(tokens[0, 0])


def test_the_expectation_teaches_nothing_else(generator: Generator) -> None:
    _, expectation = generator(written(generator))
    expectation.sum().backward()
    assert generator.embedding.weight.grad is None
    assert generator.expectation.weight.grad is not None


@pytest.mark.parametrize("temperature", [1e-300, 1e-46, 1e-38, 1e-10])
def test_at_a_temperature_next_to_none_the_likeliest_is_taken(temperature: float) -> None:
    likely = torch.tensor([0.2, 0.7, 0.1]).log().expand(4, -1)
    assert pick(likely, torch.tensor([0.0, 0.3, 0.6, 0.99]), temperature).tolist() == [1] * 4


def test_symbols_are_picked_as_often_as_they_are_likely() -> None:
    likely = torch.tensor([0.5, 0.0, 0.3, 0.2])
    numbers = (torch.arange(1000) + 0.5) / 1000
    picked = pick(likely.log().expand(1000, -1), numbers, temperature=1.0)
    assert torch.bincount(picked, minlength=4).tolist() == [500, 0, 300, 200]
    sharper = (likely**2 / (likely**2).sum()).tolist()
    picked = pick(likely.log().expand(1000, -1), numbers, temperature=0.5)
    assert (torch.bincount(picked, minlength=4) / 1000).tolist() == pytest.approx(sharper, abs=1e-3)


LIKELY = torch.tensor([0.05, 0.5, 0.0, 0.15, 0.3])


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (0.01, [0, 1000, 0, 0, 0]),
        (0.5, [0, 1000, 0, 0, 0]),
        (0.51, [0, 625, 0, 0, 375]),
        (0.8, [0, 625, 0, 0, 375]),
        (0.81, [0, 526, 0, 158, 316]),
        (0.96, [50, 500, 0, 150, 300]),
        (1.0, [50, 500, 0, 150, 300]),
    ],
)
def test_symbols_outside_of_the_nucleus_never_come(top_p: float, expected: list[int]) -> None:
    """By hand: of .5, .3, .15 and .05 the first two are .8 together, and 5 to 3 of what is left."""
    numbers = (torch.arange(1000) + 0.5) / 1000
    picked = pick(LIKELY.log().expand(1000, -1), numbers, 1.0, top_p)
    assert torch.bincount(picked, minlength=5).tolist() == expected


def test_the_nucleus_is_that_of_the_probabilities_after_the_temperature() -> None:
    """At .5 they are as .25, .09, .0225 and .0025, of which the first is 68 %, and the first two 93 %."""
    numbers = (torch.arange(1000) + 0.5) / 1000
    for top_p, kept in ((0.68, {1}), (0.7, {1, 4}), (0.93, {1, 4}), (0.94, {1, 3, 4})):
        assert set(pick(LIKELY.log().expand(1000, -1), numbers, 0.5, top_p).tolist()) == kept


def test_of_equally_likely_symbols_the_first_are_in_the_nucleus() -> None:
    logits = torch.tensor([[0.2, 0.4, 0.2, 0.2], [0.25, 0.25, 0.25, 0.25]]).log()
    for top_p, kept in (
        (0.3, [[1], [0, 1]]),
        (0.5, [[0, 1], [0, 1]]),
        (0.7, [[0, 1, 2], [0, 1, 2]]),
        (0.9, [[0, 1, 2, 3], [0, 1, 2, 3]]),
    ):
        assert [row.nonzero().flatten().tolist() for row in nucleus(logits, top_p)] == kept


def test_the_nucleus_is_that_of_a_sort_in_double_precision() -> None:
    logits = 3 * torch.randn(32, 500, generator=torch.Generator().manual_seed(0))
    logits[:, [1, 2]] = -torch.inf
    for row, found in zip(logits.double(), nucleus(logits, 0.9), strict=True):
        probabilities, order = row.softmax(-1).sort(descending=True)
        count = int((probabilities.cumsum(0) < 0.9).sum()) + 1
        assert set(found.nonzero().flatten().tolist()) == set(order[:count].tolist())


def test_a_nucleus_of_all_leaves_out_nothing_but_what_never_comes() -> None:
    logits = torch.randn(4, 300, generator=torch.Generator().manual_seed(0))
    logits[:, [1, 2]] = -torch.inf
    assert torch.equal(nucleus(logits, 1 - 1e-12) & logits.isfinite(), logits.isfinite())


def test_a_nucleus_of_one_is_no_temperature(generator: Generator) -> None:
    assert torch.equal(written(generator, top_p=1e-9), written(generator, temperature=0.0))
    assert torch.equal(written(generator, temperature=0.0, top_p=0.5), written(generator, temperature=0.0))


def test_what_is_written_of_the_nucleus_begins_as_asked_ends_once_and_has_no_forbidden_symbol(
    generator: Generator,
) -> None:
    numbers = torch.rand(64, LONGEST, generator=torch.Generator().manual_seed(1))
    generator.bias.data[END] += 6
    assert torch.equal(generator.write(numbers, top_p=1.0), generator.write(numbers))
    tokens = generator.write(numbers, 2.0, torch.tensor([7, 4]), 0.7)
    assert not torch.equal(tokens, generator.write(numbers, 2.0, torch.tensor([7, 4])))
    ended = (tokens == END).cumsum(1) > 0
    assert bool(ended.any()) and bool((tokens[ended] == END).all())
    assert tokens[:, :2].tolist() == [[7, 4]] * 64
    assert not {START, UNKNOWN} & set(tokens.flatten().tolist())
    log_probabilities, _ = generator(tokens)
    kept = nucleus(log_probabilities.flatten(0, 1) / 2, 0.7 + 1e-4).view(*tokens.shape, SIZE)
    assert bool((kept.gather(2, tokens[..., None]).squeeze(2) | ended)[:, 2:].all())


def test_early_judgements_know_nothing_of_what_follows() -> None:
    torch.manual_seed(0)
    judge = Discriminator(SIZE, LONGEST, width=HEAD, depth=2, spectral_norm=False)
    x = torch.nn.functional.one_hot(torch.randint(3, SIZE, (2, LONGEST)), SIZE).float()
    other = x.clone()
    other[:, 6:] = other[:, 6:].roll(1, dims=2)
    before, after = judge(x), judge(other)
    assert before.shape == (2, 2 * LONGEST)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, LONGEST:], after[:, LONGEST:])
    assert bool((before[:, LONGEST:] == before[:, LONGEST : LONGEST + 1]).all())


def test_the_judgement_of_a_sequence_does_not_depend_on_how_long_others_are() -> None:
    torch.manual_seed(0)
    judge = Discriminator(SIZE, LONGEST, width=HEAD, depth=2, spectral_norm=False)
    tokens = torch.randint(3, SIZE, (2, LONGEST))
    tokens[0, 4:] = END
    x = torch.nn.functional.one_hot(tokens, SIZE).float()
    torch.testing.assert_close(judge(x)[:1], judge(x[:1]))
    judged = judge(x)[0]
    assert judged[5:].tolist() == [float(judged[-1].detach())] * (2 * LONGEST - 5)


def test_a_judge_reads_as_the_generator_that_it_takes_over(generator: Generator) -> None:
    judge = Discriminator(SIZE, LONGEST, width=2 * HEAD, depth=2, spectral_norm=False)
    judge.take_over(generator)
    tokens = torch.randint(3, SIZE, (2, LONGEST))
    x = torch.nn.functional.one_hot(tokens, SIZE).float()
    torch.testing.assert_close(judge.trunk(judge.embedding(x)), generator.trunk(generator.embedded(tokens)))


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_the_slope_of_the_judge_has_a_gradient(spectral_norm: bool) -> None:
    torch.manual_seed(0)
    judge = Discriminator(SIZE, LONGEST, width=HEAD, depth=1, spectral_norm=spectral_norm)
    x = torch.rand(2, LONGEST, SIZE, requires_grad=True)
    (slope,) = torch.autograd.grad(judge(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert all(parameter.grad is not None for name, parameter in judge.named_parameters() if "bias" not in name)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(SettingError, match="multiple of 64"):
        Generator(SIZE, LONGEST, width=HEAD + 1, depth=1)


def test_what_never_comes_is_not_sent_to_the_device_for_every_symbol(generator: Generator) -> None:
    """New tensors out of Python's numbers are copies to the device: as many for nine symbols as for two."""

    class Copies(TorchFunctionMode):
        count = 0

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.count += function in (torch.tensor, torch.Tensor.new_tensor, torch.as_tensor)
            return function(*args, **(kwargs or {}))

    found = []
    with torch.no_grad():
        generator.bias[END] = -torch.inf
    for longest in (2, LONGEST):
        with Copies() as copies:
            tokens = generator.write(torch.full((2, longest), 0.5))
        assert bool((tokens != END).all())
        found.append(copies.count)
    assert found[0] == found[1]
    assert not {"forbidden"} & generator.state_dict().keys()
