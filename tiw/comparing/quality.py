"""Quality of samples: kernel and Frechet distance, precision, recall and coverage, and copies; all in one encoder's features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from sklearn.neighbors import NearestNeighbors

from ..data import ImageSet
from ..intervals import Estimate, wilson
from ..streams import stream
from .attributes import codes
from .classifier import AttributeClassifier
from .copying import Nearest, closer_to_reference, closer_to_training, nearest
from .encoders import Encoder, fit_encoder

__all__ = ["Encoder", "closer_to_reference", "fit_encoder"]  # beside the measures below

BOOTSTRAP = 24
MOST_TRAINING = 10_000, 2_000  # images trained on that are looked at for copies; where an image takes long
FEWEST_OF_GROUP = 20  # samples and real images of a group, below which its quality is not measured


def kernel_distance(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Squared maximum mean discrepancy of features [N, F] and [M, F] without bias, with a 95 % interval; 0 for one distribution.

    The cubic polynomial kernel of Binkowski et al. (2018), over all images instead of subsets. The variance is the first-order term of the
    U-statistic, plus what is left of it when both sets come from one distribution (Gretton et al. 2012, theorem 8 and corollary 16).
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    n, m, f = len(a), len(b), a.shape[1]
    if min(n, m) < 2:
        return Estimate(float("nan"), (float("nan"), float("nan")))

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / f + 1) ** 3

    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    diagonal = np.diag(aa).copy(), np.diag(bb).copy()
    within_a, within_b = (aa.sum(1) - diagonal[0]) / (n - 1), (bb.sum(1) - diagonal[1]) / (m - 1)
    value = within_a.mean() + within_b.mean() - 2 * ab.mean()
    first = 4 * (within_a - ab.mean(1)).var() / n + 4 * (within_b - ab.mean(0)).var() / m
    pooled = np.block([[aa, ab], [ab.T, bb]])
    centred = pooled - pooled.mean(0) - pooled.mean(1)[:, None] + pooled.mean()
    np.fill_diagonal(centred, 0)
    second = 2 * (1 / n + 1 / m) ** 2 * (centred**2).sum() / ((n + m) * (n + m - 1))
    half = 1.96 * np.sqrt(first + second)
    return Estimate(float(value), (float(value - half), float(value + half)))


def frechet_distance(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Estimate:
    """Frechet distance of features [N, F] and [M, F] (Heusel et al. 2017).

    The interval resamples `a`. A resample repeats rows, which adds distance; it is shifted back to lie around the value.
    """
    value, moments = _frechet(a, b), (b.mean(0), *_root(np.cov(b, rowvar=False)))
    rng = np.random.default_rng(seed)
    again = np.array([_frechet_to(a[rng.integers(len(a), size=len(a))], *moments) for _ in range(BOOTSTRAP)])
    half = 1.96 * again.std(ddof=1)
    return Estimate(value, (max(0.0, value - half), value + half))


def _frechet(a: np.ndarray, b: np.ndarray) -> float:
    return _frechet_to(a, b.mean(0), *_root(np.cov(b, rowvar=False)))


def _root(covariance: np.ndarray) -> tuple[np.ndarray, float]:
    """Symmetric square root and trace of a covariance [F, F]."""
    values, vectors = np.linalg.eigh(np.atleast_2d(covariance))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T, float(np.maximum(values, 0).sum())


def _frechet_to(a: np.ndarray, mean: np.ndarray, root: np.ndarray, trace: float) -> float:
    """|m - m'|^2 + tr C + tr C' - 2 tr (C' C)^(1/2). The last term through the eigenvalues of C'^(1/2) C C'^(1/2), which are those of C' C:
    few images make covariances singular, where a matrix square root turns complex."""
    covariance = np.atleast_2d(np.cov(a, rowvar=False))
    middle = np.linalg.eigvalsh(root @ covariance @ root)
    return float(((a.mean(0) - mean) ** 2).sum() + np.trace(covariance) + trace - 2 * np.sqrt(np.maximum(middle, 0)).sum())


def frechet_floor(features: np.ndarray, n: int, seed: int = 0) -> Estimate:
    """Frechet distance between two disjoint draws, of min(n, half the set) images each, from one set of features [N, F].

    The mean and the range of ten splits.

    What a perfect generator would score at that size; the distance is strongly biased at small n.
    """
    rng = np.random.default_rng(seed)
    m = min(n, len(features) // 2)
    splits = [rng.permutation(len(features)) for _ in range(10)]
    found = np.array([_frechet(features[order[:m]], features[order[m : 2 * m]]) for order in splits])
    return Estimate(float(found.mean()), (float(found.min()), float(found.max())))


@dataclass(frozen=True)
class NeighbourShares:
    """Precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020)."""

    precision: float
    recall: float
    density: float
    coverage: float
    n: int = 0  # of each side
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)  # of the three that are shares, Wilson's, for these balls


def neighbour_shares(samples: np.ndarray, real: np.ndarray, k: int = 5, seed: int = 0) -> NeighbourShares:
    """From features [N, F] and [M, F], cut to one size by a seeded draw, and balls that reach to each point's k-th neighbour in its set."""
    rng, n = stream(seed, "neighbours"), min(len(samples), len(real))
    samples, real = (x if len(x) == n else x[rng.permutation(len(x))[:n]] for x in (samples, real))
    k = min(k, n - 1)
    of_real, of_samples = NearestNeighbors(n_neighbors=k + 1).fit(real), NearestNeighbors(n_neighbors=k + 1).fit(samples)
    radius_real, radius_samples = of_real.kneighbors(real)[0][:, -1], of_samples.kneighbors(samples)[0][:, -1]
    squared = (samples**2).sum(1)[:, None] + (real**2).sum(1)[None] - 2 * samples @ real.T
    distance = np.sqrt(np.maximum(squared, 0))  # [N, M]
    inside_real = distance <= radius_real[None]
    hit = {
        "precision": inside_real.any(1),
        "recall": (distance <= radius_samples[:, None]).any(0),
        "coverage": inside_real.any(0),
    }
    shares = {name: float(one.mean()) for name, one in hit.items()}
    intervals = {name: wilson(int(one.sum()), n) for name, one in hit.items()}
    return NeighbourShares(**shares, density=float(inside_real.sum(1).mean() / k), n=n, intervals=intervals)


