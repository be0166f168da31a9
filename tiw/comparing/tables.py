"""Shares of every attribute and crossing, raw and corrected, and what differs between two sets, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, chisquare

from ..errors import UserInputError
from ..intervals import Estimate, holm, newcombe, wilson
from .attributes import codes, crossed_classes, crossings
from .classifier import AttributeClassifier
from .corrected import FEWEST_LABELS, CorrectedShares, corrected_shares, share_difference, smallest_difference

SMALL_CELL = 5  # images: a share of fewer is flagged
LEVEL = 0.05


@dataclass(frozen=True)
class Counted:
    """Predicted counts of several sets, and what is known about the counting."""

    classes: dict[str, list[str]]  # of every attribute and crossing
    counts: dict[str, dict[str, np.ndarray]]  # per set and attribute, [K]
    confusion: dict[str, np.ndarray]  # counts [K, K], where the errors can be corrected for
    not_measurable: dict[str, str]  # attribute -> why its shares are not corrected

    def corrected(self, set_: str, name: str, seed: int) -> CorrectedShares | None:
        """Shares of one attribute in one set, corrected for the classifier's errors; None where these are not known."""
        return corrected_shares(self.counts[set_][name], self.confusion[name], seed=seed) if name in self.confusion else None


def count(classifier: AttributeClassifier, labels: dict[str, pd.DataFrame]) -> Counted:
    """Count predicted `labels` (per set, one row an image) of every attribute and crossing, and see which counts can be corrected."""
    classes = crossed_classes(classifier.classes)
    counts = {}
    for name, frame in labels.items():
        placed = codes(frame, classifier.classes)
        counts[name] = {attribute: np.bincount(placed[attribute], minlength=len(values)) for attribute, values in classes.items()}
    usable, refused = {}, {}
    for name, values in classes.items():
        matrix = classifier.confusion.get(name)
        if why := classifier.definition or _why_not(name, values, matrix):
            refused[name] = why
        else:
            usable[name] = matrix
    return Counted(classes, counts, usable, refused)


def _why_not(name: str, values: list[str], matrix: np.ndarray | None) -> str:
    """Why counts of this attribute cannot be corrected; empty if they can."""
    if matrix is None:
        return f"The classifier’s errors for {name} are not counted. Give at least {FEWEST_LABELS} labelled images of each value."
    labelled = matrix.sum(0)
    if labelled.min() < FEWEST_LABELS:
        few = ", ".join(f"{FEWEST_LABELS - n} more of {v}" for v, n in zip(values, labelled, strict=True) if n < FEWEST_LABELS)
        return f"Not measurable with this classifier. Shares of {name} need at least {FEWEST_LABELS} labelled images of each value: {few}."
    try:
        corrected_shares(np.ones(len(values)), matrix, draws=2)
    except UserInputError as error:
        return f"Not measurable with this classifier. For {name}, {error.found}."
    return ""


def share_rows(counted: Counted, seed: int = 0) -> list[dict]:
    """One row for each value in each set: raw share with Wilson's interval, and the corrected one or None."""
    rows = []
    crossed = set(crossings({name: v for name, v in counted.classes.items() if " x " not in name}))
    for set_, of_set in counted.counts.items():
        for name, counts in of_set.items():
            found, n = counted.corrected(set_, name, seed), int(counts.sum())
            for k, value in enumerate(counted.classes[name]):
                corrected = None
                if found is not None:
                    corrected = {"share": found.shares[k], "interval": found.intervals[k], "simultaneous": found.simultaneous[k]}
                row = {"set": set_, "attribute": name, "value": value, "count": int(counts[k]), "n": n, "share": counts[k] / n}
                small = name in crossed and counts[k] < SMALL_CELL
                rows.append({**row, "interval": wilson(int(counts[k]), n), "corrected": corrected, "small": bool(small)})
    return rows


