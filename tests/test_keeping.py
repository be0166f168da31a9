"""What a public app keeps of its visitors: how much, and for how long."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import pytest

from tiw.data import Cancelled, child
from tiw.errors import UserInputError
from tiw.run.folder import RunFolder
from tiw.run.options import AuditOptions
from ui import gate, keeping, loading, pictures, turns

HOUR = 3600.0


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store of a public app in an empty home. Nothing works off its queue."""
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    from ui import store

    store.jobs.cache_clear()
    store.jobs()
    monkeypatch.setattr(gate, "DOOR", gate.DOOR)
    gate.open_door(True, store.home())
    yield store
    store.jobs().close()
    store.jobs.cache_clear()


@contextmanager
def acting(who):
    token = gate.HERE.set(who)
    try:
        yield
    finally:
        gate.HERE.reset(token)


def uploaded(store, tmp_path, size=1000, name="a.zip"):
    (tmp_path / name).write_bytes(bytes(size))
    return keeping.keep_upload([str(tmp_path / name)]).split(":")[1].split("/")[0]


def aged(folder, hours):
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - hours * HOUR,) * 2)


def audit_of(store, name, upload="", state="finished"):
    run = RunFolder.create(store.jobs().folder / (name * 32), "audit", AuditOptions(biased=upload or "demo"))
    run.write_status(state=state)
    if state == "finished":
        run.write_result({})
    return run.path


def test_old_runs_and_uploads_go_and_what_is_needed_or_new_stays(store, tmp_path):
    with acting("visitor a"):
        unused, used, fresh = (uploaded(store, tmp_path) for _ in range(3))
    uploads = store.home() / "uploads"
    old, new = audit_of(store, "a"), audit_of(store, "b", str(uploads / used / "a.zip"))
    pixels = store.home() / "cache" / "sets" / ("c" * 32)
    left, coming = store.home() / "incoming" / "left", store.home() / "incoming" / "coming"
    for folder in (pixels, left, coming):
        folder.mkdir(parents=True)
    (pixels / "about.json").write_text("{}")
    hours = gate.limits().kept_hours + 1
    for folder in (old, uploads / unused, uploads / used, pixels):
        aged(folder, hours)
    aged(left, 2)
    keeping.sweep()
    assert not any(folder.exists() for folder in (old, uploads / unused, pixels, left))
    assert all(folder.exists() for folder in (new, uploads / used, uploads / fresh, coming))
    aged(new, hours)
    keeping.sweep()
    keeping.sweep()  # what a run needed goes after it
    assert not new.exists() and not (uploads / used).exists()


