"""Attributes: a classifier with counts of its errors, behind one interface (docs/METHOD.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.numpy import load_file, save_file

from ..data import ImageSet
from ..errors import UserInputError
from .attributes import chosen, codes, crossed_classes, usable_labels
from .encoders import Encoder

COMPONENTS = 150  # principal components that the probe sees
FOLDS = 5
CONFIDENCE = (0.0, 0.6, 0.75, 0.9, 0.97, 1.0)  # edges of the bins in which scores are counted


@dataclass(frozen=True)
class AttributeClassifier:
    """What every attribute classifier offers: `predict`, `scores`, and counts of its errors on labelled images it was not trained on."""

    classes: dict[str, list[str]]  # the possible values of each attribute
    confusion: dict[str, np.ndarray]  # of each attribute and crossing: counts [K, K], row predicted, column true; none: not counted yet
    source: str  # what it is and what it was trained on
    licence: str
    confident: dict[str, np.ndarray] = field(default_factory=dict)  # counts [K true, K predicted x bins of confidence], see transfer.py
    notes: tuple[str, ...] = ()  # what was done to the labels
    definition: str = ""  # where a value is what this says it is, so that there is no error: the sentence that says so

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities of the values of each attribute, [N, K], for uint8 images [N,H,W,3] of any size."""
        raise NotImplementedError

    def predict(self, images: np.ndarray) -> pd.DataFrame:
        """Labels of uint8 images [N,H,W,3], one column per attribute."""
        return pd.DataFrame({name: np.array(self.classes[name])[p.argmax(1)] for name, p in self.scores(images).items()})

    def confusion_matrix(self, attribute: str) -> np.ndarray:
        """A[i, j] = P(predicted i given true j), [K, K]."""
        counts = self.confusion[attribute].astype(float)
        return counts / np.maximum(counts.sum(0), 1)

    def accuracy(self, attribute: str) -> tuple[int, int]:
        """(right, all) of the labelled images it was not trained on."""
        return int(np.trace(self.confusion[attribute])), int(self.confusion[attribute].sum())

    def only(self, attributes: Sequence[str]) -> AttributeClassifier:
        """The same classifier for these attributes, in this order."""
        return replace(self, classes={name: self.classes[name] for name in chosen(attributes, self.classes)})

    def counted_on(self, labelled: ImageSet) -> AttributeClassifier:
        """The same classifier with its errors counted on these labelled images, which it must not have been trained on.

        Raises UserInputError where they lack labels of its attributes.
        """
        labels = labelled.attributes
        if labels is None or not set(self.classes) <= set(labels.columns):
            raise UserInputError("labels", f"{labelled.name} lacks labels of {', '.join(self.classes)}", "label these attributes")
        return replace(self, **_counts(labels.astype(object), self.scores(labelled.images), self.classes))

    @classmethod
    def from_pretrained(cls, path: str | Path, encoder: Encoder | None = None) -> AttributeClassifier:
        """Read what `LinearClassifier.save_pretrained` wrote; `encoder` where it was not fitted on pixels.

        Raises UserInputError for another encoder than the one it was fitted on.
        """
        path = Path(path)
        about = json.loads((path / "classifier.json").read_text())
        raw = load_file(path / "classifier.safetensors")
        classes = about.get("classes") or about["values"]
        if about.get("encoder") != (encoder and encoder.name):
            found = f"it was fitted on {about.get('encoder') or 'pixels'}"
            raise UserInputError("labels", found, "open it with that encoder")
        return LinearClassifier(
            classes,
            {name: np.array(counts) for name, counts in about["confusion"].items()},
            about.get("source", "a linear classifier on pixels, trained on portraits of the demo's kind"),
            about.get("licence", "CC BY 4.0"),
            {name: np.array(counts) for name, counts in about.get("confident", {}).items()},
            resolution=about["resolution"],
            weights={name: raw[f"{name}.weight"] for name in classes},
            biases={name: raw[f"{name}.bias"] for name in classes},
            encoder=encoder,
        )


@dataclass(frozen=True)
class LinearClassifier(AttributeClassifier):
    """A linear probe, softmax, one per attribute, on an encoder's features or on pixels."""

    resolution: int = 0
    weights: dict[str, np.ndarray] = field(default_factory=dict)  # [K, F]; on pixels in [-1, 1], F = H*W*3
    biases: dict[str, np.ndarray] = field(default_factory=dict)  # [K]
    encoder: Encoder | None = None  # None: pixels

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Softmax of the probes: images uint8 [N,H,W,3] -> probabilities [N, K] by attribute."""
        x = _features(images, self.resolution, self.encoder)
        return {name: _softmax(x @ self.weights[name].T + self.biases[name]) for name in self.classes}

    def save_pretrained(self, path: str | Path) -> None:
        """Write classifier.safetensors and classifier.json into the folder `path`."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        tensors = {f"{name}.weight": self.weights[name].astype(np.float32) for name in self.classes}
        save_file(
            tensors | {f"{name}.bias": self.biases[name].astype(np.float32) for name in self.classes}, path / "classifier.safetensors"
        )
        about = {
            "schema_version": 2,
            "resolution": self.resolution,
            "classes": self.classes,
            "confusion": {name: counts.tolist() for name, counts in self.confusion.items()},
            "confident": {name: counts.tolist() for name, counts in self.confident.items()},
            "source": self.source,
            "licence": self.licence,
            "encoder": self.encoder and self.encoder.name,
        }
        (path / "classifier.json").write_text(json.dumps(about, indent=2) + "\n")


