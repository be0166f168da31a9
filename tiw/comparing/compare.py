"""The comparison: baseline and debiased model from the same seeds, against the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from ..data import ImageSet
from ..errors import UserInputError
from ..intervals import Estimate
from ..model.denoiser import Denoiser
from ..model.sampling import labels_like, sample
from ..shares import fairness_discrepancy, floor, total_variation
from ..streams import stream
from .attributes import codes, crossed_classes
from .classifier import AttributeClassifier
from .corrected import share_difference
from .encoders import Encoder, denoiser_encoder, open_encoder
from .quality import measure_quality
from .residual import MARGIN, Residual, residual_test
from .result import Comparison, Standing
from .tables import Counted, count, difference_rows, share_rows
from .transfer import transfer_check

FEWEST_FOR_RESIDUAL = (20, 40)  # samples and references


def measure(
    baseline: np.ndarray,
    debiased: np.ndarray,
    reference: ImageSet,
    classifier: AttributeClassifier | None,
    heldout: ImageSet | None = None,
    truth: dict[str, float] | None = None,
    seed: int = 0,
    *,
    biased: ImageSet | None = None,
    encoder: str | Encoder = "pca",
    denoiser: Denoiser | None = None,
    margin: float = MARGIN,
    also: Mapping[str, np.ndarray] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare two equally large stacks of samples, uint8 [N,H,W,3], in the attributes that the classifier has.

    heldout: labelled or not, drawn like the reference, for the quality measures; None: the reference itself, which flatters memorising.
    truth: shares of the attributes' crossing where they are known; else the target is what the classifier finds in the reference.
    biased: images the baseline was trained on, for the floor of the test without labels and for copies of them. encoder, denoiser: see
    `open_encoder`, or an `Encoder` of your own; the test without labels sees the denoiser's features, or pixels without one. also: samples
    of more models from the same seeds, by name, of which shares, discrepancy and kernel distance are measured.
    """
    assert baseline.shape == debiased.shape, (baseline.shape, debiased.shape)
    say = on_progress or (lambda done, total: None)
    samples = {"baseline": baseline, "debiased": debiased}
    every = {**samples, **(also or {})}
    assert all(images.shape == baseline.shape for images in every.values()) and len(every) == 2 + len(also or {})
    joint, rows, differences, refused, transfer = "", [], [], {}, []
    discrepancy = corrected = fixed = variation = weights = groups = None
    of_every: dict[str, Estimate] = {}
    notes: list[str] = []
    labels: dict[str, pd.DataFrame] = {}
    say(0, 4)
    if classifier is not None:
        notes += classifier.notes
        labels = {name: classifier.predict(images) for name, images in {**every, "reference": reference.images}.items()}
        counted = count(classifier, labels)
        joint = list(counted.classes)[-1]
        known = None if truth is None else _of_every_attribute(truth, classifier.classes, joint)
        rows, differences, refused = share_rows(counted, seed), difference_rows(counted, known, seed), counted.not_measurable
        counts = {name: of_set[joint] for name, of_set in counted.counts.items()}
        if truth is not None:
            target, target_n = np.array([truth[value] for value in counted.classes[joint]]), None
        else:
            target, target_n = counts["reference"] / len(reference), len(reference)
        of_every = {name: fairness_discrepancy(counts[name], target, target_n, seed) for name in every}
        discrepancy = {name: of_every[name] for name in samples}
        discrepancy["floor"] = floor(len(baseline), target, seed)
        fixed = _corrected_discrepancy(counted, joint, None if truth is None else target, list(every), seed)
        corrected = fixed and {name: fixed[name] for name in samples}
        variation = {name: total_variation(counts[name], target, target_n, seed) for name in samples}
        placed = {name: codes(frame, classifier.classes)[joint] for name, frame in labels.items()}
        weights = (target / np.maximum(counts["baseline"], 1))[placed["baseline"]]
        groups = (counted.classes[joint], placed)
        transfer = transfer_check(classifier, debiased, seed)
    say(1, 4)
    opened = open_encoder_for(encoder, reference, heldout, denoiser, seed)
    more = {"also": also, "biased": biased}
    quality, kernels, near = measure_quality(samples, reference, heldout, weights, groups, classifier, opened, seed, **more)
    models = [Standing(name, (fixed or of_every).get(name), fixed is not None, kernels[name]) for name in every]
    say(2, 4)
    left = _residual(samples, reference, biased, denoiser, margin, seed, notes)
    say(4, 4)
    return Comparison(
        n=len(baseline),
        classifier=classifier,
        joint=joint,
        shares=rows,
        differences=differences,
        not_measurable=refused,
        target=truth,
        fairness_discrepancy=discrepancy,
        corrected_discrepancy=corrected,
        total_variation=variation,
        transfer=transfer,
        quality=quality,
        residual=left,
        notes=notes,
        predicted={name: frame for name, frame in labels.items() if name in every},
        models=models,
        nearest=near,
    )


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
    attributes: Sequence[str] = (),
    biased: ImageSet | None = None,
    encoder: str | Encoder = "pca",
    margin: float = MARGIN,
) -> Comparison:
    """Sample `count` images of both models from the same seeds and `measure` them, in these attributes (all if there are one or two).

    Raises UserInputError, before the first sample is drawn, for fewer than two images, for sets and models of different sizes, and for
    attributes that are not there.
    """
    if count < 2:
        raise UserInputError("count", f"it is {count}", "compare two images of each model at least")
    classifier = check_comparison(baseline, debiased, reference, classifier, heldout, attributes, truth)
    seeds = range(seed, seed + count)
    labels = labels_like(reference.labels, seeds)
    images = [sample(model, seeds, steps=steps, solver=solver, labels=labels) for model in (baseline, debiased)]
    more = {"biased": biased, "encoder": encoder, "denoiser": baseline, "margin": margin}
    return measure(*images, reference, classifier, heldout, truth, seed, **more)


