"""Frechet distance against closed forms, scipy's matrix square root, and known truths by simulation."""

import multiprocessing
import pickle

import numpy as np
import pytest
import scipy.linalg
import torch

from sparring.errors import MetricError
from sparring.metrics.estimate import t95
from sparring.metrics.frechet import (
    Moments,
    MomentSum,
    frechet_distance,
    frechet_estimate,
    frechet_infinity,
    moments,
    small_sample_warning,
)


def features(count, dimension, seed, *, scale=1.0, shift=0.0):
    """Correlated, with variances that fall as 1 / rank."""
    generator = torch.Generator().manual_seed(seed)
    rotation = orthogonal(dimension, dimension)
    spread = torch.arange(1, dimension + 1, dtype=torch.float64) ** -0.5
    drawn = torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    return (scale * drawn * spread) @ rotation.T + shift


def orthogonal(dimension, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(dimension, dimension, generator=generator, dtype=torch.float64))[0]


def gaussian(mean, cov):
    return Moments(torch.as_tensor(mean, dtype=torch.float64), torch.as_tensor(cov, dtype=torch.float64))


def by_eigenvectors(a, b):
    """The distance of the rows' moments by the root of the first covariance."""
    values, vectors = np.linalg.eigh(np.cov(a, rowvar=False))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cov = np.cov(b, rowvar=False)
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov @ root).clip(0)).sum()
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + values.sum() + cov.trace() - 2 * cross


def test_one_dimension_by_hand():
    # means 2 and 5, standard deviations 3 and 1: (5 - 2)^2 + (3 - 1)^2
    assert frechet_distance(gaussian([2.0], [[9.0]]), gaussian([5.0], [[1.0]])) == pytest.approx(13.0, rel=1e-14)


def test_diagonal_covariances():
    a = gaussian([0.0, 0.0, 1.0], torch.diag(torch.tensor([4.0, 1.0, 0.25])))
    b = gaussian([1.0, 0.0, 3.0], torch.diag(torch.tensor([1.0, 9.0, 0.25])))
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (1 - 3) ** 2, rel=1e-14)


def test_covariances_that_commute():
    rotation = orthogonal(8, 0)
    one, other = torch.arange(1.0, 9, dtype=torch.float64), torch.linspace(9, 2, 8, dtype=torch.float64)
    a = gaussian(torch.zeros(8), rotation * one @ rotation.T)
    b = gaussian(torch.zeros(8), rotation * other @ rotation.T)
    assert frechet_distance(a, b) == pytest.approx(float((one.sqrt() - other.sqrt()).square().sum()), rel=1e-12)


def test_covariances_of_which_one_is_singular():
    line = gaussian([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]])
    # tr (C 1)^(1/2) = tr C^(1/2) = 2 / sqrt(2)
    assert frechet_distance(line, gaussian([0.0, 0.0], torch.eye(2))) == pytest.approx(4 - 2 * 2**0.5, rel=1e-12)
    assert frechet_distance(line, gaussian([3.0, 0.0], torch.zeros(2, 2))) == pytest.approx(11.0, rel=1e-12)


def test_variances_over_fourteen_orders_of_magnitude():
    rotation = orthogonal(15, 1)
    one = 10.0 ** -torch.arange(15, dtype=torch.float64)
    a, b = (gaussian(torch.zeros(15), rotation * values @ rotation.T) for values in (one, one * 1.0002))
    expected = float(one.sum()) * (1.0002**0.5 - 1) ** 2  # 1.1e-8
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-13)


def test_agrees_with_scipys_matrix_square_root():
    a, b = features(400, 40, 1), features(300, 40, 2, scale=1.3, shift=0.1)
    first, second = moments(a), moments(b)
    cross = scipy.linalg.sqrtm((first.cov @ second.cov).numpy()).real.trace()
    apart = (first.mean - second.mean).square().sum() + first.cov.trace() + second.cov.trace()
    assert frechet_distance(first, second) == pytest.approx(float(apart) - 2 * cross, rel=1e-10)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (2.0, 3.0)])
