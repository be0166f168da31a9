"""Run folders, the queue and its worker, with commands that only pretend: no torch here."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from tiw.errors import UserInputError
from tiw.files import write_atomic
from tiw.run import queue as jobs_module
from tiw.run import supervise
from tiw.run.execute import execute, process_of
from tiw.run.folder import RunFolder, Stopped
from tiw.run.options import AuditOptions, DebiasOptions, PreviewOptions, TrainOptions, validate
from tiw.run.queue import Jobs

# A child that really is `python -m tiw KIND --out RUN`, but for the work itself: one step every 10 ms until `seed` steps are done.
CHILD = """
import atexit, os, sys, time, types
fake = types.ModuleType("tiw.run.actions")
def work(run, o):
    if o.seed == 13:
        print("a last word", flush=True)
        os._exit(3)
    if o.seed == 99:
        run.progress("Sleeping", 0, 1)
        time.sleep(60)  # never asks whether to stop
    if o.seed == 77_777:
        run.write_result({"n": 0})  # the rest of an audit
    begun = len(run.read_lines("steps.jsonl"))
    for step in range(begun + 1, o.seed + 1):
        run.append("steps.jsonl", {"step": step, "pid": os.getpid()})
        run.progress("Training", step, o.seed)
        if step == 20:
            run.saved(20)
        if run.stop_requested():
            from tiw.run.folder import Stopped
            raise Stopped
        time.sleep(0.01)
    return {"n": o.seed}
def lingering(run, o):
    atexit.register(time.sleep, 0.7)  # says that it has stopped, but takes its time to end
    return work(run, o)
