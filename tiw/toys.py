"""Toys with known truth: Gaussian mixtures, whose perturbed densities, scores, denoisers and density ratios are closed forms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianMixture:
    """sum_k weights_k N(means_k, std_k^2 I) in D dimensions. Perturbed at level sigma, each variance grows by sigma^2."""

    weights: Tensor  # [K], sum 1
    means: Tensor  # [K, D]
    stds: Tensor  # [K]

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws of x0, [n, D]."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator, dtype=self.means.dtype)
        return self.means[k] + self.stds[k, None] * noise

    def _log_components(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """log weights_k N(xt; means_k, (std_k^2 + sigma^2) I), [B, K]."""
        variance = self.stds**2 + sigma[:, None] ** 2  # [B, K]
        squared = (xt[:, None] - self.means).square().sum(2)
        d = self.means.shape[1]
        return self.weights.log() - squared / (2 * variance) - d / 2 * (2 * torch.pi * variance).log()

    def log_density(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """log p(xt) at noise level sigma: xt [B, D], sigma [B] -> [B]."""
        return torch.logsumexp(self._log_components(xt, sigma), 1)

    def denoised(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """E[x0 given xt], [B, D]: the exact denoiser."""
        responsibilities = torch.softmax(self._log_components(xt, sigma), 1)  # P(component k given xt), [B, K]
        gain = self.stds**2 / (self.stds**2 + sigma[:, None] ** 2)
        means = self.means + gain[..., None] * (xt[:, None] - self.means)  # E[x0 given xt, component k], [B, K, D]
        return (responsibilities[..., None] * means).sum(1)

    def score(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """grad log p(xt) at noise level sigma, [B, D], from the denoiser (Tweedie's formula)."""
        return (self.denoised(xt, sigma) - xt) / sigma[:, None] ** 2


@dataclass(frozen=True)
class MixturePair:
    """A biased and a reference mixture with their exact density ratio."""

    biased: GaussianMixture
    reference: GaussianMixture

    def log_ratio(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """log p_ref(xt) / p_bias(xt), [B]."""
        return self.reference.log_density(xt, sigma) - self.biased.log_density(xt, sigma)

    def weight(self, xt: Tensor, sigma: Tensor, reference_share: float) -> Tensor:
        """w = p_ref(xt) / q(xt), [B], for q = `mixture(reference_share)`."""
        return (self.reference.log_density(xt, sigma) - self.mixture(reference_share).log_density(xt, sigma)).exp()

    def mixture(self, reference_share: float) -> GaussianMixture:
        """q = (1 - pi) p_bias + pi p_ref."""
        return GaussianMixture(
            torch.cat([(1 - reference_share) * self.biased.weights, reference_share * self.reference.weights]),
            torch.cat([self.biased.means, self.reference.means]),
            torch.cat([self.biased.stds, self.reference.stds]),
        )


def two_modes(dtype: torch.dtype = torch.float64) -> MixturePair:
    """The 2-D toy: modes at (-2, -2) and (2, 2) with standard deviation 0.5; the biased set has them 90 : 10, the reference 50 : 50."""
    means, stds = torch.tensor([[-2.0, -2.0], [2.0, 2.0]], dtype=dtype), torch.tensor([0.5, 0.5], dtype=dtype)
    weights = (torch.tensor([0.9, 0.1], dtype=dtype), torch.tensor([0.5, 0.5], dtype=dtype))
    return MixturePair(*(GaussianMixture(w, means, stds) for w in weights))


def chasm(dtype: torch.dtype = torch.float64) -> MixturePair:
    """A 2-D pair that hardly overlaps when clean (the "density chasm"): as `two_modes`, with standard deviation 0.1 and the reference
    moved by one unit, ten standard deviations, along the first axis."""
    pair = two_modes(dtype)
    stds, shift = 0.2 * pair.biased.stds, torch.tensor([1.0, 0.0], dtype=dtype)
    return MixturePair(
        GaussianMixture(pair.biased.weights, pair.biased.means, stds),
        GaussianMixture(pair.reference.weights, pair.reference.means + shift, stds),
    )


def joint_skew(dtype: torch.dtype = torch.float64) -> MixturePair:
    """A 64-d toy like the demo: two binary attributes move the mean by plus or minus 1.5 along two orthogonal directions, with standard
    deviation 0.5 around it; the biased set has the four subgroups 60 : 25 : 10 : 5, the reference evenly."""
    ones = torch.ones(64, dtype=dtype)
    first, second = ones / 8, torch.where(torch.arange(64) % 2 == 0, ones, -ones) / 8  # unit vectors
    means = 1.5 * torch.stack([first + second, first - second, second - first, -first - second])
    weights = (torch.tensor([0.6, 0.25, 0.1, 0.05], dtype=dtype), torch.full((4,), 0.25, dtype=dtype))
    return MixturePair(*(GaussianMixture(w, means, torch.full((4,), 0.5, dtype=dtype)) for w in weights))
