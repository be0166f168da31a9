"""What a full class costs: CLIENTS browsers' worth of looks at the page while a run trains. Writes benchmarks/results/load.json.

    python benchmarks/load.py --clients 30 --minutes 10 --sessions 2000

Each client opens the page as a browser does, with the demo and the shipped example on it, then looks at the page and asks for its runs.
One of them is the browser of whoever started the run: it looks at the training once a second. The others look at the pace of a page whose
run waits, which is more than they would do. Then SESSIONS visitors open the page and close it, one after the other. Memory, file
descriptors and disk of the app are read all along. How fast a run trains is measured before the clients come, beside them, and after they
have gone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from served import Visitor, studio  # noqa: E402

from ui.page import SECONDS, WAITING_SECONDS  # noqa: E402

EMPTY = dict.fromkeys(("audit", "even-out", "train", "preview", "debias", "compare"), "")
ALONE = 60.0  # seconds for which the training's own speed is measured
DEMO = {"biased": "demo", "reference": "demo", "references": 50, "baseline": "demo", "class_label": "", "resolution": 0, "skip_bad": False}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--soak", action="store_true", help="the visitors one after the other alone; the rest stays as it was measured")
    args = parser.parse_args()
    out = ROOT / "benchmarks" / "results" / "load.json"
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        with studio(home, "--public", child="") as address:
            app = max(psutil.Process().children(), key=lambda child: child.create_time())
            result = json.loads(out.read_text()) if args.soak else crowd(address, home, app, args.clients, args.minutes)
            result["soak"] = soak(address, home, app, args.sessions)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def crowd(address: str, home: Path, app: psutil.Process, clients: int, minutes: float) -> dict:
    """Many visitors at once, and a run that trains before, beside and after them."""
    with closing(Visitor(address)) as teacher:
        run = teacher.api("train", minutes=15.0, batch_size=32)
        wait(lambda: (home / "runs" / run / "steps.jsonl").is_file(), 300)
        training = home / "runs" / run
        alone, _ = speed(training, ALONE)
        before = cost(app, home)
        found: dict[str, list[float]] = {"page": [], "look": [], "status": []}
        failed: list[str] = []
        end = time.monotonic() + 60 * minutes
        who = [(SECONDS, teacher.http.cookies)] + [(WAITING_SECONDS, None)] * (clients - 1)
        threads = [threading.Thread(target=client, args=(address, pace, found, failed, end, cookies)) for pace, cookies in who]
        for thread in threads:
            thread.start()
        spent = busy(app), busy(psutil.Process())
        beside, meanwhile = speed(training, max(20.0, 60 * minutes - 10), lambda: cost(app, home)["megabytes"])
        for thread in threads:
            thread.join()
        after = cost(app, home)
        spent = [(now - then) / (60 * minutes) for then, now in zip(spent, (busy(app), busy(psutil.Process())), strict=True)]
        again, _ = speed(training, ALONE)
        teacher.api("stop_run", run=run)
        wait(lambda: teacher.api("run_status", run=run)["state"] == "stopped", 120)
    times = {name: {"n": len(v), "p50": float(np.median(v)), "p95": float(np.percentile(v, 95))} for name, v in found.items() if v}
    return {
        "cores": os.cpu_count(),
        "load_average_at_the_end": os.getloadavg()[0],
        "clients": clients,
        "minutes": minutes,
        "seconds": times,
        "failed": len(failed),
        "examples_of_failures": failed[:5],
        "steps_a_second": {"alone": alone, "beside": beside, "alone_again": again},
        "cores_used": {"app": spent[0], "clients": spent[1]},
        "app": {"before": before, "megabytes_meanwhile": meanwhile, "after": after},
    }


def soak(address: str, home: Path, app: psutil.Process, sessions: int) -> dict:
    """Visitors who open the page, see it whole and close it, one after the other."""
    found = []
    for number in range(sessions + 1):  # the first one has the demo read, which stays
        with closing(Visitor(address)) as visitor, visitor.page_open():
            seen(visitor, EMPTY)
        if number % 500 == 0:
            time.sleep(5)
            found.append(cost(app, home))
    return {"sessions": sessions, "before_every_500_and_after": found}


def seen(visitor: Visitor, runs: dict) -> dict:
    """The page's own events when it opens, to its first look: the runs that it shows then. RuntimeError where one of them fails."""
    shown = answer(visitor, "_reattach", runs)["data"][0]
    answer(visitor, "restore_2", DEMO, [])  # the third event of this handler is that of the page
    answer(visitor, "follow_sets", DEMO)
    answer(visitor, "look", DEMO, shown, None)
    return shown


def answer(visitor: Visitor, event: str, *data: object) -> dict:
    found = visitor.call(event, *data)
    if "error" in found:
        raise RuntimeError(f"{event}: {str(found)[:200]}")
    return found


def client(address: str, pace: float, found: dict[str, list[float]], failed: list[str], end: float, cookies: httpx.Cookies | None) -> None:
    """One browser: the page, then a look and a status every `pace` seconds."""
    try:
        began = time.perf_counter()
        with closing(Visitor(address, cookies)) as visitor, visitor.page_open():
            runs = seen(visitor, EMPTY)
            found["page"].append(time.perf_counter() - began)
            while time.monotonic() < end:
                began = time.monotonic()
                timed(found["look"], lambda: answer(visitor, "look", DEMO, runs, None))
                timed(found["status"], lambda: answer(visitor, "runs"))
                time.sleep(max(0.0, pace - (time.monotonic() - began)))
    except Exception as error:  # a client that is gone counts as failed, the others go on
        failed.append(f"{type(error).__name__}: {error}"[:200])


def timed(times: list[float], work):
    began = time.perf_counter()
    try:
        return work()
    finally:
        times.append(time.perf_counter() - began)


def speed(run: Path, seconds: float, watched=lambda: None) -> tuple[float, list]:
    """Training steps a second over the next so many seconds, and what was watched in each of its ten parts."""
    before, began = steps(run), time.monotonic()
    seen = []
    for _ in range(10):
        time.sleep(seconds / 10)
        seen.append(watched())
    return (steps(run) - before) / (time.monotonic() - began), seen


def busy(process: psutil.Process) -> float:
    """Seconds of processor time so far."""
    times = process.cpu_times()
    return times.user + times.system


def steps(run: Path) -> int:
    return len((run / "steps.jsonl").read_bytes().splitlines())


def cost(app: psutil.Process, home: Path) -> dict:
    size = sum(f.stat().st_size for part in ("uploads", "incoming", "temporary") for f in (home / part).rglob("*") if f.is_file())
    return {"megabytes": app.memory_info().rss / 2**20, "file_descriptors": app.num_fds(), "disk_beside_runs": size}


def wait(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.5)


if __name__ == "__main__":
    main()