fake.EXECUTE = {"audit": work, "debias": work, "preview": work, "train": lingering}
sys.modules["tiw.run.actions"] = fake
from tiw.__main__ import app
app()
"""
FOREVER = 100_000
ROOT = Path(__file__).parents[1]


def child_command(run: RunFolder) -> list[str]:
    return [sys.executable, "-c", CHILD, run.kind, "--out", str(run.path)]


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs_module, "DISK_NEEDED", 0)
    return tmp_path / "home"


@pytest.fixture
def jobs(home):
    queue = Jobs(home, child_command)
    yield queue
    queue.close()


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", "audit", AuditOptions())


def state(jobs: Jobs, run_id: str) -> str:
    return jobs.open(run_id).status()["state"]


def steps(jobs: Jobs, run_id: str) -> list[int]:
    return [line["step"] for line in jobs.open(run_id).read_lines("steps.jsonl")]


# --- the run folder


def test_config_comes_first_and_opens_to_the_same_options(tmp_path):
    options = DebiasOptions(seed=5, steps=3, strength="1.5")
    made = RunFolder.create(tmp_path / "a" / "b", "debias", options)
    there = RunFolder.open(made.path)
    assert (there.kind, there.options) == ("debias", options)
    assert json.loads((made.path / "config.json").read_text())["schema_version"] == 1
    assert there.status()["state"] == "queued"
    assert RunFolder.create(made.path, "debias", options) == there


def test_another_option_in_the_same_folder_is_named_with_both_values(tmp_path):
    RunFolder.create(tmp_path, "debias", DebiasOptions(strength="0.5"))
    with pytest.raises(UserInputError, match=r"strength '0\.5', this one has '1'"):
        RunFolder.create(tmp_path, "debias", DebiasOptions(strength="1"))
    with pytest.raises(UserInputError, match="run of debias, not of audit"):
        RunFolder.create(tmp_path, "audit", AuditOptions())


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"options": {"colour": 1}}, "colour"),
        ({"options": {"folds": "5"}}, "folds"),
        ({"options": {"folds": True}}, "folds"),
        ({"options": [1]}, "out"),
        ({"kind": "paint"}, "kind"),
        ({"kind": ["audit"]}, "kind"),
    ],
)
def test_a_broken_config_is_a_sentence(run, change, field):
    config = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserInputError) as raised:
        RunFolder.open(run.path)
    assert raised.value.field == field


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_an_unreadable_config_is_a_sentence(run, text):
    (run.path / "config.json").write_text(text)
    with pytest.raises(UserInputError, match="no readable config"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("given", [{"baseline": "none"}, {"baseline": ""}])
def test_what_an_action_cannot_do_without_is_asked_for_before_anything_is_written(tmp_path, given):
    with pytest.raises(UserInputError, match="no model is named"):
        RunFolder.create(tmp_path / "run", "debias", DebiasOptions(**given))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strength", ["auto", "0", "1.25"])
@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_good_options_pass(strength, device):
    validate("debias", DebiasOptions(strength=strength, device=device, reference_share=0, steps=5, minutes=0))


def test_readers_see_a_whole_file_while_several_threads_write(tmp_path):
    path = tmp_path / "file"
    whole = {bytes([65 + i]) * 200_000 for i in range(3)}
    stop = threading.Event()

    def write(data: bytes) -> None:
        while not stop.is_set():
            write_atomic(path, data)

    writers = [threading.Thread(target=write, args=(data,)) for data in whole]
    for writer in writers:
        writer.start()
    wait_for(path.exists)
    seen = {path.read_bytes() for _ in range(300)}
    stop.set()
    for writer in writers:
        writer.join()
    assert seen <= whole
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    write_atomic(tmp_path / "file", b"old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_is_renamed_has_reached_the_disk_before(tmp_path, monkeypatch):
    calls, fsync, rename = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append("fsync"), fsync(number)))
    monkeypatch.setattr(Path, "replace", lambda path, other: (calls.append("rename"), rename(path, other))[1])
    write_atomic(tmp_path / "file", b"data")
    write_atomic(tmp_path / "progress", b"data", lasting=False)
    assert calls == ["fsync", "rename", "rename"]


def test_a_status_that_a_power_cut_emptied_is_an_interrupted_run(home, run, work):
    (run.path / "status.json").write_bytes(b"")
    assert run.status()["state"] == "interrupted"
    work(lambda *_: {})
    assert execute(run) == 0 and run.status()["state"] == "finished"
    left = RunFolder.create(home / "runs" / ("e" * 32), "debias", DebiasOptions())
    (left.path / "status.json").write_bytes(b"")
    jobs = Jobs(home, child_command)
    try:
        assert [found.status()["state"] for found in jobs.runs()] == ["interrupted"]
    finally:
        jobs.close()


def test_a_long_file_is_thinned_at_even_distances_and_keeps_its_end(run):
    for step in range(1, 101):
        run.append("steps.jsonl", {"step": step})
    assert [line["step"] for line in run.read_lines("steps.jsonl", most=10)] == [*range(1, 100, 10), 100]
    assert len(run.read_lines("steps.jsonl", most=100)) == 100


def test_lines_are_whole(run):
    assert run.read_lines("steps.jsonl") == []
    for step in range(3):
        run.append("steps.jsonl", {"step": step, "loss": float("nan")})
    with (run.path / "steps.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')  # killed in the middle of a line
    assert run.read_lines("steps.jsonl") == [{"step": step, "loss": None} for step in range(3)]


def test_progress_writes_every_stage_but_not_every_step(run):
    writes = []
    for stage in ("Encoding", "Fitting"):
        for step in range(1, 200):
            run.progress(stage, step, 1000)
            writes.append((run.status()["stage"], run.status()["done"]))
    assert {stage for stage, _ in writes} == {"Encoding", "Fitting"}
    assert len(set(writes)) < 20
    run.progress("Fitting", 1000, 1000)
    assert run.status()["done"] == 1000


def test_a_result_is_plain_json_and_knows_its_seconds(run):
    run.write_status(started="2020-01-01T00:00:00.000+00:00")
    run.write_result({"value": float("inf"), "interval": (0.0, 1.0)})
    result = json.loads((run.path / "result.json").read_text(), parse_constant=pytest.fail)
    assert result.pop("versions")["numpy"] == np.__version__ and "cores" in result.pop("machine")
    assert result == {"schema_version": 1, "kind": "audit", "seconds": result["seconds"], "value": None, "interval": [0, 1]}
    assert result["seconds"] > 1e8


def test_a_part_reports_to_its_whole_and_hears_its_stop(run):
    part = run.part("debias", DebiasOptions(steps=5))
    part.progress("Training", 2, 5)
    assert (run.status()["stage"], run.status()["done"]) == ("Training", 2)
    assert not part.stop_requested()
    run.request_stop()
    assert part.stop_requested() and RunFolder.open(part.path).kind == "debias"


def test_disk_bytes_counts_files(run):
    (run.path / "model").mkdir()
    before = run.disk_bytes()
    (run.path / "model" / "weights").write_bytes(b"x" * 1000)
    assert run.disk_bytes() == before + 1000


# --- one run in this process


def test_execute_finishes_once(run, work):
    calls = []

    def do(run, options):
        calls.append((run.status()["state"], run.status()["pid"], options))
        return {"n": 1}

    work(do)
    assert execute(run) == execute(run) == 0
    assert calls == [("running", os.getpid(), run.options)]
    assert (run.status()["state"], run.status()["pid"]) == ("finished", None)
    assert run.result()["n"] == 1 and run.result()["seconds"] >= 0


@pytest.mark.parametrize(
    ("error", "code", "state", "message"),
    [
        (Stopped(), 0, "stopped", ""),
        (UserInputError("biased", "it is empty", "add images"), 2, "failed", "biased: it is empty; add images"),
        (FloatingPointError("the loss is nan"), 1, "failed", "The training diverged: the loss is nan."),
        (RuntimeError("CUDA out of memory. Tried"), 1, "failed", "There was not enough memory"),
        (OSError(28, "No space left on device"), 1, "failed", "The disk is full"),
        (OSError(errno.ENOSPC, "Auf dem Gerät ist kein Speicherplatz mehr verfügbar"), 1, "failed", "The disk is full"),
        (OSError(errno.EDQUOT, "Der zugewiesene Plattenplatz ist überschritten"), 1, "failed", "The disk is full"),
        (KeyError("x"), 1, "failed", "Something went wrong (KeyError"),
    ],
)
def test_execute_says_how_it_ended(run, work, error, code, state, message):
    def do(run, options):
        raise error

    work(do)
    assert execute(run) == code
    assert run.status()["state"] == state and run.status()["message"].startswith(message)
    assert run.result() is None
    assert (run.path / "log.txt").exists() == (code == 1)


def test_sigterm_asks_for_a_stop(run, work):
    def do(run, options):
        os.kill(os.getpid(), 15)
        wait_for(run.stop_requested)
        assert run.status()["state"] == "stopping"
        raise Stopped

    work(do)
    assert execute(run) == 0
    assert run.status()["state"] == "stopped"


def test_a_signal_that_comes_twice_was_meant_once(run, work):
    """A job's end reaches a process from its launcher as well; only Ctrl-C a second later ends it at once."""

    def do(run, options):
        for number in (15, 15, 2):
            os.kill(os.getpid(), number)
            wait_for(run.stop_requested)
        raise Stopped

    work(do)
    assert execute(run) == 0
    assert run.status()["state"] == "stopped"


