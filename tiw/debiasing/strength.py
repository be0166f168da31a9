"""How strong must the ratio be? Matched to the reference without any attribute label (docs/METHOD.md, "Strength").

**The strength** is the one at which guided samples come nearest to the reference. Their mean features move along a line as the strength
grows, and the reference's mean is projected on that line. With m_k what guidance at strength a by fold k's ratio adds to the samples' mean,
and d_k = mean(reference_k) - mean(biased_k) on the images that fold k has not seen,
    t = a * mean_k <m_k, d_k> / mean_{j<>k} <m_j, m_k>,
where neither product is biased by which references or samples happened to be drawn. A projection divides by no small noisy number. It
stops short where a ratio moves samples along its own errors, the more so the fewer the references n, so (`BEYOND` + `FEW` / n) t is taken.

The meter is the **gap closed**: how far the samples' mean features have moved from the biased set's (0) to the reference's (1).
A ratio's own mean logit reports success too early, because guidance pushes samples along the ratio's errors too.
Instead the samples that fold k's ratio guides are measured against the reference images that fold k has not seen:
    gap = sum_k <mean(samples_k) - b_-k, d_k> / sum_k <mean(reference_-k) - b_-k, d_k>,   d_k = mean(reference_k) - b_k,
in whitened principal components j, with b_k the mean of fold k's biased images, _-k all folds but k, and <a, d> the sum over j of
e^(-j/20) a_j d_j. The errors of fold k's ratio, and of every mean on the left, are independent of d_k, so neither numerator nor denominator
is biased, whatever the weights. The weights fade because the first components hold most of what sets differ by, and each further one
adds noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..data import ImageSet
from ..intervals import Estimate
from ..model.denoiser import Denoiser
from ..model.memory import thinned
from ..model.sampling import labels_like, sample
from ..ratio.density_ratio import DensityRatio
from ..ratio.features import clear_level, features_at
from ..streams import stream

BOOTSTRAP = 500
FADE = 20.0  # components; halves the meter's spread over reference sets against equal weights (docs/METHOD.md, "Strength")
# How far beyond the nearest point the shares are reached: guidance moves samples within a group too, and along the errors of a ratio
# learnt from few references (docs/METHOD.md, "Strength").
BEYOND, FEW = 1.18, 11.0
WIDEST = 2.0  # interval of the gap closed: a wider one tells neither "nothing" from "all" nor "all" from "twice as much"
LEAST_REACH = 0.1  # of the meter: less is no gap, and nothing to measure progress by
FAITHFUL = 0.15  # a baseline's reading up to this is put down to how it paints, above it to its shares


@dataclass(frozen=True)
class StrengthMatch:
    """The strength at which the samples' mean features reach the reference's."""

    strength: float
    gap_closed: Estimate | None  # at that strength: 1 by construction, with the meter's interval; None: the strength was given
    trials: tuple[tuple[float, float], ...] = ((0.0, 0.0),)  # (strength, the meter's reading) of the baseline, of the guided samples
    interval: tuple[float, float] | None = None  # 95 % of the strength, over references and samples; None: it was given

    def closed(self, reading: Estimate) -> Estimate | None:
        """A reading of the meter as the gap closed: 0 for a baseline that paints the biased set's shares, 1 for the reading expected at the
        matched strength.

        What the baseline itself reads, up to `FAITHFUL` either way, is put down to how it paints and subtracted. What lies beyond is put
        down to its shares and counts. None where it cannot be measured: few references leave an interval wider than `WIDEST`.
        """
        (_, plain), (trial, guided) = self.trials[0], self.trials[-1]
        own = _own(plain)
        reach = max(LEAST_REACH, plain - own + (guided - plain) * self.strength / trial) if trial else 1.0
        low, high = ((x - own) / reach for x in reading.interval)
        return Estimate((reading.value - own) / reach, (low, high)) if high - low <= WIDEST else None


def gap_closed(
    ratio: DensityRatio, images: np.ndarray, seed: int = 0, folds: np.ndarray | None = None, labels: np.ndarray | None = None
) -> Estimate:
    """Gap closed by samples uint8 [N,H,W,3]; the interval resamples samples, reference and biased images.

    `labels` [N] are their classes, for a class-conditional denoiser: drawn in the reference's shares (tiw.model.sampling.labels_like).

    `folds` [N] names the fold whose ratio guided each sample. Without it (samples of a model that all folds have steered) every
    sample is measured against every fold, which flatters a little: a progress meter, not a verdict.
    """
    found = in_gap_components(ratio, images, labels, seed)
    reference = ratio.gap_reference.cpu().double().numpy()  # [n, Q]
    biased = ratio.gap_biased.cpu().double().numpy()  # [K, Q]
    n_folds = len(biased)
    fold_of = ratio.folds.cpu().numpy()
    reference_rows = [np.flatnonzero(fold_of[-len(reference) :] == k) for k in range(n_folds)]
    biased_counts = ratio.gap_counts.cpu().double().numpy()
    sample_rows = [np.arange(len(found)) if folds is None else np.flatnonzero(folds == k) for k in range(n_folds)]
    fade = _fade(reference.shape[1])
    rng = stream(seed, "gap")

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
    count: int = 480,
    trial: float = 1.5,
    highest: float = 4.0,
    steps: int = 12,
    solver: str = "dpm",
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> StrengthMatch:
    """The strength at which guided samples come nearest to the reference, from `count` samples at strength `trial` and as many at 0
    (fewer of large images).

    Every fold guides its share of the samples, from antithetic pairs of noises, the same at both strengths: the difference is what
    guidance adds, and how the baseline paints drops out. What is known of the sets is in the ratio; they are asked for so that a
    ratio of other sets is noticed.
    """
    assert len(ratio.folds) == len(biased) + len(reference), "the ratio is of other sets"
    n_folds = ratio.n_folds
    pairs = max(1, thinned(count, denoiser.shape, 80) // (2 * n_folds))
    seeds = [range(first, first + pairs) for first in range(seed + 1_000_000, seed + 1_000_000 + n_folds * pairs, pairs)]
    classes = [labels_like(reference.labels, of_fold) for of_fold in seeds]
    labels = [None if own is None else np.repeat(own, 2) for own in classes]  # of the images: the negative noise after each
    common = {"steps": steps, "solver": solver, "antithetic": True}

    def draw(strength: float, done: int) -> list[np.ndarray]:
        images = []
        for fold in range(n_folds):
            guidance = ratio.of_fold(fold)
            images.append(sample(denoiser, seeds[fold], guidance=guidance, strength=strength, labels=classes[fold], **common))
            if on_progress is not None:
                on_progress(done + fold + 1, 2 * n_folds)
        return images

    plain, guided = draw(0.0, 0), draw(trial, n_folds)
    folds = np.repeat(np.arange(n_folds), 2 * pairs)
    all_labels = None if reference.labels is None else np.concatenate(labels)
    readings = [gap_closed(ratio, np.concatenate(images), seed, folds, all_labels) for images in (plain, guided)]
    moved = [
        in_gap_components(ratio, b, c, seed) - in_gap_components(ratio, a, c, seed) for a, b, c in zip(plain, guided, labels, strict=True)
    ]
    nearest, interval = _nearest(ratio, moved, seed)
    beyond = (BEYOND + FEW / len(reference)) * trial
    strength, *ends = (float(np.clip(beyond * t, 0.0, highest)) for t in (nearest, *interval))
    match = StrengthMatch(strength, None, ((0.0, readings[0].value), (trial, readings[1].value)), tuple(ends))
    # At the matched strength the gap is closed by construction; what is uncertain is the reading.
    own, reach = readings[0].value, max(LEAST_REACH, readings[1].value - readings[0].value)
    return replace(match, gap_closed=Estimate(1.0, tuple((x - own) / reach for x in readings[1].interval)))


def _nearest(ratio: DensityRatio, moved: list[np.ndarray], seed: int) -> tuple[float, tuple[float, float]]:
    """Where on the line of `moved` (per fold [N, Q], what guidance adds to each sample) lies the point nearest to the reference.

    1 is the trial's own. With its 95 % interval, which resamples references and samples.
    """
    reference, biased = ratio.gap_reference.cpu().double().numpy(), ratio.gap_biased.cpu().double().numpy()
    fold_of = ratio.folds.cpu().numpy()[-len(reference) :]
    fade, n_folds = _fade(reference.shape[1]), len(biased)
    rng = stream(seed, "strength")

    def nearest(resample: bool) -> float:
        def mean(x: np.ndarray) -> np.ndarray:
            return x[rng.choice(len(x), len(x))].mean(0) if resample else x.mean(0)

        m = np.stack([mean(x) for x in moved])
        d = np.stack([mean(reference[fold_of == k]) for k in range(n_folds)]) - biased
        products = (m * fade) @ m.T
        length = (products.sum() - np.trace(products)) / (n_folds * (n_folds - 1))
        return float((fade * m * d).sum() / n_folds / length) if length > 0 else 0.0

    low, high = np.quantile([nearest(True) for _ in range(BOOTSTRAP)], [0.025, 0.975])
    return nearest(False), (float(low), float(high))


def in_gap_components(ratio: DensityRatio, images: np.ndarray, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """Images uint8 [N,H,W,3] in the whitened components where the gap is measured, [N, Q]; `labels` [N] as in `gap_closed`."""
    level = ratio.sigmas[clear_level(ratio.sigmas)]
    items = np.arange(len(images)) + (1 << 32)  # noise of their own, no item's
    features = features_at(ratio.denoiser, images, items, [level], seed, labels=labels)[0, 0].to(ratio.gap_map.device)
    return (features @ ratio.gap_map).cpu().double().numpy()


def _fade(components: int) -> np.ndarray:
    """Weights [Q] of the principal components."""
    return np.exp(-np.arange(components) / FADE)


def _own(reading: float) -> float:
    """The part of a baseline's reading that comes from how it paints."""
    return float(np.clip(reading, -FAITHFUL, FAITHFUL))
