"""Which kinds of image does a debiased model still make too rarely? Measured in several directions, without any label.

The gap closed is one number along one line (tiw.debiasing.strength): a model can be at its end while a small kind of image is left at half
of its share. Here the images are put into groups, and each group's share among the samples is held against its share in the reference
(docs/METHOD.md, "What lags").

**Directions.** The groups must differ by what the two sets differ by, not by what varies most. So the biased images are cut into slices by
their density ratio, each slice as heavy as the next; the mean features of the slices span the directions along which the ratio changes
(sliced inverse regression, Li 1991). **Groups**: k-means there, on the biased images, weighted by the ratio as the reference would be.

**What painting does.** A baseline that paints earrings badly shows few of them, and training towards the reference does not mend that.
So the log ratio of the samples' share to the reference's is reduced by the same log ratio of the baseline's samples to the biased images,
which a prior shrinks towards zero. A group lags only where the model makes too few of it.

**What it cannot see.** The groups lie along the directions of the ratio. An attribute that the ratio hardly knows, as with few references,
forms no group, and its lagging is not named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import norm

from ..data import ImageSet
from ..intervals import Estimate, holm, wilson
from ..model.denoiser import Denoiser
from ..model.memory import thinned
from ..model.sampling import sample
from ..ratio.density_ratio import DensityRatio
from ..streams import stream
from .strength import in_gap_components

COUNT = 480  # samples of either model, fewer of large images
LEAST = 80  # of them, however large the images
BIASED = 1000  # images of the biased set, at most
GROUPS = 4
SLICES = 12
DIRECTIONS = 3
PAINTING = 0.1  # prior standard deviation of the logarithm of what painting does to a group's share
LAGS = 0.8  # a group is named at or below this part of its share: a smaller shortfall is not reported
LEVEL = 0.05  # of all groups together, one-sided, Holm
EXEMPLARS = 8
TOO_FEW = 10  # images of a group in the reference: below, nothing is said of it


def count_for(shape: tuple[int, int, int]) -> int:
    """Samples of either model for images [C,H,W]."""
    return thinned(COUNT, shape, LEAST)


def measure_lagging(
    model: Denoiser,
    baseline: Denoiser,
    ratio: DensityRatio,
    biased: ImageSet,
    seed: int = 0,
    on_batch: Callable[[int], None] | None = None,
) -> Lagging:
    """Draw samples of the debiased `model` and of the `baseline` from the same seeds, and hold their groups against the reference.

    `count_for` says how many. `ratio` and `biased` are those of the fine-tune; the model is not class-conditional. `on_batch` is called
    with the number of samples done, of both models together.
    """
    count = count_for(model.shape)
    seeds = range(seed + 3_000_000, seed + 3_000_000 + count)
    drawn = [
        sample(each, seeds, on_batch=on_batch and (lambda done, before=before: on_batch(before + done)))
        for each, before in ((model, 0), (baseline, count))
    ]
    rows = np.sort(stream(seed, "what lags").permutation(len(ratio.scored))[:BIASED])  # a set may be sorted by class
    own, of_baseline, of_biased = (
        in_gap_components(ratio, images, None, seed) for images in (*drawn, biased.take(ratio.scored[rows]).images)
    )
    return lagging(own, ratio.gap_reference.cpu().double().numpy(), of_baseline, of_biased, ratio.clear_log_ratio[rows], seed)


@dataclass(frozen=True)
class GroupShare:
    """One group of images, numbered from 1 by its share in the reference, the largest first."""

    group: int
    samples: Estimate  # share among the debiased samples, Wilson's interval
    reference: Estimate  # share in the reference
    biased: Estimate  # share in the biased set
    part: Estimate  # samples' share over the reference's, painting taken out; 1: as it should be
    p: float  # of the hypothesis that the group does not lag, Holm-adjusted over the groups
    lags: bool
    reference_rows: tuple[int, ...]  # rows of the reference set that are most typical of the group
    sentence: str


@dataclass(frozen=True)
class Lagging:
    """What the samples of a debiased model still lack."""

    groups: tuple[GroupShare, ...]
    n: int  # debiased samples
    n_reference: int
    smallest_seen: float  # part of its share at which a group of median size would be named in four runs of five
    sentence: str

    @property
    def lagging(self) -> tuple[GroupShare, ...]:
        """The groups that lag, the one furthest behind first."""
        return tuple(sorted((g for g in self.groups if g.lags), key=lambda g: g.part.value))

    def to_json(self) -> dict:
        """`lagging` of a debiasing run's result.json."""
        return {**asdict(self), "any": bool(self.lagging), "lagging": [g.group for g in self.lagging]}


