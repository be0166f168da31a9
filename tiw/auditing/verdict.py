"""What an auditor should believe of a ratio: one verdict, with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data import Problem
from ..ratio.diagnostics import LevelDiagnostics, above_chance

# Of 100 pairs of sets without a difference 2.5 are said to differ, over all levels and both tests together: so few that 200 pairs hardly
# ever have more than 5 %.
ERROR_PERMUTED = 0.02  # of the permutation test, which looks at the sets' mean features
ERROR_SCORED = 0.005  # of the held-out scores, where a network may see what no mean shows

ECE_LIMIT = 0.04  # calibration error beyond what chance alone makes of this many reference images
NORMALISATION_LIMIT = 0.25  # how far the means of r and 1/r may be from 1, beyond their intervals
ESS_LIMIT = 0.05  # share of the biased items that must still count
MEMORY_GAP = 0.10  # nats by which the training folds may look better than the held-out ones
COPIES_LIMIT = 0.1  # share of a set that may be copies before nothing is believed
COIN = float(np.log(2))

MEMORISED = "The reference set is being memorised: add reference images."


@dataclass(frozen=True)
class Verdict:
    """What an auditor should believe, in plain words."""

    level: str  # no-difference, reliable, partly-reliable, unreliable
    sentence: str
    reasons: tuple[str, ...]
    reliable_from: float | None  # smallest noise level from which on every level passes
    p_equal: float | None = None  # of "the sets do not differ", over all levels together; None: not tested


def differ(levels: Sequence[LevelDiagnostics], p_equal: np.ndarray | None) -> bool:
    """Whether the sets differ at any level. Errs for 2.5 % of pairs without a difference, over all levels together.

    p_equal [L]: adjusted for all levels (`tiw.ratio.difference`). Without it the held-out AUCs bear the whole error.
    """
    tested = p_equal is not None and not np.isnan(p_equal).any()
    if tested and min(p_equal) <= ERROR_PERMUTED:
        return True
    error = (ERROR_SCORED if tested else ERROR_PERMUTED + ERROR_SCORED) / len(levels)
    return any(above_chance(level.auc, error) for level in levels)


def judge(
    levels: Sequence[LevelDiagnostics],
    p_equal: np.ndarray | None = None,
    problems: Sequence[Problem] = (),
    sizes: tuple[int, int] | None = None,
) -> Verdict:
    """One verdict for the run, with its reasons.

    p_equal [L]: as for `differ`. problems: what `tiw.data.check_sets` found in the sets, of `sizes` (biased, reference) images. Copies of
    one image are no independent images: from a tenth of a set on they veto the verdict, below that they are named.
    """
    failures = [_failures(level) for level in levels]
    p = None if p_equal is None or np.isnan(p_equal).any() else float(min(p_equal))
    copies = _copies(problems, sizes)
    vetoes = tuple(sentence for share, sentence in copies if share > COPIES_LIMIT)
    named = tuple(sentence for share, sentence in copies if share <= COPIES_LIMIT)
    if not differ(levels, p_equal):
        best = max(levels, key=lambda level: level.auc.value)
        reason = f"The best held-out AUC is {_auc(best)} at noise level {best.sigma:.2g}. A coin has 0.5."
        more = [f"At noise level {level.sigma:.2g} {f[0]}." for level, f in zip(levels, failures, strict=True) if f and "memorised" in f[0]]
        if more:
            return Verdict("unreliable", MEMORISED, (reason, more[0], *vetoes, *named), None, p)
        sentence = "No detectable difference between the two sets, as far as this reference set can tell."
        return Verdict("no-difference", sentence, (*vetoes, reason, *named), None, p)
    sound = len(levels)
    while sound > 0 and not failures[sound - 1]:
        sound -= 1
    strongest = max(levels, key=lambda level: level.auc.value)
    found = f"A discriminator separates the sets with a held-out AUC of {_auc(strongest)} at noise level {strongest.sigma:.2g}."
    reasons = tuple(f"At noise level {level.sigma:.2g} {'; '.join(f)}." for level, f in zip(levels, failures, strict=True) if f)[:3]
    if vetoes:
        return Verdict("unreliable", "Copies of the same images make any difference between the sets doubtful.", (*vetoes, found), None, p)
    if any("memorised" in r for f in failures for r in f):
        return Verdict("unreliable", MEMORISED, (found, *reasons, *named), None, p)
    if sound == 0:
        share = min(level.effective_share for level in levels)
        held = ("Calibration and normalisation hold at every level.", f"At least {100 * share:.0f} % of the biased images still count.")
        sentence = "The sets differ, and the estimate is reliable at every noise level."
        return Verdict("reliable", sentence, (found, *held, *named), levels[0].sigma, p)
    if sound == len(levels):
        return Verdict("unreliable", "The sets differ, but the estimate cannot be trusted.", (found, *reasons, *named), None, p)
    start = levels[sound].sigma
    sentence = f"The sets differ; the estimate is reliable from noise level {start:.2g} up."
    return Verdict("partly-reliable", sentence, (found, *reasons, *named), start, p)


def _copies(problems: Sequence[Problem], sizes: tuple[int, int] | None) -> list[tuple[float, str]]:
    """(share of the set, sentence) of what the checks found that makes images count more than once."""
    if sizes is None:
        return []
    n = dict(zip(("biased", "reference"), sizes, strict=True))
    texts = {
        "overlap": "{count:,} of the {n:,} reference images are in the biased set too.",
        "near": "{count:,} of the {n:,} reference images look like images of the biased set saved again.",
        "duplicate": "{count:,} of the {n:,} {set} images are copies of others in their set.",
    }
    return [
        (problem.count / n[problem.set], texts[problem.kind].format(count=problem.count, n=n[problem.set], set=problem.set))
        for problem in problems
        if problem.kind in texts
    ]


def _auc(level: LevelDiagnostics) -> str:
    return level.auc.text()


def _failures(level: LevelDiagnostics) -> list[str]:
    """Why a level should not be trusted; empty if it may be."""
    found = []
    if level.cross_entropy - level.train_cross_entropy > MEMORY_GAP and level.train_cross_entropy < COIN - MEMORY_GAP:
        gap = f"{level.train_cross_entropy:.2f} on what it saw, {level.cross_entropy:.2f} held out"
        found.append(f"the discriminator memorised its images (cross-entropy {gap})")
    if level.cross_entropy > COIN + 0.02:
        found.append(f"the held-out cross-entropy is {level.cross_entropy:.2f}, worse than a coin's {COIN:.2f}: it is over-confident")
    if level.ece > ECE_LIMIT + level.ece_by_chance:
        found.append(f"the calibration error is {level.ece:.2f}, where chance makes {level.ece_by_chance:.2f}")
    for name, mean in (("r over the biased set", level.mean_r), ("1/r over the reference", level.mean_inverse_r)):
        if mean.interval[0] > 1 + NORMALISATION_LIMIT or mean.interval[1] < 1 - NORMALISATION_LIMIT:
            found.append(f"the mean of {name} is {mean.value:.2f} instead of 1")
    if level.effective_share < ESS_LIMIT:
        found.append(f"only {100 * level.effective_share:.1f} % of the biased images carry the weight")
    return found
