"""The strength: a projection in closed form."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tiw.strength import FADE, Estimate, StrengthMatch, _nearest

Q, FOLDS = 12, 5
FADED = np.exp(-np.arange(Q) / FADE)


def ratio_of(rng: np.random.Generator, delta: np.ndarray, n: int) -> SimpleNamespace:
    """All of a ratio that the projection reads: the biased set at the origin, n references N(delta, I)."""
    folds = torch.arange(n) % FOLDS
    references = torch.from_numpy(delta + rng.standard_normal((n, Q)))
    return SimpleNamespace(gap_reference=references, gap_biased=torch.zeros(FOLDS, Q), folds=folds)


def moved_by(rng: np.random.Generator, step: np.ndarray) -> list[np.ndarray]:
    """What guidance adds to 40 samples of each fold: `step` on average."""
    return [step + 0.7 * rng.standard_normal((40, Q)) for _ in range(FOLDS)]


@pytest.mark.parametrize("astray", [0.0, 0.6])
def test_the_nearest_point_of_a_line_is_the_projection_however_few_the_references(astray):
    """Movement in the right direction wants 1 over its size; movement astray shortens it by <m, delta> / <m, m>. No bias from noise."""
    delta, step = np.zeros(Q), np.zeros(Q)
    delta[:2], step[:2], step[5] = 0.6, 0.4, astray
    truth = (FADED * step * delta).sum() / (FADED * step * step).sum()
    rng = np.random.default_rng(0)
    found = [_nearest(ratio_of(rng, delta, 50), moved_by(rng, step), seed) for seed in range(40)]
    values = np.array([value for value, _ in found])
    assert abs(values.mean() / truth - 1) < 3 * values.std() / truth / len(values) ** 0.5 + 0.02
    covered = np.mean([low <= truth <= high for _, (low, high) in found])
    assert 0.8 <= covered <= 1.0


def test_without_movement_or_towards_the_other_side_the_strength_is_nought():
    rng, delta = np.random.default_rng(1), np.eye(Q)[0]
    assert _nearest(ratio_of(rng, delta, 200), [np.zeros((10, Q))] * FOLDS, 0)[0] == 0.0
    assert _nearest(ratio_of(rng, delta, 200), moved_by(rng, -delta), 0)[0] < 0  # clipped to nought by match_strength


def test_the_gap_is_closed_at_the_matched_strength_and_open_at_the_baseline():
    match = StrengthMatch(1.8, None, ((0.0, 0.05), (1.5, 0.95)))
    at_matched = 0.05 + 0.9 * 1.8 / 1.5
    for reading, closed in ((0.05, 0.0), (at_matched, 1.0), ((0.05 + at_matched) / 2, 0.5)):
        found = match.closed(Estimate(reading, (reading - 0.1, reading + 0.1)))
        assert found.value == pytest.approx(closed)
        assert np.diff(found.interval) == pytest.approx(0.2 / (at_matched - 0.05))
    unlike = StrengthMatch(1.5, None, ((0.0, 0.4), (1.5, 1.1)))  # a baseline whose shares are not the biased set's is ahead already
    assert unlike.closed(Estimate(0.4, (0.3, 0.5))).value == pytest.approx(0.25 / 0.95)
