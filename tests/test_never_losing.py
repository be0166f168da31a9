"""Whatever ends a training run, it loses nothing: the same command goes on to the same weights, bit for bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import blobs

from tiw.debiasing import fine_tune
from tiw.errors import UserInputError
from tiw.run import budget, folder, inputs, train_in_folder
from tiw.run.execute import execute
from tiw.run.folder import RunFolder
from tiw.run.options import DebiasOptions

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
# Runs the command line in one child after the other, each killed by SIGKILL at its point "WHERE:STEP" (none: it ends by itself).
ATTEMPTS = """
import os, signal, sys
import torch
from tiw.debiasing import lagging
from tiw.run import actions, folder
from tiw.__main__ import app
from tiw.model.denoiser import Denoiser

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def arm(where, step):
    append, save, save_model = folder.RunFolder.append, torch.save, Denoiser.save_pretrained
    def append_and_die(run, name, line):
        append(run, name, line)
        name == "steps.jsonl" and line["step"] == step and die()
    def save_half_and_die(state, file):
        save(state, file)
        if state["step"] == step:
            file.truncate(file.tell() // 2)
            die()
    def save_model_and_die(model, path):
        save_model(model, path)
        die()
    if where == "step":
        folder.RunFolder.append = append_and_die
    elif where == "checkpoint":
        torch.save = save_half_and_die
    elif where == "model":
        Denoiser.save_pretrained = save_model_and_die
    elif where == "result":
        folder.RunFolder.write_result = lambda *_: die()

lagging.COUNT = 30
points, sys.argv = sys.argv[1].split(), ["tiw", *sys.argv[2:]]
for point in points:
    child = os.fork()
    if child == 0:
        where, _, step = point.partition(":")
        arm(where, int(step or 0))
        app()
    print(point, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def sources(tmp_path, tiny_denoiser):
    for name, images in (("biased", blobs(200, 0.2, 0)), ("reference", blobs(60, 0.6, 1))):
        np.savez(tmp_path / f"{name}.npz", images=images.images)
    tiny_denoiser.save_pretrained(tmp_path / "baseline")
    paths = {name: str(tmp_path / f"{name}.npz") for name in ("biased", "reference")}
    return {**paths, "baseline": str(tmp_path / "baseline"), "device": "cpu", "precision": "float32"}


@pytest.fixture
def start(tmp_path, sources):
    """A debias of 6 steps of plain score matching in a run folder of this name, with a checkpoint every second step."""

    def start(name: str, **changes) -> RunFolder:
        fixed = {"objective": "dsm-obs", "steps": 6, "batch_size": 8, "checkpoint_every": 2, "preview_every": 3}
        options = DebiasOptions(**sources, **{**fixed, **changes})
        return RunFolder.create(tmp_path / name, "debias", options)

    return start


def weights(folder: Path) -> tuple[bytes, bytes]:
    return tuple((folder / name / WEIGHTS).read_bytes() for name in ("model", "raw"))


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in map(json.loads, (folder / "steps.jsonl").read_text().splitlines())]


def checkpoint(run: RunFolder) -> dict:
    return torch.load(run.path / "checkpoint.pt", weights_only=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_any_moment_changes_no_bit(sources, tmp_path):
    given = {**sources, "strength": "1.2", "steps": 12, "batch-size": 8, "checkpoint-every": 4, "preview-every": 6}
    options = [f"--{name}={value}" for name, value in given.items()]

    def attempts(out: str, points: str) -> list[str]:
        line = [sys.executable, "-W", "ignore", "-c", ATTEMPTS, points, "debias", f"--out={tmp_path / out}", *options]
        done = subprocess.run(line, cwd=Path(__file__).parents[1], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [said for said in done.stdout.splitlines() if said.startswith(("step", "check", "model", "result", "none"))]

    assert attempts("whole", "none") == ["none 0"]
    points = ["step:2", "step:6", "checkpoint:8", "model", "result"]  # before, between and in the middle of checkpoints, and at the end
    assert attempts("killed", " ".join([*points, "none"])) == [*(f"{point} {-signal.SIGKILL}" for point in points), "none 0"]
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert json.loads((tmp_path / "killed" / "status.json").read_text())["state"] == "finished"
    assert not list((tmp_path / "killed").glob("checkpoint*"))


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by so many seconds at each look; at the first `slow` looks by others."""

    def clock(seconds_a_look: float, slow: int = 0, slowly: float = 0.0) -> None:
        now, looks = [0.0], [0]

        def monotonic() -> float:
            looks[0] += 1
            now[0] += slowly if looks[0] <= slow else seconds_a_look
            return now[0]

        for module in (train_in_folder, budget):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=monotonic))

    return clock


def kill_at(step: int, monkeypatch) -> None:
    append = RunFolder.append

    def power_cut(run, name, line):
        append(run, name, line)
        if name == "steps.jsonl" and line["step"] == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "append", power_cut)


def plans(run: RunFolder) -> list[tuple[int, int]]:
    return [(plan["from"], plan["steps"]) for plan in json.loads((run.path / "budget.json").read_text())["plans"]]


def test_a_budget_in_minutes_is_kept_before_the_first_checkpoint(start, monkeypatch, clock):
    """Ended at its first step, the run has its plan still; 1.8 seconds, less five previews of 0.05, in steps of 0.05."""
    run = start("run", steps=0, minutes=0.03, checkpoint_every=0, preview_every=0)
    clock(0.05)
    with monkeypatch.context() as patch:
        kill_at(1, patch)
        with pytest.raises(KeyboardInterrupt):
            execute(run)
    assert execute(run) == 0
    assert plans(run) == [(0, 31)] and len(losses(run.path)) == run.result()["steps"] == 31


def test_a_machine_that_was_busy_at_the_start_is_asked_again_and_the_run_can_be_repeated_bit_by_bit(start, monkeypatch, clock):
    """Timed at 0.25 seconds a step, 6 seconds are 21 steps and three previews; at 0.12, found out after three steps, 40 more."""
    given = {"steps": 0, "minutes": 0.1, "checkpoint_every": 5, "preview_every": 0}
    whole, killed, repeated = (start(name, **given) for name in ("whole", "killed", "repeated"))
    busy = {"slow": 2 + budget.TIMED["cpu"], "slowly": 0.25}
    clock(0.12, **busy)
    assert execute(whole) == 0
    assert plans(whole) == [(0, 21), (3, 43)] and whole.result()["steps"] == len(losses(whole.path)) == 43

    clock(0.12, **busy)
    with monkeypatch.context() as patch:
        kill_at(4, patch)  # another plan holds, and no checkpoint is there yet
        with pytest.raises(KeyboardInterrupt):
            execute(killed)
    assert execute(killed) == 0
    (repeated.path / "budget.json").write_bytes((whole.path / "budget.json").read_bytes())
    clock(0.12)
    assert execute(repeated) == 0
    for run in (killed, repeated):
        assert plans(run) == plans(whole) and losses(run.path) == losses(whole.path) and weights(run.path) == weights(whole.path)
    rates = [line["learning_rate"] for line in whole.read_lines("steps.jsonl")]
    assert min(rates) > 0 and rates[-1] < max(rates) / 100  # decayed to the end of the steps that there were


def test_a_machine_that_becomes_busy_does_not_take_longer_than_was_given(start, clock):
    run = start("run", steps=0, minutes=0.2, checkpoint_every=0, preview_every=0)
    clock(0.4, slow=2 + budget.TIMED["cpu"], slowly=0.1)
    assert execute(run) == 0
    assert plans(run)[0][1] > 100 and len(plans(run)) > 1
    assert 9 < run.result()["training_seconds"] <= 12


@pytest.mark.parametrize("text", ["{", "[]", '{"steps": 10}', '{"plans": [[0, 10]], "previews": 6, "seconds_a_preview": 0}'])
def test_a_plan_that_cannot_be_read_is_a_sentence(start, text):
    run = start("run", steps=0, minutes=0.1)
    (run.path / "budget.json").write_text(text)
    assert execute(run) == 2
    assert "budget.json is damaged or of another version; start a new run" in run.status()["message"]


def test_a_cut_checkpoint_is_a_sentence_and_not_the_loss_of_the_run_without_a_word(start):
    run = start("run")
    (run.path / "checkpoint.pt").write_bytes(b"PK cut")
    assert execute(run) == 2
    assert "checkpoint.pt cannot be read" in run.status()["message"] and "from its first step" in run.status()["message"]


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_runs_no_code(start, tmp_path):
    run = start("run")
    with (run.path / "checkpoint.pt").open("wb") as file:
        torch.save({"step": 1, "model": Hostile(tmp_path / "made")}, file)
    assert execute(run) == 2
    assert "checkpoint.pt cannot be read" in run.status()["message"] and not (tmp_path / "made").exists()


def test_slow_image_grids_get_a_small_part_of_the_budget(start, clock):
    """1.56 seconds: 15 % of them are time for four grids of 0.05; the rest for steps of 0.05."""
    clock(0.05)
    run = start("run", steps=0, minutes=0.026, checkpoint_every=0, preview_every=0)
    assert execute(run) == 0
    assert run.result()["steps"] == 27
    assert [line["step"] for line in run.read_lines("previews.jsonl")] == [0, 7, 14, 21, 27]


def test_image_grids_that_were_asked_for_count_in_the_budget(start, clock):
    """1.5 seconds: three steps of 0.05 and a grid of 0.05, seven times, and one step more."""
    clock(0.05)
    run = start("run", steps=0, minutes=0.0251, checkpoint_every=0, preview_every=3)
    assert execute(run) == 0
    assert run.result()["steps"] == 22


@pytest.mark.parametrize(("asked", "saved"), [(0, [4, 8, 10, 14, 18, 20]), (5, [5, 10, 15, 20])])
def test_ten_minutes_of_training_are_the_most_that_is_lost(asked, saved, start, monkeypatch, clock):
    """Steps of 170 seconds, grids at step 10 and the end: a checkpoint with these and after every fourth step, unless steps are given."""
    clock(170.0)
    save, steps = torch.save, []
    monkeypatch.setattr(torch, "save", lambda state, file: (steps.append(state["step"]), save(state, file)))
    assert execute(start("run", steps=20, checkpoint_every=asked, preview_every=10)) == 0
    assert steps == saved


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_stop_in_the_first_a_later_and_the_last_preview(start, monkeypatch, call):
    whole, stopped = start("whole"), start("stopped")
    assert execute(whole) == 0
    calls = []
    sample = train_in_folder.sample

    def sample_and_stop(*given, **named):
        calls.append(1)
        if len(calls) == call:
            stopped.request_stop()
        return sample(*given, **named)

    monkeypatch.setattr(train_in_folder, "sample", sample_and_stop)
    assert execute(stopped) == 0
    assert stopped.status()["state"] == "stopped"
    assert [step for step, _ in losses(stopped.path)] == list(range(1, (0, 3, 6)[call - 1] + 1))
    assert execute(stopped) == 0
    assert stopped.status()["state"] == "finished"
    assert weights(stopped.path) == weights(whole.path)
    assert stopped.read_lines("previews.jsonl")[-1]["step"] == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_a_checkpoint_is_written(start, monkeypatch):
    whole, run = start("whole"), start("run")
    assert execute(whole) == 0
    append = RunFolder.append

    def append_and_fill(run, name, line):
        append(run, name, line)
        if name == "steps.jsonl" and line["step"] == 4:
            (run.path / "checkpoint.partial").symlink_to("/dev/full")

    monkeypatch.setattr(RunFolder, "append", append_and_fill)
    assert execute(run) == 1
    assert run.status()["state"] == "failed" and run.status()["message"].startswith("The disk is full: delete old runs")
    assert checkpoint(run)["step"] == 2
    assert not os.path.lexists(run.path / "checkpoint.partial")
    monkeypatch.setattr(RunFolder, "append", append)
    assert execute(run) == 0
    assert weights(run.path) == weights(whole.path)


def test_a_run_that_diverges_keeps_weights_that_are_numbers(start, monkeypatch):
    """The loss of step 4 is a number still, its gradient no longer."""
    dsm, calls = fine_tune.dsm, []

    def dsm_then_nan(*given, **named):
        calls.append(1)
        loss = dsm(*given, **named)
        return loss + (0 * loss).sqrt() if len(calls) >= 4 else loss

    monkeypatch.setattr(fine_tune, "dsm", dsm_then_nan)
    run = start("run", checkpoint_every=1)
    assert execute(run) == 1
    status = run.status()
    assert status["state"] == "failed" and status["message"].startswith("The training diverged: ")
    assert "at step 4" in status["message"] and status["message"].endswith("start a new run with a lower learning rate.")
    kept = checkpoint(run)
    assert kept["step"] == 3
    assert all(bool(value.isfinite().all()) for value in kept["model"].values())


def test_the_disk_it_takes_is_said_and_true(start, tiny_denoiser, monkeypatch):
    bytes_of_weights = 4 * sum(p.numel() for p in tiny_denoiser.parameters())
    seen, said = [], []
    to_disk, progress = train_in_folder.to_disk, RunFolder.progress

    def look(path):
        seen.append(run.disk_bytes())
        to_disk(path)

    monkeypatch.setattr(train_in_folder, "to_disk", look)
    monkeypatch.setattr(RunFolder, "progress", lambda run, stage, *rest: said.append(stage) or progress(run, stage, *rest))
    run = start("run")
    assert execute(run) == 0
    assert 0.95 * 8 * bytes_of_weights < max(seen) < 8 * bytes_of_weights + inputs.OTHER_FILES
    assert 2 * bytes_of_weights < run.disk_bytes() < 2 * bytes_of_weights + inputs.OTHER_FILES
    peak, end = ((times * bytes_of_weights + inputs.OTHER_FILES) >> 20 for times in (8, 2))
    assert f"Will take {peak} MB of disk while training, {end} MB in the end" in said[: said.index("Drawing the first samples")]


def test_too_little_disk_is_said_before_any_work(start, monkeypatch):
    monkeypatch.setattr(inputs.shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    run = start("run", objective="tiw-dsm", strength="1")
    assert execute(run) == 2
    assert run.status()["message"].startswith("out: ") and "5 MB free" in run.status()["message"]
    assert not (run.path / "ratio").exists() and not (run.path / "previews").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(start, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(UserInputError, match=r"out: .*file/run cannot be written \(Not a directory\)"):
        start("file/run")
    run = start("run")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folder, "write_atomic", refuse)
    with pytest.raises(UserInputError, match=r"out: .*run cannot be written \(Permission denied\)"):
        execute(run)
