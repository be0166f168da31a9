"""Tab 2: how far apart are the sets, where, and can the estimate be trusted?"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr

from . import explorer, store, theme, words
from .panel import QUIET, Panel, start, state_of, stop, stop_button

MARKS = {"reliable": "✓", "partly-reliable": "!", "unreliable": "✕", "no-difference": "="}
SHARE_SETS = ("biased", "reference", "reweighted")
NOTHING = words.empty(
    "No audit yet",
    "Press “Audit”. About a minute later you see how far the biased set departs from the reference, where, and how far to believe it.",
)


@dataclass(frozen=True)
class AuditTab:
    panel: Panel
    started: gr.events.Dependency
    stopped: gr.events.Dependency


def build(sets: gr.BrowserState, current: gr.BrowserState) -> AuditTab:
    theme.html(
        words.lead(
            "Where does the set depart from the reference?",
            "For every image the audit estimates the <b>density ratio</b>: how much more often the reference set shows such an image than "
            "the biased set does. It does so at several noise levels, because blurred by noise the two sets overlap and the ratio can be "
            "trusted, and it always scores an image with a model that has not seen it.",
        )
    )
    with gr.Row(elem_classes="tiw-actions"):
        go = gr.Button("Audit", variant="primary", size="lg", elem_id="audit-go", elem_classes="tiw-go")
        halt = gr.Button("Stop", visible=False, elem_classes="tiw-go")
    with gr.Accordion("Advanced", open=False, elem_classes="tiw-panel"), gr.Row(elem_classes="tiw-stack"):
        scored = gr.Slider(
            200, 5000, 2000, step=100, label="Biased images to score", info="Drawn at random by the seed.", elem_id="audit-scored"
        )
        folds = gr.Slider(2, 10, 5, step=1, label="Folds", info="Each image is scored by the folds that did not see it.")
        layouts = gr.Checkbox(True, label="Draw the map", info="Half a minute more, after the charts.")
        seed = gr.Number(0, precision=0, label="Seed")
    message = theme.html()
    state = theme.html()
    verdict = theme.html(NOTHING, elem_id="audit-verdict")
    explore = gr.HTML(
        "",
        html_template=theme.asset("explorer.html"),
        js_on_load=theme.asset("explorer.js"),
        head=theme.PLOTLY_HEAD,
        apply_default_css=False,
        elem_id="explorer",
    )
    tables = theme.html()

    def begin(sets: dict, current: dict, scored: int, folds: int, layouts: bool, seed: int) -> tuple[dict, str]:
        return start("audit", current, {**sets, "scored": int(scored), "folds": int(folds), "map": layouts, "seed": int(seed or 0)})

    def render(run: store.Run | None) -> list:
        measured = run is not None and run.result is not None
        first = _verdict(run.result) if measured else ""
        return [state_of(run), stop_button(run), NOTHING if run is None else first, explorer.value(run), _tables(run) if measured else ""]

    started = go.click(begin, [sets, current, scored, folds, layouts, seed], [current, message], **QUIET)
    stopped = halt.click(stop("audit"), current, None, **QUIET)
    return AuditTab(Panel("audit", [state, halt, verdict, explore, tables], render), started, stopped)


def _verdict(result: dict) -> str:
    verdict, biased, reference = result["verdict"], result["biased"], result["reference"]
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict["reasons"])
    about = (
        f"{biased['scored']:,} of {biased['n']:,} images of “{escape(biased['name'])}” against {reference['n']:,} of "
        f"“{escape(reference['name'])}” · {words.duration(result['seconds'])} · {escape(result['estimator'])} estimator"
    )
    return words.card(
        f'<div class="mark" aria-hidden="true">{MARKS[verdict["level"]]}</div>'
        f"<div><h3>{escape(verdict['sentence'])}</h3><ul>{reasons}</ul><small>{about}</small></div>",
        f"verdict {verdict['level']}",
    )


def _tables(run: store.Run) -> str:
    links = f'<div class="links"><a class="button" href="tiw/{run.id}/result.json" download>All numbers (JSON)</a>'
    shares = ""
    if run.result["shares"]:
        links += f'<a class="button" href="tiw/{run.id}/shares.csv" download>Shares (CSV)</a>'
        shares = words.card(_shares(run.result["shares"]))
    return f'<div class="stack">{shares}{words.card(_diagnostics(run.result["levels"]) + links + "</div>")}</div>'


def _shares(rows: list[dict]) -> str:
    """One row for each value; biased, reference and biased reweighted side by side."""
    of = {(row["attribute"], row["value"], row["set"]): row for row in rows}
    body = []
    for attribute, value in dict.fromkeys((row["attribute"], row["value"]) for row in rows):
        cells = [escape(attribute), escape(value)]
        for name in SHARE_SETS:
            row = of.get((attribute, value, name))
            cells.append("–" if row is None else _share(row, name))
        body.append(cells)
    head = [f"{words.dot(name)} {title}" for name, title in zip(SHARE_SETS, ("Biased", "Reference", "Biased, reweighted"), strict=True)]
    text = (
        "If the ratio is right, weighting each biased image by it brings the shares to those of the reference. What is left between the "
        "last two columns is what the ratio missed. Labels were not used to find it."
    )
    return f"<h3>Shares, and what the weights make of them</h3><p>{text}</p>" + words.table(["Attribute", "Value", *head], body, "Shares")


def _share(row: dict, name: str) -> str:
    low, high = (words.percent(edge, 1) for edge in row["interval"])
    return (
        f"<b>{words.percent(row['share'], 1)}</b> <small>{low} to {high}, n = {words.count(row['n'])}</small>"
        f"{words.bar(row['share'], name)}"
    )


def _diagnostics(levels: list[dict]) -> str:
    def row(level: dict) -> list[str]:
        size, entropy = level["effective_sample_size"], level["cross_entropy"]
        low, high = level["auc"]["interval"]
        return [
            f"{level['sigma']:.2g}",
            f"<b>{words.number(level['auc']['value'])}</b> <small>{words.number(low)} to {words.number(high)}</small>",
            f"{words.number(entropy['held_out'], 3)} <small>train {words.number(entropy['train'], 3)}</small>",
            words.number(level["ece"], 3),
            f"{words.number(level['mean_r']['value'])} <small>1/r {words.number(level['mean_inverse_r']['value'])}</small>",
            f"<b>{words.percent(size['share'])}</b> <small>{words.count(size['count'])} images</small>",
            words.number(level["largest_weight"], 1),
            words.percent(level["negligible_share"], 1),
        ]

    head = [
        "Noise level",
        "AUC, held out (95 %)",
        "Cross-entropy",
        "Calibration error",
        "Mean ratio (should be 1)",
        "Effective sample size",
        "Largest weight",
        "Weights below 0.01",
    ]
    text = "All on images that the scoring model had not seen. Training far below held-out cross-entropy means memorising."
    return f"<h3>Diagnostics, level by level</h3><p>{text}</p>" + words.table(
        head, [row(level) for level in levels], "Diagnostics per noise level"
    )
