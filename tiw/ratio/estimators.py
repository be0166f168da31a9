"""Two estimators of the logit of "this is a reference image" from features, both cross-fitted and calibrated on held-out folds.

**Convex**: at every noise level Fisher's discriminant with a ridge, in closed form, and the logistic scale of its calibration.
**Network**: one small time-conditioned network for all levels (the paper's time-dependent discriminator), stopped early on the held-out
folds. It can bend, and needs more reference images to do so (docs/METHOD.md, "The ratio").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional as F

from .components import Components, principal_directions
from .features import RatioConfig, RatioFeatures, clear_levels
from .heads import ConvexHead, Head, NetworkHead, network_logits

ESTIMATORS = ("convex", "network")
NETWORK_FROM = 500  # reference images: fewer give it nothing to bend on (docs/LOG.md)
HIDDEN, EPOCHS, PATIENCE, BATCH = 64, 60, 6, 256
SOFTENING = 0.015  # of the features' whole variance
SLOPE_SPREAD = 0.3  # prior standard deviation of a calibration slope around 1: at high noise there is little to calibrate on


@dataclass(frozen=True)
class Fit:
    """What an estimator found: the logit of every image (noise draw 0) by every fold's fit."""

    estimator: str
    head: Head
    of_biased: np.ndarray  # [L, m, K]
    of_reference: np.ndarray  # [L, n_reference, K]
    fold_b: np.ndarray  # [m] the fold that did not see the image
    fold_r: np.ndarray  # [n_reference]
    about: dict  # what it chose

    @property
    def biased(self) -> np.ndarray:
        """Held-out logits, [L, m]."""
        return np.take_along_axis(self.of_biased, self.fold_b[None, :, None], 2)[..., 0]

    @property
    def reference(self) -> np.ndarray:
        """Held-out logits, [L, n_reference]."""
        return np.take_along_axis(self.of_reference, self.fold_r[None, :, None], 2)[..., 0]

    @property
    def cross_entropy(self) -> float:
        """Held out, mean over the levels, nats."""
        return float(np.mean([balanced_cross_entropy(*level) for level in zip(self.biased, self.reference, strict=True)]))

    @property
    def train_cross_entropy(self) -> np.ndarray:
        """[L], mean over the folds, each on the images that it did see."""
        seen = [(self.of_biased[:, self.fold_b != k, k], self.of_reference[:, self.fold_r != k, k]) for k in range(self.head.shape[1])]
        return np.mean([[balanced_cross_entropy(*level) for level in zip(*both, strict=True)] for both in seen], axis=0)


def fit(data: RatioFeatures, fold_b: np.ndarray, fold_r: np.ndarray, config: RatioConfig) -> tuple[Fit, dict[str, float]]:
    """The estimator asked for, or the one with the lower held-out cross-entropy; and the cross-entropy of each that was fitted.

    fold_b [m], fold_r [n_reference]: the fold that must not see the item.
    """
    wanted = ESTIMATORS if config.estimator == "auto" else (config.estimator,)
    if config.estimator == "auto" and data.reference.shape[2] < NETWORK_FROM:
        wanted = ("convex",)
    makers: dict[str, Callable[..., Fit]] = {"convex": fit_convex, "network": fit_network}
    fits = [makers[name](data, fold_b, fold_r, config) for name in wanted]
    return min(fits, key=lambda f: f.cross_entropy), {f.estimator: f.cross_entropy for f in fits}


def balanced_cross_entropy(biased: np.ndarray, reference: np.ndarray) -> float:
    """Cross-entropy in nats of logits [n] and [m] with both classes equally heavy: log 2 for a coin."""
    return float(np.logaddexp(0, biased).mean() + np.logaddexp(0, -reference).mean()) / 2


def _calibrate(found: Fit) -> Fit:
    """Slope and intercept per level by held-out likelihood; two numbers on thousands of rows, so nothing is held out again."""
    slopes, intercepts = np.empty(len(found.biased)), np.empty(len(found.biased))
    for level, (b, r) in enumerate(zip(found.biased, found.reference, strict=True)):
        n = len(r)

        def loss(p: np.ndarray, b: np.ndarray = b, r: np.ndarray = r, n: int = n) -> float:
            return n * 2 * balanced_cross_entropy(p[0] * b + p[1], p[0] * r + p[1]) + ((p[0] - 1) / SLOPE_SPREAD) ** 2 / 2

        # Held out, what folds learn from equal sets ranks the images the wrong way round: no slope below 0 may turn that into a finding.
        slopes[level], intercepts[level] = minimize(loss, [1.0, 0.0], method="L-BFGS-B", bounds=[(0, None), (None, None)]).x
    slope, intercept = (x.astype(np.float32)[:, None, None] for x in (slopes, intercepts))
    return replace(
        found,
        head=found.head.calibrated(torch.from_numpy(slope[:, 0, 0]), torch.from_numpy(intercept[:, 0, 0])),
        of_biased=slope * found.of_biased + intercept,
        of_reference=slope * found.of_reference + intercept,
        about={**found.about, "calibration_slopes": slopes.round(4).tolist()},
    )