def test_ctrl_c_again_ends_it_at_once(run):
    program = (
        "import os, sys, time\nfrom types import SimpleNamespace\nfrom tiw.run import execute\nfrom tiw.run.folder import RunFolder\n"
        "def do(run, options):\n    os.kill(os.getpid(), 2); time.sleep(1.2); os.kill(os.getpid(), 2); time.sleep(60)\n"
        "sys.modules['tiw.run.actions'] = SimpleNamespace(EXECUTE={'audit': do})\n"
        f"execute.execute(RunFolder.open({str(run.path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert done.returncode == -2, done.stderr


def test_another_process_of_a_finished_run_waits_for_nobody(run, work, tmp_path):
    work(lambda *_: {})
    execute(run)
    work(lambda *_: pytest.fail("it began to work"))
    other = replace(RunFolder.create(tmp_path / "other", run.kind, run.options), leader=run.path)
    assert execute(other) == 0


def test_a_stop_asked_for_while_waiting_counts_and_an_old_one_does_not(run, work):
    work(lambda *_: {})
    run.request_stop()
    execute(run)
    assert run.status()["state"] == "stopped"
    execute(run)
    assert run.status()["state"] == "finished"


def test_two_processes_do_not_work_on_one_run(run, work):
    work(lambda *_: {})
    code = "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(run.path / "lock")], stdout=subprocess.PIPE)
    other.stdout.readline()
    try:
        run.write_status(state="running", pid=other.pid)
        assert run.status()["state"] == "running" and process_of(run).pid == other.pid
        with pytest.raises(UserInputError, match=f"process {other.pid} is at work"):
            execute(run)
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert run.status()["state"] == "interrupted" and process_of(run) is None  # whatever process has its number now
    assert execute(run) == 0


# --- the queue


def test_runs_are_worked_off_in_order_one_at_a_time(jobs):
    first, second, third = (jobs.submit("debias", DebiasOptions(seed=n)) for n in (FOREVER, 2, 3))
    wait_for(lambda: state(jobs, first) == "running")
    assert [jobs.position(r) for r in (first, second, third)] == [0, 1, 2]
    assert (state(jobs, second), steps(jobs, second)) == ("queued", [])
    jobs.stop(first)
    wait_for(lambda: state(jobs, third) == "finished")
    assert [state(jobs, r) for r in (first, second, third)] == ["stopped", "finished", "finished"]
    wait_for(lambda: jobs.position(third) is None)
    started = [jobs.open(r).status()["started"] for r in (first, second, third)]
    assert started == sorted(started)
    assert [run.path.name for run in jobs.runs()] == [third, second, first]
    assert jobs.open(second).result()["n"] == 2


def test_a_waiting_run_stops_at_once_and_a_stopped_one_goes_on_where_it_was(jobs):
    first, second = jobs.submit("debias", DebiasOptions(seed=FOREVER)), jobs.submit("debias", DebiasOptions(seed=40))
    wait_for(lambda: steps(jobs, first))
    jobs.stop(second)
    assert (state(jobs, second), jobs.position(second)) == ("stopped", None)
    jobs.stop(first)
    wait_for(lambda: state(jobs, first) == "stopped")
    done = len(steps(jobs, first))
    jobs.resume(first)
    jobs.resume(first)  # a second click changes nothing
    assert jobs.position(first) in (0, 1)
    wait_for(lambda: len(steps(jobs, first)) > done)
    jobs.stop(first)
    wait_for(lambda: jobs.position(first) is None)
    assert steps(jobs, first) == list(range(1, len(steps(jobs, first)) + 1))
    assert len({line["pid"] for line in jobs.open(first).read_lines("steps.jsonl")}) == 2


def test_a_run_is_resumed_after_its_last_process_has_ended(jobs):
    run_id = jobs.submit("train", TrainOptions(seed=FOREVER))
    wait_for(lambda: steps(jobs, run_id))
    jobs.stop(run_id)
    wait_for(lambda: state(jobs, run_id) == "stopped")
    first = jobs.open(run_id).read_lines("steps.jsonl")[0]["pid"]
    jobs.resume(run_id)
    assert not psutil.pid_exists(first)
    wait_for(lambda: state(jobs, run_id) == "running")


def test_a_preview_does_not_wait_behind_the_extras_of_an_audit(jobs):
    """Its child sleeps meanwhile and then goes on; an audit without its result is not passed, and nothing else passes."""
    extras, preview, other = (
        jobs.submit(kind, options)
        for kind, options in (
            ("audit", AuditOptions(seed=77_777)),
            ("preview", PreviewOptions(seed=60)),
            ("debias", DebiasOptions(seed=3)),
        )
    )
    wait_for(lambda: jobs.position(preview) == 0)
    audit = jobs.open(extras)
    wait_for(lambda: psutil.Process(audit.status()["pid"]).status() == psutil.STATUS_STOPPED)
    before = len(steps(jobs, extras))
    wait_for(lambda: state(jobs, preview) == "finished")
    assert len(steps(jobs, extras)) <= before + 1 and state(jobs, other) == "queued"
    wait_for(lambda: jobs.position(extras) == 0 and len(steps(jobs, extras)) > before + 5)
    assert len({line["pid"] for line in audit.read_lines("steps.jsonl")}) == 1
    jobs.stop(extras)
    wait_for(lambda: state(jobs, other) == "finished")

    unmeasured, second = jobs.submit("audit", AuditOptions(seed=FOREVER)), jobs.submit("preview", PreviewOptions(seed=3))
    wait_for(lambda: steps(jobs, unmeasured))
    time.sleep(1.2)
    assert state(jobs, second) == "queued"


def test_an_audit_that_sleeps_when_its_app_ends_saves_its_state(home):
    queue = Jobs(home, child_command)
    run_id, preview = queue.submit("audit", AuditOptions(seed=77_777)), queue.submit("preview", PreviewOptions(seed=FOREVER))
    wait_for(lambda: queue.position(preview) == 0)
    child = psutil.Process(queue.open(run_id).status()["pid"])
    queue.close()
    assert not child.is_running() and state(queue, run_id) == state(queue, preview) == "stopped"


def test_kill_9_of_the_child_is_told_and_resumed_and_the_queue_goes_on(jobs):
    first, second = jobs.submit("debias", DebiasOptions(seed=60)), jobs.submit("debias", DebiasOptions(seed=2))
    wait_for(lambda: steps(jobs, first))
    os.kill(jobs.open(first).status()["pid"], 9)
    wait_for(lambda: state(jobs, second) == "finished")
    status = jobs.open(first).status()
    assert (status["state"], status["pid"]) == ("interrupted", None)
    assert "ended from outside" in status["message"]
    jobs.resume(first)
    wait_for(lambda: state(jobs, first) == "finished")
    assert steps(jobs, first) == list(range(1, 61))


def test_a_child_that_dies_by_itself_leaves_its_last_words(jobs):
    run_id = jobs.submit("audit", AuditOptions(seed=13))
    wait_for(lambda: state(jobs, run_id) == "failed")
    assert jobs.open(run_id).status()["message"] == "Its process ended with code 3: a last word"


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="the cores are shared among processes here, not among sessions")
def test_the_page_goes_before_a_run_where_the_cores_are_shared_among_sessions(run):
    """A child has a session of its own. Linux then gives it as much as the app and all that its user does, however nice it is."""
    child = supervise.spawn(run, [sys.executable, "-c", "input()"])
    try:
        assert psutil.Process(child.pid).nice() == supervise.BEHIND
        assert Path(f"/proc/{child.pid}/autogroup").read_text().endswith(f"nice {supervise.BEHIND}\n")
    finally:
        child.kill()
        child.wait()


