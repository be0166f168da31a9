"""The power of an audit against simulation and against the audit's own test."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from tiw.auditing.power import power
from tiw.auditing.verdict import ERROR_PERMUTED
from tiw.errors import UserInputError
from tiw.ratio.diagnostics import above_chance, auc_delong
from tiw.ratio.difference import difference_test
from tiw.ratio.features import RatioConfig, RatioFeatures


def test_more_references_show_smaller_shifts():
    few, many = power(50, 4000), power(1600, 4000)
    assert many.smallest is not None and (few.smallest is None or few.smallest > many.smallest)
    for found in (few, many):
        probabilities = [s.probability for s in found.curve]
        assert probabilities[-1] >= probabilities[0]
        assert all(low - 1e-9 <= s.probability <= high + 1e-9 for s in found.curve for low, high in [s.interval])


@pytest.mark.parametrize("share", [0.98, 0.99, 1.0, -0.1, float("nan")])
def test_a_share_with_no_room_for_a_shift_is_refused(share):
    with pytest.raises(UserInputError, match=r"share: it is .* from 0 to below 0.98"):
        power(100, 1000, share)
    assert [seen.shift for seen in power(100, 1000, 0.96).curve] == [0.02, 0.03] and power(100, 1000, 0.0).smallest is not None


def test_no_shift_is_seen_as_often_as_chance_has_it(monkeypatch):
    monkeypatch.setattr("tiw.auditing.power.SHIFTS", (0.0,))
    assert power(77, 1000).curve[0].probability == pytest.approx(ERROR_PERMUTED)


def test_the_curve_is_that_of_hotellings_statistic_on_drawn_features():
    """Features whitened by their known covariance, an attribute four standard deviations wide on the first of six directions."""
    rng, n_b, n_r, share, shift = np.random.default_rng(0), 500, 100, 0.5, 0.15
    seen, chance = 0, chi2.isf(ERROR_PERMUTED, 6)
    for _ in range(1000):
        means = []
        for n, p in ((n_b, share), (n_r, share + shift)):
            x = rng.standard_normal((n, 6))
            x[:, 0] += 4 * (rng.random(n) < p)
            means.append(x.mean(0))
        d = (means[1] - means[0]) / np.sqrt(np.r_[1 + 16 * share * (1 - share), np.ones(5)])
        seen += n_b * n_r / (n_b + n_r) * d @ d > chance
    promised = next(s for s in power(n_r, n_b, share).curve if s.shift == shift)
    assert seen / 1000 == pytest.approx(promised.probability, abs=0.05)


def test_equal_sets_are_said_to_differ_as_rarely_by_a_real_cross_fit():
    """The same on the discriminant itself: N(0, I) against N(0, I), where DeLong's interval alone would say so in 8 % of cases."""
    ours = delongs = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        biased, reference = rng.standard_normal((400, 10)), rng.standard_normal((60, 10))
        fold_b, fold_r = np.arange(400) % 5, np.arange(60) % 5
        of_b, of_r = np.empty(400), np.empty(60)
        for k in range(5):
            direction = reference[fold_r != k].mean(0) - biased[fold_b != k].mean(0)
            of_b[fold_b == k], of_r[fold_r == k] = biased[fold_b == k] @ direction, reference[fold_r == k] @ direction
        auc = auc_delong(of_b, of_r)
        ours, delongs = ours + above_chance(auc), delongs + (auc.interval[0] > 0.5)
    assert ours <= 16 < delongs


def test_the_audit_itself_sees_what_is_promised(monkeypatch):
    """The audit's own test on images with the promised shift finds it, on most of five seeds."""
    monkeypatch.setattr("tiw.ratio.difference.PERMUTATIONS", 199)
    promised, seen = power(200, 1000).smallest, 0
    for seed in range(5):
        rng = np.random.default_rng(seed)

        def draw(n, share, rng=rng):
            x = rng.standard_normal((n, 36)).astype(np.float32)
            x[:, 0] += 4 * (rng.random(n) < share)
            return torch.from_numpy(x)

        data = RatioFeatures(np.arange(1000), draw(1000, 0.5)[None], draw(200, 0.5 + promised)[None, None], 1000)
        seen += difference_test(data, RatioConfig(sigmas=(1.0,), components=36)).min() <= ERROR_PERMUTED
    assert seen >= 3
