"""Numbers of an audit in words anyone can follow, the same on the page, in the report and on the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .intervals import Estimate

PAST = 1.2  # of the gap closed: 1 is the reference itself, and a meter that reads a little more is not wrong


def percent(share: float) -> str:
    """`14 %`, and `0.4 %` below one in a hundred."""
    return f"{100 * share:.1f} %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def times(factor: float) -> str:
    """A factor of at least 1 as people say it: `3.6 times`, `12 times`, `more than 1,000 times`."""
    if factor > 1000:
        return "more than 1,000 times"
    return f"{factor:.1f} times" if round(factor, 1) < 10 else f"{factor:,.0f} times"


def auc_sentence(auc: Estimate | float) -> str:
    """The area under the ROC curve is the share of pairs, one image of each set, that a model puts in the right order."""
    value = auc.value if isinstance(auc, Estimate) else auc
    return f"Shown one image of each set, a model picks the right one {100 * value:.0f} times in 100 (50 = guessing)."


def worth_sentence(n: int, effective: float) -> str:
    """The effective sample size of n weighted images, rounded to two digits."""
    digits = max(0, math.floor(math.log10(max(effective, 1.0))) - 1)
    return f"{n:,} images are worth about {round(effective, -digits):,.0f}."


def too_far(gap: Mapping | None) -> str:
    """A warning for a gap closed, {value, interval}, whose whole interval lies past `PAST`; "" for any other.

    The meter projects on one line. Where the sets also differ in how their images were made, samples can go past its end (docs/RESULTS.md).
    """
    if not gap or gap["interval"][0] <= PAST:
        return ""
    return "That is past the reference. The sets may also differ in how their images were made. See the audit's camera check."


def about_time(seconds: float) -> str:
    """`about 40 seconds`, `about 12 minutes`, `about 14 hours`, `about 3 days`."""
    for unit, length, most in (("second", 1, 90), ("minute", 60, 90), ("hour", 3600, 48)):
        if seconds < most * length:
            n = max(1, round(seconds / length))
            return f"about {n} {unit}{'s' if n > 1 else ''}"
    return f"about {round(seconds / 86400)} days"
