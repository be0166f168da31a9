"""Training objectives (docs/METHOD.md). Every function returns one loss per example, [B], for tensors [B, ...] of any trailing shape.

`denoiser` is any callable (xt, sigma) -> [B, ...], `log_ratio` any callable (xt, sigma) -> [B]. `sigma` is [B].
"""

from __future__ import annotations

from torch import Tensor

from ..model.correction import Correction, DenoiserFn, LogRatioFn, LossWeightFn, correction_at
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
    return _squared_error(denoiser(perturb(x0, noise, sigma), sigma), x0, sigma, sigma_data, loss_weight)


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
    *,
    sigma_data: float = 0.5,
    loss_weight: LossWeightFn | None = None,
) -> Tensor:
    """Time-dependent importance reweighting, [B] (the paper, Eq. 8-10).

    w(xt, sigma) * lambda(sigma) * mean((D - target)^2) with target = x0 + sigma^2 grad log w.

    `reference_share` is the share of reference items in the distribution x0 is drawn from, `strength` a plain factor on
    log r. `use_weight=False` sets the outer w to 1, `use_correction=False` drops the gradient. w and its gradient are constants for the
    optimiser.
    """
    xt = perturb(x0, noise, sigma)
    correction = correction_at(log_ratio, xt, sigma, use_correction).scaled(strength)
    return corrected(
        denoiser, x0, xt, sigma, correction, reference_share, use_weight, use_correction, sigma_data=sigma_data, loss_weight=loss_weight
    )


def corrected(
    denoiser: DenoiserFn,
    x0: Tensor,
    xt: Tensor,
    sigma: Tensor,
    correction: Correction,
    reference_share: float = 0.0,
    use_weight: bool = True,
    use_correction: bool = True,
    *,
    sigma_data: float = 0.5,
    loss_weight: LossWeightFn | None = None,
) -> Tensor:
    """`tiw_dsm` [B] where log r and its gradient at xt are known already: for whoever needs them a second time."""
    target = x0
    if use_correction:
        target = target + expand(sigma**2, xt) * correction.weight_gradient(reference_share)
    loss = _squared_error(denoiser(xt, sigma), target, sigma, sigma_data, loss_weight)
    return correction.log_weight(reference_share).exp().to(loss) * loss if use_weight else loss


def _squared_error(denoised: Tensor, target: Tensor, sigma: Tensor, sigma_data: float, loss_weight: LossWeightFn | None) -> Tensor:
    weight = edm_loss_weight(sigma, sigma_data) if loss_weight is None else loss_weight(sigma)
    return weight * (denoised - target).square().flatten(1).mean(1)
