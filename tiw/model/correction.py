"""What a density ratio does to a model: log r with its gradient in xt, and the weight log w (docs/METHOD.md).

A denoiser is any callable (xt, sigma) -> [B, ...], a log ratio any callable (xt, sigma) -> [B]. `sigma` is [B].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .noise import expand

DenoiserFn = Callable[[Tensor, Tensor], Tensor]

LogRatioFn = Callable[[Tensor, Tensor], Tensor]

LossWeightFn = Callable[[Tensor], Tensor]


def log_weight(log_r: Tensor, reference_share: float) -> Tensor:
    """log w = log r - log((1 - pi) + pi r), [B]: the importance weight for a batch with a share pi of reference items."""
    if reference_share == 0:
        return log_r
    log_mixture = torch.logaddexp(torch.full_like(log_r, math.log1p(-reference_share)), math.log(reference_share) + log_r)
    return log_r - log_mixture


@dataclass(frozen=True)
class Correction:
    """What a ratio says about a batch of xt; constants for an optimiser."""

    log_r: Tensor  # [B] log r(xt, sigma)
    gradient: Tensor  # [B, ...] its gradient in xt; zero where none was asked for

    def scaled(self, strength: float) -> Correction:
        """Of `strength` * log r."""
        return Correction(strength * self.log_r, strength * self.gradient)

    def log_weight(self, reference_share: float) -> Tensor:
        """log w [B] for a batch with a share pi of reference items."""
        return log_weight(self.log_r, reference_share)

    def weight_gradient(self, reference_share: float) -> Tensor:
        """grad log w [B, ...] = (1 - pi) w / r * grad log r, because d log w / d log r = (1 - pi) / ((1 - pi) + pi r)."""
        return expand((1 - reference_share) * (self.log_weight(reference_share) - self.log_r).exp(), self.gradient) * self.gradient


def correction_at(log_ratio: LogRatioFn, xt: Tensor, sigma: Tensor, gradient: bool = True) -> Correction:
    """`log_ratio` and its gradient at xt [B, ...] and sigma [B], both detached. Without `gradient` the latter is zero."""
    if not gradient:
        with torch.no_grad():
            return Correction(log_ratio(xt, sigma), torch.zeros_like(xt))
    with torch.enable_grad():
        x = xt.detach().requires_grad_(True)
        log_r = log_ratio(x, sigma)
        assert log_r.shape == sigma.shape, f"log_ratio must return [B], found {tuple(log_r.shape)}"
        # A ratio that does not depend on xt has no graph; its gradient is zero.
        grad = torch.autograd.grad(log_r.sum(), x, allow_unused=True)[0] if log_r.requires_grad else None
    return Correction(log_r.detach(), torch.zeros_like(xt) if grad is None else grad.detach())