def fit_convex(data: RatioFeatures, fold_b: np.ndarray, fold_r: np.ndarray, config: RatioConfig) -> Fit:
    """Ridge discriminants, calibrated: carried over the noise levels (`_carried`) with the first ridge, unless held out another fit,
    with another ridge or not carried, is clearly better: with few references the least cross-entropy is mostly luck.

    One ridge for all levels, so that neighbouring levels do not jump. fold_b [n], fold_r [m]: the fold of each item.
    """
    levels = [_Level.of(b, r, fold_b, config) for b, r in zip(data.biased, data.reference, strict=True)]
    kept = [torch.from_numpy(fold_r != k) for k in range(config.folds)]
    references = [torch.stack([level.reference[rows].mean(0) for rows in kept]) for level in levels]  # [L] of [K, Q]

    def fits(means: list[list[Tensor]], about: dict) -> list[Fit]:
        """One for each ridge; means: [P][L] of [K, Q]."""
        found = []
        for ridge, of_levels in zip(config.ridges, means, strict=True):
            parts = [level.discriminants(mean, ridge) for level, mean in zip(levels, of_levels, strict=True)]
            weights, biases = (torch.stack(x) for x in zip(*parts, strict=True))
            logits = [(x @ weights.transpose(1, 2) + biases[:, None]).numpy() for x in (data.biased, data.reference[:, 0])]
            found.append(_calibrate(Fit("convex", ConvexHead(weights, biases), *logits, fold_b, fold_r, {"ridge": ridge, **about})))
        return found

    direct = fits([references] * len(config.ridges), {"carried": False})
    carried = fits([_carried(found, levels, config) for found in direct], {"carried": True})
    best = min(direct + carried, key=lambda f: f.cross_entropy)
    return best if _clearly_better(best, carried[0]) else carried[0]


def _clearly_better(one: Fit, other: Fit) -> bool:
    """Whether the held-out cross-entropy, image by image, is lower by more than two standard errors."""
    gains = [
        (np.logaddexp(0, sign * getattr(other, name)) - np.logaddexp(0, sign * getattr(one, name))).mean(0)
        for sign, name in ((1, "biased"), (-1, "reference"))
    ]
    return sum(x.mean() for x in gains) > 2 * sum(x.var() / len(x) for x in gains) ** 0.5


