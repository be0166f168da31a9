"""What every run tab has in common: outputs that show one run, a start that never loses what was there, buttons by state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from html import escape

import gradio as gr
from gradio.components import Component

from tiw.choices import TRAINING
from tiw.errors import UserInputError
from tiw.run.options import OPTIONS

from . import caps, html, store, words
from .sessions import on_screen

DISMISSED = 'element.addEventListener("click", (e) => { if (e.target.closest("[data-dismiss]")) trigger("delete", {}); });'
GONE = "-"  # in place of a run's id: nothing is shown, and a reload brings nothing back
QUIET = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
FOLLOWS = {**QUIET, "trigger_mode": "always_last"}  # of a field's last value: Gradio drops an event while the one before works


@dataclass(frozen=True)
class Panel:
    """Shows the current run of one kind: `render(run)` gives one value for each of `outputs`; run is None before the first."""

    kind: str
    outputs: list[Component]
    render: Callable[[store.Run | None], list]

    def broken(self, problem: Exception) -> list:
        """In place of a run that cannot be shown: a sentence where its state stands, and nothing else."""
        reason = f" ({problem})" if isinstance(problem, UserInputError) else ""
        text = f"This {words.KINDS[self.kind].lower()} cannot be shown: its files are damaged or from another version{reason}. "
        card = html.error(text + "Everything else goes on; it can be deleted below, under “Runs”.")
        return [card, *("" if isinstance(output, gr.HTML) else gr.update(visible=False) for output in self.outputs[1:])]


def state_row(kind: str, *more: str) -> tuple[Component, ...]:
    """Progress, or why there is none, and beside it the Stop button and more."""
    with gr.Row(elem_classes="tiw-state"):
        state = gr.HTML("", apply_default_css=False, js_on_load=DISMISSED)
        buttons = [gr.Button(name.capitalize(), visible=False, elem_id=f"{kind}-{name}", elem_classes="tiw-go") for name in ("stop", *more)]
    return state, *buttons


def start(kind: str, current: dict, fields: dict) -> tuple[dict, str]:
    """Queue a run and make it the current one; a user's error leaves everything as it was and is said in one sentence."""
    try:
        if "" in (fields.get("biased"), fields.get("reference"), fields.get("data")):  # typed and not loaded
            raise UserInputError("images", "none are loaded", "press “Load my images” on the Data tab, or choose the demo there")
        return on_screen(current, **{kind: store.submit(kind, **fields)}), ""
    except UserInputError as problem:
        return on_screen(current), html.error(store.plain(problem))


def stop(kind: str) -> Callable[[dict], None]:
    def handler(current: dict) -> None:
        run = store.open_run(_kept(current, kind))
        if run is not None and run.busy:
            _said(store.stop, run.id)

    return handler


def dismiss(kind: str) -> Callable[[dict], dict]:
    """Take a run that ended without a result off the screen; it stays in the list of runs."""

    def handler(current: dict) -> dict:
        return on_screen(current, **{kind: GONE})

    return handler


def resume(kind: str) -> Callable[[dict], None]:
    def handler(current: dict) -> None:
        run = store.open_run(_kept(current, kind))
        if run is not None and not run.busy:
            _said(store.resume, run.id)

    return handler


def _said(action: Callable[[str], None], run_id: str) -> None:
    try:
        action(run_id)
    except UserInputError as problem:
        gr.Warning(store.said(problem))


def _kept(current: object, kind: str) -> str:
    """The id that a browser keeps for this kind of run."""
    return caps.shaped(current, {kind: ""})[kind]


def stop_button(run: store.Run | None) -> dict:
    rest = run is not None and run.result is not None
    shown = run is not None and run.busy
    return gr.update(visible=shown, interactive=shown and run.state != "stopping", value="Stop the rest" if rest else "Stop")


def _stays(run: store.Run) -> str:
    """What is left when the run is stopped now."""
    if run.kind in TRAINING:
        return "Stop keeps what has been learnt. Resume goes on from there."
    if run.result is not None:
        return "The charts are ready and stay. “Stop the rest” gives up what is still being computed."
    return "" if run.state == "queued" else "Stop gives this run up. Nothing of it is kept."


def state_of(run: store.Run | None) -> str:
    """Progress while it works, the reason when it stands still without a result."""
    if run is not None and run.shipped:
        return html.shipped(run.kind)
    if run is None or run.done:
        return ""
    if run.busy:
        return html.progress(run.kind, run.status, store.jobs().position(run.id), _stays(run))
    ended = html.ended(run.kind, run.status, resumable=run.kind in TRAINING)
    return ended + html.DISMISS if ended and run.result is None else ended


def settings(run: store.Run) -> str:
    """Every option of the run, those that are not the default marked."""
    usual = {field.name: field.default for field in fields(OPTIONS[run.kind])}
    rows = []
    for name, value in run.options.items():
        shown = (
            ",".join(map(store.called, value.split(",")))  # `also` names several
            if isinstance(value, str)
            else {True: "yes", False: "no"}.get(value, value)
            if type(value) is bool
            else value
        )
        own = value != usual[name]
        rows.append([words.option(name), f"<b>{escape(str(shown))}</b>" if own else escape(str(shown)) or "–", "changed" if own else ""])
    return html.fold("Settings of this run", html.table(["Setting", "Value", ""], rows, "Settings"))
