"""End points that start a run."""

from __future__ import annotations

import gradio as gr

from . import compare_tab, store
from .wire import opened, said


def audit(
    biased: str = "demo",
    reference: str = "demo",
    baseline: str = "demo",
    class_label: str = "",
    references: int = 0,
    scored: int = 2000,
    seed: int = 0,
    resolution: int = 0,
    map: bool = True,
    score_all: bool = True,
    folds: int = 5,
    estimator: str = "auto",
    skip_bad: bool = False,
    biased_name: str = "",
    reference_name: str = "",
) -> str:
    """Start an audit of a biased set against a reference set.

    Args:
        biased: name of the biased set (a path in a private app, the name of an upload), or "demo".
        reference: name of the reference set, or "demo".
        baseline: model whose features feed the ratio, or "demo".
        class_label: label of both sets that names the classes of a class-conditional model.
        references: use this many of the reference images; 0 for all.
        scored: biased images drawn for charts and map.
        seed: random seed.
        resolution: pixels per side to crop and resize images to; 0 as they are.
        map: whether to draw the map.
        score_all: whether to score the biased images that the charts do not show too.
        folds: folds of the cross-fit; every image is scored by those that did not see it.
        estimator: auto, convex or network.
        skip_bad: whether to leave out files that cannot be used, instead of stopping.
        biased_name: what tables and reports call the biased set; empty for the name of its file.
        reference_name: what they call the reference set.

    Returns:
        The run's id, for run_status, downloads and ratio_histogram.
    """
    sets = {"biased": biased, "reference": reference, "references": references, "baseline": baseline, "class_label": class_label}
    sets |= {"resolution": resolution, "skip_bad": skip_bad, "biased_name": biased_name, "reference_name": reference_name}
    rest = {"scored": scored, "seed": seed, "map": map, "score_all": score_all, "folds": folds, "estimator": estimator}
    with said():
        return store.submit("audit", **sets, **rest)


def even_out(
    biased: str = "demo",
    reference: str = "demo",
    references: int = 0,
    fix: str = "",
    resolution: int = 0,
    skip_bad: bool = False,
    biased_name: str = "",
    reference_name: str = "",
) -> str:
    """Start making copies of both sets, changed in the same way until the camera check is silent.

    Args:
        biased: name of the biased set (a path in a private app, the name of an upload), or "demo".
        reference: name of the reference set, or "demo".
        references: use this many of the reference images; 0 for all.
        fix: properties of the camera check that may be mended, with commas between; empty for all that it names.
        resolution: pixels per side to crop and resize images to; 0 as they are.
        skip_bad: whether to leave out files that cannot be used, instead of stopping.
        biased_name: what tables and reports call the biased set; empty for the name of its file.
        reference_name: what they call the reference set.

    Returns:
        The run's id, for run_status.
    """
    sets = {"biased": biased, "reference": reference, "references": references}
    sets |= {"resolution": resolution, "skip_bad": skip_bad, "biased_name": biased_name, "reference_name": reference_name}
    with said():
        return store.submit("even-out", **sets, fix=fix)


def debias(
    biased: str = "demo",
    reference: str = "demo",
    baseline: str = "demo",
    class_label: str = "",
    references: int = 0,
    objective: str = "tiw-dsm",
    strength: str = "auto",
    minutes: float = 2.0,
    steps: int = 0,
    seed: int = 0,
    resolution: int = 0,
    batch_size: int = 48,
    learning_rate: float = 0.0,
    reference_share: float = 0.85,
    sigma_min: float = 0.0,
    sigma_max: float = 0.0,
    keep: int = 0,
    skip_bad: bool = False,
    biased_name: str = "",
    reference_name: str = "",
) -> str:
    """Start debiasing a diffusion model; a finished audit of the same inputs is used if there is one.

    Args:
        biased: name of the biased set (a path in a private app, the name of an upload), or "demo".
        reference: name of the reference set, or "demo".
        baseline: path of the model, or "demo".
        class_label: label of both sets that names the classes of a class-conditional model.
        references: use this many of the reference images; 0 for all.
        objective: tiw-dsm, tiw-dsm-paper, dsm-ref, dsm-obs, iw-dsm, correction-only or weight-only.
        strength: a number, or "auto".
        minutes: training time, turned into steps at the start.
        steps: number of steps instead; 0 for as many as fit into the minutes.
        seed: random seed.
        resolution: pixels per side to crop and resize images to; 0 as they are.
        batch_size: images a step.
        learning_rate: at the start, decaying to the end; 0 for the usual one of the model's size.
        reference_share: share of reference images in a batch, 0 to below 1.
        sigma_min: lowest noise level; 0 for the model's own.
        sigma_max: highest noise level; 0 for the model's own.
        keep: models to keep on the way, for compare's also.
        skip_bad: whether to leave out files that cannot be used, instead of stopping.
        biased_name: what tables and reports call the biased set; empty for the name of its file.
        reference_name: what they call the reference set.

    Returns:
        The run's id, for run_status, stop_run, resume_run, compare and downloads.
    """
    sets = {"biased": biased, "reference": reference, "references": references, "baseline": baseline, "class_label": class_label}
    sets |= {"resolution": resolution, "skip_bad": skip_bad, "biased_name": biased_name, "reference_name": reference_name}
    rest = {"objective": objective, "strength": strength, "minutes": minutes, "steps": steps, "seed": seed, "batch_size": batch_size}
    rest |= {"learning_rate": learning_rate, "reference_share": reference_share, "keep": keep}
    rest |= {"sigma_min": sigma_min, "sigma_max": sigma_max}
    with said():
        return store.submit("debias", **sets, **rest, audit=store.matching_audit(sets))


