"""One run, done in this process: its work, its stop, and an outcome in status.json whatever happens."""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import psutil
from filelock import FileLock, Timeout

from ..choices import TRAINING
from ..errors import UserInputError
from ..files import sweep
from ..model import processes
from . import folder, names
from .folder import RunFolder, Stopped, now

APP = "TIW_APP"  # environment variable: the app's process, with which this one ends
IN_SLICES = (*TRAINING, "audit")  # kinds of run that keep what they have done when they stop
LAST_WORDS = 10.0  # seconds that a run has to save its state once its app is gone


def execute(run: RunFolder, seconds: float = math.inf) -> int:
    """Do a run's work in this process and leave its outcome in status.json; the command's exit code.

    seconds: a slice of time. Work that can be taken up again (`IN_SLICES`) saves its state when it is over, and the run is `queued` for
    its next one.
    0: finished, or stopped as asked; 2: the user's error, one sentence in `message`; 1: ours, with a traceback in the log.
    A run that has finished is left as it is. Raises UserInputError if another process is at work on it.
    """
    if replace(run, path=run.shared).status()["state"] == "finished":  # for each of several processes: none may wait for the others
        return 0
    with _at_work(run):
        if run.status()["state"] != "queued":  # a stop asked for while waiting counts, one left by an earlier attempt does not
            run.forget_stop()
        try:
            sweep(run.path)
            run.write_status(state="running", stage="Starting", done=0, total=0, message="", pid=os.getpid(), started=now())
        except OSError as error:
            raise UserInputError(
                "out", f"{run.path} cannot be written ({error.strerror})", "make room, or choose another folder"
            ) from error
        _end_with_app(run)
        with _stop_on_signals(run), _slice(seconds if run.kind in IN_SLICES else math.inf):
            code, outcome = _attempt(run)
            try:
                run.write_status(**outcome, pid=None, eta_seconds=None)
            except OSError:  # a full disk; that no process is at work any more tells the rest
                print(outcome.get("message", ""), file=sys.stderr)
    return code


@contextmanager
def _at_work(run: RunFolder) -> Iterator[None]:
    """Holds the run's lock. Raises UserInputError where another process does, or where the folder cannot be written."""
    lock = FileLock(run.path / names.LOCK, timeout=1)  # those who only look hold it for a moment
    try:
        lock.acquire()
    except Timeout:
        pid = run.status()["pid"]
        raise UserInputError("out", f"process {pid} is at work in {run.path}", "wait for it, or choose another folder") from None
    except OSError as error:
        raise UserInputError("out", f"{run.path} cannot be written ({error.strerror})", "make room, or choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def _end_with_app(run: RunFolder) -> None:
    """A child of the app does not outlive it: when the app is gone, the run is asked to stop, and ended after LAST_WORDS."""
    app = os.environ.pop(APP, "")  # not for this one's own children
    if not app:
        return

    def watch() -> None:
        with suppress(psutil.Error):
            parent = psutil.Process(int(app))
            while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
                time.sleep(1)
        with suppress(OSError):
            run.request_stop("The app was closed or ended while it worked.")
        time.sleep(LAST_WORDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="tiw-watch").start()


def _attempt(run: RunFolder) -> tuple[int, dict]:
    """Exit code and the status that goes with it."""
    try:
        from ..model.opening import FETCHED
        from .actions import EXECUTE  # loads torch

        if run.stop_asked():
            raise Stopped
        found = EXECUTE[run.kind](run, run.options)
        fetched = {"hub_models": dict(FETCHED)} if FETCHED else {}
        run.write_result({**found, **fetched})
    except (Stopped, processes.FirstEnded):
        if time.monotonic() > folder.SLICE_ENDS and not run.stop_asked():
            return 0, {"state": "queued", "stage": "Waiting for its next slice of time"}
        return 0, {"state": "stopped", "stage": "Stopped", "message": run.stop_reason()}
    except UserInputError as error:
        return 2, {"state": "failed", "stage": "Failed", "message": str(error), "offers": error.offers}
    except Exception as error:
        with suppress(OSError), (run.shared / names.LOG).open("a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        return 1, {"state": "failed", "stage": "Failed", "message": _plainly(error)}
    return 0, {"state": "finished", "stage": "Finished"}


def _plainly(error: Exception) -> str:
    said = (str(error).splitlines() or [""])[0][:300]
    if isinstance(error, FloatingPointError):
        kept = "Its last checkpoint is kept, but would lead there again: start a new run with a lower learning rate."
        return f"The training diverged: {said}. {kept}"
    if isinstance(error, MemoryError) or re.search("out of memory|can't allocate memory", said):
        return "There was not enough memory. Use fewer images, or a smaller batch_size where there is one."
    full = "No space left|quota exceeded|File too large|unexpected pos"  # the last: torch's words for a file that was cut off
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or re.search(full, said):
        return "The disk is full: delete old runs, then start this one again; training goes on from its last checkpoint."
    if re.search("Connection (closed|reset) by peer", said):  # gloo's words
        return "Another process of this run has ended. log.txt in the run folder has the details."
    return f"Something went wrong ({type(error).__name__}: {said}). log.txt in the run folder has the details."


@contextmanager
def _slice(seconds: float) -> Iterator[None]:
    """Every `stop_requested` of this process says yes once the seconds are over."""
    folder.SLICE_ENDS = time.monotonic() + seconds
    try:
        yield
    finally:
        folder.SLICE_ENDS = math.inf


@contextmanager
def _stop_on_signals(run: RunFolder) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the run to save its state and stop; a second Ctrl-C ends it at once.

    Who ends a job signals its launcher and its processes, and the launcher passes its own on: what comes twice within a second was meant
    once, and SIGTERM again changes nothing. Only the main thread hears signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[float] = []

    def ask(number: int, _frame: object) -> None:
        run.request_stop()
        if number == signal.SIGINT and asked and time.monotonic() - asked[0] > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if not asked:
            print("\nStopping after this step; Ctrl-C once more to end at once.", file=sys.stderr)
            asked.append(time.monotonic())

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def process_of(run: RunFolder) -> psutil.Process | None:
    """The other process that works on the run, where it is one of this machine's."""
    pid = run.status()["pid"] if run.at_work() else None
    with suppress(psutil.Error):
        return psutil.Process(pid) if pid and pid != os.getpid() else None
    return None
