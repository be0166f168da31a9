"""The time-dependent density ratio r = p_ref(xt) / p_bias(xt): a calibrated logit of the frozen denoiser's own features.

Fitted at some noise levels and interpolated linearly in log sigma. K-fold cross-fitted: every image that the fit has seen can be scored
by the fold that did not see it. Reference = 1, biased = 0, both classes equally heavy, so that log r is the logit (docs/METHOD.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..data import ImageSet
from ..errors import UserInputError
from ..files import write_atomic
from ..model.denoiser import Denoiser
from ..streams import stream
from .components import Components
from .difference import difference_test
from .estimators import fit
from .features import RatioConfig, RatioEncoder, RatioFeatures, clear_level, clear_levels, ratio_features
from .heads import HEADS, Head, tensors_of

_TENSORS = ("log_sigmas", "folds", "gap_map", "gap_biased", "gap_counts", "gap_reference")
_ARRAYS = ("scored", "log_ratio_biased", "log_ratio_reference", "train_cross_entropy", "p_equal")
GAP_COMPONENTS = 100  # at most, and one for 20 biased images: the tail of a whitening is noise


@dataclass(frozen=True)
class DensityRatio:
    """log r(xt, sigma), a callable (xt [B,C,H,W], sigma [B]) -> [B], differentiable in xt: the mean of the folds.

    `held_out(items)` gives the same callable with each row scored by the fold that did not see it. An item is a row of the biased
    set followed by the reference set.
    """

    denoiser: RatioEncoder  # frozen, a tiw.Denoiser as a rule; its features are what the ratio sees
    log_sigmas: Tensor  # [L] ascending
    head: Head  # logits [B, L, K] at every level, by every fold's fit
    folds: Tensor  # [n_biased + n_reference] fold that did not see the item; -1: seen by none
    scored: np.ndarray  # [m] rows of the biased set that were fitted and scored
    log_ratio_biased: np.ndarray  # [L, m] held out, strength 1, not normalised
    log_ratio_reference: np.ndarray  # [L, n_reference] likewise
    train_cross_entropy: np.ndarray  # [L] nats, classes equally heavy, on the folds' own training items
    p_equal: (
        np.ndarray
    )  # [L] p-values of "the sets do not differ at this level", adjusted for all levels (tiw.ratio.difference); NaN: not tested
    about: dict  # estimator, what it chose, held-out cross-entropy of each estimator that was fitted
    gap_map: Tensor  # [F, Q] features at the clear level -> whitened principal components, which measure the gap (tiw.debiasing.strength)
    gap_biased: Tensor  # [K, Q] the mean of the biased images of each fold there; where they have classes, in the reference's shares
    gap_counts: Tensor  # [K] how many images each of these means is as sure as
    gap_reference: Tensor  # [n_reference, Q] the reference images there
    strength: float = 1.0  # alpha
    offsets: Tensor | None = None  # [L] b(sigma); None: zero
    items: Tensor | None = None  # [B] items of the batch, when held out

    @property
    def n_folds(self) -> int:
        return self.head.shape[1]

    @property
    def sigmas(self) -> np.ndarray:
        """Noise levels of the fit, ascending, [L]."""
        return self.log_sigmas.exp().cpu().numpy()

    @property
    def clear_log_ratio(self) -> np.ndarray:
        """Held-out log r of the scored biased images, [m], where the noise hides nothing: the mean of the levels up to CLEAR_TO."""
        return self.log_ratio_biased[clear_levels(self.sigmas)].mean(0)

    def __call__(self, xt: Tensor, sigma: Tensor) -> Tensor:
        return self.from_features(self.denoiser.features(xt, sigma), sigma)

    def from_features(self, features: Tensor, sigma: Tensor) -> Tensor:
        """log r_alpha [B] = alpha * log r + b(sigma) from features [B, F]."""
        logits = self.head(features)  # [B, L, K]
        if self.items is None:
            logit = logits.mean(2)
        else:
            fold = self.folds[self.items]
            own = logits.gather(2, fold.clamp(min=0)[:, None, None].expand(-1, logits.shape[1], 1))[..., 0]
            logit = torch.where((fold >= 0)[:, None], own, logits.mean(2))
        logit = self.strength * logit if self.offsets is None else self.strength * logit + self.offsets
        return (logit * self._interpolation(sigma)).sum(1)

    def _interpolation(self, sigma: Tensor) -> Tensor:
        """Weights [B, L] of linear interpolation in log sigma; beyond the ends, the ends."""
        logs = self.log_sigmas
        if len(logs) == 1:
            return logs.new_ones(len(sigma), 1)
        log_sigma = sigma.float().log().clamp(logs[0], logs[-1])
        upper = torch.searchsorted(logs, log_sigma.contiguous()).clamp(1, len(logs) - 1)
        t = (log_sigma - logs[upper - 1]) / (logs[upper] - logs[upper - 1])
        weights = log_sigma.new_zeros(len(sigma), len(logs))
        return weights.scatter(1, (upper - 1)[:, None], (1 - t)[:, None]).scatter(1, upper[:, None], t[:, None])

    def held_out(self, items: Tensor | np.ndarray) -> DensityRatio:
        """The same callable for a batch of these items [B], each row scored by the fold that did not see it."""
        return replace(self, items=torch.as_tensor(items, device=self.folds.device))

    def given(self, labels: Tensor) -> DensityRatio:
        """The same callable with the features of a class-conditional denoiser, each row given its class, [B]."""
        return replace(self, denoiser=self.denoiser.given(labels))

    def of_fold(self, fold: int) -> DensityRatio:
        """The ratio of one fold alone, which has not seen that fold's items."""
        return replace(self, head=self.head.of_fold(fold), items=None)

    def scaled(self, strength: float) -> DensityRatio:
        """log r_alpha = strength * log r + b(sigma), with b such that the held-out mean of r_alpha over the biased set is 1."""
        scaled = torch.as_tensor(strength * self.log_ratio_biased)
        offsets = np.log(scaled.shape[1]) - torch.logsumexp(scaled, 1)
        return replace(self, strength=strength, offsets=offsets.to(self.log_sigmas))

    def shares_pass(self, denoiser: object) -> bool:
        """Whether `denoiser` is the one whose features this ratio reads."""
        return denoiser is self.denoiser

    def shared_pass(self) -> SharedPass:
        """log r and D of the ratio's own denoiser from one forward pass."""
        return SharedPass(self)

    def to(self, device: torch.device | str) -> DensityRatio:
        """The same on another device; the denoiser stays where it is."""
        moved = {name: getattr(self, name).to(device) for name in _TENSORS}
        head = replace(self.head, **{name: tensor.to(device) for name, tensor in tensors_of(self.head).items()})
        return replace(self, head=head, **moved, offsets=None if self.offsets is None else self.offsets.to(device))

    def save(self, path: str | Path) -> None:
        """Write ratio.safetensors and ratio.json into the folder `path`; of the denoiser, the fingerprint of its weights."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        tensors = {name: getattr(self, name).cpu().contiguous() for name in _TENSORS}
        tensors |= {f"head.{name}": tensor.cpu().contiguous() for name, tensor in tensors_of(self.head).items()}
        save_file(tensors | {name: torch.as_tensor(getattr(self, name)) for name in _ARRAYS}, path / "ratio.safetensors")
        about = {"schema_version": 2, **self.about, "weights": _weights(self.denoiser)}
        write_atomic(path / "ratio.json", (json.dumps(about, indent=2) + "\n").encode())  # last: where it lies, the ratio is whole

    @classmethod
    def load(cls, path: str | Path, denoiser: Denoiser) -> DensityRatio:
        """Read what `save` wrote; `denoiser` must be the one it was fitted with. Raises UserInputError for another one, and for another
        version's ratio."""
        raw, about = load_file(Path(path) / "ratio.safetensors"), json.loads((Path(path) / "ratio.json").read_text())
        if about.pop("schema_version") != 2:
            raise UserInputError("audit", f"{path} holds a ratio of another version", "run the audit again")
        if about.pop("weights", None) not in (None, _weights(denoiser)):  # none was kept before, nor is one of pixels
            raise UserInputError("audit", f"the baseline has other weights than when {path} was fitted with it", "run the audit again")
        head = HEADS[about["estimator"]](**{name[5:]: raw.pop(name) for name in list(raw) if name.startswith("head.")})
        raw.setdefault("gap_counts", raw["folds"][raw["scored"]].bincount().float())  # kept before there were classes
        raw.setdefault("p_equal", torch.full_like(raw["log_sigmas"], torch.nan))  # kept before sets were tested
        tensors = {name: raw.pop(name) for name in _TENSORS}
        arrays = {name: value.numpy() for name, value in raw.items()}
        return cls(denoiser, head=head, **tensors, **arrays, about=about).to(denoiser.device)


