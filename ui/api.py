"""Named end points for gradio_client and MCP: the same actions as the buttons, with typed arguments. docs/API.md shows their use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import get_args, get_origin, get_type_hints

import gradio as gr

from tiw.data import ImageSet, check_sets, parse_shares
from tiw.errors import UserInputError

from . import caps, compare_tab, explorer, gate, pictures, reference_builder, store

MOST_ITEMS = 100_000  # of a list that is sent
WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "yes or no"}
DOWNLOADS = ("report.html", "result.json", "scores.csv", "levels.csv")  # files of a run that are downloaded as they are


def load_images(biased: str = "demo", reference: str = "demo", references: int = 0) -> dict:
    """Read and check two image sets.

    Args:
        biased: name of the biased set (a path in a private app, the name of an upload), or "demo".
        reference: name of the reference set, or "demo".
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
    resolution: int = 0,
    map: bool = True,
    score_all: bool = True,
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

    Returns:
        The run's id, for run_status, downloads and ratio_histogram.
    """
    with _said():
        sets = {"biased": biased, "reference": reference, "references": references, "baseline": baseline, "class_label": class_label}
        rest = {"scored": scored, "seed": seed, "resolution": resolution, "map": map, "score_all": score_all}
        return store.submit("audit", **sets, **rest)


def even_out(biased: str = "demo", reference: str = "demo", references: int = 0, fix: str = "") -> str:
    """Start making copies of both sets, changed in the same way until the camera check is silent.

    Args:
        biased: name of the biased set (a path in a private app, the name of an upload), or "demo".
        reference: name of the reference set, or "demo".
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
        raise gr.Error(f"level: {level} is not there; this audit has {len(levels)} levels so far", print_exception=False)
    return {"sigma": levels[level]["sigma"], **levels[level]["histogram"]}


