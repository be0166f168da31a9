"""Groups of similar images, for sets without labels: k-means on the features the ratio sees. They are numbered, never named."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans

from ..ratio.components import Components

GROUPS = 8
COMPONENTS = 32


def group_images(biased: np.ndarray, reference: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [m, F] and [n, F] -> group of each biased and each reference image, 1 .. K, and typical rows [K, 12] of biased + reference.

    Group 1 is the largest among the biased images.
    """
    x = torch.from_numpy(np.concatenate([biased, reference]))
    z = Components.of(x, COMPONENTS, seed)(x).numpy()
    means = KMeans(min(GROUPS, len(z) // 10 or 1), n_init=4, random_state=seed).fit(z)
    sizes = np.bincount(means.labels_[: len(biased)], minlength=means.n_clusters)
    place = np.empty(means.n_clusters, int)
    place[np.argsort(-sizes, kind="stable")] = np.arange(means.n_clusters)
    labels = place[means.labels_]
    distance = np.linalg.norm(z - means.cluster_centers_[means.labels_], axis=1)
    typical = np.full((means.n_clusters, 12), -1)
    for k in range(means.n_clusters):
        rows = np.flatnonzero(labels == k)
        rows = rows[np.argsort(distance[rows], kind="stable")][:12]
        typical[k, : len(rows)] = rows
    return labels[: len(biased)] + 1, labels[len(biased) :] + 1, typical
