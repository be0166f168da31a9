"""The app's queue: one worker thread owns the device and supervises one child process at a time, the very command a user would type."""

from __future__ import annotations

import atexit
import math
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import UserInputError
from ..files import write_atomic
from . import names
from .execute import process_of
from .folder import RunFolder, remove
from .index import BUSY, RESUMABLE, RunIndex, RunSummary
from .needed import needed_by
from .supervise import close_account, interrupt, kill, spawn, supervise, suspend, wake, work_slice

RUN_ID = re.compile(r"[0-9a-f]{32}")
QUICK, WITH_EXTRAS = ("preview",), ("audit",)  # kinds of run: those that may pass, and those that let them once their result is there
CLOSING = 30.0  # seconds that a closing app waits for its child to save its state
DISK_NEEDED = 500 << 20  # bytes free before a run starts: its model, checkpoint and samples, with room to spare


class Jobs:
    """First come, first served. `home` holds runs/<id>; TIW_HOME (default ~/.tiw) unless given.

    Only one app on a home works there (`owner`); another shows its runs, and takes over once the first is gone and it is asked to work.
    `command(run)` is the child's command line. Without `worker` nothing is worked off but by
    `work_on`. A run that has worked for `allowed()` minutes is stopped. Raises UserInputError for a home that cannot be written.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        command: Callable[[RunFolder], list[str]] | None = None,
        worker: bool = True,
        allowed: Callable[[], float] = lambda: math.inf,
    ):
        home = Path(home or os.environ.get("TIW_HOME") or Path.home() / ".tiw").expanduser().resolve()
        self.folder = home / "runs"
        self.index = RunIndex(self.folder, RUN_ID.fullmatch, self._waits)
        self.owner = False
        self._allowed = allowed
        self._command = command or (lambda run: [sys.executable, "-m", "tiw", run.kind, "--out", str(run.path)])
        self._queue: list[str] = []
        self._current: tuple[str, subprocess.Popen | None] | None = None  # None: a slice, in a process of somebody else's
        self._changed = threading.Condition()
        self._closed = False
        self._lock = FileLock(home / "lock", timeout=0, thread_local=False)
        self._worker = threading.Thread(target=self._work, daemon=True, name="tiw-worker") if worker else None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_over()
        except OSError as error:
            raise UserInputError("TIW_HOME", f"{home} cannot be written ({error.strerror})", "set it to another folder") from error

    def submit(self, kind: str, options: object, owner: str = "", name: str = "", note: str = "") -> str:
        """Queue a run; its id, at once. `owner` is kept beside it, for an app with several visitors. Raises UserInputError for bad
        options, a full disk, and where another app is the owner."""
        self._admit()
        run_id = secrets.token_hex(16)
        with self._changed:  # waits before it is there, so that nobody sees it abandoned
            self._queue.append(run_id)
            try:
                run = RunFolder.create(self.folder / run_id, kind, options)
                if owner:
                    write_atomic(run.path / names.OWNER, owner.encode())
                if name or note:
                    run.describe(name, note)
            except BaseException:
                self._queue.remove(run_id)
                raise
            self._changed.notify_all()
        return run_id

    def open(self, run_id: str) -> RunFolder:
        """The run with this id. Raises UserInputError for anything but an id, and for a run that is not there or cannot be read."""
        return RunFolder.open(self._path(run_id))

    def runs(self) -> list[RunFolder]:
        """All runs that this version can read, newest first."""
        return [RunFolder(run.path, run.kind, run.options) for run in self.index.listing() if run.readable]

    def listing(self) -> tuple[RunSummary, ...]:
        """All runs, newest first, those that cannot be read too; cheap however many there are."""
        return self.index.listing()

    def summary(self, run_id: str) -> RunSummary | None:
        """One run as it is now, cheaply; None for anything but the id of a run that is there."""
        return self.index.get(run_id) if isinstance(run_id, str) and RUN_ID.fullmatch(run_id) else None

    def position(self, run_id: str) -> int | None:
        """0: at work; 1: next; None: not waiting."""
        with self._changed:
            if self._is_current(run_id):
                return 0
            return self._queue.index(run_id) + 1 if run_id in self._queue else None

    def at_work(self) -> list[str]:
        """The run at work, if there is one, then those that wait, in their order."""
        with self._changed:
            return [*([] if self._current is None else [self._current[0]]), *self._queue]

    def stop(self, run_id: str) -> None:
        """A waiting run stops at once, a running one within its step, however long that takes; one that gives no sign is ended."""
        run = self.open(run_id)
        with self._changed:
            if run_id in self._queue:
                self._queue.remove(run_id)
                with suppress(OSError):  # a full disk: not in the queue, it counts as interrupted
                    run.write_status(state="stopped", stage="Stopped")
            elif self._state(run_id) in BUSY:
                run.request_stop()

    def resume(self, run_id: str) -> None:
        """Queue a stopped, interrupted or failed run again; it goes on from its last checkpoint. Raises like `submit`."""
        self._admit()
        run = self.open(run_id)
        with self._changed:
            if self._state(run_id) in RESUMABLE:  # its child has said so, but may not have ended yet
                self._changed.wait_for(lambda: not self._is_current(run_id))
            if self._state(run_id) in RESUMABLE:  # still: a double click resumes once
                self._queue.append(run_id)
                try:
                    run.forget_stop()
                    run.write_status(state="queued", stage="Waiting", message="", pid=None)
                except BaseException:
                    self._queue.remove(run_id)
                    raise
                self._changed.notify_all()

    def delete(self, run_id: str) -> None:
        """Remove a run's folder, of one that cannot be read too; a running one is ended first. Raises UserInputError where a run that has
        not finished goes on from it: from its ratio, or its model."""
        path = self._path(run_id)
        for other in self.needed_by(path):
            if other.unfinished:
                found = f"a run of {other.kind} that has not finished needs it"
                raise UserInputError("run", found, "let that one finish, or delete it first")
        if not self.owner and self._state(run_id) in BUSY:
            self._admit()
        with self._changed:
            if run_id in self._queue:
                self._queue.remove(run_id)
            if self._is_current(run_id):
                child = self._current[1]
                kill(child) if child is not None else self.open(run_id).request_stop()
            self._changed.wait_for(lambda: not self._is_current(run_id))
            if (stranger := process_of(RunFolder(path, "", None))) is not None:
                kill(stranger)
            remove(path)

    def work_on(self, run_id: str, work: Callable[[str], object]) -> bool:
        """One slice of a waiting run: `work(path of its folder)`, which may be ended at any time. Afterwards the run has ended or waits for
        its next slice behind all others. Whether there was anything to do: only one run is at work at a time."""
        with self._changed:
            if not self.owner or self._closed or self._current is not None or run_id not in self._queue:
                return False
            self._queue.remove(run_id)
            self._current = (run_id, None)
        again = False
        try:
            run = self.open(run_id)
            again = work_slice(run, work)
        finally:
            with self._changed:
                self._current = None
                if again:
                    self._queue.append(run_id)
                self._changed.notify_all()
        return True

    def needed_by(self, path: str | Path) -> list[RunSummary]:
        """The runs whose options name `path` or something in it: a set, a model, an audit, or a list of rows of such a set."""
        return needed_by(self.listing(), Path(path))

    def close(self) -> None:
        """Stop working: the child saves its state and ends, waiting runs stay where they are; both can be resumed by the next app."""
        atexit.unregister(self.close)
        with self._changed:
            self._closed = True
            child = None if self._current is None else self._current[1]
            self._changed.notify_all()
        if child is not None:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(CLOSING)
            kill(child)
        if self.owner and self._worker is not None:
            self._worker.join()
        self._lock.release()

    def _path(self, run_id: str) -> Path:
        if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id) or not (self.folder / run_id).is_dir():
            raise UserInputError("run", f"there is no run {str(run_id)[:40]!r}", "choose one from the list")
        return self.folder / run_id

    def _state(self, run_id: str) -> str:
        run = self.index.get(run_id)
        return "" if run is None else run.state

    def _take_over(self) -> None:
        """Become the owner, where no other app is."""
        with suppress(Timeout):
            self._lock.acquire()
            self.owner = True
            for gone in self.folder.glob(".deleted-*"):
                shutil.rmtree(gone, ignore_errors=True)
            for run in self.runs():
                if (orphan := process_of(run)) is not None:
                    wake(orphan)  # one that slept when its app was ended
                with suppress(OSError):  # a full disk: the index knows what is abandoned
                    interrupt(run)
            if self._worker is not None:
                self._worker.start()
            atexit.register(self.close)

    def _admit(self) -> None:
        if not self.owner:
            self._take_over()
        if not self.owner:
            found = f"another TIW Studio is at work in {self.folder.parent}"
            raise UserInputError("TIW_HOME", found, "use that one, or close it and try again")
        free = shutil.disk_usage(self.folder).free
        if free < DISK_NEEDED:
            raise UserInputError("disk", f"{free >> 20} MB are free, a run needs {DISK_NEEDED >> 20} MB", "delete old runs")

    def _waits(self, run_id: str) -> bool:
        """Whether a queued run is in somebody's queue. Takes no lock: the index asks, in the middle of its own."""
        return not self.owner or run_id in self._queue or self._is_current(run_id)

    def _is_current(self, run_id: str) -> bool:
        current = self._current
        return current is not None and current[0] == run_id

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                begun = self._begin(self._queue[0])
            if begun is not None:
                self._finish(*begun)

    def _begin(self, run_id: str) -> tuple[RunFolder, subprocess.Popen] | None:
        """Start the first run that waits; None where it cannot be."""
        try:
            run = self.open(run_id)
            child = spawn(run, self._command(run))
            self._current = (run_id, child)
            return run, child
        except UserInputError:  # removed by hand
            traceback.print_exc()
        except Exception as error:  # no memory for a process, no file descriptor, no disk: the queue goes on
            with suppress(OSError):
                run.write_status(state="failed", stage="Failed", message=f"Its process could not be started ({error}).")
        finally:
            self._queue.remove(run_id)
        return None

    def _finish(self, run: RunFolder, child: subprocess.Popen) -> None:
        """Wait for the end of a run's child, and close its account."""
        silent = supervise(run, child, lambda: self._let_pass(run, child), 60 * self._allowed())
        with self._changed:
            with suppress(OSError):  # a full disk must not end the worker
                close_account(run, child.returncode, silent, self._closed)
            self._current = None
            self._changed.notify_all()

    def _let_pass(self, run: RunFolder, child: subprocess.Popen) -> bool:
        """A run that takes seconds does not wait for the extras of an audit whose result is there: its child sleeps meanwhile."""
        with self._changed:
            first = self.index.get(self._queue[0]) if self._queue and not self._closed and run.kind in WITH_EXTRAS else None
            if first is None or first.kind not in QUICK or run.result() is None:
                return False
            suspend(child)
            begun, current = self._begin(first.id), self._current
        try:
            if begun is not None:
                self._finish(*begun)
        finally:
            with self._changed:
                self._current = current if begun is None else (run.path.name, child)
                wake(child)
                if self._closed:
                    child.terminate()
        return True
