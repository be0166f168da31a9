"""Attributes: a classifier with its error, and shares that never come without n and an interval (docs/METHOD.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.numpy import load_file, save_file
from scipy.optimize import lsq_linear
from scipy.stats import binomtest

from .data import ImageSet
from .errors import UserInputError

COMPONENTS = 150  # principal components of the pixels the classifier sees
BOOTSTRAP = 1000


# ---------------------------------------------------------------- shares


@dataclass(frozen=True)
class Share:
    """Share of one value of an attribute among n images; Wilson's interval, 95 %."""

    attribute: str
    value: str
    count: int
    n: int
    share: float
    interval: tuple[float, float]


def with_crossings(labels: pd.DataFrame) -> pd.DataFrame:
    """The attributes and every pair of them: columns like `skin x hair` with values like `lighter-long`."""
    crossed = {f"{a} x {b}": labels[a].astype(str) + "-" + labels[b].astype(str) for a, b in combinations(labels.columns, 2)}
    return pd.concat([labels.astype(str), pd.DataFrame(crossed, index=labels.index)], axis=1)


def shares(labels: pd.DataFrame, values: dict[str, list[str]]) -> list[Share]:
    """Shares of all `values` of every column of `labels`."""
    found = []
    for attribute, possible in values.items():
        counts = labels[attribute].value_counts()
        for value in possible:
            count, n = int(counts.get(value, 0)), len(labels)
            found.append(Share(attribute, value, count, n, count / n, wilson(count, n)))
    return found


def wilson(count: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    interval = binomtest(count, n).proportion_ci(method="wilson")
    return (float(interval.low), float(interval.high))


def newcombe(count_a: int, n_a: int, count_b: int, n_b: int) -> tuple[float, float]:
    """95 % interval of the difference a - b of two independent shares (Newcombe 1998, method 10)."""
    a, b = count_a / n_a, count_b / n_b
    (low_a, high_a), (low_b, high_b) = wilson(count_a, n_a), wilson(count_b, n_b)
    return (a - b - float(np.hypot(a - low_a, high_b - b)), a - b + float(np.hypot(high_a - a, b - low_b)))


def corrected_shares(observed: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    """True shares p on the simplex with confusion @ p nearest to the observed shares [K]; confusion[i, j] = P(predicted i given true j).

    With two values and a solution inside [0, 1] this is Rogan-Gladen's estimate (1978).
    """
    k = len(observed)
    heavy = 1e4  # holds the sum at 1
    fit = lsq_linear(np.vstack([confusion, heavy * np.ones(k)]), np.r_[observed, heavy], bounds=(0, 1))
    return fit.x / fit.x.sum()


# ---------------------------------------------------------------- distances between shares


@dataclass(frozen=True)
class Distance:
    """A distance between an attribute's shares in samples and in the target, with a bootstrap interval, 95 %."""

    value: float
    interval: tuple[float, float]


def fairness_discrepancy(counts: np.ndarray, target: np.ndarray, target_n: int | None = None, seed: int = 0) -> Distance:
    """L2 distance of the shares [K] from the target's (Choi et al. 2020).

    counts: of the samples, [K]. target: shares [K]; `target_n` images they were estimated from, None if they are known.
    The interval resamples both. It lies above the value near 0, where sampling can only add distance: see `floor`.
    """
    return _distance(counts, target, target_n, seed, lambda difference: np.sqrt((difference**2).sum(-1)))


def total_variation(counts: np.ndarray, target: np.ndarray, target_n: int | None = None, seed: int = 0) -> Distance:
    """Half the L1 distance of the shares [K] from the target's; arguments as for `fairness_discrepancy`."""
    return _distance(counts, target, target_n, seed, lambda difference: np.abs(difference).sum(-1) / 2)


def floor(n: int, target: np.ndarray, seed: int = 0) -> Distance:
    """The fairness discrepancy that n images drawn from the target itself would show: its mean and its central 95 %."""
    draws = np.random.default_rng(seed).multinomial(n, target, BOOTSTRAP) / n
    distances = np.sqrt(((draws - target) ** 2).sum(1))
    low, high = np.quantile(distances, [0.025, 0.975])
    return Distance(float(distances.mean()), (float(low), float(high)))


def _distance(counts: np.ndarray, target: np.ndarray, target_n: int | None, seed: int, norm) -> Distance:
    rng = np.random.default_rng(seed)
    n, target = int(counts.sum()), np.asarray(target, float)
    p = counts / n
    drawn = rng.multinomial(n, p, BOOTSTRAP) / n
    targets = target if target_n is None else rng.multinomial(target_n, target, BOOTSTRAP) / target_n
    low, high = np.quantile(norm(drawn - targets), [0.025, 0.975])
    return Distance(float(norm(p - target)), (float(low), float(high)))


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
