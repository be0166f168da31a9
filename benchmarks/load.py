"""What a full class costs: CLIENTS browsers' worth of openings and looks while a run trains. Writes benchmarks/results/load.json.

    python benchmarks/load.py --clients 30 --minutes 10 --sessions 2000

A Chromium opens the page once, and what it asks for is written down: the page, its files, its events. Then CLIENTS clients ask for the
same, all at the same moment, and stay for MINUTES as a class would: one is the browser of whoever started the run that trains, as many as
may wait have a run that waits, and look at it at the page's own pace; the others read, and open the page anew once a minute. One more
client asks for the list of runs once a second. How fast the run trains is measured before the clients come, beside them, and after they
have gone. Then SESSIONS visitors open the page and close it, one after the other. Memory, file descriptors and disk of the app are read all
along.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from served import CHROMIUM, FLAGS, Visitor, studio  # noqa: E402

from ui.caps import PUBLIC  # noqa: E402
from ui.page import NONE, SECONDS, WAITING_SECONDS  # noqa: E402
from ui.sets import DEMO  # noqa: E402

ALONE = 60.0  # seconds for which the training's own speed is measured
READING = 60.0  # seconds after which one who reads opens the page anew
SETTLED = 8.0  # seconds in which a browser has asked for all it wants


@dataclass(frozen=True)
class Opening:
    """What a browser asks for when the page opens."""

    files: dict[str, int]  # addresses, without the page itself, and the bytes that come, packed
    events: list[tuple[int, list]]  # numbers and values, in their order
    config: dict  # which events there are, read once for all clients

    @classmethod
    def seen(cls, address: str) -> Opening:
        """As a Chromium does it that has never been here."""
        asked = []
        with sync_playwright() as playwright, closing(Visitor(address)) as visitor:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page()
            page.on("request", lambda request: asked.append(request))  # playwright wants to name its handler
            page.goto(address)
            page.wait_for_timeout(1000 * SETTLED)
            browser.close()
            config, packed = visitor.config, {}
            for path in cls._paths(asked, address):
                there, plain = (visitor.http.get(path, headers={"accept-encoding": how}) for how in ("gzip", "identity"))
                assert there.content == plain.content and there.content, path
                packed[path] = there.num_bytes_downloaded
        joined = [json.loads(request.post_data) for request in asked if "/queue/join" in request.url]
        return cls(packed, [(event["fn_index"], event["data"]) for event in joined], config)

    @staticmethod
    def _paths(asked: list, address: str) -> list[str]:
        parts = [urlsplit(request.url) for request in asked if request.method == "GET" and request.url.startswith(address)]
        return [f"{part.path}?{part.query}".rstrip("?") for part in parts if part.path != "/" and "/gradio_api/" not in part.path]

    def open(self, visitor: Visitor, files: bool = True) -> None:
        """The same once more. RuntimeError where one of the events fails. Without `files` for a browser that has kept them."""
        visitor.config = self.config
        if files:
            self._get(visitor)
        for number, data in self.events:
            answer(visitor, number, *data)

    def _get(self, visitor: Visitor) -> None:
        """By a client that costs this machine next to nothing."""
        headers = {"Accept-Encoding": "gzip", "Cookie": f"tiw-visitor={visitor.http.cookies['tiw-visitor']}"}
        with closing(http.client.HTTPConnection(visitor.http.base_url.host, visitor.http.base_url.port, timeout=120)) as line:
            for path, size in self.files.items():
                line.request("GET", path, headers=headers)
                found = line.getresponse()
                if len(found.read()) != size or found.status != 200:
                    raise RuntimeError(f"{path}: {found.status}, or another length")


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
            opening = Opening.seen(address)
            result = json.loads(out.read_text()) if args.soak else crowd(address, home, app, opening, args.clients, args.minutes)
            result["soak"] = soak(address, home, app, opening, args.sessions)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def crowd(address: str, home: Path, app: psutil.Process, opening: Opening, clients: int, minutes: float) -> dict:
    """Many visitors at once, and a run that trains before, beside and after them."""
    with closing(Visitor(address)) as teacher:
        run = teacher.api("train", minutes=15.0, batch_size=32)
        wait(lambda: (home / "runs" / run / "steps.jsonl").is_file(), 300)
        training = home / "runs" / run
        alone, _ = speed(training, ALONE)
        before = cost(app, home)
        found: dict[str, list[float]] = {name: [] for name in ("page", "page again", "look", "status")}
        failed: list[str] = []
        end = time.monotonic() + 60 * minutes
        waiting = min(PUBLIC.waiting_all - 1, clients - 1)
        work = [lambda: looking(address, opening, found, end, SECONDS, "train", run, teacher)]
        work += [lambda: looking(address, opening, found, end, WAITING_SECONDS, "audit")] * waiting
        work += [lambda: reading(address, opening, found, end)] * (clients - 1 - waiting) + [lambda: asking(address, found, end)]
        threads = [threading.Thread(target=kept_going, args=(each, failed)) for each in work]
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
        "waiting": waiting,
        "files": len(opening.files),
        "events": len(opening.events),
        "minutes": minutes,
        "seconds": times,
        "failed": len(failed),
        "examples_of_failures": failed[:5],
        "steps_a_second": {"alone": alone, "beside": beside, "alone_again": again},
        "cores_used": {"app": spent[0], "clients": spent[1]},
        "app": {"before": before, "megabytes_meanwhile": meanwhile, "after": after},
    }


def soak(address: str, home: Path, app: psutil.Process, opening: Opening, sessions: int) -> dict:
    """Visitors who open the page, see it whole and close it, one after the other."""
    found = []
    for number in range(sessions + 1):  # the first one has the demo read, which stays
        with closing(Visitor(address)) as visitor, visitor.page_open():
            opening.open(visitor, files=False)
        if number % 500 == 0:
            time.sleep(5)
            found.append(cost(app, home))
    return {"sessions": sessions, "before_every_500_and_after": found}


def answer(visitor: Visitor, event: str | int, *data: object) -> dict:
    found = visitor.call(event, *data)
    if "error" in found:
        raise RuntimeError(f"{event}: {str(found)[:200]}")
    return found


def kept_going(work: Callable[[], None], failed: list[str]) -> None:
    """A client that is gone counts as failed, the others go on."""
    try:
        work()
    except Exception as error:
        failed.append(f"{type(error).__name__}: {error}"[:200])


def looking(
    address: str, opening: Opening, found: dict, end: float, pace: float, kind: str, run: str = "", owner: Visitor | None = None
) -> None:
    """The browser of somebody whose run works or waits: the page, then a look every `pace` seconds. Without a run it starts one."""
    began = time.perf_counter()
    with closing(Visitor(address, owner and owner.http.cookies)) as visitor, visitor.page_open():
        opening.open(visitor)
        found["page"].append(time.perf_counter() - began)
        own = run or visitor.api(kind)
        if not isinstance(own, str):
            raise RuntimeError(f"{kind}: {own}")
        while time.monotonic() < end:
            began = time.monotonic()
            timed(found["look"], lambda: answer(visitor, "look", DEMO, {**NONE, kind: own}, None))
            time.sleep(max(0.0, pace - (time.monotonic() - began)))
        if not run:
            visitor.api("stop_run", run=own)


def reading(address: str, opening: Opening, found: dict, end: float) -> None:
    """The browser of somebody who reads: the page, and again after a minute, with the files that it has kept."""
    name = "page"
    while time.monotonic() < end:
        began = time.perf_counter()
        with closing(Visitor(address)) as visitor, visitor.page_open():
            opening.open(visitor, files=name == "page")
            found[name].append(time.perf_counter() - began)
            name = "page again"
            time.sleep(min(READING, max(0.0, end - time.monotonic())))


def asking(address: str, found: dict, end: float) -> None:
    """A script that asks for its runs once a second."""
    with closing(Visitor(address)) as visitor:
        while time.monotonic() < end:
            said = timed(found["status"], lambda: visitor.api("runs"))
            if not isinstance(said, list):
                raise RuntimeError(f"runs: {said}")
            time.sleep(1.0)


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