def lagging(
    samples: np.ndarray, reference: np.ndarray, baseline: np.ndarray, biased: np.ndarray, log_ratio: np.ndarray, seed: int = 0
) -> Lagging:
    """From features [n, Q] in whitened components (`DensityRatio.gap_map`) of debiased samples, references, the baseline's samples and
    biased images.

    log_ratio [m]: log r of each of the biased images, held out.
    """
    z = Directions.of(biased, log_ratio)
    weight = np.exp(log_ratio - log_ratio.max())
    groups = _Groups.of(z(biased), weight / weight.mean(), min(GROUPS, max(2, len(reference) // TOO_FEW)), seed)
    of_reference = groups(z(reference))
    order = np.argsort(-np.bincount(of_reference, minlength=groups.n), kind="stable")
    counts = {
        name: np.bincount(groups(z(rows)), minlength=groups.n)[order]
        for name, rows in (("samples", samples), ("reference", reference), ("baseline", baseline), ("biased", biased))
    }
    log_part, spread = parts(**counts)
    told = counts["reference"] >= TOO_FEW
    p = np.where(told, norm.cdf(log_part / spread), 1.0)
    adjusted = holm(p.tolist())
    distance = groups.distance(z(reference))
    found = []
    for place, k in enumerate(order):
        low, high = np.exp(log_part[place] - 1.96 * spread[place]), np.exp(log_part[place] + 1.96 * spread[place])
        part = Estimate(float(np.exp(log_part[place])), (float(low), float(high)))
        share = {name: _share(int(counts[name][place]), int(counts[name].sum())) for name in ("samples", "reference", "biased")}
        own = np.flatnonzero(of_reference == k)
        typical = tuple(map(int, own[np.argsort(distance[own], kind="stable")][:EXEMPLARS]))
        lags = bool(adjusted[place] <= LEVEL and part.value <= LAGS)
        sentence = (
            f"Group {place + 1} makes up {share['samples'].percent()} of {len(samples):,} samples and {share['reference'].percent()} of "
            f"{len(reference):,} reference images."
        )
        found.append(GroupShare(place + 1, **share, part=part, p=adjusted[place], lags=lags, reference_rows=typical, sentence=sentence))
    median = float(np.median(spread[told])) if told.any() else np.inf
    smallest = float(np.exp(-(norm.ppf(1 - LEVEL / max(1, told.sum())) + norm.ppf(0.8)) * median))
    named = sorted((g for g in found if g.lags), key=lambda g: g.part.value)
    return Lagging(tuple(found), len(samples), len(reference), smallest, _sentence(named, len(found), smallest))


def _sentence(named: list[GroupShare], n: int, smallest: float) -> str:
    if not named:
        could = f"Of these, one at {100 * min(smallest, LAGS):.0f} % of its share would be found in four runs of five."
        return (
            f"None of {n} groups of images was found to lag. {could} What the ratio does not see is not among them: compare the shares too."
        )
    first = "One group of images still lags." if len(named) == 1 else f"{len(named)} of {n} groups of images still lag."
    return " ".join([first, *(g.sentence for g in named)])


def _share(count: int, n: int) -> Estimate:
    return Estimate(count / n, wilson(count, n))


def parts(samples: np.ndarray, reference: np.ndarray, baseline: np.ndarray, biased: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts [K] of every set -> (log of the samples' share over the reference's, painting taken out [K], its standard deviation [K]).

    Painting: log(share of the baseline's samples / share of the biased images), with the prior N(0, PAINTING^2).
    """

    def log_share(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, share = counts.sum(), (counts + 0.5) / (counts.sum() + 0.5 * len(counts))  # half an image each: none has no logarithm
        return np.log(share), (1 - share) / (n * share)  # delta method

    (s, of_s), (r, of_r), (a, of_a), (b, of_b) = (log_share(counts) for counts in (samples, reference, baseline, biased))
    noise = of_a + of_b
    kept = PAINTING**2 / (PAINTING**2 + noise)
    return s - r - kept * (a - b), np.sqrt(of_s + of_r + kept * noise)


@dataclass(frozen=True)
class Directions:
    """The directions of the features along which a log ratio changes."""

    mean: np.ndarray  # [Q]
    basis: np.ndarray  # [Q, D] of unit variance within a slice

    @classmethod
    def of(cls, features: np.ndarray, log_ratio: np.ndarray) -> Directions:
        """Sliced inverse regression: features [m, Q] of the biased images, their log ratio [m]."""
        order = np.argsort(log_ratio, kind="stable")
        weight = np.exp(log_ratio[order] - log_ratio.max())
        # Half of the weight as the biased set has it, half as the reference: the rare images get slices of their own.
        place = np.cumsum(0.5 / len(order) + 0.5 * weight / weight.sum())
        slices = np.minimum((place * SLICES).astype(int), SLICES - 1)
        x = features[order] - features.mean(0)
        sizes = np.bincount(slices, minlength=SLICES)
        used = np.flatnonzero(sizes > 1)
        means = np.stack([x[slices == s].mean(0) for s in used])
        within = sum((x[slices == s] - mean).T @ (x[slices == s] - mean) for s, mean in zip(used, means, strict=True)) / len(x)
        within += 1e-3 * np.trace(within) / len(within) * np.eye(len(within))
        # The between-slice covariance with the part that chance gives to means of few images taken off.
        share = np.full(len(used), 1 / len(used))
        centre = share @ means
        between = (means - centre).T @ (share[:, None] * (means - centre)) - within * (share / sizes[used]).sum()
        values, vectors = np.linalg.eigh(np.linalg.solve(half := np.linalg.cholesky(within), np.linalg.solve(half, between).T))
        leading = vectors[:, ::-1][:, : min(DIRECTIONS, len(values))]
        return cls(features.mean(0), np.linalg.solve(half.T, leading))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """[n, Q] -> [n, D]."""
        return (features - self.mean) @ self.basis


@dataclass(frozen=True)
class _Groups:
    centres: np.ndarray  # [K, D]

    @classmethod
    def of(cls, z: np.ndarray, weight: np.ndarray, n: int, seed: int) -> _Groups:
        from sklearn.cluster import KMeans

        return cls(KMeans(n, n_init=10, random_state=seed).fit(z, sample_weight=weight).cluster_centers_)

    @property
    def n(self) -> int:
        return len(self.centres)

    def _squared(self, z: np.ndarray) -> np.ndarray:
        return np.square(z[:, None] - self.centres).sum(2)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """[n, D] -> group of each row, 0 .. K - 1."""
        return self._squared(z).argmin(1)

    def distance(self, z: np.ndarray) -> np.ndarray:
        """[n, D] -> squared distance of each row from its group's centre."""
        return self._squared(z).min(1)
