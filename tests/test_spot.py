"""The spot check against simulated samples whose true values are known."""

import numpy as np
import pytest

from tiw.comparing.corrected import corrected_shares
from tiw.comparing.spot import PostStratified, draw_strata, post_stratified
from tiw.errors import UserInputError


def samples(seed, n=1000):
    rng = np.random.default_rng(seed)
    true = (rng.random(n) < 0.2).astype(int)
    wrong = rng.random(n) < np.where(true == 1, 0.35, 0.05)  # a recall that no labelled image would have told
    return true, np.where(wrong, 1 - true, true)


def test_strata_are_drawn_in_their_shares_and_none_is_left_out():
    predicted = np.r_[np.zeros(900, int), np.ones(97, int), np.full(3, 2)]
    rows = draw_strata(predicted, 100)
    assert len(set(rows)) == len(rows) and np.bincount(predicted[rows]).tolist() == [89, 9, 2]
    assert (
        all(len(draw_strata(predicted, size)) == size for size in (100, 117, 200, 999, 1000)) and len(draw_strata(predicted, 2000)) == 1000
    )
    assert (draw_strata(predicted, 100) == rows).all() and (draw_strata(predicted, 100, seed=1) != rows).any()


def test_intervals_hold_the_truth_where_the_classifiers_errors_do_not_transfer():
    hits, found = 0, []
    for seed in range(300):
        true, predicted = samples(seed)
        rows = draw_strata(predicted, 200, seed)
        estimate = post_stratified(predicted, rows, true[rows], 2)
        low, high = estimate.intervals[1]
        hits += low <= 0.2 <= high
        found.append(estimate.shares[1])
    assert 0.91 <= hits / 300 <= 0.99 and np.mean(found) == pytest.approx(0.2, abs=0.005)
    assert estimate.shares.sum() == pytest.approx(1) and estimate.n == len(rows)


def checks(seed, recall):
    """(post-stratified shares of 1,000 samples from 200 labels, corrected shares of the same samples), true share 0.2. The classifier is
    right in 95 % and 65 % of the values on labelled images, and in 95 % and `recall` on the samples."""
    rng = np.random.default_rng(seed)
    true = (rng.random(1000) < 0.2).astype(int)
    predicted = np.where(rng.random(1000) < np.where(true == 1, 1 - recall, 0.05), 1 - true, true)
    wrong = rng.binomial(400, [0.05, 0.35])
    confusion = np.array([[400 - wrong[0], wrong[1]], [wrong[0], 400 - wrong[1]]])
    corrected = corrected_shares(np.bincount(predicted, minlength=2), confusion, draws=500, seed=seed)
    rows = draw_strata(predicted, 200, seed)
    return post_stratified(predicted, rows, true[rows], 2), corrected


def test_errors_that_transfer_are_rarely_called_a_disagreement_and_those_that_do_not_are_seen():
    alarms, seen = (
        np.mean([spot.disagrees(found.shares, found.intervals).any() for spot, found in (checks(seed, recall) for seed in range(150))])
        for recall in (0.65, 0.15)
    )
    assert alarms <= 0.07 and seen >= 0.9


def test_the_smallest_disagreement_is_seen_in_four_of_five():
    rng, halves = np.random.default_rng(0), np.array([[0.14, 0.26], [0.74, 0.86]])
    spot = PostStratified(np.array([0.2, 0.8]), halves, 200)
    away = spot.smallest(halves)
    error = np.hypot(0.06, 0.06) / 1.96 * rng.standard_normal(2000)
    hits = [spot.disagrees(spot.shares + np.array([1, -1]) * (away + e), halves).any() for e in error]
    assert np.mean(hits) == pytest.approx(0.8, abs=0.03)


def test_a_stratum_without_labels_is_a_sentence():
    with pytest.raises(UserInputError, match="calls value 1"):
        post_stratified(np.array([0, 0, 1]), np.array([0, 1]), np.array([0, 0]), 2)
