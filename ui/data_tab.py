"""Tab 1: which images? The demo, or one's own two sets."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr
import numpy as np

from tiw.auditing.power import power
from tiw.data import ImageSet, check_sets, load_demo, load_images, parse_shares, reference_rows, write_rows
from tiw.errors import UserInputError

from . import caps, gate, html, pictures, store, theme, words
from .panel import QUIET

DEMO = {"biased": "demo", "reference": "demo", "references": 0, "baseline": "demo", "class_label": "", "resolution": 0, "skip_bad": False}
SHOWN = 40  # sample images of a set
SUBGROUPS = {"lighter": "lighter skin", "darker": "darker skin", "long": "long hair", "short": "short hair"}


@dataclass(frozen=True)
class DataTab:
    sets: gr.BrowserState  # biased, reference, references, baseline: fields of the options
    view: gr.HTML
    next: gr.Button
    restored: list[gr.components.Component]  # what `restore` sets


def build() -> DataTab:
    sets = gr.BrowserState(DEMO, storage_key="tiw-sets", secret="tiw-studio")
    theme.html(
        html.lead(
            "Which images?",
            "Two sets are compared. The <b>biased set</b> is the large one you have. The <b>reference set</b> is a small one whose make-up "
            "you would vouch for: a few hundred images, drawn from the people or things your model should show, in the shares it should "
            "show them. It needs no labels. Everything that follows asks one question: where does the large set depart from the small one?",
        )
    )
    with gr.Column(elem_classes="tiw-panel"):
        source = gr.Radio(["Demo portraits", "My own images"], value="Demo portraits", label="Images", elem_id="source")
        with gr.Column(visible=True) as demo_box:
            references = gr.Radio(
                [("50", 50), ("100", 100), ("200", 200), ("all 400", 0)],
                value=0,
                label="How many reference images?",
                info="How few are enough? Try: fewer references make a weaker audit, and it will say so.",
                elem_id="references",
            )
        with gr.Column(visible=False) as own_box:
            with gr.Row(elem_classes="tiw-stack"):
                paths = [_source(role) for role in ("biased", "reference")]
            baseline = gr.Textbox(
                "",
                label="Diffusion model trained on the biased set (folder with a diffusers checkpoint)",
                info="Its features drive the audit; debiasing starts from it. Empty: a weaker audit, of the pixels alone.",
                placeholder="/path/to/model",
                visible=not gate.public(),
            )
            class_label = gr.Textbox(
                "",
                label="Its classes, if it is class-conditional",
                info="The label of both sets that names them. Empty for any other model.",
                visible=not gate.public(),
                elem_id="class-label",
            )
            with gr.Row(elem_classes="tiw-stack"):
                resolution = gr.Number(0, precision=0, label="Resolution", info="Crop and resize every image to it. 0: they have one size.")
                skip_bad = gr.Checkbox(False, label="Leave out images that cannot be read", info="They are listed either way.")
            with gr.Accordion("No reference set? Build one from labels", open=False), gr.Row(elem_classes="tiw-stack"):
                shares = gr.Textbox("", label="Wanted shares (%)", placeholder="darker=50, lighter=50", elem_id="wanted-shares")
                attribute = gr.Textbox(
                    "", label="Attribute", info="A label of the biased set; empty: its first.", elem_id="wanted-attribute"
                )
                count = gr.Number(400, precision=0, label="Images", elem_id="wanted-count")
                build_reference = gr.Button("Build it", elem_classes="tiw-go", elem_id="build-reference")
            load = gr.Button("Load my images", variant="secondary", elem_classes="tiw-go")
    message = theme.html()
    view = theme.html(
        html.card('<div class="progress"><div class="row"><b>Reading the demo</b></div><progress></progress></div>'), elem_id="data-view"
    )
    following = gr.Button("Continue to the audit  →", variant="primary", elem_classes="tiw-go")

    def switch(kind: str, references: int) -> tuple:
        own = kind == "My own images"
        chosen = (gr.skip(), gr.skip()) if own else choose_demo(references)
        return (gr.update(visible=not own), gr.update(visible=own), *chosen)

    source.input(switch, [source, references], [demo_box, own_box, sets, view], **QUIET)
    references.input(choose_demo, references, [sets, view], **QUIET)
    own = [*paths, baseline, class_label, resolution, skip_bad]
    load.click(choose_own, own, [sets, view, message], api_visibility="private")
    build_reference.click(from_labels, [paths[0], attribute, shares, count], [*paths, message], api_visibility="private")
    return DataTab(sets, view, following, [source, references, demo_box, own_box, *own, view])


def _source(role: str) -> gr.Textbox:
    """Where a set comes from: a path here, or an upload, which becomes a path."""
    with gr.Column(min_width=300):
        path = gr.Textbox(
            "",
            label=f"{role.capitalize()} set",
            info="Upload a zip of images." if gate.public() else "A folder, zip, npz, parquet file or a known data set on this computer.",
            placeholder="" if gate.public() else "/path/to/images",
            interactive=not gate.public(),
            elem_id=f"{role}-path",
            max_lines=1,  # a long path scrolls instead of hiding its second line
        )
        upload = gr.UploadButton("Upload a zip", file_types=[".zip"], size="sm", elem_classes="tiw-go")
    upload.upload(keep, upload, path, api_visibility="private")
    return path


def read(state: object) -> dict:
    """The sets that a browser says it had chosen: an earlier version's perhaps, or a forger's."""
    return caps.shaped(state, DEMO)


def keep(path: str) -> str | object:
    """The name of an upload."""
    try:
        return store.keep_upload(path)
    except UserInputError as problem:
        gr.Warning(store.said(problem))
        return gr.skip()


def restore(sets: dict) -> tuple:
    """After a reload: the sets that this browser had chosen."""
    sets = read(sets)
    if sets["biased"] == "demo":
        own = ("", "", "", "", 0, False)
        return "Demo portraits", sets["references"], gr.update(visible=True), gr.update(visible=False), *own, show(sets)
    model = "" if sets["baseline"] == "none" else sets["baseline"]
    own = (sets["biased"], sets["reference"], model, sets["class_label"], sets["resolution"], sets["skip_bad"])
    return "My own images", 0, gr.update(visible=False), gr.update(visible=True), *own, show(sets)


def choose_demo(references: int) -> tuple[dict, str]:
    sets = read({**DEMO, "references": references})
    return sets, show(sets)


def from_labels(biased: str, attribute: str, shares: str, count: int) -> tuple[str | object, str | object, str]:
    """Two lists of rows: a reference set of the wanted shares, and the biased set without its images. The paths of both."""
    try:
        if not biased.strip():
            raise UserInputError("biased set", "nothing was given", "name a folder or upload a zip first")
        source = store.located(biased.strip(), "biased")
        images = load_images(source, field="biased")
        wanted = parse_shares(shares)
        if not wanted:
            raise UserInputError("shares", "none are given", "write VALUE=PER CENT, with commas between: darker=50, lighter=50")
        rows = reference_rows(images.attributes, {attribute.strip(): wanted} if attribute.strip() else wanted, int(count or 0))
        folder = store.new_upload_folder()
        write_rows(folder / "reference.json", source, rows)
        write_rows(folder / "biased.json", source, np.setdiff1d(np.arange(len(images)), rows))
    except UserInputError as problem:
        gr.Warning(store.said(problem))
        return gr.skip(), gr.skip(), html.error(store.said(problem))
    gr.Info(f"A reference set of {len(rows):,} images is ready. Press “Load my images”.")
    return store.named(folder / "biased.json"), store.named(folder / "reference.json"), ""


def choose_own(
    biased: str, reference: str, baseline: str, class_label: str, resolution: int, skip_bad: bool
) -> tuple[dict | object, str | object, str]:
    """Read and check both sets before anything is kept; on a problem the previous choice stays."""
    try:
        chosen = {"biased": biased.strip(), "reference": reference.strip()}
        missing = [role for role, path in chosen.items() if not path]
        if missing:
            raise UserInputError(f"{' and '.join(missing)} set", "nothing was given", "name a folder or upload a zip for both sets")
        model = {"baseline": baseline.strip() or "none", "class_label": class_label.strip()}
        sets = {**chosen, "references": 0, **model, "resolution": resolution or 0, "skip_bad": skip_bad}
        caps.options("audit", sets, gate.limits(), store.located)
        found = check_sets(*(pictures.open_set(sets, role) for role in ("biased", "reference")))
    except UserInputError as problem:
        gr.Warning(store.said(problem))
        return gr.skip(), gr.skip(), html.error(store.said(problem))
    listed = html.problems("These images can be used, but look at this first:", [str(p) for p in found]) if found else ""
    return sets, show(sets), listed


def show(sets: dict) -> str:
    """Both sets side by side and, for the demo, what is known of the truth."""
    try:
        biased, reference = (pictures.open_set(sets, role) for role in ("biased", "reference"))
    except UserInputError as problem:
        return html.error(f"{store.said(problem)} (the demo can be chosen above)")
    cards = _set_card("Biased set", "biased", biased, sets["biased"]) + _set_card(
        "Reference set", "reference", reference, sets["reference"]
    )
    truth = _truth() if sets["biased"] == "demo" else ""
    return f'<div class="stack"><div class="tiw-two">{cards}</div>{_power(len(reference), len(biased))}{truth}</div>'


def _power(n_reference: int, n_biased: int) -> str:
    """What a reference set of this size can show, before anything is started."""

    def sentence(share: float) -> str:
        found = power(n_reference, n_biased, share)
        about = f"of an attribute that {words.percent(share)} of the biased images have"
        if found.smallest is None:
            return f"no shift up to {100 * found.curve[-1].shift:.0f} points {about}"
        low, high = found.interval
        edges = f"{100 * low:.0f} to {100 * high:.0f}" if high else f"{100 * low:.0f} or more"
        return f"a shift of <b>{100 * found.smallest:.0f} points</b> ({edges}) {about}"

    text = (
        f"With {n_reference:,} reference images an audit sees, in four of five cases, {sentence(0.5)}, and {sentence(0.1)}. Smaller "
        "differences may be there and stay unseen. From simulated audits of a clearly visible attribute."
    )
    return html.card(f"<h3>What this reference set can show</h3><p>{text}</p>")


def _set_card(title: str, role: str, images: ImageSet, path: str) -> str:
    side = images.images.shape[1:3]
    about = f"<b>{len(images):,}</b> images · {side[1]}×{side[0]} pixels · {escape(words.set_name(path))}"
    grid = pictures.sheet(images.images[:SHOWN], f"{SHOWN} images of the {title.lower()}")
    return html.card(f"<h3>{html.dot(role)}{title}</h3><p>{about}</p>{grid}{_labels(images)}")


def _labels(images: ImageSet) -> str:
    if images.attributes is None:
        return "<small>No labels. None are needed to audit or debias; they only help to measure.</small>"
    counted = [(name, images.attributes[name].value_counts()) for name in images.attributes.columns]
    parts = [f"{escape(str(name))}: " + ", ".join(f"{escape(str(v))} {n:,}" for v, n in c.items()) for name, c in counted]
    return f"<small>Labels, used for measuring only: {' · '.join(parts)}</small>"


def _truth() -> str:
    truth = load_demo().truth
    shares, counts = truth["shares"], truth["counts"]
    rows = [
        [
            ", ".join(SUBGROUPS[word] for word in group.split("-")),
            html.bar(shares["biased"][group], "biased"),
            words.percent(shares["biased"][group]),
            html.bar(shares["reference"][group], "reference"),
            words.percent(shares["reference"][group]),
        ]
        for group in shares["biased"]
    ]
    head = [f"{html.dot(role)} {role.capitalize()} set, all {counts[role]:,}" for role in ("biased", "reference")]
    body = html.table(["Subgroup", head[0], "", head[1], ""], rows, "True shares")
    text = (
        "These portraits were drawn by a program, so the truth is known: the biased set was made with these shares, jointly skewed in skin "
        "and hair, and the reference set evenly. No step that follows is told; only the measurements at the end use it."
    )
    return html.card(f"<h3>What is true here</h3><p>{text}</p>{body}")
