"""The time-dependent density ratio r = p_ref(xt) / p_bias(xt), from the frozen denoiser's own features.

Convex estimator: at some noise levels, a ridge logistic regression on the leading principal components of the features,
reference = 1, biased = 0, both classes equally heavy, so that log r is the logit (docs/METHOD.md). The weights are mapped
back to the features and interpolated linearly in log sigma. K-fold cross-fitted: every image the fit has seen can be scored by the
fold that did not see it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from .data import ImageSet
from .denoiser import Denoiser
from .errors import UserInputError
from .noise import to_x0

_TENSORS = ("log_sigmas", "weights", "biases", "folds", "gap_map", "gap_biased", "gap_reference")
_ARRAYS = ("scored", "log_ratio_biased", "log_ratio_reference", "train_cross_entropy")
GAP_SIGMA = 0.3  # the gap is measured at the level nearest to it: images are clear, their last details are not
GAP_COMPONENTS = 100  # at most, and one for 20 biased images: the tail of a whitening is noise


@dataclass(frozen=True)
class RatioConfig:
    """How the ratio is fitted."""

    sigmas: tuple[float, ...] = (0.03, 0.08, 0.2, 0.5, 1.3, 3.2, 8.0, 20.0)
    folds: int = 5
    components: int = 200  # principal components of the features
    inverse_penalties: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3)  # C; the best out of fold is taken
    biased_images: int = 2000  # scored and fitted; the others are scored by the mean of the folds
    reference_draws: int = 3  # noise draws of each reference image in the fit: they are few, noise is free
    batch_size: int = 128
    seed: int = 0


@dataclass(frozen=True)
class DensityRatio:
    """log r(xt, sigma), a callable (xt [B,C,H,W], sigma [B]) -> [B], differentiable in xt: the mean of the folds.

    `held_out(items)` gives the same callable with each row scored by the fold that did not see it. An item is a row of the biased
    set followed by the reference set.
    """

    denoiser: Denoiser  # frozen; its features are what the ratio sees
    log_sigmas: Tensor  # [L] ascending
    weights: Tensor  # [L, K, F]
    biases: Tensor  # [L, K]
    folds: Tensor  # [n_biased + n_reference] fold that did not see the item; -1: seen by none
    scored: np.ndarray  # [m] rows of the biased set that were fitted and scored
    log_ratio_biased: np.ndarray  # [L, m] held out, strength 1, not normalised
    log_ratio_reference: np.ndarray  # [L, n_reference] likewise
    train_cross_entropy: np.ndarray  # [L] nats, classes equally heavy, on the folds' own training items
    inverse_penalty: float
    gap_map: Tensor  # [F, Q] features at GAP_SIGMA -> whitened principal components, which measure the gap (tiw.strength)
    gap_biased: Tensor  # [K, Q] the mean of the biased images of each fold there
    gap_reference: Tensor  # [n_reference, Q] the reference images there
    strength: float = 1.0  # alpha
    offsets: Tensor | None = None  # [L] b(sigma); None: zero
    items: Tensor | None = None  # [B] items of the batch, when held out

    @property
    def sigmas(self) -> np.ndarray:
        """Noise levels of the fit, ascending, [L]."""
        return self.log_sigmas.exp().cpu().numpy()

    def __call__(self, xt: Tensor, sigma: Tensor) -> Tensor:
        return self.from_features(self.denoiser.features(xt, sigma), sigma)

    def from_features(self, features: Tensor, sigma: Tensor) -> Tensor:
        """log r_alpha [B] = alpha * log r + b(sigma) from features [B, F]."""
        levels, folds, width = self.weights.shape
        logits = (features @ self.weights.reshape(-1, width).T).unflatten(1, (levels, folds)) + self.biases  # [B, L, K]
        if self.items is None:
            logit = logits.mean(2)
        else:
            fold = self.folds[self.items]
            own = logits.gather(2, fold.clamp(min=0)[:, None, None].expand(-1, levels, 1))[..., 0]
            logit = torch.where((fold >= 0)[:, None], own, logits.mean(2))
        logit = self.strength * logit if self.offsets is None else self.strength * logit + self.offsets
        return (logit * self._interpolation(sigma)).sum(1)

    def _interpolation(self, sigma: Tensor) -> Tensor:
        """Weights [B, L] of linear interpolation in log sigma; beyond the ends, the ends."""
        logs = self.log_sigmas
        log_sigma = sigma.float().log().clamp(logs[0], logs[-1])
        upper = torch.searchsorted(logs, log_sigma.contiguous()).clamp(1, len(logs) - 1)
        t = (log_sigma - logs[upper - 1]) / (logs[upper] - logs[upper - 1])
        weights = log_sigma.new_zeros(len(sigma), len(logs))
        return weights.scatter(1, (upper - 1)[:, None], (1 - t)[:, None]).scatter(1, upper[:, None], t[:, None])

    def held_out(self, items: Tensor | np.ndarray) -> DensityRatio:
        """The same callable for a batch of these items [B], each row scored by the fold that did not see it."""
        return replace(self, items=torch.as_tensor(items, device=self.folds.device))

    def of_fold(self, fold: int) -> DensityRatio:
        """The ratio of one fold alone, which has not seen that fold's items."""
        return replace(self, weights=self.weights[:, fold : fold + 1], biases=self.biases[:, fold : fold + 1], items=None)

    def scaled(self, strength: float) -> DensityRatio:
        """log r_alpha = strength * log r + b(sigma), with b such that the held-out mean of r_alpha over the biased set is 1."""
        scaled = torch.as_tensor(strength * self.log_ratio_biased)
        offsets = np.log(scaled.shape[1]) - torch.logsumexp(scaled, 1)
        return replace(self, strength=strength, offsets=offsets.to(self.biases))

    def shares_pass(self, denoiser: object) -> bool:
        """Whether `denoiser` is the one whose features this ratio reads."""
        return denoiser is self.denoiser

    def shared_pass(self) -> SharedPass:
        """log r and D of the ratio's own denoiser from one forward pass."""
        return SharedPass(self)

    def to(self, device: torch.device | str) -> DensityRatio:
        moved = {name: getattr(self, name).to(device) for name in _TENSORS}
        return replace(self, **moved, offsets=None if self.offsets is None else self.offsets.to(device))

    def save(self, path: str | Path) -> None:
        """Write ratio.safetensors and ratio.json into the folder `path` (not the denoiser)."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        tensors = {name: getattr(self, name).cpu().contiguous() for name in _TENSORS}
        save_file(tensors | {name: torch.as_tensor(getattr(self, name)) for name in _ARRAYS}, path / "ratio.safetensors")
        about = {"schema_version": 1, "estimator": "convex", "inverse_penalty": self.inverse_penalty}
        (path / "ratio.json").write_text(json.dumps(about, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path, denoiser: Denoiser) -> DensityRatio:
        """Read what `save` wrote; `denoiser` must be the one it was fitted with."""
        raw = load_file(Path(path) / "ratio.safetensors")
        if missing := {*_TENSORS, *_ARRAYS} - set(raw):
            raise UserInputError("audit", f"{path} holds a ratio without {', '.join(sorted(missing))}", "run the audit again")
        tensors = {name: raw.pop(name) for name in _TENSORS}
        arrays = {name: value.numpy() for name, value in raw.items()}
        about = json.loads((Path(path) / "ratio.json").read_text())
        return cls(denoiser, **tensors, **arrays, inverse_penalty=about["inverse_penalty"]).to(denoiser.device)


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
        """D(xt; sigma) of the forward pass that `log_ratio` made."""
        denoised, self._denoised = self._denoised, None
        assert denoised is not None and denoised.shape == xt.shape, "call log_ratio first"
        return denoised


def item_noise(seed: int, item: int, shape: tuple[int, ...], draw: int = 0) -> np.ndarray:
    """The fixed noise an item is scored with, float32 [*shape]; draw 0 is the one shown to the user (tiw.data.noisy_strip)."""
    key = [seed, item] if draw == 0 else [seed, item, draw]
    return np.random.default_rng(key).standard_normal(shape).astype(np.float32)


@torch.no_grad()
def features_at(
    denoiser: Denoiser,
    images: np.ndarray,
    items: np.ndarray,
    sigmas: tuple[float, ...] | np.ndarray,
    seed: int,
    draws: int = 1,
    batch_size: int = 128,
    on_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """Features of perturbed images, float32 [L, draws, n, F]: images uint8 [n,H,W,3], one fixed noise per item and draw."""
    out: Tensor | None = None
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        x0 = to_x0(images[rows])
        for draw in range(draws):
            noise = torch.from_numpy(np.stack([item_noise(seed, int(i), tuple(x0.shape[1:]), draw) for i in items[rows]]))
            for level, sigma in enumerate(sigmas):
                s = x0.new_full((len(x0),), float(sigma)).to(denoiser.device)
                f = denoiser.features((x0 + float(sigma) * noise).to(denoiser.device), s).cpu()
                if out is None:
                    out = torch.empty(len(sigmas), draws, len(images), f.shape[1])
                out[level, draw, rows] = f
                if on_batch is not None:
                    on_batch(len(x0))
    assert out is not None, "no images"
    return out


@dataclass(frozen=True)
class RatioFeatures:
    """What a ratio is fitted on: features of perturbed images, one fixed noise per item and draw."""

    scored: np.ndarray  # [m] rows of the biased set
    biased: Tensor  # [L, m, F]
    reference: Tensor  # [L, draws, n_reference, F]
    n_biased: int  # size of the whole biased set


def ratio_features(
    biased: ImageSet,
    reference: ImageSet,
    denoiser: Denoiser,
    config: RatioConfig | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> RatioFeatures:
    """Encode a seeded draw of the biased set and all of the reference at `config.sigmas`; `on_progress(done, total)` counts passes."""
    config = config or RatioConfig()
    scored = np.sort(np.random.default_rng([config.seed, 1]).permutation(len(biased))[: config.biased_images])
    total = len(config.sigmas) * (len(scored) + config.reference_draws * len(reference))
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        if on_progress is not None:
            on_progress(done, total)

    common = {"sigmas": config.sigmas, "seed": config.seed, "batch_size": config.batch_size, "on_batch": count}
    items = len(biased) + np.arange(len(reference))
    of_reference = features_at(denoiser, reference.images, items, draws=config.reference_draws, **common)
    of_biased = features_at(denoiser, biased.images[scored], scored, **common)[:, 0]
    return RatioFeatures(scored, of_biased, of_reference, len(biased))


def fit_density_ratio(
    biased: ImageSet,
    reference: ImageSet,
    denoiser: Denoiser,
    config: RatioConfig | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> DensityRatio:
    """Fit log r between two image sets at `config.sigmas`, cross-fitted (docs/METHOD.md). Deterministic for a seed.

    Freezes `denoiser`. `on_progress(done, total)` counts encoder passes.
    """
    denoiser.requires_grad_(False).eval()
    return fit_to_features(ratio_features(biased, reference, denoiser, config, on_progress), denoiser, config)


def fit_to_features(features: RatioFeatures, denoiser: Denoiser, config: RatioConfig | None = None) -> DensityRatio:
    """The fit of `fit_density_ratio` on features already computed by `denoiser`."""
    config = config or RatioConfig()
    rng = np.random.default_rng([config.seed, 2])
    m, n_reference = len(features.scored), features.reference.shape[2]
    fold_b, fold_r = rng.permutation(m) % config.folds, rng.permutation(n_reference) % config.folds
    folds = np.full(features.n_biased + n_reference, -1)
    folds[features.scored], folds[features.n_biased :] = fold_b, fold_r
    levels = [_fit_level(b, r, fold_b, fold_r, config) for b, r in zip(features.biased, features.reference, strict=True)]
    # One penalty for all levels: the folds' votes are noisy, and neighbouring levels should not jump.
    best = int(np.argmin(np.mean([level.cross_entropy for level in levels], axis=0)))
    gap_level = int(np.argmin(np.abs(np.log(np.array(config.sigmas) / GAP_SIGMA))))
    gap_map = _whitening(features.biased[gap_level], config.seed)
    of_biased = features.biased[gap_level] @ gap_map
    return DensityRatio(
        denoiser,
        log_sigmas=torch.tensor(config.sigmas).log(),
        weights=torch.stack([level.weights[best] for level in levels]),
        biases=torch.stack([level.biases[best] for level in levels]),
        folds=torch.from_numpy(folds),
        scored=features.scored,
        log_ratio_biased=np.stack([level.biased[best] for level in levels]),
        log_ratio_reference=np.stack([level.reference[best] for level in levels]),
        train_cross_entropy=np.stack([level.train_cross_entropy[best] for level in levels]),
        inverse_penalty=config.inverse_penalties[best],
        gap_map=gap_map,
        gap_biased=torch.stack([of_biased[torch.from_numpy(fold_b == k)].mean(0) for k in range(config.folds)]),
        gap_reference=features.reference[gap_level, 0] @ gap_map,
    ).to(denoiser.device)


def _whitening(biased: Tensor, seed: int) -> Tensor:
    """Map [F, Q] to the leading principal components of standardised features, each of unit variance."""
    mean, std = biased.mean(0), biased.std(0).clamp_min(1e-6)
    basis = _principal_directions((biased - mean) / std, max(2, min(GAP_COMPONENTS, len(biased) // 20)), seed)
    spread = ((biased - mean) / std @ basis).std(0).clamp_min(1e-6)
    return basis / std[:, None] / spread


def _principal_directions(z: Tensor, q: int, seed: int) -> Tensor:
    """The leading `q` principal directions [F, Q] of centred rows [n, F], by randomised SVD from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.pca_lowrank(z, q=min(q, *z.shape), center=False, niter=2)[2]


