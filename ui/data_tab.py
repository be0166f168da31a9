"""Tab 1: which images? The demo, or one's own two sets."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr

from tiw.data import Cancelled
from tiw.errors import UserInputError

from . import caps, finding, gate, html, keeping, learn_words, loading, pictures, reference_builder, store, theme, words
from .panel import FOLLOWS, QUIET
from .sets import DEMO, NAMES, OWN, PORTRAITS, UNLOADED, Found, matches, read, renamed, show, typed, uses

# What is said of a load, which may lie below the window: once when it begins, once when it has found something.
INTO_VIEW = """() => {
  const box = document.getElementById("data-message"), now = box.querySelector(".tiw-error") ? 2 : box.innerText.trim() ? 1 : 0;
  if (now > (box.seen ?? 0)) box.scrollIntoView({ block: "nearest", behavior: "smooth" });
  box.seen = now;
}"""
BLANK = ("", "", "", "", 0, False, "", "")  # the fields for own images, before anything is typed


@dataclass(frozen=True)
class DataTab:
    sets: gr.BrowserState  # biased, reference, references, baseline: fields of the options
    chosen: list[gr.components.Component]  # inputs of `sets.chosen`
    fields: gr.BrowserState  # what was typed for own images, loaded or not
    view: gr.HTML
    example: gr.Column  # what was computed before, for who has computed nothing yet
    see: gr.Button  # opens it
    next: gr.Button
    on_next: dict  # how `next` loads what is typed; its last output says whether the way is free
    free: gr.State
    restored: list[gr.components.Component]  # what `restore` sets; `view` follows the sets


def build() -> DataTab:
    sets = gr.BrowserState(DEMO, storage_key="tiw-sets", secret="tiw-studio")
    kept = gr.BrowserState(list(BLANK), storage_key="tiw-typed", secret="tiw-studio")
    free = gr.State(False)
    theme.html(
        html.lead(
            "Which images?",
            "The <b>large set</b> is the one to be checked. The <b>reference set</b> is a small one that you trust: a few hundred images "
            "of the people or things your model should show, in the shares it should show them. It needs no labels. Everything that "
            "follows asks where the large set departs from the small one.",
        )
        + learn_words.what("data")
    )
    with gr.Row(elem_classes="tiw-stack tiw-first"):
        with gr.Column(elem_classes="tiw-panel", scale=5, min_width=320):
            source = gr.Radio([PORTRAITS, OWN], value=PORTRAITS, label="Images", elem_id="source")
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
                    (biased, from_biased), (reference, from_reference) = map(_source, pictures.ROLES)
                baseline = gr.Textbox(
                    "",
                    label="Diffusion model trained on the large set (folder with a diffusers checkpoint)",
                    info="Its features drive the audit; debiasing starts from it. Empty: a weaker audit, of the pixels alone.",
                    placeholder="/path/to/model",
                    max_lines=1,
                    visible=not gate.public(),
                    elem_id="baseline-path",
                )
                more = gr.Accordion("More: names, classes, resolution, images that cannot be read", open=False)
                with more, gr.Row(elem_classes="tiw-grid wide"):
                    biased_name, reference_name = map(_name, pictures.ROLES)
                    class_label = gr.Textbox(
                        "",
                        label="Its classes, if the model is class-conditional",
                        info="The label of both sets that names them. Empty for any other model.",
                        visible=not gate.public(),
                        elem_id="class-label",
                    )
                    resolution = gr.Number(
                        0,
                        precision=0,
                        label="Resolution",
                        info="Crop and resize every image to it. 0: all have one size.",
                        elem_id="resolution",
                    )
                    skip_bad = gr.Checkbox(False, label="Leave out images that cannot be read", info="They are counted and listed.")
                built = reference_builder.build(biased)
                with gr.Row(elem_classes="tiw-actions"):
                    load = gr.Button("Load my images", variant="secondary", elem_classes="tiw-go", elem_id="load-own")
                    halt = gr.Button("Cancel", visible=False, elem_classes="tiw-go", elem_id="cancel-own")
        shipped = bool(store.examples().get("audit"))
        with gr.Column(elem_classes="tiw-panel", scale=6, min_width=320, visible=shipped, elem_id="example-box") as example:
            theme.html(_computed_before(), elem_id="example")
            see = gr.Button("See the whole audit  →", elem_classes="tiw-go", elem_id="example-open")
    message = theme.html(elem_id="data-message")
    with gr.Row(elem_classes="tiw-actions"):  # what would mend the problems that the message lists
        resize = gr.Button("", visible=False, elem_classes="tiw-go", elem_id="resize-own")
        leave_out = gr.Button("Leave the broken files out", visible=False, elem_classes="tiw-go", elem_id="leave-out-own")
    following = gr.Button("Continue to the audit  →", variant="primary", elem_classes="tiw-go", elem_id="data-next")
    view = theme.html(html.busy("Reading the demo"), elem_id="data-view")

    own = [biased, reference, baseline, class_label, resolution, skip_bad, biased_name, reference_name]
    loaded = [sets, message, resize, leave_out, halt, kept]

    source.input(switch, [source, references], [demo_box, own_box, *loaded[:-1], view], **FOLLOWS)
    references.input(choose_demo, references, sets, **FOLLOWS)
    changes = [field.input for field in own[:-2]] + [event for name in own[-2:] for event in (name.blur, name.submit)]
    gr.on(changes, edited, [sets, *own], loaded, **FOLLOWS)
    for upload, path in ((from_biased, biased), (from_reference, reference)):
        upload.upload(take_upload, upload, [path, upload, message], api_visibility="private").then(filled_in, [sets, *own], loaded, **QUIET)
    built.click(reference_builder.from_labels, [biased, *built.inputs], [biased, reference, message], api_visibility="private").then(
        filled_in, [sets, *own], loaded, **QUIET
    )
    load.click(choose_own, own, loaded, **QUIET)
    message.change(None, js=INTO_VIEW)
    halt.click(loading.cancel, None, None, **QUIET)
    resize.click(to_size, resize, resolution, **QUIET).then(choose_own, own, loaded, **QUIET)
    leave_out.click(lambda: True, None, skip_bad, **QUIET).then(choose_own, own, loaded, **QUIET)
    on_next = {"fn": go_on, "inputs": [source, sets, *own], "outputs": [*loaded, free]}
    return DataTab(
        sets, [source, sets, *own], kept, view, example, see, following, on_next, free, [source, references, demo_box, own_box, *own]
    )


def _computed_before() -> str:
    """The finding of the shipped audit: something to see before anything has been pressed."""
    run = store.open_run(store.examples().get("audit", ""))
    return finding.first(run) if run is not None and run.done else ""


def _name(role: str) -> gr.Textbox:
    label = f"Name of the {words.ROLES[role].lower()}"
    info = "For charts, tables and the report. Empty: as its file is called."
    return gr.Textbox("", label=label, info=info, max_lines=1, max_length=80, elem_id=f"{role}-name")


def _source(role: str) -> tuple[gr.Textbox, gr.File]:
    """Where a set comes from: a path here, or an upload, which becomes a path."""
    with gr.Column(min_width=300):
        path = gr.Textbox(
            "",
            label=words.ROLES[role] + (" (to be checked)" if role == "biased" else ""),
            info="Upload a zip of images." if gate.public() else "A folder, zip, npz, parquet file or a known data set on this computer.",
            placeholder="" if gate.public() else "/path/to/images",
            interactive=not gate.public(),
            elem_id=f"{role}-path",
            max_lines=1,  # a long path scrolls instead of hiding its second line
        )
        upload = gr.File(
            file_count="multiple",
            file_types=["image", *keeping.ARCHIVES],
            label=f"Upload the {words.ROLES[role].lower()}",
            show_label=False,
            height=46,
            elem_id=f"{role}-upload",
            elem_classes="tiw-drop",
        )
    return path, upload


def switch(request: gr.Request | None, kind: str, references: int) -> tuple:
    """Demo or own images: whatever was shown, offered or being read for the other choice goes at once."""
    own = kind == OWN
    loading.leave(request)
    chosen = UNLOADED if own else choose_demo(references)
    return gr.update(visible=not own), gr.update(visible=own), chosen, "", *_buttons({}), show(chosen)


def follow_sets(sets: dict) -> tuple[str, str, dict, str]:
    """Both sets on the Data tab, and above each button the two that it will use; without any the audit's is closed."""
    sets = read(sets)
    used = uses(sets)
    return show(sets), used, gr.update(interactive=bool(sets["biased"])), used