@pytest.mark.parametrize("place", ["incoming", "temporary"])
def test_what_was_left_on_its_way_goes_and_what_is_in_use_stays(store, place):
    """A file that broke off, a folder that a process which was killed has left; a folder whose newest file lies deep in it."""
    folder = store.home() / place
    for name in ("left/deep", "used/deep"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a").write_text("x")
    for name in ("broken-off", "coming"):
        (folder / name).write_text("x")
    aged(folder, 2)
    os.utime(folder / "used" / "deep" / "a")
    os.utime(folder / "coming")
    keeping.sweep()
    assert {path.name for path in folder.iterdir()} == {"used", "coming"}


def test_a_run_at_work_is_never_swept(store, tmp_path):
    from filelock import FileLock

    run = audit_of(store, "a", state="running")
    with FileLock(run / "lock"):  # as its process does
        aged(run, gate.limits().kept_hours + 1)
        keeping.sweep()
        assert run.exists()


def test_an_own_machine_keeps_everything(store, tmp_path):
    gate.open_door(False, store.home())
    upload, run = store.home() / "uploads" / uploaded(store, tmp_path), audit_of(store, "a")
    for folder in (upload, run):
        aged(folder, 24 * 365)
    keeping.sweep()
    assert upload.exists() and run.exists()


def test_only_files_of_ones_own_that_are_sets_or_models_are_located(store, tmp_path):
    """A visitor whose own upload is the way to everyone's, to the key or to a link that somebody else has laid."""
    with acting("visitor b"):
        others = uploaded(store, tmp_path)
    with acting("visitor a"):
        own = uploaded(store, tmp_path)
        home, run = store.home(), audit_of(store, "a")
        (run / "owner").write_text("visitor a")
        (run / "model").mkdir()
        (home / "uploads" / own / "link.zip").symlink_to(home / "uploads" / others / "a.zip")
        for name in (f"upload:{own}/a.zip", f"upload:{own}", f"run:{run.name}/model"):
            assert store.located(name, "biased") == str(home / name.replace("upload:", "uploads/").replace("run:", "runs/"))
        (home / "cache" / "mine").mkdir(parents=True)
        (home / "cache" / "mine" / "owner").write_text("visitor a")
        wrong = (f"{own}/..", f"{own}/link.zip", f"{own}/gone.zip", f"{others}/a.zip", others, "../secret")
        places = (
            ".",
            "uploads",
            "runs",
            "secret",
            "cache/mine",
            f"uploads/{own}/..",
            f"uploads/{own}/../{others}/a.zip",
            f"runs/{run.name}/owner",
        )
        for name in (
            *(f"upload:{name}" for name in wrong),
            *(f"run:{run.name}/{name}" for name in ("owner", "status.json", "..", "config.json")),
            *(str(home / place) for place in places),
            str(tmp_path),
            "hub:a/b",
        ):
            with pytest.raises(UserInputError, match=r"nothing of yours has this name|this app opens no paths"):
                store.located(name, "biased")


def test_each_visitor_has_a_quota_and_fills_nobody_elses(store, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, uploads=3, disk=2500)))
    uploads = store.home() / "uploads"
    with acting("visitor b"):
        others = [uploaded(store, tmp_path) for _ in range(2)]
    with acting("visitor a"):
        first, second = uploaded(store, tmp_path), uploaded(store, tmp_path)
        aged(uploads / first, 1)
        third = uploaded(store, tmp_path)  # no room for three: the oldest makes room
        assert {first, second, third} & {path.name for path in uploads.iterdir()} == {second, third}
        audit_of(store, "a", str(uploads / second / "a.zip"))
        audit_of(store, "b", str(uploads / third / "a.zip"))
        with pytest.raises(UserInputError, match="as much as this app allows"):  # runs need them
            uploaded(store, tmp_path)
    assert all((uploads / name).exists() for name in others)


@pytest.mark.parametrize(
    ("bounds", "sentence"), [({"uploads": 2}, "2 files"), ({"disk": 2500}, "2 files"), ({"upload": 999}, "it has 0 MB")]
)
def test_each_bound_of_a_visitor_holds_by_itself(store, tmp_path, monkeypatch, bounds, sentence):
    with acting("visitor a"):
        for name in "ab":
            audit_of(store, name, str(store.home() / "uploads" / uploaded(store, tmp_path) / "a.zip"))
        monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, **bounds)))
        with pytest.raises(UserInputError, match=sentence):
            uploaded(store, tmp_path)
    assert not (tmp_path / "a.zip").exists() and len(list((store.home() / "uploads").iterdir())) == 2


@pytest.mark.parametrize("bounds", [{"uploads_all": 2}, {"disk_all": 2500}])
def test_each_bound_of_all_visitors_holds_by_itself(store, tmp_path, monkeypatch, bounds):
    monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, **bounds)))
    for who in "ab":
        with acting(f"visitor {who}"):
            uploaded(store, tmp_path)
    with acting("visitor c"), pytest.raises(UserInputError, match="keeps as many files as it can"):
        uploaded(store, tmp_path)