@dataclass(frozen=True)
class _Level:
    """Fits at one noise level, one per penalty P."""

    weights: list[Tensor]  # P x [K, F]
    biases: list[Tensor]  # P x [K]
    biased: list[np.ndarray]  # P x [m] held-out logits
    reference: list[np.ndarray]  # P x [n_ref] held-out logits, of draw 0
    cross_entropy: list[float]  # P, held out
    train_cross_entropy: list[float]  # P


def _fit_level(biased: Tensor, reference: Tensor, fold_b: np.ndarray, fold_r: np.ndarray, config: RatioConfig) -> _Level:
    """biased [m, F], reference [draws, n_ref, F] -> out-of-fold logistic regressions on principal components."""
    draws, n_ref, width = reference.shape
    x = torch.cat([biased, reference.reshape(-1, width)])
    mean, std = x.mean(0), x.std(0).clamp_min(1e-6)
    z = (x - mean) / std
    basis = _principal_directions(z, config.components, config.seed)
    q = (z @ basis).double().numpy()
    label = np.r_[np.zeros(len(biased)), np.ones(draws * n_ref)]
    fold = np.r_[fold_b, np.tile(fold_r, draws)]
    # Both classes equally heavy, total weight the number of images.
    heavy = np.where(label == 1, 0.5 / (draws * n_ref), 0.5 / len(biased)) * (len(biased) + n_ref)

    fits = _Level([], [], [], [], [], [])
    for c in config.inverse_penalties:
        logits, coefs, intercepts, train = np.empty(len(q)), [], [], []
        for k in range(config.folds):
            own = fold != k
            model = LogisticRegression(C=c, solver="newton-cholesky").fit(q[own], label[own], sample_weight=heavy[own])
            logits[~own] = model.decision_function(q[~own])
            train.append(_balanced_cross_entropy(model.decision_function(q[own]), label[own]))
            coefs.append(basis @ torch.from_numpy(model.coef_[0]).float() / std)
            intercepts.append(float(model.intercept_[0]) - float(coefs[-1] @ mean))
        fits.weights.append(torch.stack(coefs))
        fits.biases.append(torch.tensor(intercepts))
        fits.biased.append(logits[: len(biased)].astype(np.float32))
        fits.reference.append(logits[len(biased) : len(biased) + n_ref].astype(np.float32))
        fits.cross_entropy.append(_balanced_cross_entropy(logits, label))
        fits.train_cross_entropy.append(float(np.mean(train)))
    return fits


def _balanced_cross_entropy(logits: np.ndarray, label: np.ndarray) -> float:
    """Cross-entropy in nats with both classes equally heavy: log 2 for a coin."""
    loss = F.softplus(torch.from_numpy(np.where(label == 1, -logits, logits)))
    return float(loss[label == 1].mean() + loss[label == 0].mean()) / 2
