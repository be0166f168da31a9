"""A difference is claimed where there is one, nowhere else: the test over all levels, the slope, copies, too few images."""

import numpy as np
import pytest
import torch
from conftest import blobs
from scipy.stats import binom

from tiw.auditing.audit import audit
from tiw.auditing.verdict import differ, judge
from tiw.data import ImageSet, Problem
from tiw.errors import UserInputError
from tiw.intervals import Estimate
from tiw.ratio import difference
from tiw.ratio.density_ratio import fit_to_features
from tiw.ratio.diagnostics import auc_delong, diagnose
from tiw.ratio.difference import difference_test
from tiw.ratio.estimators import Fit, _calibrate
from tiw.ratio.features import PixelEncoder, RatioConfig, RatioFeatures, check_enough, ratio_features
from tiw.ratio.heads import ConvexHead

CONFIG = RatioConfig(sigmas=(0.1, 0.5, 2.0), components=20, biased_images=300, reference_draws=2)


def audited(biased, reference, config=CONFIG):
    features = ratio_features(biased, reference, PixelEncoder(), config)
    return audit(biased, reference, fit_to_features(features, PixelEncoder(), config), features=features)


@pytest.mark.parametrize("rows", [range(150), range(50)])
def test_a_set_against_itself_or_a_part_of_it_does_not_differ(rows):
    """Held out, cross-fitted scores of equal sets rank the wrong way round: AUC 0.12, and 0.88 once a negative slope turns them."""
    biased = blobs(150, 0.4, 0)
    found = audited(biased, biased.take(rows))
    assert found.verdict.level == "no-difference" and found.verdict.p_equal > 0.5
    assert all(level.auc.value < 0.65 for level in found.levels)
    assert f"{len(rows)} of the {len(rows)} reference images are in the biased set too." in found.verdict.reasons


def test_no_slope_turns_the_ranking_round():
    rng = np.random.default_rng(0)
    none = np.zeros(500, int)
    backwards = Fit(
        "convex",
        ConvexHead(torch.ones(1, 1, 3), torch.zeros(1, 1)),
        rng.normal(1, 1, (1, 500, 1)),  # biased images look like references
        rng.normal(-1, 1, (1, 500, 1)),
        none,
        none,
        {},
    )
    found = _calibrate(backwards)
    assert found.about["calibration_slopes"] == [0.0]
    assert auc_delong(found.biased[0], found.reference[0]).value == 0.5


def noisy(n_biased, n_reference, seed, shift=0.0, levels=4):
    """The same images at several levels, as in an audit: the levels hang together."""
    g = torch.Generator().manual_seed(seed)
    clean = torch.randn(n_biased + n_reference, 12, generator=g)
    clean[n_biased:, 0] += shift
    x = torch.stack([clean + level * torch.randn(clean.shape, generator=g) for level in range(levels)])
    return RatioFeatures(np.arange(n_biased), x[:, :n_biased], x[:, None, n_biased:], n_biased)


def test_equal_sets_get_small_p_values_as_rarely_as_they_should(monkeypatch):
    monkeypatch.setattr(difference, "PERMUTATIONS", 99)
    config = RatioConfig(sigmas=(1.0, 2.0, 3.0, 4.0), components=12)
    smallest = np.array([difference_test(noisy(50, 30, seed), config).min() for seed in range(200)])
    for error in (0.05, 0.2, 0.5):  # over all levels together, and exact: 99 draws and the sets themselves
        low, high = binom.ppf([0.001, 0.999], 200, error)
        assert low <= (smallest <= error).sum() <= high


