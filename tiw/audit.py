"""The audit: how far apart are two sets, where, and can the estimate be trusted?"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from .attributes import with_crossings
from .data import ImageSet
from .diagnostics import LevelDiagnostics, Verdict, diagnose, histograms, judge
from .ratio import DensityRatio

REPRESENTATIVES = 48  # most over- and under-represented images
BOOTSTRAP = 400


@dataclass(frozen=True)
class SetShare:
    """The share of one value of an attribute in one set, with its interval and the number of images behind it."""

    attribute: str
    value: str
    set: str  # biased, reference, reweighted
    share: float
    interval: tuple[float, float]
    n: float  # reweighted: effective sample size


@dataclass(frozen=True)
class AuditResult:
    """Everything the audit's page and tables show."""

    biased: ImageSet
    reference: ImageSet
    ratio: DensityRatio
    levels: tuple[LevelDiagnostics, ...]
    edges: np.ndarray  # [bins + 1] of log r, the same at every level
    biased_density: np.ndarray  # [L, bins]
    reference_density: np.ndarray  # [L, bins]
    verdict: Verdict
    shares: tuple[SetShare, ...]
    over_represented: np.ndarray  # items: rows of biased followed by reference
    under_represented: np.ndarray

    def scores(self) -> pd.DataFrame:
        """One row per scored item: item, set, index, log_ratio_0 .. (held out, ascending sigma), attributes where known."""
        n, rows = len(self.biased), self.ratio.scored
        parts = []
        for name, index, first, values, images in (
            ("biased", rows, 0, self.ratio.log_ratio_biased, self.biased),
            ("reference", np.arange(len(self.reference)), n, self.ratio.log_ratio_reference, self.reference),
        ):
            part = pd.DataFrame({"item": first + index, "set": name, "index": index})
            part = pd.concat([part, pd.DataFrame(values.T, columns=[f"log_ratio_{k}" for k in range(len(values))])], axis=1)
            if images.attributes is not None:
                part = pd.concat([part, images.attributes.iloc[index].reset_index(drop=True)], axis=1)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def to_json(self) -> dict:
        """The audit's result.json."""
        levels = []
        for k, d in enumerate(self.levels):
            level = asdict(d)
            level["cross_entropy"] = {"held_out": level.pop("cross_entropy"), "train": level.pop("train_cross_entropy")}
            level["effective_sample_size"] = {"count": level.pop("effective_sample_size"), "share": level.pop("effective_share")}
            level["histogram"] = {"edges": self.edges, "biased": self.biased_density[k], "reference": self.reference_density[k]}
            levels.append(level)

        def about(images: ImageSet) -> dict:
            return {"name": images.name, "n": len(images), "fingerprint": asdict(images.fingerprint)}

        return {
            **self.ratio.about,
            "biased": {**about(self.biased), "scored": len(self.ratio.scored)},
            "reference": about(self.reference),
            "levels": levels,
            "verdict": asdict(self.verdict),
            "shares": [asdict(share) for share in self.shares],
            "over_represented": self.over_represented,
            "under_represented": self.under_represented,
        }


def audit(biased: ImageSet, reference: ImageSet, ratio: DensityRatio, *, reference_share: float = 0.0, seed: int = 0) -> AuditResult:
    """Diagnostics, histograms, shares and the most telling images of two sets, from a ratio fitted on them."""
    of_biased, of_reference = ratio.log_ratio_biased, ratio.log_ratio_reference
    levels = [
        diagnose(sigma, b, r, train, reference_share)
        for sigma, b, r, train in zip(ratio.sigmas, of_biased, of_reference, ratio.train_cross_entropy, strict=True)
    ]
    verdict = judge(levels)
    level = next((k for k, d in enumerate(levels) if d.sigma == verdict.reliable_from), 0)
    order = ratio.scored[np.argsort(of_biased[level], kind="stable")]
    return AuditResult(
        biased,
        reference,
        ratio,
        tuple(levels),
        *histograms(of_biased, of_reference),
        verdict,
        tuple(_shares(biased, reference, ratio, of_biased[level], seed)),
        over_represented=order[:REPRESENTATIVES],
        under_represented=order[::-1][:REPRESENTATIVES],
    )


def _shares(biased: ImageSet, reference: ImageSet, ratio: DensityRatio, log_ratio: np.ndarray, seed: int) -> list[SetShare]:
    """Moment check: shares of the biased set, as it is and reweighted by r, against the reference's (docs/METHOD.md)."""
    from scipy.stats import binomtest

    if biased.attributes is None or reference.attributes is None:
        return []
    found = []
    weight = np.exp(log_ratio.astype(np.float64))
    ess = float(weight.sum() ** 2 / (weight**2).sum())
    labels = {"biased": with_crossings(biased.attributes), "reference": with_crossings(reference.attributes)}
    scored = labels["biased"].iloc[ratio.scored]
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(weight), size=(BOOTSTRAP, len(weight)))
    total = weight[draws].sum(1)
    for attribute in labels["biased"]:
        if attribute not in labels["reference"]:
            continue
        for value in sorted(set(labels["biased"][attribute]) | set(labels["reference"][attribute])):
            for name in ("biased", "reference"):
                is_value = labels[name][attribute] == value
                interval = binomtest(int(is_value.sum()), len(is_value)).proportion_ci(method="wilson")
                found.append(SetShare(attribute, value, name, float(is_value.mean()), (interval.low, interval.high), len(is_value)))
            mask = (scored[attribute] == value).to_numpy()
            low, high = np.quantile((weight * mask)[draws].sum(1) / total, [0.025, 0.975])
            found.append(SetShare(attribute, value, "reweighted", float(weight @ mask / weight.sum()), (float(low), float(high)), ess))
    return found
