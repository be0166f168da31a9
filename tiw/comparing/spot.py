"""The spot check: a person labels some samples, and the shares computed from these labels stand beside the corrected ones."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ..errors import UserInputError
from ..streams import stream

FEWEST_A_STRATUM = 2
NORMAL = NormalDist()


def draw_strata(predicted: np.ndarray, size: int, seed: int = 0) -> np.ndarray:
    """Rows to label, int [size] in random order: of each predicted value (codes [N]) in its share, but at least two where there are two."""
    rng = stream(seed, "spot check")
    values, counts = np.unique(predicted, return_counts=True)
    share = min(size, counts.sum()) * counts / counts.sum()
    least = np.minimum(FEWEST_A_STRATUM, counts)
    wanted = np.maximum(least, np.floor(share).astype(int))
    while left := round(share.sum()) - wanted.sum():  # rounding, and strata that got more than their share
        step = np.sign(left)
        wanted[np.argmax(np.where((step > 0) | (wanted > least), step * (share - wanted), -np.inf))] += step
    rows = [rng.permutation(np.flatnonzero(predicted == value))[:n] for value, n in zip(values, wanted, strict=True)]
    return rng.permutation(np.concatenate(rows))


@dataclass(frozen=True)
class PostStratified:
    """Shares [K] of true values and their 95 % intervals [K, 2], from n labelled samples."""

    shares: np.ndarray
    intervals: np.ndarray
    n: int

    def disagrees(self, shares: np.ndarray, intervals: np.ndarray, tested: int = 0) -> np.ndarray:
        """Where other estimates of the same shares [K] with 95 % intervals [K, 2] differ from these by more than chance, bool [K].

        Both errors are taken as independent and normal; Bonferroni's correction holds over `tested` shares (0: all K), at 5 % together.
        """
        return np.abs(self.shares - shares) > NORMAL.inv_cdf(1 - 0.025 / (tested or len(shares))) * self._deviation(intervals)

    def smallest(self, intervals: np.ndarray, tested: int = 0) -> float:
        """The disagreement, in [0, 1], that `disagrees` would see in four checks of five, for the share that is known worst."""
        reach = NORMAL.inv_cdf(1 - 0.025 / (tested or len(intervals))) + NORMAL.inv_cdf(0.8)
        return float(min(1.0, reach * self._deviation(intervals).max()))

    def _deviation(self, intervals: np.ndarray) -> np.ndarray:
        """Standard deviation of the difference from estimates with these intervals, [K]."""
        return np.hypot(*(np.ptp(found, axis=1) / (2 * 1.96) for found in (self.intervals, intervals)))


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
