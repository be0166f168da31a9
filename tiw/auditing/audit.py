"""The audit: how far apart are two sets, where, and can the estimate be trusted?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from ..choices import LABEL
from ..data import ImageSet, Problem, check_sets
from ..intervals import Estimate, wilson
from ..ratio.density_ratio import DensityRatio, whitening
from ..ratio.diagnostics import LevelDiagnostics, diagnose, histograms, moment_check
from ..ratio.features import RatioFeatures, clear_level
from ..shares import with_crossings
from ..streams import stream
from .camera import Suspect, camera_check
from .finding import Finding, Pictured, find
from .groups import group_images
from .unlike import unlike_references
from .verdict import Verdict, judge

REPRESENTATIVES = 48  # most over- and under-represented images
MOST_VALUES = 50  # of a label: one with more of them names images, not groups
MOST_CROSSED = 5  # labels that are crossed with each other: 40 of them have 780 pairs
BOOTSTRAP = 400


@dataclass(frozen=True)
class SetShare:
    """The share of one value of an attribute in one set, with its interval and the number of images behind it."""

    attribute: str
    value: str
    set: str  # biased, reference, reweighted
    share: float
    interval: tuple[float, float]
    n: float  # images whose label is known; reweighted: effective sample size
    count: int | None  # images with the value; reweighted: None


@dataclass(frozen=True)
class Groups:
    """Alike images, numbered from 1."""

    biased: np.ndarray  # [m] of the scored biased images
    reference: np.ndarray  # [n_reference]
    typical: tuple[tuple[int, ...], ...]  # items of each group, most typical first


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
    finding: Finding | None  # None: neither labels in common nor features to group the images by
    verdict: Verdict
    shares: tuple[SetShare, ...]
    over_represented: np.ndarray  # items: rows of biased followed by reference
    under_represented: np.ndarray
    camera: tuple[Suspect, ...]  # properties of how the images were made that alone separate the sets
    groups: Groups | None  # for sets without labels in common
    problems: tuple[Problem, ...] = ()  # what the checks before the work found, and references unlike any biased image

    def scores(self) -> pd.DataFrame:
        """One row per scored item: see `scored_rows`. The biased images first."""
        n = len(self.biased)
        groups = (None, None) if self.groups is None else (self.groups.biased, self.groups.reference)
        return pd.concat(
            [
                scored_rows("biased", 0, self.ratio.scored, self.ratio.log_ratio_biased, self.biased, groups[0]),
                scored_rows("reference", n, np.arange(len(self.reference)), self.ratio.log_ratio_reference, self.reference, groups[1]),
            ],
            ignore_index=True,
        )

    def tables(self) -> dict[str, pd.DataFrame]:
        """The audit's numbers as tables: levels, reliability, histograms, shares, scores, left_out. Intervals are two columns, _low and
        _high."""
        curves = [{"sigma": d.sigma, **asdict(b)} for d in self.levels for b in d.reliability]
        bins = [
            {"sigma": d.sigma, "log_ratio_from": low, "log_ratio_to": high, "biased_density": b, "reference_density": r}
            for d, of_b, of_r in zip(self.levels, self.biased_density, self.reference_density, strict=True)
            for low, high, b, r in zip(self.edges[:-1], self.edges[1:], of_b, of_r, strict=True)
        ]
        shares = pd.DataFrame([{**asdict(s), "n": round(s.n), **_ends("share", s.interval)} for s in self.shares])
        if len(shares):
            shares = shares.drop(columns="interval").astype({"count": "Int64"})
        return {
            "levels": pd.DataFrame([_flat(d) for d in self.levels]),
            "reliability": pd.DataFrame(curves),
            "histograms": pd.DataFrame(bins),
            "shares": shares,
            "scores": self.scores(),
            "left_out": pd.DataFrame(
                [(role, said) for role, of in (("biased", self.biased), ("reference", self.reference)) for said in of.skipped],
                columns=["set", "file"],
            ),
        }

    def to_json(self) -> dict:
        """The audit's result.json."""
        levels = []
        for k, d in enumerate(self.levels):
            level = asdict(d)
            level["cross_entropy"] = {"held_out": level.pop("cross_entropy"), "train": level.pop("train_cross_entropy")}
            level["effective_sample_size"] = {"count": level.pop("effective_sample_size"), "share": level.pop("effective_share")}
            level["histogram"] = {"edges": self.edges, "biased": self.biased_density[k], "reference": self.reference_density[k]}
            levels.append(level)

        return {
            **self.ratio.about,
            "biased": {**self.biased.about(), "scored": len(self.ratio.scored)},
            "reference": self.reference.about(),
            "levels": levels,
            "finding": None if self.finding is None else asdict(self.finding),
            "verdict": asdict(self.verdict),
            "shares": [asdict(share) for share in self.shares],
            "over_represented": self.over_represented,
            "under_represented": self.under_represented,
            "camera": [{**asdict(suspect), "sentence": suspect.sentence} for suspect in self.camera],
            "groups": None if self.groups is None else self.groups.typical,
            "problems": [asdict(problem) for problem in self.problems],
        }


