"""What lags: by simulation with known shares, where a group is left at half of its share, and where none is."""

import numpy as np
import pytest

from tiw.debiasing import lagging as module
from tiw.debiasing.lagging import Directions, holm, lagging, measure_lagging, parts
from tiw.debiasing.strength import in_gap_components
from tiw.ratio.density_ratio import fit_density_ratio
from tiw.ratio.features import RatioConfig

BIASED, EVEN = np.array([0.70, 0.15, 0.10, 0.05]), np.full(4, 0.25)
Q = 40
RUNS = 30


def world(seed):
    """A draw of n images by their shares: two attributes along two directions, two nuisances that vary more, and noise."""
    rng = np.random.default_rng([seed, 7])
    along = np.linalg.qr(rng.normal(size=(Q, 4)))[0].T

    def draw(n, shares):
        group = rng.choice(4, n, p=np.array(shares) / np.sum(shares))
        places = 4 * np.stack([group // 2, group % 2, rng.integers(0, 2, n), rng.integers(0, 3, n)]) - 2
        return rng.normal(size=(n, Q)) + places.T @ along, group

    return rng, draw


def found(seed, shares, painting=(1, 1, 1, 1)):
    rng, draw = world(seed)
    biased, group = draw(1000, BIASED)
    sets = [draw(n, s)[0] for n, s in ((480, shares * np.array(painting)), (400, EVEN), (480, BIASED * np.array(painting)))]
    whiten = np.linalg.inv(np.linalg.cholesky(np.cov(biased.T))).T
    samples, reference, baseline, biased = ((x - biased.mean(0)) @ whiten for x in (*sets, biased))
    log_ratio = np.log(EVEN / BIASED)[group] + 0.3 * rng.normal(size=len(group))  # a ratio is never exact
    return lagging(samples, reference, baseline, biased, log_ratio)


def named(shares, **more):
    return [found(seed, np.array(shares), **more) for seed in range(RUNS)]


def test_a_group_at_half_of_its_share_is_named():
    runs = named([0.29, 0.29, 0.125, 0.295])
    seen = [run for run in runs if run.lagging]
    assert len(seen) >= 0.6 * RUNS
    for run in seen:
        first = run.lagging[0]
        assert first.part.value < 0.8 and first.samples.value < first.reference.value and first.p <= 0.05
        assert first.sentence in run.sentence and "lag" in run.sentence and run.to_json()["lagging"][0] == first.group


def test_nothing_is_named_where_the_shares_are_right():
    """At most one run in twenty may: 5 of 30 or more would come by chance in one of 65 such tests at that rate."""
    runs = named(EVEN)
    assert sum(bool(run.lagging) for run in runs) < 5
    assert "None of 4 groups" in next(run for run in runs if not run.lagging).sentence


def test_the_exemplars_are_references_of_the_group():
    run = found(1, EVEN)
    rows = [row for group in run.groups for row in group.reference_rows]
    assert len(rows) == len(set(rows)) == 8 * len(run.groups) and max(rows) < 400
    assert sum(group.reference.value for group in run.groups) == pytest.approx(1)
    assert sum(group.samples.value for group in run.groups) == pytest.approx(1)


def test_the_directions_are_those_of_the_ratio():
    """Only the first two coordinates move the ratio, though the third varies far more: the basis ignores it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 6)) * [1, 1, 9, 1, 1, 1]
    basis = Directions.of(x, 2 * x[:, 0] + x[:, 1]).basis
    first = basis[:, 0] * [1, 1, 9, 1, 1, 1]
    first /= np.linalg.norm(first)
    assert abs(first @ np.array([2, 1, 0, 0, 0, 0]) / 5**0.5) > 0.98


def test_parts_against_their_delta_method_by_simulation():
    """The spread of the log part over 4,000 draws is the one given, and painting that both models share drops out as the prior lets it."""
    rng = np.random.default_rng(0)
    draws = {"samples": (480, [0.2, 0.8]), "reference": (400, [0.4, 0.6]), "baseline": (10**7, [0.3, 0.7]), "biased": (10**7, [0.3, 0.7])}
    values, spreads = zip(*(parts(**{k: rng.multinomial(n, s) for k, (n, s) in draws.items()}) for _ in range(4000)), strict=True)
    np.testing.assert_allclose(np.mean(values, 0), np.log([0.5, 4 / 3]), atol=0.01)
    np.testing.assert_allclose(np.std(values, 0), np.mean(spreads, 0), rtol=0.05)
    painted = parts(np.array([1000, 9000]), np.array([2000, 8000]), np.array([10**6, 9 * 10**6]), np.array([2 * 10**6, 8 * 10**6]))
    assert abs(painted[0][0]) < 0.01  # both halve the first group's share: it is the painting, not the debiasing


def test_holm_against_a_worked_example():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_of_a_set_that_is_sorted_by_class_the_whole_is_looked_at(blob_sets, tiny_denoiser, monkeypatch):
    """Its first half was, in which there may be one class alone."""
    biased = blob_sets[0].take(np.argsort(blob_sets[0].attributes["light"] == "bright", kind="stable"))
    config = RatioConfig(sigmas=(0.1, 0.3), folds=2, components=10, biased_images=200, reference_draws=1)
    ratio, seen = fit_density_ratio(biased, blob_sets[1], tiny_denoiser, config), []
    monkeypatch.setattr(module, "BIASED", 100)

    def looked_at(ratio, images, *rest):
        seen.append(images)
        return in_gap_components(ratio, images, *rest)

    monkeypatch.setattr(module, "in_gap_components", looked_at)
    measure_lagging(tiny_denoiser, tiny_denoiser, ratio, biased)
    bright = (seen[2].mean((1, 2, 3)) > 130).mean()
    assert len(seen[2]) == 100 and 0.1 < bright < 0.3  # 20 % of the set


def test_the_whole_of_it_on_images(blob_sets, tiny_denoiser):
    config = RatioConfig(sigmas=(0.1, 0.3, 2.0), folds=3, components=10, biased_images=100, reference_draws=1)
    ratio, done = fit_density_ratio(*blob_sets, tiny_denoiser, config), []
    result = measure_lagging(tiny_denoiser, tiny_denoiser, ratio, blob_sets[0], on_batch=done.append)
    assert result.n == 30 and result.n_reference == 80 and done[-1] == 60 and done == sorted(done)
    again = measure_lagging(tiny_denoiser, tiny_denoiser, ratio, blob_sets[0])
    assert again == result
