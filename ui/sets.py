"""The two sets that the page works on: what was typed becomes options, all problems at once, and what is shown of the sets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from tiw.auditing.power import power
from tiw.choices import MIN_RESOLUTION, check_resolution
from tiw.data import ImageSet, check_sets, estimate, load_demo, source_stamp, with_classes
from tiw.errors import UserInputError
from tiw.model.glance import Glance, glance

from . import caps, gate, html, pictures, store, words

OWN, PORTRAITS = "My own images", "Demo portraits"
NAMES = ("biased_name", "reference_name")  # what the sets are called; which images they are does not depend on it
DEMO = {
    **{"biased": "demo", "reference": "demo", "references": 0, "baseline": "demo", "class_label": "", "resolution": 0, "skip_bad": False},
    **dict.fromkeys(NAMES, ""),
}
UNLOADED = {**DEMO, "biased": "", "reference": "", "baseline": "none"}  # own images that were typed and not read: no run may use the demo
SHOWN = 40  # sample images of a set
USUAL_SIDE = 64
SUBGROUPS = {"lighter": "lighter skin", "darker": "darker skin", "long": "long hair", "short": "short hair"}
NOT_LOADED = "No images are loaded. Press “Load my images” on the Data tab, or choose the demo there."


def cleaned(text: str) -> str:
    """A pasted path as it was meant: without blanks, quotes and file:// around it, its ~ and its escaped blanks made out."""
    path = text.strip().strip("\"'“”‘’`").strip().removeprefix("file://")
    if path.startswith("~"):
        path = str(Path(path).expanduser())
    return path.replace("\\ ", " ") if "\\ " in path and not Path(path).exists() else path


def typed(
    biased: str,
    reference: str,
    baseline: str,
    class_label: str,
    resolution: float | None,
    skip_bad: bool,
    biased_name: str = "",
    reference_name: str = "",
) -> dict:
    """The options that the fields for own images stand for, unchecked."""
    model = cleaned(baseline) or "none"
    named = {"biased": cleaned(biased), "reference": cleaned(reference), "references": 0, "baseline": model}
    called = {"biased_name": " ".join(biased_name.split()), "reference_name": " ".join(reference_name.split())}
    return {**named, "class_label": class_label.strip(), "resolution": int(resolution or 0), "skip_bad": bool(skip_bad), **called}


def read(state: object) -> dict:
    """The sets that a browser says it had chosen: an earlier version's perhaps, or a forger's."""
    return caps.shaped(state, DEMO)


def matches(sets: dict, *fields: object) -> bool:
    """Whether the images that are typed are those loaded; a baseline that was trained here stands for an empty field."""
    wanted = typed(*fields)
    loose = NAMES if wanted["baseline"] != "none" else (*NAMES, "baseline")
    return all(wanted[name] == sets[name] for name in wanted if name not in loose)


def renamed(sets: dict, *fields: object) -> dict:
    """The sets, called what the fields say now."""
    wanted = typed(*fields)
    return {**sets, **{name: wanted[name] for name in NAMES}}


def chosen(source: str, sets: dict, *fields: object) -> dict:
    """The sets that a run may use: those loaded, unless the fields have changed since and the page has not heard of it yet."""
    sets = read(sets)
    if source != OWN:
        return sets
    return renamed(sets, *fields) if matches(sets, *fields) else UNLOADED


@dataclass
class Found:
    """Everything that keeps two sets from being used."""

    said: list[str] = field(default_factory=list)  # in the page's words
    offers: dict = field(default_factory=dict)  # options that would mend it, by name

    def add(self, problem: UserInputError) -> None:
        if (said := store.plain(problem)) not in self.said:
            self.said.append(said)
        sides = [offers["resolution"] for offers in (self.offers, problem.offers) if "resolution" in offers]
        self.offers |= problem.offers | ({"resolution": min(sides)} if sides else {})


