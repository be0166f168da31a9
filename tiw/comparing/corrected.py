"""Shares corrected for the errors of the classifier that counted them, with intervals that know both errors (docs/METHOD.md).

The counts of predicted values follow C p, where p are the true shares and C[i, j] = P(predicted i given true j). Solving for p is the
adjusted count of Rogan and Gladen (1978). Its error has two parts: few samples, and few labelled images behind C. Both are drawn from
their posteriors under Jeffreys-like priors, and the equation is solved for each draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from ..errors import UserInputError
from ..streams import stream

DRAWS = 2000
FEWEST_LABELS = 20  # labelled images of a value: below, its column of the confusion matrix is a guess
SMALLEST_SINGULAR = 0.25  # of the confusion matrix: below, errors of the counts grow more than fourfold


@dataclass(frozen=True)
class CorrectedShares:
    """True shares of K values, or differences between two models' shares. Intervals are 95 %."""

    shares: np.ndarray  # [K]
    intervals: np.ndarray  # [K, 2], each value for itself
    simultaneous: np.ndarray  # [K, 2], all K values at once
    draws: np.ndarray  # [S, K], from the distribution that the intervals are quantiles of


def corrected_shares(predicted: np.ndarray, confusion: np.ndarray, draws: int = DRAWS, seed: int = 0) -> CorrectedShares:
    """True shares behind the predicted counts.

    predicted: counts [K]. confusion: counts [K, K] of labelled images the classifier has not been trained on, row predicted, column true.
    Raises UserInputError where the counts are not whole numbers, a value has fewer than 20 labelled images, or the classifier confuses
    values so often that the shares cannot be measured.
    """
    predicted, confusion = _counts(predicted, confusion)
    rng = stream(seed, "corrected shares")
    drawn = _solved(_matrices(confusion, draws, rng), predicted, rng)
    return _summary(_point(predicted, confusion), drawn, 0.0, predicted.sum())


