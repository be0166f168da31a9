"""Do the classifier's errors on labelled images hold for generated ones? A check that needs no labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..streams import stream
from .classifier import AttributeClassifier, confidence_cells

BOOTSTRAP = 200
STEPS = 200
FEWEST = 100  # labelled images behind the histograms


@dataclass(frozen=True)
class Transfer:
    """Whether the scores of generated images can be a mixture of the labelled values' scores."""

    attribute: str
    n: int
    distance: float  # total variation between the scores' histogram and the best mixture
    by_chance: float  # what 95 % of draws from that mixture stay below
    p: float

    @property
    def fits(self) -> bool:
        return self.p > 0.05

    @property
    def sentence(self) -> str:
        if self.fits:
            return f"The scores of {self.attribute} on generated images look like those on labelled ones, as far as {self.n:,} images show."
        far = f"distance {self.distance:.3f}, by chance at most {self.by_chance:.3f}"
        return (
            f"The classifier of {self.attribute} answers generated images in another way than labelled ones ({far}). "
            "Its errors there may differ from those counted. Label some samples in the spot check."
        )


def transfer_check(classifier: AttributeClassifier, images: np.ndarray, seed: int = 0) -> list[Transfer]:
    """For each attribute with enough labelled images; images are generated, uint8 [N,H,W,3].

    The histogram of predicted value and confidence is fitted by a mixture of the labelled values' histograms. Its distance is held against
    a parametric bootstrap, which draws the labelled histograms and the sample again.
    """
    found, scores = [], classifier.scores(images)
    for name, labelled in classifier.confident.items():
        if name in scores and labelled.sum(1).min() > 0 and labelled.sum() >= FEWEST:
            counts = np.bincount(confidence_cells(scores[name]), minlength=labelled.shape[1])
            found.append(Transfer(name, len(images), *_compared(counts, labelled, stream(seed, "transfer check"))))
    return found


def _compared(counts: np.ndarray, labelled: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """(distance, its 95 % quantile by chance, p) of a sample's counts [C] and labelled counts [K, C]."""
    distance, mixed = _distance(counts, labelled)
    smooth = (labelled + 0.5 / labelled.shape[1]) / (labelled + 0.5 / labelled.shape[1]).sum(1, keepdims=True)
    null = np.empty(BOOTSTRAP)
    for k in range(BOOTSTRAP):
        again = np.stack([rng.multinomial(n, row) for n, row in zip(labelled.sum(1), smooth, strict=True)])
        null[k] = _distance(rng.multinomial(counts.sum(), mixed @ smooth), again)[0]
    return distance, float(np.quantile(null, 0.95)), float((1 + (null >= distance).sum()) / (1 + BOOTSTRAP))


def _distance(counts: np.ndarray, labelled: np.ndarray) -> tuple[float, np.ndarray]:
    """(total variation to the best mixture, its weights [K]) by expectation maximisation."""
    h = (labelled + 0.5 / labelled.shape[1]) / (labelled + 0.5 / labelled.shape[1]).sum(1, keepdims=True)
    p, weights = counts / counts.sum(), np.full(len(h), 1 / len(h))
    for _ in range(STEPS):
        new = weights * (h @ (p / np.maximum(weights @ h, 1e-12)))
        done = np.abs(new - weights).max() < 1e-6
        weights = new / new.sum()
        if done:
            break
    return float(np.abs(p - weights @ h).sum() / 2), weights
