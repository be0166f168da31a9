"""How good are samples? Frechet and kernel distance, nearest neighbours, all in the features of one cheap, named encoder."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from ..intervals import wilson
from ..model import torchvision_ops  # noqa: F401  (before clean-fid)
from ..shares import Distance

from cleanfid import fid  # isort: skip

COMPONENTS = 64
BOOTSTRAP = 24


@dataclass(frozen=True)
class Encoder:
    """Principal components of the pixels of one image set: cheap, deterministic, no download."""

    pca: PCA
    name: str  # for every figure that shows a distance

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N,H,W,3] -> float32 [N, 64]."""
        return self.pca.transform(_flat(images)).astype(np.float32)


def fit_encoder(images: np.ndarray, of: str, seed: int = 0) -> Encoder:
    """Fit the encoder on uint8 images [N,H,W,3]; `of` names them."""
    x = _flat(images)
    pca = PCA(min(COMPONENTS, *x.shape), svd_solver="randomized", random_state=seed).fit(x)
    return Encoder(pca, f"{pca.n_components_} principal components of the pixels of {of}")


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 127.5 - 1


def frechet_distance(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Distance:
    """Frechet distance of features [N, F] and [M, F] (Heusel et al. 2017), by clean-fid.

    The interval resamples `a`. A resample repeats rows, which adds distance; it is shifted back to lie around the value.
    """
    value = _frechet(a, b)
    rng = np.random.default_rng(seed)
    again = np.array([_frechet(a[rng.integers(len(a), size=len(a))], b) for _ in range(BOOTSTRAP)])
    half = 1.96 * again.std(ddof=1)
    return Distance(value, (max(0.0, value - half), value + half))


def _frechet(a: np.ndarray, b: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # clean-fid passes sqrtm an argument that scipy is about to drop
        return float(fid.frechet_distance(a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)))


def frechet_floor(features: np.ndarray, n: int, seed: int = 0) -> Distance:
    """Frechet distance between two disjoint draws of one set, of min(n, half the set) images each: mean and range of ten splits.

    What a perfect generator would score at that size; the distance is strongly biased at small n.
    """
    rng = np.random.default_rng(seed)
    m = min(n, len(features) // 2)
    splits = [rng.permutation(len(features)) for _ in range(10)]
    found = np.array([_frechet(features[order[:m]], features[order[m : 2 * m]]) for order in splits])
    return Distance(float(found.mean()), (float(found.min()), float(found.max())))


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kernel distance (Binkowski et al. 2018), by clean-fid: without bias at small n, 0 for the same distribution.

    clean-fid draws its subsets from numpy's global generator, which is put back afterwards.
    """
    state = np.random.get_state()
    np.random.seed(0)
    try:
        return float(fid.kernel_distance(a, b, num_subsets=20, max_subset_size=min(500, len(a), len(b))))
    finally:
        np.random.set_state(state)


@dataclass(frozen=True)
class NeighbourShares:
    """Precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020)."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighbour_shares(samples: np.ndarray, real: np.ndarray, k: int = 5) -> NeighbourShares:
    """From features [N, F] and [M, F] and balls that reach to each point's k-th neighbour in its own set."""
    of_real, of_samples = NearestNeighbors(n_neighbors=k + 1).fit(real), NearestNeighbors(n_neighbors=k + 1).fit(samples)
    radius_real, radius_samples = of_real.kneighbors(real)[0][:, -1], of_samples.kneighbors(samples)[0][:, -1]
    squared = (samples**2).sum(1)[:, None] + (real**2).sum(1)[None] - 2 * samples @ real.T
    distance = np.sqrt(np.maximum(squared, 0))  # [N, M]
    inside_real = distance <= radius_real[None]
    return NeighbourShares(
        precision=float(inside_real.any(1).mean()),
        recall=float((distance <= radius_samples[:, None]).any(0).mean()),
        density=float(inside_real.sum(1).mean() / k),
        coverage=float(inside_real.any(0).mean()),
    )


@dataclass(frozen=True)
class CloserToReference:
    """Share of samples nearer to a reference image than to one of as many held-out ones: half, if none is memorised."""

    value: float
    interval: tuple[float, float]  # Wilson
    n: int


def closer_to_reference(samples: np.ndarray, reference: np.ndarray, heldout: np.ndarray, seed: int = 0) -> CloserToReference:
    """From features; both sets are cut to one size by a seeded draw."""
    rng = np.random.default_rng(seed)
    m = min(len(reference), len(heldout))
    distances = [
        NearestNeighbors(n_neighbors=1).fit(part[rng.permutation(len(part))[:m]]).kneighbors(samples)[0][:, 0]
        for part in (reference, heldout)
    ]
    count = int((distances[0] < distances[1]).sum())
    return CloserToReference(count / len(samples), wilson(count, len(samples)), len(samples))
