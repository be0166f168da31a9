"""How strong must the ratio be? Matched to the reference without any attribute label (docs/METHOD.md, "Strength").

The meter is the **gap closed**: how far the samples' mean features have moved from the biased set's (0) to the reference's (1).
A ratio's own mean logit will not do: guidance pushes samples along the ratio's errors too, so it reports success too early.
Instead the samples that fold k's ratio guides are measured against the reference images that fold k has not seen:
    gap = sum_k <mean(samples_k) - b_-k, d_k> / sum_k <mean(reference_-k) - b_-k, d_k>,   d_k = mean(reference_k) - b_k,
in whitened principal components j, with b_k the mean of fold k's biased images, _-k all folds but k, and <a, d> the sum over j of
e^(-j/20) a_j d_j. The errors of fold k's ratio, and of every mean on the left, are independent of d_k, so neither numerator nor denominator
is off on average, whatever the weights; these fade because the first components hold most of what sets differ by, and each further one
adds noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .data import ImageSet
from .denoiser import Denoiser
from .features import features_at
from .ratio import GAP_SIGMA, DensityRatio
from .sampling import sample

BOOTSTRAP = 500
FADE = 20.0  # components; halves the meter's spread over reference sets against equal weights (docs/METHOD.md, "Strength")
AIM = 1.12  # what the meter must read for the gap to be closed: guidance moves samples within a group too (docs/METHOD.md)
FAITHFUL = 0.15  # a baseline's reading up to this is laid to its brushwork, above it to its shares


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
    trials: tuple[tuple[float, float], ...] = ((0.0, 0.0),)  # (strength, the meter's reading); the first is the baseline's own

    def closed(self, reading: Estimate) -> Estimate:
        """A reading of the meter as the gap closed: 0 for the baseline's own reading, 1 for the one aimed at."""
        own = _own(self.trials[0][1])
        return Estimate((reading.value - own) / AIM, tuple((x - own) / AIM for x in reading.interval))


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
    fade = np.exp(-np.arange(reference.shape[1]) / FADE)
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
            d = fade * (references[k] - origin[k])
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
    first: float = 1.5,
    highest: float = 4.0,
    steps: int = 12,
    solver: str = "dpm",
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> StrengthMatch:
    """Secant search for the strength at which guided samples close the gap, over `trials` previews of `count` samples.

    Every fold guides its share of the samples, from antithetic pairs of noises, the same in every trial. The first trial is the
    baseline itself: what the meter reads there (its brushwork, and the luck of these noises) is taken off every other reading.
    What is known of the sets is in the ratio; they are asked for so that a ratio of other sets is noticed.
    """
    assert len(ratio.folds) == len(biased) + len(reference), "the ratio is of other sets"
    n_folds = ratio.n_folds
    pairs = max(1, count // (2 * n_folds))

    def read(trial: int, strength: float) -> Estimate:
        images, folds = [], []
        for fold in range(n_folds):
            seeds = range(seed + 1_000_000 + fold * pairs, seed + 1_000_000 + (fold + 1) * pairs)
            common = {"steps": steps, "solver": solver, "guidance": ratio.of_fold(fold), "strength": strength}
            images.append(sample(denoiser, seeds, antithetic=True, **common))
            folds.append(np.full(len(images[-1]), fold))
            if on_progress is not None:
                on_progress(trial * n_folds + fold + 1, (trials + 1) * n_folds)
        return gap_closed(ratio, np.concatenate(images), seed, np.concatenate(folds))

    own = read(0, 0.0).value
    aim = AIM + _own(own)
    tried, strength = [(0.0, own)], first
    for trial in range(1, trials + 1):
        reading = read(trial, strength)
        tried.append((strength, reading.value))
        strength = _next_strength(tried, aim, highest)
    # At the matched strength the gap is closed by construction; what is uncertain is the last trial's reading.
    match = StrengthMatch(strength, None, tuple(tried))
    shift = aim - reading.value
    return replace(match, gap_closed=match.closed(Estimate(aim, (reading.interval[0] + shift, reading.interval[1] + shift))))


def _own(reading: float) -> float:
    """The part of a baseline's reading that is laid to its brushwork."""
    return float(np.clip(reading, -FAITHFUL, FAITHFUL))


def _next_strength(tried: list[tuple[float, float]], aim: float, highest: float) -> float:
    """Where the line through the last two trials reads `aim`."""
    (a0, g0), (a1, g1) = tried[-2:]
    if abs(a1 - a0) < 0.02 or (g1 - g0) / (a1 - a0) <= 0:  # too close for a slope, or noise
        return a1
    return float(np.clip(a1 + (aim - g1) * (a1 - a0) / (g1 - g0), 0.0, highest))
