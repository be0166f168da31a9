"""What an auditor should believe of a ratio: one verdict, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ratio.diagnostics import LevelDiagnostics, above_chance

ECE_LIMIT = 0.04  # calibration error beyond what chance alone makes of this many reference images

NORMALISATION_LIMIT = 0.25  # how far the means of r and 1/r may be from 1, beyond their intervals

ESS_LIMIT = 0.05  # share of the biased items that must still count

MEMORY_GAP = 0.10  # nats by which the training folds may look better than the held-out ones

COIN = float(np.log(2))


@dataclass(frozen=True)
class Verdict:
    """What an auditor should believe, in plain words."""

    level: str  # no-difference, reliable, partly-reliable, unreliable
    sentence: str
    reasons: tuple[str, ...]
    reliable_from: float | None  # smallest noise level from which on every level passes


def judge(levels: list[LevelDiagnostics]) -> Verdict:
    """One verdict for the run, with its reasons."""
    failures = [_failures(level) for level in levels]
    if not any(above_chance(level.auc) for level in levels):
        best = max(levels, key=lambda level: level.auc.value)
        reason = f"The best held-out AUC is {_auc(best)} at noise level {best.sigma:.2g}; 0.5 is a coin."
        more = [f"At noise level {level.sigma:.2g} {f[0]}." for level, f in zip(levels, failures, strict=True) if f and "memorised" in f[0]]
        if more:
            return Verdict(
                "unreliable", "The reference set is being memorised: use more images or a smaller head.", (reason, more[0]), None
            )
        return Verdict(
            "no-difference", "No detectable difference between the two sets, as far as this reference set can tell.", (reason,), None
        )
    sound = len(levels)
    while sound > 0 and not failures[sound - 1]:
        sound -= 1
    strongest = max(levels, key=lambda level: level.auc.value)
    found = f"A discriminator tells the sets apart with a held-out AUC of {_auc(strongest)} at noise level {strongest.sigma:.2g}."
    if sound == 0:
        share = min(level.effective_share for level in levels)
        reasons = (
            found,
            "Calibration and normalisation hold at every level.",
            f"At least {100 * share:.0f} % of the biased images still count.",
        )
        return Verdict("reliable", "The sets differ, and the estimate is reliable at every noise level.", reasons, levels[0].sigma)
    reasons = tuple(f"At noise level {level.sigma:.2g} {'; '.join(f)}." for level, f in zip(levels, failures, strict=True) if f)[:3]
    if any("memorised" in r for f in failures for r in f):
        return Verdict("unreliable", "The reference set is being memorised: use more images or a smaller head.", (found, *reasons), None)
    if sound == len(levels):
        return Verdict("unreliable", "The sets differ, but the estimate cannot be trusted.", (found, *reasons), None)
    start = levels[sound].sigma
    return Verdict(
        "partly-reliable", f"The sets differ; the estimate is reliable from noise level {start:.2g} up.", (found, *reasons), start
    )


def _auc(level: LevelDiagnostics) -> str:
    low, high = level.auc.interval
    return f"{level.auc.value:.2f} [{low:.2f}, {high:.2f}]"


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
