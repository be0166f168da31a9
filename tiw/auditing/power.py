"""Before an audit: which shift in a share could a reference set of this size show? By the power of the audit's own test."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from scipy.stats import chi2, ncx2

from ..errors import UserInputError
from .verdict import ERROR_PERMUTED

SHIFTS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
POWER = 0.8
DIRECTIONS = (3, 6, 12)  # that the test looks at: with the middle the curve is that of audits of the demo (docs/METHOD.md); its range
CLARITY = 4.0  # distance of the two values of the attribute, in standard deviations: a visible attribute, not a hidden one
MOST_BIASED = 2000  # what an audit scores


@dataclass(frozen=True)
class Seen:
    """How often an audit would see a shift."""

    shift: float  # points of share: reference minus biased
    probability: float  # that the audit says the sets differ
    interval: tuple[float, float]  # of that probability, over the directions that the test may have to look at


@dataclass(frozen=True)
class Power:
    """What a reference set of this size can show about an attribute that `share` of the biased images have."""

    n_reference: int
    share: float
    curve: tuple[Seen, ...]
    smallest: float | None  # shift that is seen in four audits of five
    interval: tuple[float, float | None]  # of `smallest`, likewise


@lru_cache(maxsize=256)  # every page that opens asks for the same two
def power(n_reference: int, n_biased: int, share: float = 0.5) -> Power:
    """Audits of `n_biased` images with this share of an attribute against `n_reference` with a shifted one.

    Hotelling's statistic of whitened features is chi-square with as many degrees of freedom as there are directions. A shift makes it
    noncentral: n d^2 with d the distance of the means and n the harmonic size of both sets. Raises UserInputError for a share that leaves
    no room for a shift.
    """
    shifts = [s for s in SHIFTS if share >= 0 and share + s < 1]
    if not shifts:
        raise UserInputError("share", f"it is {share:g}", f"give a share from 0 to below {1 - SHIFTS[0]:g}, or the other value's")
    curve = tuple(_seen(n_reference, min(n_biased, MOST_BIASED), share, shift) for shift in shifts)

    def first(values: list[float]) -> float | None:
        return next((shift for shift, value in zip(shifts, values, strict=True) if value >= POWER), None)

    low, high = first([s.interval[1] for s in curve]), first([s.interval[0] for s in curve])
    return Power(n_reference, share, curve, first([s.probability for s in curve]), (low or shifts[-1], high))


def _seen(n_reference: int, n_biased: int, share: float, shift: float) -> Seen:
    spread = 1 + CLARITY**2 * share * (1 - share)  # variance along the attribute, which whitening makes 1
    n = n_reference * n_biased / (n_reference + n_biased)
    most, likely, least = (_tail(directions, n * (CLARITY * shift) ** 2 / spread) for directions in DIRECTIONS)
    return Seen(shift, likely, (least, most))


def _tail(directions: int, noncentrality: float) -> float:
    """How often the statistic exceeds what chance reaches in `ERROR_PERMUTED` of audits."""
    critical = chi2.isf(ERROR_PERMUTED, directions)
    return float(ncx2.sf(critical, directions, noncentrality) if noncentrality else chi2.sf(critical, directions))
