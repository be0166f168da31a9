"""One child process of the app: started, let finish, ended where it hangs, and its account closed where it could not do so itself."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from ..choices import TRAINING
from ..files import sweep
from . import names
from .execute import APP
from .folder import RunFolder
from .index import BUSY

SILENCE = 60.0  # seconds without a sign of work after which a child that was asked to stop is ended; longer for one that is used to silence
OF_OTHERS = {names.STOP, names.ABOUT, names.OWNER}  # files of a run that its child does not write
BEHIND = 5  # niceness of a run: the page goes first
PACKAGE_ROOT = str(Path(__file__).parents[2])


def spawn(run: RunFolder, command: list[str]) -> subprocess.Popen:
    """Start `command` as the run's child: it writes to RUN/log.txt and ends with this process. Raises OSError where it cannot start."""
    paths = [PACKAGE_ROOT, os.environ.get("PYTHONPATH", "")]
    with (run.path / names.LOG).open("ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), APP: str(os.getpid())},
            start_new_session=True,  # Ctrl-C in the app's terminal is the app's; `close` then lets the child save its state
        )
    _after_the_page(child.pid)
    return child


def _after_the_page(pid: int) -> None:
    """Lower the child's priority. Where Linux shares the cores among sessions (autogroup), that of its session counts and not its own."""
    with suppress(psutil.Error, AttributeError, OSError):
        psutil.Process(pid).nice(BEHIND if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(BEHIND))


def supervise(run: RunFolder, child: subprocess.Popen, meanwhile: Callable[[], bool] = lambda: False, allowed: float = math.inf) -> float:
    """Wait for the end of the child. One that was asked to stop is let finish while it gives signs of work; ended when it has given none
    for SILENCE seconds since then, and for three times as long as it has been silent before. The seconds since then, else 0.

    meanwhile: called now and then; yes where the child has slept. allowed: seconds of being awake after which it is asked to stop."""
    signs, began, longest = None, time.monotonic(), 0.0
    seen = asked = began
    while True:
        try:
            child.wait(0.5)
            return 0.0
        except subprocess.TimeoutExpired:
            asleep = time.monotonic()
            if meanwhile():
                seen = time.monotonic()
                began += seen - asleep
            now, latest = time.monotonic(), _signs(run.path)
            if now - began > allowed:
                with suppress(OSError):  # a full disk
                    run.request_stop(f"It was stopped after {allowed / 60:g} minutes: no run may take longer here.")
            if not run.stop_requested():
                asked = now  # not before now
            if latest != signs:
                longest = 0.0 if signs is None else max(longest, now - seen)
                signs, seen = latest, now
            elif (silent := now - max(seen, asked)) > SILENCE and now - seen > 3 * longest:
                kill(child)
                child.wait()
                return silent


def _signs(folder: Path) -> list[tuple]:
    """What changes whenever the work in a run's folder gets on: a line, a status, a checkpoint that grows.

    A status counts by what it says: whoever asks for a stop touches it."""
    found = []
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                if entry.name == names.STATUS:
                    found.append((entry.name, Path(entry).read_bytes()))
                elif entry.name not in OF_OTHERS:
                    about = entry.stat()
                    found.append((entry.name, about.st_size, about.st_mtime_ns))
    return sorted(found)


def kill(process: subprocess.Popen | psutil.Process) -> None:
    """End the process and whatever it has started."""
    if isinstance(process, subprocess.Popen) and process.poll() is not None:
        return
    with suppress(psutil.Error):
        for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with suppress(psutil.Error):
                each.kill()
    if isinstance(process, psutil.Process):
        with suppress(psutil.Error):
            process.wait(5)


def suspend(process: subprocess.Popen | psutil.Process) -> None:
    """The process and whatever it has started sleep, and keep what they have in memory."""
    _to_all(process, psutil.Process.suspend)


def wake(process: subprocess.Popen | psutil.Process) -> None:
    """They go on where they were."""
    _to_all(process, psutil.Process.resume)