@dataclass(frozen=True)
class _Level:
    """Features at one noise level in principal components, which all its discriminants share."""

    components: Components
    biased: Tensor  # [m, Q]
    reference: Tensor  # [n_reference, Q] the mean of the noise draws
    means: Tensor  # [K, Q] of the biased images that fold k is fitted on
    covariances: Tensor  # [K, Q, Q] likewise

    @classmethod
    def of(cls, biased: Tensor, reference: Tensor, fold_b: np.ndarray, config: RatioConfig) -> _Level:
        """biased [m, F], reference [draws, n_reference, F]."""
        both = torch.cat([biased, reference[0]])  # a direction may be constant in one set
        components = Components.of(both, config.components, config.seed)
        seen = components(biased).double()
        kept = [seen[torch.from_numpy(fold_b != k)] for k in range(config.folds)]
        moments = torch.stack([own.mean(0) for own in kept]), torch.stack([own.T.cov(correction=0) for own in kept])
        return cls(components, seen, components(reference.mean(0)).double(), *moments)

    def discriminants(self, references: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
        """Mean of the references [K, Q] -> weights [K, F] and biases [K] of Fisher's discriminant, one for each fold.

        weights = (covariance of the biased + ridge)^-1 (mean of the references - mean of the biased). The many biased images know the
        covariance; from the few references nothing is asked but a mean, which noise draws sharpen.
        """
        of = self.components
        softened = self.covariances + ridge * len(of.mean) * torch.eye(self.means.shape[1], dtype=self.means.dtype)
        found = torch.linalg.solve(softened, references - self.means)  # [K, Q]
        weights = (found @ of.basis.double().T / of.std).float()
        return weights, (-(found * (references + self.means)).sum(1) / 2).float() - weights @ of.mean


def _carried(found: Fit, levels: list[_Level], config: RatioConfig) -> list[Tensor]:
    """[L] of [K, Q]: the references' mean at every level as the biased images tell it, weighted by the ratio at the low levels.

    r at a noise level is the mean of r on the clean images that may lie under xt, E_bias[r(x0) | xt]. Where the noise hides what the
    sets differ by, a few references say little; the ratio that they give on clear images, read on thousands of biased images, says more.
    """
    log_ratio = torch.from_numpy(found.of_biased[clear_levels(config.sigmas)].mean(0)).double()  # [m, K]
    seen = torch.from_numpy(found.fold_b[:, None] != np.arange(config.folds))
    weight = log_ratio.masked_fill(~seen, -torch.inf).softmax(0)  # every fold's own ratio, on the images it was fitted on
    return [weight.T @ level.biased for level in levels]


def fit_network(data: RatioFeatures, fold_b: np.ndarray, fold_r: np.ndarray, config: RatioConfig) -> Fit:
    """All folds at once: row i trains every network but that of its own fold. Stopped where the held-out loss was least.

    fold_b [n], fold_r [m]: the fold of each item.
    """
    levels, m, width = data.biased.shape
    draws, n_ref = data.reference.shape[1:3]
    x = torch.cat([data.biased, data.reference.reshape(levels, -1, width)], 1)  # [L, n, F]
    mean, std = x.mean(1, keepdim=True), x.std(1, keepdim=True).clamp_min(1e-6)
    z = (x - mean) / std
    rng = torch.Generator().manual_seed(config.seed)
    some = torch.randperm(z.shape[1], generator=rng)[:4000]  # a basis needs no more
    basis = principal_directions(z[:, some].reshape(-1, width), config.components, config.seed)
    # Whitened as far as the convex estimator whitens: the tail of the components says little and would drown the rest.
    basis = basis / ((z[:, some] @ basis).flatten(0, 1).var(0) + SOFTENING * width).sqrt()
    z = (z @ basis).transpose(0, 1).contiguous()  # [n, L, Q]
    q, k, h = z.shape[2], config.folds, HIDDEN
    is_reference = torch.cat([torch.zeros(m), torch.ones(draws * n_ref)])
    fold = torch.from_numpy(np.r_[fold_b, np.tile(fold_r, draws)])
    heavy = torch.where(is_reference == 1, 0.5 / (draws * n_ref), 0.5 / m) * len(fold)

    def normal(*shape: int, fan_in: int) -> Tensor:
        return torch.randn(*shape, generator=rng) / fan_in**0.5

    head = NetworkHead(
        projection=basis / std.transpose(1, 2),  # [L, F, Q]
        centre=(mean / std)[:, 0] @ basis,
        first=normal(k, q, h, fan_in=q),
        time=torch.zeros(k, levels, h),
        second=normal(k, h, h, fan_in=h),
        second_bias=torch.zeros(k, h),
        linear=torch.zeros(k, levels, q),
        last=torch.zeros(k, h),
        biases=torch.zeros(levels, k),
        slope=torch.ones(levels),
    )
    trained = ("first", "time", "second", "second_bias", "linear", "last", "biases")
    parameters = {name: getattr(head, name).clone().requires_grad_(True) for name in trained}
    optimizer = torch.optim.AdamW(parameters.values(), lr=2e-3, weight_decay=0.3)
    best_loss, kept, since = float("inf"), None, 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # dropout
        for epoch in range(EPOCHS):
            for rows in torch.randperm(len(fold), generator=rng).split(BATCH):
                logits = network_logits(replace(head, **parameters), z[rows], dropout=0.3) + parameters["biases"]
                loss = F.binary_cross_entropy_with_logits(logits, is_reference[rows, None, None].expand_as(logits), reduction="none")
                seen = (fold[rows, None] != torch.arange(k)).float() * heavy[rows, None]
                optimizer.zero_grad()
                (loss.mean(1) * seen).mean(0).sum().backward()
                optimizer.step()
            now = replace(head, **{name: p.detach().clone() for name, p in parameters.items()})
            with torch.no_grad():
                logits = torch.cat([network_logits(now, part) + now.biases for part in z[: m + n_ref].split(1024)]).transpose(0, 1).numpy()
            found = Fit("network", now, logits[:, :m], logits[:, m:], fold_b, fold_r, {"epochs": epoch + 1})
            if (held_out := found.cross_entropy) < best_loss:
                best_loss, kept, since = held_out, found, 0
            elif (since := since + 1) >= PATIENCE:
                break
    return _calibrate(kept)