def test_the_statistic_is_hotellings_with_its_ridge():
    """Against NumPy: d' (S + ridge)^-1 d of the standardised features themselves, where no component is left out. S is singular."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 5)) * [1, 2, 3, 4, 5]
    rows = np.concatenate([rows, rows[:, :1]], 1)  # the last feature is the first one again
    contrast = np.where(rng.permutation(40) < 15, 1 / 15, -1 / 25)
    z = (rows - rows.mean(0)) / rows.std(0, ddof=1)
    d, ridge = contrast @ z, difference.SOFTENING * 6
    truth = d @ np.linalg.solve(np.cov(z.T, bias=True) + ridge * np.eye(6), d)
    given = torch.tensor(rows, dtype=torch.float32), torch.tensor(contrast[None], dtype=torch.float32)
    found = difference._statistics(*given, RatioConfig(components=6))
    assert float(found) == pytest.approx(truth, rel=1e-4)


def test_a_shift_is_seen_at_the_levels_that_show_it():
    p = difference_test(noisy(200, 80, 0, shift=1.0, levels=8), RatioConfig(sigmas=tuple(range(1, 9)), components=12))
    assert p[0] == 1 / (difference.PERMUTATIONS + 1)
    assert p[:2].max() < 0.01 and p[3:].min() > 0.05  # the noise grows from level to level


def cross_fitted(rng, n_biased=300, n_reference=300):
    biased, reference = rng.standard_normal((n_biased, 10)), rng.standard_normal((n_reference, 10))
    fold_b, fold_r = np.arange(n_biased) % 5, np.arange(n_reference) % 5
    of_b, of_r = np.empty(n_biased), np.empty(n_reference)
    for k in range(5):
        direction = reference[fold_r != k].mean(0) - biased[fold_b != k].mean(0)
        of_b[fold_b == k], of_r[fold_r == k] = biased[fold_b == k] @ direction, reference[fold_r == k] @ direction
    return diagnose(1.0, of_b, of_r, 0.69)


def test_scores_alone_hold_the_error_over_eight_levels_together():
    """Independent levels, the worst case: at 2.5 % each, 18 % of audits would claim a difference."""
    rng = np.random.default_rng(0)
    claimed = sum(differ([cross_fitted(rng) for _ in range(8)], None) for _ in range(150))
    assert claimed <= binom.ppf(0.999, 150, 0.025)


def test_either_the_permuted_means_or_the_scores_can_show_a_difference():
    rng = np.random.default_rng(1)
    equal = [cross_fitted(rng) for _ in range(3)]
    assert not differ(equal, np.full(3, 0.3)) and differ(equal, np.array([0.3, 0.02, 0.2]))
    bent = diagnose(1.0, rng.normal(0, 1, 300), rng.normal(1, 1, 300), 0.6)
    assert differ([*equal, bent], np.full(4, 0.3)) and differ([*equal, bent], np.full(4, np.nan))


def problem(kind, count, name="reference"):
    return Problem(name, kind, count, (0,), "as found")


def test_copies_veto_a_verdict_or_qualify_it():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal(3000), 0.8 + rng.standard_normal(500)
    levels = [diagnose(1.0, 0.8 * x - 0.32, 0.8 * y - 0.32, 0.6)]
    p, sizes = np.array([0.001]), (3000, 500)
    assert judge(levels, p, (), sizes).level == "reliable"
    few = judge(levels, p, [problem("overlap", 20)], sizes)
    assert few.level == "reliable" and few.reasons[-1] == "20 of the 500 reference images are in the biased set too."
    for kind, name, count in (("overlap", "reference", 60), ("near", "reference", 60), ("duplicate", "biased", 400)):
        vetoed = judge(levels, p, [problem(kind, count, name)], sizes)
        assert vetoed.level == "unreliable" and vetoed.reliable_from is None and f"{count} of the" in vetoed.reasons[0]
    assert judge(levels, p, [problem("constant", 400)], sizes).level == "reliable"  # no copies


def test_copies_within_a_set_claim_no_difference():
    """Every reference image four times: to a test that takes them for independent, any draw of images differs from any other."""
    reference = blobs(20, 0.4, 1)
    found = audited(blobs(150, 0.4, 0), reference.take(np.repeat(np.arange(20), 4)))
    assert found.verdict.level in ("no-difference", "unreliable")
    assert any("60 of the 80 reference images are copies" in reason for reason in found.verdict.reasons)


def test_too_few_different_images_are_refused_before_any_work():
    class Never:
        device = torch.device("cpu")

        def features(self, xt, sigma):
            raise AssertionError("encoded before the images were counted")

    enough, copies = blobs(60, 0.5, 0), blobs(60, 0.5, 0).take([7] * 100)
    for field, biased, reference in (
        ("reference", enough, blobs(4, 0.5, 1)),
        ("reference", enough, copies),
        ("biased", copies, enough),
        ("biased", blobs(2, 0.5, 1), enough),
    ):
        with pytest.raises(UserInputError, match="give at least 10 different images") as refused:
            ratio_features(biased, reference, Never())
        assert refused.value.field == field
    with pytest.raises(UserInputError, match=r"120 different images.*fewer folds"):
        check_enough(enough, enough, 60)


def test_as_many_images_as_are_asked_for_give_a_result():
    found = audited(blobs(10, 0.5, 0), blobs(10, 0.5, 1), RatioConfig())
    assert all(np.isfinite([level.auc.value, level.mean_r.value, level.ece]).all() for level in found.levels)


@pytest.mark.filterwarnings("error")
def test_images_of_one_colour_give_a_result():
    grey = ImageSet(np.stack([np.full((16, 16, 3), k, np.uint8) for k in range(60)]))
    for biased, reference in ((blobs(60, 0.5, 0), grey), (grey, blobs(60, 0.5, 0))):
        assert audited(biased, reference).verdict.level != "no-difference"


def test_a_number_is_written_with_its_interval():
    assert Estimate(0.723, (0.69, 0.7549)).text() == "0.72 [0.69, 0.75]"
    assert Estimate(0.143, (0.1, 0.2)).percent() == "14 % [10, 20]" and Estimate(0.143, (0.1, 0.2)).percent(1) == "14.3 % [10.0, 20.0]"
