"""What a comparison finds, and its result.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import pandas as pd

from ..intervals import Estimate, wilson
from .classifier import AttributeClassifier
from .copying import Nearest
from .residual import Residual
from .transfer import Transfer


@dataclass(frozen=True)
class Standing:
    """One model as a point: how far its shares lie from the target, and its images from real ones."""

    name: str  # baseline, debiased, or that of another one
    discrepancy: Estimate | None  # of the joint shares; None: no attribute was counted
    corrected: bool  # for the classifier's errors
    kernel_distance: Estimate


@dataclass(frozen=True)
class Comparison:
    """All that the comparison's page, report and tables show; `to_json` is its result.json."""

    n: int  # samples of each model
    classifier: AttributeClassifier | None
    joint: str  # the attribute or crossing that the discrepancy is of: all that were chosen
    shares: list[dict]  # see tables.share_rows
    differences: list[dict]  # see tables.difference_rows
    not_measurable: dict[str, str]
    target: dict[str, float] | None  # known shares of the joint, else what is counted in the reference is the target
    fairness_discrepancy: dict[str, Estimate] | None  # baseline, debiased, floor; of the raw shares
    corrected_discrepancy: dict[str, Estimate] | None  # baseline, debiased; None: not measurable
    total_variation: dict[str, Estimate] | None  # baseline, debiased
    transfer: list[Transfer]
    quality: dict  # see `_quality`
    residual: Residual | None
    notes: list[str] = field(default_factory=list)
    predicted: dict[str, pd.DataFrame] = field(default_factory=dict)  # what the classifier calls the samples of every model
    models: list[Standing] = field(default_factory=list)  # every model by the two that count, baseline and debiased first
    nearest: dict[str, Nearest] = field(default_factory=dict)  # of the debiased samples in the `reference` and in `training`

    def to_json(self) -> dict:
        """The comparison's result.json."""
        listed = list(self.shares)
        if self.target is not None and self.classifier is not None:
            exact = {
                "attribute": self.joint,
                "set": "target",
                "count": None,
                "n": None,
                "interval": None,
                "corrected": None,
                "small": False,
            }
            listed += [{**exact, "value": value, "share": share} for value, share in self.target.items()]
        return {
            "n": self.n,
            "attributes": [] if self.classifier is None else list(self.classifier.classes),
            "joint": self.joint,
            "classifier": None if self.classifier is None else _classifier_error(self.classifier),
            "shares": listed,
            "differences": self.differences,
            "not_measurable": self.not_measurable,
            "fairness_discrepancy": _with_fall(self.fairness_discrepancy, self.joint),
            "fairness_discrepancy_corrected": _with_fall(self.corrected_discrepancy, self.joint),
            "total_variation": None if self.total_variation is None else _plain(self.total_variation),
            "transfer": [{**asdict(t), "fits": t.fits, "sentence": t.sentence} for t in self.transfer],
            **self.quality,
            "residual": None if self.residual is None else self.residual.to_json(),
            "notes": self.notes,
            "models": [asdict(model) for model in self.models],
        }


def _classifier_error(classifier: AttributeClassifier) -> dict:
    attributes = []
    for name, values in classifier.classes.items():
        counts = classifier.confusion.get(name)
        about = {"attribute": name, "values": values, "counts": counts, "n": 0, "confusion": None, "accuracy": None}
        if counts is not None and counts.sum():
            right, n = classifier.accuracy(name)
            about |= {
                "n": n,
                "confusion": classifier.confusion_matrix(name),
                "accuracy": {"value": right / n, "interval": wilson(right, n)},
            }
        attributes.append(about)
    return {"name": classifier.source, "licence": classifier.licence, "attributes": attributes}


def _with_fall(distances: dict[str, Estimate] | None, joint: str) -> dict | None:
    """As JSON, with the share by which it fell; None where the baseline was perfect, which leaves nothing to fall."""
    if distances is None:
        return None
    before, after = (distances[name].value for name in ("baseline", "debiased"))
    return {**_plain(distances), "of": joint, "fall": 1 - after / before if before > 0 else None}


def _plain(distances: dict[str, Estimate]) -> dict:
    return {name: asdict(distance) for name, distance in distances.items()}
