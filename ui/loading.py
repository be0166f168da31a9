"""One visitor's own sets are read beside the page: by a thread that has another process decode them, with progress and Cancel."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

import gradio as gr

from tiw.data import ImageSet, estimate, load_in_child

from . import caps, gate, html, pictures, store, words
from .sets import NAMES, Found, problems, warnings
from .turns import turn

LOOK = 0.3  # seconds between two looks of the page


@dataclass
class Reading:
    """What one load has done so far. The thread writes it, the page reads it."""

    sets: dict
    stop: threading.Event = field(default_factory=threading.Event)
    costs: dict[str, str] = field(default_factory=dict)  # by role: what the set will take, in a sentence
    done: dict[str, tuple[int, int]] = field(default_factory=dict)  # by role: images read, images
    found: Found | None = None  # at the end
    left: bool = False  # the page has gone on to other images
    warnings: list[str] = field(default_factory=list)
    error: BaseException | None = None

    def work(self) -> None:
        try:
            self.found = problems(self.sets, self._open)
            self.warnings = [] if self.found.said else warnings(self.sets)
        except BaseException as error:  # handed to the page, which raises it
            self.error = error

    def _open(self, sets: dict, role: str) -> ImageSet:
        """As `pictures.open_set`, which finds it read then."""
        if sets[role] in caps.NAMED:
            return pictures.open_set(sets, role)
        place = store.located(sets[role], role)
        if not gate.public():  # a stranger's files are opened by the child alone
            cost = estimate(place, sets["resolution"], role)
            self.costs[role] = cost.sentence if cost.side else f"{cost.n:,} images."

        def on_progress(done: int, total: int) -> None:
            self.done[role] = (done, total)

        limits = gate.limits().of_sets()
        how = {"limits": limits, "on_progress": on_progress, "cancelled": self.stop.is_set, "turn": turn}
        load_in_child(place, role, 0, sets["resolution"], sets["skip_bad"], **how)
        return pictures.open_set(sets, role)

    def shown(self) -> str:
        """Both sets: what they will cost, and how far they are read."""
        lines = []
        for role in pictures.ROLES:
            done, total = self.done.get(role, (0, 0))
            value = f' value="{done}" max="{total}"' if total else ""
            amount = f"{done:,} of {total:,}" if total else self.costs.get(role, "")
            waits = "" if role in self.costs or total or role == "biased" else "waiting"
            name = words.name_of(self.sets, role)
            lines.append(
                f'<div class="row"><b>{html.dot(role)} Reading the {words.ROLES[role].lower()}: {escape(name)}</b>'
                f"<span>{amount or waits}</span></div>"
                f'<progress{value} aria-label="Reading the {words.ROLES[role].lower()}"></progress>'
                + (f"<small>{self.costs[role]}</small>" if total and role in self.costs else "")
            )
        return html.card(f'<div class="progress" role="status">{"".join(lines)}</div>')


_AT_WORK: dict[tuple[str, str], Reading] = {}  # one for each open page: who, and the page's session


def _page(request: gr.Request | None) -> tuple[str, str]:
    return gate.visitor(), str(getattr(request, "session_hash", ""))


def cancel(request: gr.Request | None) -> None:
    """Stop what this page is reading, if anything."""
    reading = _AT_WORK.get(_page(request))
    if reading is not None:
        reading.stop.set()


def leave(request: gr.Request | None, wanted: dict | None = None) -> bool:
    """The page shows other images now: what it was reading stops and says no more. A reading of the `wanted` ones goes on, under the
    names that they have now. Whether it does."""
    reading = _AT_WORK.get(_page(request))
    if reading is None:
        return False
    if wanted is not None and all(wanted[name] == reading.sets[name] for name in wanted if name not in NAMES):
        reading.sets = {**reading.sets, **wanted}
        return True
    reading.left = True
    reading.stop.set()
    return False


def read(sets: dict, request: gr.Request | None) -> Iterator[Reading]:
    """The load of these sets again and again while it works, and once more at its end. A page that is closed, or loads anew, stops it;
    one that has gone on to other images hears no more of it.

    Raises Cancelled, and whatever the reading raised that is no problem of the sets.
    """
    leave(request)
    key, reading = _page(request), Reading(sets)
    _AT_WORK[key] = reading
    worker = threading.Thread(target=contextvars.copy_context().run, args=(reading.work,), daemon=True, name="tiw-reading")
    worker.start()
    try:
        worker.join(LOOK)
        while worker.is_alive() and not reading.left:
            yield reading
            worker.join(LOOK)
        if reading.left:
            return
        if reading.error is not None:
            raise reading.error
        yield reading
    finally:
        reading.stop.set()
        if _AT_WORK.get(key) is reading:
            del _AT_WORK[key]