def preview(
    biased: str = "demo",
    reference: str = "demo",
    baseline: str = "demo",
    class_label: str = "",
    references: int = 0,
    strength: str = "auto",
    count: int = 64,
    seed: int = 0,
    resolution: int = 0,
    skip_bad: bool = False,
    biased_name: str = "",
    reference_name: str = "",
) -> str:
    """Start drawing guided samples beside plain ones: what debiasing would do, without training.

    Args:
        biased: name of the biased set, or "demo".
        reference: name of the reference set, or "demo".
        baseline: name of the model, or "demo".
        class_label: label of both sets that names the classes of a class-conditional model.
        references: use this many of the reference images; 0 for all.
        strength: a number, or "auto".
        count: samples of each kind.
        seed: first seed.
        resolution: pixels per side to crop and resize images to; 0 as they are.
        skip_bad: whether to leave out files that cannot be used, instead of stopping.
        biased_name: what tables and reports call the biased set; empty for the name of its file.
        reference_name: what they call the reference set.

    Returns:
        The run's id, for run_status and downloads.
    """
    sets = {"biased": biased, "reference": reference, "references": references, "baseline": baseline, "class_label": class_label}
    sets |= {"resolution": resolution, "skip_bad": skip_bad, "biased_name": biased_name, "reference_name": reference_name}
    with said():
        return store.submit("preview", **sets, strength=strength, count=count, seed=seed, audit=store.matching_audit(sets))


def train(
    data: str = "demo",
    preset: str = "auto",
    minutes: float = 15.0,
    steps: int = 0,
    batch_size: int = 0,
    seed: int = 0,
    resolution: int = 0,
    skip_bad: bool = False,
) -> str:
    """Start training a baseline from scratch on one set. Afterwards "run:ID/model" is its name wherever a baseline is asked for.

    Args:
        data: name of the image set, or "demo".
        preset: network: demo, small32, faces64, cifar10, tiny, or auto for the images' size.
        minutes: training time, turned into steps at the start.
        steps: number of steps instead; 0 for as many as fit into the minutes.
        batch_size: images a step; 0: 128 on a GPU and 32 elsewhere.
        seed: random seed.
        resolution: pixels per side to crop and resize images to; 0 as they are.
        skip_bad: whether to leave out files that cannot be used, instead of stopping.

    Returns:
        The run's id, for run_status, stop_run, resume_run and downloads.
    """
    given = {"data": data, "preset": preset, "minutes": minutes, "steps": steps, "batch_size": batch_size, "seed": seed}
    with said():
        return store.submit("train", **given, resolution=resolution, skip_bad=skip_bad)


def compare(
    debias_run: str,
    count: int = 1000,
    labels: str = "",
    heldout: str = "",
    seed: int = 0,
    attributes: str = "",
    also: str = "",
    encoder: str = "pca",
) -> str:
    """Start comparing a finished debias run's model with the one it started from.

    Args:
        debias_run: id of a finished debias run.
        count: samples of each model.
        labels: labelled images for the attribute classifier; empty for the large set's own labels.
        heldout: images for the quality measures; empty for the reference set.
        seed: first seed.
        attributes: those that count, with commas between; empty for all where there are one or two.
        also: more models from the same seeds, with commas between: kept, guided, sweep, or names of models.
        encoder: pca, denoiser, efficientnet or inception.

    Returns:
        The run's id, for run_status.
    """
    found = opened(debias_run, "debias")
    if not found.done:
        raise gr.Error(f"debias_run: {debias_run} is {found.state}; wait until it has finished", print_exception=False)
    if found.shipped:
        raise gr.Error(compare_tab.SHIPPED, print_exception=False)
    with said():
        return store.submit("compare", **compare_tab.fields(found, count, labels, heldout, seed, [attributes], [also], encoder))
