"""What happens when something breaks: fault, expected, seen. Writes benchmarks/results/faults.json.

    python benchmarks/faults.py            # all of them, or those that are named: full_disk kill_app

The smallest network is trained on small images by the app as it is served; every fault is made from outside, as it would come.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from conftest import blobs  # noqa: E402
from pages import as_table  # noqa: E402
from served import APP, Visitor, studio  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "faults.json"
ENDED = ("finished", "failed", "stopped", "interrupted")
# The same app, whose run's process can write no file beyond a size: what a full disk or a quota looks like from within.
SMALL_DISK = APP.replace("app.main()", "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST)); app.main()")


def main() -> None:
    every = (kill_worker, kill_app, full_disk, no_write_access, images_moved, run_deleted, clock_jump, client_gone)
    wanted = [fault for fault in every if not sys.argv[1:] or fault.__name__ in sys.argv[1:]]
    known = {row["fault"]: row for row in (json.loads(RESULT.read_text()) if RESULT.is_file() else [])}
    for fault in wanted:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            home.mkdir()
            np.savez(Path(folder) / "images.npz", images=blobs(200, 0.3, 0).images)
            began = time.monotonic()
            try:
                seen, good = fault(home, Path(folder) / "images.npz")
            except Exception as error:
                seen, good = f"{type(error).__name__}: {str(error)[:300]}", False
            expected = " ".join(fault.__doc__.split())
            name = fault.__name__.replace("_", " ")
            known[name] = {"fault": name, "expected": expected, "seen": seen.replace(folder, "..."), "as_expected": good}
            print(json.dumps({**known[name], "seconds": round(time.monotonic() - began)}), flush=True)
            RESULT.write_text(json.dumps(list(known.values()), indent=2) + "\n")


def table() -> str:
    """The committed result, as docs/SERVING.md has it."""
    rows = [(row["fault"], row["expected"], row["seen"].replace("|", "/")) for row in json.loads(RESULT.read_text())]
    return as_table([("fault", "expected", "seen"), *rows])


def training(visitor: Visitor, home: Path, images: Path, steps: int = 3000) -> tuple[str, Path]:
    """A run that has saved a checkpoint or is a few steps on its way."""
    run = visitor.api("train", data=str(images), preset="tiny", steps=steps, batch_size=16)
    assert isinstance(run, str), run
    wait(lambda: len(steps_of(home / "runs" / run)) > 5)
    return run, home / "runs" / run


def kill_worker(home: Path, images: Path) -> tuple[str, bool]:
    """The run is interrupted with a sentence; resumed, it goes on."""
    with studio(home, child="") as address, closing(Visitor(address)) as visitor:
        run, folder = training(visitor, home, images)
        child_of(folder).kill()
        status = ended(visitor, run)
        visitor.api("resume_run", run=run)
        wait(lambda: visitor.api("run_status", run=run)["state"] == "running")
        went_on = wait(lambda: len(steps_of(folder)) > 8)
        return f"{status['state']}: {status['message']} Resumed: went on.", status["state"] == "interrupted" and went_on


def kill_app(home: Path, images: Path) -> tuple[str, bool]:
    """Its run's process ends within ten seconds; the next app says why the run was interrupted or stopped, and resumes it."""
    with studio(home, child="") as address, closing(Visitor(address)) as visitor:
        run, folder = training(visitor, home, images)
        child = child_of(folder)
        app = max(psutil.Process().children(), key=lambda process: process.create_time())
        app.kill()
        began = time.monotonic()
        gone = wait(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 30)
        took = time.monotonic() - began
    with studio(home, child="") as address, closing(Visitor(address)) as visitor:
        status = visitor.api("run_status", run=run)
        visitor.api("resume_run", run=run)
        wait(lambda: visitor.api("run_status", run=run)["state"] == "running")
    good = gone and took < 10 and status["state"] in ("interrupted", "stopped") and bool(status["message"])
    return f"its child ended after {took:.1f} s; the next app says {status['state']}: {status['message']} Resumed: went on.", good


def full_disk(home: Path, images: Path) -> tuple[str, bool]:
    """The run fails with a sentence about the disk and is not left running; other runs are still shown."""
    with studio(home, child="") as address, closing(Visitor(address)) as visitor:
        before = visitor.api("train", data=str(images), preset="tiny", steps=10, batch_size=16)
        ended(visitor, before)
    with studio(home, child="", code=SMALL_DISK.replace("MOST", str(200_000))) as address, closing(Visitor(address)) as visitor:
        run = visitor.api("train", data=str(images), preset="tiny", steps=40, batch_size=16)
        status = ended(visitor, run)
        listed = {found["id"]: found["state"] for found in visitor.api("runs")}
        good = status["state"] == "failed" and "disk is full" in status["message"] and listed.get(before) == "finished"
        return f"{status['state']}: {status['message']}", good


