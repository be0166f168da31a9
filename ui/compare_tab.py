"""Tab 4: baseline and debiased model from the same seeds, measured."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

import gradio as gr

from tiw.choices import SLOW_ENCODERS, WITH_RATIO
from tiw.errors import UserInputError
from tiw.files import read_json
from tiw.run.comparison_fields import as_perceived

from . import caps, charts, cite, counted, gate, headline, html, learn_words, pictures, quality, spot, stated, store, theme, words
from .panel import FOLLOWS, QUIET, Panel, settings, start, state_of, state_row, stop, stop_button
from .sessions import on_screen
from .sets import uses

NOTHING = html.empty(
    "Nothing to compare yet",
    "Once a model has been debiased, choose it above and press “Compare”: the same seeds, pair by pair, and the shares of each attribute.",
)
OF_A_FILE = (".onnx", ".prompts.json")  # which say themselves what they tell apart
SHIPPED = (
    "Debiased model: the one computed before came without its weights, and its comparison is below. Debias a model first, which takes "
    "minutes; then compare it here."
)


@dataclass(frozen=True)
class CompareTab:
    panel: Panel
    runs: gr.Dropdown  # finished debias runs
    started: list[gr.events.Dependency]
    fields: list[gr.components.Component]  # of the next comparison, kept by the browser


def build(current: gr.BrowserState) -> CompareTab:
    theme.html(
        html.lead(
            "What changed, and what did not?",
            f"The {html.term('baseline')} and the debiased model paint from the same seeds. Shares are counted by a classifier and shown "
            f"with their number of images and 95 % {html.term('interval')}. Quality is measured beside them, because a model can reach any "
            "share by painting badly.",
        )
        + learn_words.what("compare")
    )
    with gr.Column(elem_classes="tiw-panel"):
        with gr.Row(elem_classes="tiw-stack"):
            runs = gr.Dropdown([], label="Debiased model", info="Finished runs, newest first.", elem_id="compare-run", scale=3)
            count = gr.Slider(
                100,
                gate.at_most("count", 5000),
                1000,
                step=100,
                label="Samples of each model",
                info="More samples, narrower intervals.",
                elem_id="compare-count",
                scale=3,
            )
            go = gr.Button("Compare", variant="primary", size="lg", elem_id="compare-go", scale=1, min_width=170)
        attributes = gr.Dropdown(
            [],
            value=[],
            multiselect=True,
            allow_custom_value=True,
            label="Attributes that count",
            info="Shares and the discrepancy are of exactly these. None chosen: all, if there are one or two.",
            elem_id="compare-attributes",
        )
        with gr.Accordion("Advanced", open=False):
            with gr.Row(elem_classes="tiw-stack"):
                labels = gr.Textbox(
                    "",
                    label="Labelled images",
                    info="For the attribute classifier; or the word groups, for unnamed groups. Empty: the large set's own labels.",
                    elem_id="compare-labels",
                    visible=not gate.public(),
                )
                heldout = gr.Textbox(
                    "", label="Held-out images", info="For the quality measures. Empty: the reference set.", visible=not gate.public()
                )
                encoder = gr.Dropdown(
                    [(title, name) for name, title in words.ENCODERS.items() if name not in SLOW_ENCODERS or gate.limits().slow_encoders],
                    value="pca",
                    label="Encoder",
                    info="Whose features the quality measures see, and the attribute classifier of labelled images.",
                    elem_id="compare-encoder",
                )
            also = gr.Dropdown(
                [],
                value=[],
                multiselect=True,
                label="More models beside them",
                info="From the same seeds: other runs, what a run kept on the way, or the guided baseline. Up to twelve.",
                elem_id="compare-also",
            )
            seed = gr.Number(0, precision=0, label="First seed")
    used = theme.html(elem_id="compare-uses")
    message = theme.html()
    state, halt = state_row("compare")
    numbers = theme.html(NOTHING, elem_id="compare-numbers")
    shares = charts.chart("Shares of each attribute", elem_id="compare-shares")
    front = charts.chart("Discrepancy against quality, every model")
    pairs = gr.HTML(
        "",
        html_template='<div class="pairs-box"></div>',
        js_on_load=theme.asset("focus.js", "pairs.js"),
        apply_default_css=False,
        elem_id="pairs",
    )
    classifier = theme.html()
    check = gr.HTML(
        "",
        html_template='<div class="spot-box"></div>',
        js_on_load=theme.asset("answer.js", "spot.js"),
        apply_default_css=False,
        elem_id="spot",
    )
    said = gr.HTML(
        "",
        html_template='<div class="stated-box"></div>',
        js_on_load=theme.asset("answer.js", "stated.js"),
        apply_default_css=False,
        elem_id="stated",
    )

    of_labels = [runs, labels, attributes]
    runs.change(_of_model, of_labels, [used, also, attributes], **QUIET)
    labels.blur(columns, of_labels, attributes, **FOLLOWS)

    def begin(
        current: dict, chosen: str, count: int, labels: str, attributes: list[str], heldout: str, seed: int, also: list[str], encoder: str
    ) -> tuple[dict, str]:
        run = store.open_run(chosen)
        if run is None or not run.done:
            return on_screen(current), html.error("Debiased model: none is chosen; debias a model first, or choose a finished run")
        if run.shipped:
            return on_screen(current), html.error(SHIPPED)
        return start("compare", current, fields(run, count, labels, heldout, seed, attributes, also, encoder))

    def render(run: store.Run | None) -> list:
        done = run is not None and run.done
        if not done:
            blank = NOTHING if run is None else ""
            return [state_of(run), stop_button(run), blank, "", "", "", "", "", ""]
        result = as_perceived(run.result)
        drawn = charts.shares(result["shares"]) if result["shares"] else ""
        found = [counted.lineup(run), counted.shares(result), counted.differences(result), counted.residual(run), quality.details(run)]
        cards = [*found, _groups(run), counted.classifier(result), cite.fold(run), settings(run)]
        below = f'<div class="stack">{"".join(cards)}</div>'
        plot = charts.front(result.get("models", []))
        return [state_of(run), stop_button(run), headline.numbers(run), drawn, plot, below, _pairs(run), spot.value(run), stated.value(run)]

    started = [
        go.click(begin, [current, runs, count, labels, attributes, heldout, seed, also, encoder], [current, message], **QUIET),
        halt.click(stop("compare"), current, None, **QUIET),
        check.select(lambda: None, None, None, **QUIET),  # its labels went into the report
    ]
    panel = Panel("compare", [state, halt, numbers, shares, front, classifier, pairs, check, said], render)
    return CompareTab(panel, runs, started, [count, labels, heldout, seed, encoder])


def fields(
    run: store.Run,
    count: int,
    labels: str = "",
    heldout: str = "",
    seed: int = 0,
    attributes: list[str] | None = None,
    also: list[str] | None = None,
    encoder: str = "pca",
) -> dict:
    """Options that compare a finished debias run with the model it started from, in these attributes, and with those in `also`."""
    chosen = {"labels": labels, "heldout": heldout, "seed": seed, "attributes": ",".join(attributes or []), "also": ",".join(also or [])}
    return {"debiased": store.named(run.path / "model"), "count": count, "encoder": encoder, **chosen}


def columns(chosen: str, labels: str, picked: list[str]) -> dict:
    """The attributes that may be picked: labels of the images that are named, else of the run's biased set; none where they are gone."""
    run, sets = store.open_run(chosen), {}
    if run is not None and run.kind == "debias":
        sets = {name: run.options[name] for name in ("biased", "references", "resolution", "skip_bad")}
    labels = labels.strip()
    if labels:
        sets = {"biased": labels, "references": 0} if labels not in caps.NAMED and not labels.endswith(OF_A_FILE) else {}
    names: list[str] = []
    if sets:
        with suppress(UserInputError, OSError):
            images = pictures.open_set(sets, "biased")
            names = [] if images.attributes is None else [str(name) for name in images.attributes.columns]
    names = [name for name in names if "," not in name]
    return gr.update(choices=names, value=[name for name in picked or [] if name in names or not names])


