"""Tab 3: see what debiasing would do, then fine-tune the model."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from tiw.options import DebiasOptions

from . import charts, pictures, store, theme, words
from .panel import QUIET, Panel, resume, start, state_of, stop, stop_button

DEFAULT = DebiasOptions()
NOTHING = words.empty(
    "Nothing has been trained yet",
    "“Preview now” shows in seconds what debiasing will do, without training. “Debias” then trains it into the model, and you can watch.",
)


@dataclass(frozen=True)
class DebiasTab:
    panels: list[Panel]
    started: list[gr.events.Dependency]


def chart() -> gr.HTML:
    """A plotly chart that is updated in place."""
    return gr.HTML(
        "", html_template='<div class="chart"></div>', js_on_load=theme.asset("chart.js"), head=theme.PLOTLY_HEAD, apply_default_css=False
    )


def build(sets: gr.BrowserState, current: gr.BrowserState) -> DebiasTab:
    theme.html(
        words.lead(
            "Teach the model what the reference set knows",
            "The model is fine-tuned on both sets; the density ratio tells it, image by image and noise level by noise level, which "
            "way the reference set would pull. Trained on the reference set alone, a model begins to memorise it; this way it "
            "keeps the variety of the large set.",
        )
    )
    with gr.Row(elem_classes="tiw-stack"):
        with gr.Column(scale=4, min_width=320):
            with gr.Column(elem_classes="tiw-panel"):
                minutes = gr.Slider(
                    0.5,
                    30,
                    DEFAULT.minutes,
                    step=0.5,
                    label="Minutes of training",
                    info="Turned into steps at the start.",
                    elem_id="debias-minutes",
                )
                automatic = gr.Checkbox(
                    True,
                    label="Match the strength automatically",
                    info="So that samples and reference set agree, judged without labels.",
                )
                strength = gr.Slider(
                    0, 3, 1, step=0.05, label="Strength", info="0: no correction. 1: the ratio as estimated.", visible=False
                )
                anchor = gr.Slider(
                    0,
                    1,
                    float(DEFAULT.anchor),
                    step=0.05,
                    label="Anchor",
                    info="How much the original model steadies the target. 1: best in minutes. 0: the plain method, for long runs.",
                )
                message = theme.html()
                with gr.Row(elem_classes="tiw-actions"):
                    preview = gr.Button("Preview now", variant="secondary", size="lg", elem_id="preview-go", min_width=130)
                    go = gr.Button("Debias", variant="primary", size="lg", elem_id="debias-go", min_width=130)
                with gr.Accordion("Advanced", open=False):
                    objective = gr.Dropdown(words.OBJECTIVES, value="tiw-dsm", label="Objective")
                    steps = gr.Number(0, precision=0, label="Steps", info="0: as many as fit into the minutes.", elem_id="debias-steps")
                    share = gr.Slider(0, 0.95, DEFAULT.reference_share, step=0.05, label="Share of reference images in a batch")
                    batch = gr.Number(DEFAULT.batch_size, precision=0, label="Batch size", elem_id="debias-batch")
                    rate = gr.Number(DEFAULT.learning_rate, label="Learning rate", info="Falls to 0 towards the end.")
                    clip = gr.Number(0, label="Largest weight allowed", info="0: no limit.")
                    sigma_min = gr.Number(0, label="Lowest noise level", info="0: the model's own.")
                    sigma_max = gr.Number(0, label="Highest noise level", info="0: the model's own.")
                    seed = gr.Number(0, precision=0, label="Seed")
            theme.html('<p class="tiw-note">Both go on when the page is closed. Coming back, you find them where they are.</p>')
        with gr.Column(scale=8, min_width=420):
            preview_state = theme.html()
            preview_halt = gr.Button("Stop the preview", visible=False, elem_classes="tiw-go")
            state = theme.html()
            halt = gr.Button("Stop", visible=False, elem_id="debias-stop", elem_classes="tiw-go")
            again = gr.Button("Resume", visible=False, elem_id="debias-resume", elem_classes="tiw-go")
            numbers = theme.html(NOTHING, elem_id="debias-numbers")
            with gr.Row(elem_classes="tiw-stack", visible=False) as plots:
                with gr.Column(elem_classes="tiw-panel", min_width=280):
                    theme.html('<div class="chart-title">Loss</div>')
                    losses = chart()
                with gr.Column(elem_classes="tiw-panel", min_width=280):
                    theme.html('<div class="chart-title">Gap closed so far</div>')
                    gaps = chart()
            grid = theme.html()
            guided = theme.html(elem_id="preview-result")

    automatic.change(lambda on: gr.update(visible=not on), automatic, strength, **QUIET)
    plain = [sets, current, automatic, strength]
    common = [objective, anchor, share, minutes, steps, batch, rate, clip, sigma_min, sigma_max, seed]

    def fields(sets: dict, automatic: bool, strength: float) -> dict:
        return {**sets, "audit": store.matching_audit(sets), "strength": "auto" if automatic else str(strength)}

    def begin_preview(sets: dict, current: dict, automatic: bool, strength: float) -> tuple[dict, str]:
        return start("preview", current, fields(sets, automatic, strength))

    def begin(sets: dict, current: dict, automatic: bool, strength: float, objective: str, *rest: float) -> tuple[dict, str]:
        names = (
            "anchor",
            "reference_share",
            "minutes",
            "steps",
            "batch_size",
            "learning_rate",
            "weight_clip",
            "sigma_min",
            "sigma_max",
            "seed",
        )
        whole = ("steps", "batch_size", "seed")
        chosen = {name: int(value or 0) if name in whole else float(value or 0) for name, value in zip(names, rest, strict=True)}
        chosen["anchor"] = f"{chosen['anchor']:g}"
        return start("debias", current, {**fields(sets, automatic, strength), "objective": objective, **chosen})

    started = [
        preview.click(begin_preview, plain, [current, message], **QUIET),
        go.click(begin, [*plain, *common], [current, message], **QUIET),
        halt.click(stop("debias"), current, None, **QUIET),
        again.click(resume("debias"), current, None, **QUIET),
        preview_halt.click(stop("preview"), current, None, **QUIET),
    ]
    training = Panel("debias", [state, halt, again, numbers, plots, losses, gaps, grid], render)
    guidance = Panel("preview", [preview_state, preview_halt, guided], render_preview)
    return DebiasTab([training, guidance], started)


def render(run: store.Run | None) -> list:
    if run is None:
        return ["", stop_button(None), gr.update(visible=False), NOTHING, gr.update(visible=False), "", "", ""]
    steps, previews = run.lines("steps.jsonl"), run.lines("previews.jsonl")
    resumable = run.state in ("interrupted", "stopped")
    return [
        state_of(run),
        stop_button(run),
        gr.update(visible=resumable),
        _numbers(run, steps, previews),
        gr.update(visible=bool(steps)),
        charts.loss(steps),
        charts.gap(previews, steps),
        _grid(run, previews),
    ]


def _numbers(run: store.Run, steps: list[dict], previews: list[dict]) -> str:
    head = ""
    if run.done:
        took, result = words.duration(run.result["seconds"]), run.result
        strength = "" if result.get("strength") is None else f", strength {words.number(result['strength'])}"
        head = words.card(
            f"<h3>{words.dot('debiased')}The debiased model is ready</h3>"
            f"<p>{result['steps']:,} steps in {took}{strength}. Compare it next, side by side.</p>"
            f'<div class="links"><a class="button" href="tiw/{run.id}/model.zip" download>Download the model</a>'
            f'<a class="button" href="tiw/{run.id}/result.json" download>Numbers (JSON)</a></div>'
        )
    if not steps:
        return head
    last, gap = steps[-1], next((p["gap_closed"] for p in reversed(previews) if p.get("gap_closed")), None)
    size = last.get("effective_sample_size")
    body = words.tiles(
        words.tile(
            "Gap closed", words.percent(gap and gap["value"]), words.interval(gap, words.percent), "judged without labels", "debiased"
        ),
        words.tile("Step", f"{last['step']:,}", f"of {last['steps']:,}"),
        words.tile("Speed", words.number(last.get("images_per_second"), 0), "images a second"),
        words.tile(
            "Effective sample size",
            words.percent(size),
            f"largest weight {words.number(last.get('largest_weight'), 1)}",
            "of the last batch",
        ),
    )
    return f'<div class="stack">{head}{body}</div>'


def _grid(run: store.Run, previews: list[dict]) -> str:
    if not previews:
        return ""
    last = previews[-1]
    first = f"tiw/{run.id}/{previews[0]['file']}"
    now = f"tiw/{run.id}/{last['file']}"
    text = "The same sixteen seeds every time, so that you see what changes."
    if len(previews) == 1:
        return words.card(
            f"<h3>Samples at step {last['step']:,}</h3><p>{text}</p>"
            f'<img class="sheet" src="{now}" alt="Sixteen samples at step {last["step"]}">'
        )
    both = "".join(
        f'<div><h4>{words.dot(kind)} {title}</h4><img class="sheet" src="{src}" alt="Sixteen samples, {title.lower()}"></div>'
        for kind, title, src in (
            ("baseline", f"Step {previews[0]['step']:,}", first),
            ("debiased", f"Step {last['step']:,}", now),
        )
    )
    return words.card(f'<h3>Samples from fixed seeds</h3><p>{text}</p><div class="tiw-two">{both}</div>')


def render_preview(run: store.Run | None) -> list:
    return [state_of(run), stop_button(run), _guided(run) if run is not None and run.done else ""]


def _guided(run: store.Run) -> str:
    drawn, result = pictures.run_samples(run), run.result
    strength, gap = result["strength"], result["gap_closed"]
    if isinstance(strength, dict):
        strength = strength["value"]
    n = len(drawn["seeds"])
    sheets = "".join(
        f"<div><h4>{words.dot(kind)} {title}</h4>{pictures.sheet(drawn[kind], f'{n} {title.lower()}', 8)}</div>"
        for kind, title in (("baseline", "As the model is"), ("debiased", "With guidance"))
    )
    text = (
        f"{n} images from the same seeds. Nothing was trained: the ratio steers each image while it is drawn, at strength "
        f"<b>{words.number(strength)}</b>. Gap closed <b>{words.percent(gap['value'])}</b> ({words.interval(gap, words.percent)})."
    )
    return words.card(f'<h3>Preview of the debiased model</h3><p>{text}</p><div class="tiw-two">{sheets}</div>')