def no_write_access(home: Path, images: Path) -> tuple[str, bool]:
    """The start is refused with a sentence; the page goes on. (Tried with a file in the place of the folder: root writes anywhere.)"""
    with studio(home, child="") as address, closing(Visitor(address)) as visitor:
        (home / "runs").rename(home / "elsewhere")
        (home / "runs").write_text("")
        answer = visitor.api("train", data=str(images), preset="tiny", steps=10)
        health = visitor.http.get("/tiw/health").status_code
        (home / "runs").unlink()
        (home / "elsewhere").rename(home / "runs")
        after = visitor.api("runs")
        return f"{answer}; health {health}; afterwards {after}", "error" in answer and health == 200 and after == []


def images_moved(home: Path, images: Path) -> tuple[str, bool]:
    """The run goes on with what it has read; the next one is refused by name."""
    with studio(home, child="") as address, closing(Visitor(address)) as visitor:
        run, folder = training(visitor, home, images)
        images.rename(images.with_name("moved.npz"))
        went_on = wait(lambda: len(steps_of(folder)) > 12)
        visitor.api("stop_run", run=run)
        first = ended(visitor, run)
        again = visitor.api("train", data=str(images), preset="tiny", steps=10)
        second = ended(visitor, again) if isinstance(again, str) else {"state": "refused", "message": again["error"]}
        good = went_on and first["state"] == "stopped" and second["state"] in ("failed", "refused") and "images.npz" in second["message"]
        return f"{first['state']}; the next run {second['state']}: {second['message']}", good


def run_deleted(home: Path, images: Path) -> tuple[str, bool]:
    """The page forgets it, the app and its queue go on."""
    with studio(home, child="") as address, closing(Visitor(address)) as visitor:
        run, folder = training(visitor, home, images)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        answer = visitor.api("run_status", run=run)
        new = visitor.api("train", data=str(images), preset="tiny", steps=20, batch_size=16)
        status = ended(visitor, new)
        return f"{answer}; the next run {status['state']}: {status['message']}", "error" in answer and status["state"] == "finished"


def clock_jump(home: Path, images: Path) -> tuple[str, bool]:
    """Files from the future or the past change nothing. (The clock of the machine is left alone: the run's files are dated instead.)"""
    with studio(home, child="") as address, closing(Visitor(address)) as visitor:
        run, folder = training(visitor, home, images, steps=400)
        for jump in (10**7, -(10**7)):
            for file in folder.iterdir():
                os.utime(file, (time.time() + jump, time.time() + jump))
            visitor.api("run_status", run=run)
        status = ended(visitor, run)
        return f"{status['state']}", status["state"] == "finished"


def client_gone(home: Path, images: Path) -> tuple[str, bool]:
    """Cut off in an upload, a start and a look, the client leaves a working app, and its run finishes."""
    import socket

    with studio(home, child="") as address, closing(Visitor(address)) as visitor:
        host, port = address.removeprefix("http://").split(":")
        run = visitor.api("train", data=str(images), preset="tiny", steps=60, batch_size=16)
        for text in (
            "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            "Content-Length: 9999\r\n\r\n--x",
            "POST /gradio_api/queue/join HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\n{",
            f"GET /tiw/{run}/model.zip HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        ):
            with socket.create_connection((host, int(port))) as cut:
                cut.sendall(text.encode())
        status = ended(visitor, run)
        left = [file for file in (home / "incoming").rglob("*") if file.is_file()]
        return f"{status['state']}; {len(left)} files left of the upload", status["state"] == "finished" and not left


def steps_of(folder: Path) -> list[bytes]:
    file = folder / "steps.jsonl"
    return file.read_bytes().splitlines() if file.is_file() else []


def child_of(folder: Path) -> psutil.Process:
    return psutil.Process(json.loads((folder / "status.json").read_text())["pid"])


def ended(visitor: Visitor, run: str) -> dict:
    status: dict = {}

    def done() -> bool:
        status.update(visitor.api("run_status", run=run))
        return status.get("state") in ENDED

    wait(done)
    return status


def wait(condition: Callable[[], bool], seconds: float = 180.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.2)
    return True


if __name__ == "__main__":
    main()
