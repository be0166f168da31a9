"""The run folder: every action leaves one, with its config first, its status while it works and its result at the end."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

from . import __version__
from .errors import UserInputError
from .options import OPTIONS, validate

SCHEMA_VERSION = 1
STATES = ("queued", "running", "stopping", "stopped", "finished", "failed", "interrupted")


class Stopped(Exception):  # noqa: N818  (asked for, not an error)
    """Raised by a command that was asked to stop, once its state is saved."""


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def write_atomic(path: Path, data: bytes) -> None:
    """Write beside `path` and rename: a reader sees the old file or the new one, never half of one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(path)


@dataclass(frozen=True)
class RunFolder:
    """One run. Made with `create` or `open`."""

    path: Path
    kind: str
    options: object  # of tiw.options.OPTIONS[kind]

    @classmethod
    def create(cls, path: str | Path, kind: str, options: object) -> RunFolder:
        """Start a run in `path`, or take up the one that is there with the same options.

        Raises UserInputError for bad options, for a folder that holds a run with other options, and for one that cannot be written.
        """
        validate(kind, options)
        path = Path(path)
        if (path / "config.json").is_file():
            there = cls.open(path)
            if there.kind != kind:
                raise UserInputError("out", f"{path} holds a run of {there.kind}", "choose another folder")
            for field in fields(options):
                old, new = getattr(there.options, field.name), getattr(options, field.name)
                if old != new:
                    fix = "choose another folder, or repeat the options to resume"
                    raise UserInputError("out", f"{path} holds a run with {field.name} {old!r}, this one has {new!r}", fix)
            return there
        config = {"schema_version": SCHEMA_VERSION, "kind": kind, "options": asdict(options), "version": __version__}
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_atomic(path / "config.json", _json(config))
        except OSError as error:
            raise UserInputError("out", f"{path} cannot be written ({error.strerror})", "choose another folder") from error
        run = cls(path, kind, options)
        run.write_status(state="queued", stage="Waiting", created=now())
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """The run in `path`. Raises UserInputError where there is none, or one that this version cannot read."""
        path = Path(path)
        try:
            raw = json.loads((path / "config.json").read_text(encoding="utf-8"))
            kind, given = raw["kind"], raw["options"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserInputError("out", f"{path} holds no readable config.json", "give the folder of a run") from error
        if kind not in OPTIONS:
            raise UserInputError("kind", f"{path} holds a run of {kind!r}", f"known are {', '.join(OPTIONS)}")
        unknown = set(given) - {f.name for f in fields(OPTIONS[kind])}
        if unknown:
            raise UserInputError(min(unknown), f"{path}/config.json has it, {kind} has no such option", "remove it")
        options = OPTIONS[kind](**given)
        validate(kind, options)
        return cls(path, kind, options)

    def status(self) -> dict:
        """What status.json says; an empty dict before the first write."""
        try:
            return json.loads((self.path / "status.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def write_status(self, **changes: object) -> None:
        """Change some fields of status.json, atomically."""
        blank = {"state": "queued", "stage": "", "done": 0, "total": 0, "eta_seconds": None, "message": "", "pid": None}
        status = {**blank, "created": now(), "started": None, **self.status(), **changes, "updated": now()}
        assert status["state"] in STATES, status["state"]
        write_atomic(self.path / "status.json", _json(status))

    def progress(self, stage: str, done: int, total: int, eta_seconds: float | None = None) -> None:
        """Say what is being done and how far it is; at most five writes a second, but every new stage."""
        key, clock = str(self.path), time.monotonic()
        last_stage, last_time, stage_began = _PROGRESS.get(key, ("", 0.0, clock))
        if stage != last_stage:
            stage_began = clock
        elif clock - last_time < 0.2 and done < total:
            return
        if eta_seconds is None and done and clock - stage_began > 2:
            eta_seconds = (clock - stage_began) / done * (total - done)
        _PROGRESS[key] = (stage, clock, stage_began)
        self.write_status(stage=stage, done=done, total=total, eta_seconds=eta_seconds)
        if ON_PROGRESS is not None:
            ON_PROGRESS(stage, done, total)

    def request_stop(self) -> None:
        (self.path / "stop").touch()

    def stop_requested(self) -> bool:
        return (self.path / "stop").exists()

    def append(self, name: str, line: dict) -> None:
        """One JSON line at the end of a file, on disk before this returns to the reader's eyes."""
        with (self.path / name).open("ab") as file:
            file.write(_json(line, indent=None))

    def read_lines(self, name: str) -> list[dict]:
        """The whole lines of a JSON-lines file; a last one without its line end is still being written."""
        path = self.path / name
        if not path.is_file():
            return []
        text = path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if line]

    def write_result(self, result: dict) -> None:
        """Write result.json; schema version and kind are added."""
        write_atomic(self.path / "result.json", _json({"schema_version": SCHEMA_VERSION, "kind": self.kind, **result}))

    def result(self) -> dict | None:
        path = self.path / "result.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def delete(self) -> None:
        shutil.rmtree(self.path)


_PROGRESS: dict[str, tuple[str, float, float]] = {}  # per folder: stage, time of the last write, when the stage began
ON_PROGRESS = None  # the command line puts its progress bar here


def _json(value: dict, indent: int | None = 2) -> bytes:
    return (json.dumps(_finite(value), indent=indent, allow_nan=False) + "\n").encode()


def _finite(value: object) -> object:
    """Numbers that JSON does not know become null; numpy's become Python's."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if hasattr(value, "tolist"):  # numpy
        return _finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