def test_one_that_does_not_listen_is_ended(jobs, monkeypatch):
    monkeypatch.setattr(supervise, "SILENCE", 0.1)
    run_id = jobs.submit("audit", AuditOptions(seed=99))
    wait_for(lambda: jobs.open(run_id).status()["stage"] == "Sleeping")
    pid = jobs.open(run_id).status()["pid"]
    jobs.stop(run_id)
    assert state(jobs, run_id) == "stopping"
    wait_for(lambda: state(jobs, run_id) == "stopped")
    assert not psutil.pid_exists(pid)
    assert re.search(r"gave no sign for \d+ seconds .* has to be started again", jobs.open(run_id).status()["message"])


@pytest.fixture
def supervised(run, monkeypatch):
    """`supervise` on a clock that every wait moves on. Called with the seconds at which the child gives a sign, and the one at which it
    ends, or at which it is asked to stop; returns the seconds it was silent, and when it was killed."""

    def supervised(signs, ends: float, asleep: float = 0.0, stop: float = -1, **how: float) -> tuple[float, list[float]]:
        now, killed = [0.0], []

        def meanwhile() -> bool:
            now[0] += asleep
            return asleep > 0

        class Child:
            def wait(self, seconds: float = 0.0) -> int:
                before = now[0]
                now[0] += seconds
                if killed or now[0] >= ends:
                    return 0
                if any(before < sign <= now[0] for sign in signs):
                    (run.path / "checkpoint.partial").write_bytes(b"x" * int(10 * now[0]))
                if before < stop <= now[0]:
                    run.request_stop()
                raise subprocess.TimeoutExpired("child", seconds)

        monkeypatch.setattr(supervise, "time", SimpleNamespace(monotonic=lambda: now[0]))
        monkeypatch.setattr(supervise, "kill", lambda child: killed.append(now[0]))
        return supervise.supervise(run, Child(), meanwhile, **how), killed

    return supervised


