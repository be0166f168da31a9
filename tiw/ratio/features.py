"""What the density ratio sees: the frozen denoiser's features of perturbed images, at every noise level."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..data import ImageSet
from ..described import Checked, option
from ..errors import UserInputError
from ..model.memory import batch_for
from ..model.noise import expand, to_x0
from ..streams import stream

CLEAR = 0.3  # a noise level at which images are clear and their last details are gone: gap, groups and the baseline check look there
CLEAR_TO = 0.5  # noise levels up to this one show what an image is of: there a ratio is learnt that is carried to the others
FEWEST_A_FOLD = 2  # different images of each set: with one, a fold's mean has no spread


@dataclass(frozen=True)
class RatioConfig(Checked):
    """How the ratio is fitted. Raises UserInputError for a field out of range."""

    sigmas: tuple[float, ...] = (0.03, 0.08, 0.2, 0.5, 1.3, 3.2, 8.0, 20.0)  # noise levels, ascending
    folds: int = option(5, "Folds of the cross-fit.", low=2)
    estimator: str = option("auto", "Of the ratio:", choices=("auto", "convex", "network"))
    components: int = option(200, "Principal components of the features.", low=1)
    # Of the features' variance; the first, unless one is clearly better.
    ridges: tuple[float, ...] = (1.5e-2, 2e-3, 5e-3, 5e-2, 1.5e-1)
    biased_images: int = option(2000, "Scored and fitted; the others are scored by the mean of the folds.", low=1)
    # They are few, noise is free.
    reference_draws: int = option(3, "Noise draws of each reference image in the fit.", low=1)
    batch_size: int = option(128, "At most: fewer where memory is short.", low=1)
    seed: int = option(0, "Everything random follows from it.", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sigmas", "ridges"):
            values = getattr(self, name)
            if not values or not all(0 < value < np.inf for value in values):
                raise UserInputError(name, f"it is {values}", "give one finite number above 0 or more")
        if any(low >= high for low, high in pairwise(self.sigmas)):
            raise UserInputError("sigmas", f"it is {self.sigmas}", "give the noise levels in ascending order")


def levels(count: int) -> tuple[float, ...]:
    """`count` of the eight usual noise levels, evenly spaced, both ends among them."""
    usual = RatioConfig.sigmas
    return tuple(usual[k] for k in np.linspace(0, len(usual) - 1, count).round().astype(int))


def passes(n_biased: int, n_reference: int, config: RatioConfig) -> int:
    """How many images an encoder sees in `ratio_features`."""
    return len(config.sigmas) * (min(n_biased, config.biased_images) + config.reference_draws * n_reference)


def clear_level(sigmas: np.ndarray | tuple[float, ...]) -> int:
    """Which of these levels [L] is nearest to `CLEAR`."""
    return int(np.argmin(np.abs(np.log(np.asarray(sigmas) / CLEAR))))


def clear_levels(sigmas: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """Rows, [C], of the levels up to CLEAR_TO; of the lowest where none is."""
    return np.flatnonzero(np.asarray(sigmas) <= max(CLEAR_TO, min(sigmas)))


class RatioEncoder(Protocol):
    """A `tiw.Denoiser`, or anything else with features that are differentiable in xt."""

    device: torch.device

    def features(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """xt [B,C,H,W], sigma [B] -> float32 [B, F]."""


class PixelEncoder:
    """For an audit without a model: the scaled image itself, at most 16x16 positions. Weaker than a denoiser's features."""

    device = torch.device("cpu")

    def features(self, xt: Tensor, sigma: Tensor) -> Tensor:
        """xt [B,C,H,W], sigma [B] -> float32 [B, F], differentiable in xt."""
        x = xt * expand((sigma**2 + 0.25).rsqrt(), xt)
        return (F.adaptive_avg_pool2d(x, 16) if x.shape[-1] > 16 else x).flatten(1).float()