def restore(sets: dict, kept: list = BLANK) -> tuple:
    """After a reload: the sets that this browser had chosen, and what was typed. What is as the page was built is left alone: a visitor may
    have chosen while it opened."""
    sets = read(sets)
    demo = sets["biased"] == "demo"
    fields = (
        tuple(caps.shaped(dict(enumerate(kept)), dict(enumerate(BLANK))).values())
        if isinstance(kept, list) and len(kept) == len(BLANK)
        else BLANK
    )
    if sets["biased"] not in ("", "demo"):
        model = "" if sets["baseline"] == "none" else sets["baseline"]
        named = ("class_label", "resolution", "skip_bad", *NAMES)
        fields = (sets["biased"], sets["reference"], model, *(sets[name] for name in named))
    if gate.public():  # the field is not shown: what it held would be used for other images too
        fields = (*fields[:2], "", *fields[3:])
    source = (gr.skip(),) * 2 if demo else (gr.update(visible=False), gr.update(visible=True))
    values = zip((PORTRAITS if demo else OWN, sets["references"], *fields), (PORTRAITS, DEMO["references"], *BLANK), strict=True)
    chosen, references, *rest = (gr.skip() if value == as_built else value for value, as_built in values)
    return chosen, references, *source, *rest


def choose_demo(references: int) -> dict:
    return read({**DEMO, "references": references})