def test_fewer_samples_than_features(scale, shift):
    a, b = features(60, 96, 3).float(), features(50, 96, 4, scale=scale, shift=shift).float()
    expected = by_eigenvectors(a.double().numpy(), b.double().numpy())
    assert frechet_estimate(a, b).value == pytest.approx(expected, rel=1e-7)
    assert frechet_distance(moments(b), moments(a)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("count", [500, 30])
def test_identical_sets_are_at_no_distance(count):
    points = features(count, 64, 5).float()
    measured = frechet_estimate(points, points)
    assert (measured.value, measured.low) == (0.0, 0.0)
    assert measured.high < 1e-9
    assert 0 <= frechet_distance(moments(points), moments(points.flip(0))) < 1e-9


def test_chunks_and_parts_equal_one_pass():
    points = features(1000, 12, 6, shift=1e4)  # sums of squares would lose 8 of 16 digits
    parts = [MomentSum(), MomentSum()]
    for chunk, part in zip(points.split(77), parts * 7, strict=False):
        part.add(chunk)
    whole = MomentSum()
    for part in parts:
        whole.merge(part)
    assert whole.count == 1000
    assert_equal(whole.moments(), points)
    whole.add(points[:5])
    assert parts[0].count < 1000 < whole.count  # what was merged stays as it was


def test_several_processes_equal_one_pass():
    points = features(1000, 12, 7, shift=-300.0)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = pool.map(summed, [part.numpy() for part in points.tensor_split(3)])
    whole = MomentSum()
    for part in parts:
        whole.merge(pickle.loads(part))
    assert_equal(whole.moments(), points)


def summed(part):
    total = MomentSum()
    for chunk in np.array_split(part, 4):
        total.add(chunk)
    return pickle.dumps(total)


def assert_equal(measured, points):
    values = points.numpy()
    assert measured.count == len(points)
    assert measured.mean.numpy() == pytest.approx(values.mean(0), rel=1e-12)
    assert measured.cov.numpy() == pytest.approx(np.cov(values, rowvar=False), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "dimension", "scale", "shift"),
    [
        pytest.param((60, 60), 6, 1.0, 0.0, id="equal"),
        pytest.param((60, 60), 6, 1.1, 0.1, id="close"),
        pytest.param((60, 150), 6, 2.0, 0.5, id="apart"),
        pytest.param((150, 20), 6, 0.4, 0.0, id="narrower, from few"),
        pytest.param((40, 50), 6, 1.0, 5.0, id="far"),
        pytest.param((300, 300), 6, 1.5, 0.2, id="many samples"),
        pytest.param((20, 20), 20, 1.0, 0.0, id="as many samples as features"),
        pytest.param((16, 16), 32, 1.0, 0.0, id="fewer samples than features, equal"),
        pytest.param((16, 24), 32, 2.0, 0.1, id="fewer samples than features, apart"),
    ],
)
def test_interval_covers_the_true_distance(counts, dimension, scale, shift):
    truth = population_distance(dimension, scale, shift)
    covered = 0
    for draw in range(100):
        a = features(counts[0], dimension, 2 * draw)
        b = features(counts[1], dimension, 2 * draw + 1, scale=scale, shift=shift)
        measured = frechet_estimate(a, b)
        assert 0 <= measured.low <= measured.value <= measured.high
        covered += measured.low <= truth <= measured.high
    assert covered >= 90


def population_distance(dimension, scale, shift):
    """Of what `features` draws: both covariances are the same but for the factor scale^2."""
    total = sum(1 / rank for rank in range(1, dimension + 1))
    return dimension * shift**2 + total * (scale - 1) ** 2


def test_interval_is_not_wider_than_need_be():
    draws = [
        frechet_estimate(features(400, 4, 2 * draw), features(400, 4, 2 * draw + 1, scale=1.5)) for draw in range(100)
    ]
    values = torch.tensor([draw.value for draw in draws])
    width = sum(draw.high - draw.low for draw in draws) / len(draws)
    assert 2 * 1.96 * values.std() < width < 1.5 * 2 * 1.96 * values.std()


def test_interval_narrows_with_the_root_of_the_number_of_samples():
    few, many = (frechet_estimate(features(count, 4, 1), features(count, 4, 2, scale=1.5)) for count in (400, 6400))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.3)


def test_interval_takes_in_how_mean_and_spread_go_together():
    # In one dimension a sample x of `a` moves the distance by 2 (m_a - m_b) (x - m_a) + (1 - s_b / s_a) (x - m_a)^2;
    # what is drawn here is skew, so that both parts add up, or cancel where the means are the other way round.
    generator = torch.Generator().manual_seed(0)
    a = torch.empty(4000, 1, dtype=torch.float64).exponential_(generator=generator)
    for shift in (1.0, -1.0):
        b = 3 * torch.randn(100_000, 1, generator=generator, dtype=torch.float64) + a.mean() + shift
        squares = []
        for x, y in ((a, b), (b, a)):
            centred = x - x.mean()
            influence = 2 * (x.mean() - y.mean()) * centred + (1 - y.std() / x.std()) * centred.square()
            squares.append(float(influence.var()) / len(x))
        measured = frechet_estimate(a, b)
        assert measured.value - measured.low == pytest.approx(1.96 * sum(squares) ** 0.5, rel=0.03)


def test_the_same_every_time():
    a, b = features(50, 8, 1), features(60, 8, 2)
    assert frechet_estimate(a, b) == frechet_estimate(a, b)
    assert frechet_infinity(a, b) == frechet_infinity(a, b)


