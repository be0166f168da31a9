"""End points about runs that are there."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from . import store
from .wire import opened, said

DOWNLOADS = ("report.html", "result.json", "scores.csv", "levels.csv", "left_out.csv")  # files of a run that are downloaded as they are


def ratio_histogram(run: str, level: int = 0) -> dict:
    """Histogram of the log density ratio of both sets at one noise level of a finished audit.

    Args:
        run: id of the audit.
        level: number of the noise level, 0 for the lowest.

    Returns:
        sigma, edges, and the densities of the biased and the reference set.
    """
    found = opened(run, "audit")
    levels = (found.result or {}).get("levels", [])
    if level not in range(len(levels)):
        raise gr.Error(f"level: {level} is not there; this audit has {len(levels)} levels so far", print_exception=False)
    return {"sigma": levels[level]["sigma"], **levels[level]["histogram"]}


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
    found = opened(run)
    return {"kind": found.kind, **found.status, "result": found.result}


def downloads(run: str) -> list[str]:
    """The files of a run, as addresses below the app's own: get them with the cookies of this client.

    Args:
        run: id of the run.

    Returns:
        Addresses such as "tiw/ID/report.html".
    """
    found = opened(run)
    there = {name for name in DOWNLOADS if (found.path / name).exists()}
    made = {  # for the download
        "shares.csv": "shares" in (found.result or {}),
        "model.zip": found.done and (found.path / "model").is_dir(),
        **{f"kept/{folder.name}.zip": found.done for folder in (found.path / "kept").glob("*/") if folder.name.isdecimal()},
        "spot.csv": (found.path / "spot_check.csv").exists(),
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
    return _changed(run, store.stop, busy=True)


def resume_run(run: str) -> dict:
    """Take up a stopped or interrupted run again, from its last checkpoint.

    Args:
        run: id of the run.

    Returns:
        The same as run_status.
    """
    return _changed(run, store.resume, busy=False)


def describe_run(run: str, name: str = "", note: str = "") -> dict:
    """Give a run a name and a note, as the page's list of runs shows them; both take the place of what was there.

    Args:
        run: id of the run.
        name: in one line.
        note: whatever is to be remembered.

    Returns:
        name and note, as they are kept.
    """
    with said():
        store.describe(run, name, note)
    found = opened(run)
    return {"name": found.name, "note": found.note}


def delete_run(run: str) -> bool:
    """Delete a run and its files; one at work is ended first.

    Args:
        run: id of the run.

    Returns:
        Whether it is gone.
    """
    opened(run)
    with said():
        store.delete(run)
    return store.open_run(run) is None


def _changed(run: str, change: Callable[[str], None], busy: bool) -> dict:
    """Its status after a change that concerns only a run at work, or only one that is not."""
    if opened(run).busy == busy:
        with said():
            change(run)
    return run_status(run)
