"""Pages that are open, each a session of Gradio's: what they cost, and which of a page's looks counts."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr
from gradio.context import LocalContext

IDLE_SECONDS = 0.01  # between Gradio's looks at its empty queue: with its own millisecond an app that does nothing takes 4 % of a core
MOST = 10_000  # sessions of which something is remembered
_NUMBERS = itertools.count()
_BEGUN: dict[str, int] = {}  # of each session that looks, the look that began last
_CHANGED: dict[str, dict[str, str]] = {}  # of each session, the runs that its events have put on screen or taken off, by kind


@contextmanager
def look(session: str | None) -> Iterator[Callable[[], bool]]:
    """One look of a page, which asks at its end whether a later one has begun. Its answer may arrive after that one's: a page that opens
    looks before it knows its runs and after, and the first would wipe them off the screen."""
    number, name = next(_NUMBERS), session or ""
    _BEGUN.pop(name, None)
    _BEGUN[name] = number
    while len(_BEGUN) > MOST:
        _BEGUN.pop(next(iter(_BEGUN)), None)
    yield lambda: _BEGUN.get(name, number) > number


def on_screen(current: dict, **changed: str) -> dict:
    """The runs on screen by their kind, `current` as the browser sent it, with those that an event changes. What the same page's other
    events have changed since the click stays: of two runs that are started quickly, the later answer would take the other one away."""
    name = getattr(LocalContext.request.get(None), "session_hash", None)
    if not name:
        return {**current, **changed}
    _CHANGED[name] = _CHANGED.pop(name, {}) | changed
    while len(_CHANGED) > MOST:
        _CHANGED.pop(next(iter(_CHANGED)), None)
    return {**current, **_CHANGED[name]}


def forget(demo: gr.Blocks, session: str | None) -> None:
    """What Gradio keeps of a page that was closed, up to 200 of them, and never asks for again: a copy of the settings of all its parts,
    half a megabyte, and its empty list of messages. A page that comes back, as after a pause of the network, makes them anew."""
    if session in demo.state_holder:
        demo.state_holder.session_data[session].config_values.clear()
    _BEGUN.pop(session or "", None)
    _CHANGED.pop(session or "", None)
    queue = demo._queue
    if not queue.pending_event_ids_session.get(session):
        queue.pending_event_ids_session.pop(session, None)
        queue.pending_messages_per_session.pop(session, None)


def be_thrifty(demo: gr.Blocks) -> None:
    """What Gradio would do a thousand times a second, and for every page that is opened."""
    demo._queue.sleep_when_free = IDLE_SECONDS
    # It asks what each part's class takes, a third of what an opening costs. Python asks no further where a function has its signature.
    for kind in {type(block) for block in demo.blocks.values()}:
        for function in (kind.__init__, inspect.unwrap(kind.__init__)):
            function.__signature__ = inspect.signature(function)
