"""The map: both sets in the plane, at every noise level, from the features the ratio sees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes

from ..ratio.components import Components

COMPONENTS = 32  # principal components handed to UMAP
NEIGHBOURS = 15
CHUNK = 1024  # images whose distances are held at once


def principal_plane(features: np.ndarray) -> np.ndarray:
    """The first two principal components of standardised features [n, F], scaled to [-1, 1]: there at once."""
    return _scaled(_components(features, 2, 0))


def layouts(features: Iterator[np.ndarray] | list[np.ndarray], seed: int = 0) -> Iterator[np.ndarray]:
    """UMAP layouts [n, 2], one per noise level in the order given, in [-1, 1].

    Each starts from the one before and is turned onto it (orthogonal Procrustes), so that a point can be followed by eye.
    The same seed gives the same map. The first call loads umap, which compiles for some seconds.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba and umap warn about their own settings
        from umap import UMAP

        previous: np.ndarray | None = None
        for level in features:
            components = _components(level, COMPONENTS, seed)
            start = _scaled(components[:, :2]) * 10 if previous is None else previous * 10
            epochs = 200 if previous is None else 60
            umap = UMAP(n_neighbors=min(NEIGHBOURS, len(level) - 1), init=start, n_epochs=epochs, random_state=seed, n_jobs=1)
            layout = _scaled(umap.fit_transform(components))
            previous = layout if previous is None else align(layout, previous)
            yield previous


def nearest_across(features: np.ndarray, n_first: int, k: int = 6, seed: int = 0) -> np.ndarray:
    """For each of n images [n, F], the first n_first of one set and the rest of another, its k nearest in the other set: int64 [n, k].

    By Euclidean distance in the principal components that the map starts from; where the other set has fewer than k, -1 fills up.
    """
    parts = torch.from_numpy(_components(features, COMPONENTS, seed)).split([n_first, len(features) - n_first])
    found = np.full((len(features), k), -1, np.int64)
    for own, other, rows, first in ((0, 1, slice(0, n_first), n_first), (1, 0, slice(n_first, None), 0)):
        there = min(k, len(parts[other]))
        for start in range(0, len(parts[own]), CHUNK):
            far = torch.cdist(parts[own][start : start + CHUNK], parts[other])
            found[rows][start : start + CHUNK, :there] = far.topk(there, largest=False).indices.numpy() + first
    return found


def align(layout: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """`layout` [n, 2] turned, mirrored and shifted onto another layout of the same points, its size kept."""
    centred, target = layout - layout.mean(0), onto - onto.mean(0)
    rotation, _ = orthogonal_procrustes(centred, target)
    return centred @ rotation + onto.mean(0)


def _components(features: np.ndarray, n: int, seed: int) -> np.ndarray:
    x = torch.from_numpy(np.ascontiguousarray(features, np.float32))
    return Components.of(x, n, seed)(x).numpy()


def _scaled(layout: np.ndarray) -> np.ndarray:
    centred = layout - layout.mean(0)
    return (centred / np.quantile(np.abs(centred), 0.995)).clip(-1.2, 1.2).astype(np.float32)