def debias(
    biased: str = "demo",
    reference: str = "demo",
    baseline: str = "demo",
    class_label: str = "",
    references: int = 0,
    objective: str = "tiw-dsm",
    strength: str = "auto",
    anchor: str = "auto",
    minutes: float = 2.0,
    steps: int = 0,
    seed: int = 0,
    resolution: int = 0,
    batch_size: int = 48,
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
        anchor: share of the frozen baseline in the target, 0 to 1, or "auto".
        minutes: training time, turned into steps at the start.
        steps: number of steps instead; 0 for as many as fit into the minutes.
        seed: random seed.
        resolution: pixels per side to crop and resize images to; 0 as they are.
        batch_size: images a step.

    Returns:
        The run's id, for run_status, stop_run, resume_run, compare and downloads.
    """
    sets = {"biased": biased, "reference": reference, "references": references, "baseline": baseline, "class_label": class_label}
    rest = {"objective": objective, "strength": strength, "anchor": anchor, "minutes": minutes, "steps": steps, "seed": seed}
    sets["resolution"], rest["batch_size"] = resolution, batch_size
    with _said():
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

    Returns:
        The run's id, for run_status and downloads.
    """
    sets = {"biased": biased, "reference": reference, "references": references, "baseline": baseline, "class_label": class_label}
    sets["resolution"] = resolution
    with _said():
        return store.submit("preview", **sets, strength=strength, count=count, seed=seed, audit=store.matching_audit(sets))


def train(
    data: str = "demo",
    preset: str = "demo",
    minutes: float = 15.0,
    steps: int = 0,
    batch_size: int = 128,
    seed: int = 0,
    resolution: int = 0,
) -> str:
    """Start training a baseline from scratch on one set. Afterwards "run:ID/model" is its name wherever a baseline is asked for.

    Args:
        data: name of the image set, or "demo".
        preset: network: demo, faces64, cifar10 or tiny.
        minutes: training time, turned into steps at the start.
        steps: number of steps instead; 0 for as many as fit into the minutes.
        batch_size: images a step.
        seed: random seed.
        resolution: pixels per side to crop and resize images to; 0 as they are.

    Returns:
        The run's id, for run_status, stop_run, resume_run and downloads.
    """
    given = {"data": data, "preset": preset, "minutes": minutes, "steps": steps, "batch_size": batch_size, "seed": seed}
    with _said():
        return store.submit("train", **given, resolution=resolution)


def runs() -> list[dict]:
    """Your runs, newest first.

    Returns:
        id, kind, state and the time when each was made.
    """
    return [{"id": run.id, "kind": run.kind, "state": run.state, "created": run.status["created"]} for run in store.all_runs()]


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


def downloads(run: str) -> list[str]:
    """The files of a run, as addresses below the app's own: get them with the cookies of this client.

    Args:
        run: id of the run.

    Returns:
        Addresses such as "tiw/ID/report.html".
    """
    found = _open(run)
    there = {name for name in DOWNLOADS if (found.path / name).exists()}
    made = {  # for the download
        "shares.csv": "shares" in (found.result or {}),
        "model.zip": found.done and (found.path / "model").is_dir(),
        "pairs/1.webp": (found.path / "samples.npz").exists(),
    }
    there |= {name for name, can in made.items() if can}
    return sorted(f"tiw/{found.id}/{name}" for name in there)


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


def resume_run(run: str) -> dict:
    """Take up a stopped or interrupted run again, from its last checkpoint.

    Args:
        run: id of the run.

    Returns:
        The same as run_status.
    """
    if not _open(run).busy:
        with _said():
            store.resume(run)
    return run_status(run)


def delete_run(run: str) -> bool:
    """Delete a run and its files; one at work is ended first.

    Args:
        run: id of the run.

    Returns:
        Whether it is gone.
    """
    _open(run)
    with _said():
        store.delete(run)
    return store.open_run(run) is None


def move_to_reference(run: str, items: list[int]) -> dict:
    """New sets, in which these biased images of an audit belong to the reference set.

    Args:
        run: id of the audit.
        items: numbers of images, as in its scores.csv.

    Returns:
        biased and reference, names of the new sets.
    """
    with _said():
        changed = explorer.with_more_references(_open(run, "audit"), items)
    return {role: changed[role] for role in pictures.ROLES}


def reference_from_labels(biased: str, attribute: str, shares: str, count: int = 400) -> dict:
    """Build a reference set of the wanted shares from the labels of a set; the biased set loses those images.

    Args:
        biased: name of a labelled set.
        attribute: the label.
        shares: VALUE=PER CENT with commas between, such as "darker=50, lighter=50".
        count: images of the reference set.

    Returns:
        biased and reference, names of the new sets.
    """
    with _said():
        wanted = parse_shares(shares)
        if not wanted:
            raise UserInputError("shares", "none are given", "write VALUE=PER CENT, with commas between: darker=50, lighter=50")
        made = reference_builder.built(biased, {attribute: wanted} if attribute else wanted, count)
    return dict(zip(pictures.ROLES, made, strict=False))


def upload(source: list[str] | None) -> str:
    """Keep an image set: one zip (a private app takes npz and parquet too), or several images.

    Args:
        source: the files, by gradio_client's handle_file.

    Returns:
        The name of the set, for biased, reference and data.
    """
    with _said():
        return store.keep_upload(source or [])


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
        raise gr.Error(f"debias_run: {debias_run} is {found.state}; wait until it has finished", print_exception=False)
    with _said():
        return store.submit("compare", **compare_tab.fields(found, count, labels, heldout, seed))


READ = (load_images, ratio_histogram, runs, run_status, downloads)  # all that MCP gets: it has no session, so ids go in and come out
WRITE = (
    *(audit, even_out, preview, debias, train, compare),
    *(stop_run, resume_run, delete_run, move_to_reference, reference_from_labels),
)


def register() -> None:
    """Inside gr.Blocks: one end point each, under its own name. Where MCP is served, what changes something is left to clients that know
    its name."""
    for function in (*READ, *WRITE):
        visible = "undocumented" if gate.DOOR.mcp and function in WRITE else "public"
        gr.api(_checked(function), api_name=function.__name__, concurrency_limit=None, api_visibility=visible)
    source, name = gr.File(visible=False, file_count="multiple", label="source"), gr.Textbox(visible=False, label="set")
    gr.Button(visible=False).click(
        *(upload, source, name), api_name="upload", concurrency_limit=None, api_visibility="undocumented" if gate.DOOR.mcp else "public"
    )


def _checked(function: Callable) -> Callable:
    """The end point, for values of its own types only: what comes over the wire may be anything."""
    wanted = get_type_hints(function)

    @wraps(function)
    def checked(*args: object, **kwargs: object) -> object:
        given = signature(function).bind(*args, **kwargs)
        with _said():
            for name, value in given.arguments.items():
                given.arguments[name] = _of_type(name, value, wanted[name])
        return function(*given.args, **given.kwargs)

    return checked


def _of_type(name: str, value: object, wanted: type) -> object:
    if get_origin(wanted) is list and isinstance(value, list) and len(value) <= MOST_ITEMS:
        return [_of_type(name, each, get_args(wanted)[0]) for each in value]
    if wanted in (int, float) and type(value) in (int, float) and abs(value) <= 2**53 and (wanted is float or value == int(value)):
        return wanted(value)
    if type(value) is not wanted:
        kind = "a list of numbers" if get_origin(wanted) is list else WORDS[wanted]
        raise UserInputError(name, f"it is {str(value)[:40]!r}", f"give {kind}")
    return value


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
