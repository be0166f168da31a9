"""Noise levels: how sigma is drawn, how an image is perturbed, and the one place where sigma and a VP time step meet."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import UserInputError


@dataclass(frozen=True)
class NoiseDistribution:
    """Log-normal distribution of the noise level: log sigma ~ N(mean, std^2) within [sigma_min, sigma_max] (EDM, Table 1)."""

    mean: float = -0.2
    std: float = 1.6
    sigma_min: float = 0.01
    sigma_max: float = 80.0

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` noise levels, float32 [n]."""
        ends = torch.tensor([self.sigma_min, self.sigma_max], dtype=torch.float64)
        low, high = torch.special.ndtr((ends.log() - self.mean) / self.std)
        # A draw beyond the ends is not moved to them, where a narrow window would pile half its draws: its quantile is taken within.
        quantile = low + (high - low) * torch.special.ndtr(torch.randn(n, generator=generator).double())
        return (self.mean + self.std * torch.special.ndtri(quantile)).exp().clamp(*ends.tolist()).float()

    def scaled(self, factor: float) -> NoiseDistribution:
        """Levels drawn `factor` times as high, between the same ends."""
        return replace(self, mean=self.mean + math.log(factor))

    def within(self, low: float = 0.0, high: float = 0.0) -> NoiseDistribution:
        """The same on the levels from `low` to `high` alone (0: its own end). Raises UserInputError where nothing is left."""
        ends = max(low, self.sigma_min), min(high or math.inf, self.sigma_max)
        if ends[0] >= ends[1]:
            raise _nothing_left(self, low, high or math.inf)
        return replace(self, sigma_min=ends[0], sigma_max=ends[1])


@dataclass(frozen=True)
class UniformSteps:
    """Every step of a VP schedule equally often, as DDPM draws them (Ho et al. 2020, Algorithm 1)."""

    sigmas: tuple[float, ...]  # [T] noise level of each step, increasing

    @property
    def sigma_min(self) -> float:
        return self.sigmas[0]

    @property
    def sigma_max(self) -> float:
        return self.sigmas[-1]

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` noise levels, float32 [n]."""
        return torch.tensor(self.sigmas)[torch.randint(len(self.sigmas), (n,), generator=generator)]

    def scaled(self, factor: float) -> UniformSteps:
        """The same: half of DDPM's steps lie above sigma 3 already, where a log-normal has a fifth."""
        return self

    def within(self, low: float = 0.0, high: float = 0.0) -> UniformSteps:
        """The steps from `low` to `high` alone (0: its own end). Raises UserInputError where there is none."""
        inside = tuple(s for s in self.sigmas if low <= s <= (high or math.inf))
        if not inside:
            raise _nothing_left(self, low, high or math.inf)
        return UniformSteps(inside)


def _nothing_left(noise: NoiseDistribution | UniformSteps, low: float, high: float) -> UserInputError:
    found = f"no noise level that the model was trained on lies between {low:g} and {high:g}"
    return UserInputError("sigma_min", found, f"its own run from {noise.sigma_min:.3g} to {noise.sigma_max:.3g}: widen the window")


def perturb(x0: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """xt = x0 + sigma * noise, [B, ...], from a clean x0 [B, ...] in [-1, 1], standard normal noise [B, ...] and levels [B]."""
    return x0 + expand(sigma, x0) * noise


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
        """lambda(sigma), [B]."""
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
