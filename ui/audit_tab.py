"""Tab 2: how far apart are the sets, where, and can the estimate be trusted?"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr
import numpy as np

from tiw.errors import UserInputError

from . import data_tab, explorer, pictures, store, theme, words
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


def build(sets: gr.BrowserState, view: gr.HTML, current: gr.BrowserState) -> AuditTab:
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
        estimator = gr.Dropdown(
            words.ESTIMATORS, value="auto", label="Estimator", info="The better one is the one with the lower held-out cross-entropy."
        )
        layouts = gr.Checkbox(True, label="Draw the map", info="Half a minute more, after the charts.")
        score_all = gr.Checkbox(True, label="Score all images", info="At the end, the biased images that the charts do not show.")
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

    def begin(sets: dict, current: dict, scored: int, folds: int, seed: int, *rest: object) -> tuple[dict, str]:
        chosen = dict(zip(("estimator", "map", "score_all"), rest, strict=True))
        return start("audit", current, {**sets, "scored": int(scored), "folds": int(folds), "seed": int(seed or 0), **chosen})

    def render(run: store.Run | None) -> list:
        measured = run is not None and run.result is not None
        first = _verdict(run.result) if measured else ""
        return [state_of(run), stop_button(run), NOTHING if run is None else first, explorer.value(run), _tables(run) if measured else ""]

    started = go.click(begin, [sets, current, scored, folds, seed, estimator, layouts, score_all], [current, message], **QUIET)
    explore.select(_move_to_reference, sets, [sets, message], **QUIET).then(data_tab.show, sets, view, **QUIET)
    stopped = halt.click(stop("audit"), current, None, **QUIET)
    return AuditTab(Panel("audit", [state, halt, verdict, explore, tables], render), started, stopped)


def _move_to_reference(sets: dict, event: gr.EventData) -> tuple[dict, str]:
    """The selection becomes a part of the reference set; the next audit sees it."""
    asked = event._data.get("value") or {}
    run = store.open_run(str(asked.get("run", "")))
    if run is None or run.result is None:
        return sets, ""
    try:
        changed = explorer.with_more_references(run, asked.get("items") or [])
    except UserInputError as problem:
        gr.Warning(str(problem))
        return sets, words.error(str(problem))
    n = len(pictures.open_set(changed, "reference"))
    gr.Info(f"The reference set now has {n:,} images. Press “Audit” to see what changes.")
    return changed, ""


def _verdict(result: dict) -> str:
    verdict, biased, reference = result["verdict"], result["biased"], result["reference"]
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict["reasons"])
    about = (
        f"{biased['scored']:,} of {biased['n']:,} images of “{escape(biased['name'])}” against {reference['n']:,} of "
        f"“{escape(reference['name'])}” · {words.duration(result['seconds'])} · {escape(result['estimator'])} estimator"
    )
    camera = "".join(f"<li>{escape(suspect['sentence'].capitalize())}</li>" for suspect in result["camera"])
    first = words.card(f"<h3>Is it the people, or the camera?</h3><ul>{camera}</ul>", "camera") if camera else ""
    return first + words.card(
        f'<div class="mark" aria-hidden="true">{MARKS[verdict["level"]]}</div>'
        f"<div><h3>{escape(verdict['sentence'])}</h3><ul>{reasons}</ul><small>{about}</small></div>",
        f"verdict {verdict['level']}",
    )


def _tables(run: store.Run) -> str:
    links = f'<div class="links"><a class="button" href="tiw/{run.id}/result.json" download>All numbers (JSON)</a>'
    links += f'<a class="button" href="tiw/{run.id}/report.html" download>Report (HTML)</a>'
    links += f'<a class="button" href="tiw/{run.id}/scores.csv" download>Every image\'s scores (CSV)</a>'
    shares = ""
    if run.result["shares"]:
        links += f'<a class="button" href="tiw/{run.id}/shares.csv" download>Shares (CSV)</a>'
        shares = words.card(_shares(run.result["shares"])) + _groups(run)
    return f'<div class="stack">{shares}{words.card(_diagnostics(run.result["levels"]) + links + "</div>")}</div>'


def _groups(run: store.Run) -> str:
    """Sets without labels: what the numbered groups look like."""
    if not run.result["groups"]:
        return ""
    sets = {role: pictures.open_set(run.options, role) for role in ("biased", "reference")}
    sheets = []
    for k, items in enumerate(run.result["groups"], 1):
        images = np.stack([sets[role].images[index] for role, index in explorer.chosen(run, items)])
        sheets.append(f"<div><h4>Group {k}</h4>{pictures.sheet(images, f'{len(images)} typical images of group {k}', 6)}</div>")
    text = "Without labels, groups of alike images stand in for them. They are numbered by size, not named: look what they share."
    return words.card(f'<h3>The groups</h3><p>{text}</p><div class="tiw-two">{"".join(sheets)}</div>')


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