def test_a_child_that_was_asked_to_stop_is_let_finish_while_it_gives_signs(run, supervised):
    """The first takes ten times as long as the grace, but writes all the while; the second has nothing more to say."""
    run.request_stop()
    assert supervised(range(0, 600, 20), ends=600) == (0.0, [])
    silent, killed = supervised([5], ends=600)
    assert supervise.SILENCE < silent <= supervise.SILENCE + 1 and len(killed) == 1 and killed[0] < 70


def test_a_child_that_is_used_to_silence_is_given_more_of_it(run, supervised):
    """Steps of 40 seconds, then one of 100 or of 130: the first is no hang, the second is more than three times as long as any before."""
    run.request_stop()
    steps = list(range(0, 201, 40))
    assert supervised(steps, ends=300) == (0.0, [])
    silent, killed = supervised(steps, ends=400)
    assert 120 < silent <= 121 and len(killed) == 1


def test_a_child_that_hung_before_it_was_asked_to_stop_is_ended_soon_after(run, supervised):
    """The request was taken for a sign of its work: after ten minutes it was given half an hour more."""
    silent, killed = supervised([5], ends=10_000, stop=600)
    assert len(killed) == 1 and abs(killed[0] - 600 - supervise.SILENCE) <= 1 and abs(silent - supervise.SILENCE) <= 1


