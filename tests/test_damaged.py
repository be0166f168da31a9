"""Damaged state stops nothing: what cannot be read is skipped, shown as unreadable, and can be deleted. No torch here."""

import errno
import json
import os

import pytest

from tiw.errors import UserInputError
from tiw.files import Unreadable, read_json, write_atomic
from tiw.run import folder, index
from tiw.run import queue as jobs_module
from tiw.run.execute import execute
from tiw.run.folder import RunFolder
from tiw.run.index import UNREADABLE, RunIndex
from tiw.run.options import AuditOptions, DebiasOptions
from tiw.run.queue import RUN_ID, Jobs

DEEP = "[" * 100_000
BROKEN = ["", "[]", "null", "{", DEEP, '{"a": ' * 50_000, "7", '"text"', "\x00\xff"]
GOOD, BAD = "a" * 32, "b" * 32


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs_module, "DISK_NEEDED", 0)
    finished(tmp_path / "home" / "runs" / GOOD)
    return tmp_path / "home"


def finished(path, options=None):
    run = RunFolder.create(path, "audit", options or AuditOptions())
    run.write_result({"n": 1})
    run.write_status(state="finished", stage="Finished")
    return run


def look(home):
    """What a new app on this home shows, and that it can delete what is broken."""
    jobs = Jobs(home)
    try:
        shown = {run.id: run for run in jobs.listing()}
        assert shown[GOOD].state == "finished"
        assert jobs.summary(BAD) == shown[BAD]
        jobs.index.size(BAD)
        jobs.delete(BAD)
        assert [run.id for run in jobs.listing()] == [GOOD] and not (home / "runs" / BAD).exists()
        return shown[BAD]
    finally:
        jobs.close()


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_no_json_object(tmp_path, text):
    (tmp_path / "file.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(Unreadable):
        read_json(tmp_path / "file.json")


@pytest.mark.parametrize("text", [*BROKEN, '{"state": "dancing"}', '{"state": ["queued"]}', "{}"])
def test_a_run_whose_status_is_broken_is_interrupted(home, text):
    run = RunFolder.create(home / "runs" / BAD, "audit", AuditOptions())
    (run.path / "status.json").write_bytes(text.encode("latin-1"))
    assert run.status()["state"] == "interrupted" and run.status()["message"] == "Its status was lost."
    assert look(home).state == "interrupted"


def test_every_field_of_a_status_is_of_its_type_whatever_the_file_holds(home):
    run = RunFolder.create(home / "runs" / BAD, "audit", AuditOptions())
    raw = {"state": "failed", "done": "x", "total": True, "eta_seconds": 1e400, "message": 5, "started": "2020", "created": None, "pid": {}}
    (run.path / "status.json").write_text(json.dumps(raw))
    status = run.status()
    assert {name: status[name] for name in raw if name != "created"} == {
        **{"state": "failed", "done": 0, "total": 0, "eta_seconds": None, "message": "", "started": None, "pid": None}
    }
    assert status["created"] > "2020"
    run.write_result({})
    assert look(home).state == "failed"


@pytest.mark.parametrize("text", [*BROKEN, "{}", '{"kind": "audit"}', '{"kind": "paint", "options": {}}', None])
def test_a_config_that_cannot_be_read_is_shown_as_unreadable(home, text):
    (home / "runs" / BAD).mkdir()
    if text is not None:
        (home / "runs" / BAD / "config.json").write_bytes(text.encode("latin-1"))
    shown = look(home)
    assert (shown.kind, shown.options, shown.readable, shown.state) == (UNREADABLE, None, False, "failed")
    assert shown.status["message"].endswith(".") and BAD in shown.status["message"]


def test_an_unreadable_run_is_not_resumed(home):
    (home / "runs" / BAD).mkdir()
    jobs = Jobs(home)
    try:
        for action in (jobs.open, jobs.resume, jobs.stop):
            with pytest.raises(UserInputError, match="no readable config"):
                action(BAD)
    finally:
        jobs.close()


@pytest.mark.parametrize("text", ["", '{"n": 1, "lev', "[1, 2]", '{"n": ' + DEEP])
def test_a_run_whose_result_is_cut_has_failed_and_is_done_again(tmp_path, work, text):
    run = finished(tmp_path / "run")
    (run.path / "result.json").write_text(text)
    assert run.result() is None
    assert run.status()["state"] == "failed" or text.endswith("]")
    if run.status()["state"] == "failed":
        assert "cannot be read" in run.status()["message"]
        work(lambda *_: {"n": 2})
        assert execute(run) == 0 and run.result()["n"] == 2 and run.status()["state"] == "finished"


def test_cut_lines_are_left_out(tmp_path):
    run = RunFolder.create(tmp_path / "run", "audit", AuditOptions())
    (run.path / "steps.jsonl").write_bytes(b'{"step": 1}\n{"step": 2, "lo\n[3]\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"step": 4}\n{"st')
    assert run.read_lines("steps.jsonl") == [{"step": 1}, {"step": 4}]


def test_a_disk_that_is_full_to_the_end_leaves_no_run_at_work(tmp_path, work, monkeypatch):
    """Neither the work nor its outcome can be written; once there is room the run is interrupted, and done again."""
    run = RunFolder.create(tmp_path / "run", "audit", AuditOptions())

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(run, options):
        monkeypatch.setattr(folder, "write_atomic", full)
        run.append("steps.jsonl", {})
        full()

    work(fill)
    assert execute(run) == 1
    monkeypatch.setattr(folder, "write_atomic", write_atomic)
    assert run.status()["state"] == "interrupted"
    work(lambda *_: {})
    assert execute(run) == 0 and run.status()["state"] == "finished"


def test_what_a_killed_process_was_writing_is_removed(tmp_path, work):
    run = RunFolder.create(tmp_path / "run", "audit", AuditOptions())
    for name in (".status.json.1-2.partial", "checkpoint.partial"):
        (run.path / name).write_bytes(b"half")
    work(lambda *_: {})
    execute(run)
    assert not list(run.path.glob("*.partial"))


# --- the index


def filled(path, n):
    for number in range(n):
        finished(path / f"{number:032x}")
    return RunIndex(path, RUN_ID.fullmatch)


def settle(monkeypatch, runs):
    """As if the last change were some seconds old."""
    runs.listing()
    os.utime(runs.folder, (1e9, 1e9))
    runs.listing()
    return runs


def test_what_a_look_costs_does_not_grow_with_the_runs_ever_made_and_it_writes_nothing(tmp_path, monkeypatch):
    looked = []
    for n in (3, 30):
        runs = settle(monkeypatch, filled(tmp_path / str(n), n))
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / str(n)).rglob("*")}
        calls = []
        with monkeypatch.context() as patch:
            for name in ("stamp", "_mark"):  # of the folder, and of each file of a run
                ask = getattr(index, name)
                patch.setattr(index, name, lambda path, ask=ask, calls=calls: (calls.append(path), ask(path))[1])
            patch.setattr(index.os, "scandir", lambda path: pytest.fail("read the whole folder"))
            version = runs.version()
            assert len(runs.listing()) == n and runs.version() == version and runs.get("0" * 32).state == "finished"
        looked.append(len(calls))
        assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / str(n)).rglob("*")}
    assert looked[0] == looked[1]


