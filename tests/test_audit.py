"""Diagnostics on constructed log ratios: N(0, 1) against N(m, 1), where log r = m x - m^2 / 2 is exact."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from tiw.auditing.audit import audit
from tiw.auditing.verdict import judge
from tiw.data import ImageSet
from tiw.ratio.diagnostics import auc_delong, diagnose, histograms, moment_check, reliability
from tiw.ratio.features import RatioFeatures


def log_ratios(m, n_biased=4000, n_reference=1000, seed=0, sharpen=1.0):
    rng = np.random.default_rng(seed)
    return tuple(sharpen * (m * x - m**2 / 2) for x in (rng.normal(size=n_biased), m + rng.normal(size=n_reference)))


def levels(m=0.8, seed=0, train=None, **keywords):
    found = []
    for k, sigma in enumerate((0.03, 0.3, 3.0)):
        biased, reference = log_ratios(m, seed=seed + k, **keywords)
        cross_entropy = (np.logaddexp(0, biased).mean() + np.logaddexp(0, -reference).mean()) / 2
        found.append(diagnose(sigma, biased, reference, cross_entropy - 0.01 if train is None else train))
    return found


def test_numbers_are_those_of_the_closed_form():
    m = 0.8
    biased, reference = log_ratios(m, 200_000, 200_000)
    d = diagnose(1.0, biased, reference, 0.5)
    assert d.auc.value == pytest.approx(norm.cdf(m / np.sqrt(2)), abs=0.003)
    assert d.mean_r.value == pytest.approx(1, abs=0.02) and d.mean_inverse_r.value == pytest.approx(1, abs=0.02)
    assert d.effective_share == pytest.approx(np.exp(-(m**2)), abs=0.03)  # 1 / E[r^2]
    assert d.ece < 0.01
    half = diagnose(1.0, biased, reference, 0.5, reference_share=0.5)
    assert half.mean_w == pytest.approx(1, abs=0.01) and half.largest_weight <= 2


def test_auc_is_sklearns_and_its_interval_covers():
    biased, reference = log_ratios(0.5, 300, 80)
    label = np.r_[np.zeros(300), np.ones(80)]
    assert auc_delong(biased, reference).value == pytest.approx(roc_auc_score(label, np.r_[biased, reference]))
    truth = norm.cdf(0.5 / np.sqrt(2))
    covered = 0
    for seed in range(200):
        low, high = auc_delong(*log_ratios(0.5, 300, 80, seed)).interval
        covered += low <= truth <= high
    assert 0.9 <= covered / 200 <= 0.99


def test_the_reliability_curve_shows_over_confidence():
    sound = reliability(*log_ratios(0.8, 20_000, 20_000))
    assert max(abs(b.predicted - b.observed) for b in sound) < 0.03
    sharp = reliability(*log_ratios(0.8, 20_000, 20_000, sharpen=3.0))
    assert sharp[0].predicted < sharp[0].observed - 0.1 and sharp[-1].predicted > sharp[-1].observed + 0.1


def test_histograms_share_their_bins_and_are_densities():
    biased, reference = np.stack([log_ratios(0.8)[0], log_ratios(0.2)[0]]), np.stack([log_ratios(0.8)[1], log_ratios(0.2)[1]])
    edges, of_biased, of_reference = histograms(biased, reference)
    np.testing.assert_allclose((of_biased * np.diff(edges)).sum(1), 1)
    np.testing.assert_allclose((of_reference * np.diff(edges)).sum(1), 1)


def test_verdicts_on_constructed_cases():
    assert judge(levels()).level == "reliable"
    assert judge(levels(0.0, n_biased=500, n_reference=200)).level == "no-difference"
    memorised = judge(levels(0.8, sharpen=3.0, train=0.1))
    assert memorised.level == "unreliable" and "memorised" in memorised.sentence
    blind = judge(levels(0.0, n_biased=500, n_reference=200, train=0.1))  # by heart what it saw, a coin on what it did not
    assert blind.level == "unreliable" and "memorised" in blind.sentence and "A coin has 0.5" in blind.reasons[0]
    assert judge(levels(0.8, sharpen=4.0)).level == "unreliable"
    partly = judge([*levels(0.8, sharpen=4.0)[:1], *levels()[1:]])
    assert partly.level == "partly-reliable" and partly.reliable_from == 0.3 and "0.3" in partly.sentence


class Ratio:
    """What the audit reads of a ratio, with an exact log ratio of one attribute."""

    def __init__(self, biased, reference):
        self.sigmas, self.strength = np.array([0.1, 1.0]), 1.0
        self.scored = np.arange(0, len(biased), 2)
        self.folds = torch.arange(len(biased) + len(reference)) // 2 % 5
        truth = {"a": np.log(0.5 / 0.8), "b": np.log(0.5 / 0.2)}
        of = [np.array([truth[v] for v in s.attributes["kind"]]) for s in (biased.take(self.scored), reference)]
        self.log_ratio_biased, self.log_ratio_reference = (np.stack([x, x]).astype(np.float32) for x in of)
        self.train_cross_entropy, self.p_equal, self.about = np.array([0.6, 0.6]), None, {"estimator": "exact"}


def images(n, share, name):
    kind = np.where(np.arange(n) < share * n, "a", "b")
    return ImageSet(np.random.default_rng(0).integers(0, 256, (n, 4, 4, 3), dtype=np.uint8), pd.DataFrame({"kind": kind}), name)


def test_the_exact_ratio_brings_the_shares_to_the_references():
    biased, reference = images(1000, 0.8, "biased"), images(200, 0.5, "reference")
    result = audit(biased, reference, Ratio(biased, reference))
    share = {(s.value, s.set): s for s in result.shares}
    assert share["a", "biased"].share == 0.8 and share["a", "reference"].share == 0.5
    assert share["a", "reweighted"].share == pytest.approx(0.5, abs=1e-3)
    assert share["a", "reweighted"].n == pytest.approx(500 / (0.8 * 0.625**2 + 0.2 * 2.5**2), rel=1e-3)
    over = biased.attributes["kind"].iloc[result.over_represented]
    assert (over == "a").all() and (biased.attributes["kind"].iloc[result.under_represented] == "b").all()
    scores = result.scores()
    assert len(scores) == 700 and scores.loc[scores["set"] == "reference", "item"].min() == 1000
    assert len(result.to_json()["levels"]) == 2


def unlabelled():
    """Two blobs of features, 80 : 20 against 50 : 50: (the biased set with labels, both without, their exact ratio, their features)."""
    biased, reference = images(1000, 0.8, "biased"), images(200, 0.5, "reference")
    ratio = Ratio(biased, reference)
    rng = np.random.default_rng(0)

    def features(s):
        centre = np.where((s.attributes["kind"] == "a").to_numpy(), -5.0, 5.0)
        return torch.from_numpy((centre[:, None] + rng.normal(size=(len(s), 6))).astype(np.float32))

    seen = RatioFeatures(ratio.scored, features(biased.take(ratio.scored)).repeat(2, 1, 1), features(reference).repeat(2, 1, 1, 1), 1000)
    return biased, [ImageSet(s.images, None, s.name) for s in (biased, reference)], ratio, seen


def test_groups_stand_in_where_there_are_no_labels():
    """Two groups, numbered by size, with the shares of the blobs."""
    biased, bare, ratio, seen = unlabelled()
    result = audit(*bare, ratio, features=seen)
    assert [d.gap_closed.value for d in result.levels] == pytest.approx([1, 1], abs=0.15)  # the ratio is exact
    kinds = biased.attributes["kind"].to_numpy()[ratio.scored]
    for group in set(result.groups.biased):
        assert len(set(kinds[result.groups.biased == group])) == 1  # no group mixes the blobs
    reweighted = sum(
        s.share for s in result.shares if s.set == "reweighted" and set(kinds[result.groups.biased.astype(str) == s.value]) == {"a"}
    )
    assert reweighted == pytest.approx(0.5, abs=1e-3)
    assert sum(s.share for s in result.shares if s.set == "biased") == pytest.approx(1)
    assert (np.diff([np.sum(result.groups.biased == g) for g in sorted(set(result.groups.biased))]) <= 0).all()
    assert "group" in result.scores()
    for group, items in enumerate(result.groups.typical, 1):
        index = [i for i in items if i < 1000]
        assert (result.groups.biased[np.searchsorted(ratio.scored, index)] == group).all()


def test_the_moment_check_is_one_for_the_true_ratio_and_less_for_a_timid_one():
    """Two directions of ten differ between N(0, I) and N(d, I), whose log ratio is d x - d^2 / 2."""
    shift = np.r_[0.6, 0.4, np.zeros(8)]
    fold_b, fold_r = np.arange(2000) % 5, np.arange(400) % 5
    covered, found = 0, {1.0: [], 0.5: []}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        biased, reference = rng.normal(size=(2000, 10)), shift + rng.normal(size=(400, 10))
        log_ratio = biased @ shift - shift @ shift / 2
        for strength, values in found.items():
            check = moment_check(biased, reference, strength * log_ratio, fold_b, fold_r, seed)
            values.append(check.value)
            covered += check.interval[0] <= strength <= check.interval[1]
    assert np.mean(found[1.0]) == pytest.approx(1, abs=0.06) and np.mean(found[0.5]) == pytest.approx(0.5, abs=0.06)  # tilting moves by it
    assert covered >= 36
    noise = np.random.default_rng(0).normal(size=(100, 10))
    assert moment_check(biased, noise, np.zeros(2000), fold_b, np.arange(100) % 5) is None


def level_of(**changes):
    """A sound level with some of its numbers changed."""
    from dataclasses import replace

    from tiw.intervals import Estimate

    sound = levels()[0]
    made = {name: Estimate(*value) if isinstance(value, tuple) else value for name, value in changes.items()}
    return replace(sound, **made)


@pytest.mark.parametrize(
    ("just", "too_far", "said"),
    [
        # Just within each limit, and just beyond it. Chance explains a calibration error of up to ece_by_chance.
        ({"cross_entropy": 0.71, "train_cross_entropy": 0.70}, {"cross_entropy": 0.72, "train_cross_entropy": 0.70}, "worse than a coin"),
        ({"cross_entropy": 0.66, "train_cross_entropy": 0.57}, {"cross_entropy": 0.66, "train_cross_entropy": 0.55}, "memorised"),
        ({"ece": 0.059, "ece_by_chance": 0.02}, {"ece": 0.061, "ece_by_chance": 0.02}, "calibration error"),
        ({"mean_r": (1.5, (1.24, 1.8))}, {"mean_r": (1.5, (1.26, 1.8))}, "the mean of r over"),
        ({"mean_inverse_r": (0.6, (0.4, 0.76))}, {"mean_inverse_r": (0.6, (0.4, 0.74))}, "the mean of 1/r over"),
        ({"effective_share": 0.051}, {"effective_share": 0.049}, "4.9 % of the biased images"),
    ],
)
def test_each_limit_of_the_verdict_lies_where_it_is_said_to(just, too_far, said):
    assert judge([level_of(**just)], np.array([0.001])).level == "reliable"
    beyond = judge([level_of(**too_far)], np.array([0.001]))
    assert beyond.level == "unreliable" and any(said in reason for reason in beyond.reasons)


def test_memorising_is_told_from_a_hard_task_by_what_the_training_folds_reach():
    """Held out far worse than a coin, trained no better than one: over-confident, not memorised."""
    verdict = judge([level_of(cross_entropy=0.80, train_cross_entropy=0.65)], np.array([0.001]))
    assert "memorised" not in verdict.sentence and any("worse than a coin" in reason for reason in verdict.reasons)


def test_three_levels_are_explained_and_what_still_counts_is_in_hundreds():
    weak = [level_of(sigma=float(k), effective_share=0.01) for k in range(5)]
    assert len(judge(weak, np.full(5, 0.001)).reasons) == 4  # what was found, and three levels
    assert "At least 43 % of the biased images still count." in judge([level_of(effective_share=0.43)], np.array([0.001])).reasons


def test_an_interval_of_a_mean_is_students_for_many():
    rng = np.random.default_rng(0)
    biased, reference = rng.normal(0, 0.5, 400), rng.normal(0, 0.3, 90)
    d = diagnose(1.0, biased, reference, 0.6)
    for found, x in ((d.mean_r, np.exp(biased)), (d.mean_inverse_r, np.exp(-reference))):
        half = norm.ppf(0.975) * x.std(ddof=1) / np.sqrt(len(x))
        assert found.interval == pytest.approx((x.mean() - half, x.mean() + half))
    assert d.cross_entropy == pytest.approx((np.log1p(np.exp(biased)).mean() + np.log1p(np.exp(-reference)).mean()) / 2)
    assert d.negligible_share == 0
    assert diagnose(1.0, np.log(np.array([0.009, 0.011, 1.0, 2.0])), reference, 0.6).negligible_share == 0.25


def test_delongs_interval_is_that_of_its_definition():
    """DeLong et al. 1988: the variance of the placements of each set's members among the other's."""
    rng = np.random.default_rng(1)
    negative, positive = rng.normal(0, 1, 60), rng.normal(0.7, 1, 35)
    wins = (positive[:, None] > negative[None]) + 0.5 * (positive[:, None] == negative[None])
    variance = wins.mean(1).var(ddof=1) / 35 + wins.mean(0).var(ddof=1) / 60
    auc = auc_delong(negative, positive)
    assert auc.interval == pytest.approx(wins.mean() + norm.ppf(0.975) * np.sqrt(variance) * np.array([-1, 1]))


def test_chance_is_left_behind_at_the_error_asked_for():
    from tiw.intervals import Estimate
    from tiw.ratio.diagnostics import above_chance

    auc = Estimate(0.6, (0.6 - norm.ppf(0.975) * 0.03, 0.7))  # a standard deviation of 0.03, of 0.0424 without a difference
    limit = norm.sf(0.1 / (0.03 * np.sqrt(2)))
    assert above_chance(auc, limit * 1.01) and not above_chance(auc, limit * 0.99)
    assert not above_chance(Estimate(0.4, (0.39, 0.41)))


def test_bins_of_the_curve_weigh_both_sets_alike_and_edges_are_quarters():
    biased, reference = log_ratios(0.8, 5000, 50)
    sizes = [b.n for b in reliability(biased, reference)]
    assert len(sizes) == 10 and sum(sizes) == 5050
    shares = [(b.observed, b.predicted) for b in reliability(*log_ratios(0.8, 20_000, 500))]
    assert max(abs(o - p) for o, p in shares) < 0.12  # a twentieth as many references, and the classes still count alike
    edges, _, _ = histograms(np.array([[-1.13, 2.06] * 500]), np.array([[0.3] * 100]))
    assert edges[0] == -1.25 and edges[-1] == 2.25 and len(edges) == 49
    flat, density, _ = histograms(np.zeros((1, 50)), np.zeros((1, 20)))
    assert np.isfinite(density).all() and flat[0] < 0 < flat[-1]


def test_the_calibration_error_by_chance_is_that_of_a_perfect_ratio():
    """Unit normals 0.3 apart have log r = 0.3 x - 0.045. Their calibration error is chance alone, here over 60 draws of 400 references."""
    rng = np.random.default_rng(0)
    drawn = [(rng.normal(0, 1, 4000), rng.normal(0.3, 1, 400)) for _ in range(60)]
    found = [diagnose(1.0, 0.3 * biased - 0.045, 0.3 * reference - 0.045, 0.6) for biased, reference in drawn]
    assert np.mean([level.ece for level in found]) == pytest.approx(found[0].ece_by_chance, rel=0.15)
