"""The simulated audit against what theory says of it."""

import numpy as np

from tiw.auditing.power import power
from tiw.ratio.diagnostics import above_chance, auc_delong


def test_more_references_show_smaller_shifts():
    few, many = power(50, 4000), power(1600, 4000)
    assert many.smallest is not None and (few.smallest is None or few.smallest > many.smallest)
    for found in (few, many):
        probabilities = [s.probability for s in found.curve]
        assert probabilities[-1] >= probabilities[0]
        assert all(low - 1e-9 <= s.probability <= high + 1e-9 for s in found.curve for low, high in [s.interval])


def test_no_shift_is_seen_as_often_as_chance_has_it(monkeypatch):
    """Without a shift an audit says that the sets differ in 2.5 % of cases (13 of 500 within three standard errors), not more."""
    monkeypatch.setattr("tiw.auditing.power.SHIFTS", (0.0,))
    monkeypatch.setattr("tiw.auditing.power.SIMULATIONS", 500)
    assert 0.005 <= power(77, 1000).curve[0].probability <= 0.046


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


def test_the_audit_itself_sees_what_is_promised():
    """A real cross-fit on images with the promised shift finds it, on most of five seeds."""
    import torch

    from tiw.ratio.estimators import fit_convex
    from tiw.ratio.features import RatioConfig, RatioFeatures

    promised = power(200, 1000).smallest
    seen = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)

        def draw(n, share, rng=rng):
            x = rng.standard_normal((n, 36)).astype(np.float32)
            x[:, 0] += 4 * (rng.random(n) < share)
            return torch.from_numpy(x)

        data = RatioFeatures(np.arange(1000), draw(1000, 0.5)[None], draw(200, 0.5 + promised)[None, None], 1000)
        found = fit_convex(data, np.arange(1000) % 5, np.arange(200) % 5, RatioConfig(sigmas=(1.0,), components=36))
        seen += above_chance(auc_delong(found.biased[0], found.reference[0]))
    assert seen >= 3
