"""A number with its interval, and the intervals of shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, found: Mapping[str, Any], key: str = "value") -> Estimate:
        """From a result.json, where the number is called `key` and its interval `interval`."""
        return cls(found[key], tuple(found["interval"]))

    def text(self, form: str = "{:.2f}") -> str:
        """`0.72 [0.69, 0.75]`; `form` writes each number."""
        low, high = self.interval
        return f"{form.format(self.value)} [{form.format(low)}, {form.format(high)}]"

    def percent(self, digits: int = 0) -> str:
        """`14 % [12, 16]`, of a share between 0 and 1."""
        value, low, high = (f"{100 * x:.{digits}f}" for x in (self.value, *self.interval))
        return f"{value} % [{low}, {high}]"


def wilson(count: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    from scipy.stats import binomtest  # a second to load: the page reads what this file writes

    interval = binomtest(count, n).proportion_ci(method="wilson")
    return (float(interval.low), float(interval.high))


def newcombe(count_a: int, n_a: int, count_b: int, n_b: int) -> tuple[float, float]:
    """95 % interval of the difference a - b of two independent shares (Newcombe 1998, method 10)."""
    a, b = count_a / n_a, count_b / n_b
    (low_a, high_a), (low_b, high_b) = wilson(count_a, n_a), wilson(count_b, n_b)
    return (a - b - float(np.hypot(a - low_a, high_b - b)), a - b + float(np.hypot(high_a - a, b - low_b)))


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979): each below 0.05 holds, with all of them together wrong in 5 % of cases."""
    order, adjusted, largest = np.argsort(p), [0.0] * len(p), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[k]))
        adjusted[k] = largest
    return adjusted
