"""What comes over the wire and goes back: values of an end point's own types, runs by their id, errors as sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import get_args, get_origin, get_type_hints

import gradio as gr

from tiw.errors import UserInputError

from . import store

MOST_ITEMS = 100_000  # of a list that is sent
WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "yes or no"}


@contextmanager
def said() -> Iterator[None]:
    """A user's error becomes Gradio's, so that a client reads the sentence."""
    try:
        yield
    except UserInputError as problem:
        raise gr.Error(store.said(problem), print_exception=False) from problem


def opened(run_id: str, kind: str = "") -> store.Run:
    found = store.open_run(run_id)
    if found is None or (kind and found.kind != kind):
        raise gr.Error(f"run: there is no {kind or 'run'} with this id", print_exception=False)
    return found


def checked(function: Callable) -> Callable:
    """The end point, for values of its own types only: what comes over the wire may be anything."""
    wanted = get_type_hints(function)

    @wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        given = signature(function).bind(*args, **kwargs)
        with said():
            for name, value in given.arguments.items():
                given.arguments[name] = _of_type(name, value, wanted[name])
        return function(*given.args, **given.kwargs)

    return call


def _of_type(name: str, value: object, wanted: type) -> object:
    if get_origin(wanted) is list and isinstance(value, list) and len(value) <= MOST_ITEMS:
        return [_of_type(name, each, get_args(wanted)[0]) for each in value]
    if wanted in (int, float) and type(value) in (int, float) and abs(value) <= 2**53 and (wanted is float or value == int(value)):
        return wanted(value)
    if type(value) is not wanted:
        kind = "a list of numbers" if get_origin(wanted) is list else WORDS[wanted]
        raise UserInputError(name, f"it is {str(value)[:40]!r}", f"give {kind}")
    return value
