"""Can a density ratio be trusted? Numbers per noise level from held-out log ratios, both classes equally heavy (docs/METHOD.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from ..intervals import Estimate
from ..streams import stream

BINS = 10  # of the reliability curve, equally filled
HISTOGRAM_BINS = 48
BOOTSTRAP = 200
NEGLIGIBLE = 0.01  # a weight below this counts for nothing (the paper, Figure 2)


@dataclass(frozen=True)
class ReliabilityBin:
    """One point of a reliability curve."""

    predicted: float  # mean probability of being a reference image
    observed: float  # share of reference images, classes equally heavy
    n: int


@dataclass(frozen=True)
class LevelDiagnostics:
    """One noise level, held-out items only."""

    sigma: float
    auc: Estimate  # interval: DeLong et al. 1988
    cross_entropy: float  # nats; log 2 = 0.693 for a coin
    train_cross_entropy: float
    ece: float  # expected calibration error
    ece_by_chance: float  # what a perfectly calibrated ratio would show with this many reference images
    reliability: tuple[ReliabilityBin, ...]
    mean_r: Estimate  # over biased items; 1 for the true ratio
    mean_inverse_r: Estimate  # over reference items; 1 for the true ratio
    mean_w: float  # over the mixture q with share pi; 1 for the true weight
    effective_sample_size: float  # of the biased items under w, as a count
    effective_share: float  # the same as a share of the items
    largest_weight: float
    negligible_share: float  # biased items with w < 0.01
    gap_closed: Estimate | None = None  # of the mean features' way from biased to reference, by weights r; 1 for the true ratio


def diagnose(
    sigma: float, biased: np.ndarray, reference: np.ndarray, train_cross_entropy: float, reference_share: float = 0.0
) -> LevelDiagnostics:
    """Diagnostics of held-out log ratios: biased [n], reference [m]."""
    biased, reference = biased.astype(np.float64), reference.astype(np.float64)
    pi = reference_share

    def weight(log_r: np.ndarray) -> np.ndarray:
        return np.exp(log_r - np.logaddexp(np.log1p(-pi), np.log(pi) + log_r)) if pi else np.exp(log_r)

    w_biased, w_reference = weight(biased), weight(reference)
    ess = w_biased.sum() ** 2 / (w_biased**2).sum()
    curve = reliability(biased, reference)
    ece = sum(b.n * abs(b.predicted - b.observed) for b in curve) / sum(b.n for b in curve)
    return LevelDiagnostics(
        sigma=float(sigma),
        auc=auc_delong(biased, reference),
        cross_entropy=float(np.logaddexp(0, biased).mean() + np.logaddexp(0, -reference).mean()) / 2,
        train_cross_entropy=float(train_cross_entropy),
        ece=float(ece),
        # A bin of m / BINS reference images misses its share p by p (1 - p) sqrt(BINS / m) on a normal scale, on average 0.8 of that.
        ece_by_chance=float(0.8 * 0.25 * np.sqrt(BINS / len(reference))),
        reliability=curve,
        mean_r=_mean(np.exp(biased)),
        mean_inverse_r=_mean(np.exp(-reference)),
        mean_w=float((1 - pi) * w_biased.mean() + pi * w_reference.mean()),
        effective_sample_size=float(ess),
        effective_share=float(ess / len(biased)),
        largest_weight=float(w_biased.max()),
        negligible_share=float((w_biased < NEGLIGIBLE).mean()),
    )


def moment_check(
    biased: np.ndarray, reference: np.ndarray, log_ratio: np.ndarray, fold_b: np.ndarray, fold_r: np.ndarray, seed: int = 0
) -> Estimate | None:
    """How far weights r move the mean features of biased items [n, Q] to those of reference items [m, Q]: 0 not at all, 1 all the way.

    Along d_k = mean(reference_k) - mean(biased_-k), k a fold: the weights of fold k's biased items have seen none of it, and what is left
    of the way is measured by the other folds' references, so chance adds to neither (docs/METHOD.md). The interval resamples both sets.
    None where they do not show that the means differ at all.
    """
    rng, folds = stream(seed, "moment check"), range(fold_r.max() + 1)
    weight = np.exp(log_ratio.astype(np.float64))

    def means(x: np.ndarray, heavy: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted sums [R, K, Q] and total weights [R, K, 1] of each fold, for R rows of weights [R, n]."""
        own = [fold == k for k in folds]
        return np.stack([heavy[:, k] @ x[k] for k in own], 1), np.stack([heavy[:, k].sum(1, keepdims=True) for k in own], 1)

    def drawn(fold: np.ndarray) -> np.ndarray:
        """How often each row counts [1 + R, n]: once, then resampled within its fold."""
        times = np.ones((1 + BOOTSTRAP, len(fold)))
        for k in folds:
            n = int((fold == k).sum())
            times[1:, fold == k] = rng.multinomial(n, np.full(n, 1 / n), BOOTSTRAP)
        return times

    times = drawn(fold_b)
    (of_b, n_b), (of_w, n_w) = means(biased, times, fold_b), means(biased, times * weight, fold_b)
    of_r, n_r = means(reference, drawn(fold_r), fold_r)

    def others(total: np.ndarray, n: np.ndarray) -> np.ndarray:
        return (total.sum(1, keepdims=True) - total) / (n.sum(1, keepdims=True) - n)

    direction = of_r / n_r - others(of_b, n_b)
    moved = ((of_w / n_w - of_b / n_b) * direction).sum((1, 2))
    whole = ((others(of_r, n_r) - of_b / n_b) * direction).sum((1, 2))
    if np.quantile(whole[1:], 0.025) <= 0:
        return None
    shares = moved / whole
    low, high = np.quantile(shares[1:], [0.025, 0.975])
    return Estimate(float(shares[0]), (float(low), float(high)))


