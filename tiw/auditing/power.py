"""Before an audit: which shift in a share could a reference set of this size show? By simulation of the audit itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..ratio.diagnostics import above_chance, auc_delong
from ..streams import stream

SHIFTS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
POWER = 0.8
SIMULATIONS = 60
DIRECTIONS = 12  # in which the discriminator may go wrong: with it the curve is that of real audits of the demo (docs/METHOD.md)
CLARITY = 4.0  # distance of the two values of the attribute, in standard deviations: a visible attribute, not a hidden one
MOST_BIASED = 2000  # what an audit scores


@dataclass(frozen=True)
class Seen:
    """How often an audit would see a shift."""

    shift: float  # points of share: reference minus biased
    probability: float  # that the audit says the sets differ
    interval: tuple[float, float]  # of that probability, from the number of simulations


@dataclass(frozen=True)
class Power:
    """What a reference set of this size can show about an attribute that `share` of the biased images have."""

    n_reference: int
    share: float
    curve: tuple[Seen, ...]
    smallest: float | None  # shift that is seen in four audits of five
    interval: tuple[float, float | None]  # of `smallest`: the least and the most that the simulations allow


@lru_cache(maxsize=64)
def power(n_reference: int, n_biased: int, share: float = 0.5, seed: int = 0) -> Power:
    """Simulate audits of `n_biased` images with this share of an attribute against `n_reference` with a shifted one."""
    shifts = [s for s in SHIFTS if share + s < 1]
    curve = tuple(_seen(n_reference, min(n_biased, MOST_BIASED), share, shift, seed) for shift in shifts)

    def first(values: list[float]) -> float | None:
        return next((shift for shift, value in zip(shifts, values, strict=True) if value >= POWER), None)

    low, high = first([s.interval[1] for s in curve]), first([s.interval[0] for s in curve])
    return Power(n_reference, share, curve, first([s.probability for s in curve]), (low or shifts[-1], high))


def _seen(n_reference: int, n_biased: int, share: float, shift: float, seed: int) -> Seen:
    rng = stream(seed, "power", n_reference, n_biased, round(1000 * share), round(1000 * shift))
    count = sum(_audit(rng, n_reference, n_biased, share, shift) for _ in range(SIMULATIONS))
    p, n, z = count / SIMULATIONS, SIMULATIONS, 1.96
    centre, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)  # Wilson
    return Seen(shift, p, (float(centre - half), float(centre + half)))


def _audit(rng: np.random.Generator, n_reference: int, n_biased: int, share: float, shift: float, folds: int = 5) -> bool:
    """One simulated audit: a linear discriminator, cross-fitted, on one telling direction among many that say nothing.

    Whitened, so the biased set is N(0, I) but for the telling direction. A held-out score along a direction d is then d_0 x_0, plus what d
    makes of its fold's mean in the other directions, plus |d_rest| times a standard normal: only these are drawn.
    """
    spread = np.sqrt(1 + CLARITY**2 * share * (1 - share))
    telling, means = [], []
    for n, p in ((n_biased, share), (n_reference, share + shift)):
        sizes = [len(range(k, n, folds)) for k in range(folds)]
        telling.append([(CLARITY * ((rng.random(m) < p) - share) + rng.standard_normal(m)) / spread for m in sizes])
        rest = rng.standard_normal((folds, DIRECTIONS - 1)) / np.sqrt(np.maximum(sizes, 1))[:, None]
        means.append(np.c_[[x.mean() if len(x) else 0.0 for x in telling[-1]], rest])
    scores = [], []
    for k in range(folds):
        others = np.arange(folds) != k
        direction = means[1][others].mean(0) - means[0][others].mean(0)
        for found, x, mean in zip(scores, telling, means, strict=True):
            noise = np.linalg.norm(direction[1:]) * rng.standard_normal(len(x[k]))
            found.append(direction[0] * x[k] + direction[1:] @ mean[k, 1:] + noise - (noise.mean() if len(noise) else 0))
    return above_chance(auc_delong(*map(np.concatenate, scores)))
