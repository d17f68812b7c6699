"""Kernel distance against loops over pairs, leaving samples out one by one, and known truths by simulation."""

import pytest
import torch

from sparring.errors import MetricError
from sparring.metrics import kernel
from sparring.metrics.kernel import kernel_distance


def drawn(count, dimension, seed, *, scale=1.0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, dimension, generator=generator, dtype=torch.float64) + shift


def by_loops(real, fake):
    def value(x, y):
        return (float(x @ y) / len(x) + 1) ** 3

    def mean(pairs):
        values = [value(x, y) for x, y in pairs]
        return sum(values) / len(values)

    within = [mean((x, y) for i, x in enumerate(side) for j, y in enumerate(side) if i != j) for side in (real, fake)]
    return within[0] + within[1] - 2 * mean((x, y) for x in real for y in fake)


def population_distance(dimension, scale, shift):
    """Between N(0, 1) and N(shift, scale^2) in each dimension: the kernel compares moments up to the third."""
    eye = torch.eye(dimension, dtype=torch.float64)
    mean = torch.full((dimension,), shift, dtype=torch.float64)
    second = scale**2 * eye + torch.outer(mean, mean) - eye
    mixed = sum(torch.einsum(f"{pair},{one}->ijk", eye, mean) for pair, one in (("ij", "k"), ("ik", "j"), ("jk", "i")))
    third = torch.einsum("i,j,k->ijk", mean, mean, mean) + scale**2 * mixed
    powers = [float(moment.square().sum()) / dimension ** (n + 1) for n, moment in enumerate((mean, second, third))]
    return 3 * powers[0] + 3 * powers[1] + powers[2]


def test_by_hand():
    real, fake = torch.zeros(3, 1), torch.ones(3, 1)  # kernel 1 within the real, 8 within the generated, 1 across
    measured = kernel_distance(real, fake)
    assert measured.value == 1 + 8 - 2 * 1
    assert (measured.low, measured.high, measured.standard_error) == (7.0, 7.0, 0.0)


def test_agrees_with_loops_over_pairs():
    real, fake = drawn(9, 4, 0), drawn(7, 4, 1, scale=1.5, shift=0.3)
    assert kernel_distance(real, fake).value == pytest.approx(by_loops(real, fake), rel=1e-12)


def test_standard_error_is_that_of_leaving_each_sample_out():
    real, fake = drawn(8, 3, 2), drawn(6, 3, 3, shift=0.5)
    variance = 0.0
    for side in (0, 1):
        count = (len(real), len(fake))[side]
        kept = [torch.arange(count) != index for index in range(count)]
        left = torch.tensor([by_loops(*((real[keep], fake) if side == 0 else (real, fake[keep]))) for keep in kept])
        variance += (count - 1) * float(left.var(correction=0))
    assert kernel_distance(real, fake).standard_error == pytest.approx(variance**0.5, rel=1e-5)


def test_blocks_change_nothing(monkeypatch):
    real, fake = drawn(60, 5, 4), drawn(41, 5, 5)
    whole = kernel_distance(real, fake)
    monkeypatch.setattr(kernel, "BLOCK", 300)  # blocks of 5 and 7 rows
    parts = kernel_distance(real, fake)
    assert parts.value == pytest.approx(whole.value, rel=1e-12)
    assert parts.standard_error == pytest.approx(whole.standard_error, rel=1e-12)


def test_single_precision_is_taken_as_it_is():
    real, fake = drawn(50, 6, 6).float(), drawn(50, 6, 7).float()
    assert kernel_distance(real, fake) == kernel_distance(real.double(), fake.double().numpy())


@pytest.mark.parametrize(
    ("counts", "dimension", "scale", "shift"),
    [
        pytest.param((50, 50), 8, 1.0, 0.0, id="equal"),
        pytest.param((60, 40), 8, 1.0, 0.2, id="close"),
        pytest.param((40, 100), 16, 1.3, 0.0, id="wider"),
        pytest.param((100, 50), 16, 1.5, 0.5, id="apart"),
        pytest.param((20, 20), 64, 1.2, 0.3, id="few samples"),
    ],
)
def test_unbiased_and_covered_by_the_interval(counts, dimension, scale, shift):
    truth = population_distance(dimension, scale, shift)
    draws = [
        kernel_distance(
            drawn(counts[0], dimension, 2 * seed), drawn(counts[1], dimension, 2 * seed + 1, scale=scale, shift=shift)
        )
        for seed in range(100)
    ]
    values = torch.tensor([draw.value for draw in draws], dtype=torch.float64)
    assert abs(float(values.mean()) - truth) < 3 * float(values.std()) / 10
    assert all(draw.low <= draw.value <= draw.high for draw in draws)
    assert sum(draw.low <= truth <= draw.high for draw in draws) >= 90
    assert sum(draw.standard_error for draw in draws) / 100 < 2 * float(values.std())  # covers, but not by being huge


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(2, 2), torch.zeros(9, 2), "2 real samples; at least 3 are needed"),
        (torch.zeros(9, 2), torch.zeros(9, 3), "real samples have 2 features and generated samples 3"),
        (torch.zeros(9, 2), torch.full((9, 2), torch.nan), "generated features contain NaN"),
    ],
)
def test_what_cannot_be_compared(real, fake, message):
    with pytest.raises(MetricError, match=message):
        kernel_distance(real, fake)