def problems(sets: dict, opening: Callable[[dict, str], ImageSet] = pictures.open_set) -> Found:
    """What is wrong with these options, their sets and their model, all of it. `opening(sets, role)` reads a set."""
    found, opened, sides, model = Found(), {}, {}, None
    try:
        check_resolution(sets["resolution"])
    except UserInputError as problem:
        found.add(problem)
        opening = _is_there  # no reading at a size that nobody meant
    for role in pictures.ROLES:
        try:
            _check_named(sets, role)
            opened[role] = opening(sets, role)
        except UserInputError as problem:
            found.add(problem)
            if set(problem.offers) == {"skip_bad"} and not gate.public():  # the sound files have a size, too
                sides[role] = estimate(store.located(sets[role], role), sets["resolution"], role).side
    if sets["baseline"] not in ("none", "demo"):
        try:
            _check_named(sets, "baseline")
            model = glance(store.located(sets["baseline"], "baseline"))
        except UserInputError as problem:
            found.add(problem)
    try:
        caps.options("audit", sets, gate.limits(), store.located)
    except UserInputError as problem:
        found.add(problem)
    opened = {role: images for role, images in opened.items() if images is not None}
    sides |= {role: images.resolution for role, images in opened.items()}
    if sized := _sizes({role: sides[role] for role in pictures.ROLES if sides.get(role)}, model):
        found.said += sized
        found.offers["resolution"] = 0
    if "resolution" in found.offers:  # one size for both: the model's, else the smallest that was found
        offered = [found.offers["resolution"], *sides.values()]
        found.offers["resolution"] = max(model.side if model else min(filter(None, offered)), MIN_RESOLUTION)
    for problem in _classes(sets["class_label"], opened, model):
        found.add(problem)
    return found


def _is_there(sets: dict, role: str) -> None:
    source_stamp(store.located(sets[role], role), role)


def _check_named(sets: dict, field: str) -> None:
    """Raises UserInputError where nothing was typed, or a web address."""
    path = sets[field]
    if not path:
        raise UserInputError(field, "nothing was given", "name a folder or file on this computer, or upload images")
    if re.match(r"https?://", path):
        data_set = re.match(r"https?://huggingface\.co/datasets/([\w.-]+/[\w.-]+)", path)
        fix = f"write hub:{data_set[1]} to read this data set" if data_set else "download it first, and give the folder or file"
        raise UserInputError(field, f"{path} is a web address", fix)


def _sizes(sides: dict[str, int], model: Glance | None) -> list[str]:
    """Sets that do not fit each other or the model; `sides` in pixels, by role."""
    if model is not None:
        wrong = [role for role, side in sides.items() if side != model.side]
        return [f"{words.ROLES[role]}: its images are {sides[role]} pixels wide, the model draws {model.side}." for role in wrong]
    if len(set(sides.values())) > 1:
        return [f"The images differ in size: {sides['biased']} pixels in the large set, {sides['reference']} in the reference set."]
    return []


def _classes(column: str, opened: dict[str, ImageSet], model: Glance | None) -> list[UserInputError]:
    """What the labels of a class-conditional model lack: the column, some of its values, or the right number of them."""
    if model is None or not model.classes:
        return []
    found = []
    fix = f"the model has {model.classes} classes, name the label of both sets that holds them"
    for role, images in opened.items():
        if images.attributes is None or column not in images.attributes:
            lacks = f"has no label {column!r}" if column else "needs one, and none is named"
            found.append(UserInputError("class_label", f"the {words.ROLES[role].lower()} {lacks}", fix))
    if not found and opened:
        try:
            with_classes(column, model.classes, **opened)
        except UserInputError as problem:
            found.append(problem)
    return found


def warnings(sets: dict) -> list[str]:
    """What can be used and still deserves a look, what was left out, and what was converted."""
    opened = {role: pictures.open_set(sets, role) for role in pictures.ROLES}
    found = [words.roles(str(problem)) for problem in check_sets(*opened.values())]
    for role, images in opened.items():
        if images.skipped:
            n, first = len(images.skipped), ", ".join(images.skipped[:3])
            were = "1 file was left out:" if n == 1 else f"{n:,} files were left out, for instance"
            found.append(f"{words.ROLES[role]}: {were} {first}.")
        found += [f"{words.ROLES[role]}: {note}" for note in images.notes]
    return found