def _of_model(chosen: str, labels: str, picked: list[str]) -> tuple[str, dict, dict]:
    """What depends on the chosen model: its sets, what can stand beside it, the attributes."""
    return uses_of(store.open_run(chosen)), _also_choices(chosen), columns(chosen, labels, picked)


def uses_of(run: store.Run | None) -> str:
    """The two sets of the chosen model: what it started from, and what both models are measured against."""
    return uses(run.options) if run is not None and run.kind == "debias" else ""


def finished() -> list[str]:
    """Ids of the finished debias runs, newest first."""
    return [run.id for run in store.all_runs("debias") if run.done]


def choices(current: dict, before: list[str]) -> tuple[dict, list[str]]:
    """The finished debias runs for the drop-down, and what to give as `before` next time: the one chosen for the visitor, then all.

    The current run is chosen when it finishes. What the visitor has chosen since then stays, unless a run was deleted.
    """
    ids = finished()
    shipped = store.examples().get("debias")
    if shipped and not ids:
        ids = [shipped]  # something to see before anything has been debiased
    likely = [current.get("debias"), *before[:1], *ids]
    now = [next((run_id for run_id in likely if run_id in ids), ""), *ids]
    stays = before[:1] == now[:1] and set(before) <= set(now)
    named = [(_name(store.open_run(run_id)), run_id) for run_id in ids]
    return gr.update(choices=named) if stays else gr.update(choices=named, value=now[0] or None), now


