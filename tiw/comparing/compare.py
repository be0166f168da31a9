"""The comparison: baseline and debiased model from the same seeds, against the reference."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ..data import ImageSet
from ..intervals import wilson
from ..model.denoiser import Denoiser
from ..model.sampling import labels_like, sample
from ..shares import Distance, Share, fairness_discrepancy, floor, shares, total_variation, with_crossings
from .classifier import AttributeClassifier
from .quality import closer_to_reference, fit_encoder, frechet_distance, frechet_floor, kernel_distance, neighbour_shares


@dataclass(frozen=True)
class Comparison:
    """All that the comparison's page and tables show; `to_json` is its result.json."""

    n: int  # samples of each model
    classifier: AttributeClassifier | None
    shares: dict[str, list[Share]]  # per set: baseline, debiased, reference
    target: dict[str, float] | None  # known shares of the crossing, else the reference's count as the target
    fairness_discrepancy: dict[str, Distance] | None  # baseline, debiased, floor
    total_variation: dict[str, Distance] | None  # baseline, debiased
    quality: dict  # see `_quality`

    def to_json(self) -> dict:
        """The comparison's result.json."""
        listed = [{"set": name, **asdict(share)} for name, found in self.shares.items() for share in found]
        if self.target is not None and self.classifier is not None:
            crossing = list(with_crossings(pd.DataFrame(columns=list(self.classifier.values))))[-1]
            exact = {"attribute": crossing, "set": "target", "count": None, "n": None, "interval": None}
            listed += [{**exact, "value": value, "share": share} for value, share in self.target.items()]
        discrepancy = None
        if self.fairness_discrepancy is not None:
            before, after = (self.fairness_discrepancy[name].value for name in ("baseline", "debiased"))
            discrepancy = {**_plain(self.fairness_discrepancy), "fall": 1 - after / before}
        return {
            "n": self.n,
            "classifier": None if self.classifier is None else _classifier_error(self.classifier),
            "shares": listed,
            "fairness_discrepancy": discrepancy,
            "total_variation": None if self.total_variation is None else _plain(self.total_variation),
            **self.quality,
        }


def measure(
    baseline: np.ndarray,
    debiased: np.ndarray,
    reference: ImageSet,
    classifier: AttributeClassifier | None,
    heldout: ImageSet | None = None,
    truth: dict[str, float] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare two equally large stacks of samples, uint8 [N,H,W,3].

    heldout: labelled or not, drawn like the reference, for the quality measures; None: the reference itself, which flatters memorising.
    truth: shares of the attributes' crossing where they are known; else the target is what the classifier finds in the reference.
    """
    assert baseline.shape == debiased.shape, (baseline.shape, debiased.shape)
    found: dict[str, list[Share]] = {}
    discrepancy = variation = weights = None
    if classifier is not None:
        labels = {
            name: with_crossings(classifier.predict(images))
            for name, images in (("baseline", baseline), ("debiased", debiased), ("reference", reference.images))
        }
        values = _values(classifier)
        found = {name: shares(frame, values) for name, frame in labels.items()}
        joint = list(values)[-1]  # the last crossing holds all attributes when there are two; one attribute stands for itself
        counts = {name: frame[joint].value_counts().reindex(values[joint], fill_value=0).to_numpy() for name, frame in labels.items()}
        if truth is not None:
            target, target_n = np.array([truth[value] for value in values[joint]]), None
        else:
            target, target_n = counts["reference"] / len(reference), len(reference)
        discrepancy = {name: fairness_discrepancy(counts[name], target, target_n, seed) for name in ("baseline", "debiased")}
        variation = {name: total_variation(counts[name], target, target_n, seed) for name in ("baseline", "debiased")}
        discrepancy["floor"] = floor(len(baseline), target, seed)
        of_value = dict(zip(values[joint], target / np.maximum(counts["baseline"], 1), strict=True))
        weights = labels["baseline"][joint].map(of_value).to_numpy(float)
    quality = _quality(baseline, debiased, reference, heldout, weights, seed)
    return Comparison(len(baseline), classifier, found, truth, discrepancy, variation, quality)


def compare(
    baseline: Denoiser,
    debiased: Denoiser,
    reference: ImageSet,
    classifier: AttributeClassifier | None,
    heldout: ImageSet | None = None,
    *,
    count: int = 1000,
    seed: int = 0,
    truth: dict[str, float] | None = None,
    steps: int = 12,
    solver: str = "dpm",
) -> Comparison:
    """Sample `count` images of both models from the same seeds and `measure` them."""
    seeds = range(seed, seed + count)
    labels = labels_like(reference.labels, seeds)
    images = [sample(model, seeds, steps=steps, solver=solver, labels=labels) for model in (baseline, debiased)]
    return measure(*images, reference, classifier, heldout, truth, seed)


def _values(classifier: AttributeClassifier) -> dict[str, list[str]]:
    """Every column of `with_crossings` with all its possible values."""
    names = list(classifier.values)
    crossed = {
        f"{a} x {b}": [f"{u}-{v}" for u in classifier.values[a] for v in classifier.values[b]]
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    }
    return {**classifier.values, **crossed}


def _quality(
    baseline: np.ndarray, debiased: np.ndarray, reference: ImageSet, heldout: ImageSet | None, weights: np.ndarray | None, seed: int
) -> dict:
    """Frechet and kernel distance, precision and the like, memorising; all in one encoder's features.

    `baseline_resampled`: the baseline's own samples, drawn again so that their shares are the target's. Frechet distance falls
    when the shares do, whatever the pictures look like; against this one only the pictures count.
    """
    target, of = (reference, "the reference images") if heldout is None else (heldout, "the held-out images")
    encoder = fit_encoder(target.images, of, seed)
    real, samples = encoder(target.images), {"baseline": encoder(baseline), "debiased": encoder(debiased)}
    frechet = {name: asdict(frechet_distance(features, real, seed)) for name, features in samples.items()}
    if weights is not None:
        rng = np.random.default_rng(seed)
        rows = rng.choice(len(baseline), len(baseline), p=weights / weights.sum())
        frechet["baseline_resampled"] = asdict(frechet_distance(samples["baseline"][rows], real, seed))
    closer = None
    if heldout is not None:
        known = encoder(reference.images)
        closer = {name: asdict(closer_to_reference(features, known, real, seed)) for name, features in samples.items()}
    return {
        "frechet_distance": {
            "encoder": encoder.name,
            "n": len(baseline),
            **frechet,
            "floor": asdict(frechet_floor(real, len(baseline), seed)),
        },
        "kernel_distance": {"encoder": encoder.name, **{name: kernel_distance(features, real) for name, features in samples.items()}},
        "neighbours": {name: asdict(neighbour_shares(features, real)) for name, features in samples.items()},
        "closer_to_reference": closer,
    }


def _classifier_error(classifier: AttributeClassifier) -> dict:
    attributes = []
    for name, values in classifier.values.items():
        right, n = classifier.accuracy(name)
        accuracy = {"value": right / n, "interval": wilson(right, n)}
        attributes.append(
            {"attribute": name, "values": values, "confusion": classifier.confusion_matrix(name), "n": n, "accuracy": accuracy}
        )
    return {"name": "linear on pixels", "attributes": attributes}


def _plain(distances: dict[str, Distance]) -> dict:
    return {name: asdict(distance) for name, distance in distances.items()}
