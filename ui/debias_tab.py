"""Tab 3: see what debiasing would do, then fine-tune the model; train one first where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr

from tiw.choices import WITH_RATIO
from tiw.run.options import DebiasOptions, TrainOptions

from . import cite, gate, html, learn_words, pictures, store, theme, training_view, words
from .panel import QUIET, Panel, settings, start, state_of, state_row, stop, stop_button
from .sets import chosen as chosen_sets

DEFAULT, TRAIN = DebiasOptions(), TrainOptions()
NOTHING = html.empty(
    "Nothing has been trained yet",
    "“Preview now” shows in seconds what debiasing will do, without training. “Debias” then trains it into the model, and you can watch.",
)


@dataclass(frozen=True)
class DebiasTab:
    panels: list[Panel]
    uses: gr.HTML  # the two sets of the next run
    started: list[gr.events.Dependency]
    by_sets: list[gr.components.Component]  # what `follow` sets
    fields: list[gr.components.Component]  # of the next run, kept by the browser


def build(chosen: list[gr.components.Component], current: gr.BrowserState) -> DebiasTab:
    """`chosen`: inputs of `sets.chosen`."""
    theme.html(
        html.lead(
            "Teach the model what the reference set knows",
            "A reference image is its own training target. For an image of the large set the density ratio shifts the target towards the "
            "reference, and says how much the image counts. Trained on the reference set alone, a model would begin to memorise it.",
        )
        + learn_words.what("debias")
    )
    with gr.Row(elem_classes="tiw-stack"):
        with gr.Column(scale=4, min_width=320):
            with gr.Column(elem_classes="tiw-panel", visible=False) as train_box:
                training = _training_fields()
            with gr.Column(elem_classes="tiw-panel"):
                uses = theme.html(elem_id="debias-uses")
                model = theme.html()
                objective = gr.Dropdown(
                    [(label, name) for name, (label, _) in words.OBJECTIVES.items()],
                    value=DEFAULT.objective,
                    label="Objective",
                    info=words.OBJECTIVES[DEFAULT.objective][1],
                    elem_id="debias-objective",
                )
                minutes = gr.Slider(
                    0.5,
                    gate.at_most("minutes", 30),
                    DEFAULT.minutes,
                    step=0.5,
                    label="Minutes of training",
                    info="Turned into steps at the start.",
                    elem_id="debias-minutes",
                )
                automatic = gr.Checkbox(
                    True,
                    label="Choose the strength automatically",
                    info="So that samples and reference set agree, judged without labels.",
                )
                strength = gr.Slider(
                    0, 3, 1, step=0.05, label="Strength", info="0: no correction. 1: the ratio as estimated.", visible=False
                )
                message = theme.html()
                with gr.Row(elem_classes="tiw-actions"):
                    preview = gr.Button("Preview now", variant="secondary", size="lg", elem_id="preview-go", min_width=130)
                    go = gr.Button("Debias", variant="primary", size="lg", elem_id="debias-go", min_width=130)
                theme.html('<p class="tiw-note">Both go on when the page is closed. Coming back, you find them where they are.</p>')
                with gr.Accordion("Advanced", open=False), gr.Row(elem_classes="tiw-grid"):
                    advanced = {
                        "steps": gr.Number(0, precision=0, label="Steps", info="0: as many as fit.", elem_id="debias-steps"),
                        "batch_size": gr.Number(DEFAULT.batch_size, precision=0, label="Batch size", elem_id="debias-batch"),
                        "reference_share": gr.Number(DEFAULT.reference_share, label="References in a batch", info="Share, 0 to below 1."),
                        "learning_rate": gr.Number(DEFAULT.learning_rate, label="Learning rate", info="0: the usual one for the model."),
                        "sigma_min": gr.Number(0, label="Lowest noise level", info="0: the model's own."),
                        "sigma_max": gr.Number(0, label="Highest noise level", info="0: the model's own."),
                        "keep": gr.Number(0, precision=0, label="Keep on the way", info="Models to choose from in Compare."),
                        "seed": gr.Number(0, precision=0, label="Seed"),
                    }
        with gr.Column(scale=8, min_width=320):
            with gr.Column(visible=False) as train_view:
                train_panel, train_changed = training_view.build("train", current, "", _trained)
            preview_state, preview_halt = state_row("preview")
            panel, changed = training_view.build("debias", current, NOTHING, _debiased)
            guided = theme.html(elem_id="preview-result")

    def switch(objective: str, automatic: bool) -> tuple:
        with_ratio = objective in WITH_RATIO
        return (
            gr.update(info=words.OBJECTIVES[objective][1]),
            gr.update(visible=with_ratio),
            gr.update(visible=with_ratio and not automatic),
        )

    for switched in (objective, automatic):
        switched.change(switch, [objective, automatic], [objective, automatic, strength], **QUIET)

    def fields(sets: dict, automatic: bool, strength: float) -> dict:
        return {**sets, "audit": store.matching_audit(sets), "strength": "auto" if automatic else f"{strength:g}"}

    def begin_preview(current: dict, automatic: bool, strength: float, *typed: object) -> tuple[dict, str]:
        return start("preview", current, fields(chosen_sets(*typed), automatic, strength))

    def begin(current: dict, automatic: bool, strength: float, objective: str, minutes: float, *rest: object):
        sets = chosen_sets(*rest[len(advanced) :])
        chosen = dict(zip(advanced, rest, strict=False))
        chosen = {name: value or 0 for name, value in chosen.items()}
        chosen |= {"objective": objective, "minutes": minutes}
        return start("debias", current, {**fields(sets, automatic, strength), **chosen})

    def begin_training(current: dict, minutes: float, preset: str, steps: float, batch_size: float, seed: float, *typed: object):
        sets = chosen_sets(*typed)
        whole = {"steps": steps or 0, "batch_size": batch_size or 0, "seed": seed or 0}
        data = {"data": sets["biased"], "resolution": sets["resolution"], "skip_bad": sets["skip_bad"]}
        return start("train", current, {**data, **whole, "preset": preset, "minutes": minutes})

    plain = [current, automatic, strength]
    train, *train_fields = training
    started = [
        preview.click(begin_preview, [*plain, *chosen], [current, message], **QUIET),
        go.click(begin, [*plain, objective, minutes, *advanced.values(), *chosen], [current, message], **QUIET),
        train.click(begin_training, [current, *train_fields, *chosen], [current, message], **QUIET),
        preview_halt.click(stop("preview"), current, None, **QUIET),
    ]
    guidance = Panel("preview", [preview_state, preview_halt, guided], render_preview)
    by_sets, typed = [train_box, train_view, model, preview, go], [objective, minutes, automatic, strength, *advanced.values()]
    return DebiasTab([panel, guidance, train_panel], uses, [*started, *changed, *train_changed], by_sets, typed)


def _training_fields() -> list[gr.components.Component]:
    """The offer to train a baseline: its button, then the fields."""
    theme.html(
        '<div class="chart-title">First, a model of the large set</div><div class="inset"><p>Debiasing starts from a diffusion model, and '
        "none was named. Train one here on the large set alone, or name one on the Data tab. It takes as long as you give it: on two CPU "
        "cores simple 64×64 pictures come out clean after half an hour, photographs need hours or a GPU. You can stop, look and "
        "resume.</p></div>"
    )
    minutes = gr.Slider(
        1,
        gate.at_most("minutes", 600),
        gate.at_most("minutes", TRAIN.minutes),
        step=1,
        label="Minutes of training",
        info="Turned into steps at the start.",
    )
    preset = gr.Dropdown(
        words.NETWORKS, value=TRAIN.preset, label="Network", info="For images of 16, 32 or 64 pixels a side: set it on the Data tab."
    )
    with gr.Accordion("Advanced", open=False), gr.Row(elem_classes="tiw-grid"):
        steps = gr.Number(0, precision=0, label="Steps", info="0: as many as fit.", elem_id="train-steps")
        batch = gr.Number(TRAIN.batch_size, precision=0, label="Batch size", info="0: the usual one.", elem_id="train-batch")
        seed = gr.Number(0, precision=0, label="Seed")
    go = gr.Button("Train a baseline", variant="primary", size="lg", elem_id="train-go")
    return [go, minutes, preset, steps, batch, seed]


def with_model(sets: dict, trained: store.Run | None) -> dict:
    """The sets with a baseline that was trained here on exactly these images, where none was named; without one that has been deleted."""
    if sets["baseline"].startswith("run:") and not store.is_there(sets["baseline"]):
        sets = {**sets, "baseline": "none"}
    if sets["baseline"] != "none" or trained is None or not trained.done:
        return sets
    same = store.called(trained.options["data"]) == sets["biased"]
    same = same and all(trained.options[name] == sets[name] for name in ("resolution", "skip_bad"))
    return {**sets, "baseline": store.named(trained.path / "model")} if same else sets


def follow(sets: dict) -> list:
    """The tab for these sets: what it starts from, or the offer to train that first."""
    path = sets["baseline"]
    missing, own = path == "none", path.startswith("run:")
    line = "" if missing else f'<p class="tiw-note">Starts from <b>{escape(words.model_name(path))}</b>.</p>'
    loaded = sets["biased"] != ""
    ready = gr.update(interactive=loaded and not missing)
    return [gr.update(visible=loaded and missing), gr.update(visible=missing or own), line, ready, ready]


def _trained(run: store.Run) -> str:
    took, result = words.duration(run.result["training_seconds"]), run.result
    check = result.get("training_check")
    little = check is not None and check["check"]["differs"]
    title = "The baseline is trained" if little else "The baseline is ready"
    said = "" if check is None or little else escape(check["sentence"])
    chosen = "It is chosen for the sets that it was trained on" + (". " if little else ": preview or debias next. ")
    return (html.error(check["sentence"]) if little else "") + html.card(
        f"<h3>{html.dot('baseline')}{title}</h3><p>{result['steps']:,} steps of training in {took}. {chosen}{said}</p>"
        f'<div class="links"><a class="button" href="tiw/{run.id}/model.zip" download>Download the model</a></div>'
    )


def _debiased(run: store.Run) -> str:
    took, result = words.duration(run.result["training_seconds"]), run.result
    strength = "" if result.get("strength") is None else f", strength {_strength(result)}"
    return (
        _doubt(run)
        + _lagging(run)
        + html.card(
            f"<h3>{html.dot('debiased')}The debiased model is ready</h3>"
            f"<p>{words.OBJECTIVES[result['objective']][0]}: {result['steps']:,} steps of training in {took}{strength}. {_sets(run)} "
            "Compare it next, side by side.</p>"
            f'<div class="links">{_download(run)}'
            f'<a class="button" href="tiw/{run.id}/result.json" download>Numbers (JSON)</a>{html.copy_link(run.id)}</div>'
        )
        + cite.fold(run)
    )


def _lagging(run: store.Run) -> str:
    """The groups that the gap closed hides: those that debiasing has not reached, with their shares and what they look like."""
    found = run.result.get("lagging") or {}
    behind = [group for group in found.get("groups", []) if group["lags"]]
    if not behind:
        return ""
    rows = "".join(
        f'<div class="difference"><h4>Group <b>{group["group"]}</b></h4>'
        f"<p>Samples {_share_of(group['samples'])} · reference set {_share_of(group['reference'])} "
        f"· large set {_share_of(group['biased'])}</p>"
        f"{pictures.rows_sheet(run.options, 'reference', group['reference_rows'], 'References typical of this group')}</div>"
        for group in behind
    )
    return html.card(f"<h3>What lags behind</h3><p><b>{escape(found['sentence'])}</b></p>{rows}", "camera")


def _share_of(found: dict) -> str:
    return f"<b>{words.percent(found['value'])}</b> <small>{words.interval(found, words.percent)}</small>"


def _download(run: store.Run) -> str:
    there = (run.path / "model").is_dir()
    return f'<a class="button" href="tiw/{run.id}/model.zip" download>Download the model</a>' if there else ""


def _strength(result: dict) -> str:
    """'1.53 (95 %: 1.30 to 1.80)', or the number alone where it was given."""
    known = words.interval(result["strength_match"], words.number) if words.was_matched(result) else ""
    return words.number(result["strength"]) + (f" ({known})" if known else "")


def _sets(run: store.Run) -> str:
    biased, reference = (escape(words.name_of(run.options, role)) for role in pictures.ROLES)
    return f"From {biased} towards {reference}." if (biased, reference) != ("demo portraits", "demo portraits") else ""


def _doubt(run: store.Run) -> str:
    """A warning where the baseline does not paint what the biased set shows."""
    check = run.result.get("baseline_check")
    offer = "" if gate.public() else " Leave the model empty on the Data tab to train one here."
    return html.error(check["sentence"] + offer) if check and check["differs"] else ""


def render_preview(run: store.Run | None) -> list:
    return [state_of(run), stop_button(run), _guided(run) if run is not None and run.done else ""]


def _guided(run: store.Run) -> str:
    result = run.result
    gap, n = result["gap_closed"], len(pictures.samples(run, "seeds"))
    sheets = "".join(
        f"<div><h4>{html.dot(kind)} {title}</h4>{pictures.sheet(pictures.samples(run, kind), f'{n} {title.lower()}', 8)}</div>"
        for kind, title in (("baseline", "As the model is"), ("debiased", "With guidance"))
    )
    text = (
        f"{n} images from the same seeds. Nothing was trained: the ratio steers each image while it is drawn, at strength "
        f"<b>{_strength(result)}</b>. {words.gap_closed(gap)} {_sets(run)}"
    )
    shown = html.card(f'<h3>Preview of the debiased model</h3><p>{text}</p><div class="tiw-two">{sheets}</div>')
    return f'<div class="stack">{_doubt(run)}{shown}{settings(run)}</div>'