def measure_quality(
    samples: dict[str, np.ndarray],
    reference: ImageSet,
    heldout: ImageSet | None,
    weights: np.ndarray | None,
    groups: tuple[list[str], dict[str, np.ndarray]] | None,
    classifier: AttributeClassifier | None,
    encoder: Encoder,
    seed: int = 0,
    also: Mapping[str, np.ndarray] | None = None,
    biased: ImageSet | None = None,
) -> tuple[dict, dict[str, Estimate], dict[str, Nearest]]:
    """Kernel and Frechet distance, precision and the like, copies; all in one encoder's features, with as many images on both sides.

    samples: uint8 [N,H,W,3] of each model. weights [N]: how often the baseline's samples are drawn again; groups: the names of the groups
    and, for each set, the group of every image, int [N].

    `baseline_resampled`: the baseline's own samples, drawn again so that their shares are the target's. Frechet distance falls
    when the shares do, whatever the pictures look like; against this one only the pictures count.

    also: samples of more models, of which nothing but the kernel distance is measured. biased: the images that the baseline was trained
    on, which samples may copy too. Returns what the result says, and the kernel distance of every model.
    """
    target = reference if heldout is None else heldout
    real = encoder(target.images)
    features = {name: encoder(images) for name, images in samples.items()}
    rng, n = stream(seed, "quality"), min(len(real), len(features["baseline"]))
    drawn = real[rng.permutation(len(real))[:n]]
    equal = {name: x[:n] for name, x in features.items()}
    frechet = {name: asdict(frechet_distance(x, drawn, seed)) for name, x in equal.items()}
    # The cubic kernel knows a scale, 1 a feature; unscaled components are so large that a few images outweigh all others.
    unit = max(float(np.sqrt((real**2).mean())), 1e-12)
    scaled = {name: x / unit for name, x in features.items()}
    kernels = {name: kernel_distance(x / unit, drawn / unit) for name, x in equal.items()}
    kernel = {name: asdict(found) for name, found in kernels.items()}
    for name, images in (also or {}).items():
        kernels[name] = kernel_distance(encoder(images[:n]) / unit, drawn / unit)
    if weights is not None and weights[:n].sum() > 0:
        rows = rng.choice(n, n, p=weights[:n] / weights[:n].sum())
        frechet["baseline_resampled"] = asdict(frechet_distance(equal["baseline"][rows], drawn, seed))
    place_real = None if groups is None or classifier is None else _joint(classifier, target)
    copies, near = _copies(features, real, reference, heldout, biased, place_real, classifier, encoder, seed)
    about = {"encoder": encoder.name, "n": n}
    order = rng.permutation(len(real))
    floor_n = min(n, len(real) // 2)
    found = {
        "kernel_distance": {
            **about,
            **kernel,
            "floor": asdict(kernel_distance(*(real[part] / unit for part in (order[:floor_n], order[floor_n : 2 * floor_n])))),
        },
        "frechet_distance": {**about, **frechet, "floor": {**asdict(frechet_floor(real, n, seed)), "n": floor_n}},
        "neighbours": {
            **{name: asdict(neighbour_shares(x, drawn)) for name, x in equal.items()},
            "floor": asdict(neighbour_shares(real[order[:floor_n]], real[order[floor_n : 2 * floor_n]])),
        },
        "groups": [] if place_real is None else _of_groups(scaled, real / unit, place_real, groups),
        **copies,
    }
    return found, kernels, near


def _copies(
    features: dict[str, np.ndarray],
    real: np.ndarray,
    reference: ImageSet,
    heldout: ImageSet | None,
    biased: ImageSet | None,
    place_real: np.ndarray | None,
    classifier: AttributeClassifier | None,
    encoder: Encoder,
    seed: int,
) -> tuple[dict, dict[str, Nearest]]:
    """(`closer_to_reference` and `closer_to_training` of each model, where there are held-out images; what lies nearest to each debiased
    sample)."""
    known = real if heldout is None else encoder(reference.images)
    found: dict[str, dict | None] = {"closer_to_reference": None, "closer_to_training": None}
    near = {"reference": nearest(features["debiased"], known)}
    if heldout is not None:
        found["closer_to_reference"] = {name: asdict(closer_to_reference(x, known, real, seed)) for name, x in features.items()}
    if biased is None:
        return found, near
    rows = stream(seed, "images trained on").permutation(len(biased))[: MOST_TRAINING[bool(encoder.kept_as)]]
    training = biased.take(rows)
    known = encoder(training.images)
    among = nearest(features["debiased"], known)
    near["training"] = replace(among, rows=rows[among.rows])
    if heldout is not None and place_real is not None:
        placed = _joint(classifier, training), place_real
        of_each = {name: closer_to_training(x, known, real, placed, seed) for name, x in features.items()}
        if all(of_each.values()):
            found["closer_to_training"] = {name: asdict(closer) for name, closer in of_each.items()}
    return found, near


def _joint(classifier: AttributeClassifier, images: ImageSet) -> np.ndarray:
    """What the classifier calls each image, of all attributes at once, int [N]."""
    return list(codes(classifier.predict(images.images), classifier.classes).values())[-1]


def _of_groups(
    features: dict[str, np.ndarray], real: np.ndarray, place_real: np.ndarray, groups: tuple[list[str], dict[str, np.ndarray]]
) -> list[dict]:
    """Kernel distance of each group's samples to the real images of that group, worst debiased group first; one n for all three sets."""
    values, placed = groups
    rows = []
    for k, value in enumerate(values):
        own = {name: x[placed[name] == k] for name, x in features.items()}
        own["real"] = real[place_real == k]
        n = min(len(x) for x in own.values())
        row = {"group": value, "n": n, "counts": {name: len(x) for name, x in own.items()}, "baseline": None, "debiased": None}
        if n >= FEWEST_OF_GROUP:
            row |= {name: asdict(kernel_distance(own[name][:n], own["real"][:n])) for name in ("baseline", "debiased")}
        rows.append(row)
    return sorted(rows, key=lambda row: -row["debiased"]["value"] if row["debiased"] else 0.0)
