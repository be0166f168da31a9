"""The compare action: what the debiasing run used is opened again and everything is checked; then both models are sampled and measured."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..comparing.attributes import parse_attributes
from ..comparing.classifier import AttributeClassifier, fit_attribute_classifier
from ..comparing.compare import check_comparison, measure, open_encoder_for
from ..comparing.encoders import Encoder, check_encoder, denoiser_encoder
from ..comparing.groups import Groups, find_groups
from ..comparing.plugins import plugin
from ..comparing.result import Comparison
from ..data import ImageSet, load_demo
from ..errors import UserInputError
from ..files import as_csv, write_atomic, write_npz
from ..model.denoiser import Denoiser
from ..model.sampling import labels_like
from ..model.sampling import sample as draw_samples
from ..streams import stream
from . import names
from .folder import RunFolder
from .forecast import GUIDED, parts_of, say_beforehand
from .hand_on import collect, debiasing_run, write_report
from .inputs import CHECKPOINTS, open_denoiser, read_set, report, report_of, with_classes
from .lineup import find_others, open_ratio, title_of
from .options import CompareOptions
from .spot_check import write_predicted

MOST_SEEN = 1000  # biased images in which unnamed groups are looked for
NEAR = {  # in examples.npz: the samples, and what lies nearest to them
    "reference": ("nearest_samples", "nearest_references"),
    "training": ("samples_near_training", "nearest_training"),
}
MOST_LABELLED = 2000  # labelled images of which an encoder that takes long is asked
FROM_RUN = ("baseline", "biased", "reference", "references", "biased_name", "reference_name", "class_label", "resolution", "skip_bad")
DESIGN = ("seed", "sampling_steps", "solver", "encoder", "margin")
FIXED = ("reference", "references", "class_label", "resolution")  # of the run: another one would make its numbers wrong
ROLES = ("baseline", "biased", "reference")  # "demo", where neither the options nor a run name them


def compare(run: RunFolder, o: CompareOptions) -> dict:
    """Sample both models from the same seeds and measure them against the reference."""
    trained, given = debiasing_run(o.debiased), o
    o = resolved(o, trained)
    run.progress("Reading images", 0, 1)
    check_encoder(o.encoder)
    models = {name: open_denoiser(getattr(o, name), o.device, field=name) for name in ("baseline", "debiased")}
    demo = o.reference == "demo"
    reference = read_set(run, o, o.reference, "reference", o.references)
    check_same_images(trained, reference)
    heldout = read_set(run, o, o.heldout or "demo", "heldout") if o.heldout or demo else None
    check_comparison(*models.values(), reference, None, heldout, ())  # sizes first: a classifier takes a while
    biased, notes = floor_images(run, o, given, models["baseline"])
    if models["baseline"].classes:
        reference = classed(reference, biased, o.class_label, models["baseline"].classes)
    encoder = open_encoder_for(o.encoder, reference, heldout, models["baseline"], o.seed)
    if encoder.kept_as:  # one image takes long
        encoder = replace(encoder, on_batch=report(run, "Encoding images"))
    of_probe = denoiser_encoder(models["baseline"]) if o.encoder == "pca" else encoder
    run.progress("Fitting the attribute classifier", 0, 1)
    if o.labels == "groups":
        drawn = [] if biased is None else [some(biased, MOST_SEEN, o.seed, "unnamed groups").images]
        seen = np.concatenate([reference.images, *drawn])
        classifier = find_groups(seen, of_probe, o.seed)
    elif o.labels or demo:
        classifier = open_classifier(run, o, o.labels or "demo", of_probe, reference.resolution, heldout, reference)
    else:
        classifier, said = by_own_labels(o, of_probe, reference.resolution, biased)
        notes += said
    counted = parse_attributes(o.attributes)
    truth = demo_truth(classifier.only(counted)) if demo and o.labels in ("", "demo") else None
    classifier = check_comparison(*models.values(), reference, classifier, heldout, counted, truth)
    others = find_others(o.also, trained, models["baseline"], o.device)
    ratio = open_ratio(trained, models["baseline"]) if trained and any(other.strength is not None for other in others) else None
    more = sum(1.0 if other.strength is None else GUIDED for other in others)
    say_beforehand(run, models["baseline"], parts_of(o, models["baseline"], more=more))
    seeds = range(o.seed, o.seed + o.count)
    labels, images = labels_like(reference.labels, seeds), {}
    for name, model in models.items():
        common = {"steps": o.sampling_steps, "solver": o.solver, "on_batch": report_of(run, f"Sampling the {name} model", o.count)}
        images[name] = draw_samples(model, seeds, labels=labels, **common)
    for other in others:
        model = open_denoiser(other.path, o.device, field="also") if other.path else models["baseline"]
        guided = {} if other.path else {"guidance": ratio, "strength": other.strength}
        common["on_batch"] = report_of(run, f"Sampling {other.title}", o.count)
        images[other.name] = draw_samples(model, seeds, labels=labels, **common, **guided)
    write_npz(run.path / names.SAMPLES, seeds=np.array(seeds), **images)
    more = {"biased": biased, "encoder": encoder, "denoiser": models["baseline"], "margin": o.margin}
    both = [images.pop(name) for name in models]
    found = measure(*both, reference, classifier, heldout, truth, o.seed, also=images, on_progress=report(run, "Measuring"), **more)
    write_pairs(run.path / names.PAIRS, list(seeds), found)
    write_predicted(run.path / names.PREDICTED, list(seeds), {} if classifier is None else classifier.classes, found.predicted)
    examples = [seen[list(rows)] for rows in classifier.examples] if isinstance(classifier, Groups) else []
    write_examples(run.path / names.EXAMPLES, found, both[1], reference, biased, examples)
    used = {name: getattr(o, name) for name in (*FROM_RUN, *DESIGN)}
    result = {**found.to_json(), "used": used, "sets": {"reference": reference.about(), "heldout": heldout and heldout.about()}}
    result["weights"] = {name: model.sha256() for name, model in models.items()}
    result["notes"] += notes
    titles = {"baseline": ("the baseline", None, None), "debiased": (title_of(o.debiased), _steps(trained, o.debiased), None)}
    titles |= {other.name: (other.title, other.step, other.strength) for other in others}
    for model in result["models"]:
        model["title"], model["step"], model["strength"] = titles[model["name"]]
    run.write_result(result)
    write_report(run.path, collect([run.path]))
    return result


def _steps(trained: RunFolder | None, model: str) -> int | None:
    """Steps behind the debiased model, where it is one of a run's."""
    if trained is None:
        return None
    return int(Path(model).name) if Path(model).parent.name == names.KEPT else (trained.result() or {}).get("steps")


