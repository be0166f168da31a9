"""Are samples copies? Which image each one lies nearest to, and whether that is nearer than chance would have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from ..intervals import wilson
from ..streams import stream

NEAREST_PAIRS = 12


@dataclass(frozen=True)
class Closer:
    """Share of samples nearer to an image that was trained on than to one of as many held-out ones: half, if none is copied."""

    value: float
    interval: tuple[float, float]  # Wilson
    n: int  # samples
    of_each: int  # images of either side


@dataclass(frozen=True)
class Nearest:
    """For each sample the image that it lies nearest to."""

    rows: np.ndarray  # int [n]
    distances: np.ndarray  # [n], in the encoder's features

    def pairs(self, count: int = NEAREST_PAIRS) -> list[tuple[int, int]]:
        """(sample, row) of those that lie nearest to each other, nearest first."""
        return [(int(k), int(self.rows[k])) for k in np.argsort(self.distances, kind="stable")[:count]]


def nearest(samples: np.ndarray, known: np.ndarray) -> Nearest:
    """From features [n, F] and [N, F]."""
    distances, rows = NearestNeighbors(n_neighbors=1).fit(known).kneighbors(samples)
    return Nearest(rows[:, 0], distances[:, 0])


def closer_to_reference(samples: np.ndarray, reference: np.ndarray, heldout: np.ndarray, seed: int = 0) -> Closer:
    """From features [n, F] of each; both sets are cut to one size by a seeded draw."""
    rng = np.random.default_rng(seed)
    m = min(len(reference), len(heldout))
    return _closer(samples, *(part[rng.permutation(len(part))[:m]] for part in (reference, heldout)))


def closer_to_training(
    samples: np.ndarray, training: np.ndarray, heldout: np.ndarray, groups: tuple[np.ndarray, np.ndarray], seed: int = 0
) -> Closer | None:
    """The same of the images that the baseline was trained on; from features [n, F], [N, F] and [M, F]. None: no group is in both sets.

    groups: those of the images trained on, int [N], and of the held-out ones, int [M]. Held-out images are drawn like the reference, so
    their groups have other shares. Within each group both sets are cut to one size by a seeded draw, else the one that has more images
    like a sample would be nearer for that alone.
    """
    rng, rows = stream(seed, "copying"), ([np.zeros(0, int)], [np.zeros(0, int)])
    for group in np.unique(groups[0]):
        both = [rng.permutation(np.flatnonzero(placed == group)) for placed in groups]
        for chosen, found in zip(rows, both, strict=True):
            chosen.append(found[: min(map(len, both))])
    sides = [features[np.concatenate(chosen)] for features, chosen in zip((training, heldout), rows, strict=True)]
    return _closer(samples, *sides) if len(sides[0]) else None


def _closer(samples: np.ndarray, known: np.ndarray, heldout: np.ndarray) -> Closer:
    count = int((nearest(samples, known).distances < nearest(samples, heldout).distances).sum())
    return Closer(count / len(samples), wilson(count, len(samples)), len(samples), len(known))
