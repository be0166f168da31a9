"""Named end points for gradio_client and MCP: the same actions as the buttons, with typed arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from tiw.data import ImageSet, check_sets
from tiw.errors import UserInputError

from . import caps, compare_tab, gate, pictures, store


def load_images(biased: str = "demo", reference: str = "demo", references: int = 0) -> dict:
    """Read and check two image sets.

    Args:
        biased: path of the biased set, or "demo".
        reference: path of the reference set, or "demo".
        references: use this many of the demo's references; 0 for all.

    Returns:
        For each set its number of images, width, height and attributes; and the problems found, all together.
    """
    with _said():
        named = {"biased": biased, "reference": reference, "references": references}
        caps.options("audit", named, gate.limits(), store.located)
        sets = {role: pictures.open_set(named, role) for role in ("biased", "reference")}
        found = check_sets(*sets.values())
    return {**{role: _about(images) for role, images in sets.items()}, "problems": [store.said(problem) for problem in found]}


def audit(
    biased: str = "demo",
    reference: str = "demo",
    baseline: str = "demo",
    class_label: str = "",
    references: int = 0,
    scored: int = 2000,
    seed: int = 0,
) -> str:
    """Start an audit of a biased set against a reference set.

    Args:
        biased: path of the biased set, or "demo".
        reference: path of the reference set, or "demo".
        baseline: model whose features feed the ratio, or "demo".
        class_label: label of both sets that names the classes of a class-conditional model.
        references: use this many of the reference images; 0 for all.
        scored: biased images drawn for charts and map.
        seed: random seed.

    Returns:
        The run's id, for run_status and ratio_histogram.
    """
    with _said():
        sets = {"biased": biased, "reference": reference, "references": references, "baseline": baseline, "class_label": class_label}
        return store.submit("audit", **sets, scored=scored, seed=seed)


def even_out(biased: str = "demo", reference: str = "demo", references: int = 0, fix: str = "") -> str:
    """Start making copies of both sets, changed alike until the camera check is silent.

    Args:
        biased: path of the biased set, or "demo".
        reference: path of the reference set, or "demo".
        references: use this many of the reference images; 0 for all.
        fix: properties of the camera check that may be mended, with commas between; empty for all that it names.

    Returns:
        The run's id, for run_status.
    """
    with _said():
        return store.submit("even-out", biased=biased, reference=reference, references=references, fix=fix)


def ratio_histogram(run: str, level: int = 0) -> dict:
    """Histogram of the log density ratio of both sets at one noise level of a finished audit.

    Args:
        run: id of the audit.
        level: number of the noise level, 0 for the lowest.

    Returns:
        sigma, edges, and the densities of the biased and the reference set.
    """
    found = _open(run, "audit")
    levels = (found.result or {}).get("levels", [])
    if level not in range(len(levels)):
        raise gr.Error(f"level: {level} is not there; this audit has {len(levels)} levels so far")
    return {"sigma": levels[level]["sigma"], **levels[level]["histogram"]}


def debias(
    biased: str = "demo",
    reference: str = "demo",
    baseline: str = "demo",
    class_label: str = "",
    references: int = 0,
    objective: str = "tiw-dsm",
    strength: str = "auto",
    anchor: str = "1",
    minutes: float = 2.0,
    steps: int = 0,
    seed: int = 0,
) -> str:
    """Start debiasing a diffusion model; a finished audit of the same inputs is used if there is one.

    Args:
        biased: path of the biased set, or "demo".
        reference: path of the reference set, or "demo".
        baseline: path of the model, or "demo".
        class_label: label of both sets that names the classes of a class-conditional model.
        references: use this many of the reference images; 0 for all.
        objective: tiw-dsm, dsm-ref, dsm-obs, iw-dsm, correction-only or weight-only.
        strength: a number, or "auto".
        anchor: share of the frozen baseline in the target, 0 to 1; "0.8:0" for a change from the first step to the last.
        minutes: training time, turned into steps at the start.
        steps: number of steps instead; 0 for as many as fit into the minutes.
        seed: random seed.

    Returns:
        The run's id, for run_status and stop_run.
    """
    sets = {"biased": biased, "reference": reference, "references": references, "baseline": baseline, "class_label": class_label}
    rest = {"objective": objective, "strength": strength, "anchor": anchor, "minutes": minutes, "steps": steps, "seed": seed}
    with _said():
        return store.submit("debias", **sets, **rest, audit=store.matching_audit(sets))


def run_status(run: str) -> dict:
    """Where a run stands.

    Args:
        run: id of the run.

    Returns:
        kind, state, stage, done, total, seconds left, message and, once there is one, the result.
    """
    found = _open(run)
    told = {name: value for name, value in found.status.items() if name != "pid"}
    return {"kind": found.kind, **told, "result": found.result}


def stop_run(run: str) -> dict:
    """Ask a run to stop after its current step.

    Args:
        run: id of the run.

    Returns:
        The same as run_status.
    """
    if _open(run).busy:
        with _said():
            store.stop(run)
    return run_status(run)


def compare(debias_run: str, count: int = 1000, labels: str = "", heldout: str = "", seed: int = 0) -> str:
    """Start comparing a finished debias run's model with the one it started from.

    Args:
        debias_run: id of a finished debias run.
        count: samples of each model.
        labels: labelled images for the attribute classifier; empty for the demo's own.
        heldout: images for the quality measures; empty for the reference set.
        seed: first seed.

    Returns:
        The run's id, for run_status.
    """
    found = _open(debias_run, "debias")
    if not found.done:
        raise gr.Error(f"debias_run: {debias_run} is {found.state}; wait until it has finished")
    with _said():
        return store.submit("compare", **compare_tab.fields(found, count, labels, heldout, seed))


def register() -> None:
    """Inside gr.Blocks: one end point each, under its own name."""
    for function in (load_images, audit, even_out, ratio_histogram, debias, run_status, stop_run, compare):
        gr.api(function, api_name=function.__name__, concurrency_limit=None)


@contextmanager
def _said() -> Iterator[None]:
    """A user's error becomes Gradio's, so that a client reads the sentence."""
    try:
        yield
    except UserInputError as problem:
        raise gr.Error(store.said(problem), print_exception=False) from problem


def _open(run_id: str, kind: str = "") -> store.Run:
    found = store.open_run(run_id)
    if found is None or (kind and found.kind != kind):
        raise gr.Error(f"run: there is no {kind or 'run'} with this id", print_exception=False)
    return found


def _about(images: ImageSet) -> dict:
    height, width = images.images.shape[1:3]
    attributes = [] if images.attributes is None else [str(name) for name in images.attributes.columns]
    return {"n": len(images), "width": width, "height": height, "attributes": attributes}
