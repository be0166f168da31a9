"""Corrected shares against closed forms, the published example of Rogan and Gladen's estimate, and simulation."""

import numpy as np
import pytest

from tiw import UserInputError, corrected_shares, share_difference
from tiw.comparing.corrected import project, smallest_difference

BINARY = np.array([[170, 20], [30, 180]])  # sensitivity 0.85, specificity 0.9, 200 labels each


def test_two_values_give_rogan_and_gladens_estimate():
    observed = 0.4
    exact = (observed + 0.9 - 1) / (0.85 + 0.9 - 1)
    found = corrected_shares([400, 600], BINARY)
    np.testing.assert_allclose(found.shares, [exact, 1 - exact], atol=1e-12)
    assert found.intervals.shape == found.simultaneous.shape == (2, 2) and found.draws.shape == (2000, 2)
    np.testing.assert_allclose(found.draws.sum(1), 1, atol=1e-12)


def test_two_values_have_the_delta_methods_interval_where_it_holds():
    """Variance of Rogan-Gladen's estimate with estimated sensitivity and specificity (Lang and Reiczigel 2014, equation 4)."""
    se, sp, n, m = 0.85, 0.9, 20_000, 20_000
    counts = np.array([[se * m, (1 - sp) * m], [(1 - se) * m, sp * m]])
    p, q = 0.4, 0.4 * se + 0.6 * (1 - sp)
    variance = (q * (1 - q) / n + p**2 * se * (1 - se) / m + (1 - p) ** 2 * sp * (1 - sp) / m) / (se + sp - 1) ** 2
    low, high = corrected_shares([q * n, (1 - q) * n], counts, draws=20_000).intervals[0]
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(variance), rel=0.03)


def test_a_perfect_classifier_with_many_labels_corrects_nothing():
    found = corrected_shares([300, 500, 200], 10**6 * np.eye(3))
    np.testing.assert_allclose(found.shares, [0.3, 0.5, 0.2], atol=1e-9)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    np.testing.assert_allclose(found.intervals[0], [0.3 - half, 0.3 + half], atol=0.004)


def test_labels_behind_the_matrix_count():
    few, many = (corrected_shares([400, 600], BINARY * scale).intervals[0] for scale in (0.25, 10))
    assert few[1] - few[0] > 1.5 * (many[1] - many[0])


@pytest.mark.parametrize(("k", "accuracy", "n"), [(2, 0.9, 500), (4, 0.8, 300)])
def test_intervals_hold_the_truth(k, accuracy, n):
    """95 % intervals over 200 simulated comparisons; benchmarks/interval_coverage.py does the whole range."""
    rng = np.random.default_rng(k)
    matrix = np.full((k, k), (1 - accuracy) / (k - 1))
    np.fill_diagonal(matrix, accuracy)
    p, moved = np.r_[0.1, np.full(k - 1, 0.9 / (k - 1))], np.full(k, 1 / k)
    inside, together, differences = [], [], []
    for seed in range(200):
        counts = np.stack([rng.multinomial(200, column) for column in matrix.T], 1)
        a, b = rng.multinomial(n, matrix @ p), rng.multinomial(n, matrix @ moved)
        one, two = corrected_shares(a, counts, 1000, seed), share_difference(a, b, counts, 1000, seed)
        inside.append((one.intervals[:, 0] <= p) & (p <= one.intervals[:, 1]))
        together.append(((one.simultaneous[:, 0] <= p) & (p <= one.simultaneous[:, 1])).all())
        differences.append((two.intervals[:, 0] <= moved - p) & (moved - p <= two.intervals[:, 1]))
    assert 0.92 < np.mean(inside) < 0.98 and 0.88 < np.mean(together) < 0.99 and 0.91 < np.mean(differences) < 0.98


