"""All runs of this visitor: open, name, delete."""

from __future__ import annotations

from html import escape

from tiw.run.folder import LONGEST_NAME, LONGEST_NOTE

from . import html, store, words


def render(current: dict) -> str:
    runs = store.all_runs()
    if not runs:
        return html.empty("No runs yet", "Audits, previews, debiased models and comparisons are kept here until you delete them.")
    shown = set(current.values())
    head = ["Run", "Name and note", "State", "Started", "Size", ""]
    return html.card(html.table(head, [_row(run, run.id in shown) for run in runs], "Runs"))


def signature() -> list:
    return [[run.id, run.state] for run in store.all_runs()]


def _row(run: store.Run, shown: bool) -> list[str]:
    name = run.about[0] or f"{words.KINDS.get(run.kind, run.kind)} {words.clock(run.status['created'])}"
    open_ = "<small>on screen</small>" if shown else f'<button class="link" data-action="open" data-run="{run.id}">Open</button>'
    delete = (
        ""
        if run.busy
        else f'<button class="link danger" data-action="delete" data-run="{run.id}" data-name="{escape(name)}">Delete</button>'
    )
    about = f"<b>{words.KINDS.get(run.kind, run.kind)}</b> <small>{escape(_about(run))}</small>"
    return [
        about,
        _called(run),
        html.chip(run.state),
        words.clock(run.status["created"]),
        words.size(run.folder.disk_bytes()),
        f"{open_} {delete}",
    ]


def _called(run: store.Run) -> str:
    """Two fields: what is written there is kept as soon as one leaves them."""
    given = zip(("name", "note"), run.about, (LONGEST_NAME, LONGEST_NOTE), strict=True)
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