def write_examples(
    path: Path, found: Comparison, samples: np.ndarray, reference: ImageSet, biased: ImageSet | None, groups: list[np.ndarray]
) -> None:
    """RUN/examples.npz: the images that the report shows beside its numbers; samples: uint8 [N,H,W,3], groups: of each unnamed group."""
    arrays = {f"group {k}": images for k, images in enumerate(groups, 1)}
    if found.residual is not None:
        arrays["surest_samples"] = samples[list(found.residual.surest_samples)]
        arrays["surest_references"] = reference.take(found.residual.surest_references).images
    for name, near in found.nearest.items():
        of_samples, of_others = NEAR[name]
        rows, others = map(list, zip(*near.pairs(), strict=True))
        arrays[of_samples] = samples[rows]
        arrays[of_others] = (reference if name == "reference" else biased).take(others).images
    write_npz(path, **arrays)


def resolved(o: CompareOptions, trained: RunFolder | None) -> CompareOptions:
    """The options with what the debiasing run used in the place of what was not given.

    Raises UserInputError where they name another reference than the one the model was trained on.
    """
    usual = {f.name: f.default for f in fields(o)}
    taken = {}
    for name in FROM_RUN:
        mine = getattr(o, name)
        if trained is None:
            taken[name] = "demo" if name in ROLES[::2] and not mine else mine
            continue
        theirs = getattr(trained.options, name)
        if name in FIXED and mine not in (usual[name], theirs):
            found = f"it is {mine!r}, but the debiased model was trained with {theirs!r}"
            fix = "leave it empty to compare against what the run used, or give other images as heldout"
            raise UserInputError(name, found, fix)
        taken[name] = theirs if mine == usual[name] else mine
    if trained is None and not taken["biased"] and taken["reference"] == "demo":
        taken["biased"] = "demo"
    return replace(o, **taken)


def check_same_images(trained: RunFolder | None, reference: ImageSet) -> None:
    """Raise UserInputError where the reference's images are not those that the debiasing run used."""
    if trained is None:
        return
    homes = [trained.path, *([Path(trained.options.audit)] if trained.options.audit else [])]
    kept = next((home / names.RATIO / names.SETS for home in homes if (home / names.RATIO / names.SETS).is_file()), None)
    if kept is not None and not reference.is_that_of(json.loads(kept.read_text())["reference"]):
        found = "its images have changed since the model was debiased"
        raise UserInputError("reference", found, "put the old ones back, or debias again")


