"""Do the sets differ at all? One permutation test over all noise levels together.

The statistic of a level is Hotelling's, with a ridge: d' (S + ridge)^-1 d, d the difference of the mean features, S the covariance of both
sets together. Which image belongs to which set is drawn again and again; the largest statistic over the levels, each in units of its own
spread over the draws, is what the levels' statistics are held against (Westfall and Young 1993, single-step maxT). If the images of both
sets come from one distribution, a p-value of at most a threshold is as rare as the threshold says, at any number of images and however
the levels depend on one another. The verdict takes 0.02 (`tiw.auditing.verdict.ERROR_PERMUTED`).
"""

from __future__ import annotations

import numpy as np
import torch

from ..streams import stream
from .components import Components
from .estimators import SOFTENING
from .features import RatioConfig, RatioFeatures

PERMUTATIONS = 1999


def difference_test(features: RatioFeatures, config: RatioConfig) -> np.ndarray:
    """p-values [L] of "the sets do not differ at this level", each adjusted for all levels. 1 / (PERMUTATIONS + 1) at the least."""
    m, n = len(features.scored), features.reference.shape[2]
    rng = stream(config.seed, "permutations")
    is_reference = np.zeros((PERMUTATIONS + 1, m + n), bool)
    is_reference[0, m:] = True
    for row in is_reference[1:]:
        row[rng.permutation(m + n)[:n]] = True
    contrast = torch.from_numpy(np.where(is_reference, 1 / n, -1 / m).astype(np.float32))
    statistics = torch.stack(
        [
            # Draw 0 alone: the mean of several noise draws would set the references apart.
            _statistics(torch.cat([b, r[0]]), contrast, config)
            for b, r in zip(features.biased, features.reference, strict=True)
        ],
        1,
    ).numpy()  # [1 + PERMUTATIONS, L]
    standard = (statistics - statistics.mean(0)) / np.maximum(statistics.std(0), 1e-12)
    largest = standard.max(1)
    return (largest[:, None] >= standard[0] - 1e-9).mean(0)


def _statistics(rows: torch.Tensor, contrast: torch.Tensor, config: RatioConfig) -> torch.Tensor:
    """Hotelling's statistic [P] of rows [n, F] for each way to share them out, contrast [P, n]."""
    z = Components.of(rows, config.components, config.seed)(rows)
    softened = z.T.cov(correction=0) + SOFTENING * rows.shape[1] * torch.eye(z.shape[1])
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(softened), z.T, upper=False).T
    return (contrast @ white).square().sum(1)
