"""The app's queue: one worker thread owns the device and supervises one child process at a time, the very command a user would type."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from ..choices import TRAINING
from ..errors import UserInputError
from ..files import write_atomic
from .execute import process_of
from .folder import RunFolder

OWNER = "owner"  # file of a run: whose it is
RUN_ID = re.compile(r"[0-9a-f]{32}")
BUSY = ("queued", "running", "stopping")
RESUMABLE = ("stopped", "interrupted", "failed")
GRACE = 20.0  # seconds between a stop request and the end of the child
DISK_NEEDED = 500 << 20  # bytes free before a run starts: its model, checkpoint and samples, with room to spare
PACKAGE_ROOT = str(Path(__file__).parents[2])


class Jobs:
    """First come, first served. `home` holds runs/<id>; TIW_HOME (default ~/.tiw) unless given.

    Only the first app on a home works there (`owner`); a second one shows its runs and refuses to start any.
    `command(run)` is the child's command line. Raises UserInputError for a home that cannot be written.
    """

    def __init__(self, home: str | Path | None = None, command: Callable[[RunFolder], list[str]] | None = None):
        home = Path(home or os.environ.get("TIW_HOME") or Path.home() / ".tiw").expanduser().resolve()
        self.folder = home / "runs"
        self._command = command or (lambda run: [sys.executable, "-m", "tiw", run.kind, "--out", str(run.path)])
        self._queue: list[str] = []
        self._current: tuple[str, subprocess.Popen] | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._lock = FileLock(home / "lock", timeout=0, thread_local=False)
        self._worker = threading.Thread(target=self._work, daemon=True, name="tiw-worker")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            self.owner = False
            return
        except OSError as error:
            raise UserInputError("TIW_HOME", f"{home} cannot be written ({error.strerror})", "set it to another folder") from error
        self.owner = True
        for run in self.runs():
            _interrupt(run)
        self._worker.start()
        atexit.register(self.close)

    def submit(self, kind: str, options: object, owner: str = "") -> str:
        """Queue a run; its id, at once. `owner` is kept beside it, for an app with several visitors. Raises UserInputError for bad
        options, a full disk, and where another app is the owner."""
        self._admit()
        run_id = secrets.token_hex(16)
        run = RunFolder.create(self.folder / run_id, kind, options)
        if owner:
            write_atomic(run.path / OWNER, owner.encode())
        self._enqueue(run_id)
        return run_id

    def open(self, run_id: str) -> RunFolder:
        """The run with this id. Raises UserInputError for what is no id, and for a run that is not there."""
        if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id) or not (self.folder / run_id / "config.json").is_file():
            raise UserInputError("run", f"there is no run {str(run_id)[:40]!r}", "choose one from the list")
        return RunFolder.open(self.folder / run_id)

    def runs(self) -> list[RunFolder]:
        """All runs that this version can read, newest first."""
        found = []
        for path in self.folder.iterdir():
            with suppress(UserInputError):
                found.append(self.open(path.name))
        return sorted(found, key=lambda run: run.status().get("created", ""), reverse=True)

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
        """A waiting run stops at once, a running one within its step; one that does not listen is ended after a grace period."""
        run = self.open(run_id)
        with self._changed:
            if run_id in self._queue:
                self._queue.remove(run_id)
                run.write_status(state="stopped", stage="Stopped")
            elif run.status().get("state") in BUSY:
                run.request_stop()

    def resume(self, run_id: str) -> None:
        """Queue a stopped, interrupted or failed run again; it goes on from its last checkpoint. Raises like `submit`."""
        self._admit()
        run = self.open(run_id)
        with self._changed:
            if run.status().get("state") in RESUMABLE:  # its child has said so, but may not have ended yet
                self._changed.wait_for(lambda: not self._is_current(run_id))
            if run.status().get("state") in RESUMABLE:  # still: a double click resumes once
                run.forget_stop()
                run.write_status(state="queued", stage="Waiting", message="", pid=None)
                self._enqueue(run_id)

    def delete(self, run_id: str) -> None:
        """End the run if need be and remove its folder. Raises UserInputError if it is another app's and at work, and if a run that has
        not finished goes on from it: from its ratio, or its model."""
        run = self.open(run_id)
        for other in self.runs():
            if str(run.path) in "\n".join(map(str, vars(other.options).values())) and _unfinished(other):
                found = f"a run of {other.kind} that has not finished needs it"
                raise UserInputError("run", found, "let that one finish, or delete it first")
        if not self.owner and run.status().get("state") in BUSY:
            self._admit()
        with self._changed:
            if run_id in self._queue:
                self._queue.remove(run_id)
            if self._is_current(run_id):
                _kill(self._current[1])
            self._changed.wait_for(lambda: not self._is_current(run_id))
            run.delete()

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
                child.wait(5)
            _kill(child)
        if self.owner:
            self._worker.join()
        self._lock.release()

    def _admit(self) -> None:
        if not self.owner:
            found = f"another TIW Studio is at work in {self.folder.parent}"
            raise UserInputError("TIW_HOME", found, "use that one, or close it and start this one again")
        free = shutil.disk_usage(self.folder).free
        if free < DISK_NEEDED:
            raise UserInputError("disk", f"{free >> 20} MB are free, a run needs {DISK_NEEDED >> 20} MB", "delete old runs")

    def _is_current(self, run_id: str) -> bool:
        return self._current is not None and self._current[0] == run_id

    def _enqueue(self, run_id: str) -> None:
        with self._changed:
            self._queue.append(run_id)
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                run_id = self._queue.pop(0)
                try:
                    run = self.open(run_id)
                    child = self._spawn(run)
                except (UserInputError, OSError):  # removed by hand, no memory for a process: the queue goes on
                    traceback.print_exc()
                    continue
                self._current = (run_id, child)
            _supervise(run, child)
            with self._changed:
                with suppress(OSError):  # a full disk must not end the worker
                    _close_account(run, child.returncode)
                self._current = None
                self._changed.notify_all()

    def _spawn(self, run: RunFolder) -> subprocess.Popen:
        paths = [PACKAGE_ROOT, os.environ.get("PYTHONPATH", "")]
        with (run.path / "log.txt").open("ab") as log:
            child = subprocess.Popen(
                self._command(run),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                start_new_session=True,  # Ctrl-C in the app's terminal is the app's; `close` then lets the child save its state
            )
        with suppress(psutil.Error, AttributeError, OSError):
            psutil.Process(child.pid).nice(5 if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)  # the page goes first
        return child


def _unfinished(run: RunFolder) -> bool:
    """Whether it works, waits or can be taken up again."""
    state = run.status().get("state")
    return state in BUSY or (state in RESUMABLE and run.kind in TRAINING)


def _supervise(run: RunFolder, child: subprocess.Popen) -> None:
    """Wait for the end of the child; end it when it has not listened to a stop for GRACE seconds."""
    while True:
        try:
            child.wait(0.5)
            return
        except subprocess.TimeoutExpired:
            with suppress(FileNotFoundError):
                if time.time() - (run.path / "stop").stat().st_mtime > GRACE:
                    _kill(child)


def _kill(child: subprocess.Popen) -> None:
    """End the child and whatever it has started."""
    if child.poll() is None:
        with suppress(psutil.Error):
            for process in [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)]:
                process.kill()


def _close_account(run: RunFolder, code: int) -> None:
    """A child that could not write its own end (killed, out of memory) gets a status from here."""
    if run.status().get("state") not in BUSY:
        return
    common = {"pid": None, "eta_seconds": None}
    if run.stop_requested():
        run.write_status(state="stopped", stage="Stopped", **common)
    elif code in (-signal.SIGTERM, -9):  # 9: SIGKILL, which Windows does not name
        message = "Its process was ended from outside, for lack of memory perhaps."
        run.write_status(state="interrupted", stage="Interrupted", message=message, **common)
    else:
        lines = (run.path / "log.txt").read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")
        run.write_status(state="failed", stage="Failed", message=f"Its process ended with code {code}: {last}", **common)


def _interrupt(run: RunFolder) -> None:
    """What an earlier app left unfinished is interrupted, and offers to be resumed; a child that it left alive is ended first."""
    if run.status().get("state") not in BUSY:
        return
    process = process_of(run)
    if process is not None:
        with suppress(psutil.Error):
            process.terminate()  # it may save its state
            try:
                process.wait(3)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(3)
    if run.status().get("state") in BUSY:
        message = "The app was closed while this run was not finished."
        run.write_status(state="interrupted", stage="Interrupted", message=message, pid=None, eta_seconds=None)
