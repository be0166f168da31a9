"""Several processes train what one would, and end together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import blobs
from served import QUICK, ROOT

from tiw.model import processes

# accelerate starts several processes for --multi_gpu only, with --cpu just one; which device they use is the command's own option.
LAUNCH = "-m accelerate.commands.launch --multi_gpu --num_processes=2 --num_machines=1 --mixed_precision=no --dynamo_backend=no"


@pytest.fixture
def command(tmp_path, tiny_denoiser):
    """Options of a debias on tiny sets; all temporary files of its processes lie in tmp_path/temporary."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "tiw_with_few_samples.py").write_text(QUICK)
    for name, images in (("biased", blobs(200, 0.2, 0)), ("reference", blobs(60, 0.6, 1))):
        np.savez(tmp_path / f"{name}.npz", images=images.images)
    tiny_denoiser.save_pretrained(tmp_path / "baseline")
    options = {"device": "cpu", "precision": "float32", "batch-size": "16", "preview-every": "1000000", "seed": "3"}
    paths = {"biased": tmp_path / "biased.npz", "reference": tmp_path / "reference.npz", "baseline": tmp_path / "baseline"}
    return [f"--{name}={value}" for name, value in {**options, **paths}.items()]


def start(out: Path, options: list[str], processes: int = 2, kind: str = "debias") -> subprocess.Popen:
    launcher = [*LAUNCH.split(), "--main_process_port=0"] if processes == 2 else []
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT), "TMPDIR": str(out.parent / "temporary")}
    line = [sys.executable, *launcher, str(out.parent / "tiw_with_few_samples.py"), kind, f"--out={out}", *options]
    return subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def status(out: Path) -> dict:
    return json.loads((out / "status.json").read_text())


def left_over(out: Path) -> list[Path]:
    return list((out.parent / "temporary").rglob("config.json"))


def test_two_processes_have_the_loss_curve_of_one(command, tmp_path):
    options = [*command, "--steps=20", "--strength=1.2"]
    for count in (1, 2):
        child = start(tmp_path / str(count), options, count)
        said = child.communicate()[0]
        assert child.returncode == 0, said
        assert json.loads((tmp_path / str(count) / "result.json").read_text())["processes"] == count
    lines = [[json.loads(line) for line in (tmp_path / name / "steps.jsonl").read_text().splitlines()] for name in "12"]
    assert len(lines[0]) == len(lines[1]) == 20
    for key in ("loss", "effective_sample_size", "largest_weight"):
        np.testing.assert_allclose(*([line[key] for line in of] for of in lines), rtol=1e-4)
    assert (tmp_path / "2" / "model" / "denoiser.json").is_file() and (tmp_path / "2" / "raw" / "denoiser.json").is_file()
    assert not left_over(tmp_path / "2")


@pytest.mark.slow
def test_two_processes_train_a_baseline_to_its_end(command, tmp_path):
    """The second had opened the model that the first was yet to save."""
    out = tmp_path / "trained"
    child = start(out, [f"--data={tmp_path / 'biased.npz'}", "--device=cpu", "--steps=3", "--batch-size=8"], kind="train")
    said = child.communicate(timeout=120)[0]
    assert child.returncode == 0, said
    assert status(out)["state"] == "finished" and json.loads((out / "result.json").read_text())["training_check"]["check"]["n"] == 240


@pytest.mark.slow
def test_what_is_wrong_for_all_ends_all(command, tmp_path):
    out = tmp_path / "odd"
    child = start(out, [*command, "--objective=dsm-obs", "--steps=5", "--batch-size=15"])
    said = child.communicate(timeout=120)[0]
    assert child.returncode != 0 and "cannot be shared equally by 2" in said
    assert status(out)["state"] == "failed" and "batch_size" in status(out)["message"]
    assert not left_over(out)


@pytest.mark.slow
def test_sigterm_stops_all_within_a_step_and_they_go_on(command, tmp_path):
    out = tmp_path / "stopped"
    options = [*command, "--objective=dsm-obs", "--steps=1000000"]
    done = 0
    for _ in range(2):
        child = start(out, options)
        try:
            while not (out / "steps.jsonl").is_file() or (out / "steps.jsonl").read_text().count("\n") <= done:
                assert child.poll() is None, child.communicate()[0]
                time.sleep(0.02)
            child.send_signal(signal.SIGTERM)
            child.communicate(timeout=30)
        finally:
            child.kill()
        assert status(out)["state"] == "stopped" and (out / "checkpoint.pt").is_file()
        assert not left_over(out)
        steps = [json.loads(line)["step"] for line in (out / "steps.jsonl").read_text().splitlines()]
        assert steps == list(range(1, len(steps) + 1)) and len(steps) > done
        done = len(steps)


def test_the_others_hear_how_it_went_with_the_first(monkeypatch):
    """Its block's error ends the others, who would wait for it for ever."""
    told = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes, "agreed", lambda value: told.append(value) or (told[-1] if processes.is_first() else outcome))
    with pytest.raises(ValueError, match="no"), processes.first_goes_first():
        raise ValueError("no")
    with processes.first_goes_first():
        pass
    assert told == [False, True]
    monkeypatch.setenv("RANK", "1")
    outcome = True
    with processes.first_goes_first():
        entered = True
    assert entered
    outcome = False
    with pytest.raises(processes.FirstEnded), processes.first_goes_first():
        pytest.fail("the block was entered")