def show(sets: dict) -> str:
    """Both sets side by side and, for the demo, what is known of the truth."""
    if not sets["biased"]:
        return html.empty("No images are loaded", "Name your two sets above and press “Load my images”. ")
    try:
        biased, reference = (pictures.open_set(sets, role) for role in pictures.ROLES)
    except UserInputError as problem:
        return html.error(f"{store.plain(problem)} The demo can be chosen above.")
    cards = _set_card("biased", biased, sets) + _set_card("reference", reference, sets)
    truth = _truth() if sets["biased"] == "demo" else ""
    of = "of-demo" if truth else "of-own"  # hidden by the style sheet as soon as the other choice is made
    return f'<div class="stack {of}"><div class="tiw-two">{cards}</div>{_power(len(reference), len(biased))}{truth}</div>'


def uses(sets: dict) -> str:
    """The two sets that the next run will use: names, numbers, four images each."""
    if not sets["biased"]:
        return html.error(NOT_LOADED)
    parts = []
    for role in pictures.ROLES:
        try:
            images = pictures.open_set(sets, role)
        except UserInputError as problem:
            return html.error(store.plain(problem))
        strip = pictures.first_of(sets, role, 4, f"Four images of the {words.ROLES[role].lower()}", 4)
        name = f"{html.dot(role)}<b>{words.ROLES[role]}</b> {escape(_name(sets, role, images))}, {len(images):,} images"
        parts.append(f'<div class="use">{strip}<span>{name}</span></div>')
    return f'<div class="uses"><span class="hint">Uses</span>{"".join(parts)}</div>'


def _name(sets: dict, role: str, images: ImageSet) -> str:
    return sets.get(f"{role}_name") or (images.name if sets[role] == "demo" else words.set_name(sets[role]))


def _set_card(role: str, images: ImageSet, sets: dict) -> str:
    height, width = images.images.shape[1:3]
    title = words.ROLES[role] + (" (to be checked)" if role == "biased" else "")
    about = f"<b>{len(images):,}</b> images · {width}×{height} pixels · {escape(_name(sets, role, images))}"
    grid = pictures.first_of(sets, role, SHOWN, f"{min(SHOWN, len(images))} images of the {words.ROLES[role].lower()}")
    return html.card(f"<h3>{html.dot(role)}{title}</h3><p>{about}</p>{grid}{_labels(images)}")


def _labels(images: ImageSet) -> str:
    if images.attributes is None:
        return "<small>No labels. None are needed to audit or debias; they only help to measure.</small>"
    parts = []
    for name in images.attributes.columns:
        counts = images.attributes[name].value_counts()
        more = f" and {len(counts) - 8:,} more values" if len(counts) > 8 else ""
        parts.append(f"{escape(str(name))}: " + ", ".join(f"{escape(str(v))} {n:,}" for v, n in counts.iloc[:8].items()) + more)
    return f"<small>Labels, used for measuring only: {' · '.join(parts)}</small>"


def _power(n_reference: int, n_biased: int) -> str:
    """What a reference set of this size can show, before anything is started."""
    seen, unseen = [], []
    for share in (0.5, 0.1):
        found = power(n_reference, n_biased, share)
        shift = found.curve[-1].shift if found.smallest is None else found.smallest
        (unseen if found.smallest is None else seen).append(f"<b>{words.percent(share)} against {words.percent(share + shift)}</b>")
    start = f"With {n_reference:,} reference images an audit"
    text = f"{start} finds, 4 times in 5, a difference such as {' or '.join(seen)}. " if seen else ""
    if unseen:
        text += f"{'It' if seen else start} finds a difference such as {' or '.join(unseen)} less often than 4 times in 5. "
    text += "Smaller differences may be there and stay unseen. From simulated audits of a clearly visible attribute."
    return html.card(f"<h3>What this reference set can show</h3><p>{text}</p>")


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
    head = [f"{html.dot(role)} {words.ROLES[role]}, all {counts[role]:,}" for role in pictures.ROLES]
    body = html.table(["Subgroup", "", head[0], "", head[1]], rows, "True shares", cards=True)
    text = (
        "These portraits were drawn by a program, so the truth is known: the large set was made with these shares, jointly skewed in skin "
        "and hair, and the reference set evenly. No step that follows is told; only the measurements at the end use it."
    )
    return html.card(f"<h3>What is true here</h3><p>{text}</p>{body}")