def test_what_others_write_in_a_run_is_no_sign_of_its_work(run):
    run.write_status(state="running")
    before = supervise._signs(run.path)
    run.request_stop()
    run.describe("A name", "and a note")
    (run.path / "owner").write_text("somebody")
    os.utime(run.path / "status.json", (5, 5))
    assert supervise._signs(run.path) == before
    run.write_status(saved=3)
    assert supervise._signs(run.path) != before


def test_a_child_that_slept_for_another_run_has_its_whole_time(run, supervised):
    supervised([], ends=600, asleep=10, allowed=100)  # of every 10.5 seconds it is awake for half a one
    assert not run.stop_requested()
    supervised([], ends=600, allowed=100)
    assert run.stop_requested()


def test_a_child_that_was_not_asked_to_stop_may_be_silent_for_ever(supervised):
    assert supervised([], ends=10_000) == (0.0, [])


def test_a_run_that_takes_longer_than_is_allowed_is_stopped_and_says_so(home):
    """Minutes bound a training alone: a thousand steps of a large batch, or a comparison, took a public app's only worker for hours."""
    queue = Jobs(home, child_command, allowed=lambda: 0.02)
    try:
        run_id = queue.submit("debias", DebiasOptions(seed=FOREVER))
        wait_for(lambda: queue.open(run_id).status()["state"] == "stopped" and queue.open(run_id).status()["message"])
        assert "stopped after 0.02 minutes" in queue.open(run_id).status()["message"]
    finally:
        queue.close()


