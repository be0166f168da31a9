"""Work in slices of time, as a ZeroGPU Space gives it: a process for a call, forked, its arguments pickled, killed at its limit."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from conftest import blobs

from tiw.run.folder import RunFolder, Stopped
from tiw.run.options import CompareOptions, TrainOptions
from tiw.run.queue import Jobs


class Aborted(Exception):  # noqa: N818  (its name there)
    """What `spaces` raises when it has ended a call."""


def gpu(duration):
    """A stand-in for `spaces.GPU`: the call runs in a forked process, which is killed after `duration` seconds."""

    def decorate(function):
        def called(*given):
            packed = pickle.dumps((function.__name__, given))
            fork = multiprocessing.get_context("fork")
            here, there = fork.Pipe(duplex=False)

            def work():
                os.setpgid(0, 0)
                there.send_bytes(pickle.dumps(function(*pickle.loads(packed)[1])))

            process = fork.Process(target=work)
            process.start()
            there.close()
            if not here.poll(duration):
                process.kill()
                process.join()
                raise Aborted("GPU task aborted")
            try:
                return pickle.loads(here.recv_bytes())
            except EOFError:
                raise Aborted("GPU task aborted") from None
            finally:
                process.join()

        return called

    return decorate


def steps(run, o):
    """Training that keeps the number of its steps."""
    kept = run.path / "checkpoint"
    step = int(kept.read_text()) if kept.is_file() else 0
    while step < o.steps:
        step += 1
        time.sleep(0.01)
        run.progress("Training", step, o.steps)
        if run.stop_requested():
            kept.write_text(str(step))
            run.saved(step)
            run.append("slices.jsonl", {"step": step, "pid": os.getpid()})
            raise Stopped
    return {"steps": step}


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A queue without a worker, and actions without torch."""
    fake = types.ModuleType("tiw.run.actions")
    fake.EXECUTE = {"train": steps, "compare": lambda run, o: time.sleep(30), "audit": steps}
    monkeypatch.setitem(sys.modules, "tiw.run.actions", fake)
    from tiw.run import queue

    monkeypatch.setattr(queue, "DISK_NEEDED", 0)
    jobs = Jobs(tmp_path / "home", worker=False)
    yield jobs
    jobs.close()


def slice_of(path, seconds=0.3):
    from tiw.run.execute import execute

    return execute(RunFolder.open(path), seconds)


def until_ended(jobs, run_id, work, most=50):
    """How many slices it took."""
    for n in range(most):
        if not jobs.work_on(run_id, work):
            return n
    raise AssertionError("too many slices")


def test_training_goes_on_in_slices_to_its_end(jobs):
    run_id = jobs.submit("train", TrainOptions(steps=80))
    taken = until_ended(jobs, run_id, gpu(20)(slice_of))
    run = jobs.open(run_id)
    slices = run.read_lines("slices.jsonl")
    assert run.status()["state"] == "finished" and run.result()["steps"] == 80
    assert len(slices) == taken - 1 >= 2 and len({line["pid"] for line in slices}) == len(slices)
    assert [line["step"] for line in slices] == sorted({line["step"] for line in slices})


def test_waiting_runs_take_turns(jobs):
    first, second = (jobs.submit("train", TrainOptions(steps=10_000)) for _ in range(2))
    assert jobs.at_work() == [first, second]
    assert not jobs.work_on("f" * 32, slice_of)
    jobs.work_on(first, gpu(20)(slice_of))
    assert jobs.at_work() == [second, first] and jobs.open(first).status()["stage"] == "Waiting for its next slice of time"
    jobs.stop(first)
    assert jobs.open(first).status()["state"] == "stopped" and jobs.at_work() == [second]
    jobs.resume(first)
    assert jobs.at_work() == [second, first] and jobs.open(first).status()["saved"] > 0


def test_what_is_killed_before_it_has_kept_anything_new_fails_with_a_sentence(jobs):
    run_id = jobs.submit("compare", CompareOptions(debiased="x"))
    assert until_ended(jobs, run_id, gpu(0.5)(slice_of)) == 1
    status = jobs.open(run_id).status()
    assert status["state"] == "failed" and "Ask for less" in status["message"]


def test_what_is_killed_goes_on_from_what_it_has_kept(jobs):
    run_id = jobs.submit("train", TrainOptions(steps=60))
    jobs.work_on(run_id, gpu(20)(slice_of))
    saved = jobs.open(run_id).status()["saved"]

    def saves_and_hangs(path):
        RunFolder.open(path).write_status(state="running")
        RunFolder.open(path).saved(saved + 1)
        time.sleep(30)

    assert jobs.work_on(run_id, gpu(0.5)(saves_and_hangs))
    assert jobs.open(run_id).status()["state"] == "queued"
    until_ended(jobs, run_id, gpu(20)(slice_of))
    assert jobs.open(run_id).status()["state"] == "finished"