@pytest.fixture
def reads(store, tmp_path, monkeypatch):
    """reads(who, way, side): starts to read the set of this visitor at this size, by one of the page's ways; what becomes of it. Each
    reading is told to `at_work` and goes on until `goes_on`, when it says that it was read."""
    at_work, most, goes_on, places = [], Counter(), Event(), {}
    pictures.image_set.cache_clear()
    for who in "abcd":
        with acting(who):
            places[who] = str(store.home() / "uploads" / uploaded(store, tmp_path) / "a.zip")

    def run(folder, wanted, limits, role, *_how):
        at_work.append(gate.visitor())
        most["of all"] = max(most["of all"], len(at_work))
        most["of one"] = max(most["of one"], *Counter(at_work).values())
        goes_on.wait(20)
        at_work.remove(gate.visitor())
        raise UserInputError(role, "it was read", "")

    def read(who, way, side):
        sets = {"biased": places[who], "resolution": side, "skip_bad": False, "references": 0}
        ways = {
            "shown": lambda: pictures.open_set(sets, "biased"),
            "loaded": lambda: loading.Reading(sets)._open(sets, "biased"),
            "submitted": lambda: store._check_sets(AuditOptions(biased=places[who], resolution=side)),
        }
        with acting(who), pytest.raises(UserInputError) as said:
            ways[way]()
        return str(said.value)

    monkeypatch.setattr(child, "_run", run)
    with ThreadPoolExecutor(8) as threads:
        yield SimpleNamespace(start=lambda *how: threads.submit(read, *how), at_work=at_work, most=most, goes_on=goes_on)
        goes_on.set()


def at_most(monkeypatch, **bounds):
    monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, **bounds)))


def test_few_sets_are_read_at_once_and_one_of_a_visitor(reads, monkeypatch):
    """Another size was another key, and so another process: one visitor took all the memory there is."""
    at_most(monkeypatch, readers=2)
    all_of_a = [reads.start("a", way, 16 + k) for k, way in enumerate(("shown", "loaded", "submitted"))]
    others = [reads.start(who, "shown", 16) for who in "bcd"]
    end = time.monotonic() + 10
    while len(reads.at_work) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.3)
    reads.goes_on.set()
    assert all("it was read" in one.result(20) for one in (*all_of_a, *others))
    assert reads.most == {"of all": 2, "of one": 1} and turns._AT_WORK == turns._IN_LINE == []


def test_who_waits_too_long_or_too_often_to_have_a_set_read_is_told_so(reads, monkeypatch):
    at_most(monkeypatch, readers=1, reading=0.5)
    monkeypatch.setattr(turns, "WAITING", 2)
    first = reads.start("a", "shown", 16)
    while not reads.at_work:
        time.sleep(0.01)
    late = [reads.start("b", "shown", 16 + k) for k in range(3)]
    said = sorted(one.result(20).split(", ")[0] for one in late)
    assert ["wait to be read already" in said[k] for k in range(3)] == [True, False, False], said
    assert "this app reads as many sets as it can" in said[1] and reads.at_work == ["a"]
    reads.goes_on.set()
    assert "it was read" in first.result(20) and turns._IN_LINE == []


def test_who_cancels_waits_no_more_and_an_own_machine_has_no_turns(store, monkeypatch):
    at_most(monkeypatch, readers=0)
    with pytest.raises(Cancelled), turns.turn("biased", lambda: True):
        pass
    assert turns._IN_LINE == []
    gate.open_door(False, store.home())
    at_most(monkeypatch, readers=0)
    with turns.turn("biased", lambda: True):
        assert turns._AT_WORK == []


@pytest.mark.parametrize("name", [".. <b>=1;x.zip", ".hidden.zip", "a\nb.zip", "x" * 200 + ".zip", "ä 1 (2).zip"])
def test_an_upload_is_called_by_letters_that_no_table_or_page_minds(store, tmp_path, name):
    with acting("visitor a"):
        (tmp_path / name).write_bytes(b"x")
        kept = keeping.keep_upload([str(tmp_path / name)]).split("/")[1]
    assert not set(kept) & set("<>;=\n/") and kept.endswith(".zip") and not kept.startswith(".") and len(kept) <= 80


def test_few_runs_wait_whoever_asked_for_them(store, monkeypatch):
    waiting = [audit_of(store, name, state="queued") for name in "abc"]
    for run, who in zip(waiting, "xyz", strict=True):
        (run / "owner").write_text(f"visitor {who}")
    monkeypatch.setattr(store.jobs(), "at_work", lambda: [run.name for run in waiting])
    monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, waiting=2, waiting_all=4)))
    with acting("visitor a"):
        store._check_waiting()
        monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, waiting_all=3)))
        with pytest.raises(UserInputError, match="too many are waiting here already"):
            store._check_waiting()
    monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, waiting=1, waiting_all=4)))
    with acting("visitor x"), pytest.raises(UserInputError, match="1 of yours have not finished"):
        store._check_waiting()


