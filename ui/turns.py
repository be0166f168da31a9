"""Strangers' sets are read by processes of their own, and these take turns: one for each visitor, few in all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tiw.data import Cancelled
from tiw.errors import UserInputError

from . import gate

LOOK = 0.1  # seconds between two looks whether there is a turn
WAITING = 4  # of one visitor; whoever waits keeps a thread of the page busy
_AT_WORK: list[str] = []  # whose sets are read
_IN_LINE: list[str] = []  # who waits
_LOCK = threading.Lock()


@contextmanager
def turn(role: str, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Wait for a turn to read a set, and give it back. A private app has no such bound.

    Raises Cancelled when `cancelled()` says so, and UserInputError for who waits as long as a set may take to be read, or too often.
    """
    if not gate.public():
        yield
        return
    who = gate.visitor()
    _wait(who, role, cancelled)
    try:
        yield
    finally:
        with _LOCK:
            _AT_WORK.remove(who)


def _wait(who: str, role: str, cancelled: Callable[[], bool]) -> None:
    end = time.monotonic() + gate.limits().reading
    with _LOCK:
        if _IN_LINE.count(who) >= WAITING:
            raise UserInputError(role, "several sets of yours wait to be read already", "wait for them, or cancel one")
        _IN_LINE.append(who)
    try:
        while not _taken(who):
            if cancelled():
                raise Cancelled
            if time.monotonic() > end:
                raise UserInputError(role, "this app reads as many sets as it can", "try again in a minute, or use the demo")
            time.sleep(LOOK)
    finally:
        with _LOCK:
            _IN_LINE.remove(who)


def _taken(who: str) -> bool:
    with _LOCK:
        free = who not in _AT_WORK and len(_AT_WORK) < gate.limits().readers
        _AT_WORK.extend([who] if free else [])
    return free
