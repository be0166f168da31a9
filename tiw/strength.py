"""How strong must the ratio be? Matched to the reference without any attribute label (docs/METHOD.md, "Strength").

The meter is the **gap closed**: how far the samples' mean features have moved from the biased set's (0) to the reference's (1).
A ratio's own mean logit will not do: guidance pushes samples along the ratio's errors too, so it reports success too early.
Instead the samples that fold k's ratio guides are measured against the reference images that fold k has not seen:
    gap = sum_k <mean(samples_k) - b_-k, d_k> / sum_k <mean(reference_-k) - b_-k, d_k>,   d_k = mean(reference_k) - b_k,
in whitened features, with b_k the mean of fold k's biased images and _-k all folds but k. The errors of fold k's ratio, and of every
mean on the left, are independent of d_k, so numerator and denominator are unbiased.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .data import ImageSet
from .denoiser import Denoiser
from .ratio import GAP_SIGMA, DensityRatio, features_at
from .sampling import sample

BOOTSTRAP = 500


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class StrengthMatch:
    """The strength at which the samples' mean features reach the reference's."""

    strength: float
    gap_closed: Estimate | None  # at that strength, as read off the last trial; None: the strength was given, not matched
    trials: tuple[tuple[float, float], ...] = ()  # (strength, gap closed) of each small preview


def gap_closed(ratio: DensityRatio, images: np.ndarray, seed: int = 0, folds: np.ndarray | None = None) -> Estimate:
    """Gap closed by samples uint8 [N,H,W,3]; the interval resamples samples, reference and biased images.

    `folds` [N] names the fold whose ratio guided each sample. Without it (samples of a model that all folds have steered) every
    sample is measured against every fold, which flatters a little: a progress meter, not a verdict.
    """
    level = ratio.sigmas[np.argmin(np.abs(np.log(ratio.sigmas / GAP_SIGMA)))]
    items = np.arange(len(images)) + (1 << 32)  # noise of their own, no item's
    features = features_at(ratio.denoiser, images, items, [level], seed)[0, 0].to(ratio.gap_map.device)
    found = (features @ ratio.gap_map).cpu().double().numpy()  # [N, Q]
    reference = ratio.gap_reference.cpu().double().numpy()  # [n, Q]
    biased = ratio.gap_biased.cpu().double().numpy()  # [K, Q]
    n_folds = len(biased)
    fold_of = ratio.folds.cpu().numpy()
    reference_rows = [np.flatnonzero(fold_of[-len(reference) :] == k) for k in range(n_folds)]
    biased_counts = np.bincount(fold_of[ratio.scored], minlength=n_folds)
    sample_rows = [np.arange(len(found)) if folds is None else np.flatnonzero(folds == k) for k in range(n_folds)]
    rng = np.random.default_rng(seed)

    def gap(resample: bool) -> float:
        def mean(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return x[rng.choice(rows, len(rows)) if resample else rows].mean(0)

        # The components are whitened: the error of a mean of m biased images is N(0, I / m).
        origin = biased + (rng.normal(size=biased.shape) / np.sqrt(biased_counts)[:, None] if resample else 0)
        references = np.stack([mean(reference, rows) for rows in reference_rows])
        samples = [mean(found, rows) for rows in sample_rows] if folds is not None else [mean(found, sample_rows[0])] * n_folds
        moved = whole = 0.0
        for k in range(n_folds):
            others = np.arange(n_folds) != k
            start = np.average(origin[others], axis=0, weights=biased_counts[others])
            d = references[k] - origin[k]
            moved += (samples[k] - start) @ d
            whole += (references[others].mean(0) - start) @ d
        return moved / whole

    low, high = np.quantile([gap(True) for _ in range(BOOTSTRAP)], [0.025, 0.975])
    return Estimate(float(gap(False)), (float(low), float(high)))


def match_strength(
    denoiser: Denoiser,
    ratio: DensityRatio,
    biased: ImageSet,
    reference: ImageSet,
    *,
    count: int = 320,
    trials: int = 2,
    first: float = 1.3,
    highest: float = 4.0,
    steps: int = 12,
    solver: str = "dpm",
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> StrengthMatch:
    """Secant search for the strength at which guided samples close the whole gap, over `trials` previews of `count` samples.

    Every fold guides its share of the samples, from antithetic pairs of noises, the same in every trial.
    What is known of the sets is in the ratio; they are asked for so that a ratio of other sets is noticed.
    """
    assert len(ratio.folds) == len(biased) + len(reference), "the ratio is of other sets"
    n_folds = ratio.weights.shape[1]
    pairs = max(1, count // (2 * n_folds))
    tried: list[tuple[float, float]] = []
    strength, reading = first, None
    for trial in range(trials):
        images, folds = [], []
        for fold in range(n_folds):
            seeds = range(seed + 1_000_000 + fold * pairs, seed + 1_000_000 + (fold + 1) * pairs)
            common = {"steps": steps, "solver": solver, "guidance": ratio.of_fold(fold), "strength": strength}
            images.append(sample(denoiser, seeds, antithetic=True, **common))
            folds.append(np.full(len(images[-1]), fold))
            if on_progress is not None:
                on_progress(trial * n_folds + fold + 1, trials * n_folds)
        reading = gap_closed(ratio, np.concatenate(images), seed, np.concatenate(folds))
        tried.append((strength, reading.value))
        strength = _next_strength(tried, highest)
    assert reading is not None
    shift = 1.0 - reading.value  # closed by construction at the matched strength; what is uncertain is the last reading
    return StrengthMatch(strength, Estimate(1.0, (reading.interval[0] + shift, reading.interval[1] + shift)), tuple(tried))


def _next_strength(tried: list[tuple[float, float]], highest: float) -> float:
    """Where the line through the last two trials (the first: and no correction at all) closes the gap."""
    (a0, g0), (a1, g1) = ([(0.0, 0.0), *tried])[-2:]
    if abs(a1 - a0) < 0.02 or (g1 - g0) / (a1 - a0) <= 0:  # too close for a slope, or noise
        return a1
    return float(np.clip(a1 + (1 - g1) * (a1 - a0) / (g1 - g0), 0.0, highest))
