"""A training run on the page, of a baseline or of the debiasing: progress, Stop, Resume, live numbers, charts and samples."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from tiw.choices import WITH_RATIO
from tiw.run.index import RESUMABLE
from tiw.sentences import too_far

from . import charts, html, store, theme, words
from .panel import QUIET, Panel, resume, settings, state_of, state_row, stop, stop_button


def build(
    kind: str, current: gr.BrowserState, empty: str, finished: Callable[[store.Run], str]
) -> tuple[Panel, list[gr.events.Dependency]]:
    """Components for the current run of this kind: `empty` before the first, `finished(run)` above the numbers of one that is done."""
    state, halt, again = state_row(kind, "resume")
    numbers = theme.html(empty, elem_id=f"{kind}-numbers")
    options = theme.html()  # a component of its own: it would close with every new number
    with gr.Row(elem_classes="tiw-stack tiw-charts"):
        losses, gaps = charts.chart("Loss"), charts.chart("Gap closed so far")
    grid = theme.html(elem_id=f"{kind}-samples")

    def render(run: store.Run | None) -> list:
        if run is None:
            return ["", stop_button(None), gr.update(visible=False), empty, "", "", "", ""]
        steps, previews = run.lines("steps.jsonl"), run.lines("previews.jsonl")
        return [
            state_of(run),
            stop_button(run),
            gr.update(visible=run.state in RESUMABLE),
            _numbers(run, steps, previews, finished(run) if run.done else ""),
            settings(run) if steps else "",
            charts.loss(steps),
            charts.gap(previews, steps) if measured(previews) else "",
            _grid(run, previews),
        ]

    changed = [
        halt.click(stop(kind), current, None, **QUIET),
        again.click(resume(kind), current, None, **QUIET),
    ]
    return Panel(kind, [state, halt, again, numbers, options, losses, gaps, grid], render), changed


def _numbers(run: store.Run, steps: list[dict], previews: list[dict], head: str) -> str:
    if not steps:
        return head
    last, at = steps[-1], measured(previews)
    size = last.get("effective_sample_size")
    tiles = [
        html.tile("Step", f"{last['step']:,}", f"of {last['steps']:,}"),
        html.tile("Speed", words.number(last.get("images_per_second"), 0), "images a second"),
    ]
    if at:
        closed, kind = words.interval(at["gap_closed"], words.percent), "debiased" if at["step"] else "baseline"
        beside = too_far(at["gap_closed"]) or _beside(run) if at["step"] else "of the baseline, before the first step"
        tiles.insert(0, html.tile(html.term("gap closed", "Gap closed"), words.percent(at["gap_closed"]["value"]), closed, beside, kind))
    elif previews and run.options.get("objective") in WITH_RATIO:
        tiles.insert(0, html.tile(html.term("gap closed", "Gap closed"), "–", "too few reference images to measure it"))
    if size is not None:
        largest = f"largest weight {words.number(last.get('largest_weight'), 1)}"
        tiles.append(
            html.tile(html.term("effective sample size", "Effective sample size"), words.percent(size), largest, "of the last batch")
        )
    return f'<div class="stack">{head}{html.tiles(*tiles)}</div>'


def measured(previews: list[dict]) -> dict | None:
    """The last preview, where its gap could be measured: one of before the first step says nothing of a model that is trained."""
    return previews[-1] if previews and previews[-1].get("gap_closed") else None


def _beside(run: store.Run) -> str:
    """What the gap closed must not be read without."""
    lags = ((run.result or {}).get("lagging") or {}).get("any")
    return "one number for all images: see above what lags behind" if lags else "judged without labels"


def _grid(run: store.Run, previews: list[dict]) -> str:
    """Samples of the first and of the last preview, from the same seeds."""
    if not previews:
        return ""
    shown = [previews[0], previews[-1]] if len(previews) > 1 else previews
    sheets = "".join(
        f"<div><h4>{html.dot('debiased' if preview['step'] else 'baseline')} {_step(run, preview)}</h4>"
        f'<img class="sheet" src="tiw/{run.id}/{preview["file"]}" alt="Sixteen samples at step {preview["step"]:,}"></div>'
        for preview in shown
    )
    text = "The same sixteen seeds every time, so that you see what changes."
    return html.card(f'<h3>Samples from fixed seeds</h3><p>{text}</p><div class="tiw-two">{sheets}</div>')


def _step(run: store.Run, preview: dict) -> str:
    if preview["step"]:
        return f"Step {preview['step']:,}"
    return "The baseline, before the first step" if run.kind == "debias" else "Before the first step"
