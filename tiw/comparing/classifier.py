"""Attributes: a classifier with its error, and shares that never come without n and an interval (docs/METHOD.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.numpy import load_file, save_file

from ..data import ImageSet
from ..errors import UserInputError

COMPONENTS = 150  # principal components of the pixels the classifier sees


# ---------------------------------------------------------------- shares


# ---------------------------------------------------------------- distances between shares


# ---------------------------------------------------------------- classifier


@dataclass(frozen=True)
class AttributeClassifier:
    """Linear softmax classifiers on pixels, one per attribute, with their errors on labelled held-out images."""

    resolution: int
    values: dict[str, list[str]]  # per attribute, in the order of the rows below
    weights: dict[str, np.ndarray]  # [K, H*W*3] on pixels in [-1, 1]
    biases: dict[str, np.ndarray]  # [K]
    confusion: dict[str, np.ndarray]  # [K, K] counts on held-out images: row predicted, column true

    def predict(self, images: np.ndarray) -> pd.DataFrame:
        """Labels of uint8 images [N,H,W,3], one column per attribute; other sizes are resized first."""
        x = _pixels(images, self.resolution)
        predicted = {name: np.array(self.values[name])[(x @ self.weights[name].T + self.biases[name]).argmax(1)] for name in self.values}
        return pd.DataFrame(predicted)

    def confusion_matrix(self, attribute: str) -> np.ndarray:
        """A[i, j] = P(predicted i given true j), [K, K]."""
        counts = self.confusion[attribute].astype(float)
        return counts / np.maximum(counts.sum(0), 1)

    def accuracy(self, attribute: str) -> tuple[int, int]:
        """(right, all) held-out images."""
        return int(np.trace(self.confusion[attribute])), int(self.confusion[attribute].sum())

    def save_pretrained(self, path: str | Path) -> None:
        """Write classifier.safetensors and classifier.json into the folder `path`."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        tensors = {f"{name}.weight": w.astype(np.float32) for name, w in self.weights.items()}
        save_file(tensors | {f"{name}.bias": b.astype(np.float32) for name, b in self.biases.items()}, path / "classifier.safetensors")
        confusion = {name: counts.tolist() for name, counts in self.confusion.items()}
        about = {"schema_version": 1, "resolution": self.resolution, "values": self.values, "confusion": confusion}
        (path / "classifier.json").write_text(json.dumps(about, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, path: str | Path) -> AttributeClassifier:
        """Read what `save_pretrained` wrote."""
        about = json.loads((Path(path) / "classifier.json").read_text())
        raw = load_file(Path(path) / "classifier.safetensors")
        values = about["values"]
        return cls(
            about["resolution"],
            values,
            {name: raw[f"{name}.weight"] for name in values},
            {name: raw[f"{name}.bias"] for name in values},
            {name: np.array(counts) for name, counts in about["confusion"].items()},
        )


def fit_attribute_classifier(labelled: ImageSet, test: ImageSet | None = None, seed: int = 0) -> AttributeClassifier:
    """Fit on `labelled`; errors are counted on `test`, or on a held-out third.

    Principal components and logistic regression, folded into one matrix per attribute. Raises UserInputError without labels.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    if labelled.attributes is None:
        raise UserInputError("labels", f"{labelled.name} has no label columns", "add a metadata.csv, class folders or label columns")
    if test is None:
        order = np.random.default_rng(seed).permutation(len(labelled))
        labelled, test = labelled.take(order[len(order) // 3 :]), labelled.take(order[: len(order) // 3])
    x, x_test = _pixels(labelled.images, labelled.resolution), _pixels(test.images, labelled.resolution)
    pca = PCA(min(COMPONENTS, *x.shape), svd_solver="randomized", random_state=seed).fit(x)
    z = pca.transform(x)
    values, weights, biases, confusion = {}, {}, {}, {}
    for name in labelled.attributes.columns:
        known = sorted(labelled.attributes[name].astype(str).unique())
        if len(known) < 2:
            raise UserInputError("labels", f"every image has {name} = {known[0]!r}", "give images of every value, or drop the column")
        model = LogisticRegression(C=0.01, max_iter=2000).fit(z, labelled.attributes[name].astype(str))
        coef, intercept = model.coef_, model.intercept_
        if len(known) == 2:  # one logit for two classes
            coef, intercept = np.vstack([-coef, coef]) / 2, np.r_[-intercept, intercept] / 2
        values[name] = known
        weights[name] = (coef @ pca.components_).astype(np.float32)
        biases[name] = (intercept - coef @ pca.components_ @ pca.mean_).astype(np.float32)
        predicted = (x_test @ weights[name].T + biases[name]).argmax(1)
        true = pd.Categorical(test.attributes[name].astype(str), categories=known).codes
        counts = np.zeros((len(known), len(known)), int)
        np.add.at(counts, (predicted[true >= 0], true[true >= 0]), 1)
        confusion[name] = counts
    return AttributeClassifier(labelled.resolution, values, weights, biases, confusion)


def _pixels(images: np.ndarray, resolution: int) -> np.ndarray:
    """uint8 [N,H,W,3] -> float32 [N, resolution^2 * 3] in [-1, 1]."""
    if images.shape[1] != resolution:
        size = (resolution, resolution)
        images = np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)) for image in images])
    return images.reshape(len(images), -1).astype(np.float32) / 127.5 - 1