def test_a_visitor_without_time_left_is_told_and_resumes_later(jobs):
    run_id = jobs.submit("train", TrainOptions(steps=30))

    def no_quota(_path):
        raise Aborted("You have exceeded your GPU quota")

    assert until_ended(jobs, run_id, no_quota) == 1
    status = jobs.open(run_id).status()
    assert status["state"] == "stopped" and "exceeded your GPU quota" in status["message"]
    jobs.resume(run_id)
    until_ended(jobs, run_id, gpu(20)(slice_of))
    assert jobs.open(run_id).status()["state"] == "finished"


def test_the_page_asks_for_slices_of_its_own_visitors_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    asked = []
    spaces = types.ModuleType("spaces")

    def lent(path):
        asked.append(path)
        RunFolder.open(path).saved(len(asked))

    durations = []
    spaces.GPU = lambda duration: durations.append(duration) or (lambda function: lent)
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    from ui import gate, page, store, zero

    zero.borrowing.cache_clear()
    store.jobs.cache_clear()
    monkeypatch.setattr(gate, "DOOR", gate.DOOR)
    gate.open_door(True, store.home())
    try:
        token = gate.HERE.set("visitor a")
        run_id = store.submit("audit", references=50)
        zero.work({"audit": run_id}, page.NONE)
        assert len(asked) == 1 and durations == [zero.DURATION] and run_id in asked[0]
        zero.work({"audit": "f" * 32}, page.NONE)
        zero.work({"audit": ["x"]}, page.NONE)
        gate.HERE.reset(token)
        token = gate.HERE.set("visitor b")
        zero.work({"audit": run_id}, page.NONE)  # another's
        gate.HERE.reset(token)
        assert len(asked) == 1
    finally:
        store.jobs().close()
        store.jobs.cache_clear()
        zero.borrowing.cache_clear()


REAL = """
import json, sys
sys.path.insert(0, sys.argv[3])
from test_slices import gpu, slice_of, until_ended
import tiw.run.actions  # as the page does: what a slice imports comes off its time
from tiw.run import queue
from tiw.run.options import AuditOptions, TrainOptions
queue.DISK_NEEDED = 0
home, data = sys.argv[1:3]
jobs = queue.Jobs(home, worker=False)
common = {"device": "cpu"}
made = [
    jobs.submit("train", TrainOptions(data=data, preset="tiny", steps=60, batch_size=16, **common)),
    jobs.submit("audit", AuditOptions(biased=data, reference=data.replace("biased", "reference"), baseline="none", scored=150, **common)),
]
count = [until_ended(jobs, run, gpu(200)(lambda path, s=s: slice_of(path, s))) for run, s in zip(made, (2.0, 0.5))]
print(json.dumps([made, count]))
jobs.close()
"""


@pytest.mark.slow
def test_a_run_in_slices_ends_where_a_whole_one_does(tmp_path):
    """Real training and a real audit: the same weights, the same numbers."""
    from tiw.run.execute import execute

    for role, share, n in (("biased", 0.2, 200), ("reference", 0.6, 80)):
        np.savez(tmp_path / f"{role}.npz", images=blobs(n, share, n).images)
    data = str(tmp_path / "biased.npz")
    command = [sys.executable, "-c", REAL, str(tmp_path / "home"), data, os.path.dirname(__file__)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    runs, count = json.loads(done.stdout.splitlines()[-1])
    assert min(count) >= 2, count
    sliced = [RunFolder.open(tmp_path / "home" / "runs" / run) for run in runs]
    assert [run.status()["state"] for run in sliced] == ["finished"] * 2, [run.status() for run in sliced]
    for run in sliced:
        whole = RunFolder.create(tmp_path / run.kind, run.kind, run.options)
        assert execute(whole) == 0
    weights = [(folder / "model" / "unet" / "diffusion_pytorch_model.safetensors") for folder in (sliced[0].path, tmp_path / "train")]
    found = [path.read_bytes() for path in weights]
    assert found[0] == found[1]
    one, other = sliced[1].result(), RunFolder.open(tmp_path / "audit").result()
    assert [level["cross_entropy"] for level in one["levels"]] == [level["cross_entropy"] for level in other["levels"]]
    assert not (sliced[1].path / "features.safetensors").exists()
