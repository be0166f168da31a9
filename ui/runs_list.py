"""All runs of this visitor: open, delete."""

from __future__ import annotations

from html import escape

from . import html, store, words


def render(current: dict) -> str:
    runs = store.all_runs()
    if not runs:
        return html.empty("No runs yet", "Audits, previews, debiased models and comparisons are kept here until you delete them.")
    shown = set(current.values())
    return html.card(html.table(["Run", "State", "Started", "Size", ""], [_row(run, run.id in shown) for run in runs], "Runs"))


def signature() -> list:
    return [[run.id, run.state] for run in store.all_runs()]


def _row(run: store.Run, shown: bool) -> list[str]:
    name = f"{words.KINDS.get(run.kind, run.kind)} {words.clock(run.status['created'])}"
    open_ = "<small>on screen</small>" if shown else f'<button class="link" data-action="open" data-run="{run.id}">Open</button>'
    delete = (
        ""
        if run.busy
        else f'<button class="link danger" data-action="delete" data-run="{run.id}" data-name="{escape(name)}">Delete</button>'
    )
    about = f"<b>{words.KINDS.get(run.kind, run.kind)}</b> <small>{escape(_about(run))}</small>"
    return [about, html.chip(run.state), words.clock(run.status["created"]), words.size(run.folder.disk_bytes()), f"{open_} {delete}"]


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
