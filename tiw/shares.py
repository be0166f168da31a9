"""Shares of attributes, which never come without n and an interval, and distances between them (docs/METHOD.md)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from .intervals import Estimate, wilson

BOOTSTRAP = 1000


@dataclass(frozen=True)
class Share:
    """Share of one value of an attribute among n images; Wilson's interval, 95 %. A row of a table."""

    attribute: str
    value: str
    count: int
    n: int
    share: float
    interval: tuple[float, float]


def with_crossings(labels: pd.DataFrame) -> pd.DataFrame:
    """The attributes and every pair of them: columns like `skin x hair` with values like `lighter-long`.

    A missing label stays missing, and so do its crossings. A label whose own name is like `skin x hair` keeps it.
    """
    missing = labels.isna()
    text = labels.astype(str).astype(object).mask(missing, None)
    crossed = {}
    for a, b in combinations(labels.columns, 2):
        name = f"{a} x {b}"
        while name in labels.columns:
            name += " (crossed)"
        crossed[name] = (text[a].astype(str) + "-" + text[b].astype(str)).astype(object).mask(missing[a] | missing[b], None)
    return pd.concat([text, pd.DataFrame(crossed, index=labels.index)], axis=1)


def shares(labels: pd.DataFrame, values: dict[str, list[str]]) -> list[Share]:
    """Shares of all `values` of every column of `labels`."""
    found = []
    for attribute, possible in values.items():
        counts = labels[attribute].value_counts()
        for value in possible:
            count, n = int(counts.get(value, 0)), len(labels)
            found.append(Share(attribute, value, count, n, count / n, wilson(count, n)))
    return found


def fairness_discrepancy(counts: np.ndarray, target: np.ndarray, target_n: int | None = None, seed: int = 0) -> Estimate:
    """L2 distance of the shares [K] from the target's (Choi et al. 2020).

    counts: of the samples, [K]. target: shares [K]; `target_n` images they were estimated from, None if they are known.
    The 95 % interval resamples both. It lies above the value near 0, where sampling can only add distance: see `floor`.
    """
    return _distance(counts, target, target_n, seed, lambda difference: np.sqrt((difference**2).sum(-1)))


def total_variation(counts: np.ndarray, target: np.ndarray, target_n: int | None = None, seed: int = 0) -> Estimate:
    """Half the L1 distance of the shares [K] from the target's; arguments as for `fairness_discrepancy`."""
    return _distance(counts, target, target_n, seed, lambda difference: np.abs(difference).sum(-1) / 2)


def floor(n: int, target: np.ndarray, seed: int = 0) -> Estimate:
    """The fairness discrepancy that n images drawn from the target [K] itself would show: its mean and its central 95 %."""
    draws = np.random.default_rng(seed).multinomial(n, target, BOOTSTRAP) / n
    distances = np.sqrt(((draws - target) ** 2).sum(1))
    low, high = np.quantile(distances, [0.025, 0.975])
    return Estimate(float(distances.mean()), (float(low), float(high)))


def _distance(counts: np.ndarray, target: np.ndarray, target_n: int | None, seed: int, norm) -> Estimate:
    rng = np.random.default_rng(seed)
    n, target = int(counts.sum()), np.asarray(target, float)
    p = counts / n
    drawn = rng.multinomial(n, p, BOOTSTRAP) / n
    targets = target if target_n is None else rng.multinomial(target_n, target, BOOTSTRAP) / target_n
    low, high = np.quantile(norm(drawn - targets), [0.025, 0.975])
    return Estimate(float(norm(p - target)), (float(low), float(high)))
