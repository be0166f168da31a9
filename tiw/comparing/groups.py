"""Attributes where nobody has labels: groups found in frozen features. They have numbers and pictures, never a name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UserInputError
from .classifier import AttributeClassifier
from .encoders import Encoder

ATTRIBUTE = "unnamed group"
MOST = 6
IMAGES_A_GROUP = 25  # at least, on average
COMPONENTS = 32
SHOWN = 12  # pictures that say what a group is


@dataclass(frozen=True)
class Groups(AttributeClassifier):
    """Which of the found centres an image lies nearest to. Made with `find_groups`."""

    encoder: Encoder | None = None
    mean: np.ndarray | None = None  # [F], of the features
    way: np.ndarray | None = None  # [F, C], onto leading components
    centres: np.ndarray | None = None  # [K, C]
    spread: float = 1.0  # mean squared distance from the nearest centre: the scale of the scores
    examples: tuple[tuple[int, ...], ...] = ()  # rows of the images that lie nearest to each centre

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """How near each of N images lies to each of K centres: {"group": [N,K]}, rows summing to 1."""
        nearness = -((self._place(images)[:, None] - self.centres[None]) ** 2).sum(-1) / (2 * self.spread)
        e = np.exp(nearness - nearness.max(1, keepdims=True))
        return {ATTRIBUTE: e / e.sum(1, keepdims=True)}

    def _place(self, images: np.ndarray) -> np.ndarray:
        return (self.encoder(images) - self.mean) @ self.way


def find_groups(images: np.ndarray, encoder: Encoder, seed: int = 0) -> Groups:
    """Two to six groups among images, uint8 [N,H,W,3], N at least 50: k-means on the leading components of their features.

    Raises UserInputError for fewer images. A group is what the features make of it, so there is no error to count and nothing to correct;
    what it shows a person must see.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    if len(images) < 2 * IMAGES_A_GROUP:
        found = f"there are {len(images)} images to find groups in"
        raise UserInputError("labels", found, f"give at least {2 * IMAGES_A_GROUP}, or leave labels empty")
    features = encoder(images)
    pca = PCA(min(COMPONENTS, features.shape[1], len(features) - 1), svd_solver="randomized", random_state=seed).fit(features)
    mean, way = pca.mean_, pca.components_.T
    placed = (features - mean) @ way
    k = int(np.clip(len(images) // IMAGES_A_GROUP, 2, MOST))
    centres = KMeans(k, n_init=4, random_state=seed).fit(placed).cluster_centers_
    near = ((placed[:, None] - centres[None]) ** 2).sum(-1)
    order = np.argsort(-np.bincount(near.argmin(1), minlength=k), kind="stable")  # the largest first
    centres, near = centres[order], near[:, order]
    own = near.argmin(1)
    examples = tuple(tuple(np.flatnonzero(own == g)[np.argsort(near[own == g, g], kind="stable")][:SHOWN].tolist()) for g in range(k))
    source = f"{k} groups found among {len(images):,} images by {encoder.name}, which nobody has named"
    about = {"encoder": encoder, "mean": mean, "way": way, "centres": centres, "examples": examples}
    about["spread"] = max(float(near.min(1).mean()), 1e-12)
    values = [str(g + 1) for g in range(k)]
    told = "An unnamed group is what the features make of it, so its shares have no errors to correct. Its pictures say what it is."
    return Groups({ATTRIBUTE: values}, {}, source, "that of the images", definition=told, **about)