def _also_choices(chosen: str) -> dict:
    """What can stand beside the chosen run's model: its own way, guidance with its ratio, and other runs."""
    run = store.open_run(chosen)
    if run is None or not run.done or run.kind != "debias":
        return gr.update(choices=[], value=[])
    own = [("This run on the way: all moving averages that it kept", "kept")] if (run.path / "kept").is_dir() else []
    if run.options["objective"] in WITH_RATIO:
        own.append(("The baseline, guided at the matched strength", "guided"))
        own.append(("The baseline, guided at strengths 0.5, 1, 1.5 and 2", "sweep"))
    others = [(_name(other), store.named(other.path / "model")) for other in store.all_runs("debias") if other.done and other.id != run.id]
    return gr.update(choices=own + others, value=[])


def _name(run: store.Run) -> str:
    called = "Computed before · " if run.shipped else f"{run.name} · " if run.name else ""
    made = f"{called}{words.clock(run.status['created'])} · {words.OBJECTIVES[run.result['objective']][0]} · {run.result['steps']:,} steps"
    gap = run.result.get("gap_closed")
    return f"{made} · gap closed {words.percent(gap['value'])}" if gap else made


def _groups(run: store.Run) -> str:
    """What the unnamed groups are, by the images in the middle of each."""
    kept = pictures.examples(run)
    sheets = [
        f"<h4>Group {name[6:]}</h4>{pictures.sheet(kept[name], f'images of {name}', 12)}" for name in kept if name.startswith("group ")
    ]
    return html.card(f"<h3>The unnamed groups</h3><p>The images in the middle of each.</p>{''.join(sheets)}") if sheets else ""


def _pairs(run: store.Run) -> str:
    seeds = pictures.samples(run, "seeds").tolist()
    pages = [seeds[part] for part in pictures.slices(len(seeds))]
    shown = {"pages": pages, "models": pictures.models(run), "labels": _called(run, len(seeds))}
    return json.dumps({"base": f"tiw/{run.id}/pairs", **shown})


def _called(run: store.Run, n: int) -> list[list[str]] | None:
    """What the classifier calls each model's image of every seed; None where it called them nothing."""
    path = run.path / "predicted.json"
    if not path.is_file():
        return None
    kept = read_json(path)
    classes = kept["classes"]
    if not classes or len(kept["seeds"]) != n:
        return None
    of_set = [
        [[classes[name][k] for k in kept["codes"][set_][name]] for name in classes] for set_ in (m["name"] for m in pictures.models(run))
    ]
    return [[", ".join(values) for values in pair] for pair in zip(*(zip(*names, strict=True) for names in of_set), strict=True)]
