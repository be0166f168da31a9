"""What a test without labels still sees between samples and reference, beside what it sees of painting itself (docs/METHOD.md).

The classifier two-sample test (Lopez-Paz and Oquab 2017) with a ridge-logistic discriminator on frozen features, cross-fitted. Painted
images always differ from real ones, so its area under the ROC curve (AUC) is held against a floor: the baseline's samples against the
images the baseline was trained on. Not seen is not the same as equal: there are three verdicts, and the margin is set before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import norm

from ..errors import UserInputError
from ..intervals import Estimate
from ..streams import stream
from .two_sample import Pairs, Separation, folds_of, separate, standardised

SEEN, SMALLER, CANNOT_TELL = "a difference is seen", "smaller than the margin", "cannot tell at this n"
MARGIN = 0.05  # of the AUC: where painting leaves nothing, a shift of ten points in one attribute that is always recognised
PERMUTATIONS = 199
DOZEN = 12
FEWEST = 20  # images of a set


@dataclass(frozen=True)
class Residual:
    """What is left between the debiased samples and the reference."""

    baseline: Separation  # baseline samples against the reference: the positive control, this must be seen
    debiased: Separation  # debiased samples against the reference
    floor: Separation | None  # baseline samples against biased images: what painting alone leaves; None: no biased images were given
    halves: Separation  # two halves of the reference: the negative control, this must not be seen
    nearer: Estimate  # AUC of the baseline less that of the debiased samples, over the same folds; above 0: debiasing went nearer
    nearer_p: float  # of the hypothesis that the two models' samples from a seed could be exchanged; by permutation
    excess: Estimate  # AUC of the debiased samples above the floor (above 0.5 without one)
    margin: float  # of the excess, set before
    smallest_seen: float  # excess that would be seen in four comparisons of five
    verdict: str
    sentence: str
    surest_samples: tuple[int, ...]  # rows of the debiased samples that look least like the reference, most first
    surest_references: tuple[int, ...]  # rows of the reference that look least like samples, most first

    @property
    def controls(self) -> dict[str, bool]:
        """Whether each control came out as it must."""
        return {"baseline_seen": self.baseline.p <= 0.05, "halves_not_seen": self.halves.p > 0.05}

    def to_json(self) -> dict:
        """`residual` of a comparison's result.json."""
        return {**asdict(self), "controls": self.controls}


def residual_test(
    baseline: np.ndarray,
    debiased: np.ndarray,
    reference: np.ndarray,
    biased: np.ndarray | None = None,
    *,
    margin: float = MARGIN,
    folds: int = 5,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Residual:
    """Test on frozen features, each [n, F], any real numbers; images, uint8 [n,H,W,3], are taken as their pixels.

    baseline, debiased: samples, row k of both from the same seed. reference: the images that the debiased model is meant to paint.
    biased: images the baseline was trained on, for the floor; without them the floor is an AUC of 0.5, and painting counts as difference.
    margin: excess of the AUC that would not matter.

    Raises UserInputError for sets of fewer than 20 images, of another number of features, or for samples that are not pairs.
    """
    sets = {"baseline": baseline, "debiased": debiased, "reference": reference, "biased": biased}
    sets = {name: _rows(name, x) for name, x in sets.items() if x is not None}
    _check(sets, margin)
    rng = stream(seed, "residual")
    if "biased" in sets:  # as many as there are references: an AUC grows with the images the discriminator is trained on
        rows = rng.permutation(len(sets["biased"]))[: len(sets["reference"])]
        sets["biased"] = sets["biased"][rows]
    # The components know no set from another, so permutations stay exact.
    sets = dict(zip(sets, standardised(list(sets.values())), strict=True))
    fold = {name: folds_of(len(x), folds, rng) for name, x in sets.items()}
    fold["debiased"] = fold["baseline"]

    both = Pairs(sets["baseline"], sets["debiased"], sets["reference"], fold["baseline"], fold["reference"])
    before, after, nearer, nearer_p = both.test(permutations, rng)
    if "biased" in sets:
        floor = separate(sets["baseline"], sets["biased"], fold["baseline"], fold["biased"], permutations, rng)
        level, spread = floor.separation.auc, floor.deviation
        floor_found = floor.separation
    else:
        level, spread, floor_found = 0.5, 0.0, None
    half = rng.permutation(len(sets["reference"]))
    middle = len(half) // 2
    parts = [sets["reference"][rows] for rows in (half[:middle], half[middle:])]
    halves = separate(*parts, *(folds_of(len(x), folds, rng) for x in parts), permutations, rng).separation

    deviation = float(np.hypot(after.deviation, spread))
    value = after.separation.auc - level
    excess = Estimate(value, (value - 1.96 * deviation, value + 1.96 * deviation))
    seen = excess.interval[0] > 0 and after.separation.p <= 0.05
    verdict = SEEN if seen else SMALLER if excess.interval[1] < margin else CANNOT_TELL
    smallest = float((norm.ppf(0.975) + norm.ppf(0.8)) * deviation)
    sentence = _sentence(verdict, excess, margin, smallest, floor_found is not None)
    n = len(sets["debiased"])
    by_score = np.argsort(after.scores[:n], kind="stable")[:DOZEN], np.argsort(-after.scores[n:], kind="stable")[:DOZEN]
    surest = (tuple(map(int, rows)) for rows in by_score)
    return Residual(
        *(before.separation, after.separation, floor_found, halves, nearer, nearer_p, excess, margin, smallest, verdict, sentence), *surest
    )


def _sentence(verdict: str, excess: Estimate, margin: float, smallest: float, has_floor: bool) -> str:
    above = "what painting alone leaves" if has_floor else "0.5 (no biased images were given, so painting itself counts as a difference)"
    amount = f"The AUC lies {excess.text('{:+.3f}')} above {above}."
    return {
        SEEN: f"The test still sees a difference between the debiased samples and the reference. {amount}",
        SMALLER: f"What is left is smaller than the margin of {margin:g} that was set before. {amount}",
        CANNOT_TELL: f"The test cannot tell at this n. {amount} It would show an excess of {smallest:.3f} in four comparisons of five.",
    }[verdict]


def _rows(name: str, x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    x = x.reshape(len(x), -1).astype(np.float32)
    if not np.isfinite(x).all():
        raise UserInputError(name, "its features hold a number that is not finite", "leave out the images that they come from")
    return x


def _check(sets: dict[str, np.ndarray], margin: float) -> None:
    for name, x in sets.items():
        least = 2 * FEWEST if name == "reference" else FEWEST
        if len(x) < least:
            raise UserInputError(name, f"it has {len(x)} images", f"give at least {least} for the test without labels")
        if x.shape[1] != sets["reference"].shape[1]:
            raise UserInputError(name, f"it has {x.shape[1]} features, the reference {sets['reference'].shape[1]}", "use one encoder")
    if len(sets["baseline"]) != len(sets["debiased"]):
        found = f"there are {len(sets['debiased'])} samples, of the baseline {len(sets['baseline'])}"
        raise UserInputError("debiased", found, "sample both models from the same seeds")
    if not 0 < margin < 0.5:
        raise UserInputError("margin", f"it is {margin}", "give a number between 0 and 0.5")