def scored_rows(
    role: str, first: int, rows: np.ndarray, log_ratio: np.ndarray, images: ImageSet, groups: np.ndarray | None = None
) -> pd.DataFrame:
    """A table of scores: item, set, index (row of the set), source (its file, else its row), log_ratio_0 .. (ascending sigma), group where
    there are groups, and `label: NAME` for every label of the set.

    rows [n] of the set; first: the item that its row 0 is; log_ratio [L, n].
    """
    table = pd.DataFrame({"item": first + rows, "set": role, "index": rows, "source": sources(images, rows)})
    columns = {f"log_ratio_{k}": row for k, row in enumerate(log_ratio)}
    if groups is not None:
        columns["group"] = groups.astype(str)
    if images.attributes is not None:
        columns |= {f"{LABEL}{name}": images.attributes[name].to_numpy()[rows] for name in images.attributes}
    return pd.concat([table, pd.DataFrame(columns, index=table.index)], axis=1)


def sources(images: ImageSet, rows: np.ndarray) -> list[str]:
    """Where each of these rows, int [n], came from: its file, or its row in the set."""
    return [str(name) for name in images.sources[rows]]


def _flat(level: LevelDiagnostics) -> dict[str, float]:
    """One row of a table: every number of a level but its reliability curve."""
    row = {}
    for name, value in vars(level).items():
        if isinstance(value, Estimate):
            row |= {name: value.value, **_ends(name, value.interval)}
        elif name != "reliability":
            row[name] = value
    return row


