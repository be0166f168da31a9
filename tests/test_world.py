"""Several processes train what one would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import blobs

ROOT = Path(__file__).parents[1]


@pytest.fixture
def command(tmp_path, tiny_denoiser):
    for name, images in (("biased", blobs(200, 0.2, 0)), ("reference", blobs(60, 0.6, 1))):
        np.savez(tmp_path / f"{name}.npz", images=images.images)
    tiny_denoiser.save_pretrained(tmp_path / "baseline")
    options = {
        "strength": "1.2",
        "anchor": "0.5",
        "steps": "50",
        "batch-size": "16",
        "device": "cpu",
        "precision": "float32",
        "preview-every": "50",
    }
    paths = {"biased": tmp_path / "biased.npz", "reference": tmp_path / "reference.npz", "baseline": tmp_path / "baseline"}
    return [f"--{name}={value}" for name, value in {**options, **paths}.items()]


def run(launcher: list[str], out: Path, command: list[str]) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, *launcher, "tiw", "debias", f"--out={out}", *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )


LAUNCH = [
    "-m",
    "accelerate.commands.launch",
    "--cpu",
    "--num_processes=2",
    "--num_machines=1",
    "--mixed_precision=no",
    "--dynamo_backend=no",
    "-m",
]


def test_two_processes_have_the_loss_curve_of_one(command, tmp_path):
    one, two = run(["-m"], tmp_path / "one", command), run(LAUNCH, tmp_path / "two", command)
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    lines = [[json.loads(line) for line in (tmp_path / name / "steps.jsonl").read_text().splitlines()] for name in ("one", "two")]
    assert len(lines[0]) == len(lines[1]) == 50
    for key in ("loss", "effective_sample_size", "largest_weight"):
        np.testing.assert_allclose(*([line[key] for line in of] for of in lines), rtol=1e-4)
    assert (tmp_path / "two" / "model" / "denoiser.json").is_file()
    assert len(json.loads((tmp_path / "two" / "result.json").read_text())) > 5


def test_a_batch_that_cannot_be_shared_is_named(command, tmp_path):
    found = run(LAUNCH, tmp_path / "odd", [c.replace("16", "15") if "batch" in c else c for c in command])
    assert found.returncode != 0
    assert "batch_size" in json.loads((tmp_path / "odd" / "status.json").read_text())["message"]