def test_a_difference_shares_the_matrix():
    """Two models counted alike: an uncertain matrix moves both, so the difference knows more than its parts."""
    few = np.array([[27, 3], [3, 27]])
    a, b = [5000, 5000], [5400, 4600]
    found = share_difference(a, b, few)
    apart = corrected_shares(b, few, seed=1).draws - corrected_shares(a, few, seed=2).draws
    width = np.ptp(found.intervals[0])
    assert width < 0.6 * np.ptp(np.quantile(apart[:, 0], [0.025, 0.975]))
    assert found.shares[0] == pytest.approx(0.04 / 0.8, abs=1e-9)
    np.testing.assert_allclose(share_difference(b, a, few).shares, -found.shares, atol=1e-12)
    assert found.intervals[0, 0] > 0


def test_simultaneous_intervals_hold_the_single_ones():
    found = corrected_shares([50, 100, 400, 450], 180 * np.eye(4) + 6)
    assert (found.simultaneous[:, 0] <= found.intervals[:, 0]).all() and (found.simultaneous[:, 1] >= found.intervals[:, 1]).all()
    within = ((found.draws >= found.simultaneous[:, 0]) & (found.draws <= found.simultaneous[:, 1])).all(1)
    assert within.mean() == pytest.approx(0.95, abs=0.01)


def test_on_the_edge_shares_stay_shares():
    found = corrected_shares([1, 999], BINARY)
    assert found.shares[0] == 0 and found.intervals[0, 0] == 0 and found.intervals.max() <= 1
    never = corrected_shares([0, 400, 600], 190 * np.eye(3) + 5)  # a value that is never predicted
    least = 1 - 0.025 ** (1 / 1000)  # a value of this share is missed by 1,000 samples in one case of forty
    assert never.shares[0] == never.intervals[0, 0] == 0 and never.intervals[0, 1] == pytest.approx(least)
    same = share_difference([0, 400, 600], [0, 500, 500], 190 * np.eye(3) + 5)
    np.testing.assert_allclose(same.intervals[0], [-least, least])


def test_the_same_seed_gives_the_same_draws():
    one, two, other = (corrected_shares([40, 60], BINARY, draws=50, seed=seed).draws for seed in (3, 3, 4))
    assert (one == two).all() and (one != other).any()


@pytest.mark.parametrize(
    ("predicted", "confusion", "words"),
    [
        ([40, 60], [[19, 2], [0, 48]], "1 more of value 0"),
        ([40, 60], [[0, 0], [0, 50]], "20 more of value 0"),
        ([40, 60], [[55, 45], [45, 55]], "not measurable"),
        ([40, 60], [[0.9, 0.1], [0.1, 0.9]], "labelled images"),
        ([40, 60], 50 * np.eye(3), "same two or more values"),
        ([40, -1], BINARY, "not a count"),
        ([0, 0], BINARY, "no image"),
        ([np.nan, 1], BINARY, "not a count"),
    ],
)
def test_what_cannot_be_measured_is_refused(predicted, confusion, words):
    with pytest.raises(UserInputError, match=words):
        corrected_shares(predicted, confusion)
    with pytest.raises(UserInputError):
        share_difference(predicted, predicted, confusion)


def test_projection_is_the_nearest_point_of_the_simplex():
    """Against a fine grid of the simplex in three dimensions."""
    steps = 120
    grid = np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]) / steps
    points = np.random.default_rng(0).normal(0.3, 0.5, (40, 3))
    points += ((1 - points.sum(1)) / 3)[:, None]
    for point, found in zip(points, project(points), strict=True):
        assert found.min() >= 0 and found.sum() == pytest.approx(1)
        assert np.linalg.norm(found - point) <= np.linalg.norm(grid - point, axis=1).min() + 1e-9


def test_power_is_the_documented_table():
    """80 % power, two-sided 5 %, 1,000 samples: 28 points with 25 references, 20 with 50, 15 with 100, 11 with 200, 8 with 400."""
    found = [round(100 * smallest_difference(1000, n)) for n in (25, 50, 100, 200, 400)]
    assert found == [28, 20, 15, 11, 8]
    rng, shift = np.random.default_rng(0), smallest_difference(1000, 100)
    a, b = rng.binomial(1000, 0.5 - shift / 2, 4000) / 1000, rng.binomial(100, 0.5 + shift / 2, 4000) / 100
    z = (b - a) / np.sqrt(a * (1 - a) / 1000 + b * (1 - b) / 100)
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.04)
