"""The app's queue: one worker thread owns the device and supervises one child process at a time, the very command a user would type."""

from __future__ import annotations

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
from pathlib import Path

from .errors import UserInputError
from .options import validate
from .runs import RunFolder, Stopped, now

RUN_ID = re.compile(r"[0-9a-f]{32}")
BUSY = ("queued", "running", "stopping")
GRACE = 20.0  # seconds between a stop request and the end of the child
DISK_NEEDED = 500 << 20  # bytes free before a run starts: its model, checkpoint and samples, with room to spare


def execute(run: RunFolder) -> int:
    """Do a run's work in this process and leave its outcome in status.json; the command's exit code.

    0: finished, or stopped as asked; 2: the user's error, one sentence in `message`; 1: ours, with a traceback in the log.
    """
    from .commands import EXECUTE  # loads torch

    (run.path / "stop").unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: run.request_stop())
    run.write_status(state="running", stage="Starting", message="", pid=os.getpid(), started=now())
    began = time.monotonic()
    try:
        result = EXECUTE[run.kind](run, run.options)
        run.write_result({"seconds": time.monotonic() - began, **result})
    except Stopped:
        run.write_status(state="stopped", stage="Stopped", pid=None, eta_seconds=None)
        return 0
    except UserInputError as error:
        run.write_status(state="failed", stage="Failed", message=str(error), pid=None, eta_seconds=None)
        return 2
    except Exception as error:
        traceback.print_exc()
        run.write_status(state="failed", stage="Failed", message=_plainly(error), pid=None, eta_seconds=None)
        return 1
    run.write_status(state="finished", stage="Finished", pid=None, eta_seconds=None)
    return 0


def _plainly(error: Exception) -> str:
    if isinstance(error, FloatingPointError):
        return f"The training diverged: {error}."
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "There was not enough memory: use a smaller batch size or fewer images."
    if isinstance(error, OSError) and error.errno == 28:
        return "The disk is full: delete old runs and resume."
    return f"Something went wrong ({type(error).__name__}: {error}). The log in the run folder has the details."