def _to_all(process: subprocess.Popen | psutil.Process, act: Callable[[psutil.Process], object]) -> None:
    with suppress(psutil.Error):
        for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            with suppress(psutil.Error):
                act(each)


def close_account(run: RunFolder, code: int, silent: float, closed: bool) -> None:
    """A child that could not write its own end (killed, out of memory) gets a status from here, which says what was lost."""
    sweep(run.path)
    if run.written_status()["state"] not in BUSY:
        return
    common = {"pid": None, "eta_seconds": None}
    if silent:
        message = f"It gave no sign for {silent:.0f} seconds after it was asked to stop, and was ended. {_lost(run)}"
        run.write_status(state="stopped", stage="Stopped", message=message, **common)
    elif run.stop_requested() or closed:
        run.write_status(state="stopped", stage="Stopped", message=f"It was ended before it could save its state. {_lost(run)}", **common)
    elif code in (-signal.SIGTERM, -9):  # 9: SIGKILL, which Windows does not name
        message = f"Its process was ended from outside, for lack of memory perhaps. {_lost(run)}"
        run.write_status(state="interrupted", stage="Interrupted", message=message, **common)
    else:
        lines = (run.path / names.LOG).read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")
        run.write_status(state="failed", stage="Failed", message=f"Its process ended with code {code}: {last}", **common)


def work_slice(run: RunFolder, work: Callable[[str], object]) -> bool:
    """Do `work(path)`, a slice of the run in a process that somebody else may end at its limit; whether another slice is wanted.

    A run that was ended goes on if it has kept something new. One that has not would never come to an end, and has failed.
    """
    before, said = _kept(run), ""
    try:
        work(str(run.path))
    except Exception as error:  # ended at its limit, or no more time for this visitor: whoever lends the processes has an error for each
        said = (str(error).splitlines() or [type(error).__name__])[0][:300]
    state = run.written_status()["state"]
    common = {"pid": None, "eta_seconds": None, "message": ""}
    ended = state in BUSY and (state != "queued" or not said)
    if ended and _kept(run) != before and not run.stop_asked():
        run.write_status(state="queued", stage="Waiting for its next slice of time", **common)
        return True
    if state == "queued" and said:
        later = "Resume" if run.kind in TRAINING else "Start"
        run.write_status(state="stopped", stage="Stopped", message=f"There was no time on the GPU for it ({said}). {later} it later.")
    elif state in BUSY and run.stop_asked():
        run.write_status(state="stopped", stage="Stopped", **common | {"message": _lost(run)})
    elif state in BUSY:
        message = "One slice of time on the GPU is too short for what it does. Ask for less: fewer images, samples or steps."
        run.write_status(state="failed", stage="Failed", **common | {"message": message})
    return False


def _kept(run: RunFolder) -> tuple:
    """What a run has that its next attempt need not do again."""
    stages = run.path / names.STAGES
    files = {entry.name for entry in os.scandir(run.path)} - {names.LOCK, names.LOG, names.STATUS}
    return run.written_status()["saved"], stages.read_bytes() if stages.is_file() else b"", files


def _lost(run: RunFolder) -> str:
    """What has to be done again."""
    if run.kind not in TRAINING:
        return "It has to be started again."
    saved = run.written_status()["saved"] or 0
    last = max((line["step"] for line in run.read_lines(names.STEPS, most=2) if isinstance(line.get("step"), int)), default=0)
    from_where = f"from its checkpoint of step {saved}" if saved else "from its first step"
    return f"Resumed, it goes on {from_where}" + (f"; {last - saved} steps are done again." if last > saved else ".")


def interrupt(run: RunFolder) -> None:
    """What an earlier app left unfinished is interrupted, and offers to be resumed. A child that still saves its state ends by itself."""
    if run.written_status()["state"] in BUSY and not run.at_work():
        sweep(run.path)
        message = f"The app was closed while this run was not finished. {_lost(run)}"
        run.write_status(state="interrupted", stage="Interrupted", message=message, pid=None, eta_seconds=None)