def difference_rows(counted: Counted, truth: dict[str, dict[str, float]] | None = None, seed: int = 0) -> list[dict]:
    """Shares of the debiased samples less those of the baseline's, and less the target's; one row a value.

    truth: shares of attributes that are known exactly; the others' target is what is counted in the reference. p is of "both sets have the
    same shares", a chi-squared test of all values at once on the raw counts, which errors of the classifier cannot make unequal; Holm's
    correction holds over all attributes and crossings. Samples of one seed are taken as independent, which widens the intervals.
    """
    rows = []
    for before in ("baseline", "target"):
        exact = truth if before == "target" and truth else {}
        other = "baseline" if before == "baseline" else "reference"
        found = {name: _difference(counted, name, other, exact.get(name), seed) for name in counted.classes}
        adjusted = holm([p for _, p in found.values()])
        for (name, (parts, p)), p_holm in zip(found.items(), adjusted, strict=True):
            n_after, n_before = (int(counted.counts[set_][name].sum()) for set_ in ("debiased", other))
            shown = smallest_difference(n_after, 10**9 if name in exact else n_before)
            for value, part in zip(counted.classes[name], parts, strict=True):
                interval = part["corrected"]["simultaneous"] if part["corrected"] else part["raw"]["interval"]
                seen = bool(p_holm <= LEVEL and (interval[0] > 0 or interval[1] < 0))
                row = {"from": before, "attribute": name, "value": value, **part, "p": p, "p_holm": p_holm, "seen": seen}
                rows.append({**row, "smallest": shown, "words": _words(row, shown, n_before, n_after, name in exact)})
    return rows


def _difference(
    counted: Counted, name: str, other: str, exact: dict[str, float] | None, seed: int
) -> tuple[list[dict[str, dict | None]], float]:
    """(raw and corrected difference of each value, p) of the debiased samples against another set, or against shares known exactly."""
    after, before = counted.counts["debiased"][name], counted.counts[other][name]
    n, m = int(after.sum()), int(before.sum())
    parts = []
    if exact is not None:
        target = np.array([exact[value] for value in counted.classes[name]])
        found = counted.corrected("debiased", name, seed)
        for k, known in enumerate(target):
            low, high = wilson(int(after[k]), n)
            raw = {"value": after[k] / n - known, "interval": (low - known, high - known)}
            parts.append({"raw": raw, "corrected": None if found is None else _moved(found, k, known)})
        keep = target > 0
        p = 0.0 if after[~keep].sum() else float(chisquare(after[keep], target[keep] / target.sum() * n).pvalue) if keep.sum() > 1 else 1.0
        return parts, p
    found = share_difference(before, after, counted.confusion[name], seed=seed) if name in counted.confusion else None
    for k in range(len(after)):
        raw = {"value": after[k] / n - before[k] / m, "interval": newcombe(int(after[k]), n, int(before[k]), m)}
        parts.append({"raw": raw, "corrected": None if found is None else _moved(found, k, 0.0)})
    table = np.stack([before, after])[:, before + after > 0]
    return parts, float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0


def _moved(found: CorrectedShares, k: int, by: float) -> dict:
    return {"value": found.shares[k] - by, "interval": found.intervals[k] - by, "simultaneous": found.simultaneous[k] - by}


def _words(row: dict, smallest: float, n_before: int, n_after: int, exact: bool) -> str:
    found = row["corrected"] or row["raw"]
    against = "the baseline" if row["from"] == "baseline" else "the target"
    if row["seen"]:
        more, sign = ("More", 1) if found["value"] > 0 else ("Less", -1)
        low, high = sorted(100 * sign * x for x in found["interval"])
        by = Estimate(100 * abs(found["value"]), (low, high)).text("{:.1f}")
        return f"{more} frequent than in {against}, by {by} points."
    n = f"{n_after:,} samples" if exact else f"{n_after:,} and {n_before:,} images"
    power = f"With {n} a difference of {100 * smallest:.0f} points would be seen in 80 % of cases."
    return f"Not distinguishable from {against} at this n. {power}"