def test_a_look_sees_what_others_do(tmp_path, monkeypatch):
    runs = settle(monkeypatch, filled(tmp_path, 2))
    version = runs.version()
    run = RunFolder.create(tmp_path / ("c" * 32), "debias", DebiasOptions())
    assert [run.state for run in runs.listing()][:1] == ["queued"] and runs.version() > version
    version = runs.version()
    run.progress("Training", 1, 10)
    assert runs.listing()[0].status["done"] == 1 and runs.version() == version  # progress alone is no news for a list
    run.write_status(state="failed", message="why")
    assert (runs.listing()[0].state, runs.listing()[0].status["message"]) == ("failed", "why") and runs.version() > version
    run.describe(name="one  more\ntry", note="with a lower rate")
    assert (runs.get("c" * 32).name, runs.get("c" * 32).note) == ("one more try", "with a lower rate")
    run.delete()
    assert len(runs.listing()) == 2 and runs.get("c" * 32) is None
    monkeypatch.setattr(index, "WHOLE_SECONDS", 0.0)
    RunFolder.open(tmp_path / ("0" * 32)).write_status(state="stopped")  # taken up by hand, elsewhere
    assert {run.state for run in runs.listing()} == {"finished", "stopped"}


def test_a_queued_run_that_waits_nowhere_is_interrupted(tmp_path):
    RunFolder.create(tmp_path / GOOD, "audit", AuditOptions())
    assert [run.state for run in RunIndex(tmp_path, RUN_ID.fullmatch, lambda _: False).listing()] == ["interrupted"]


def test_a_name_or_note_that_is_too_long_is_refused(tmp_path):
    run = RunFolder.create(tmp_path, "audit", AuditOptions())
    for words in ({"name": "x" * 81}, {"note": "x" * 2001}):
        with pytest.raises(UserInputError, match="at most"):
            run.describe(**words)
    (run.path / "about.json").write_text('{"name": 5, "note": "' + "y" * 5000 + '"}')
    assert run.about() == ("", "y" * 2000)


def test_a_run_needs_what_its_options_name_and_what_lists_of_rows_there_are_made_of(home):
    uploads = home / "uploads"
    (uploads / "rows").mkdir(parents=True)
    (uploads / "rows" / "biased.json").write_text(json.dumps({"source": str(uploads / "one" / "images.zip"), "rows": [1]}))
    (uploads / "rows" / "broken.json").write_text(DEEP)
    options = {"biased": str(uploads / "rows" / "biased.json"), "reference": str(uploads / "rows" / "broken.json")}
    finished(home / "runs" / BAD, AuditOptions(**options))
    jobs = Jobs(home)
    try:
        needed = {name: [run.id for run in jobs.needed_by(uploads / name)] for name in ("one", "rows", "two", "on")}
        assert needed == {"one": [BAD], "rows": [BAD], "two": [], "on": []}
    finally:
        jobs.close()


def test_a_deletion_that_was_cut_short_is_completed_at_the_next_start(home):
    left = home / "runs" / f".deleted-{BAD}"
    left.mkdir()
    (left / "weights").write_bytes(b"x")
    Jobs(home).close()
    assert not left.exists()