def share_difference(
    predicted_a: np.ndarray, predicted_b: np.ndarray, confusion: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> CorrectedShares:
    """True shares of model b less those of model a, both counted by one classifier: `.shares` holds the differences, in [-1, 1].

    Arguments and errors as for `corrected_shares`. Both use the same draws of the confusion matrix, since its error moves both.
    """
    predicted_a, confusion = _counts(predicted_a, confusion)
    predicted_b, _ = _counts(predicted_b, confusion)
    rng = stream(seed, "corrected difference")
    matrices = _matrices(confusion, draws, rng)
    drawn = _solved(matrices, predicted_b, rng) - _solved(matrices, predicted_a, rng)
    difference = _point(predicted_b, confusion) - _point(predicted_a, confusion)
    return _summary(difference, drawn, -1.0, min(predicted_a.sum(), predicted_b.sum()))


def smallest_difference(n_a: int, n_b: int, share: float = 0.5, power: float = 0.8) -> float:
    """Difference between two shares, in [0, 1], that samples of n_a and n_b show with this power at a two-sided 5 %; the classifier's
    errors come on top.

    The normal approximation (Fleiss, Levin and Paik 2003, section 4.2), with both variances at `share`.
    """
    reach = norm.ppf(0.975) + norm.ppf(power)
    return float(min(1.0, reach * np.sqrt(share * (1 - share) * (1 / n_a + 1 / n_b))))


def project(points: np.ndarray) -> np.ndarray:
    """Nearest points of the simplex to the rows of [S, K] (Duchi et al. 2008, Figure 1)."""
    falling = -np.sort(-points, axis=1)
    excess = (np.cumsum(falling, axis=1) - 1) / np.arange(1, points.shape[1] + 1)
    support = (falling > excess).sum(1)
    return np.maximum(points - excess[np.arange(len(points)), support - 1][:, None], 0)


def _counts(predicted: np.ndarray, confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as floats, checked."""
    predicted, confusion = np.asarray(predicted, float), np.asarray(confusion, float)
    k = len(predicted) if predicted.ndim == 1 else 0
    if k < 2 or confusion.shape != (k, k):
        found = f"predicted has the shape {list(predicted.shape)}, confusion {list(confusion.shape)}"
        raise UserInputError("confusion", found, "give counts [K] and [K, K] of the same two or more values")
    for field, counts in (("predicted", predicted), ("confusion", confusion)):
        if not np.isfinite(counts).all() or (counts < 0).any():
            raise UserInputError(field, "it holds a number that is not a count", "give counts, 0 or more")
    if predicted.sum() < 1:
        raise UserInputError("predicted", "it counts no image", "predict at least one image")
    labelled = confusion.sum(0)
    if labelled.min() < FEWEST_LABELS:
        few = int(labelled.argmin())
        found = f"value {few} of {k} has {labelled[few]:g} labelled images the classifier was not trained on"
        raise UserInputError("confusion", found, f"label at least {FEWEST_LABELS} images of each value: {_missing(labelled)}")
    smallest = np.linalg.svd(confusion / labelled, compute_uv=False)[-1]
    if smallest < SMALLEST_SINGULAR:
        found = f"the classifier confuses the values too often (smallest singular value {smallest:.2f}, needed {SMALLEST_SINGULAR})"
        fix = "the shares are not measurable with it: train it on at least 200 labelled images of each value, or merge values"
        raise UserInputError("confusion", found, fix)
    return predicted, confusion


def _missing(labelled: np.ndarray) -> str:
    return ", ".join(f"{FEWEST_LABELS - n:g} more of value {k}" for k, n in enumerate(labelled) if n < FEWEST_LABELS)


def _matrices(confusion: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Confusion matrices [S, K, K]: each column from the Dirichlet posterior of its counts."""
    gamma = rng.standard_gamma(np.broadcast_to(confusion + 1 / len(confusion), (draws, *confusion.shape)))
    return gamma / gamma.sum(1, keepdims=True)


def _solved(matrices: np.ndarray, predicted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """True shares [S, K], one draw of the predicted shares for each matrix."""
    gamma = rng.standard_gamma(np.broadcast_to(predicted + 1 / len(predicted), (len(matrices), len(predicted))))
    observed = gamma / gamma.sum(1, keepdims=True)
    return project(np.linalg.solve(matrices, observed[..., None])[..., 0])


def _point(predicted: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    """The counts' own solution, [K]: no prior pulls at it."""
    return project(np.linalg.solve(confusion / confusion.sum(0), predicted / predicted.sum())[None])[0]


def _summary(shares: np.ndarray, drawn: np.ndarray, lowest: float, n: float) -> CorrectedShares:
    """Intervals from draws [S, K]. The simultaneous ones leave out the 5 % of draws that lie farthest out, in ranks, in any of the values
    (the max-t interval without its assumption of symmetry; Besag et al. 1995, section 6.3)."""
    below, above = (rankdata(x, method="max", axis=0) for x in (drawn, -drawn))  # draws on the simplex's edge tie, and lie not far out
    tail = (np.minimum(below, above).min(1) - 1) / (len(drawn) - 1)  # how far out each draw's farthest value lies
    level = min(0.025, float(np.quantile(tail, 0.05)))
    return CorrectedShares(shares, *(_interval(shares, drawn, at, lowest, n) for at in (0.025, level)), drawn)


def _interval(shares: np.ndarray, drawn: np.ndarray, level: float, lowest: float, n: float) -> np.ndarray:
    """From the quantile `level` to 1 - level of the draws, [K, 2], with the estimate inside.

    Where fewer images are given a value than the classifier's errors alone would give it, every draw ends on the edge. But n images cannot
    rule out what they miss with probability 0.025: a share of 1 - 0.025^(1/n).
    """
    low, high = np.quantile(drawn, [level, 1 - level], axis=0)
    least = 1 - 0.025 ** (1 / n)
    narrow = np.where(high - low < least, least, 0)
    bounds = np.c_[np.minimum(low, shares - narrow), np.maximum(high, shares + narrow)]
    return np.clip(bounds, lowest, 1)
