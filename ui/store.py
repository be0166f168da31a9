"""Runs as the page sees them: one gate to every run folder, and the queue that works them off."""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from tiw.data import load_in_child
from tiw.errors import UserInputError
from tiw.files import Unreadable, read_json, shipped
from tiw.run.folder import RunFolder
from tiw.run.index import RunIndex, RunSummary
from tiw.run.names import OWNER, RESULT
from tiw.run.queue import Jobs

from . import caps, gate, words
from .turns import turn

MOST_LINES = 2000
NAME = re.compile(r"(upload|run):([0-9a-f]{32})(?:/([^/\\\0]{1,100}))?")
OF_RUNS = ("biased.parquet", "reference.parquet", "model", "samples.npz", "ratio")  # what another run may start from
STARTING = threading.Lock()  # counted and started in one step
WATCHED = ("status.json", "steps.jsonl", "previews.jsonl", "result.json", "map.parquet", "rest.parquet")


EXAMPLE = shipped("assets") / "example"  # finished runs of the demo, of assets/build_example.py


@lru_cache(maxsize=1)
def jobs() -> Jobs:
    """The one queue of this process. Its worker runs one child process at a time; on a ZeroGPU Space the page does."""
    return Jobs(worker=not gate.zero_gpu(), allowed=lambda: gate.limits().run_minutes)  # the door opens after


def home() -> Path:
    """TIW_HOME: runs and uploads live here, out of reach of Gradio's file serving."""
    return jobs().folder.parent


@dataclass(frozen=True)
class Run(RunSummary):
    """A run as the page shows it: what the index keeps in memory, and what is read from its folder when asked for."""

    options: dict  # by name

    @cached_property
    def result(self) -> dict | None:
        """None before there is one, and for a file that was cut off: one damaged run must not stop the page."""
        found = _kept_result(self.path, stamp(self.path / RESULT)) if self.has_result else None
        return found if self.shipped else _for_visitor(found)

    @property
    def done(self) -> bool:
        return self.state == "finished" and self.result is not None

    @property
    def shipped(self) -> bool:
        """Computed before and shipped with the app: anyone may look, nobody may change it."""
        return self.path.parent == EXAMPLE

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path, self.kind, None)

    def lines(self, name: str) -> list[dict]:
        """The whole lines of one of its JSON-lines files; of a long one as many as a chart has room for."""
        return self.folder.read_lines(name, most=MOST_LINES)


@lru_cache(maxsize=16)
def _kept_result(path: Path, _changed: str) -> dict | None:
    with suppress(OSError, Unreadable):
        return read_json(path / RESULT)
    return None


def open_run(run_id: str) -> Run | None:
    """The only way from an id to a run: checks the id, that the run is there and can be read, and that this visitor may see it."""
    return _seen(_shipped(EXAMPLE).get(run_id) if run_id in examples().values() else jobs().summary(run_id))


def _seen(run: RunSummary | None) -> Run | None:
    if run is None or not run.readable or not gate.may_read(run.owner):
        return None
    return Run(**{**vars(run), "options": asdict(run.options), "status": _for_visitor(run.status)})


def _for_visitor(found: dict | None) -> dict | None:
    """What a run says, without the server's folders, which a public app does not name."""
    return json.loads(said(json.dumps(found, ensure_ascii=False))) if gate.public() else found


@lru_cache(maxsize=1)
def _shipped(folder: Path) -> RunIndex:
    return RunIndex(folder, lambda name: True)


@lru_cache(maxsize=1)
def examples() -> dict[str, str]:
    """Ids of the shipped runs by kind; empty where none are shipped."""
    return {run.kind: run.id for run in _shipped(EXAMPLE).listing() if run.readable}


def owner_of(folder: Path) -> str:
    """Whose run or upload this is; empty: the command line's."""
    return _kept_owner(folder) if (folder / OWNER).is_file() else ""


@lru_cache(maxsize=20_000)
def _kept_owner(folder: Path) -> str:
    return (folder / OWNER).read_text(encoding="utf-8")  # written with the folder, and never again


def own(run_id: str) -> Run:
    """A run that this visitor may change. Raises UserInputError for any other."""
    run = open_run(run_id)
    if run is None or not gate.may_change(owner_of(run.path)):
        raise UserInputError("run", "there is no run of yours with this id", "choose one from the list")
    return run


def stop(run_id: str) -> None:
    jobs().stop(own(run_id).id)


def resume(run_id: str) -> None:
    own(run_id)
    with STARTING:
        _check_waiting()
        jobs().resume(run_id)
    gate.log("resume", run=run_id, visitor=gate.short(gate.visitor()))


def describe(run_id: str, name: str, note: str) -> None:
    """Name a run of one's own, or note something about it."""
    run = own(run_id)
    run.folder.describe(name, note)


def delete(run_id: str) -> None:
    if not any(run.id == run_id and gate.may_change(run.owner) for run in unreadable_runs()):
        own(run_id)
    jobs().delete(run_id)
    gate.log("delete", run=run_id, visitor=gate.short(gate.visitor()))


def all_runs(kind: str | None = None) -> list[Run]:
    """Those that this visitor may see, newest first."""
    seen = (_seen(run) for run in jobs().listing() if kind is None or run.kind == kind)
    return [run for run in seen if run is not None]


def maker_of(model: str) -> Run | None:
    """The run of debias, of those that this visitor may see, whose model a comparison's options name."""
    return next((run for run in all_runs("debias") if Path(model).is_relative_to(run.path)), None)


def unreadable_runs() -> list[RunSummary]:
    """What lies among the runs and is none that this version can read: it can be deleted, and nothing else."""
    return [run for run in jobs().listing() if not run.readable and gate.may_read(run.owner)]