def test_what_a_killed_training_run_loses_is_said(jobs):
    run_id = jobs.submit("debias", DebiasOptions(seed=FOREVER))
    wait_for(lambda: len(steps(jobs, run_id)) > 30)
    os.kill(jobs.open(run_id).status()["pid"], 9)
    wait_for(lambda: jobs.position(run_id) is None)
    done = steps(jobs, run_id)[-1]
    assert f"goes on from its checkpoint of step 20; {done - 20} steps are done again." in jobs.open(run_id).status()["message"]


def test_a_child_that_cannot_be_started_has_failed_and_says_why(home):
    jobs = Jobs(home, lambda run: ["/no/such/program"])
    try:
        run_id = jobs.submit("audit", AuditOptions())
        for _ in ("at first", "resumed"):
            wait_for(lambda: state(jobs, run_id) == "failed" and jobs.position(run_id) is None)
            assert (
                "could not be started" in jobs.open(run_id).status()["message"]
                and "/no/such/program" in jobs.open(run_id).status()["message"]
            )
            jobs.resume(run_id)
        jobs.stop(run_id)
        jobs.delete(run_id)
        assert jobs.listing() == ()
    finally:
        jobs.close()


def test_delete_ends_the_run_first(jobs):
    run_id = jobs.submit("audit", AuditOptions(seed=99))
    wait_for(lambda: state(jobs, run_id) == "running")
    run = jobs.open(run_id)
    jobs.delete(run_id)
    assert not run.path.exists() and jobs.runs() == []
    after = jobs.submit("audit", AuditOptions(seed=1))
    wait_for(lambda: state(jobs, after) == "finished")


def test_what_an_unfinished_run_needs_is_not_deleted(jobs):
    audit = jobs.submit("audit", AuditOptions(seed=1))
    needy = jobs.submit("debias", DebiasOptions(seed=FOREVER, audit=str(jobs.open(audit).path)))
    wait_for(lambda: state(jobs, needy) == "running")
    for _ in ("at work", "stopped, and may go on"):
        with pytest.raises(UserInputError, match="a run of debias that has not finished needs it"):
            jobs.delete(audit)
        jobs.stop(needy)
        wait_for(lambda: state(jobs, needy) == "stopped")
    jobs.delete(needy)
    jobs.delete(audit)
    assert jobs.runs() == []


def test_a_run_removed_by_hand_does_not_end_the_worker(jobs, capsys):
    first, second, third = (jobs.submit("debias", DebiasOptions(seed=n)) for n in (FOREVER, 1, 1))
    jobs.open(second).delete()
    wait_for(lambda: state(jobs, first) == "running")
    jobs.stop(first)
    wait_for(lambda: state(jobs, third) == "finished")
    assert "there is no run" in capsys.readouterr().err


@pytest.mark.parametrize("run_id", ["", "..", "../" + "a" * 32, "a" * 31, "A" * 32, "a" * 32 + "\n", "g" * 32, "a" * 32, None, 5, ["a"]])
def test_what_is_no_id_never_becomes_a_path(jobs, home, run_id):
    for path in (home / ("a" * 32), home / "runs" / ("a" * 31), home / "runs" / ("a" * 32 + "\n"), home / "runs" / ("A" * 32)):
        RunFolder.create(path, "audit", AuditOptions())
    for action in (jobs.open, jobs.stop, jobs.resume, jobs.delete):
        with pytest.raises(UserInputError, match="there is no run"):
            action(run_id)


def test_a_full_disk_is_said_before_the_start(jobs, monkeypatch):
    monkeypatch.setattr(jobs_module, "DISK_NEEDED", 1 << 60)
    with pytest.raises(UserInputError, match="MB are free"):
        jobs.submit("audit", AuditOptions())
    assert jobs.runs() == []