def test_hardly_any_samples_have_no_interval():
    measured = frechet_estimate(features(3, 2, 1), features(9, 2, 2))
    assert measured.value > 0
    assert (measured.low, measured.high) == (None, None)


def test_extrapolated_side_loses_its_bias():
    reference = moments(features(50_000, 8, 0))
    draws = [(frechet_infinity(reference, drawn), drawn) for drawn in (features(200, 8, seed) for seed in range(1, 41))]
    plain = sum(frechet_distance(reference, moments(drawn)) for _, drawn in draws) / len(draws)
    extrapolated = sum(measured.value for measured, _ in draws) / len(draws)
    assert plain > 0.03  # though they are of one distribution
    assert abs(extrapolated) < 0.25 * plain


def test_bias_of_the_reference_stays():
    few, many = features(30, 8, 1), features(20_000, 8, 2)
    measured = frechet_infinity(few, many)
    assert measured.value == pytest.approx(frechet_distance(moments(few), moments(many)), rel=0.02)
    assert measured == frechet_infinity(moments(few), many)


@pytest.mark.parametrize(("count", "scale", "shift"), [(40, 1.0, 0.0), (40, 1.5, 0.2), (200, 1.1, 0.1)])
def test_interval_of_the_extrapolated_covers_the_true_distance(count, scale, shift):
    rotation, spread = orthogonal(8, 8), torch.arange(1, 9, dtype=torch.float64) ** -1.0
    population = gaussian(torch.zeros(8), rotation * spread @ rotation.T)
    truth, covered = population_distance(8, scale, shift), 0
    for seed in range(100):
        measured = frechet_infinity(population, features(count, 8, seed, scale=scale, shift=shift))
        assert measured.low <= measured.value <= measured.high
        covered += measured.low <= truth <= measured.high
    assert covered >= 90


def test_warning_of_small_samples():
    assert small_sample_warning(4096, 2048) is None
    warning = small_sample_warning(4095, 2048)
    assert warning is not None
    assert warning.startswith("4,095 samples are few for 2,048 features")
    assert "at least 4,096" in warning


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (5, 2.5706), (10, 2.2281), (100, 1.984)])
def test_quantile_of_students_t(freedom, quantile):
    assert t95(freedom) == pytest.approx(quantile, rel=0.01)
    assert t95(3) == pytest.approx(3.1824, rel=0.04)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: frechet_estimate(torch.zeros(9, 2), torch.zeros(9, 3)),
            "real samples have 2 features and generated samples 3",
        ),
        (lambda: frechet_estimate(torch.zeros(1, 2), torch.zeros(9, 2)), "1 real sample; at least 2 are needed"),
        (lambda: frechet_estimate(torch.full((9, 2), torch.nan), torch.zeros(9, 2)), "real features contain NaN"),
        (lambda: moments(torch.zeros(1, 2)), "1 sample; a covariance needs at least 2"),
        (lambda: MomentSum().moments(), "0 samples; a covariance needs at least 2"),
        (lambda: frechet_distance(gaussian([0.0], [[1.0]]), gaussian([0.0, 0.0], torch.eye(2))), "moments of 1 and 2"),
        (lambda: frechet_infinity(torch.zeros(9, 2), torch.zeros(29, 2)), "29 generated samples; at least 30"),
        (lambda: frechet_infinity(torch.zeros(9, 3), torch.zeros(40, 2)), "reference of 3 features, samples of 2"),
        (lambda: gaussian([0.0], torch.eye(2)), r"mean of shape \(1,\) and covariance \(2, 2\)"),
        (lambda: gaussian([torch.inf], torch.eye(1)), "the moments contain NaN or infinity"),
    ],
)
def test_what_cannot_be_compared(act, message):
    with pytest.raises(MetricError, match=message):
        act()


def test_parts_of_another_width():
    total = MomentSum()
    total.add(torch.zeros(3, 2))
    with pytest.raises(MetricError, match="3 features were added to 2"):
        total.add(torch.zeros(3, 3))


def test_rows_that_belong_together_count_as_one_sample() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(120, 3, generator=generator, dtype=torch.float64) + shift for shift in (0.0, 0.4))
    alone = frechet_estimate(a, b)
    thrice = [rows.repeat_interleave(3, 0) for rows in (a, b)]
    together = frechet_estimate(*thrice, together=3)
    assert together.value == pytest.approx(frechet_distance(*map(moments, thrice)))
    assert together.ends == pytest.approx(alone.ends, rel=0.03)
    apart = frechet_estimate(*thrice)
    assert apart.ends[1] - apart.ends[0] < 0.75 * (together.ends[1] - together.ends[0])
    with pytest.raises(MetricError, match="multiples of 7"):
        frechet_estimate(a, b, together=7)