def _ends(name: str, interval: tuple[float, float]) -> dict[str, float]:
    return {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def audit(
    biased: ImageSet,
    reference: ImageSet,
    ratio: DensityRatio,
    *,
    features: RatioFeatures | None = None,
    problems: Sequence[Problem] | None = None,
    reference_share: float = 0.0,
    seed: int = 0,
) -> AuditResult:
    """Diagnostics, histograms, shares and the most telling images of two sets, from a ratio fitted on them.

    `features` (those of the fit) give the moment check, the references that are unlike any biased image, and the groups that stand in for
    labels where the sets have none in common. `problems` are those that `tiw.data.check_sets` found before the fit (None: they are looked
    for here). They go with the result, and copies of images among them qualify the verdict.
    """
    of_biased, of_reference = ratio.log_ratio_biased, ratio.log_ratio_reference
    levels = [
        diagnose(sigma, b, r, train, reference_share)
        for sigma, b, r, train in zip(ratio.sigmas, of_biased, of_reference, ratio.train_cross_entropy, strict=True)
    ]
    if features is not None:
        levels = [replace(d, gap_closed=_gap_closed(features, ratio, k, seed)) for k, d in enumerate(levels)]
    problems = list(check_sets(biased, reference) if problems is None else problems)
    if features is not None:
        problems += unlike_references(features, ratio, reference, seed)
    verdict = judge(levels, ratio.p_equal, problems, (len(biased), len(reference)))
    level = next((k for k, d in enumerate(levels) if d.sigma == verdict.reliable_from), 0)
    order = ratio.scored[np.argsort(of_biased[level], kind="stable")]
    pictured = [(ratio.scored, of_biased[level]), (len(biased) + np.arange(len(reference)), of_reference[level])]
    labels, groups, finding, shares = _labels(biased, reference), None, None, []
    if labels is not None:
        shown = labels[0].iloc[ratio.scored], labels[1]
    elif features is not None:
        groups = _groups(features, ratio, seed)
        shown = labels = tuple(pd.DataFrame({"group": of.astype(str)}) for of in (groups.biased, groups.reference))
    if labels is not None:
        crossed = [] if groups else [name for name in labels[0] if name not in biased.attributes]
        # Groups come from the same features as the verdict: where it sees no difference, none of theirs is claimed.
        if groups is None or verdict.level != "no-difference":
            finding = find(*labels, tuple(Pictured(*p, of) for p, of in zip(pictured, shown, strict=True)), crossed, groups is None)
        shares = _shares(*labels, shown[0], of_biased[level], seed)
    return AuditResult(
        biased,
        reference,
        ratio,
        tuple(levels),
        *histograms(of_biased, of_reference),
        finding,
        verdict,
        tuple(shares),
        over_represented=order[:REPRESENTATIVES],
        under_represented=order[::-1][:REPRESENTATIVES],
        camera=tuple(camera_check(biased, reference, seed)),
        groups=groups,
        problems=tuple(problems),
    )


def _labels(biased: ImageSet, reference: ImageSet) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Attributes of few values that both sets have, with their crossings where they are few; None where they have none in common."""
    if biased.attributes is None or reference.attributes is None:
        return None
    common = [name for name in biased.attributes if name in reference.attributes]
    common = [name for name in common if len({*biased.attributes[name], *reference.attributes[name]}) <= MOST_VALUES]
    if not common:
        return None
    both = biased.attributes[common], reference.attributes[common]
    if len(common) <= MOST_CROSSED:
        return with_crossings(both[0]), with_crossings(both[1])
    return both


def _gap_closed(features: RatioFeatures, ratio: DensityRatio, level: int, seed: int) -> Estimate | None:
    """The moment check of one level, on whitened principal components of its features."""
    of_biased, of_reference = features.biased[level], features.reference[level, 0]
    white, folds = whitening(of_biased, seed), ratio.folds.cpu().numpy()
    components = [(x @ white).double().numpy() for x in (of_biased, of_reference)]
    return moment_check(*components, ratio.log_ratio_biased[level], folds[features.scored], folds[features.n_biased :], seed)


def _groups(features: RatioFeatures, ratio: DensityRatio, seed: int) -> Groups:
    level = clear_level(ratio.sigmas)
    of_biased, of_reference, typical = group_images(features.biased[level].numpy(), features.reference[level, 0].numpy(), seed)
    items = np.r_[features.scored, features.n_biased + np.arange(len(of_reference))]
    return Groups(of_biased, of_reference, tuple(tuple(items[row[row >= 0]].tolist()) for row in typical))


def _shares(biased: pd.DataFrame, reference: pd.DataFrame, scored: pd.DataFrame, log_ratio: np.ndarray, seed: int) -> list[SetShare]:
    """Shares of all values in both sets; and the moment check: in the scored biased images reweighted by r, which should be the
    reference's (docs/METHOD.md). Images whose label is missing count nowhere."""
    found = []
    weight = np.exp(log_ratio.astype(np.float64))
    draws = stream(seed, "reweighted shares").integers(len(weight), size=(BOOTSTRAP, len(weight)))
    for attribute in biased:
        known = scored[attribute].notna().to_numpy()
        heavy = weight * known
        total = heavy[draws].sum(1)
        ess = float(heavy.sum() ** 2 / max((heavy**2).sum(), 1e-300))
        for value in sorted({*biased[attribute].dropna(), *reference[attribute].dropna()}):
            for name, labels in (("biased", biased), ("reference", reference)):
                count, n = int((labels[attribute] == value).sum()), int(labels[attribute].notna().sum())
                if n:
                    found.append(SetShare(attribute, value, name, count / n, wilson(count, n), n, count))
            if known.any():
                own = heavy * (scored[attribute] == value).to_numpy()
                low, high = np.quantile(own[draws].sum(1) / np.maximum(total, 1e-300), [0.025, 0.975])
                found.append(SetShare(attribute, value, "reweighted", float(own.sum() / heavy.sum()), (float(low), float(high)), ess, None))
    return found
