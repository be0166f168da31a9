"""A whole small loop, then each run again from its config.json in another home: the same numbers, and whatever is not the same is said."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import blobs
from test_comparison_run import saved
from typer.testing import CliRunner

from tiw.__main__ import app
from tiw.errors import UserInputError
from tiw.model.denoiser import Denoiser
from tiw.model.networks import PRESETS
from tiw.run import budget, names
from tiw.run.execute import execute
from tiw.run.folder import RunFolder
from tiw.run.hand_on import collect, make_report
from tiw.run.options import AuditOptions, CompareOptions, DebiasOptions, DemoOptions
from tiw.run.replay import replay


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """(audit, debias, compare): real runs with the smallest network."""
    home = tmp_path_factory.mktemp("loop")
    torch.manual_seed(0)
    Denoiser.new(PRESETS["tiny"]).save_pretrained(home / "baseline")
    sets = {
        "biased": saved(home / "biased.npz", blobs(120, 0.2, 0)),
        "reference": saved(home / "reference.npz", blobs(60, 0.6, 1)),
        "device": "cpu",
    }
    model = {**sets, "baseline": str(home / "baseline")}
    audit = AuditOptions(**sets, baseline="none", scored=60, levels=2, folds=2, map=False, score_all=False)
    debias = DebiasOptions(**model, objective="dsm-ref", steps=3, batch_size=8, keep=1)
    compare = CompareOptions(debiased=str(home / "debias" / names.MODEL), count=40, sampling_steps=2, device="cpu")
    runs = []
    for kind, options in (("audit", audit), ("debias", debias), ("compare", compare)):
        runs.append(RunFolder.create(home / kind, kind, options))
        assert execute(runs[-1]) == 0, runs[-1].status()["message"]
    return tuple(runs)


@pytest.mark.parametrize("k", [0, 1, 2], ids=["audit", "debias", "compare"])
def test_the_same_numbers_again(loop, tmp_path, monkeypatch, k):
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    found = replay(loop[k], tmp_path / "again", execute)
    assert found.different == () and found.sentence == "The numbers are the same. The versions are the same."
    if k == 1:
        for name in (names.MODEL, names.RAW):
            file = next((found.path / name).rglob("*.safetensors")).relative_to(found.path)
            assert (found.path / file).read_bytes() == (loop[k].path / file).read_bytes()
    if k == 2:
        with np.load(found.path / names.SAMPLES) as again, np.load(loop[k].path / names.SAMPLES) as first:
            assert all((again[name] == first[name]).all() for name in first)


@pytest.mark.slow
def test_a_run_with_a_ratio_gives_the_same_numbers_again(loop, tmp_path):
    """The default: baseline check, ratio, matched strength, training, meter and search for what lags."""
    run = RunFolder.create(tmp_path / "run", "debias", replace(loop[1].options, objective="tiw-dsm"))
    assert execute(run) == 0
    assert replay(run, tmp_path / "again", execute).different == ()


def test_a_replay_that_is_stopped_goes_on_with_the_same_command(loop, tmp_path):
    """It had ended in a traceback: a run that was stopped has no result to compare."""

    def stopped(again):
        again.request_stop()
        return execute(again)

    with pytest.raises(UserInputError, match=r"stopped.*the same command"):
        replay(loop[0], tmp_path / "again", stopped)
    RunFolder.open(tmp_path / "again").forget_stop()
    assert replay(loop[0], tmp_path / "again", execute).different == ()


@pytest.mark.parametrize("part", [(), ("debias",)], ids=["debias", "demo"])
def test_a_replay_takes_as_many_steps_on_a_machine_of_another_speed(tmp_path, part):
    """Its plan was made anew after a tenth of the steps, and a demo's was not even copied."""
    run = RunFolder.create(tmp_path / "run", "demo" if part else "debias", DemoOptions() if part else DebiasOptions(minutes=2.0))

    def trained(folder, seconds_a_step):
        folder = folder.part("debias", DebiasOptions(minutes=2.0)) if part else folder
        spent, done = 0.0, 0
        times = iter(np.arange(100) * seconds_a_step)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(budget.time, "monotonic", lambda: next(times))
            plan = budget.plan_for(folder, folder.options, "cpu", 0.0, lambda n: iter(range(n)))
        while done < plan.steps(done):
            done, spent = done + 1, spent + seconds_a_step
            plan.review(folder, done, seconds_a_step, spent)
        return done

    steps = trained(run, 0.3)
    run.write_result({"steps": steps})

    def slower(again):
        again.write_result({"steps": trained(again, 0.9)})
        return 0

    assert steps == 400 and replay(run, tmp_path / "again", slower).different == ()
    assert trained(RunFolder.create(tmp_path / "new", run.kind, run.options), 0.9) < 150


def test_from_the_command_what_is_not_the_same_is_said(loop, tmp_path):
    """Another version then, another number then, and images that are others now."""
    shutil.copytree(loop[0].path, tmp_path / "audit")
    path = tmp_path / "audit" / names.RESULT
    result = json.loads(path.read_text())
    result["versions"]["torch"], result["biased"]["scored"] = "1.0", result["biased"]["scored"] + 1
    path.write_text(json.dumps(result))
    done = CliRunner().invoke(app, ["replay", str(tmp_path / "audit")])
    assert done.exit_code == 1 and "biased.scored was 61, is 60" in done.output and "Versions that differ: torch 1.0 then" in done.output
    assert (tmp_path / "audit-replay" / names.RESULT).is_file()


def test_a_report_made_again_has_the_same_hash(loop):
    """That of the run's own report, which the model's card names; it had been made before the run's versions were written."""
    kept = json.loads((loop[2].path / names.REPORT_JSON).read_text())
    made = make_report(collect([loop[2].path]))
    assert (
        made.hash == kept["hash"] and kept["results"]["compare"]["weights"]["debiased"] != kept["results"]["compare"]["weights"]["baseline"]
    )
    assert made.hash in (loop[1].path / names.MODEL / "README.md").read_text()