def _mean(x: np.ndarray) -> Estimate:
    half = norm.ppf(0.975) * x.std(ddof=1) / np.sqrt(len(x))
    return Estimate(float(x.mean()), (float(x.mean() - half), float(x.mean() + half)))


def auc_delong(negative: np.ndarray, positive: np.ndarray) -> Estimate:
    """Area under the ROC curve of scores [n] and [m] with DeLong's interval, from midranks (Sun & Xu 2014)."""
    m, n = len(positive), len(negative)
    ranks = rankdata(np.r_[positive, negative])
    auc = (ranks[:m].sum() / m - (m + 1) / 2) / n
    of_positive = (ranks[:m] - rankdata(positive)) / n  # share of negatives below each positive
    of_negative = 1 - (ranks[m:] - rankdata(negative)) / m
    variance = of_positive.var(ddof=1) / m + of_negative.var(ddof=1) / n
    half = norm.ppf(0.975) * np.sqrt(variance)
    return Estimate(float(auc), (float(max(0, auc - half)), float(min(1, auc + half))))


def above_chance(auc: Estimate, error: float = 0.025) -> bool:
    """Whether a cross-fitted AUC shows any difference at all. Of equal sets, at one level, it does so in a share of `error` of audits.

    Without a difference the folds' results hang together (what fold k's images say of fold j's, fold j's say of fold k's), which doubles
    the variance that DeLong's interval knows of. With a difference that matters, they do not.
    """
    deviation = (auc.value - auc.interval[0]) / norm.ppf(0.975)
    return auc.value - 0.5 > np.sqrt(2) * norm.isf(error) * deviation


def reliability(biased: np.ndarray, reference: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """Reliability curve of d = sigmoid(log r) from log r [n] and [m], in equally filled bins, both classes equally heavy."""
    logit = np.r_[biased, reference]
    label = np.r_[np.zeros(len(biased)), np.ones(len(reference))]
    heavy = np.where(label == 1, 0.5 / len(reference), 0.5 / len(biased))
    order = np.argsort(logit, kind="stable")
    share = np.cumsum(heavy[order]) - heavy[order] / 2
    bins = []
    for k in range(BINS):
        rows = order[(share >= k / BINS) & (share < (k + 1) / BINS)]
        if len(rows):
            h = heavy[rows] / heavy[rows].sum()
            bins.append(ReliabilityBin(float(h @ (1 / (1 + np.exp(-logit[rows])))), float(h @ label[rows]), len(rows)))
    return tuple(bins)


def histograms(biased: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges [bins + 1] shared by all levels over a robust range, and densities [L, bins] of both sets; the tails fall into the end bins."""
    low, high = np.quantile(np.r_[biased.ravel(), reference.ravel()], [0.002, 0.998])
    low, high = np.floor(low * 4) / 4, np.ceil(high * 4) / 4
    edges = np.linspace(low - (low == high), high + (low == high), HISTOGRAM_BINS + 1)

    def density(rows: np.ndarray) -> np.ndarray:
        return np.stack([np.histogram(row.clip(edges[0], edges[-1]), edges, density=True)[0] for row in rows])

    return edges, density(biased), density(reference)
