"""The app as a server in a process of its own, and visitors that speak to it as a browser does."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
FLAGS = [  # for machines without a screen, and quiet: it asks for nothing of its own
    "--no-sandbox",
    "--use-gl=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
]
PORTS = iter(range(20_000 + 1000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) + os.getpid() % 500, 32_000))
IDLE = "import time; time.sleep(600)"  # stands in for the work of a run
# The command line, but for the number of samples in which it is looked for what lags.
QUICK = "from tiw.debiasing import lagging\nlagging.COUNT = 30\nfrom tiw.__main__ import app\napp()"
# The app, but for the command line of its runs.
APP = """
import os, sys
from tiw.run import queue
queue.DISK_NEEDED = 0
from dataclasses import replace
from ui import app, caps, store
caps.PUBLIC = replace(caps.PUBLIC, requests=1000.0, newcomers=1000.0)  # tests are in a hurry
if child := os.environ["TIW_CHILD"]:
    store.Jobs = lambda **how: queue.Jobs(None, lambda run: [sys.executable, "-c", child, run.kind, "--out", str(run.path)], **how)
sys.argv[0] = "app.py"
app.main()
"""


@contextmanager
def studio(home: Path, *arguments: str, child: str = IDLE, root: Path = ROOT, code: str = APP) -> Iterator[str]:
    """The app on `home`, started with these arguments; its address. `child`: Python that stands in for the work of a run; empty: the
    real one, QUICK a quicker one. Its log is HOME.log."""
    port = free_port()
    env = {**os.environ, "TIW_HOME": str(home), "TIW_CHILD": child}
    address, log = f"http://127.0.0.1:{port}", home.with_suffix(".log")
    with log.open("wb") as out:
        command = [sys.executable, "-c", code, "--port", str(port), "--no-browser", *arguments]
        app = subprocess.Popen(command, cwd=root, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 240
        while True:
            assert app.poll() is None and time.monotonic() < end, log.read_text()
            try:
                if httpx.get(f"{address}/tiw/{'health' if root == ROOT else ''}").status_code < 500:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address
    finally:
        app.terminate()
        try:
            app.wait(90)
        finally:
            app.kill()


def free_port() -> int:
    """One that no connection takes by itself (those lie above 32,767) and no other worker of this run tries."""
    for port in PORTS:
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


class Visitor:
    """One browser: its cookie, and the page's events by the names of their handlers."""

    def __init__(self, address: str, cookies: httpx.Cookies | None = None, **headers: str):
        self.http = httpx.Client(base_url=address, headers=headers, cookies=cookies, timeout=60)
        self.session = uuid.uuid4().hex[:10]  # of the open page: Gradio makes a copy of the page's settings for each
        self.page = self.http.get("/")

    @cached_property
    def config(self) -> dict:
        """All that the page is made of."""
        return self.http.get("/config").json()

    @cached_property
    def events(self) -> dict[str, int]:
        """The page's events by the names of their handlers: the first of each name."""
        return {event["api_name"]: event["id"] for event in reversed(self.config["dependencies"])}

    @cached_property
    def inputs(self) -> dict[int, int]:
        """How many values each event takes."""
        return {event["id"]: len(event["inputs"]) for event in self.config["dependencies"]}

    def close(self) -> None:
        self.http.close()

    @property
    def name(self) -> str:
        """Whose owner file names this visitor."""
        return f"visitor {self.http.cookies['tiw-visitor'].partition('.')[0]}"

    @contextmanager
    def page_open(self) -> Iterator[None]:
        """The connection that a browser holds for as long as its page is open."""
        with self.http.stream("GET", f"/gradio_api/heartbeat/{self.session}") as beats:
            lines = beats.iter_lines()
            next(lines)
            yield

    def call(self, event: str | int, *data: object, event_data: object = None) -> dict:
        """Fire an event: what it answers, as the browser gets it. {"error": ...} where it was refused."""
        number = self.events.get(event, event)
        assert len(data) == self.inputs[number], f"{event} takes {self.inputs[number]} inputs"  # Gradio drops those that are too many
        body = {"data": list(data), "fn_index": number, "session_hash": self.session, "event_data": event_data, "trigger_id": None}
        joined = self.http.post("/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            return {"error": joined.text, "status": joined.status_code}
        found = {"error": "no answer"}
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as lines:
            for line in lines.iter_lines():  # to its end, as a browser does: who leaves early has the events of their session cancelled
                message = json.loads(line[6:]) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    found = output if message["success"] else {"error": output.get("error") or "an error without a word"}
        return found

    def api(self, name: str, /, **given: object) -> object:
        """Call a named end point; the value it returns, or {"error": ...}."""
        joined = self.http.post(f"/gradio_api/call/v2/{name}", json=given)
        if joined.status_code != 200:
            return {"error": joined.text, "status": joined.status_code}
        answer = self.http.get(f"/gradio_api/call/{name}/{joined.json()['event_id']}").text
        kind, data = (line.partition(": ")[2] for line in answer.strip().splitlines()[-2:])
        found = json.loads(data)
        return found[0] if kind == "complete" else {"error": found["error"] if isinstance(found, dict) else found}

    def upload(self, name: str, content: bytes) -> list[str]:
        """As the upload button does it: the paths that Gradio answers with."""
        answer = self.http.post("/gradio_api/upload", files={"files": (name, content)})
        return answer.json() if answer.status_code == 200 else [f"{answer.status_code}: {answer.text}"]
