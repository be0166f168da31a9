"""Images for the page: contact sheets as data addresses, sprite sheets as WebP."""

from __future__ import annotations

import base64
import threading
from functools import lru_cache
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from tiw.data import ImageSet, load_in_child, load_set, npz_rows
from tiw.data.layouts import tables_beside
from tiw.errors import UserInputError
from tiw.pictures import contact_sheet
from tiw.run.thumbnails import Thumbnails

from . import caps, gate, store
from .turns import turn

ROLES = ("biased", "reference")
SPRITE_COLUMNS = 50
MOST_PIXELS = 16_383  # a side of a WebP picture
PAGE = 24  # pairs on a page
MOST_SHOWN = 4  # models beside each other
_DEMO = threading.Lock()  # thirty visitors at once read it once


def data_address(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def sheet(images: np.ndarray, alt: str, columns: int = 10) -> str:
    """<img> of a contact sheet of uint8 [N,H,W,3]; nothing where there are no images."""
    if not len(images):
        return ""
    return f'<img class="sheet" src="{data_address(contact_sheet(images, columns))}" alt="{alt}">'


@lru_cache(maxsize=8)
def image_set(path: str, role: str, references: int, resolution: int, skip_bad: bool, changed: str) -> ImageSet:
    """A set by its path, kept while it is on screen. `changed` is its time stamp, with those of labels that lie beside it. Images that are
    not ours are decoded in a process of their own, whose pixels this one maps: what is wrong with a file cannot take the page down."""
    if path == "demo":
        with _DEMO:
            return load_set(path, role, references, resolution)
    return load_in_child(path, role, references, resolution, skip_bad, limits=gate.limits().of_sets(), turn=turn)


def open_set(sets: dict, role: str) -> ImageSet:
    """The biased or reference set that options name, as a run with these options sees it."""
    path, references = sets[role], sets["references"] if role == "reference" else 0
    path = path if path in caps.NAMED else store.located(path, role)
    changed = "" if path == "demo" else " ".join(map(store.stamp, (Path(path), *tables_beside(Path(path)))))
    return image_set(path, role, references, sets.get("resolution", 0), sets.get("skip_bad", False), changed)


def of_run(run: store.Run, role: str) -> ImageSet:
    """A set as the run saw it. Raises UserInputError where other images stand in its place: they never appear under its numbers."""
    images = open_set(run.options, role)
    known = (run.result or {}).get(role, {}).get("fingerprint")
    if known and known["sha256"] != images.fingerprint.sha256:
        raise UserInputError(role, "its images have changed since this run", "run it again, or put the images back")
    return images


def first_of(sets: dict, role: str, count: int, alt: str, columns: int = 10) -> str:
    """<img> of the first images of a set that options name. Raises UserInputError where it cannot be opened."""
    if sets[role] == "demo":
        return _first_of_demo(role, sets["references"], sets.get("resolution", 0), count, alt, columns)
    return sheet(open_set(sets, role).images[:count], alt, columns)


@lru_cache(maxsize=32)
def _first_of_demo(role: str, references: int, resolution: int, count: int, alt: str, columns: int) -> str:
    """The demo's, which everyone is shown, drawn once."""
    return sheet(open_set({role: "demo", "references": references, "resolution": resolution}, role).images[:count], alt, columns)


def rows_sheet(sets: dict, role: str, rows: list[int], alt: str) -> str:
    """<img> of rows of a set that options name; nothing where its images are gone."""
    try:
        return sheet(open_set(sets, role).images[rows], alt, 8) if rows else ""
    except (UserInputError, OSError, IndexError):
        return ""


def item_image(run: store.Run, item: int) -> np.ndarray:
    """One image of an audit, uint8 [H,W,3]: as it was read, or its thumbnail where it is no longer there."""
    n = run.result["biased"]["n"]
    try:
        return of_run(run, "biased").images[item] if item < n else of_run(run, "reference").images[item - n]
    except (UserInputError, OSError):
        kept = Thumbnails.read(run.path)
        found = [] if kept is None else kept.images(run.path, [item])
        if not len(found):
            raise
        return found[0]


def items_sheet(run: store.Run, items: list[tuple[str, int]], alt: str, columns: int) -> str:
    """<img> of (set, index) of the run's sets: the thumbnails that it kept; a sentence where there are none and the images are gone."""
    if not items:
        return ""
    kept = Thumbnails.read(run.path)
    wanted = [index if role == "biased" else run.result["biased"]["n"] + index for role, index in items]
    try:
        if kept is not None and set(wanted) <= set(kept.items):
            return sheet(kept.images(run.path, wanted), alt, columns)
        opened = {role: of_run(run, role) for role in {role for role, _ in items}}
        return sheet(np.stack([opened[role].images[index] for role, index in items]), alt, columns)
    except (UserInputError, OSError) as problem:
        reason = problem.found if isinstance(problem, UserInputError) else "they are not there any more"
        return f'<p class="tiw-note">These images cannot be shown: {escape(reason)}.</p>'


def samples(run: store.Run, name: str, rows: slice = slice(None)) -> np.ndarray:
    """Some of a run's samples of a model, or their "seeds". Read anew each time: there may be a hundred thousand of them."""
    return npz_rows(run.path / "samples.npz", name, rows)


def examples(run: store.Run) -> dict[str, np.ndarray]:
    """The few images that a comparison shows as examples, by what they are examples of; empty where it kept none."""
    path = run.path / "examples.npz"
    if not path.is_file():
        return {}
    with np.load(path) as arrays:
        return dict(arrays)


def sprite(images: list[np.ndarray], side: int) -> bytes:
    """One WebP of many thumbnails without gaps, SPRITE_COLUMNS a row, addressed by position in the browser; smaller where they are many."""
    rows = -(-len(images) // SPRITE_COLUMNS)
    side = min(side, images[0].shape[0], MOST_PIXELS // rows)
    if images[0].shape[:2] != (side, side):
        images = [np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX)) for image in images]
    return contact_sheet(np.stack(images), SPRITE_COLUMNS, gap=0)


def models(run: store.Run) -> list[dict]:
    """The models of a comparison or preview: the name of their samples and which one it is."""
    usual = [{"name": "baseline", "title": "baseline"}, {"name": "debiased", "title": "debiased"}]
    return [{"name": m["name"], "title": m["title"]} for m in (run.result or {}).get("models", [])] or usual


def pairs_sheet(run: store.Run, page: int, shown: list[int]) -> bytes:
    """A row for each model shown, by its place, the same seed in the same column; WebP. Empty past the last page and for what is not
    there."""
    n, known = len(samples(run, "seeds")), models(run)
    rows = slices(n)[page - 1 : page]
    if not rows or not 1 <= len(shown) <= MOST_SHOWN or max(shown) >= len(known):
        return b""
    images = [samples(run, known[k]["name"], rows[0]) for k in shown]
    return contact_sheet(np.concatenate(images), len(images[0]), gap=0)


def slices(count: int) -> list[slice]:
    """The pages of `count` pairs."""
    edges = [*range(0, count, PAGE), count]
    return [slice(*edge) for edge in pairwise(edges)]
