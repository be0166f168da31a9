"""The run folder: every action leaves one, with its config first, its status while it works and its result at the end."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path

from .. import __version__
from ..errors import UserInputError
from ..files import write_atomic
from .options import OPTIONS, validate

SCHEMA_VERSION = 1
STATES = ("queued", "running", "stopping", "stopped", "finished", "failed", "interrupted")


class Stopped(Exception):  # noqa: N818  (asked for, not an error)
    """Raised by a command that was asked to stop, once its state is saved."""


def now() -> str:
    """Coordinated universal time, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class RunFolder:
    """One run. Made with `create` or `open`."""

    path: Path
    kind: str
    options: object  # of tiw.run.options.OPTIONS[kind]
    parent: RunFolder | None = None  # the run that this one is a part of
    leader: Path | None = None  # the first process's run folder, where this is the throw-away one of another process

    @property
    def shared(self) -> Path:
        """Where the files lie that every process of the run reads."""
        return self.leader or self.path

    @classmethod
    def create(cls, path: str | Path, kind: str, options: object) -> RunFolder:
        """Start a run in `path`, or take up the one that is there with the same options.

        Raises UserInputError for bad options, for a folder that holds a run with other options, and for one that cannot be written.
        """
        path = Path(path)
        if (path / "config.json").is_file():
            there = cls.open(path)
            if there.kind != kind:
                raise UserInputError("out", f"{path} holds a run of {there.kind}, not of {kind}", "choose another folder")
            for field in fields(options):
                old, new = getattr(there.options, field.name), getattr(options, field.name)
                if old != new:
                    fix = "choose another folder, or repeat the options to resume"
                    raise UserInputError("out", f"{path} holds a run with {field.name} {old!r}, this one has {new!r}", fix)
            return there
        validate(kind, options)
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
            kind, given = str(raw["kind"]), dict(raw["options"])
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

    def part(self, kind: str, options: object) -> RunFolder:
        """An action that this one consists of, in a folder of its own below: its progress is this run's, and so is a stop."""
        return replace(RunFolder.create(self.path / kind, kind, options), parent=self)

    def status(self) -> dict:
        """What status.json says; an empty dict before the first write. A run at work that was asked to stop is `stopping`, one whose
        status was lost with the machine's power is `interrupted`."""
        try:
            status = json.loads((self.path / "status.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            return {**_BLANK, "state": "interrupted", "stage": "Interrupted", "message": "Its status was lost.", "created": now()}
        # Derived, so that only the process at work writes the file and no state is lost between two writers.
        return {**status, "state": "stopping"} if status["state"] == "running" and self.stop_requested() else status

    def write_status(self, lasting: bool = True, **changes: object) -> None:
        """Change some fields of status.json, atomically."""
        status = {**_BLANK, "created": now(), **self.status(), **changes, "updated": now()}
        assert status["state"] in STATES, status["state"]
        write_atomic(self.path / "status.json", _json(status), lasting)

    def progress(self, stage: str, done: int, total: int, eta_seconds: float | None = None) -> None:
        """Say what is being done and how far it is; at most five writes a second, but every new stage."""
        if self.parent is not None:
            self.parent.progress(stage, done, total, eta_seconds)
            return
        key, clock = str(self.path), time.monotonic()
        last_stage, last_time, stage_began = _PROGRESS.get(key, ("", 0.0, clock))
        if stage != last_stage:
            stage_began = clock
        elif clock - last_time < 0.2 and done < total:
            return
        if eta_seconds is None and done and clock - stage_began > 2:
            eta_seconds = (clock - stage_began) / done * (total - done)
        _PROGRESS[key] = (stage, clock, stage_began)
        self.write_status(lasting=False, stage=stage, done=done, total=total, eta_seconds=eta_seconds)
        if ON_PROGRESS is not None:
            ON_PROGRESS(stage, done, total)

    def request_stop(self) -> None:
        """Ask whoever works on the run to save its state and end. The time of the first request stands."""
        if not (self.path / "stop").exists():
            (self.path / "stop").touch()
            if (self.path / "status.json").exists():
                os.utime(self.path / "status.json")  # those who watch the file learn of it

    def stop_requested(self) -> bool:
        return (self.path / "stop").exists() or (self.parent is not None and self.parent.stop_requested())

    def forget_stop(self) -> None:
        (self.path / "stop").unlink(missing_ok=True)

    def append(self, name: str, line: dict) -> None:
        """One JSON line at the end of a file, there for every reader when this returns."""
        with (self.path / name).open("ab") as file:
            file.write(_json(line, indent=None))

    def read_lines(self, name: str, most: int = 0) -> list[dict]:
        """The whole lines of a JSON-lines file; a last one without its line end is still being written.

        Of more than `most` (0: all are wanted) about so many at even distances, and the last one.
        """
        path = self.path / name
        if not path.is_file():
            return []
        text = path.read_text(encoding="utf-8")
        lines = [line for line in text[: text.rfind("\n") + 1].splitlines() if line]
        if most and len(lines) > most:
            lines = [*lines[: -1 : math.ceil(len(lines) / most)], lines[-1]]
        return [json.loads(line) for line in lines]

    def write_result(self, result: dict) -> None:
        """Write result.json; schema version, kind and the seconds since the start are added. May be called before the end, too."""
        started = self.status().get("started")
        seconds = started and (datetime.now(timezone.utc) - datetime.fromisoformat(started)).total_seconds()
        about = {"schema_version": SCHEMA_VERSION, "kind": self.kind, "seconds": seconds}
        write_atomic(self.path / "result.json", _json({**about, **result}))

    def result(self) -> dict | None:
        path = self.path / "result.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def disk_bytes(self) -> int:
        """Bytes in its files; one that vanishes meanwhile counts nothing."""
        total = 0
        for file in self.path.rglob("*"):
            with suppress(FileNotFoundError):
                total += file.stat().st_size if file.is_file() else 0
        return total

    def delete(self) -> None:
        shutil.rmtree(self.path)


_BLANK = {"state": "queued", "stage": "", "done": 0, "total": 0, "eta_seconds": None, "message": "", "pid": None, "started": None}
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
