"""Runs as the page sees them: one gate to every run folder, and the queue that works them off."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from tiw.errors import UserInputError
from tiw.run.folder import RunFolder
from tiw.run.options import OPTIONS
from tiw.run.queue import BUSY, RUN_ID, Jobs

MOST_LINES = 2000
KEPT_SECONDS = 30 * 24 * 3600  # of uploads that no run names
ON_SPACE = "SPACE_ID" in os.environ
WATCHED = ("status.json", "steps.jsonl", "previews.jsonl", "result.json", "map.parquet", "rest.parquet")


@lru_cache(maxsize=1)
def jobs() -> Jobs:
    """The one queue of this process. Its worker runs one child process at a time."""
    return Jobs()


def home() -> Path:
    """TIW_HOME: runs and uploads live here, out of reach of Gradio's file serving."""
    return jobs().folder.parent


@dataclass(frozen=True)
class Run:
    """What a run folder said when it was read."""

    id: str
    path: Path
    kind: str
    options: dict
    status: dict
    result: dict | None

    @property
    def state(self) -> str:
        return self.status["state"]

    @property
    def busy(self) -> bool:
        return self.state in BUSY

    @property
    def done(self) -> bool:
        return self.state == "finished" and self.result is not None

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path, self.kind, None)

    def lines(self, name: str) -> list[dict]:
        """The whole lines of one of its JSON-lines files; of a long one as many as a chart has room for."""
        return self.folder.read_lines(name, most=MOST_LINES)


def open_run(run_id: str) -> Run | None:
    """The only way from an id to a folder: checks the id, that the run is there and, once there are several users, its owner."""
    try:
        folder = jobs().open(run_id)
        status, result = folder.status(), _result(folder)
        if status and status["state"] == "finished" and result is None:
            status = {**status, "state": "failed", "message": "Its result cannot be read: the file is damaged. Delete it and run it again."}
        return Run(run_id, folder.path, folder.kind, asdict(folder.options), status, result) if status else None
    except UserInputError:  # no id, not there, or of a version that this one cannot read
        return None


def _result(folder: RunFolder) -> dict | None:
    """None too for a file that was cut off: one damaged run must not stop the page."""
    try:
        result = folder.result()
    except ValueError:
        return None
    return result if isinstance(result, dict) else None


def all_runs(kind: str | None = None) -> list[Run]:
    """Newest first."""
    found = [open_run(entry.name) for entry in jobs().folder.iterdir() if RUN_ID.fullmatch(entry.name)]
    kept = [run for run in found if run is not None and (kind is None or run.kind == kind)]
    return sorted(kept, key=lambda run: run.status["created"], reverse=True)


def signature(run_id: str) -> list:
    """Changes whenever the run has something new to show."""
    run = open_run(run_id)
    return [] if run is None else [run_id, jobs().position(run_id), *(stamp(run.path / name) for name in WATCHED)]


def changes() -> list:
    """Changes whenever a run is made, begins, ends or is deleted. Its cost does not grow with the number of runs."""
    return [stamp(jobs().folder), jobs().at_work()]


def stamp(path: Path) -> str:
    """Time of the last change; empty if the file is not there. Text, because a browser's numbers are too short for it."""
    try:
        return str(path.stat().st_mtime_ns)
    except FileNotFoundError:
        return ""


def submit(kind: str, **fields: object) -> str:
    """Queue a run with these options (those not named keep their defaults); its id at once."""
    check_paths(fields)
    return jobs().submit(kind, OPTIONS[kind](**fields))


def matching_audit(sets: dict) -> str:
    """Path of the newest audit of exactly these inputs that has a ratio; empty if there is none (a run then fits its own)."""
    for run in all_runs("audit"):
        if run.result is not None and all(run.options[name] == sets[name] for name in sets):
            return str(run.path)
    return ""


def keep_upload(path: str) -> str:
    """Move an uploaded zip out of Gradio's cache, which every visitor can read, into TIW_HOME; its new path."""
    return str(shutil.move(path, new_upload_folder() / "images.zip"))


def new_upload_folder() -> Path:
    """A folder of its own for images that the app keeps; those that no run names go after a month."""
    uploads = home() / "uploads"
    named = {str(value) for run in all_runs() for value in run.options.values()}
    for old in uploads.iterdir() if uploads.is_dir() else ():
        if time.time() - old.stat().st_mtime > KEPT_SECONDS and not any(str(old) in value for value in named):
            shutil.rmtree(old, ignore_errors=True)
    folder = uploads / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder


def check_paths(fields: dict) -> None:
    """On a public server no path but our own may be opened."""
    for name in ("biased", "reference", "baseline", "labels", "heldout"):
        path = fields.get(name, "")
        if ON_SPACE and path not in ("", "demo") and not Path(path).resolve().is_relative_to(home()):
            raise UserInputError(name, "this server opens no paths of its own", "upload a zip, or use the demo")