class Jobs:
    """First come, first served. `home` holds runs/<id>; TIW_HOME (default ~/.tiw) unless given."""

    def __init__(self, home: str | Path | None = None, command: Callable[[RunFolder], list[str]] | None = None):
        home = Path(home or os.environ.get("TIW_HOME") or Path.home() / ".tiw").expanduser().resolve()
        self.folder = home / "runs"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._command = command or (lambda run: [sys.executable, "-m", "tiw", run.kind, "--out", str(run.path)])
        self._queue: list[str] = []
        self._current: tuple[str, subprocess.Popen] | None = None
        self._changed = threading.Condition()
        for run_id in self._ids():
            self._pick_up(run_id)
        threading.Thread(target=self._work, daemon=True, name="tiw-worker").start()

    def submit(self, kind: str, options: object) -> str:
        """Queue a run; its id, at once. Raises UserInputError for bad options or a full disk."""
        validate(kind, options)
        free = shutil.disk_usage(self.folder).free
        if free < DISK_NEEDED:
            raise UserInputError("disk", f"{free >> 20} MB are free, a run needs {DISK_NEEDED >> 20} MB", "delete old runs")
        run_id = secrets.token_hex(16)
        RunFolder.create(self.folder / run_id, kind, options)
        self._enqueue(run_id)
        return run_id

    def open(self, run_id: str) -> RunFolder:
        """The run with this id. Raises UserInputError for what is no id, and for a run that is not there."""
        if not RUN_ID.fullmatch(run_id or "") or not (self.folder / run_id / "config.json").is_file():
            raise UserInputError("run", f"there is no run {str(run_id)[:40]!r}", "choose one from the list")
        return RunFolder.open(self.folder / run_id)

    def runs(self) -> list[RunFolder]:
        """All runs, newest first."""
        found = [self.open(run_id) for run_id in self._ids()]
        return sorted(found, key=lambda run: run.status().get("created", ""), reverse=True)

    def position(self, run_id: str) -> int | None:
        """0: at work; 1: next; None: not waiting."""
        with self._changed:
            if self._current is not None and self._current[0] == run_id:
                return 0
            return self._queue.index(run_id) + 1 if run_id in self._queue else None

    def stop(self, run_id: str) -> None:
        """A waiting run stops at once, a running one within its step; one that does not listen is ended after a grace period."""
        run = self.open(run_id)
        with self._changed:
            if run_id in self._queue:
                self._queue.remove(run_id)
                run.write_status(state="stopped", stage="Stopped")
                return
            child = self._current[1] if self._current is not None and self._current[0] == run_id else None
        if child is not None and child.poll() is None:
            run.request_stop()
            run.write_status(state="stopping", stage="Stopping")
            threading.Timer(GRACE, child.kill).start()

    def resume(self, run_id: str) -> None:
        """Queue a stopped, interrupted or failed run again; it goes on from its last checkpoint."""
        run = self.open(run_id)
        if run.status().get("state") in ("stopped", "interrupted", "failed"):
            (run.path / "stop").unlink(missing_ok=True)
            run.write_status(state="queued", stage="Waiting", message="")
            self._enqueue(run_id)

    def delete(self, run_id: str) -> None:
        """Stop the run if need be and remove its folder."""
        run = self.open(run_id)
        self.stop(run_id)
        with self._changed:
            child = self._current[1] if self._current is not None and self._current[0] == run_id else None
        if child is not None:
            child.kill()
            child.wait()
        run.delete()

    def close(self) -> None:
        """End the child, if any; its run can be resumed."""
        with self._changed:
            child = None if self._current is None else self._current[1]
        if child is not None:
            child.terminate()

    def _ids(self) -> list[str]:
        return [p.name for p in self.folder.iterdir() if RUN_ID.fullmatch(p.name) and (p / "config.json").is_file()]

    def _enqueue(self, run_id: str) -> None:
        with self._changed:
            if run_id not in self._queue:
                self._queue.append(run_id)
                self._changed.notify()

    def _pick_up(self, run_id: str) -> None:
        """What an earlier app left behind: its unfinished runs are interrupted, and offer to be resumed."""
        run = self.open(run_id)
        status = run.status()
        if status.get("state") not in BUSY:
            return
        pid = status.get("pid")
        if pid and _is_ours(pid):
            os.kill(pid, signal.SIGKILL)
        run.write_status(state="interrupted", stage="Interrupted", message="The app was closed while this run was not finished.", pid=None)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                run_id = self._queue.pop(0)
                run = self.open(run_id)
                with (run.path / "log.txt").open("ab") as log:
                    child = subprocess.Popen(
                        self._command(run),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        cwd=Path(__file__).parents[1],
                        env={**os.environ, "TIW_CHILD": "1"},
                        preexec_fn=_lower_priority if os.name == "posix" else None,
                    )
                self._current = (run_id, child)
            child.wait()
            with self._changed:
                self._current = None
            if run.path.is_dir():
                self._close_account(run, child.returncode)

    @staticmethod
    def _close_account(run: RunFolder, code: int) -> None:
        """A child that could not write its own end (killed, out of memory) gets a status from here."""
        state = run.status().get("state")
        if state == "stopping":
            run.write_status(state="stopped", stage="Stopped", pid=None)
        elif state in BUSY:
            killed = code in (-signal.SIGKILL, 137)
            why = "Its process was ended from outside, for lack of memory perhaps." if killed else f"Its process ended with code {code}."
            run.write_status(state="interrupted" if killed else "failed", stage="Interrupted", message=why, pid=None)


def _lower_priority() -> None:
    os.nice(5)  # the page goes first


def _is_ours(pid: int) -> bool:
    try:
        return b"tiw" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
