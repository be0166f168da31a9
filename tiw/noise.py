"""Noise levels: how sigma is drawn, how an image is perturbed, and the one place where sigma and a VP time step meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class NoiseDistribution:
    """Log-normal distribution of the noise level: log sigma ~ N(mean, std^2), clipped to [sigma_min, sigma_max] (EDM, Table 1)."""

    mean: float = -0.2
    std: float = 1.6
    sigma_min: float = 0.01
    sigma_max: float = 80.0

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` noise levels, float32 [n]."""
        z = torch.randn(n, generator=generator)
        return (self.mean + self.std * z).exp().clamp(self.sigma_min, self.sigma_max)


@dataclass(frozen=True)
class NoisySample:
    """One perturbed batch: xt = x0 + sigma * noise."""

    x0: Tensor  # [B, ...] clean, in [-1, 1]
    noise: Tensor  # [B, ...] standard normal
    sigma: Tensor  # [B] noise level in units of x0
    xt: Tensor  # [B, ...]


def perturb(x0: Tensor, noise: Tensor, sigma: Tensor) -> NoisySample:
    """Add `noise` at level `sigma` [B] to `x0` [B, ...]."""
    return NoisySample(x0, noise, sigma, x0 + expand(sigma, x0) * noise)


def expand(per_example: Tensor, like: Tensor) -> Tensor:
    """[B] -> [B, 1, ...], so that a number per example multiplies a tensor of any trailing shape and never broadcasts over it."""
    assert per_example.shape == like.shape[:1], (per_example.shape, like.shape)
    return per_example.reshape(-1, *[1] * (like.ndim - 1)).to(like)


def edm_loss_weight(sigma: Tensor, sigma_data: float = 0.5) -> Tensor:
    """lambda(sigma) = (sigma^2 + sigma_data^2) / (sigma * sigma_data)^2 (EDM, Table 1), [B]."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


@dataclass(frozen=True)
class ImageLossWeight:
    """lambda(sigma) = 1 / (sigma^2 + softening^2) + floor, for a network that predicts x0 without a skip connection.

    The softening keeps the lowest levels, where such a network is never exact, from drowning the others;
    the floor keeps the high levels, where the shares of attributes are decided, in play.
    """

    softening: float = 0.1
    floor: float = 0.5

    def __call__(self, sigma: Tensor) -> Tensor:
        return 1 / (sigma**2 + self.softening**2) + self.floor


def to_x0(images: np.ndarray) -> Tensor:
    """uint8 [N,H,W,3] -> float32 [N,3,H,W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_images(x0: Tensor) -> np.ndarray:
    """float [N,3,H,W] in [-1, 1] -> uint8 [N,H,W,3]; values outside the range are clipped."""
    x = x0.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return x.permute(0, 2, 3, 1).cpu().numpy()


class VPSchedule:
    """sigma <-> t for a variance-preserving (DDPM) checkpoint: sigma = sqrt((1 - alpha_bar) / alpha_bar).

    `t` is a real number between the trained steps 0 .. T-1, by linear interpolation of log sigma.
    """

    def __init__(self, alphas_cumprod: Tensor):
        a = alphas_cumprod.double()
        self.log_sigmas = (0.5 * ((1 - a) / a).log()).float()  # [T], increasing

    def t(self, sigma: Tensor) -> Tensor:
        """Time step [B] of noise level `sigma` [B]; levels outside the schedule take its ends."""
        logs = self.log_sigmas.to(sigma.device)
        log_sigma = sigma.float().log().clamp(logs[0], logs[-1])
        upper = torch.searchsorted(logs, log_sigma.contiguous()).clamp(1, len(logs) - 1)
        low, high = logs[upper - 1], logs[upper]
        return (upper - 1) + (log_sigma - low) / (high - low)

    def sigma(self, t: Tensor) -> Tensor:
        """Noise level [B] of time step `t` [B], the inverse of `t`."""
        logs = self.log_sigmas.to(t.device)
        lower = t.floor().long().clamp(0, len(logs) - 2)
        return (logs[lower] + (t - lower) * (logs[lower + 1] - logs[lower])).exp()