def item_noise(seed: int, item: int, shape: tuple[int, ...], draw: int = 0) -> np.ndarray:
    """The fixed noise an item is scored with, float32 [*shape]; draw 0 is the one shown to the user (tiw.data.noisy_strip)."""
    key = [seed, item] if draw == 0 else [seed, item, draw]
    return np.random.default_rng(key).standard_normal(shape).astype(np.float32)


def check_enough(biased: ImageSet, reference: ImageSet, folds: int) -> None:
    """Raise UserInputError where a set has fewer different images than cross-fitting with so many folds needs."""
    needed = FEWEST_A_FOLD * folds
    for field, images in (("reference", reference), ("biased", biased)):
        different: set[bytes] = set()
        for image in images.images:
            different.add(hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest())
            if len(different) >= needed:
                break
        else:
            copies = "" if len(different) == len(images) else f", but only {len(different)} different one(s)"
            found = f"it has {len(images)} image(s){copies}"
            fewer = ", or use fewer folds" if folds > RatioConfig.folds else ""
            raise UserInputError(field, found, f"give at least {needed} different images, two for each of the {folds} folds{fewer}")


@torch.no_grad()
def features_at(
    encoder: RatioEncoder,
    images: np.ndarray,
    items: np.ndarray,
    sigmas: tuple[float, ...] | np.ndarray,
    seed: int,
    draws: int = 1,
    batch_size: int = 128,
    on_batch: Callable[[int], None] | None = None,
    labels: np.ndarray | None = None,
) -> Tensor:
    """Features of perturbed images, float32 [L, draws, n, F]: images uint8 [n,H,W,3], one fixed noise per item and draw.

    `labels` [n] are their classes, for a class-conditional denoiser. At most `batch_size` images are encoded at once, fewer where memory is
    short.
    """
    out: Tensor | None = None
    size = batch_for(encoder, batch_size)
    for start in range(0, len(images), size):
        rows = slice(start, start + size)
        x0 = to_x0(images[rows])
        own = encoder if labels is None else encoder.given(torch.as_tensor(labels[rows]))
        for draw in range(draws):
            noise = torch.from_numpy(np.stack([item_noise(seed, int(i), tuple(x0.shape[1:]), draw) for i in items[rows]]))
            for level, sigma in enumerate(sigmas):
                s = x0.new_full((len(x0),), float(sigma)).to(encoder.device)
                f = own.features((x0 + float(sigma) * noise).to(encoder.device), s).cpu()
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
    class_weight: np.ndarray | None = None  # [m] shares of the classes in the reference over those in the biased set; None: no classes


def ratio_features(
    biased: ImageSet,
    reference: ImageSet,
    encoder: RatioEncoder,
    config: RatioConfig | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> RatioFeatures:
    """Encode a seeded draw of the biased set and all of the reference at `config.sigmas`; `on_progress(done, total)` counts passes.

    Raises UserInputError where a set has too few different images for `config.folds`.
    """
    config = config or RatioConfig()
    check_enough(biased, reference, config.folds)
    scored = np.sort(stream(config.seed, "scored images").permutation(len(biased))[: config.biased_images])
    total = passes(len(biased), len(reference), config)
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        if on_progress is not None:
            on_progress(done, total)

    common = {"sigmas": config.sigmas, "seed": config.seed, "batch_size": config.batch_size, "on_batch": count}
    items = len(biased) + np.arange(len(reference))
    of_reference = features_at(encoder, reference.images, items, draws=config.reference_draws, labels=reference.labels, **common)
    drawn = biased.take(scored)
    of_biased = features_at(encoder, drawn.images, scored, labels=drawn.labels, **common)[:, 0]
    weight = None if drawn.labels is None else _class_weight(drawn.labels, reference.labels)
    return RatioFeatures(scored, of_biased, of_reference, len(biased), weight)


def _class_weight(biased: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """p_ref(class) / p_bias(class) of each biased image's class, [m]."""
    of_reference, of_biased = (np.bincount(labels, minlength=biased.max() + 1)[biased] / len(labels) for labels in (reference, biased))
    return of_reference / of_biased
