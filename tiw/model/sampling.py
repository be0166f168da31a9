"""Sampling: deterministic solvers of the probability-flow ODE (EDM, Eq. 4), one random generator per image, and guidance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from ..streams import stream
from .correction import DenoiserFn, LogRatioFn, correction_at
from .memory import batch_for
from .noise import expand, to_images

SIGMA_MIN, SIGMA_MAX = 0.02, 80.0  # an image in [-1, 1] has 8 bits: below 0.02 there is nothing left to remove


def sigma_steps(n: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX, rho: float = 7.0) -> Tensor:
    """Decreasing noise levels [n + 1], from sigma_max to sigma_min and then 0 (EDM, Eq. 5)."""
    ramp = torch.linspace(0, 1, n, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return torch.cat([(high + ramp * (low - high)) ** rho, torch.zeros(1, dtype=torch.float64)])


def solve(denoiser: DenoiserFn, xt: Tensor, sigmas: Tensor, solver: str = "dpm") -> Iterator[Tensor]:
    """Follow the ODE dx/dsigma = (x - D(x; sigma)) / sigma from `xt` [B, ...] at sigmas[0]; yields x after each step.

    `heun`: second order, two denoiser calls a step (EDM, Algorithm 1, without churn).
    `euler`: first order, one call a step; on a VP checkpoint's own noise levels this is DDIM with eta 0 (Song et al. 2021, Eq. 14).
    `dpm`: second-order multistep in log sigma, one call a step (DPM-Solver++(2M), Lu et al. 2022, for D as the data prediction).
    """
    previous: Tensor | None = None  # D of the step before, and the step in log sigma that followed it
    h_previous = 0.0
    for sigma, sigma_next in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        level = xt.new_full((len(xt),), sigma)
        denoised = denoiser(xt, level)
        if sigma_next == 0:
            xt = denoised
        elif solver == "euler":
            xt = xt + (sigma_next - sigma) * (xt - denoised) / sigma
        elif solver == "heun":
            slope = (xt - denoised) / sigma
            ahead = xt + (sigma_next - sigma) * slope
            slope_ahead = (ahead - denoiser(ahead, xt.new_full((len(xt),), sigma_next))) / sigma_next
            xt = xt + (sigma_next - sigma) * (slope + slope_ahead) / 2
        elif solver == "dpm":
            h = float(np.log(sigma / sigma_next))
            estimate = denoised if previous is None else denoised + (denoised - previous) * (h / h_previous) / 2
            xt = (sigma_next / sigma) * xt + (1 - sigma_next / sigma) * estimate
            previous, h_previous = denoised, h
        else:
            raise AssertionError(f"unknown solver {solver}")
        yield xt


def guided(denoiser: DenoiserFn, log_ratio: LogRatioFn) -> DenoiserFn:
    """D_guided = D + sigma^2 grad log r (DG, Eq. 8): samples the reference from a model of the biased set, without training.

    A ratio that reads its features off this very denoiser (`log_ratio.shares_pass(denoiser)`) costs no second forward pass.
    """
    if getattr(log_ratio, "shares_pass", lambda _: False)(denoiser):
        both = log_ratio.shared_pass()
        log_ratio, denoiser = both.log_ratio, both.denoiser

    def denoise(xt: Tensor, sigma: Tensor) -> Tensor:
        grad = correction_at(log_ratio, xt, sigma).gradient
        with torch.no_grad():
            return denoiser(xt, sigma) + expand(sigma**2, xt) * grad

    return denoise


def starting_noise(seeds: Sequence[int], shape: tuple[int, ...], sigma_max: float = SIGMA_MAX) -> Tensor:
    """x at sigma_max, [len(seeds), *shape]: each row from a generator of its own, so image N is the same in any batch."""
    rows = [torch.randn(shape, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
    return sigma_max * torch.stack(rows)


def labels_like(labels: np.ndarray | None, seeds: Sequence[int]) -> np.ndarray | None:
    """The class that each seed paints, [len(seeds)], drawn from a set's `labels` [n] and so in its shares; None for a set without."""
    return None if labels is None else np.array([stream(int(seed), "classes").choice(labels) for seed in seeds], np.int64)


@contextmanager
def _in_eval_mode(denoiser: DenoiserFn) -> Iterator[None]:
    """Without dropout; the mode that the model was in comes back."""
    training = getattr(denoiser, "training", False)
    if training:
        denoiser.eval()
    try:
        yield
    finally:
        if training:
            denoiser.train()


def sample(
    denoiser: DenoiserFn,
    seeds: Sequence[int],
    *,
    steps: int = 12,
    solver: str = "dpm",
    guidance: LogRatioFn | None = None,
    strength: float = 1.0,
    antithetic: bool = False,
    labels: np.ndarray | None = None,
    batch_size: int = 64,
    on_batch: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Images, one per seed, uint8 [N,H,W,3]; `denoiser` is a `tiw.Denoiser`.

    `guidance` is a `DensityRatio` (or any log ratio); `strength` scales it as `ratio.scaled` does. `antithetic` follows the negative of
    each starting noise right after it, which gives 2 N images whose mean is much less noisy than that of 2 N seeds.
    `labels` [N] are the classes that a class-conditional denoiser paints; without them each seed draws its own, all equally likely.
    A model in train mode is sampled in eval mode and left as it was. At most `batch_size` images are computed at once, fewer where memory
    is short (tiw.model.memory). `on_batch` is called with the number of seeds done.
    """
    scaled = None
    if guidance is not None and strength != 0:
        scaled = guidance.scaled(strength) if hasattr(guidance, "scaled") else lambda xt, sigma: strength * guidance(xt, sigma)
    if denoiser.classes and labels is None:
        labels = labels_like(np.arange(denoiser.classes), seeds)
    highest = min(SIGMA_MAX, denoiser.sigma_max)
    levels = sigma_steps(steps, sigma_max=highest)
    signs = np.tile([1.0, -1.0], len(seeds)) if antithetic else np.ones(len(seeds))
    each = 2 if antithetic else 1
    drawn, classes = np.repeat(np.asarray(seeds), each), None if labels is None else np.repeat(labels, each)
    size = batch_for(denoiser, batch_size, gradients=scaled is not None)
    images = []
    with _in_eval_mode(denoiser):
        for start in range(0, len(drawn), size):
            rows = slice(start, start + size)
            noise = starting_noise(drawn[rows], denoiser.shape, highest)
            xt = (noise * expand(torch.as_tensor(signs[rows], dtype=noise.dtype), noise)).to(denoiser.device)
            model, ratio = denoiser, scaled
            if denoiser.classes:
                own = torch.as_tensor(classes[rows])
                model, ratio = denoiser.given(own), None if scaled is None else scaled.given(own)
            model = model if ratio is None else guided(model, ratio)
            with torch.no_grad():
                for x in solve(model, xt, levels, solver):
                    xt = x
            images.append(to_images(xt))
            if on_batch is not None:
                on_batch(min(start + size, len(drawn)) // each)
    return np.concatenate(images) if images else np.zeros((0, *denoiser.shape[1:], denoiser.shape[0]), np.uint8)
