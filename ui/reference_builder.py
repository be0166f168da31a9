"""A reference set out of labels: one slider for each value of a label, with the number of images at hand."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
import numpy as np

from tiw.data import demo_path, reference_rows, write_rows
from tiw.errors import UserInputError

from . import html, keeping, pictures, store, theme
from .panel import FOLLOWS, QUIET
from .sets import cleaned

MOST_VALUES = 12  # that get a slider


@dataclass(frozen=True)
class Builder:
    """The button that builds, and the components it reads: attribute, count, shown values, sliders."""

    button: gr.Button
    inputs: list[gr.components.Component]

    def click(self, *args: object, **kwargs: object) -> gr.events.Dependency:
        return self.button.click(*args, **kwargs)


def build(biased: gr.Textbox) -> Builder:
    counts = gr.State({})  # of every label: {label: {value: number of images}}
    values = gr.State([])  # those that have a slider, in its order
    with gr.Accordion("No reference set? Build one from labels", open=False):
        theme.html('<p class="tiw-note">Draws images of the large set in the shares that you want, and takes them out of it.</p>')
        with gr.Row(elem_classes="tiw-actions"):
            read = gr.Button("Read the labels", elem_classes="tiw-go", elem_id="read-labels")
            attribute = gr.Dropdown([], label="Label", visible=False, elem_id="wanted-attribute")
            count = gr.Number(400, precision=0, label="Images", visible=False, elem_id="wanted-count")
        message = theme.html()
        with gr.Row(elem_classes="tiw-grid"):
            sliders = [gr.Slider(0, 100, 0, step=1, visible=False, elem_id=f"wanted-{k}") for k in range(MOST_VALUES)]
        button = gr.Button("Build the reference set", visible=False, elem_classes="tiw-go", elem_id="build-reference")
    shown = [values, *sliders]
    read.click(read_labels, biased, [counts, attribute, count, button, message], api_visibility="private").then(
        offer, [counts, attribute], shown, **QUIET
    )
    attribute.input(offer, [counts, attribute], shown, **FOLLOWS)
    return Builder(button, [attribute, count, values, *sliders])


def read_labels(biased: str) -> tuple:
    """The labels of the large set with their counts."""
    try:
        images = _opened(biased)
        if images.attributes is None:
            raise UserInputError("biased", "it has no labels", "add them (docs/IMAGES.md), or bring a reference set")
    except UserInputError as problem:
        hidden = gr.update(visible=False)
        return {}, hidden, hidden, hidden, html.error(store.plain(problem))
    counts = {str(name): images.attributes[name].astype(str).value_counts().to_dict() for name in images.attributes}
    few = [name for name, of in counts.items() if len(of) <= MOST_VALUES]
    there = gr.update(visible=bool(few))
    text = "" if few else html.error(f"No label has {MOST_VALUES} values or fewer.")
    return counts, gr.update(visible=bool(few), choices=few, value=few[0] if few else None), there, there, text


def offer(counts: dict, attribute: str | None) -> list:
    """One slider for each value of the label, even shares to begin with."""
    of = counts.get(attribute, {})
    even = round(100 / max(len(of), 1))
    shown = [gr.update(visible=True, label=f"{value} ({n:,} there), %", value=even) for value, n in of.items()]
    return [list(of), *shown, *[gr.update(visible=False)] * (MOST_VALUES - len(shown))]


def from_labels(biased: str, attribute: str, count: float, values: list[str], *shares: float) -> tuple:
    """Two lists of rows: a reference set of the wanted shares, and the large set without its images. The paths of both."""
    try:
        wanted = dict(zip(values, shares, strict=False))
        total = sum(wanted.values())
        if not total:
            raise UserInputError("shares", "all are 0", "move at least one slider")
        wanted = {attribute: {value: share / total for value, share in wanted.items()}}
        large, reference, n = built(biased, wanted, int(count or 0))
    except UserInputError as problem:
        return gr.skip(), gr.skip(), html.error(store.plain(problem))
    done = f'<div class="tiw-good" role="status">A reference set of {n:,} images is ready. Press “Load my images”.</div>'
    return large, reference, done


def built(biased: str, wanted: dict, count: int) -> tuple[str, str, int]:
    """The names of the large set without the chosen images and of the reference set of them, and how many these are. `wanted`: shares of
    the values, or of those of one label. Raises UserInputError."""
    images = _opened(biased)
    rows = reference_rows(images.attributes, wanted, count)
    source = demo_path("biased") if cleaned(biased) == "demo" else store.located(cleaned(biased), "biased")
    folder = keeping.new_upload_folder()
    write_rows(folder / "reference.json", source, rows)
    write_rows(folder / "biased.json", source, np.setdiff1d(np.arange(len(images)), rows))
    return store.named(folder / "biased.json"), store.named(folder / "reference.json"), len(rows)


def _opened(biased: str):
    path = cleaned(biased)
    if not path:
        raise UserInputError("biased", "nothing was given", "name a folder or upload images first")
    return pictures.open_set({"biased": path, "references": 0}, "biased")
