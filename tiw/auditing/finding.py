"""The finding: which values of the labels, or which groups of similar images, are too rare or too frequent in the large set.

Every share is counted, none is estimated by the density ratio, which only picks the images that are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact
from scipy.stats.contingency import relative_risk

from ..intervals import Estimate, holm, newcombe, wilson
from ..sentences import percent, times

EXAMPLES = 8  # images of each set that show a value
SURE = 0.05  # p-value, adjusted for all that were tested
NAMED = 3  # values that the sentence names on either side


@dataclass(frozen=True)
class Counted:
    """The share of a value among the images of one set whose label is known."""

    share: float
    interval: tuple[float, float]  # Wilson, 95 %
    count: int
    n: int


@dataclass(frozen=True)
class Difference:
    """One value whose share differs between the sets."""

    attribute: str  # "group" where the sets have no labels in common
    value: str
    too: str  # rare, frequent: in the large set
    biased: Counted
    reference: Counted
    difference: Estimate  # biased minus reference; Newcombe, 95 %
    factor: Estimate | None  # how many times too rare or too frequent, Katz 1978, 95 %; None: one of the sets has none
    p: float  # Fisher's exact test, Holm over all labels, and over all crossings by themselves
    examples_biased: tuple[int, ...]  # items: rows of biased followed by reference
    examples_reference: tuple[int, ...]
    sentence: str


@dataclass(frozen=True)
class Finding:
    """What an auditor reads first."""

    sentence: str
    too_rare: tuple[Difference, ...]  # the largest difference first
    too_frequent: tuple[Difference, ...]
    crossings: tuple[Difference, ...]  # of two labels, likewise, rare and frequent together
    tested: int  # values or groups that were looked at
    labelled: bool  # by labels that both sets have; else by groups of similar images


@dataclass(frozen=True)
class Pictured:
    """The images that can be shown, those that the audit has scored."""

    items: np.ndarray  # [n]
    log_ratio: np.ndarray  # [n] held out
    labels: pd.DataFrame = field(repr=False)  # [n] rows, as the labels of the whole set


def find(
    biased: pd.DataFrame,
    reference: pd.DataFrame,
    pictured: tuple[Pictured, Pictured],
    crossed: Sequence[str] = (),
    labelled: bool = True,
) -> Finding:
    """Compare the shares of every value of labels [N, columns] and [M, columns], with the same columns, text or None where unknown.

    pictured: of both sets, what may be shown. crossed: columns that cross two others; they are tested by themselves and named only where no
    single label differs.
    """
    plain = _differences(biased, reference, [c for c in biased if c not in crossed])
    both = _differences(biased, reference, list(crossed))
    sure, crossings = (tuple(_with_examples(d, pictured) for d in found if d.p <= SURE) for found in (plain, both))
    rare, frequent = (tuple(d for d in sure if d.too == too) for too in ("rare", "frequent"))
    return Finding(_sentence(rare, frequent, crossings, labelled, len(plain)), rare, frequent, crossings, len(plain) + len(both), labelled)


def _differences(biased: pd.DataFrame, reference: pd.DataFrame, columns: Iterable[str]) -> list[Difference]:
    """Every value of the columns, the largest difference first, p-values adjusted over all of them."""
    found, tests = [], []
    for attribute in columns:
        known = [labels[attribute].dropna().astype(str) for labels in (biased, reference)]
        if not all(len(labels) for labels in known):
            continue
        counts = [labels.value_counts() for labels in known]
        values = list(dict.fromkeys([*counts[0].index, *counts[1].index]))
        for value in values:
            counted = [_counted(int(of.get(value, 0)), len(labels)) for of, labels in zip(counts, known, strict=True)]
            found.append(_difference(attribute, value, *counted))
            # The two values of a label are one question, not two.
            tests.append((attribute, value if len(values) > 2 else None))
    questions = list(dict.fromkeys(tests))
    adjusted = dict(zip(questions, holm([found[tests.index(question)].p for question in questions]), strict=True))
    found = [replace(d, p=adjusted[test]) for d, test in zip(found, tests, strict=True)]
    return sorted(found, key=lambda d: -abs(d.difference.value))


def _counted(count: int, n: int) -> Counted:
    return Counted(count / n, wilson(count, n), count, n)


def _difference(attribute: str, value: str, b: Counted, r: Counted) -> Difference:
    too = "rare" if b.share < r.share else "frequent"
    risk = relative_risk(r.count, r.n, b.count, b.n) if too == "rare" else relative_risk(b.count, b.n, r.count, r.n)
    factor = None
    if b.count and r.count:
        ends = risk.confidence_interval(0.95)
        factor = Estimate(float(risk.relative_risk), (float(ends.low), float(ends.high)))
    p = float(fisher_exact([[b.count, b.n - b.count], [r.count, r.n - r.count]]).pvalue)
    often = "" if factor is None else f", {times(factor.value)} too {too} ({factor.interval[0]:.1f} to {factor.interval[1]:.1f})"
    name = f"{attribute} {value}"
    sentence = f"{name}: {_of(b)} of the large set, {_of(r)} of the reference set{often}."
    difference = Estimate(b.share - r.share, newcombe(b.count, b.n, r.count, r.n))
    return Difference(attribute, value, too, b, r, difference, factor, p, (), (), sentence)


def _of(counted: Counted) -> str:
    low, high = counted.interval
    return f"{percent(counted.share)} ({100 * low:.0f} to {100 * high:.0f} %, {counted.count:,} of {counted.n:,})"


def _with_examples(found: Difference, pictured: tuple[Pictured, Pictured]) -> Difference:
    of_biased, of_reference = (_examples(of, found.attribute, found.value) for of in pictured)
    return replace(found, examples_biased=of_biased, examples_reference=of_reference)


def _examples(of: Pictured, attribute: str, value: str) -> tuple[int, ...]:
    """The items with this value whose log ratio is nearest to the median of all that have it: what such images usually look like."""
    rows = np.flatnonzero((of.labels[attribute].astype("string") == value).fillna(False).to_numpy(bool))
    if not len(rows):
        return ()
    from_median = np.abs(of.log_ratio[rows] - np.median(of.log_ratio[rows]))
    return tuple(of.items[rows[np.argsort(from_median, kind="stable")][:EXAMPLES]].tolist())


def _sentence(
    rare: Sequence[Difference], frequent: Sequence[Difference], crossings: Sequence[Difference], labelled: bool, tested: int
) -> str:
    """One or two plain sentences."""
    if not labelled:
        if not rare and not frequent:
            return "No group of similar images is clearly rarer or more frequent in the large set than in the reference set."
        parts = []
        for too, found in (("rare", rare), ("frequent", frequent)):
            if found and found[0].factor is not None:
                low, high = found[0].factor.interval
                how = f"about {times(found[0].factor.value)} ({low:.1f} to {high:.1f})"
            elif found:
                how = f"{percent(found[0].biased.share)} against {percent(found[0].reference.share)} of the reference set"
            if found:
                parts.append(f"Too {too} in the large set: images like group {found[0].value}, {how}.")
        return " ".join(parts)
    if not rare and not frequent:
        if crossings:
            return f"No single label's share differs clearly, but {crossings[0].sentence}"
        return f"No share of {tested} labelled value(s) differs clearly between the two sets."
    parts = []
    for too, found in (("rare", rare), ("frequent", frequent)):
        if found:
            first, *others = [
                f"{d.attribute} {d.value} {percent(d.biased.share)} ({'reference ' if k == 0 else ''}{percent(d.reference.share)})"
                for k, d in enumerate(found[:NAMED])
            ]
            more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
            parts.append(f"Too {too} in the large set: {', '.join([first, *others])}{more}.")
    return " ".join(parts)