def test_a_second_app_on_the_same_home_only_looks_on(jobs, home):
    run_id = jobs.submit("debias", DebiasOptions(seed=FOREVER))
    wait_for(lambda: state(jobs, run_id) == "running")
    second = Jobs(home, child_command)
    assert jobs.owner and not second.owner
    assert state(second, run_id) == "running"
    with pytest.raises(UserInputError, match="another TIW Studio"):
        second.submit("audit", AuditOptions())
    with pytest.raises(UserInputError, match="another TIW Studio"):
        second.delete(run_id)
    second.stop(run_id)
    wait_for(lambda: state(jobs, run_id) == "stopped")
    second.close()


def test_closing_saves_and_the_next_app_resumes(home):
    first = Jobs(home, child_command)
    running, waiting = first.submit("debias", DebiasOptions(seed=60)), first.submit("debias", DebiasOptions(seed=1))
    wait_for(lambda: steps(first, running))
    first.close()
    second = Jobs(home, child_command)
    try:
        assert [state(second, r) for r in (running, waiting)] == ["stopped", "interrupted"]
        second.resume(waiting)
        second.resume(running)
        wait_for(lambda: state(second, running) == "finished")
        assert steps(second, running) == list(range(1, 61))
        assert state(second, waiting) == "finished"
    finally:
        second.close()


def test_kill_9_of_the_app_ends_its_child_within_seconds(home):
    """The child asks itself to stop when its app is gone; the next app finds a run that can be resumed, and one that never began."""
    script = "import time\nfrom test_queue import *\njobs_module.DISK_NEEDED = 0\n"
    script += f"j = Jobs({str(home)!r}, child_command); j.submit('debias', DebiasOptions(seed=FOREVER))\n"
    script += "j.submit('audit', AuditOptions(seed=1)); time.sleep(60)"
    app = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT / "tests")})
    try:
        wait_for(lambda: any(home.glob("runs/*/steps.jsonl")))
    finally:
        app.kill()
        app.wait()
    running = RunFolder.open(next(home.glob("runs/*/steps.jsonl")).parent)
    child = psutil.Process(running.status()["pid"])
    assert child.is_running()
    jobs = Jobs(home, child_command)
    try:
        wait_for(lambda: not running.at_work(), 30)
        assert running.status()["state"] == "stopped" and "app was closed or ended" in running.status()["message"]
        assert sorted(run.state for run in jobs.listing()) == ["interrupted", "stopped"]
        jobs.resume(running.path.name)
        done = len(running.read_lines("steps.jsonl"))
        wait_for(lambda: len(running.read_lines("steps.jsonl")) > done)
    finally:
        jobs.close()


def test_an_orphan_that_does_not_stop_is_ended(run, monkeypatch):
    code = f"""
import os, subprocess, sys, time
from types import SimpleNamespace
from tiw.run import execute
from tiw.run.folder import RunFolder

execute.LAST_WORDS = 0.5
app = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
def work(*_):  # begins while the app is there: a run that is not yet at work has nothing to end
    app.kill()
    app.wait()
    time.sleep(60)
sys.modules["tiw.run.actions"] = SimpleNamespace(EXECUTE={{"audit": work}})
os.environ["TIW_APP"] = str(app.pid)
execute.execute(RunFolder.open({str(run.path)!r}))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 1
    assert run.status()["state"] == "interrupted" and run.stop_requested()


def test_a_second_app_takes_over_once_the_first_is_gone(jobs, home):
    second = Jobs(home, child_command)
    try:
        with pytest.raises(UserInputError, match="another TIW Studio"):
            second.submit("audit", AuditOptions(seed=1))
        jobs.close()
        run_id = second.submit("audit", AuditOptions(seed=1))
        wait_for(lambda: state(second, run_id) == "finished")
    finally:
        second.close()


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserInputError, match="TIW_HOME"):
        Jobs(tmp_path / "file")


def test_nothing_here_needs_torch():
    code = "import sys, tiw.run.queue, tiw.__main__; sys.exit(any(m in sys.modules for m in ('torch', 'gradio', 'diffusers', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
