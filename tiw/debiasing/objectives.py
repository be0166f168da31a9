"""Training objectives (docs/METHOD.md). Every function returns one loss per example, [B], for tensors [B, ...] of any trailing shape.

`denoiser` and `baseline` are any callable (xt, sigma) -> [B, ...], `log_ratio` any callable (xt, sigma) -> [B]. `sigma` is [B].
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.correction import DenoiserFn, LogRatioFn, LossWeightFn, log_ratio_and_gradient, log_weight
from ..model.noise import edm_loss_weight, expand, perturb


def dsm(
    denoiser: DenoiserFn,
    x0: Tensor,
    noise: Tensor,
    sigma: Tensor,
    *,
    sigma_data: float = 0.5,
    loss_weight: LossWeightFn | None = None,
) -> Tensor:
    """Denoising score matching: lambda(sigma) * mean((D(xt; sigma) - x0)^2), [B] (EDM, Eq. 2).

    With a batch drawn from the reference this is DSM(ref), from the mixture q DSM(obs).
    """
    sample = perturb(x0, noise, sigma)
    return _squared_error(denoiser(sample.xt, sigma), x0, sigma, sigma_data, loss_weight)


def iw_dsm(
    denoiser: DenoiserFn,
    x0: Tensor,
    noise: Tensor,
    sigma: Tensor,
    weight: Tensor,
    *,
    sigma_data: float = 0.5,
    loss_weight: LossWeightFn | None = None,
) -> Tensor:
    """Time-independent importance reweighting: `weight` [B] (the weight at sigma -> 0) times DSM, [B] (the paper, Eq. 5)."""
    assert weight.shape == sigma.shape, (weight.shape, sigma.shape)
    return weight.detach() * dsm(denoiser, x0, noise, sigma, sigma_data=sigma_data, loss_weight=loss_weight)


def tiw_dsm(
    denoiser: DenoiserFn,
    x0: Tensor,
    noise: Tensor,
    sigma: Tensor,
    log_ratio: LogRatioFn,
    reference_share: float = 0.0,
    strength: float = 1.0,
    use_weight: bool = True,
    use_correction: bool = True,
    anchor: float | Tensor = 0.0,
    baseline: DenoiserFn | None = None,
    *,
    sigma_data: float = 0.5,
    loss_weight: LossWeightFn | None = None,
) -> Tensor:
    """Time-dependent importance reweighting, [B] (the paper, Eq. 8-10; the anchored target: docs/METHOD.md).

    w(xt, sigma) * lambda(sigma) * mean((D - target)^2) with
    target = (1 - c) * (x0 + sigma^2 grad log w) + c * (baseline(xt, sigma) + sigma^2 grad log r), c = `anchor` (a number or [B]).

    `reference_share` is the share of reference items in the distribution x0 is drawn from, `strength` a plain factor on
    log r. `use_weight=False` sets the outer w to 1, `use_correction=False` drops both gradients. w, its gradient and the
    baseline are constants for the optimiser.
    """
    assert baseline is not None or (isinstance(anchor, float | int) and anchor == 0), "an anchored target needs the baseline"
    xt = perturb(x0, noise, sigma).xt
    log_r, grad_log_r = log_ratio_and_gradient(log_ratio, xt, sigma, use_correction)
    log_r, grad_log_r = strength * log_r, strength * grad_log_r
    log_w = log_weight(log_r, reference_share)

    target = x0
    if use_correction:
        # d log w / d log r = (1 - pi) / ((1 - pi) + pi r) = (1 - pi) w / r
        grad_log_w = expand((1 - reference_share) * (log_w - log_r).exp(), xt) * grad_log_r
        target = target + expand(sigma**2, xt) * grad_log_w
    if baseline is not None and not (isinstance(anchor, float | int) and anchor == 0):
        with torch.no_grad():
            anchored = baseline(xt, sigma)
        if use_correction:
            anchored = anchored + expand(sigma**2, xt) * grad_log_r
        c = expand(anchor, xt) if isinstance(anchor, Tensor) else anchor
        target = (1 - c) * target + c * anchored

    loss = _squared_error(denoiser(xt, sigma), target, sigma, sigma_data, loss_weight)
    return log_w.exp().to(loss) * loss if use_weight else loss


def _squared_error(denoised: Tensor, target: Tensor, sigma: Tensor, sigma_data: float, loss_weight: LossWeightFn | None) -> Tensor:
    weight = edm_loss_weight(sigma, sigma_data) if loss_weight is None else loss_weight(sigma)
    return weight * (denoised - target).square().flatten(1).mean(1)