def edited(request: gr.Request | None, sets: dict, *fields: object) -> tuple:
    """Own images were typed: as long as they are not loaded no run can start, neither on them nor on what was there before. A name alone
    needs no reading."""
    sets = read(sets)
    if matches(sets, *fields):
        return (renamed(sets, *fields), *(gr.skip(),) * 4, list(fields))
    if loading.leave(request, typed(*fields)):
        return (*(gr.skip(),) * 5, list(fields))
    return (UNLOADED, "", *_buttons({}), list(fields))


def filled_in(request: gr.Request | None, sets: dict, *fields: object) -> tuple:
    """The same after an upload or a set that was built, which have just said how it went."""
    chosen, _, *rest = edited(request, sets, *fields)
    return chosen, gr.skip(), *rest


def choose_own(request: gr.Request | None, *fields: object) -> Iterator[tuple]:
    """Read and check both sets, with progress; where anything is wrong nothing is loaded, and every problem is said, once."""
    chosen, said, offers, reading = UNLOADED, "", {}, None
    try:
        for reading in loading.read(typed(*fields), request):
            if reading.found is None:
                yield UNLOADED, reading.shown(), *_buttons({}, reading=True), list(fields)
        if reading is None or reading.left:
            return
        chosen, said, offers = _read(reading.sets, reading.found, reading.warnings)
    except Cancelled:
        said = html.card("<p>Cancelled. No images are loaded.</p>")
    except Exception:  # a fault of ours or of the system: the page says so and goes on
        traceback.print_exc()
        said = html.error("Reading broke off with an error. The log of the app has it. Try again, or try fewer images.")
    yield chosen, said, *_buttons(offers), list(fields)


def _read(sets: dict, found: Found, look: list[str]) -> tuple[dict, str, dict]:
    """The sets, what is said of them, and what would mend them."""
    if found.said:
        return UNLOADED, html.problems("These images cannot be used yet:", found.said), found.offers
    return sets, html.problems("These images can be used, but look at this first:", look, "mild") if look else "", {}


def _buttons(offers: dict, reading: bool = False) -> tuple[dict, dict, dict]:
    """What would mend the sets, and Cancel while they are read."""
    side = offers.get("resolution", 0)
    resize = gr.update(visible=side > 0, value=f"Resize both to {side}")
    return resize, gr.update(visible="skip_bad" in offers), gr.update(visible=reading)


def go_on(request: gr.Request | None, source: str, sets: dict, *fields: object) -> Iterator[tuple]:
    """“Continue”: what is typed is loaded first; the way is free when sets are loaded."""
    if source == PORTRAITS or matches(read(sets), *fields):
        yield (*(gr.skip(),) * 6, True)
        return
    for shown in choose_own(request, *fields):
        yield (*shown, bool(shown[0]["biased"]))


def to_size(button: str) -> int:
    """'Resize both to 64' -> 64."""
    return int(button.rpartition(" ")[2])


def take_upload(paths: list[str] | None) -> tuple:
    """An upload becomes a path; several images a folder."""
    try:
        return keeping.keep_upload(paths or []), None, ""
    except UserInputError as problem:
        return gr.skip(), None, html.error(store.plain(problem))
