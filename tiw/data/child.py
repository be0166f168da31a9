"""Reading images in a process of its own, with bounds on its memory and time: what a page does with files that strangers send.

The parent runs this file as `python -m tiw.data.child`; the child answers with lines of JSON and leaves the set in a folder, from which the
parent maps the pixels. The folder is a cache: the same images, asked for again, are mapped at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from filelock import FileLock, Timeout

from ..errors import UserInputError
from .demo import demo_path
from .estimate import source_stamp
from .image_set import FILE_COLUMNS, ImageSet
from .limits import Limits, in_words
from .load import load_images
from .memory import cache_folder
from .references import choose_references

PIXELS, TABLE, ABOUT = "pixels.npy", "table.parquet", "about.json"
CACHE_BYTES = 8 << 30  # of all sets kept; the longest unused go first
OVERHEAD = 1 << 30  # bytes of address space of a Python with its libraries before it reads anything; 0.6 GiB seen
WAIT = 0.1  # seconds between looks at the child
STALLED = 60.0  # seconds without work after which a child is given up: one that ran out of memory may wait for ever
COMMAND = (sys.executable, "-W", "ignore", "-m", "tiw.data.child")


class Cancelled(Exception):  # noqa: N818  (asked for, no error)
    """The work was stopped because nobody waits for it any more."""


def load_in_child(
    path: str,
    role: str,
    references: int = 0,
    resolution: int = 0,
    skip_bad: bool = False,
    *,
    limits: Limits,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
    turn: Callable[[str, Callable[[], bool]], AbstractContextManager] = lambda role, cancelled: nullcontext(),
) -> ImageSet:
    """As `load_set`, but decoded by another process that cannot take more memory or time than `limits` allow, and kept for the next time.

    Who asks for a set that another thread or process is reading waits for it. on_progress: called with (images read, images). cancelled:
    asked ten times a second; Cancelled is raised when it says so. turn: called with (role, cancelled) where the set must be read first, and
    entered until it is. Raises UserInputError as `load_images` does, and for what is too costly.
    """
    source = str(demo_path(role)) if path == "demo" else path
    wanted = {"path": source, "resolution": resolution, "skip_bad": skip_bad, "field": role, "limits": asdict(limits)}
    key = hashlib.sha256(json.dumps([FILE_COLUMNS, wanted, source_stamp(source, role)], sort_keys=True).encode()).hexdigest()[:32]
    home = cache_folder() / "sets"
    home.mkdir(parents=True, exist_ok=True)
    folder = home / key
    if not (folder / ABOUT).is_file():
        with turn(role, cancelled):
            _read_once(folder, wanted, limits, role, on_progress, cancelled)
    os.utime(folder / ABOUT)
    images = _mapped(folder)
    if path == "demo":
        images = replace(images, name=f"demo {role}")
    return choose_references(images, references)


def _read_once(
    folder: Path, wanted: dict, limits: Limits, role: str, on_progress: Callable[[int, int], None], cancelled: Callable[[], bool]
) -> None:
    """Have a child read the set, or wait for whoever has begun to."""
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    while not (folder / ABOUT).is_file():
        if cancelled():
            raise Cancelled
        try:
            with lock.acquire(timeout=WAIT):
                if not (folder / ABOUT).is_file():
                    _make_room(folder.parent, keep=folder.name)
                    _run(folder, wanted, limits, role, on_progress, cancelled)
        except Timeout:
            continue


def _run(
    folder: Path, wanted: dict, limits: Limits, role: str, on_progress: Callable[[int, int], None], cancelled: Callable[[], bool]
) -> None:
    """Start the child, pass on its progress, and move what it has made to `folder`."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".reading-") as made:
        environment = {**os.environ, "TIW_HOME": made, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
        root = str(Path(__file__).parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
        with (
            open(os.path.join(made, "errors.txt"), "wb") as errors,
            subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True) as child,
        ):
            said: dict = {}
            try:
                child.stdin.write(json.dumps({**wanted, "out": made}))
                child.stdin.close()
                listener = threading.Thread(target=_listen, args=(child, said), daemon=True)
                listener.start()
                _watch(child, said, limits, role, on_progress, cancelled)
                listener.join(5)
            finally:
                child.kill()
        if "problem" in said:
            raise UserInputError(**said["problem"])
        if child.returncode or not said.get("ready"):
            found = f"reading it took more than {in_words(limits.memory)} of memory, or broke off"
            raise UserInputError(role, found, "give fewer or smaller images")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(os.path.join(made, "set"), folder)


def _listen(child: subprocess.Popen, said: dict) -> None:
    for line in child.stdout:
        said.update(json.loads(line))


def _watch(
    child: subprocess.Popen,
    said: dict,
    limits: Limits,
    role: str,
    on_progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> None:
    """Return when the child has ended or stands still. Raises Cancelled, and UserInputError when its time is over."""
    start, last = time.monotonic(), None
    worked, work = start, None
    while child.poll() is None:
        if (now := _work(child.pid)) != work:
            worked, work = time.monotonic(), now
        elif time.monotonic() - worked > STALLED:
            return
        if cancelled():
            raise Cancelled
        if time.monotonic() - start > limits.seconds:
            raise UserInputError(role, f"reading it took more than {limits.seconds:g} seconds", "give fewer or smaller images")
        if (now := said.get("progress")) != last:
            on_progress(*now)
            last = now
        time.sleep(WAIT)


def _work(pid: int) -> tuple[float, int]:
    """Seconds that a process has worked and the reads that it has made so far: both stand still where it does."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        read = process.io_counters().read_count if hasattr(process, "io_counters") else 0  # macOS does not count them
    except psutil.Error:
        return 0.0, 0
    return times.user + times.system, read


def _mapped(folder: Path) -> ImageSet:
    """The set that lies in a folder; its pixels are mapped, and a change to them stays in memory."""
    about, table = json.loads((folder / ABOUT).read_text()), pd.read_parquet(folder / TABLE)
    files = table[list(FILE_COLUMNS)] if about.pop("files") else None
    columns = about.pop("columns")
    attributes = table[[f"label {k}" for k in range(len(columns))]].set_axis(columns, axis=1) if columns else None
    texts = {name: tuple(about.pop(name)) for name in ("skipped", "notes")}
    pixels = np.load(folder / PIXELS, mmap_mode="c")
    return ImageSet(pixels, attributes, files=files, sources=table["source"].to_numpy(object), **texts, **about)


def _keep(folder: Path, images: ImageSet) -> None:
    """Leave the set in a folder, as `_mapped` reads it; its columns are numbered, so that labels may be called anything."""
    folder.mkdir()
    np.save(folder / PIXELS, images.images)
    columns = [] if images.attributes is None else list(images.attributes)
    table = pd.DataFrame({"source": images.sources})
    if images.files is not None:
        table = table.join(images.files)
    for k, name in enumerate(columns):
        table[f"label {k}"] = images.attributes[name].to_numpy(object)
    table.to_parquet(folder / TABLE, index=False)
    said = {"name": images.name, "revision": images.revision, "skipped": images.skipped, "notes": images.notes}
    (folder / ABOUT).write_text(json.dumps({**said, "columns": columns, "files": images.files is not None}))


def _make_room(home: Path, keep: str) -> None:
    """Remove the sets that were not used for longest while all take more than CACHE_BYTES; who has one mapped keeps its pixels."""
    sets = [folder for folder in home.iterdir() if (folder / ABOUT).is_file() and folder.name != keep]
    sets.sort(key=lambda folder: (folder / ABOUT).stat().st_mtime)
    total = sum((folder / PIXELS).stat().st_size for folder in sets)
    for folder in sets:
        if total <= CACHE_BYTES:
            return
        total -= (folder / PIXELS).stat().st_size
        _remove(folder)


def forget_sets(unused_since: float) -> None:
    """Remove the sets that nobody has asked for since this time (seconds since 1970): their images may have been deleted on purpose."""
    home = cache_folder() / "sets"
    for about in home.glob(f"*/{ABOUT}"):
        if about.stat().st_mtime < unused_since:
            _remove(about.parent)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)


def _limit(limits: Limits) -> None:
    """Bind this process; where the system has no such bounds, the parent's clock is the only one."""
    try:
        import resource
    except ImportError:
        return
    room = limits.memory + OVERHEAD + (0 if limits.result_bytes == float("inf") else int(limits.result_bytes))
    seconds = int(limits.seconds) * 4  # of all threads together
    for what, value in ((resource.RLIMIT_AS, room), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def _main() -> int:
    """The child: one set, asked for on standard input."""
    wanted = json.load(sys.stdin)
    limits = Limits(**wanted.pop("limits"))
    out = Path(wanted.pop("out"))
    _limit(limits)
    last = 0.0

    def say(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > WAIT or done == total:
            last = time.monotonic()
            print(json.dumps({"progress": [done, total]}), flush=True)

    try:
        images = load_images(wanted.pop("path"), wanted.pop("resolution"), limits=limits, on_progress=say, **wanted)
        _keep(out / "set", images)
    except UserInputError as problem:
        print(json.dumps({"problem": {name: getattr(problem, name) for name in ("field", "found", "fix", "offers")}}), flush=True)
        return 0
    print(json.dumps({"ready": True}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
