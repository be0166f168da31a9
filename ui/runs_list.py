"""All runs of this visitor: open, name, delete."""

from __future__ import annotations

from html import escape

import gradio as gr

from tiw.errors import UserInputError
from tiw.run.folder import LONGEST_NAME, LONGEST_NOTE
from tiw.run.index import UNREADABLE, RunSummary

from . import caps, html, store, words
from .sessions import on_screen

# The tab of each kind of run.
TABS = {
    "audit": "audit",
    "even-out": "audit",
    "train": "debias",
    "preview": "debias",
    "debias": "debias",
    "compare": "compare",
}
NONE = dict.fromkeys(TABS, "")


def render(current: dict) -> str:
    runs, unreadable = store.all_runs(), store.unreadable_runs()
    if not runs and not unreadable:
        return html.empty("No runs yet", "Audits, previews, debiased models and comparisons are kept here until you delete them.")
    shown = set(current.values())
    head = ["Run", "Name and note", "State", "Started", "Size", ""]
    return html.card(html.table(head, [*(_row(run, run.id in shown) for run in runs), *map(_unreadable, unreadable)], "Runs"))


def _row(run: store.Run, shown: bool) -> list[str]:
    name = run.name or f"{words.KINDS.get(run.kind, run.kind)} {words.clock(run.status['created'])}"
    open_ = "<small>on screen</small>" if shown else f'<button class="link" data-action="open" data-run="{run.id}">Open</button>'
    delete = "" if run.busy else _delete(run.id, name)
    about = f"<b>{words.KINDS.get(run.kind, run.kind)}</b> <small>{escape(_about(run))}</small>"
    return [
        about,
        _called(run),
        html.chip(run.state),
        words.clock(run.status["created"]),
        words.size(store.jobs().index.size(run.id)),
        f"{open_} {delete}",
    ]


def _unreadable(run: RunSummary) -> list[str]:
    """A folder that was damaged, or written by another version."""
    why = f"<b>Unreadable</b> <small>{escape(store.said(run.status['message']))}</small>"
    size = words.size(store.jobs().index.size(run.id))
    return [why, "", html.chip(UNREADABLE), words.clock(run.status["created"]), size, _delete(run.id, "this unreadable run")]


def _delete(run_id: str, name: str) -> str:
    return f'<button class="link danger" data-action="delete" data-run="{run_id}" data-name="{escape(name)}">Delete</button>'


def _called(run: store.Run) -> str:
    """Two fields: what is written there is kept as soon as one leaves them."""
    given = zip(("name", "note"), (run.name, run.note), (LONGEST_NAME, LONGEST_NOTE), strict=True)
    return "".join(
        f'<input data-run="{run.id}" data-about="{field}" value="{escape(text)}" maxlength="{most}" placeholder="{field.capitalize()}" '
        f'aria-label="{field.capitalize()} of this run">'
        for field, text, most in given
    )


def _about(run: store.Run) -> str:
    options = run.options
    if run.kind == "compare":
        return f"{options['count']:,} samples each"
    objective = words.OBJECTIVES.get(options.get("objective", ""))
    budget = f"{options['steps']:,} steps" if options.get("steps") else f"{options['minutes']:g} min" if options.get("minutes") else ""
    references = f"{options['references']} references" if options.get("references") else ""
    return " · ".join(
        part
        for part in (words.set_name(options.get("biased") or options.get("data", "")), references, objective and objective[0], budget)
        if part
    )


def open_listed(current: dict, event: gr.EventData) -> tuple[dict, dict]:
    run = store.open_run(_run_of(event))
    if run is None or run.kind not in NONE:
        return gr.skip(), gr.skip()
    return on_screen(caps.shaped(current, NONE), **{run.kind: run.id}), gr.Tabs(selected=TABS[run.kind])


def _run_of(event: gr.EventData) -> str:
    return caps.shaped(event._data, {"value": ""})["value"]


def describe_listed(event: gr.EventData) -> None:
    said = caps.shaped(caps.shaped(event._data, {"value": {}})["value"], {"run": "", "name": "", "note": ""})
    try:
        store.describe(said["run"], said["name"], said["note"])
    except UserInputError as problem:
        gr.Warning(store.said(problem))


def delete_listed(current: dict, event: gr.EventData) -> dict:
    current, asked = caps.shaped(current, NONE), _run_of(event)
    run = store.open_run(asked)  # None too for one that cannot be read
    if run is not None and run.busy:
        return on_screen(current)
    try:
        store.delete(asked)
    except UserInputError as problem:
        gr.Warning(store.said(problem))
        return on_screen(current)
    gr.Info(f"{'Unreadable run' if run is None else words.KINDS.get(run.kind, run.kind)} deleted.")
    return on_screen(current, **{kind: "" for kind, run_id in on_screen(current).items() if run_id == asked})
