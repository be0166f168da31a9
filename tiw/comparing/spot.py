"""The spot check: a person labels some samples, and shares that rest on these labels stand beside the corrected ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UserInputError

FEWEST_A_STRATUM = 2


def draw_strata(predicted: np.ndarray, size: int, seed: int = 0) -> np.ndarray:
    """Rows to label, int [size] in random order: of each predicted value (codes [N]) in its share, but at least two where there are two."""
    rng = np.random.default_rng([seed, 71])
    values, counts = np.unique(predicted, return_counts=True)
    wanted = np.maximum(np.minimum(FEWEST_A_STRATUM, counts), np.floor(size * counts / counts.sum()).astype(int))
    rows = [rng.permutation(np.flatnonzero(predicted == value))[:n] for value, n in zip(values, wanted, strict=True)]
    return rng.permutation(np.concatenate(rows))


@dataclass(frozen=True)
class PostStratified:
    """Shares [K] of true values and their 95 % intervals [K, 2], from n labelled samples."""

    shares: np.ndarray
    intervals: np.ndarray
    n: int

    def disagrees(self, intervals: np.ndarray) -> np.ndarray:
        """Where these intervals and the corrected ones [K, 2] have nothing in common, bool [K]."""
        return (self.intervals[:, 1] < intervals[:, 0]) | (self.intervals[:, 0] > intervals[:, 1])


def post_stratified(predicted: np.ndarray, rows: np.ndarray, labels: np.ndarray, values: int) -> PostStratified:
    """Shares of all samples from labels of some: predicted codes [N] of all, `rows` [n] that were labelled, their true codes `labels` [n].

    The mean over predicted values of the labelled shares, weighted by how often each value was predicted (Cochran 1977, section 5A.9; with
    the predictions as strata this is stratified prediction-powered inference). A stratum's variance has one pseudo-label of each value, so
    that one without a mistake still has an error. Raises UserInputError where a predicted value has no labelled sample.
    """
    strata, counts = np.unique(predicted, return_counts=True)
    shares, variance = np.zeros(values), np.zeros(values)
    for stratum, count in zip(strata, counts, strict=True):
        own = labels[predicted[rows] == stratum]
        if not len(own):
            found = f"none of the samples that the classifier calls value {stratum} is labelled"
            raise UserInputError("labels", found, f"label at least {FEWEST_A_STRATUM} of each")
        weight, seen = count / len(predicted), np.bincount(own, minlength=values)
        smooth = (seen + 1 / values) / (len(own) + 1)
        shares += weight * seen / len(own)
        variance += weight**2 * smooth * (1 - smooth) / len(own)
    half = 1.96 * np.sqrt(variance)
    return PostStratified(shares, np.clip(np.c_[shares - half, shares + half], 0, 1), len(rows))
