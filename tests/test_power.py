"""The simulated audit against what theory says of it."""

from tiw.power import power


def test_more_references_show_smaller_shifts():
    few, many = power(50, 4000), power(1600, 4000)
    assert many.smallest is not None and (few.smallest is None or few.smallest > many.smallest)
    for found in (few, many):
        probabilities = [s.probability for s in found.curve]
        assert probabilities[-1] >= probabilities[0]
        assert all(low - 1e-9 <= s.probability <= high + 1e-9 for s in found.curve for low, high in [s.interval])


def test_no_shift_is_seen_as_often_as_chance_has_it(monkeypatch):
    """Without a shift a 95 % interval lies above a half in 2.5 % of audits; fewer still, since the direction found is a wrong one."""
    monkeypatch.setattr("tiw.power.SHIFTS", (0.0,))
    monkeypatch.setattr("tiw.power.SIMULATIONS", 400)
    assert power(77, 1000).curve[0].probability < 0.06


def test_the_audit_itself_sees_what_is_promised():
    """A real cross-fit on images with the promised shift finds it, on most of five seeds."""
    import numpy as np
    import torch

    from tiw.audit import diagnose
    from tiw.estimators import fit_convex
    from tiw.features import RatioConfig, RatioFeatures

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
        seen += diagnose(1.0, found.biased[0], found.reference[0], 0.6).auc.interval[0] > 0.5
    assert seen >= 3
