"""What an estimator of the ratio leaves: a function from features to logits, for every noise level and fold."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class ConvexHead:
    """Linear in the features, one for each of L levels and K folds."""

    weights: Tensor  # [L, K, F]
    biases: Tensor  # [L, K]

    def __call__(self, features: Tensor) -> Tensor:
        """[B, F] -> logits [B, L, K]."""
        levels, folds, width = self.weights.shape
        return (features @ self.weights.reshape(-1, width).T).unflatten(1, (levels, folds)) + self.biases

    def calibrated(self, slope: Tensor, intercept: Tensor) -> ConvexHead:
        """slope [L] * logit + intercept [L]."""
        return ConvexHead(self.weights * slope[:, None, None], self.biases * slope[:, None] + intercept[:, None])

    def of_fold(self, fold: int) -> ConvexHead:
        """The head of one fold alone."""
        return ConvexHead(self.weights[:, fold : fold + 1], self.biases[:, fold : fold + 1])

    @property
    def shape(self) -> tuple[int, int]:
        """(levels, folds)."""
        return tuple(self.biases.shape)


def network_logits(head: NetworkHead, z: Tensor, dropout: float = 0.0) -> Tensor:
    """z [B, L, Q] -> uncalibrated logits [B, L, K], without biases."""
    h = torch.einsum("blq,kqh->blkh", z, head.first) + head.time.transpose(0, 1)
    h = F.dropout(F.silu(h), dropout, dropout > 0)
    h = F.silu(torch.einsum("blkh,khg->blkg", h, head.second) + head.second_bias)
    return torch.einsum("blkh,kh->blk", h, head.last) + torch.einsum("blq,klq->blk", z, head.linear)


@dataclass(frozen=True)
class NetworkHead:
    """Two hidden layers on whitened principal components, shared by all L levels, one network for each of K folds."""

    projection: Tensor  # [L, F, Q]
    centre: Tensor  # [L, Q]
    first: Tensor  # [K, Q, H]
    time: Tensor  # [K, L, H] what a level adds to the first layer
    second: Tensor  # [K, H, H]
    second_bias: Tensor  # [K, H]
    linear: Tensor  # [K, L, Q] past the hidden layers
    last: Tensor  # [K, H]
    biases: Tensor  # [L, K]
    slope: Tensor  # [L] of the calibration

    def __call__(self, features: Tensor) -> Tensor:
        """[B, F] -> logits [B, L, K]."""
        z = torch.einsum("bf,lfq->blq", features, self.projection) - self.centre
        return network_logits(self, z) * self.slope[:, None] + self.biases

    def calibrated(self, slope: Tensor, intercept: Tensor) -> NetworkHead:
        """slope [L] * logit + intercept [L]."""
        return replace(self, slope=self.slope * slope, biases=self.biases * slope[:, None] + intercept[:, None])

    def of_fold(self, fold: int) -> NetworkHead:
        own = slice(fold, fold + 1)
        per_fold = ("first", "time", "second", "second_bias", "linear", "last")
        return replace(self, biases=self.biases[:, own], **{name: getattr(self, name)[own] for name in per_fold})

    @property
    def shape(self) -> tuple[int, int]:
        """(levels, folds)."""
        return tuple(self.biases.shape)


Head = ConvexHead | NetworkHead
HEADS = {"convex": ConvexHead, "network": NetworkHead}


def tensors_of(head: Head) -> dict[str, Tensor]:
    """All that a head is made of, by name; the shapes [..] stand beside its fields."""
    return {f.name: getattr(head, f.name) for f in fields(head)}
