"""What every run tab has in common: outputs that show one run, a start that never loses what was there, buttons by state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from tiw.choices import TRAINING
from tiw.errors import UserInputError

from . import caps, html, store, theme, words

QUIET = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}


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
        state = theme.html()
        buttons = [gr.Button(name.capitalize(), visible=False, elem_id=f"{kind}-{name}", elem_classes="tiw-go") for name in ("stop", *more)]
    return state, *buttons


def start(kind: str, current: dict, fields: dict) -> tuple[dict, str]:
    """Queue a run and make it the current one; a user's error leaves everything as it was and is said in one sentence."""
    try:
        if "" in (fields.get("biased"), fields.get("reference"), fields.get("data")):  # typed and not loaded
            raise UserInputError("images", "none are loaded", "press “Load my images” on the Data tab, or choose the demo there")
        return {**current, kind: store.submit(kind, **fields)}, ""
    except UserInputError as problem:
        return current, html.error(store.plain(problem))


def stop(kind: str) -> Callable[[dict], None]:
    def handler(current: dict) -> None:
        run = store.open_run(_kept(current, kind))
        if run is not None and run.busy:
            _said(store.stop, run.id)

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
    return gr.update(visible=run is not None and run.busy, interactive=run is not None and run.state != "stopping")


def state_of(run: store.Run | None) -> str:
    """Progress while it works, the reason when it stands still without a result."""
    if run is not None and run.shipped:
        return html.shipped(run.kind)
    if run is None or run.done:
        return ""
    return (
        html.progress(run.kind, run.status, store.jobs().position(run.id))
        if run.busy
        else html.ended(run.kind, run.status, resumable=run.kind in TRAINING)
    )
