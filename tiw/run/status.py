"""What a run's status.json may say: every field of its own type, whatever the file holds."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from ..files import Unreadable
from . import names

STATES = ("queued", "running", "stopping", "stopped", "finished", "failed", "interrupted")
BLANK = {
    **{"state": "queued", "stage": "", "done": 0, "total": 0, "eta_seconds": None, "message": "", "pid": None, "started": None},
    "saved": None,  # last step that a checkpoint holds
    "offers": None,  # options that would mend what a user's error says, by name
    "created": "",
    "updated": None,
}
LOST = {"state": "interrupted", "stage": "Interrupted", "pid": None, "eta_seconds": None}
NUMBERS, WORDS, TIMES = ("done", "total", "eta_seconds", "pid", "saved"), ("stage", "message"), ("created", "started", "updated")


def now() -> str:
    """Coordinated universal time, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def sound(raw: dict, path: Path) -> dict:
    """The fields of a status, each of its own type: what is not is as it was at first. Raises Unreadable without a state."""
    if raw.get("state") not in STATES:
        raise Unreadable(f"no run has the state {str(raw.get('state'))[:40]!r}")
    given = {key: raw[key] for key in BLANK if key in raw}
    for key in (*NUMBERS, *WORDS):
        kinds = str if key in WORDS else int | float
        value = given.get(key)
        if not isinstance(value, kinds) or isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
            given.pop(key, None)
    if not isinstance(given.get("offers"), dict):
        given.pop("offers", None)
    for key in TIMES:
        try:
            known = datetime.fromisoformat(given[key]).tzinfo is not None
        except (KeyError, TypeError, ValueError):
            known = False
        if not known:
            given.pop(key, None)
    return {**BLANK, "created": made(path), **given}


def made(path: Path) -> str:
    """When the run's config was written, for one that has lost its status."""
    with suppress(OSError):
        return datetime.fromtimestamp((path / names.CONFIG).stat().st_mtime, timezone.utc).isoformat(timespec="microseconds")
    return datetime.fromtimestamp(0, timezone.utc).isoformat(timespec="microseconds")