def signature(run_id: str) -> list:
    """Changes whenever the run has something new to show."""
    run = open_run(run_id)
    return [] if run is None else [run_id, jobs().position(run_id), *(stamp(run.path / name) for name in WATCHED)]


def changes() -> list:
    """Changes whenever a run is made, begins, ends or is deleted. Its cost does not grow with the number of runs."""
    return [stamp(jobs().folder), jobs().at_work()]


def stamp(path: Path) -> str:
    """Time of the last change; empty if the file is not there, or out of reach. Text, because a browser's numbers are too short for it."""
    try:
        return str(path.stat().st_mtime_ns)
    except OSError:  # a stale mount, a folder in which a file now stands, a name too long
        return ""


def submit(kind: str, **fields: object) -> str:
    """Queue a run with these options (those not named keep their defaults); its id at once. Raises UserInputError for what this visitor
    may not ask for: nothing has been done then."""
    options = caps.options(kind, fields, gate.limits(), located)
    _check_waiting()  # before the sets are read, which takes time
    _check_room()
    _check_sets(options)
    with STARTING:
        _check_waiting()
        run_id = jobs().submit(kind, options, gate.visitor())
    gate.log("submit", kind=kind, run=run_id, visitor=gate.short(gate.visitor()))
    return run_id


def _check_sets(options: object) -> None:
    """In a public app a visitor's images are read with bounds on time and memory before a run, which has none, may read them."""
    for role in ("biased", "reference", "data", "labels", "heldout") if gate.public() else ():
        if (place := getattr(options, role, "")) not in caps.NAMED:
            how = {"resolution": options.resolution, "skip_bad": options.skip_bad, "limits": gate.limits().of_sets()}
            load_in_child(place, role, **how, turn=turn)


def _check_waiting() -> None:
    """Only runs at work or waiting are looked at: to refuse ten thousand costs no more than to refuse one."""
    waiting = jobs().at_work()
    if sum(gate.may_change(owner_of(jobs().folder / run_id)) for run_id in waiting) >= gate.limits().waiting:
        raise UserInputError("run", f"{gate.limits().waiting} of yours have not finished", "wait for one, or stop it")
    if len(waiting) >= gate.limits().waiting_all:
        raise UserInputError("run", "too many are waiting here already", "try again later")


def _check_room() -> None:
    """What a visitor's runs have written stays until they are swept."""
    taken = sum(jobs().index.size(run.id) for run in jobs().listing() if gate.may_change(run.owner))
    if taken >= gate.limits().disk_runs:
        found = f"yours take {taken >> 20} MB, and {gate.limits().disk_runs >> 20} MB are allowed"
        raise UserInputError("run", found, "delete some of them")


def matching_audit(sets: dict) -> str:
    """Name of the newest audit of exactly these inputs that has a ratio; empty if there is none (a run then fits its own)."""
    with suppress(UserInputError):  # who may not use these inputs is told so when the run is submitted
        options = caps.options("audit", sets, gate.limits(), located)
        for run in all_runs("audit"):
            if run.result is not None and all(run.options[name] == getattr(options, name) for name in sets if not name.endswith("_name")):
                return named(run.path)
    return ""


def located(name: str, field: str) -> str:
    """Where the set or model lies that a visitor names so.

    upload:ID/FILE and run:ID/FILE are files of one's own. A path is a file of this computer, and in a public app only those are anybody's.
    Raises UserInputError for whatever this visitor may not use, in the same words as for what is not there.
    """
    parts = NAME.fullmatch(name)
    path = (home() / {"upload": "uploads", "run": "runs"}[parts[1]] / parts[2] / (parts[3] or "")) if parts else Path(name)
    if parts is None and not gate.public():
        return name
    if parts and parts[2] in examples().values() and parts[3] in (None, *OF_RUNS):
        return str(EXAMPLE / parts[2] / (parts[3] or ""))
    try:
        folder = path.relative_to(home())
    except ValueError:
        raise UserInputError(field, "this app opens no paths or names of its own", "upload a zip, or use the demo") from None
    own = len(folder.parts) in (2, 3) and folder.parts[0] in ("uploads", "runs") and ".." not in folder.parts
    if folder.parts[:1] == ("runs",):
        own = own and (len(folder.parts) == 2 or folder.parts[2] in OF_RUNS)
    place = home().joinpath(*folder.parts[:2])
    if not own or not path.exists() or path.is_symlink() or not gate.may_read(owner_of(place)):
        raise UserInputError(field, "nothing of yours has this name", "upload it again, or choose another run")
    return str(path)


def is_there(name: str) -> bool:
    """Whether this visitor has something of this name."""
    with suppress(UserInputError):
        return Path(located(name, "")).exists()
    return False


def named(path: Path) -> str:
    """What a browser calls a file of ours: no visitor learns where it lies."""
    if path.is_relative_to(EXAMPLE):
        return f"run:{'/'.join(path.relative_to(EXAMPLE).parts)}"
    kind, *rest = path.relative_to(home()).parts
    return f"{ {'uploads': 'upload', 'runs': 'run'}[kind] }:{'/'.join(rest)}"


def called(place: str) -> str:
    """The same for what a run's options hold: a path, or a word."""
    return named(Path(place)) if Path(place).is_relative_to(home()) else place


def plain(problem: UserInputError) -> str:
    """A user's error in the page's words, for this visitor."""
    return said(words.plain(problem))


def said(text: object) -> str:
    """A sentence for a visitor: a public app does not tell where its folders are."""
    hidden = (str(home()), str(Path(__file__).parents[1]), str(Path.home())) if gate.public() else ()
    for folder in hidden:  # as a whole: the letters of a picture in a report may spell a short one
        text = re.sub(rf"(?<![\w+]){re.escape(folder)}(?![\w+])", "…", str(text)) if folder != "/" else text
    return str(text)
