"""The run folder: every action leaves one, with its config first, its status while it works and its result at the end."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UserInputError
from ..files import Unreadable, held, read_json, write_atomic
from . import names
from .options import OPTIONS, validate
from .status import BLANK, LOST, STATES, made, now, sound
from .versions import machine, package_versions

SCHEMA_VERSION = 1
LONGEST_NAME, LONGEST_NOTE = 80, 2000  # characters


class Stopped(Exception):  # noqa: N818  (asked for, not an error)
    """Raised by a command that was asked to stop, once its state is saved."""


@dataclass(frozen=True)
class RunFolder:
    """One run. Made with `create` or `open`."""

    path: Path
    kind: str
    options: Any  # of tiw.run.options.OPTIONS[kind]
    parent: RunFolder | None = None  # the run that this one is a part of
    leader: Path | None = None  # the first process's run folder, where this is the throw-away one of another process

    @property
    def shared(self) -> Path:
        """Where the files lie that every process of the run reads."""
        return self.leader or self.path

    @classmethod
    def create(cls, path: str | Path, kind: str, options: Any) -> RunFolder:
        """Start a run in `path`, or take up the one that is there with the same options.

        Raises UserInputError for bad options, for a folder that holds a run with other options, and for one that cannot be written.
        """
        path = Path(path)
        if (path / names.CONFIG).is_file():
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
            write_atomic(path / names.CONFIG, _json(config))
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
            raw = read_json(path / names.CONFIG)
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
        """What status.json says, and what is known beside it; every field is there and of its type, whatever the file holds.

        A run at work that was asked to stop is `stopping`. One whose process has ended without a word, or whose status was lost, is
        `interrupted`, and one whose result was lost has `failed`.
        """
        status = self.written_status()
        if status["state"] in ("running", "stopping") and not self.at_work():
            status = self.written_status()  # it may have ended in between
            if status["state"] in ("running", "stopping"):
                message = "Its process ended before it could say why: it was killed, the machine was switched off, or the disk was full."
                return {**status, **LOST, "message": message}
        # Derived, so that only the process at work writes the file and no state is lost between two writers.
        if status["state"] == "running" and self.stop_requested():
            return {**status, "state": "stopping"}
        if status["state"] == "finished" and not self._has_result():
            message = "Its result is missing or cannot be read: start it again to make it anew, or delete it."
            return {**status, "state": "failed", "stage": "Failed", "message": message}
        return status

    def written_status(self) -> dict:
        """status.json, with something sound in place of what cannot be read."""
        try:
            return sound(read_json(self.path / names.STATUS), self.path)
        except (FileNotFoundError, Unreadable):
            return {**BLANK, **LOST, "message": "Its status was lost.", "created": made(self.path)}

    def at_work(self) -> bool:
        """Whether a living process works on the run."""
        return self.parent.at_work() if self.parent is not None else held(self.path / names.LOCK)

    def write_status(self, lasting: bool = True, **changes: object) -> None:
        """Change some fields of status.json, atomically."""
        there = (self.path / names.STATUS).is_file()
        status = {**(self.written_status() if there else {**BLANK, "created": now()}), **changes, "updated": now()}
        assert status["state"] in STATES, status["state"]
        write_atomic(self.path / names.STATUS, _json(status), lasting)

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

    def saved(self, step: int) -> None:
        """Say that a checkpoint holds this step: what is lost when the process is killed."""
        (self.parent or self).write_status(lasting=False, saved=step)

    def request_stop(self, why: str = "") -> None:
        """Ask whoever works on the run to save its state and end. The first request stands, with its time and its reason: nobody needs to
        be told one of their own."""
        if not self.stop_asked():
            (self.path / names.STOP).write_text(why, encoding="utf-8")
            if (self.path / names.STATUS).exists():
                os.utime(self.path / names.STATUS)  # those who watch the file learn of it

    def stop_requested(self) -> bool:
        """Whether somebody asked this run, or the one that it is a part of, to stop, or its slice of time is over."""
        return self.stop_asked() or time.monotonic() > SLICE_ENDS or (self.parent is not None and self.parent.stop_requested())

    def stop_asked(self) -> bool:
        """Whether somebody asked this very run to stop."""
        return (self.path / names.STOP).exists()

    def stop_reason(self) -> str:
        """Why it was asked to stop; empty where whoever asked knows."""
        try:
            return (self.path / names.STOP).read_text(encoding="utf-8")
        except OSError:
            return ""

    def forget_stop(self) -> None:
        """Take a request to stop back, before the run is taken up again."""
        (self.path / names.STOP).unlink(missing_ok=True)

    def append(self, name: str, line: dict) -> None:
        """One JSON line at the end of a file, there for every reader when this returns."""
        with (self.path / name).open("ab") as file:
            file.write(_json(line, indent=None))

    def read_lines(self, name: str, most: int = 0) -> list[dict]:
        """The whole lines of a JSON-lines file; a last one without its line end is still being written.

        Of more than `most` (0: all are wanted) about so many at even distances, and the last one.
        """
        try:
            text = (self.path / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        lines = [line for line in text[: text.rfind("\n") + 1].splitlines() if line]
        if most and len(lines) > most:
            lines = [*lines[: -1 : math.ceil(len(lines) / most)], lines[-1]]
        return [parsed for line in lines if (parsed := _object(line)) is not None]

    def write_result(self, result: dict) -> None:
        """Write result.json; schema version, kind, the seconds since the start, versions and machine are added where it has none of its
        own. May be called before the end, too."""
        started = self.written_status()["started"]
        seconds = started and (datetime.now(timezone.utc) - datetime.fromisoformat(started)).total_seconds()
        about = {"schema_version": SCHEMA_VERSION, "kind": self.kind, "seconds": seconds}
        about |= {"versions": package_versions(), "machine": machine()}
        write_atomic(self.path / names.RESULT, _json({**about, **result}))

    def result(self) -> dict | None:
        """result.json; None where there is none yet, or none that can be read."""
        try:
            return read_json(self.path / names.RESULT)
        except (FileNotFoundError, Unreadable):
            return None

    def _has_result(self) -> bool:
        """Whether result.json is there and has its end."""
        try:
            with (self.path / names.RESULT).open("rb") as file:
                file.seek(-min(16, file.seek(0, os.SEEK_END)), os.SEEK_END)
                return file.read().rstrip().endswith(b"}")
        except OSError:
            return False

    def about(self) -> tuple[str, str]:
        """Name and note that a person gave the run; empty where none were given."""
        try:
            raw = read_json(self.path / names.ABOUT)
        except (FileNotFoundError, Unreadable):
            return "", ""
        name, note = (value if isinstance(value := raw.get(key), str) else "" for key in ("name", "note"))
        return name[:LONGEST_NAME], note[:LONGEST_NOTE]

    def describe(self, name: str = "", note: str = "") -> None:
        """Give the run a name, in one line, and a note; both may be changed at any time. Raises UserInputError where they are too long."""
        for field, text, longest in (("name", name, LONGEST_NAME), ("note", note, LONGEST_NOTE)):
            if len(text) > longest:
                raise UserInputError(field, f"it has {len(text)} characters", f"give {longest} at most")
        write_atomic(self.path / names.ABOUT, _json({"name": " ".join(name.split()), "note": note.strip()}))

    def disk_bytes(self) -> int:
        """Bytes in its files; one that vanishes meanwhile counts nothing."""
        total = 0
        for file in self.path.rglob("*"):
            with suppress(OSError):
                total += file.stat().st_size if file.is_file() else 0
        return total

    def delete(self) -> None:
        """Remove the folder with everything in it. Raises UserInputError where that is not allowed."""
        remove(self.path)


def remove(path: Path) -> None:
    """Remove a run's folder: gone at once for every reader. Raises UserInputError where that is not allowed."""
    try:
        if path.is_symlink():
            path.unlink()
            return
        gone = path.with_name(f".deleted-{path.name}")
        path.replace(gone)
        shutil.rmtree(gone)
    except OSError as error:
        raise UserInputError("run", f"{path.name} cannot be deleted ({error.strerror})", "look who owns its files") from error


_PROGRESS: dict[str, tuple[str, float, float]] = {}  # per folder: stage, time of the last write, when the stage began
SLICE_ENDS = math.inf  # on the monotonic clock: when this process must have saved its state (`execute`)
ON_PROGRESS: Callable[[str, int, int], None] | None = None  # the command line puts its progress bar here


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


def _object(line: str) -> dict | None:
    """The JSON object on a line; None for anything else."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
