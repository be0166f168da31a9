"""The spot check against simulated samples whose true values are known."""

import numpy as np
import pytest

from tiw.comparing.spot import draw_strata, post_stratified
from tiw.errors import UserInputError


def samples(seed, n=1000):
    rng = np.random.default_rng(seed)
    true = (rng.random(n) < 0.2).astype(int)
    wrong = rng.random(n) < np.where(true == 1, 0.35, 0.05)  # a recall that no labelled image would have told
    return true, np.where(wrong, 1 - true, true)


def test_strata_are_drawn_in_their_shares_and_none_is_left_out():
    predicted = np.r_[np.zeros(900, int), np.ones(97, int), np.full(3, 2)]
    rows = draw_strata(predicted, 100)
    assert len(set(rows)) == len(rows) and np.bincount(predicted[rows]).tolist() == [90, 9, 2]
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


def test_a_disagreement_is_seen():
    true, predicted = samples(0)
    rows = draw_strata(predicted, 300)
    estimate = post_stratified(predicted, rows, true[rows], 2)
    assert estimate.disagrees(np.array([[0.95, 0.99], [0.01, 0.05]])).all()
    assert not estimate.disagrees(estimate.intervals).any()


def test_a_stratum_without_labels_is_a_sentence():
    with pytest.raises(UserInputError, match="calls value 1"):
        post_stratified(np.array([0, 0, 1]), np.array([0, 1]), np.array([0, 0]), 2)