def open_classifier(
    run: RunFolder,
    o: CompareOptions,
    labels: str,
    encoder: Encoder,
    side: int,
    heldout: ImageSet | None,
    reference: ImageSet,
) -> AttributeClassifier:
    """The demo's classifier, a plug-in, or a probe on frozen features fitted on labelled images of `side` pixels."""
    found = AttributeClassifier.from_pretrained(CHECKPOINTS / "classifier") if labels == "demo" else plugin(labels)
    if found is None:
        return probe_on(o, encoder, side, read_set(run, o, labels, "labels"))
    for labelled in (heldout, reference):  # a classifier that came as it is: its errors are counted where there are labels
        if labelled is not None and labelled.attributes is not None and set(found.classes) <= set(labelled.attributes):
            return found.counted_on(labelled)
    return found


def by_own_labels(o: CompareOptions, encoder: Encoder, side: int, biased: ImageSet | None) -> tuple[AttributeClassifier | None, list[str]]:
    """A probe fitted on the biased set's own labels, where it has one or two columns or `attributes` names some; else None, and why."""
    if biased is None or biased.attributes is None:
        return None, []
    if not o.attributes and (columns := len(list(biased.attributes))) > 2:
        return None, [f"No shares are counted. The biased set has {columns} columns of labels: name those that count (attributes)."]
    try:
        return probe_on(o, encoder, side, biased), []
    except UserInputError as error:
        if o.attributes:
            raise
        return None, [f"No shares are counted. The biased set's own labels do not do for a classifier: {error.found}."]


def probe_on(o: CompareOptions, encoder: Encoder, side: int, images: ImageSet) -> AttributeClassifier:
    """A probe on frozen features, of the attributes that count; on some of the images where one takes long."""
    notes: tuple[str, ...] = ()
    if encoder.kept_as and len(images) > MOST_LABELLED:
        notes = (f"The classifier was fitted on {MOST_LABELLED:,} of the {len(images):,} labelled images, drawn by the seed.",)
        images = some(images, MOST_LABELLED, o.seed, "labelled images")
    if images.resolution != side:
        images = images.resized(side)
    found = fit_attribute_classifier(images, seed=o.seed, encoder=encoder, attributes=parse_attributes(o.attributes))
    return replace(found, notes=(*notes, *found.notes))


def classed(reference: ImageSet, biased: ImageSet | None, column: str, classes: int) -> ImageSet:
    """The reference with its classes, numbered over both sets as they were for the training: a small one may lack a class."""
    labels = None if biased is None else biased.attributes
    both = {"biased": biased} if labels is not None and column in labels else {}
    return with_classes(column, classes, **both, reference=reference)[-1]


def some(images: ImageSet, most: int, seed: int, use: str) -> ImageSet:
    """At most so many of them, drawn from the whole set: one in folders is sorted by its classes."""
    return images.take(np.sort(stream(seed, use).permutation(len(images))[:most]))


def demo_truth(classifier: AttributeClassifier) -> dict[str, float]:
    """The demo's true joint shares of the classifier's attributes, which may be some of its own."""
    attributes, found = ("skin", "hair"), {}
    for joint, share in load_demo().truth["shares"]["reference"].items():
        parts = dict(zip(attributes, joint.split("-"), strict=True))
        key = "-".join(parts[name] for name in classifier.classes)
        found[key] = found.get(key, 0.0) + share
    return found


def floor_images(run: RunFolder, o: CompareOptions, given: CompareOptions, baseline: Denoiser) -> tuple[ImageSet | None, list[str]]:
    """The baseline's training images, for the floor of the test without labels; where they are gone since, it goes without one.

    Raises UserInputError where the options themselves name a set that cannot be read.
    """
    if not o.biased:
        return None, ["No biased images are known, so the test without labels has no floor."]
    try:
        biased = read_set(run, o, o.biased, "biased")
        if biased.resolution != baseline.shape[-1]:
            raise UserInputError("biased", f"its images are {biased.resolution} pixels wide", "set resolution")
    except UserInputError as error:
        if given.biased:
            raise
        return None, [f"The test without labels has no floor. The biased set could not be read ({error.found})."]
    return biased, []


def write_pairs(path: Path, seeds: list[int], found: Comparison) -> None:
    """RUN/pairs.csv: the seed of each pair, what the classifier calls both images, and what the debiased one lies nearest to."""
    table = {"seed": seeds}
    for name, frame in found.predicted.items():
        table |= {f"{name}: {attribute}": frame[attribute].tolist() for attribute in frame}
    for name, near in found.nearest.items():
        table |= {f"debiased: nearest in {name}, row": near.rows.tolist(), f"distance in {name}": near.distances.tolist()}
    write_atomic(path, as_csv(pd.DataFrame(table)))