def fit_attribute_classifier(
    labelled: ImageSet,
    test: ImageSet | None = None,
    seed: int = 0,
    *,
    encoder: Encoder | None = None,
    attributes: Sequence[str] = (),
) -> LinearClassifier:
    """A probe on frozen features (or pixels) for these attributes, or for all if there are one or two.

    Its errors are counted on `test`, or by five-fold cross-validation over all labelled images; the probe is then the mean of the five.
    Principal components and logistic regression, folded into one matrix per attribute. Raises UserInputError for labels it cannot use.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    labels, notes = usable_labels(labelled.attributes, attributes, labelled.name or "the set")
    x = _features(labelled.images, labelled.resolution, encoder)
    scale = np.ones(x.shape[1], np.float32) if encoder is None else np.maximum(x.std(0), 1e-6)
    pca = PCA(min(COMPONENTS, *x.shape), svd_solver="randomized", random_state=seed).fit(x / scale)
    z = pca.transform(x / scale)
    classes, weights, biases, out_of_fold = {}, {}, {}, {}

    def fitted(rows: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        model = LogisticRegression(C=0.01, max_iter=2000).fit(z[rows], values)
        coef, intercept = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # one logit for two classes
            coef, intercept = np.vstack([-coef, coef]) / 2, np.r_[-intercept, intercept] / 2
        return coef, intercept

    for name in labels:
        there = np.flatnonzero(labels[name].notna())
        values = labels[name].to_numpy(str)[there]
        classes[name] = sorted(set(values), key=_in_order)
        place = pd.Categorical(values, categories=classes[name]).codes.astype(int)
        if test is not None:
            coef, intercept = fitted(there, place)
        else:
            held = np.full((len(labels), len(classes[name])), 1 / len(classes[name]))
            probes = []
            for train, rest in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(there, place):
                probes.append(fitted(there[train], place[train]))
                held[there[rest]] = _softmax(z[there[rest]] @ probes[-1][0].T + probes[-1][1])
            out_of_fold[name] = held
            # The folds' mean, not a fit on all: it is as sure of itself as the probes whose scores were counted.
            coef, intercept = (np.mean(part, axis=0) for part in zip(*probes, strict=True))
        weights[name] = (coef @ pca.components_ / scale).astype(np.float32)
        biases[name] = (intercept - coef @ pca.components_ @ pca.mean_).astype(np.float32)
    how = "pixels" if encoder is None else encoder.name
    source = f"a linear probe on {how}, fitted on {len(labels):,} labelled images of {labelled.name or 'a set'}"
    found = LinearClassifier(
        classes, {}, source, "that of the labelled images", notes=notes, resolution=labelled.resolution, weights=weights, biases=biases
    )
    found = replace(found, encoder=encoder)
    if test is not None:
        return found.counted_on(test)  # type: ignore[return-value]
    return replace(found, **_counts(labels, out_of_fold, classes))


def _counts(labels: pd.DataFrame, scores: dict[str, np.ndarray], classes: dict[str, list[str]]) -> dict[str, dict[str, np.ndarray]]:
    """`confusion` and `confident` of predictions on labelled images."""
    predicted = pd.DataFrame({name: np.array(classes[name])[scores[name].argmax(1)] for name in classes})
    truth, found = codes(labels.reset_index(drop=True), classes), codes(predicted, classes)
    confusion, confident = {}, {}
    for name, values in crossed_classes(classes).items():
        known = truth[name] >= 0
        confusion[name] = np.zeros((len(values), len(values)), int)
        np.add.at(confusion[name], (found[name][known], truth[name][known]), 1)
        if name in classes:
            cells = confidence_cells(scores[name])
            confident[name] = np.zeros((len(values), len(values) * (len(CONFIDENCE) - 1)), int)
            np.add.at(confident[name], (truth[name][known], cells[known]), 1)
    return {"confusion": confusion, "confident": confident}


def confidence_cells(scores: np.ndarray) -> np.ndarray:
    """Predicted value and bin of its probability as one number, int [N], of scores [N, K]."""
    sure = np.clip(np.digitize(scores.max(1), CONFIDENCE) - 1, 0, len(CONFIDENCE) - 2)
    return scores.argmax(1) * (len(CONFIDENCE) - 1) + sure


def _in_order(value: str) -> tuple[bool, float, str]:
    """Numbers by size, before text by the alphabet."""
    try:
        return (False, float(value), value)
    except ValueError:
        return (True, 0.0, value)


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _features(images: np.ndarray, resolution: int, encoder: Encoder | None) -> np.ndarray:
    """uint8 [N,H,W,3] -> float32 [N, F], of images at this resolution."""
    if images.shape[1] != resolution:
        size = (resolution, resolution)
        images = np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)) for image in images])
    return images.reshape(len(images), -1).astype(np.float32) / 127.5 - 1 if encoder is None else encoder(images)