def _weights(denoiser: RatioEncoder) -> str | None:
    """The fingerprint of a network's weights; None for pixels."""
    return denoiser.sha256() if isinstance(denoiser, Denoiser) else None


class SharedPass:
    """Two callables, `log_ratio` and `denoiser`, over one forward pass: the second must be called with the first's xt."""

    def __init__(self, ratio: DensityRatio):
        self.ratio = ratio
        self._denoised: Tensor | None = None

    def log_ratio(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """log r [B], differentiable in xt; keeps D(xt; sigma) for `denoiser`."""
        self._denoised, features = self.ratio.denoiser.with_features(xt, sigma)
        return self.ratio.from_features(features, sigma)

    def denoiser(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """D(xt; sigma), [B,C,H,W], of the forward pass that `log_ratio` made."""
        denoised, self._denoised = self._denoised, None
        assert denoised is not None and denoised.shape == xt.shape, "call log_ratio first"
        return denoised


def fit_density_ratio(
    biased: ImageSet,
    reference: ImageSet,
    denoiser: RatioEncoder,
    config: RatioConfig | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> DensityRatio:
    """Fit log r between two image sets at `config.sigmas`, cross-fitted (docs/METHOD.md). Deterministic for a seed.

    Freezes `denoiser`. `on_progress(done, total)` counts encoder passes.
    """
    if isinstance(denoiser, Denoiser):
        denoiser.requires_grad_(False).eval()
    return fit_to_features(ratio_features(biased, reference, denoiser, config, on_progress), denoiser, config)


def fit_to_features(features: RatioFeatures, denoiser: RatioEncoder, config: RatioConfig | None = None) -> DensityRatio:
    """The fit of `fit_density_ratio` on features already computed by `denoiser`."""
    config = config or RatioConfig()
    rng = stream(config.seed, "folds")
    m, n_reference = len(features.scored), features.reference.shape[2]
    fold_b, fold_r = rng.permutation(m) % config.folds, rng.permutation(n_reference) % config.folds
    folds = np.full(features.n_biased + n_reference, -1)
    folds[features.scored], folds[features.n_biased :] = fold_b, fold_r
    found, tried = fit(features, fold_b, fold_r, config)
    gap_level = clear_level(config.sigmas)
    gap_map = whitening(features.biased[gap_level], config.seed)
    of_biased = features.biased[gap_level] @ gap_map
    # A class-conditional model is measured on the reference's classes. The tiny share: where a fold has none of them, its plain mean.
    weight = torch.ones(m) if features.class_weight is None else torch.from_numpy(features.class_weight).float() + 1e-9
    of_fold = [torch.from_numpy(fold_b == k) for k in range(config.folds)]
    return DensityRatio(
        denoiser,
        log_sigmas=torch.tensor(config.sigmas, dtype=torch.float32).log(),
        head=found.head,
        folds=torch.from_numpy(folds),
        scored=features.scored,
        log_ratio_biased=found.biased,
        log_ratio_reference=found.reference,
        train_cross_entropy=found.train_cross_entropy,
        p_equal=difference_test(features, config),
        about={"estimator": found.estimator, **found.about, "cross_entropy": tried},
        gap_map=gap_map,
        gap_biased=torch.stack([weight[rows] @ of_biased[rows] / weight[rows].sum() for rows in of_fold]),
        gap_counts=torch.stack([weight[rows].sum() ** 2 / weight[rows].square().sum() for rows in of_fold]),
        gap_reference=features.reference[gap_level, 0] @ gap_map,
    ).to(denoiser.device)


def whitening(biased: Tensor, seed: int) -> Tensor:
    """Map [F, Q] to the leading principal components of standardised features, each of unit variance."""
    components = Components.of(biased, max(2, min(GAP_COMPONENTS, len(biased) // 20)), seed)
    return components.basis / components.std[:, None] / components(biased).std(0).clamp_min(1e-6)