def check_comparison(
    baseline: Denoiser,
    debiased: Denoiser,
    reference: ImageSet,
    classifier: AttributeClassifier | None,
    heldout: ImageSet | None,
    attributes: Sequence[str],
    truth: dict[str, float] | None = None,
) -> AttributeClassifier | None:
    """The classifier of the chosen attributes. Raises UserInputError for what would fail after the samples are drawn."""
    side = baseline.shape[-1]
    if debiased.shape != baseline.shape or debiased.classes != baseline.classes:
        found = f"it paints {debiased.shape[-1]} pixels and {debiased.classes} classes, the baseline {side} and {baseline.classes}"
        raise UserInputError("debiased", found, "compare a model with the one that it started from")
    for field_, images in (("reference", reference), ("heldout", heldout)):
        if images is not None and images.resolution != side:
            found = f"its images are {images.resolution} pixels wide, the model paints {side}"
            raise UserInputError(field_, found, f"set resolution to {side} to crop and resize them, or choose a model of their size")
    if heldout is not None and heldout.fingerprint.sha256 == reference.fingerprint.sha256:
        raise UserInputError("heldout", "it is the reference itself", "give other images, or leave it empty")
    if classifier is None:
        if attributes:
            raise UserInputError("attributes", "no labelled images are given", "name them with labels, or name no attributes")
        return None
    classifier = classifier.only(attributes)
    every = list(crossed_classes(classifier.classes).values())[-1]
    if truth is not None and set(truth) != set(every):
        raise UserInputError("truth", f"it has the values {', '.join(truth)}", f"give a share for each of {', '.join(every[:8])}")
    return classifier


def open_encoder_for(name: str | Encoder, reference: ImageSet, heldout: ImageSet | None, denoiser: Denoiser | None, seed: int) -> Encoder:
    """The encoder of this name for the quality measures, fitted where it has to be to the images that they are measured against."""
    real, of = (reference, "the reference images") if heldout is None else (heldout, "the held-out images")
    return open_encoder(name, real.images, of, denoiser, seed)


def _of_every_attribute(truth: dict[str, float], classes: dict[str, list[str]], joint: str) -> dict[str, dict[str, float]]:
    """Known joint shares, and the shares of each attribute and pair that follow from them."""
    every = crossed_classes(classes)
    sizes = [len(values) for values in classes.values()]
    grid = np.array([truth[value] for value in every[joint]]).reshape(sizes)
    found = {}
    for name, values in every.items():
        axes = [list(classes).index(part) for part in (name.split(" x ") if name not in classes else [name])]
        summed = grid.sum(tuple(k for k in range(len(sizes)) if k not in axes))
        found[name] = dict(zip(values, summed.ravel().tolist(), strict=True))
    return found


def _corrected_discrepancy(
    counted: Counted, joint: str, target: np.ndarray | None, models: list[str], seed: int
) -> dict[str, Estimate] | None:
    """The discrepancy of the corrected shares; the interval is of the draws, which share the confusion matrix with the target's."""
    if joint not in counted.confusion:
        return None
    found = {}
    for name in models:
        if target is not None:
            one = counted.corrected(name, joint, seed)
            value, draws = one.shares - target, one.draws - target
        else:
            two = share_difference(counted.counts["reference"][joint], counted.counts[name][joint], counted.confusion[joint], seed=seed)
            value, draws = two.shares, two.draws
        low, high = np.quantile(np.sqrt((draws**2).sum(1)), [0.025, 0.975])
        found[name] = Estimate(float(np.sqrt((value**2).sum())), (float(low), float(high)))
    return found


def _residual(
    samples: dict[str, np.ndarray],
    reference: ImageSet,
    biased: ImageSet | None,
    denoiser: Denoiser | None,
    margin: float,
    seed: int,
    notes: list[str],
) -> Residual | None:
    """The test without labels, on the baseline's features where there is one."""
    if len(samples["baseline"]) < FEWEST_FOR_RESIDUAL[0] or len(reference) < FEWEST_FOR_RESIDUAL[1]:
        notes.append(
            f"The test without labels needs at least {FEWEST_FOR_RESIDUAL[0]} samples and {FEWEST_FOR_RESIDUAL[1]} references, there are "
            f"{len(samples['baseline']):,} and {len(reference):,}. It was left out."
        )
        return None
    encode = (lambda images: images) if denoiser is None else denoiser_encoder(denoiser)
    drawn = None
    if biased is not None and len(biased) >= FEWEST_FOR_RESIDUAL[0]:
        drawn = biased.take(stream(seed, "painting floor").permutation(len(biased))[: len(reference)]).images
    sets = [encode(images) for images in (*samples.values(), reference.images)]
    return residual_test(*sets, None if drawn is None else encode(drawn), margin=margin, seed=seed)
