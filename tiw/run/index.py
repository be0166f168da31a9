"""All runs of a folder, kept in memory: what a look costs does not grow with the number of runs ever made, and a look writes nothing.

Whoever makes or deletes a run changes the time stamp of the folder that holds them, so one look at that tells whether a run has come or
gone. Of the others only those that wait or work can change; what another process takes up again is seen at the next whole reading.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..choices import TRAINING
from ..errors import UserInputError
from . import names
from .folder import RunFolder

UNREADABLE = "unreadable"  # the kind of a folder that holds no run which this version can read
BUSY = ("queued", "running", "stopping")
RESUMABLE = ("stopped", "interrupted", "failed")
WHOLE_SECONDS = 30.0  # between two readings of all runs at most
SETTLED_SECONDS = 2.0  # a time stamp so old will be another one at the next change
STAMPED = (names.CONFIG, names.OWNER, names.STATUS, names.STOP, names.RESULT, names.ABOUT)


@dataclass(frozen=True)
class RunSummary:
    """What a list shows of one run. `status` has state, stage, done, total, eta_seconds, message, created, started, updated, saved."""

    id: str
    path: Path
    kind: str  # of tiw.run.options.OPTIONS, or UNREADABLE
    options: object | None  # None: unreadable
    status: dict
    has_result: bool
    name: str = ""
    note: str = ""
    owner: str = ""  # whose it is, in an app with several visitors

    @property
    def state(self) -> str:
        return self.status["state"]

    @property
    def busy(self) -> bool:
        return self.state in BUSY

    @property
    def unfinished(self) -> bool:
        """Whether it works, waits or can be taken up again."""
        return self.busy or (self.state in RESUMABLE and self.kind in TRAINING)

    @property
    def readable(self) -> bool:
        return self.kind != UNREADABLE


class RunIndex:
    """The runs in `folder` whose names `is_id`. `waits(id)` says whether a queued run really waits for somebody to begin it."""

    def __init__(self, folder: Path, is_id: Callable[[str], object], waits: Callable[[str], bool] = lambda _: True):
        self.folder, self._is_id, self._waits = folder, is_id, waits
        self._lock = threading.RLock()
        self._known: dict[str, tuple[tuple, RunSummary]] = {}
        self._sizes: dict[str, tuple[object, int]] = {}
        self._busy: set[str] = set()
        self._listing: tuple[RunSummary, ...] | None = None  # made when asked for
        self._version = 0
        self._stamp, self._stamp_read, self._all_read = 0, 0.0, float("-inf")  # of the folder, its reading's date, a clock

    def listing(self) -> tuple[RunSummary, ...]:
        """All runs, newest first."""
        with self._lock:
            self._refresh()
            if self._listing is None:
                runs = (run for _, run in self._known.values())
                self._listing = tuple(sorted(runs, key=lambda run: (run.status["created"], run.id), reverse=True))
            return self._listing

    def version(self) -> int:
        """Changes when a run comes, goes, begins, ends, or gets a result or another name; not with its progress."""
        with self._lock:
            self._refresh()
            return self._version

    def get(self, run_id: str) -> RunSummary | None:
        """One run as it is now; None where there is none."""
        with self._lock:
            self._read(run_id)
            return self._known[run_id][1] if run_id in self._known else None

    def size(self, run_id: str) -> int:
        """Bytes on the disk, counted once after its last change."""
        run = self.get(run_id)
        if run is None:
            return 0
        mark = (run.state, run.status["updated"] if not run.busy else int(time.monotonic() / 10))
        with self._lock:
            kept, size = self._sizes.get(run_id, (None, 0))
        if kept != mark:
            size = RunFolder(run.path, run.kind, run.options).disk_bytes()
            with self._lock:
                self._sizes[run_id] = (mark, size)
        return size

    def _refresh(self) -> None:
        changed, clock = stamp(self.folder), time.monotonic()
        settled = self._stamp_read - self._stamp / 1e9 > SETTLED_SECONDS  # if not, a later change may have the same stamp
        if clock - self._all_read > WHOLE_SECONDS:
            self._all_read = clock
            again = self._there() | set(self._known)
        elif changed != self._stamp or not settled:
            again = (self._there() ^ set(self._known)) | self._busy
        else:
            again = set(self._busy)
        self._stamp, self._stamp_read = changed, time.time()
        for run_id in again:
            self._read(run_id)

    def _there(self) -> set[str]:
        with suppress(OSError):  # the disk is not there at the moment
            return {entry.name for entry in os.scandir(self.folder) if self._is_id(entry.name)}
        return set()

    def _read(self, run_id: str) -> None:
        path = self.folder / run_id
        before = self._known.get(run_id)
        key = tuple(_mark(path / name) for name in STAMPED)
        if not any(key) and not path.is_dir():
            if before is not None:
                del self._known[run_id]
                self._busy.discard(run_id)
                self._sizes.pop(run_id, None)
                self._listing, self._version = None, self._version + 1
            return
        # An interrupted run may be at work by now: its process holds a lock before it writes a word.
        if before is not None and before[0] == key and before[1].state not in (*BUSY, "interrupted"):
            return
        run = self._summary(run_id, path, before[1] if before is not None and before[0][0] == key[0] else None)
        self._known[run_id] = (key, run)
        (self._busy.add if run.busy else self._busy.discard)(run_id)
        if before is None or before[1] != run:
            self._listing = None
        if before is None or _shown(before[1]) != _shown(run):
            self._version += 1

    def _summary(self, run_id: str, path: Path, before: RunSummary | None) -> RunSummary:
        try:  # a config is written once
            folder = RunFolder.open(path) if before is None or not before.readable else RunFolder(path, before.kind, before.options)
        except UserInputError as error:
            folder = RunFolder(path, UNREADABLE, None)
            status = {**folder.status(), "state": "failed", "stage": "Unreadable", "message": f"{error.found}."}
        else:
            status = folder.status()
            if status["state"] == "queued" and not self._waits(run_id):
                message = "The app was closed while this run was waiting."
                status = {**status, "state": "interrupted", "stage": "Interrupted", "message": message}
        status.pop("pid")
        return RunSummary(run_id, path, folder.kind, folder.options, status, (path / names.RESULT).is_file(), *folder.about(), _owner(path))


def _owner(path: Path) -> str:
    with suppress(OSError, UnicodeError):
        return (path / names.OWNER).read_text(encoding="utf-8")
    return ""


def _shown(run: RunSummary) -> tuple:
    return run.kind, run.state, run.has_result, run.name, run.note


def _mark(path: Path) -> tuple[int, ...]:
    """Another one after every change: a file written anew has another number, even where the clock has not gone on."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def stamp(path: Path) -> int:
    """Time of the last change in nanoseconds; 0 where there is nothing."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
