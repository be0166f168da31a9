"""Features as principal components: standardised, then projected on the directions along which they vary most."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

OVERSAMPLED = 10  # directions of the randomised SVD beyond those asked for, which make these exact
LEAST = 1e-6  # spread of a feature that is the same everywhere


@dataclass(frozen=True)
class Components:
    """The map of features [n, F] to principal components [n, Q] that one set of rows has given."""

    mean: Tensor  # [F]
    std: Tensor  # [F]
    basis: Tensor  # [F, Q]

    @classmethod
    def of(cls, rows: Tensor, q: int, seed: int) -> Components:
        """From rows [n, F]: their `q` leading components (fewer where n or F is smaller). The same seed gives the same basis."""
        mean, std = rows.mean(0), rows.std(0).clamp_min(LEAST)
        return cls(mean, std, principal_directions((rows - mean) / std, q, seed))

    def __call__(self, rows: Tensor) -> Tensor:
        """[..., F] -> [..., Q]."""
        return (rows - self.mean) / self.std @ self.basis


def principal_directions(z: Tensor, q: int, seed: int) -> Tensor:
    """The leading `q` principal directions [F, Q] of centred rows [n, F], by randomised SVD from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.pca_lowrank(z, q=min(q + OVERSAMPLED, *z.shape), center=False, niter=2)[2][:, :q]
