"""The app as a server in this process, and visitors that speak to it as a browser does."""

from __future__ import annotations

import json
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

IDLE = "import time; time.sleep(600)"


@contextmanager
def studio(home: Path, *arguments: str, child: str = IDLE) -> Iterator[str]:
    """The app on `home`, started with these arguments; its address. `child`: Python that stands in for the work of a run; empty: the
    real one."""
    from tiw.run import queue
    from ui import app, gate, store

    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIW_HOME", str(home))
        patch.setattr(queue, "DISK_NEEDED", 0)
        patch.setattr(gate, "DOOR", gate.DOOR)
        patch.setattr(app.tempfile, "tempdir", None)
        jobs = queue.Jobs(home, (lambda run: [sys.executable, "-c", child]) if child else None)
        patch.setattr(store, "jobs", lambda: jobs)
        args = app.arguments(["--port", str(free_port()), "--no-browser", *arguments])
        try:
            yield app.serve(args, prevent_thread_lock=True, quiet=True)
        finally:
            app.page.gr.close_all()
            jobs.close()
            os.environ.clear()
            os.environ.update(before)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Visitor:
    """One browser: its cookie, and the page's events by the names of their handlers."""

    def __init__(self, address: str, **headers: str):
        self.http = httpx.Client(base_url=address, headers=headers, timeout=60)
        self.page = self.http.get("/")
        self.config = self.http.get("/config").json()
        self.events = {}
        for event in self.config["dependencies"]:
            self.events.setdefault(event["api_name"], event["id"])

    @property
    def name(self) -> str:
        """Whose owner file names this visitor."""
        return f"visitor {self.http.cookies['tiw-visitor'].partition('.')[0]}"

    def call(self, event: str | int, *data: object, event_data: object = None) -> dict:
        """Fire an event: what it answers, as the browser gets it. {"error": ...} where it was refused."""
        number, session = self.events.get(event, event), uuid.uuid4().hex[:10]
        body = {"data": list(data), "fn_index": number, "session_hash": session, "event_data": event_data, "trigger_id": None}
        joined = self.http.post("/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            return {"error": joined.text, "status": joined.status_code}
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line[6:]) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    return output if message["success"] else {"error": output.get("error") or "an error without a word"}
        return {"error": "no answer"}

    def api(self, name: str, **given: object) -> object:
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