def test_runs_are_bounded_in_time_though_the_queue_is_there_before_the_door(store):
    """The app makes its queue first: its home is where the door's key lies."""
    assert store.jobs()._allowed() == gate.limits().run_minutes == 30


def test_a_visitors_runs_take_no_more_of_the_disk_than_is_theirs(store, monkeypatch):
    """Uploads were counted alone: a day of runs, each with its checkpoints and models, filled the disk of all."""
    run = audit_of(store, "a")
    (run / "owner").write_text("visitor x")
    (run / "checkpoint.safetensors").write_bytes(bytes(3 << 20))
    monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, disk_runs=2 << 20)))
    with acting("visitor x"), pytest.raises(UserInputError, match="yours take 3 MB, and 2 MB are allowed"):
        store.submit("audit")
    with acting("visitor y"):
        store.submit("audit")


def test_who_may_not_start_a_run_has_no_sets_read(store, monkeypatch):
    """Refused after a minute of reading, ten requests kept ten processes busy for it."""
    monkeypatch.setattr(store, "load_in_child", lambda *_, **__: pytest.fail("a set was read"))
    monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, waiting=0)))
    monkeypatch.setattr(store, "located", lambda name, field: name)
    with acting("visitor a"), pytest.raises(UserInputError, match="have not finished"):
        store.submit("audit", biased="upload:x/a.zip", reference="upload:x/b.zip")


@pytest.mark.parametrize("writable", [True, False])
def test_what_is_compiled_for_the_map_is_kept_where_one_may_write(store, monkeypatch, writable):
    """Without such a place numba refuses, and an audit would end without its map."""
    from ui import app

    for name in ("GRADIO_TEMP_DIR", "TMPDIR", "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(app.tempfile, "tempdir", None)
    monkeypatch.setattr(app.os, "access", lambda path, mode: writable)
    app.write_only_at_home()
    assert ("NUMBA_CACHE_DIR" in os.environ) is not writable
    assert writable or os.environ.pop("NUMBA_CACHE_DIR") == str(store.home() / "cache" / "numba")


@pytest.mark.parametrize("public", [True, False])
def test_an_app_starts_with_every_door_of_gradios_shut(store, monkeypatch, capsys, public):
    """Its own addresses are not let in at all (`ui/entrance.py`); these are the second lock. A public one says what it allows."""
    from tiw.data import limits
    from ui import app

    begun, given = [], {}
    page = type("Page", (), {"launch": lambda self, **how: given.update(how) or (None, "address", None)})()
    monkeypatch.setattr(app.page, "build", lambda: page)
    monkeypatch.setattr(app.threading, "Thread", lambda **how: begun.append(how["target"]) or type("T", (), {"start": lambda self: None})())
    monkeypatch.setattr(app.gate, "log_to_stderr", lambda: None)
    monkeypatch.setattr(app, "write_only_at_home", lambda: None)
    monkeypatch.setenv(limits.BOUNDS, "")
    assert app.serve(app.arguments(["--public" if public else "--private"])) == "address"
    assert given["blocked_paths"] == [str(store.home() / name) for name in ("runs", "uploads", "secret")] and given["allowed_paths"] == []
    assert given["max_file_size"] == gate.limits().upload and given["strict_cors"] and given["show_error"] is not public
    assert not (given["enable_monitoring"] or given["run_history"] or given["share"])
    assert (begun == [app._sweep_for_ever]) is public
    assert (limits.Limits.imposed() if public else None) == (gate.limits().of_sets() if public else None)
    told = capsys.readouterr().err
    assert all(f"  {name:15} {value:,}\n" in f"{told}\n" for name, value in vars(gate.limits()).items()) is public


def test_all_visitors_together_fill_no_more_than_the_app_keeps(store, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "DOOR", replace(gate.DOOR, caps=replace(gate.DOOR.caps, uploads_all=2)))
    for who in "ab":
        with acting(f"visitor {who}"):
            uploaded(store, tmp_path)
    with acting("visitor c"), pytest.raises(UserInputError, match="keeps as many files as it can"):
        uploaded(store, tmp_path)
    assert not (tmp_path / "a.zip").exists(), "a refused upload leaves nothing behind"
    assert len(list((store.home() / "uploads").iterdir())) == 2
